"""Parts that all metered calls of an instance share, in each protocol."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.models import ModelServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.ai.models.expectation import Expectation
    from shared.kernel.waiting import WaitingRoom
    from shared.sagas.metering.admission import Admission
    from shared.sagas.metering.claims import Turns
    from shared.sagas.metering.drain import Drain
    from shared.sagas.metering.parts import MeteringParts
    from shared.sagas.metering.reading_on import ReadingOn
    from shared.sagas.metering.running_calls import RunningCalls
    from shared.sagas.metering.stop_requests import StopRequests


@dataclass(eq=False)
class MeteringServices:
    """Parts that all metered calls of an instance share, in each protocol."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices
    models: ModelServices

    @part
    def waiting_room(self) -> "WaitingRoom":
        """Build the limit on waiting callers, one for the whole instance."""
        from shared.kernel.waiting import WaitingRoom

        return WaitingRoom(self.settings.threads)

    @part
    def stop_requests(self) -> "StopRequests":
        """Build the store of callers' requests to stop a call."""
        from shared.sagas.metering.stop_requests import StopRequests

        return StopRequests(self.ports.documents(), self.clock)

    @part
    def running_calls(self) -> "RunningCalls":
        """Build the list of calls that run on this instance."""
        from shared.kernel.watching import BrokenWatch, Watches
        from shared.sagas.metering.running_calls import RunningCalls
        from shared.sagas.metering.stop_news import StopNews

        documents = self.ports.documents()
        watches = documents if isinstance(documents, Watches) else BrokenWatch()
        return RunningCalls(self.clock, StopNews(watches, self.stop_requests, self.clock))

    @part
    def drain(self) -> "Drain":
        """Build the operators' switch that refuses new spending calls."""
        from shared.sagas.metering.drain import Drain

        return Drain(self.ports.documents(), self.clock, self.models.users.audit)

    @part
    def turns(self) -> "Turns":
        """Build the store of turns, which clients may ask for again."""
        from shared.sagas.metering.claims import Turns

        return Turns(self.ports.documents(), self.clock, self.waiting_room)

    @part
    def reading_on(self) -> "ReadingOn":
        """Build the room for answers that are read to the end without a waiting caller."""
        from shared.sagas.metering.reading_on import ReadingOn

        return ReadingOn()

    @part
    def expectation(self) -> "Expectation":
        """Build the memory of how long answers were, from which chat and the OpenAI routes both learn."""
        from shared.ai.models.expectation import Expectation

        return Expectation(self.ports.documents(), self.clock)

    @part
    def admission(self) -> "Admission":
        """Build the admission of calls, with one queue of waiting calls for the instance."""
        from shared.sagas.metering.admission import Admission
        from shared.sagas.metering.direct_charges import DirectCharges

        return Admission(
            self.credits.ledger,
            self.expectation,
            self.clock,
            self.models.upstream_profiles,
            self.waiting_room,
            DirectCharges(self.credits.ledger, self.credits.losses, self.clock),
        )

    @part
    def parts(self) -> "MeteringParts":
        """Build the record of the parts that every kind of metered turn takes."""
        from shared.sagas.metering.parts import MeteringParts

        return MeteringParts(
            ledger=self.credits.ledger,
            expectation=self.expectation,
            admission=self.admission,
            health=self.models.health,
            turns=self.turns,
            losses=self.credits.losses,
            reading_on=self.reading_on,
            profiles=self.models.upstream_profiles,
            documents=self.ports.documents(),
            clock=self.clock,
        )
