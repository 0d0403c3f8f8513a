"""Long-running operations: they are done after some polls or some time, and only then have an effect."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.stand_ins.google.errors import GoogleRefusal, not_found
from emulator.stand_ins.wire import Json

POLLS = 2
SECONDS_MAX = 3.0
_numbers = itertools.count(1)


@dataclass(slots=True, kw_only=True)
class Operation:
    """Work under way. `act` is the effect, which returns the response or raises a GoogleRefusal."""

    name: str
    act: Callable[[], Json]
    metadata: Json
    due_at: float
    polls_left: int = POLLS
    response: Json | None = None
    error: Json | None = None

    @property
    def is_done(self) -> bool:
        return self.response is not None or self.error is not None

    def finish(self) -> None:
        """Have the effect, once."""
        if self.is_done:
            return
        try:
            self.response = self.act()
        except GoogleRefusal as refusal:
            self.error = refusal.as_status()

    def as_json(self) -> Json:
        told: Json = {"name": self.name, "metadata": self.metadata}
        if self.is_done:
            told["done"] = True
        if self.response is not None:
            told["response"] = self.response
        if self.error is not None:
            told["error"] = self.error
        return told


@dataclass(slots=True)
class Operations:
    """Operations of one project. `polls` and `seconds_max` hold for operations that begin from now on."""

    polls: int = POLLS
    seconds_max: float = SECONDS_MAX
    _all: dict[str, Operation] = field(default_factory=dict)

    def begin(
        self,
        parent: str,
        kind: str,
        act: Callable[[], Json],
        *,
        metadata: Json | None = None,
        polls: int | None = None,
    ) -> Json:
        """Begin an operation below `parent`, e.g. `projects/p/locations/l`, and return the first form.

        kind: the metadata's type name in full, e.g. `google.cloud.functions.v2.OperationMetadata`. polls: the number
        of polls until this operation is done; None takes that of all operations.
        """
        prefix = f"{parent}/operations/" if parent else "operations/"
        operation = Operation(
            name=f"{prefix}operation-{next(_numbers)}",
            act=act,
            metadata={"@type": f"type.googleapis.com/{kind}", **(metadata or {})},
            due_at=time.monotonic() + self.seconds_max,
            polls_left=self.polls if polls is None else polls,
        )
        self._all[operation.name] = operation
        if operation.polls_left == 0:
            operation.finish()
        return operation.as_json()

    def poll(self, name: str) -> Json:
        operation = self._all.get(name)
        if operation is None:
            raise not_found(f"Operation {name} not found.")
        operation.polls_left -= 1
        if operation.polls_left < 0:
            operation.finish()
        return operation.as_json()

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def settle(self) -> None:
        """Finish what nobody polled in time."""
        now = time.monotonic()
        for operation in list(self._all.values()):
            if not operation.is_done and now >= operation.due_at:
                operation.finish()

    def finish_all(self) -> None:
        for operation in list(self._all.values()):
            operation.finish()

    def under(self, prefix: str) -> list[Json]:
        return [each.as_json() for name, each in self._all.items() if name.startswith(prefix)]
