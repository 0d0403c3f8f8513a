"""Plays random answers through the adapter and the OpenAI routes' saga, and holds each to what is true of it."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import cycle
from random import Random
from typing import Any

import httpx2

from shared.ai.models.profiles import PROFILES
from shared.kernel.errors import DomainError
from shared.platform.openai.passthrough import OpenAIPassthrough
from shared.platform.openai.upstream import OpenAIUpstream
from shared.sagas.openai.call import CallEvent, OpenAIAnswer, Piece
from tests.streams.forms import Played, Truth, played
from tests.support.chat import ANN
from tests.support.openai import OpenAIBackend

INPUT, OUTPUT = 100, 200
"""What a token costs (µcr) of the model that is asked."""
CALLS_PER_WORLD = 100
LIMIT = 1_000


class Bytes(httpx2.SyncByteStream):
    """A body in pieces, which may break off."""

    def __init__(self, answer: Played) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.pieces
        if self._answer.is_broken:
            raise httpx2.ReadError("the connection broke off")


class Provider(httpx2.BaseTransport):
    """Answers every request with the answer that is set."""

    answer: Played

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `BaseTransport.handle_request`."""
        return httpx2.Response(200, stream=Bytes(self.answer))


class CannedUpstream(OpenAIUpstream):
    """An upstream whose provider is at hand."""

    def __init__(self, profile: str, provider: Provider) -> None:
        super().__init__(base_url="http://provider", api_key="", profile=PROFILES[profile])
        self._canned = httpx2.Client(transport=provider)

    def connected(self) -> httpx2.Client:
        """See `OpenAIUpstream.connected`."""
        return self._canned


class Stage:
    """A user with credits, asking models whose provider answers at random."""

    def __init__(self, profile: str) -> None:
        self.provider = Provider()
        self.backend = OpenAIBackend(profile=profile)
        self.backend.world.user(10**12)
        self.backend.upstream = OpenAIPassthrough(CannedUpstream(profile, self.provider))  # type: ignore[assignment]
        self.backend.call = self.backend.on(self.backend.world.documents)

    def play(self, random: Random, profile: str) -> str:
        """Play one answer. Return how it ended; raises AssertionError with the forms of one that ended wrongly."""
        is_streamed = random.random() < 0.5
        is_whole = not is_streamed and random.random() < 0.3
        self.provider.answer = answer = played(random, profile, is_whole=is_whole)
        before, events = self._left, list[CallEvent]()
        try:
            with redirect_stdout(io.StringIO()):
                limit = {"max_tokens": LIMIT} if is_whole else {}
                for event in self.backend.run(is_streamed=is_streamed, **limit):
                    events.append(event)
        except DomainError as failure:
            return self._judge_failure(answer, failure, before - self._left, events, is_streamed=is_streamed)
        return self._judge(answer, before - self._left, events, is_streamed=is_streamed)

    @property
    def _left(self) -> int:
        return self.backend.world.ledger.balance(ANN).available

    def _judge(self, answer: Played, cost: int, events: list[CallEvent], *, is_streamed: bool) -> str:
        truth, forms = answer.truth, answer.forms
        last = events[-1]
        assert isinstance(last, OpenAIAnswer), forms
        choice = last.answer["choices"][0]
        message = choice["message"]
        is_reported = len(answer.body) >= answer.reported_at
        assert (message.get("content") or "") == truth.text, (forms, message, truth)
        assert _called(message) == list(truth.calls), (forms, message, truth)
        if "has_finish" in forms:
            assert choice["finish_reason"] == truth.finish, (forms, choice, truth)
        if is_reported:
            usage = last.answer["usage"]
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (truth.prompt, truth.output), (forms, usage)
            assert cost == last.cost == price(truth), (forms, cost, truth)
        else:  # what is charged without a report is our count, and says so
            assert last.answer["credits"]["estimated"] or cost == price(truth), (forms, last.answer)
        if is_streamed:
            assert _heard(events)[0] == truth.text, (forms, events, truth)
            assert _heard(events)[1] == list(truth.calls), (forms, events, truth)
        return "answered"

    def _judge_failure(
        self, answer: Played, failure: DomainError, cost: int, events: list[CallEvent], *, is_streamed: bool
    ) -> str:
        assert answer.is_cut, (answer.forms, failure, answer.body)
        text, _ = _heard(events, is_over=False)
        assert answer.truth.text.startswith(text), (answer.forms, text)
        if not is_streamed or not events:
            assert cost == 0, (answer.forms, cost)
        return "failed"


def price(truth: Truth) -> int:
    """What the provider's bill comes to (µcr)."""
    return truth.prompt * INPUT + truth.output * OUTPUT


def _called(message: Any) -> list[tuple[str, Any]]:
    calls = message.get("tool_calls") or ()
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def _heard(events: list[CallEvent], *, is_over: bool = True) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls that a streaming client puts together."""
    texts, calls = list[str](), dict[int, list[str]]()
    for event in events:
        for choice in event.raw.get("choices", ()) if isinstance(event, Piece) else ():
            texts.append(choice["delta"].get("content") or "")
            for call in choice["delta"].get("tool_calls") or ():
                known = calls.setdefault(call["index"], ["", ""])
                known[0] += call.get("function", {}).get("name") or ""
                known[1] += call.get("function", {}).get("arguments") or ""
    told = [(name, json.loads(arguments)) for name, arguments in calls.values()] if is_over else []
    return "".join(texts), told


def play(seed: int, count: int) -> dict[str, int]:
    """Play so many answers over every profile, and count how they ended."""
    random, ends = Random(seed), dict[str, int]()
    profiles = cycle(sorted(PROFILES))
    for first in range(0, count, CALLS_PER_WORLD):
        profile = next(profiles)
        stage = Stage(profile)
        for _ in range(min(CALLS_PER_WORLD, count - first)):
            end = stage.play(random, profile)
            ends[end] = ends.get(end, 0) + 1
    return ends
