"""The welcome bonus: once per user and once per mailbox, through any crash.

A claim document per mailbox (and phone number) and mark key names the owner. So the claim is a lock that the owner can
take again. The claim comes first and the grant last. After a crash between the two, the user's next call finishes the
grant.
"""

from collections.abc import Sequence

from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Write
from shared.kernel.errors import Conflict, Forbidden, IdempotencyMismatch
from shared.kernel.ids import LotId, OperationId, Uid, derived_id, operation_id
from shared.kernel.ids import fingerprint as fingerprint_of
from shared.kernel.money import Micro
from shared.kernel.settings import Settings
from shared.ledger.about import about
from shared.ledger.commands import Grant
from shared.ledger.ledger import Ledger
from shared.ledger.receipts import GrantReceipt
from shared.payments.store import Payments
from shared.sagas.accounts.bonus_caps import DOMAIN_BONUSES_A_DAY, BonusCaps, CappedDomain
from shared.users.mailbox import mark_keys, marks, spellings
from shared.users.ports import DomainLists
from shared.users.principal import Principal
from shared.users.profiles import Profiles

CLAIM_ATTEMPTS_MAX = DOMAIN_BONUSES_A_DAY + 5
"""Most attempts to claim. Each failed attempt means that another claim was counted, until the domain's cap refuses."""
PAYMENTS_LOOKED_AT_MAX = 100
PAID: frozenset[str] = frozenset({"settled", "partially_refunded", "won"})
"""Statuses of a payment whose money stays."""
SOURCE = "promo:welcome"

REFUSALS = {
    "anonymous": "Guests cannot claim the welcome bonus. Add an email address to this account first.",
    "unverified": "The welcome bonus needs a verified email address or phone. Open the link in the verification mail.",
    "api_key": "The welcome bonus is claimed by its user in person. Sign in instead of using an API key.",
    "disposable": "The welcome bonus is not given for throw-away addresses. Use another email address.",
    "app_check": "The welcome bonus is claimed from our app. Open the app and try again.",
    "card": "The welcome bonus is given once a first payment has arrived. Buy a package first.",
}


class AlreadyClaimed(Conflict):
    """This user, or a user with the same mailbox or phone number, has had the bonus."""

    code = "already_claimed"

    def __init__(self) -> None:
        super().__init__("The welcome bonus was already claimed.")


class BonusNotAllowed(Forbidden):
    """The caller may not have the bonus, or not yet: `reason` is a key of `REFUSALS`."""

    code = "bonus_not_allowed"

    def __init__(self, reason: str) -> None:
        super().__init__(REFUSALS[reason], reason=reason)


