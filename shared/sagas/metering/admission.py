"""Admission of a turn: place the turn's first hold, or wait until other turns release their holds.

A waiting turn holds no credits. If waiting turns held part of the credits that they need, they could block each other
and none would finish.
"""

from shared.ai.models.expectation import Expectation
from shared.ai.models.profiles import UpstreamProfiles
from shared.kernel.clock import Clock
from shared.kernel.ids import OperationId
from shared.kernel.money import Micro
from shared.kernel.waiting import WaitingRoom
from shared.ledger.commands import Tags
from shared.ledger.errors import BudgetExceeded, InsufficientCredits
from shared.ledger.holding import Holding
from shared.ledger.ledger import Ledger
from shared.sagas.metering.direct_charges import DirectCharge, DirectCharges
from shared.sagas.metering.plan import MeteredPlan, expecting_anew

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
        direct: DirectCharges | None = None,
    ) -> None:
        """Make an admission. Without `direct`, every call holds credits."""
        self._ledger = ledger
        self._expectation = expectation
        self._clock = clock
        self._profiles = profiles
        self._room = room or WaitingRoom()
        self._direct = direct

    def admitted(
        self, plan: MeteredPlan, operation: OperationId, names: Tags = (), about: Tags = ()
    ) -> Holding | DirectCharge:
        """Admit this turn: without a hold if the call is cheap for this user, else with a hold. See `holding`."""
        direct = None if self._direct is None else self._direct.begin(plan, operation, names, about)
        return direct or self.holding(plan, operation, names, about)

    def holding(self, plan: MeteredPlan, operation: OperationId, names: Tags = (), about: Tags = ()) -> Holding:
        """Place the hold of this turn. Raises InsufficientCredits and the ledger's other refusals.

        The entry that places the hold has the tags `names`, so that the call is found while the call runs. The hold's
        entries have the tags `about`.

        If the plan is held whole, a refusal is raised at once. Otherwise the turn waits for the account's other holds.
        The refusal is raised once these holds have ended, could not help, or have taken too long.
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

    def _patiently_placed(self, plan: MeteredPlan, operation: OperationId, names: Tags, about: Tags) -> Holding:
        """Try again until the deadline, each time with a new forecast."""
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

    def _placed(self, plan: MeteredPlan, operation: OperationId, names: Tags, about: Tags, amount: Micro) -> Holding:
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
            record="kept" if request.has_key else "none",
        )

    def _is_billed_to_its_end(self, plan: MeteredPlan) -> bool:
        """Return True if the provider may bill more than we can see when we end the call.

        False if an abort ends the bill at this upstream and we can count the usage up to the abort.
        """
        is_seen = plan.choices == 1 and plan.prompt.is_input_counted
        return not (is_seen and self._profiles.of(plan.model.upstream).abort_ends_billing)


def _may_help(refusal: InsufficientCredits | BudgetExceeded, plan: MeteredPlan) -> bool:
    """Return True if the turn may fit once other holds on the balance or on the cap are released."""
    told = {name: int(value) for name, value in refusal.params.items() if name in refusal.amounts}
    within = (
        told["available"] + told["held"] if isinstance(refusal, InsufficientCredits) else told["limit"] - told["used"]
    )
    needed = told["required"] - (plan.cautious_hold - plan.hold)
    return told["held"] > 0 and within >= needed
