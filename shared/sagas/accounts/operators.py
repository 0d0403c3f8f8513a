"""Acts of operators (support, auditors, admins) on users and models; every act is recorded before the act happens."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.clock import Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Data, Value
from shared.kernel.errors import Conflict, Forbidden, InvalidValue
from shared.kernel.expected import ExpectedVersions
from shared.kernel.ids import OperationId, Uid, fingerprint, is_uid, new_id, operation_id
from shared.kernel.money import format_credits
from shared.kernel.pages import Page
from shared.ledger.about import about
from shared.ledger.commands import Adjust, Freeze, Unfreeze
from shared.ledger.ledger import Ledger
from shared.ledger.receipts import AmountReceipt
from shared.ledger.redactions import Progress
from shared.ledger.views import Balance
from shared.users.audit import ALL_RECORDS, AuditFilter, AuditRecord, AuditTrail
from shared.users.operator_acts import AdminCheck, require_another, required_reason, told
from shared.users.ports import AuthUser, Identity, UserNotFound
from shared.users.principal import Principal
from shared.users.profiles import Profile, Profiles
from shared.users.roles import ADMIN, parse_roles

PutModel = Callable[[str, Mapping[str, Any], ExpectedVersions | None], tuple[Data | None, Data]]
"""Function that stores a model: id, fields and expected version → the model before, if there was one, and after."""

COMMAND = "command:first-admin"


class OwnRole(Forbidden):
    """An operator may not change their own roles: a second person has to agree."""

    code = "own_role"

    def __init__(self) -> None:
        super().__init__("Nobody may change their own roles.")


class AdminExists(Conflict):
    """An admin exists already, who can make others."""

    code = "admin_exists"

    def __init__(self) -> None:
        super().__init__("There is an admin already; ask them, or use --force.")


class EmailNotVerified(Forbidden):
    """The e-mail address of this account is not verified."""

    code = "email_not_verified"

    def __init__(self) -> None:
        super().__init__("This user's email address is not verified.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """The operators' view of a user: the login, the profile and the balance. A field is None if unknown."""

    uid: Uid
    email: str | None
    display_name: str | None
    roles: frozenset[str]
    is_disabled: bool
    status: str
    created_at: Millis | None
    balance: Balance


