"""A stopped call through the OpenAI routes keeps what it answered, and tells what was used once that is known."""

from dataclasses import replace
from itertools import islice

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
PAUSE_SECONDS = 0.3


def opened(profile):
    """A backend whose provider has said one word when it is stopped, and says more later."""
    backend = OpenAIBackend(*BEGUN, PAUSE_SECONDS, *REST, profile=profile, clock=SystemClock())
    backend.world.user(10**9)
    return backend


def stopped(backend, **fields):
    """A call that is stopped after its first word; the names of its record."""
    request = replace(backend.request(**fields), request_id="r-1")
    events = backend.call.run(request)
    assert len(list(islice((event for event in events if isinstance(event, Piece)), len(BEGUN)))) == len(BEGUN)
    body = backend.world.ledger.bodies(ANN, 1, 100)[-1]
    request.stop.give()
    return answer_of(list(events)), derived_id("ans", body["tags"]["run"])


def kept(backend, answer_id):
    return Answers(backend.world.documents, backend.world.clock).get(ANN, answer_id)


def test_a_stopped_call_without_a_key_keeps_its_answer():
    backend = opened("openai")

    answered, answer_id = stopped(backend)

    assert answered.answer["credits"]["ended_by"] == "stopped"
    assert kept(backend, answer_id).finish_reason == "stopped"
    assert kept(backend, answer_id).answer["choices"][0]["message"]["content"] == " one"
    assert backend.world.charges() == [answered.cost]


def test_a_call_that_ends_by_itself_without_a_key_keeps_nothing():
    backend = opened("openai")

    list(backend.run())

    assert backend.world.documents.fields.get("answers") is None


def test_a_settling_call_tells_later_what_was_used():
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
    backend = OpenAIBackend(
        *script[:3], PAUSE_SECONDS, *script[3:], path="/responses", profile="auto", clock=SystemClock()
    )
    backend.world.user(10**9)
    keeping, dialect = Keeping(input=[{"role": "user", "content": "Hello?"}]), Responses(is_kept=True)
    request = replace(backend.request(dialect=dialect, input="Hello?"), request_id="r-1", keeping=keeping)
    events = backend.call.run(request)
    next(each for each in events if isinstance(each, Piece) and each.raw["type"].endswith(".delta"))
    request.stop.give()
    answered = answer_of(list(events))
    stored = KeptResponses(backend.world.documents, backend.world.clock)
    if is_deleted:
        stored.delete(ANN, str(answered.answer["id"]))
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
    backend = OpenAIBackend(
        *script[:3], PAUSE_SECONDS, *script[3:], path="/responses", profile="auto", clock=SystemClock()
    )
    backend.world.user(10**9)
    keeping, dialect = Keeping(input=[{"role": "user", "content": "Hello?"}]), Responses(is_kept=True)
    request = replace(backend.request(dialect=dialect, input="Hello?"), keeping=keeping)

    answered = answer_of(list(backend.call.run(request)))

    assert answered.answer["credits"]["status"] == "settling"
    stored = KeptResponses(backend.world.documents, backend.world.clock)
    assert stored.get(ANN, str(answered.answer["id"])).answer["status"] == "incomplete"


def test_the_same_key_answers_a_settled_call_with_its_cost():
    backend = opened("auto")
    stopped(backend, key="k")
    wait_for(lambda: backend.world.charges() == [COST], seconds=30, what="the report was charged")

    again = backend.ask(key="k")

    assert (again.cost, again.answer["credits"]["ended_by"]) == (COST, "stopped")
    assert "status" not in again.answer["credits"]
