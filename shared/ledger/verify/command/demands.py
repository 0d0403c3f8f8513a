"""Demands of the caller of a verification."""

from dataclasses import dataclass

from shared.kernel.clock import Millis
from shared.ledger.verify.command.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDemand:
    """Demands on each file: the trust, the mode, and whose the accounts must be. None and () stand for any.

    `now` (ms) tells which archived holds may have been deleted.
    """

    trust: Trust
    now: Millis
    is_full: bool = False
    is_policy_required: bool = False
    ledger: str | None = None
    uids: tuple[str, ...] = ()