class Operators:
    """The acts of operators. The edge checks who may read; each act checks the current admin role, and is recorded."""

    def __init__(
        self, identity: Identity, profiles: Profiles, ledger: Ledger, audit: AuditTrail, put_model: PutModel
    ) -> None:
        self._identity = identity
        self._profiles = profiles
        self._ledger = ledger
        self._audit = audit
        self._put_model = put_model
        self._check = AdminCheck(identity)

    def user(self, uid: Uid) -> UserView:
        """Return one user, also a user who has left. Raises UserNotFound."""
        if not is_uid(uid):
            raise UserNotFound
        profile, login = self._profiles.get(uid), self._login(uid)
        if profile is None and login is None:
            raise UserNotFound
        return self._view(uid, login, profile)

    def audit(self, cursor: str | None, limit: int, wanted: AuditFilter = ALL_RECORDS) -> Page[AuditRecord]:
        """Return the operators' acts and looks that meet the conditions, newest first."""
        return self._audit.page(cursor=cursor, limit=limit, wanted=wanted)

    def set_roles(self, actor: Principal, uid: Uid, roles: frozenset[str], reason: str | None = None) -> UserView:
        """Replace the roles of another user, and return the user.

        The new roles count once that user's token is refreshed.

        Raises OwnRole, InvalidValue for an unknown role, UserNotFound.
        """
        self._check.require_admin(actor)
        wanted = parse_roles(roles)
        if uid == actor.uid:
            raise OwnRole
        before = {"roles": sorted(self._existing_login(uid).roles)}
        with self._audit.recording(actor.uid, "set_roles", uid, reason=reason, before=before) as act:
            self._identity.set_roles(uid, wanted)
            self._profiles.set_roles(uid, wanted)
            act.after = {"roles": sorted(wanted)}
        return self.user(uid)

    def adjust(  # an act says who, whom, how much, and why to whom
        self,
        actor: Principal,
        uid: Uid,
        amount: int,
        reason: str,
        operation: OperationId,
        *,
        note_to_user: str = "",
    ) -> AmountReceipt:
        """Correct a balance by `amount` µcr, and return the receipt; an amount below zero takes away.

        The same `operation` corrects once. The `reason` stands in the audit for operators; `note_to_user` stands with
        the entry for the user.

        Raises OwnAccount for credits to the actor, InvalidValue without an amount or a reason, UserNotFound, and the
        ledger's errors. The refusal of the actor's own account is recorded, too.
        """
        self._check.require_admin(actor)
        why = required_reason(reason)
        if amount == 0:
            raise InvalidValue("amount", "must not be zero")
        before = self._balances(self.user(uid).balance)
        command = Adjust(
            operation=operation,
            fingerprint=fingerprint(f"adjust\n{uid}\n{amount}\n{why}{told(note_to_user)}"),
            amount=amount,
            note=note_to_user.strip(),
            about=about("adjustment"),
        )
        with self._audit.recording(actor.uid, "adjust", uid, reason=why, before=before, operation=operation) as act:
            if amount > 0:
                require_another(actor, uid)
            outcome = self._ledger.execute(uid, command)
            replayed = {"is_replay": True} if outcome.is_replay else {}
            act.after = {**self._balances(outcome.balance), "amount": format_credits(amount), **replayed}
        return outcome.receipt

    def export(self, actor: Principal, uid: Uid) -> Iterator[str]:
        """Yield a user's whole journal as lines of NDJSON. The export is recorded. Raises UserNotFound."""
        self.user(uid)
        with self._audit.recording(actor.uid, "export_journal", uid, reason=None):
            return self._ledger.export(uid)

    def freeze(self, actor: Principal, uid: Uid, reason: str, *, note_to_user: str = "") -> UserView:
        """Stop the user's spending, and return the user. Raises UserNotFound, AccountClosed."""
        self._check.require_admin(actor)
        why = required_reason(reason)
        operation = operation_id("freeze", new_id("act"))
        note, told = note_to_user.strip(), about("adjustment")
        command = Freeze(operation=operation, fingerprint="freeze", note=note, about=told)
        return self._set_status(actor, uid, command, why)

    def unfreeze(self, actor: Principal, uid: Uid, reason: str, *, note_to_user: str = "") -> UserView:
        """Let another user spend again, and return the user. Raises OwnAccount, UserNotFound, AccountClosed."""
        self._check.require_admin(actor)
        why = required_reason(reason)
        operation = operation_id("unfreeze", new_id("act"))
        note, told = note_to_user.strip(), about("adjustment")
        command = Unfreeze(operation=operation, fingerprint="unfreeze", note=note, about=told)
        return self._set_status(actor, uid, command, why)

    def redact(self, actor: Principal, uid: Uid, seq: int, reason: str, deadline: Deadline) -> Progress:
        """Have an entry's body deleted, one step in each call, and return the progress. Raises OwnAccount,
        UserNotFound, and the errors of `EntryRedactor.redact`.
        """
        self._check.require_admin(actor)
        why = required_reason(reason)
        self.user(uid)
        name = f"redact:{uid}:{seq}"
        with self._audit.recording(actor.uid, "redact_entry", uid, reason=why, operation=name) as act:
            require_another(actor, uid)
            progress = self._ledger.redactor.redact(uid, seq, deadline)
            act.after = {"seq": seq, "progress": progress}
        return progress

    def put_model(
        self,
        actor: Principal,
        model_id: str,
        fields: Mapping[str, Any],
        reason: str | None = None,
        expected: ExpectedVersions | None = None,
    ) -> Data:
        """Create or change a model, and return the new model. Raises the catalogue's errors."""
        self._check.require_admin(actor)
        with self._audit.recording(actor.uid, "put_model", model_id, reason=reason) as act:
            before, after = self._put_model(model_id, fields, expected)
            act.before, act.after = before, after
        return after

    def first_admin(self, email: str, *, is_forced: bool = False, is_verification_needed: bool = True) -> Uid:
        """Make the user with this address the first admin, from a command line, and return the uid.

        Raises UserNotFound, EmailNotVerified, AdminExists.
        """
        user = self._identity.find_by_email(email)
        if user is None:
            raise UserNotFound
        if is_verification_needed and not user.is_email_verified:
            raise EmailNotVerified
        if not is_forced and next(self._identity.with_role(ADMIN), None) is not None:
            raise AdminExists
        before, roles = {"roles": sorted(user.roles)}, user.roles | {ADMIN}
        reason = "forced" if is_forced else None
        with self._audit.recording(COMMAND, "set_roles", user.uid, reason=reason, before=before) as act:
            self._identity.set_roles(user.uid, roles)
            self._profiles.set_roles(user.uid, roles)
            act.after = {"roles": sorted(roles)}
        return user.uid

    def _set_status(self, actor: Principal, uid: Uid, command: Freeze | Unfreeze, why: str) -> UserView:
        """Freeze or unfreeze an account. The reason stands in the audit only, since the owner reads the note."""
        name = type(command).__name__.lower()
        before = {"status": self.user(uid).balance.status}
        with self._audit.recording(actor.uid, name, uid, reason=why, before=before, operation=command.operation) as act:
            if isinstance(command, Unfreeze):
                require_another(actor, uid)
            outcome = self._ledger.execute(uid, command)
            act.after = {"status": outcome.receipt.after.status}
        return self.user(uid)

    def _login(self, uid: Uid) -> AuthUser | None:
        try:
            return self._identity.get_user(uid)
        except UserNotFound:
            return None

    def _existing_login(self, uid: Uid) -> AuthUser:
        login = self._login(uid) if is_uid(uid) else None
        if login is None:
            raise UserNotFound
        return login

    def _view(self, uid: Uid, login: AuthUser | None, profile: Profile | None) -> UserView:
        balance = self._ledger.balance(uid)
        return UserView(
            uid=uid,
            email=login.email if login else None,
            display_name=(login.name if login else None) or (profile.display_name if profile else None),
            roles=login.roles if login else frozenset(),
            is_disabled=login.is_disabled if login else False,
            status="closed" if profile is not None and profile.is_closed else balance.status,
            created_at=(login.created_at if login else None) or (profile.created_at if profile else None),
            balance=balance,
        )

    @staticmethod
    def _balances(balance: Balance) -> dict[str, Value]:
        """Return the balance as decimal strings of credits."""
        amounts = {"available": balance.available, "held": balance.held, "debt": balance.debt}
        return {name: format_credits(amount) for name, amount in amounts.items()}
