"""One attempt at a metered turn: the planned turn, the growing reply, the hold, and the right to finish the turn."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import StillRunning
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.ledger.holding import Holding
from shared.sagas.metering.claims import Claim
from shared.sagas.metering.direct_charges import DirectCharge
from shared.sagas.metering.plan import MeteredPlan
from shared.sagas.metering.reply import GrowingReply
from shared.sagas.metering.turn_kind import PlannedTurn

EventT = TypeVar("EventT")
CallCredits: TypeAlias = Holding | DirectCharge
"""Credits of a call: a hold that grows with the answer, or one charge when the answer is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Generic[EventT]):
    """One attempt at a turn.

    `paid_before`: the cost of crashed attempts (µcr), which is not charged again. `output_cap`: the most output
    tokens that the provider may generate. `is_whole`: the answer comes in one piece. `unowed` ends the hold, and
    `owned` the claim. Both are emptied when another thread takes over.
    """

    turn: PlannedTurn[EventT]
    reply: GrowingReply
    hold: CallCredits
    claim: Claim
    paid_before: Micro
    output_cap: int
    is_whole: bool
    unowed: ExitStack
    owned: ExitStack

    @property
    def plan(self) -> MeteredPlan:
        """The plan of the turn."""
        return self.turn.plan

    @property
    def uid(self) -> Uid:
        """The user who pays for the turn."""
        return self.plan.request.uid

    @property
    def unpaid(self) -> Micro:
        """The cost of the reply (µcr) that crashed attempts have not paid yet."""
        return Micro(max(0, self.reply.cost - self.paid_before))

    @property
    def bound(self) -> Micro:
        """The most that the call can have cost (µcr)."""
        return self.plan.bound(self.output_cap)

    @property
    def is_short_of_credits(self) -> bool:
        """True if the balance limits the answer more than the request does."""
        return self.output_cap < self.plan.prompt.output_at_most

    @contextmanager
    def owing(self) -> Iterator[None]:
        """Keep the hold open after the block, unless the block certainly stored no record.

        The hold is then charged by this attempt, by another attempt, or by expiry.
        """
        try:
            yield
        except (StillRunning, PreconditionFailed):
            raise
        except BaseException:
            self.unowed.pop_all()
            raise
        self.unowed.pop_all()
