"""Embeddings in OpenAI's protocol (`POST /embeddings`): priced by the input, answered whole.

Shapes: https://platform.openai.com/docs/api-reference/embeddings.
"""

import struct
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.ai.models.catalogue import Kind, Model
from shared.ai.models.usage_report import UsageForm, usage_in
from shared.ai.openai.dialect import Demand
from shared.ai.openai.ends import failure_in
from shared.ai.openai.passthrough import Json
from shared.ai.ports import AnswerEnd, ChatEvent, PassedEvent, UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.errors import InvalidValue

INPUTS_MAX = 2_048
BASE64 = "base64"
AS_ONE = " a"
"""Stand-in for a token that was sent as a number: counts as one token and has more than one byte."""


class Embeddings:
    """Dialect of `POST /embeddings`; see `Dialect`.

    The model generates nothing, so the ceiling covers only the input.
    """

    path = "/embeddings"
    kind: Kind = "embedding"

    def demand(self, body: Json) -> Demand:
        """Return the measure of a body; see `Dialect.demand`.

        Tokens may be sent as numbers: each counts as one token, and no text has fewer bytes.
        """
        return Demand(texts=tuple(_texts(body.get("input"))), limit=0, is_apart=True)

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """Return the body for the upstream: the upstream's model name, and an output of at most `output_cap` tokens.

        Embeddings are never streamed. See `Dialect.sent`.
        """
        return {**body, "model": model.upstream_model}

    def reader(self, body: Json, form: UsageForm) -> "EmbeddingsReader":
        """Return a reader of the answer to `body`; see `Dialect.reader`."""
        return EmbeddingsReader(body, form)

    def transcript(self, body: Json) -> "EmbeddingsTranscript":
        """Return an empty transcript of the answer to `body`; see `Dialect.transcript`."""
        return EmbeddingsTranscript()

    def pieces(self, answer: Json) -> Iterator[Json]:
        """Yield a whole answer as the objects of a stream, without the end; see `Dialect.pieces`.

        Embeddings are never streamed.
        """
        return iter(())

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """Return the last objects of the stream, after `told` objects; see `Dialect.tail`.

        Embeddings are never streamed.
        """
        return []


class EmbeddingsReader:
    """Translator of the one object with embeddings into events; see `AnswerReader`.

    The object is returned in OpenAI's published shape.
    """

    def __init__(self, body: Json, form: UsageForm) -> None:
        self._body = body
        self._form = form

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """Yield the events of one object of the answer; see `AnswerReader.events`.

        Raises UpstreamUnavailable for an answer without embeddings.
        """
        if (failure := failure_in(raw, is_first=True)) is not None:
            raise failure
        usage = self._reported(raw)
        yield PassedEvent(self._published(raw, usage))
        yield AnswerEnd("stop")
        if usage is not None:
            yield UsageReport(usage)

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """Yield the events of the end of the answer; see `AnswerReader.end`.

        The object was complete, so nothing follows.
        """
        return iter(())

    def _reported(self, raw: Json) -> Usage | None:
        """Return the reported input; None if there is no report. Some providers report no output at all."""
        told = raw.get("usage")
        report = {"usage": {"completion_tokens": 0, **told}} if isinstance(told, Mapping) else raw
        usage = usage_in(report, self._form)
        return None if usage is None else Usage(input_tokens=usage.input_tokens, output_tokens=0)

    def _published(self, raw: Json, usage: Usage | None) -> Json:
        data = raw.get("data")
        if not isinstance(data, list):
            raise UpstreamUnavailable(has_begun=True)
        told = raw["usage"] if isinstance(raw.get("usage"), Mapping) else {}
        counted = {} if usage is None else {"usage": {**told, **_told(usage)}}
        listed = [self._embedding(at, each) for at, each in enumerate(data)]
        beside = {name: value for name, value in raw.items() if name != "usage"}
        model = raw.get("model")
        named = model if isinstance(model, str) and model else str(self._body.get("model") or "")
        return {**beside, "object": "list", "data": listed, "model": named, **counted}

    def _embedding(self, at: int, told: object) -> Json:
        """Return one embedding, in the form that the request names. Raises UpstreamUnavailable if there is none."""
        beside: Json = told if isinstance(told, Mapping) else {"embedding": told}
        vector, index = beside.get("embedding"), beside.get("index")
        if isinstance(vector, str) and self._body.get("encoding_format") != BASE64:
            vector = _numbers(vector)
        if not isinstance(vector, str) and not (isinstance(vector, list) and all(map(_is_number, vector))):
            raise UpstreamUnavailable(has_begun=True)
        place = index if isinstance(index, int) and not isinstance(index, bool) else at
        return {**beside, "object": "embedding", "index": place, "embedding": vector}


class EmbeddingsTranscript:
    """Transcript of an answer with embeddings; see `Transcript`."""

    told = 0

    def __init__(self) -> None:
        self._whole: Json = {}

    def take(self, raw: Json) -> Json | None:
        """Add a delivered object, and return the object for the client; see `Transcript.take`.

        None if the client gets nothing.
        """
        self._whole = raw
        return None

    def end(self, reason: str, counted: Usage | None) -> Json:
        """Return the whole answer; see `Transcript.end`."""
        return self._whole if counted is None else {**self._whole, "usage": _told(counted)}


def _told(usage: Usage) -> Json:
    return {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}


def _numbers(packed: str) -> list[float] | None:
    """Return the numbers of an embedding in base64 (little-endian 32-bit floats); None if there are no such numbers."""
    try:
        content = b64decode(packed, validate=True)
        return [number for (number,) in struct.iter_unpack("<f", content)]
    except (ValueError, struct.error):
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
