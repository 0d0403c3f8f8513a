"""Embeddings in OpenAI's protocol (`POST /embeddings`): priced by the input, answered whole.

Shapes: https://platform.openai.com/docs/api-reference/embeddings.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from shared.ai.models.catalogue import Kind, Model
from shared.ai.models.usage_report import UsageForm, read_usage
from shared.ai.openai.dialect import Demand
from shared.ai.openai.passthrough import Json
from shared.ai.ports import AnswerEnd, ChatEvent, PassedEvent, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.errors import InvalidValue

INPUTS_MAX = 2_048
AS_ONE = " a"
"""Stand-in for a token that was sent as a number: counts as one token and has more than one byte."""


class Embeddings:
    """See `Dialect`. The model generates nothing, so the ceiling covers only the input."""

    path = "/embeddings"
    kind: Kind = "embedding"

    def demand(self, body: Json) -> Demand:
        """See `Dialect.demand`. Tokens may be sent as numbers: each counts as one token, and no text
        has fewer bytes.
        """
        return Demand(texts=tuple(_texts(body.get("input"))), limit=0, is_apart=True)

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """See `Dialect.sent`. Embeddings are never streamed."""
        return {**body, "model": model.upstream_model}

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """See `AnswerReader.events`."""
        yield PassedEvent(raw)
        yield AnswerEnd("stop")
        told = raw.get("usage")
        if isinstance(told, Mapping) and (usage := read_usage({"completion_tokens": 0, **told})) is not None:
            yield UsageReport(Usage(input_tokens=usage.input_tokens, output_tokens=0))

    def reader(self, body: Json, form: UsageForm) -> Self:
        """See `Dialect.reader`. Each event is complete, so the reader has no state."""
        return self

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """See `AnswerReader.end`. The last event was complete, so nothing follows."""
        return iter(())

    def transcript(self, body: Json) -> "EmbeddingsTranscript":
        """See `Dialect.transcript`."""
        return EmbeddingsTranscript()

    def pieces(self, answer: Json) -> Iterator[Json]:
        """See `Dialect.pieces`. Embeddings are never streamed."""
        return iter(())

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """See `Dialect.tail`. Embeddings are never streamed."""
        return []


class EmbeddingsTranscript:
    """See `Transcript`."""

    told = 0

    def __init__(self) -> None:
        self._whole: Json = {}

    def take(self, raw: Json) -> Json | None:
        """See `Transcript.take`."""
        self._whole = raw
        return None

    def end(self, reason: str, counted: Usage | None) -> Json:
        """See `Transcript.end`."""
        if counted is None:
            return self._whole
        usage = {"prompt_tokens": counted.input_tokens, "total_tokens": counted.input_tokens}
        return {**self._whole, "usage": usage}


def _texts(given: Any) -> list[str]:
    """Return each input as a text with the same number of tokens. Raises InvalidValue."""
    inputs = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not 1 <= len(inputs) <= INPUTS_MAX:
        raise InvalidValue("input", f"must be 1 to {INPUTS_MAX} texts")
    texts = [AS_ONE * len(each) if _is_tokens(each) else each for each in inputs]
    if not all(isinstance(text, str) and text for text in texts):
        raise InvalidValue("input", "must be a text, a list of texts, or tokens as whole numbers")
    return texts


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int and token >= 0 for token in value)
