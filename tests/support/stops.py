"""Two instances over one store, and calls that end when they are told to stop."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from shared.sagas.chat.turn import ChatTurn
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.stop_calls import StopCalls
from tests.support.chat import World


@dataclass
class StopInstance:
    """One instance of a world: turns that run on it, and the use case that stops calls anywhere."""

    world: World
    turn: ChatTurn = field(init=False)
    calls: RunningCalls = field(init=False)
    stops: StopCalls = field(init=False)

    def __post_init__(self) -> None:
        services = self.world.instance(self.world.documents, reading_on=self.world.reading_on)
        self.calls, self.turn, self.stops = services.metering.running_calls, services.chat.turn, services.stop_calls

    def begun(self, conversation: Any, *, is_deaf: bool = False, **fields: Any) -> Generator[Any, None, None]:
        """A turn that has delivered its first piece. It ends where it stands when it is stopped, unless `is_deaf`."""
        request = self.world.request(conversation, **fields)
        events = self.turn.run(request)
        next(events)
        if not is_deaf:
            request.stop.when_given(events.close)
        return events
