"""Errors of operations on an account's credits."""

from shared.kernel.clock import MINUTE, Millis, rfc3339
from shared.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from shared.kernel.money import format_credits

UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors of code that reads a document which the ledger did not write."""
AMOUNTS = frozenset({"available", "held", "required", "limit", "used"})


class InsufficientCredits(Rejected):
    """Too few available credits for the required amount."""

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
    """Cap exceeded that the user has set (an API key's or a task's)."""

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
    """Spending stopped until an operator has looked at the account."""

    code = "account_frozen"

    def __init__(self) -> None:
        super().__init__("This account is frozen; please contact support.")


class AccountClosed(Rejected):
    """Closed account: the user has left, and the account accepts no more commands."""

    code = "account_closed"

    def __init__(self) -> None:
        super().__init__("This account is closed.")


class EntryNotFound(NotFound):
    """No entry of this number in the account."""

    code = "entry_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such entry in this account.")


class NotLoggedYet(Conflict):
    """Entry beyond the last checkpoint. The sequencer and the signer run once a minute."""

    code = "not_logged_yet"

    def __init__(self) -> None:
        super().__init__(
            "The log's last checkpoint does not reach this entry yet; ask again in a minute.", retry_after_ms=MINUTE
        )


class NotPublishedYet(Conflict):
    """Entry that the relay has not published or added up yet. The relay runs once a minute."""

    code = "not_published_yet"

    def __init__(self) -> None:
        super().__init__("This entry is not published yet; ask again in a minute.", retry_after_ms=MINUTE)


class JournalTooLong(Conflict):
    """Journal that cannot be read up to an entry within one request."""

    code = "journal_too_long"

    def __init__(self) -> None:
        super().__init__("This journal is too long for one request; an operator must run `make redact-entry`.")


class EntryRedacted(NotFound):
    """Entry whose body was deleted, so that no receipt can show the body."""

    code = "entry_redacted"

    def __init__(self) -> None:
        super().__init__(
            "The body of this entry was deleted, so it has no receipt. An export has its hash, signature and proof."
        )


class EntryArchived(Conflict):
    """Entry that lies in the bucket, so that the entry's document cannot be changed."""

    code = "entry_archived"

    def __init__(self) -> None:
        super().__init__("This entry is archived; bring the account's journal back first.")


class NothingToArchive(Conflict):
    """Account without a further entry to archive, or without an archive to bring back."""

    code = "nothing_to_archive"

    def __init__(self) -> None:
        super().__init__("This account has nothing to archive or to bring back.")


class HoldNotFound(NotFound):
    """No such hold, or a hold of another principal."""

    code = "hold_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such reservation.")


class HoldResolved(Conflict):
    """Hold already captured, released or expired."""

    code = "hold_resolved"

    def __init__(self, status: str) -> None:
        super().__init__(f"This reservation was already {status}.", status=status)


class HoldExists(Conflict):
    """Open or resolved hold of the same name."""

    code = "hold_exists"

    def __init__(self) -> None:
        super().__init__("A reservation of this name exists already.")


class LotNotFound(NotFound):
    """Name of a lot that was never granted to this account."""

    code = "lot_not_found"

    def __init__(self) -> None:
        super().__init__("These credits were never granted to this account.")


class LotExists(Conflict):
    """Lot of the same name already granted by another operation."""

    code = "lot_exists"

    def __init__(self) -> None:
        super().__init__("These credits were granted before.")


class ReversalTooLarge(Rejected):
    """Reversal of more credits than were granted."""

    code = "reversal_too_large"

    def __init__(self) -> None:
        super().__init__("More would be taken back than was granted.")


class LimitReached(Rejected):
    """Named limit of the account reached (open holds, lots, balance)."""

    code = "limit_reached"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"This account is at its limit of {limit} {what}.", what=what)


class RateLimited(Rejected):
    """Too many spending calls. The next call is allowed after `retry_after_ms`."""

    code = "rate_limited"

    def __init__(self, *, retry_after_ms: Millis) -> None:
        super().__init__("Too many requests; please slow down.", retry_after_ms=retry_after_ms)


class IntegrityFailed(Conflict):
    """Stored data that the ledger did not write; `rule` names the broken law.

    No command on such an account is executed.
    """

    code = "integrity_failed"

    def __init__(self, *, uid: str, seq: int, rule: str) -> None:
        super().__init__("This account failed its integrity check; an operator was told.", uid=uid, seq=seq, rule=rule)


class UnknownKey(Unavailable):
    """Signature by a key that this instance does not know yet."""

    code = "unknown_key"

    def __init__(self, kid: str) -> None:
        super().__init__(f"The signing key {kid} is not known here yet.", kid=kid)


class NoSigningKey(Unavailable):
    """No signing key of this instance is in force, because the registry has ended them or does not name them yet."""

    code = "no_signing_key"

    def __init__(self) -> None:
        super().__init__("No signing key of this instance is in force; nothing happened, ask again.")


class RegistryBroken(Unavailable):
    """Registry of public keys that the ledger did not write; `rule` names the broken law of entry `seq`.

    Nothing is verified by such a registry, so nothing is called tampered because of it.
    """

    code = "key_registry_broken"

    def __init__(self, seq: int, rule: str) -> None:
        super().__init__("The registry of the ledger's keys failed its integrity check.", seq=seq, rule=rule)


class Contended(Unavailable):
    """Account changed by others until this operation's time was up; the operation had no effect."""

    code = "contended"

    def __init__(self, at: Millis) -> None:
        super().__init__(f"The account was too busy until {rfc3339(at)}; nothing happened, ask again.")
