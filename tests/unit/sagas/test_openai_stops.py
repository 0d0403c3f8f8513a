"""A stopped call through the OpenAI routes keeps what it answered, and tells what was used once that is known."""

import threading
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import pytest

from shared.ai.openai.answers import Answers
from shared.ai.openai.kept_responses import KeptResponses, ResponseNotFound
from shared.ai.openai.responses import Responses
from shared.ai.tokens import Usage
from shared.kernel.clock import SystemClock
from shared.kernel.ids import derived_id
from shared.platform.memory.passthrough import completion, response
from shared.sagas.metering import delivery
from shared.sagas.openai.call import Keeping, Piece
from tests.support.chat import ANN
from tests.support.openai import OpenAIBackend, answer_of
from tests.support.processes import wait_for

USED = Usage(input_tokens=12, output_tokens=300)
HEAD, ONE, *REST = completion(" one", " two", " three", usage=(USED.input_tokens, USED.output_tokens))
BEGUN = (HEAD, ONE)
COST = 100 * 12 + 200 * 300
SECONDS_MAX = 60


class HeldScript:
    """A script whose second part is played once `go` is set."""

    def __init__(self, begun, rest):
        self._begun, self._rest = begun, rest
        self.go = threading.Event()

    def __iter__(self):
        yield from self._begun
        self.go.wait(SECONDS_MAX)
        yield from self._rest


class HeldBackend(OpenAIBackend):
    """A backend whose provider has begun an answer and says more after `go`. Its user has credits."""

    def __init__(self, begun, rest, *, profile, path="/chat/completions"):
        super().__init__(path=path, profile=profile, clock=SystemClock(), ping_seconds=0.02)
        script = HeldScript(begun, rest)
        self.upstream.scripts = {path: [cast("Any", script)]}
        self.go = script.go.set
        self.world.user(10**9)


@pytest.fixture
def opened():
    """A function that makes a backend for a profile, whose provider has said one word when the call is stopped."""
    made = []

    def make(profile):
        made.append(HeldBackend(BEGUN, REST, profile=profile))
        return made[-1]

    yield make
    for backend in made:
        backend.go()


def stopped(backend, **fields):
    """A call that is stopped after its first word, before its provider says more; the name of its record."""
    request = replace(backend.request(**fields), request_id="r-1")
    events = backend.call.run(request)
    assert len(list(islice((event for event in events if isinstance(event, Piece)), len(BEGUN)))) == len(BEGUN)
    body = backend.world.ledger.bodies(ANN, 1, 100)[-1]
    request.stop.give()
    answered = answer_of(list(events))
    backend.go()
    return answered, derived_id("ans", body["tags"]["run"])


def kept(backend, answer_id):
    return Answers(backend.world.documents, backend.world.clock).get(ANN, answer_id)


def test_a_stopped_call_without_a_key_keeps_its_answer(opened):
    backend = opened("openai")

    answered, answer_id = stopped(backend)

    assert answered.answer["credits"]["ended_by"] == "stopped"
    assert kept(backend, answer_id).finish_reason == "stopped"
    assert kept(backend, answer_id).answer["choices"][0]["message"]["content"] == " one"
    assert backend.world.charges() == [answered.cost]


def test_a_call_that_ends_by_itself_without_a_key_keeps_nothing(opened):
    backend = opened("openai")
    backend.go()

    list(backend.run())

    assert backend.world.documents.fields.get("answers") is None


def test_a_settling_call_tells_later_what_was_used(opened):
    backend = opened("auto")

    answered, answer_id = stopped(backend)

    assert answered.answer["credits"]["status"] == "settling"
    wait_for(lambda: backend.world.charges() == [COST], seconds=30, what="the report was charged")
    stored = kept(backend, answer_id)
    assert (stored.usage, stored.is_estimated) == (USED, False)
    assert stored.answer["usage"]["completion_tokens"] == USED.output_tokens
    assert stored.answer["choices"][0]["message"]["content"] == " one"


def settled_response(is_deleted):
    """A stored response that was stopped and whose provider reports more usage later, once that is charged."""
    script = response("one", " two", usage=(USED.input_tokens, USED.output_tokens))
    backend = HeldBackend(script[:3], script[3:], path="/responses", profile="auto")
    keeping, dialect = Keeping(input=[{"role": "user", "content": "Hello?"}]), Responses(is_kept=True)
    request = replace(backend.request(dialect=dialect, input="Hello?"), request_id="r-1", keeping=keeping)
    events = backend.call.run(request)
    next(each for each in events if isinstance(each, Piece) and each.raw["type"].endswith(".delta"))
    request.stop.give()
    answered = answer_of(list(events))
    stored = KeptResponses(backend.world.documents, backend.world.clock)
    if is_deleted:
        stored.delete(ANN, str(answered.answer["id"]))
    backend.go()
    wait_for(lambda: len(backend.world.charges()) == 1, seconds=30, what="the report was charged")
    return backend, stored, str(answered.answer["id"])


def test_stored_response_tells_the_usage_that_is_reported_later():
    backend, stored, response_id = settled_response(is_deleted=False)

    usage = stored.get(ANN, response_id).answer["usage"]

    assert (usage["input_tokens"], usage["output_tokens"]) == (USED.input_tokens, USED.output_tokens)
    assert stored.get(ANN, response_id).answer["status"] == "incomplete"
    assert backend.world.charges() == [100 * USED.input_tokens + 200 * USED.output_tokens]


def test_deleted_response_stays_deleted_when_its_usage_is_reported_later():
    backend, stored, response_id = settled_response(is_deleted=True)

    with pytest.raises(ResponseNotFound):
        stored.get(ANN, response_id)
    assert backend.world.charges() == [100 * USED.input_tokens + 200 * USED.output_tokens]


def test_response_that_is_cut_by_its_time_is_stored_without_a_key(monkeypatch):
    monkeypatch.setattr(delivery, "TURN_SECONDS_MAX", 0.0)
    script = response("one", " two", usage=(USED.input_tokens, USED.output_tokens))
    backend = HeldBackend(script[:3], script[3:], path="/responses", profile="auto")
    keeping, dialect = Keeping(input=[{"role": "user", "content": "Hello?"}]), Responses(is_kept=True)
    request = replace(backend.request(dialect=dialect, input="Hello?"), keeping=keeping)

    answered = answer_of(list(backend.call.run(request)))
    backend.go()

    assert answered.answer["credits"]["status"] == "settling"
    stored = KeptResponses(backend.world.documents, backend.world.clock)
    assert stored.get(ANN, str(answered.answer["id"])).answer["status"] == "incomplete"


def test_the_same_key_answers_a_settled_call_with_its_cost(opened):
    backend = opened("auto")
    stopped(backend, key="k")
    wait_for(lambda: backend.world.charges() == [COST], seconds=30, what="the report was charged")

    again = backend.ask(key="k")

    assert (again.cost, again.answer["credits"]["ended_by"]) == (COST, "stopped")
    assert "status" not in again.answer["credits"]
