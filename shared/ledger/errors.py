"""What can go wrong with an account's credits."""

from shared.kernel.clock import Millis, rfc3339
from shared.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from shared.kernel.money import format_credits

AMOUNTS = frozenset({"available", "held", "required", "limit", "used"})


class InsufficientCredits(Rejected):
    """The user does not have what this needs."""

    code = "insufficient_credits"
    amounts = AMOUNTS

    def __init__(self, *, available: int, held: int, required: int) -> None:
        super().__init__(
            f"This needs {format_credits(required)} credits; {format_credits(available)} are available.",
            available=available,
            held=held,
            required=required,
        )


class BudgetExceeded(Rejected):
    """A cap that the user set themselves (an API key's, a task's) does not allow it."""

    code = "budget_exceeded"
    amounts = AMOUNTS

    def __init__(self, *, budget: str, limit: int, used: int, held: int, required: int) -> None:
        super().__init__(
            f"This needs {format_credits(required)} credits; the cap leaves {format_credits(limit - used - held)}.",
            budget=budget,
            limit=limit,
            used=used,
            held=held,
            required=required,
        )


class AccountFrozen(Rejected):
    """Spending is stopped until an operator has looked."""

    code = "account_frozen"

    def __init__(self) -> None:
        super().__init__("This account is frozen; please contact support.")


class AccountClosed(Rejected):
    """The user has left; the account takes nothing more."""

    code = "account_closed"

    def __init__(self) -> None:
        super().__init__("This account is closed.")


class EntryNotFound(NotFound):
    """The account has no entry of this number."""

    code = "entry_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such entry in this account.")


class HoldNotFound(NotFound):
    """There is no such hold, or it is another principal's."""

    code = "hold_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such reservation.")


class HoldResolved(Conflict):
    """The hold was captured, released or expired before."""

    code = "hold_resolved"

    def __init__(self, status: str) -> None:
        super().__init__(f"This reservation was already {status}.", status=status)


class HoldExists(Conflict):
    """A hold of this name is open or was."""

    code = "hold_exists"

    def __init__(self) -> None:
        super().__init__("A reservation of this name exists already.")


class LotNotFound(NotFound):
    """No lot of this name was ever granted to this account."""

    code = "lot_not_found"

    def __init__(self) -> None:
        super().__init__("These credits were never granted to this account.")


class LotExists(Conflict):
    """A lot of this name was granted before, by another operation."""

    code = "lot_exists"

    def __init__(self) -> None:
        super().__init__("These credits were granted before.")


class ReversalTooLarge(Rejected):
    """More would be taken back than was ever granted."""

    code = "reversal_too_large"

    def __init__(self) -> None:
        super().__init__("More would be taken back than was granted.")


class LimitReached(Rejected):
    """An account is at one of its named limits (open holds, lots, balance)."""

    code = "limit_reached"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"This account is at its limit of {limit} {what}.", what=what)


class RateLimited(Rejected):
    """Too many spending calls; `retry_after_ms` says when the next one is welcome."""

    code = "rate_limited"

    def __init__(self, *, retry_after_ms: Millis) -> None:
        super().__init__("Too many requests; please slow down.", retry_after_ms=retry_after_ms)


class IntegrityFailed(Conflict):
    """What is stored is not what we wrote: `rule` says which law it breaks. Nothing is done on such an account."""

    code = "integrity_failed"

    def __init__(self, *, uid: str, seq: int, rule: str) -> None:
        super().__init__("This account failed its integrity check; an operator was told.", uid=uid, seq=seq, rule=rule)


class UnknownKey(Unavailable):
    """Something is signed with a key that this instance has not heard of yet."""

    code = "unknown_key"

    def __init__(self, kid: str) -> None:
        super().__init__(f"The signing key {kid} is not known here yet.", kid=kid)


class Contended(Unavailable):
    """Others kept changing the account until this operation's time was up; it has not happened."""

    code = "contended"

    def __init__(self, at: Millis) -> None:
        super().__init__(f"The account was too busy until {rfc3339(at)}; nothing happened, ask again.")