class WelcomeBonus:
    """The claim and the grant of the bonus."""

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        profiles: Profiles,
        clock: Clock,
        settings: Settings,
        lists: DomainLists,
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._profiles = profiles
        self._clock = clock
        self._payments = Payments(documents)
        self._keys = mark_keys(settings.marks_secrets, [key.seed for key in settings.ledger_signing_keys])
        self._caps = BonusCaps(documents, lists, clock, self._keys, settings.welcome_bonus_uncapped_domains)
        self._amount: Micro = settings.welcome_bonus_amount
        self._conditions = settings.welcome_bonus_requires

    def claim(
        self, principal: Principal, operation: OperationId, fingerprint: str, *, is_app_verified: bool = False
    ) -> GrantReceipt:
        """Grant the bonus, and return the receipt in µcr. The same `operation` gets the same receipt again.

        Raises BonusNotAllowed; AlreadyClaimed for another operation, user or spelling of the same mailbox;
        BonusCapReached if the address's domain has been given all of the domain's bonuses.
        """
        self._check(principal, is_app_verified=is_app_verified)
        self._lock_in(principal)
        try:
            outcome = self._ledger.execute(principal.uid, self._grant(principal.uid, operation, fingerprint))
        except IdempotencyMismatch as error:
            raise AlreadyClaimed from error
        self._profiles.claimed(principal.uid)
        return outcome.receipt

    def _grant(self, uid: Uid, operation: OperationId, fingerprint: str) -> Grant:
        """Build the grant, under one operation per user for ever.

        The fingerprint identifies the request, so only a repeated request gets the same answer again.
        """
        return Grant(
            operation=operation_id("welcome_bonus", uid),
            fingerprint=fingerprint_of(f"{operation}\n{fingerprint}"),
            amount=self._amount,
            lot=LotId(derived_id("lot", "welcome_bonus", uid)),
            source=SOURCE,
            about=about("bonus"),
        )

    def _check(self, principal: Principal, *, is_app_verified: bool) -> None:
        """Raise BonusNotAllowed with the first condition that the caller does not meet."""
        email = self._email(principal)
        if principal.is_anonymous:
            raise BonusNotAllowed("anonymous")
        if principal.auth != "firebase":
            raise BonusNotAllowed("api_key")
        if "verified" in self._conditions and email is None and principal.phone is None:
            raise BonusNotAllowed("unverified")
        if email is not None and self._caps.is_disposable(email):
            raise BonusNotAllowed("disposable")
        if "app_check" in self._conditions and not is_app_verified:
            raise BonusNotAllowed("app_check")
        if "card" in self._conditions and not self._has_paid(principal.uid):
            raise BonusNotAllowed("card")

    def _email(self, principal: Principal) -> str | None:
        """Return the address that counts, or None: only a verified address, unless the settings allow others."""
        counts = principal.is_email_verified or "verified" not in self._conditions
        return principal.email if counts else None

    def _has_paid(self, uid: Uid) -> bool:
        page = self._payments.history(uid, limit=PAYMENTS_LOOKED_AT_MAX, after=None)
        return any(payment.data["status"] in PAID for payment in page.items)

    def _lock_in(self, principal: Principal) -> None:
        """Create the missing claims and count them at the domain, all or none.

        Raises AlreadyClaimed if a claim under any spelling or mark is another user's; BonusCapReached.
        """
        email = self._email(principal)
        written, looked_up = self._claim_paths(principal.phone, email)
        domain = None if email is None else self._caps.domain(email)
        for _ in range(CLAIM_ATTEMPTS_MAX):
            found = self._found([*written, *looked_up])
            if any(claim.data["uid"] != principal.uid for claim in found.values()):
                raise AlreadyClaimed
            missing = [path for path in written if path not in found]
            try:
                self._create(principal.uid, missing, None if found else domain)
                return
            except PreconditionFailed:
                continue
        raise PreconditionFailed

    def _claim_paths(self, phone: str | None, email: str | None) -> tuple[list[str], list[str]]:
        """Return the paths where claims are written, and the paths of earlier claims on the same mailbox."""
        names = [] if phone is None else [f"tel:{phone}"]
        earlier: list[str] = []
        if email is not None:
            current, *others = (f"mailto:{spelling}" for spelling in spellings(email))
            names.append(current)
            earlier = others
        return self._marked(names), self._marked(earlier)

    def _marked(self, names: Sequence[str]) -> list[str]:
        return [f"bonus_claims/{mark}" for name in names for mark in marks(self._keys, name)]

    def _found(self, paths: Sequence[str]) -> dict[str, Document]:
        found = self._documents.get_all(paths) if paths else []
        return {document.path: document for document in found if document is not None}

    def _create(self, uid: Uid, missing: Sequence[str], domain: CappedDomain | None) -> None:
        """Write the missing claims. A user's first claims are counted at the domain. Raises BonusCapReached."""
        if not missing:
            return
        data: Data = {"uid": uid, "at": to_datetime(self._clock.now())}
        writes: list[Write] = [Create(path, data) for path in missing]
        if domain is not None:
            writes.append(self._caps.one_more(domain, self._documents.get_all(domain.paths)))
        self._documents.commit(writes)
