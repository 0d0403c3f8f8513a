"""Calls in OpenAI's protocol over the memory adapters: what `tests.support.chat` is for conversations."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.dialect import Dialect
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.documents import Documents
from shared.kernel.ids import OperationId, Uid, fingerprint, new_id, operation_id
from shared.platform.memory.passthrough import ScriptedPassthrough
from shared.sagas.openai.call import CallEvent, OpenAIAnswer, OpenAICall, OpenAIRequest
from tests.support.adapters import replace_adapters
from tests.support.chat import ANN, World

QUESTION = [{"role": "user", "content": "Hello?"}]


class OpenAIBackend:
    """A world, its upstream, and calls through it."""

    def __init__(self, *script: Any, path: str = "/chat/completions", **world: Any) -> None:
        self.world = World(**world)
        self.upstream = ScriptedPassthrough(scripts={path: [list(script)]} if script else {})
        self.call = self.on(self.world.documents)

    def on(self, documents: Documents) -> OpenAICall:
        """The saga of an instance that sees the store through `documents`."""
        services = self.world.instance(documents, reading_on=self.world.reading_on)
        replace_adapters(services, passthroughs=Passthroughs({DEFAULT_UPSTREAM: self.upstream}))
        return services.openai.call

    def request(
        self, *, key: str = "", uid: Uid = ANN, dialect: Dialect | None = None, is_streamed: bool = True, **body: Any
    ) -> OpenAIRequest:
        """What the HTTP edge would make of a body."""
        sent: Mapping[str, Any] = {"messages": QUESTION, **body}
        return OpenAIRequest(
            uid=uid,
            operation=operation_id("test", uid, key) if key else OperationId(new_id("op")),
            fingerprint=fingerprint(repr(sent)),
            has_key=bool(key),
            is_streamed=is_streamed,
            dialect=dialect or ChatCompletions(),
            model="cheap",
            body=sent,
        )

    def run(self, **fields: Any) -> Generator[CallEvent, None, None]:
        """A call, not started yet."""
        return self.call.run(self.request(**fields))

    def ask(self, **fields: Any) -> OpenAIAnswer:
        """A call to its end."""
        return answer_of(list(self.run(**fields)))


def answer_of(events: Sequence[CallEvent]) -> OpenAIAnswer:
    """The answer that the last event tells."""
    assert isinstance(events[-1], OpenAIAnswer), "a call ends with its answer"
    return events[-1]


def content_of(answered: OpenAIAnswer) -> str:
    """What the first choice says."""
    return str(answered.answer["choices"][0]["message"].get("content"))
