"""Model with tools that answers from a script: for tests, and for trials without an upstream."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from shared.ai.agents.thinking import ThinkRequest, Thought
from shared.ai.tokens import Usage

Step: TypeAlias = Thought | Exception | Callable[[ThinkRequest], Thought]
DONE = Thought(text="Done.", usage=Usage(input_tokens=10, output_tokens=2))


@dataclass(slots=True)
class ScriptedThinkingModel:
    """Model with tools that plays `steps` in order, then repeats the last. `requests` records every request."""

    steps: Sequence[Step] = (DONE,)
    requests: list[ThinkRequest] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def think(self, request: ThinkRequest) -> Thought:
        """Return the next thought of the script, or raise its next error; see `ThinkingModel.think`."""
        with self.lock:
            step = self.steps[min(len(self.requests), len(self.steps) - 1)]
            self.requests.append(request)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Thought) else step(request)
