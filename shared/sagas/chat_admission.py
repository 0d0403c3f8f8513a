"""Admission of a turn: the hold that it begins with, and how long it waits for others to give theirs back.

Who waits here holds nothing, so nobody starves anybody: many that each hold a little of what all need would end with
none complete.
"""

from shared.ai.expectation import Expectation
from shared.ai.profiles import UpstreamProfiles
from shared.kernel.clock import Clock
from shared.kernel.ids import OperationId
from shared.kernel.money import Micro
from shared.kernel.waiting import WaitingRoom
from shared.ledger.commands import Tags
from shared.ledger.errors import BudgetExceeded, InsufficientCredits
from shared.ledger.holding import Holding
from shared.ledger.ledger import Ledger
from shared.sagas.metered import Metered, expecting_anew

PATIENCE_SECONDS = 5.0
PAUSE_SECONDS = 0.1


class Admission:
    """Places the holds of turns."""

    def __init__(
        self,
        ledger: Ledger,
        expectation: Expectation,
        clock: Clock,
        profiles: UpstreamProfiles,
        room: WaitingRoom | None = None,
    ) -> None:
        self._ledger = ledger
        self._expectation = expectation
        self._clock = clock
        self._profiles = profiles
        self._room = room or WaitingRoom()

    def holding(self, plan: Metered, operation: OperationId, names: Tags = (), about: Tags = ()) -> Holding:
        """The hold of this turn. Raises InsufficientCredits and the ledger's other refusals.

        The entry that places the hold carries `names`, so that the call is found while it runs.
        The hold's entries tell `about`.
        With a ceiling there is nothing to wait for: it is there, or it is not. Without, a refusal is told once the
        other holds of the account are gone, or could not help, or have been waited for.
        """
        try:
            return self._placed(plan, operation, names, about, plan.cautious_hold)
        except (InsufficientCredits, BudgetExceeded) as refusal:
            if plan.is_held_whole:
                raise
            with self._room.place(plan.request.uid) as has_place:
                if has_place and _may_help(refusal, plan):
                    return self._patiently_placed(plan, operation, names, about)
        return self._placed(plan, operation, names, about, plan.hold)

    def _patiently_placed(self, plan: Metered, operation: OperationId, names: Tags, about: Tags) -> Holding:
        """Ask again and again, each time for what is expected by then."""
        deadline = self._clock.monotonic() + PATIENCE_SECONDS
        while self._clock.monotonic() < deadline:
            self._clock.wait(PAUSE_SECONDS)
            plan = expecting_anew(self._expectation, plan)
            try:
                return self._placed(plan, operation, names, about, plan.cautious_hold)
            except (InsufficientCredits, BudgetExceeded) as refusal:
                if not _may_help(refusal, plan):
                    break
        return self._placed(plan, operation, names, about, plan.hold)

    def _placed(self, plan: Metered, operation: OperationId, names: Tags, about: Tags, amount: Micro) -> Holding:
        request = plan.request
        return self._ledger.holding(
            request.uid,
            amount,
            operation=operation,
            purpose=plan.purpose,
            expected_step=plan.step,
            principal=request.principal,
            call=plan.call(is_billed_to_its_end=self._is_billed_to_its_end(plan)),
            budgets=request.budgets,
            tags=(("model", plan.model.id), *names),
            about=about,
        )

    def _is_billed_to_its_end(self, plan: Metered) -> bool:
        """Return True unless ending the call ends its bill, and what it used until then is seen."""
        is_seen = plan.choices == 1 and plan.prompt.is_input_counted
        return not (is_seen and self._profiles.of(plan.model.upstream).abort_ends_billing)


def _may_help(refusal: InsufficientCredits | BudgetExceeded, plan: Metered) -> bool:
    """Whether what others hold, of the balance or of the cap, once it is given back, may be enough for this turn."""
    told = {name: int(value) for name, value in refusal.params.items() if name in refusal.amounts}
    within = (
        told["available"] + told["held"] if isinstance(refusal, InsufficientCredits) else told["limit"] - told["used"]
    )
    needed = told["required"] - (plan.cautious_hold - plan.hold)
    return told["held"] > 0 and within >= needed
