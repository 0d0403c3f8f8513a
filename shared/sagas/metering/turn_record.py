"""Stored record of a turn, and the writes that end a turn: `turns/{operation}`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, cast

from shared.kernel.clock import Millis
from shared.kernel.documents import Data, Document, Patch, Version, Write
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.holding import HoldCharge

Status = Literal["running", "appended", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReceipt:
    """Receipt of a finished turn, sent to the caller beside the message: amounts in µcr.

    `at_most`: the most that the turn will cost, if the provider has not reported yet; None once the cost is settled.
    """

    cost: Micro
    available: int
    held: int
    at_most: Micro | None = None

    @classmethod
    def of(cls, charge: HoldCharge, paid_before: Micro) -> Self:
        """Return the receipt of a turn that took `charge` now, and `paid_before` (µcr) in crashed attempts."""
        return cls(cost=Micro(charge.amount + paid_before), available=charge.available, held=charge.held)

    @property
    def fields(self) -> Data:
        """The fields of a turn that is done."""
        return {"status": "done", "cost": self.cost, "available": self.available, "held": self.held}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Bound (µcr) of the cost of a stored answer whose provider has not reported.

    The wait for the report ends at `until`.
    """

    at_most: Micro
    until: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAnswer:
    """Answer of a turn, ready to be stored: the writes of the record and the record's id.

    `charge`: the amount to capture. `paid_before`: the cost of earlier attempts. Both in µcr. `pending`: the wait for
    the provider's report; None if the charge is final.
    """

    message_id: str
    writes: Sequence[Write]
    charge: Micro
    paid_before: Micro
    pending: Pending | None = None

    @property
    def fields(self) -> Data:
        """The fields of a turn that has this answer, apart from the status."""
        waited = {} if self.pending is None else {"at_most": self.pending.at_most, "settles_by": self.pending.until}
        return {"message_id": self.message_id, "charge": self.charge, "paid_before": self.paid_before, **waited}


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalCommit:
    """Commit that charges an answer and ends the turn. Builds the writes from the ledger's result.

    `path` and `version`: the turn as the claim last saw the turn; a path of None for a turn that is not stored.
    """

    answer: TurnAnswer
    path: str | None
    version: Version

    def writes(self, charge: HoldCharge) -> Sequence[Write]:
        """Build the writes that join the charge: the result of the turn, then the record of the answer."""
        if self.path is None:
            return self.answer.writes
        receipt = TurnReceipt.of(charge, self.answer.paid_before)
        return [Patch(self.path, {**self.answer.fields, **receipt.fields}, self.version), *self.answer.writes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Record of a turn as stored. `runs` are the attempts at the turn, the current attempt last.

    Once appended, `charge` is the amount to capture, and `paid_before` is the cost of earlier attempts, both in µcr.
    `pending` bounds the cost while the attempt that appended waits for the report; None without such a wait.
    """

    operation: OperationId
    uid: Uid
    conversation_id: str
    fingerprint: str
    holder: str
    runs: tuple[str, ...]
    status: Status
    lease_until: Millis
    charge: Micro
    paid_before: Micro
    message_id: str | None
    settled: TurnReceipt | None
    pending: Pending | None = None

    def is_settling(self, now: Millis) -> bool:
        """Return True if the attempt that appended may still charge the usage that the provider reports."""
        return self.status == "appended" and self.pending is not None and self.pending.until > now


def turn_of(document: Document) -> Turn:
    """Return the turn in this document. Fields that only a finished or pending turn has are None or 0 before."""
    # Written by us alone: every field is there and of its type.
    data, counts = cast("Mapping[str, str]", document.data), cast("Mapping[str, int]", document.data)
    is_done = data["status"] == "done"
    return Turn(
        operation=OperationId(document.id),
        uid=Uid(data["uid"]),
        conversation_id=data["conversation_id"],
        fingerprint=data["fingerprint"],
        holder=data["holder"],
        runs=tuple(cast("Sequence[str]", document.data["runs"])),
        status=cast("Status", data["status"]),
        lease_until=counts["lease_until"],
        message_id=data.get("message_id"),
        charge=Micro(counts.get("charge", 0)),
        paid_before=Micro(counts.get("paid_before", 0)),
        settled=TurnReceipt(cost=Micro(counts["cost"]), available=counts["available"], held=counts["held"])
        if is_done
        else None,
        pending=Pending(at_most=Micro(counts["at_most"]), until=counts["settles_by"]) if "at_most" in counts else None,
    )
