"""The welcome bonus: once per user and once per mailbox, whatever crashes in between.

A claim document per mailbox (and phone number) and signing key names the user it belongs to, so it is a lock that
its owner can pick up again: claim first, grant last, and a crash between the two is finished by asking again.
"""

from collections.abc import Mapping, Sequence

from shared.kernel.canonical import Json
from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import Create, Data, Documents, PreconditionFailed
from shared.kernel.errors import Conflict, Forbidden, IdempotencyMismatch
from shared.kernel.ids import LotId, OperationId, Uid, derived_id, operation_id
from shared.kernel.ids import fingerprint as fingerprint_of
from shared.kernel.money import Micro
from shared.kernel.settings import Settings
from shared.ledger.commands import Grant
from shared.ledger.ledger import Ledger
from shared.users.mailbox import marks, normalised
from shared.users.principal import Principal
from shared.users.profiles import Profiles

CLAIM_VERSION = 1
CLAIM_ATTEMPTS_MAX = 5
SOURCE = "promo:welcome"


class AlreadyClaimed(Conflict):
    """This user, or somebody with the same mailbox or phone number, has had the bonus."""

    code = "already_claimed"

    def __init__(self) -> None:
        super().__init__("The welcome bonus was already claimed.")


class BonusNotAllowed(Forbidden):
    """Not for this caller, or not yet: `reason` is `anonymous`, `unverified` or `api_key`."""

    code = "bonus_not_allowed"

    def __init__(self, reason: str) -> None:
        super().__init__("The welcome bonus needs an account with a verified email address or phone.", reason=reason)


class WelcomeBonus:
    """Claims and grants the bonus."""

    def __init__(
        self, documents: Documents, ledger: Ledger, profiles: Profiles, clock: Clock, settings: Settings
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._profiles = profiles
        self._clock = clock
        self._keys = settings.ledger_signing_keys
        self._amount: Micro = settings.welcome_bonus_amount
        self._is_verification_needed = settings.welcome_bonus_requires == "verified"

    def claim(self, principal: Principal, operation: OperationId, fingerprint: str) -> Mapping[str, Json]:
        """Grant the bonus; the same `operation` gets the same answer again, amounts in µcr.

        Raises BonusNotAllowed; AlreadyClaimed for another operation, user or spelling of the same mailbox.
        """
        names = self._names(principal)
        self._lock_in(principal.uid, names)
        try:
            outcome = self._ledger.execute(principal.uid, self._grant(principal.uid, operation, fingerprint))
        except IdempotencyMismatch as error:
            raise AlreadyClaimed from error
        self._profiles.claimed(principal.uid)
        return outcome.result

    def _grant(self, uid: Uid, operation: OperationId, fingerprint: str) -> Grant:
        """One operation per user, for ever; the fingerprint is who asked, so only they are told the answer again."""
        return Grant(
            operation=operation_id("welcome_bonus", uid),
            fingerprint=fingerprint_of(f"{operation}\n{fingerprint}"),
            amount=self._amount,
            lot=LotId(derived_id("lot", "welcome_bonus", uid)),
            source=SOURCE,
        )

    def _names(self, principal: Principal) -> list[str]:
        """What the bonus is given once for. Only what the provider verified counts, unless the setting says `any`."""
        if principal.is_anonymous:
            raise BonusNotAllowed("anonymous")
        if principal.auth != "firebase":
            raise BonusNotAllowed("api_key")
        names = [] if principal.phone is None else [f"tel:{principal.phone}"]
        if principal.email is not None and (principal.is_email_verified or not self._is_verification_needed):
            names.append(f"mailto:{normalised(principal.email)}")
        if not names and self._is_verification_needed:
            raise BonusNotAllowed("unverified")
        return names

    def _lock_in(self, uid: Uid, names: Sequence[str]) -> None:
        """Create the claims that are missing, all or none. Raises AlreadyClaimed if one is somebody else's."""
        paths = [f"bonus_claims/{mark}" for name in names for mark in marks(self._keys, name)]
        data: Data = {"v": CLAIM_VERSION, "uid": uid, "at": to_datetime(self._clock.now())}
        for _ in range(CLAIM_ATTEMPTS_MAX):
            found = self._documents.get_all(paths)
            if any(claim is not None and claim.data["uid"] != uid for claim in found):
                raise AlreadyClaimed
            missing = [path for path, claim in zip(paths, found, strict=True) if claim is None]
            try:
                if missing:
                    self._documents.commit([Create(path, data) for path in missing])
                return
            except PreconditionFailed:
                continue
        raise PreconditionFailed
