"""`auto`: a model is chosen and the answer says why; where its upstream fails at once, the next is asked."""

import pytest

from shared.ai.models.choice import NoModelFits
from shared.ai.models.preferences import PreferredModels
from shared.ai.ports import TextDelta, UpstreamRejected, UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.money import Micro
from shared.ledger.errors import InsufficientCredits
from shared.platform.memory.chat_model import says
from shared.sagas.chat.turn import Delta
from tests.support.chat import ANN, CHEAP, CREDIT, World, answer_of, end_of, text_of
from tests.support.faults import Crash, Dying
from tests.support.indexes import stored
from tests.unit.sagas.test_chat_idempotency import PAST_THE_LEASE
from tests.unit.sagas.test_chat_round_trips import Counted

USED = Usage(input_tokens=12, output_tokens=5)
ANSWER = says(" one", " two", usage=USED)
DOWN = (UpstreamUnavailable(),)
QUALITY: PreferredModels = {"quality": 1, "speed": 0, "price": 0}
COST_DEAR = 12 * 200 + 5 * 400


def world_of(*scripts, **more):
    """One in which `dear` is better than `cheap`, and Ann wants the best."""
    world = World(scripts=scripts, **more)
    dear = {**CHEAP, "input_usd_per_mtok": "2", "output_usd_per_mtok": "4", "quality": 9, "capabilities": ["tools"]}
    world.catalogue.put("dear", dear)
    world.preferences.put(ANN, {**QUALITY, "chat_model": "auto"})
    return world


def asked_models(world):
    return [request.model for request in world.upstream.requests]


def kinds(world):
    found = world.ledger.history(ANN, before=None, limit=100, kinds=frozenset({"hold", "release", "charge"})).items
    return [entry.kind for entry in reversed(found)]


def test_the_best_is_asked_and_the_answer_says_why():
    world = world_of(ANSWER)
    conversation = world.conversation(world.user())

    answer = world.ask(conversation)

    assert asked_models(world) == ["dear"]
    assert (answer.message.model, answer.cost) == ("dear", COST_DEAR)
    assert answer.message.model_reason == "9.0 of 10 points among 2 models; quality 9 × 1, speed 5 × 0, price 5.0 × 0"
    (message, _) = world.conversations.messages(ANN, conversation.id).items
    assert message == answer.message


def test_auto_may_be_said_by_the_request_the_conversation_the_user_or_the_setting():
    world = world_of(ANSWER)
    conversation = world.conversation(world.user(), model="auto")
    plain = world.conversation(ANN)
    world.ask(conversation)
    world.ask(plain)
    world.preferences.put(ANN, {**QUALITY, "chat_model": "cheap"})
    world.ask(plain, model="auto")
    world.ask(plain)

    assert asked_models(world) == ["dear", "dear", "dear", "cheap"]


def test_a_model_that_is_named_is_asked_and_no_other():
    world = world_of(DOWN)
    conversation = world.conversation(world.user())

    with pytest.raises(UpstreamUnavailable):
        world.ask(conversation, model="dear")

    assert asked_models(world) == ["dear"]
    assert world.spent(CREDIT) == 0


@pytest.mark.parametrize("key", ["", "k"])
@pytest.mark.parametrize(
    "failing",
    [DOWN, (UpstreamRejected(),), (UsageReport(USED), UpstreamUnavailable()), ()],
    ids=["not reached", "refused", "failed after it reported", "ended at once"],
)
def test_where_an_upstream_fails_before_the_first_token_the_next_is_asked_and_one_charged(failing, key):
    world = world_of(failing, ANSWER)
    conversation = world.conversation(world.user())

    events = list(world.turn.run(world.request(conversation, key=key)))

    answer = end_of(events)
    assert asked_models(world) == ["dear", "cheap"]
    assert (answer.message.model, text_of(events)) == ("cheap", " one two")
    assert answer.message.model_reason is not None
    assert answer.message.model_reason.endswith("; dear failed before")
    assert kinds(world) == ["hold", "release", "hold", "charge"]
    assert world.spent(CREDIT) == answer.cost == 12 * 100 + 5 * 200
    assert world.ledger.balance(ANN).held == 0


def test_the_same_key_has_the_same_answer_whoever_gave_it():
    world = world_of(DOWN, ANSWER)
    request = world.request(world.conversation(world.user()), key="k")

    first, second = answer_of(world.turn.run(request)), answer_of(world.turn.run(request))

    assert first.as_wire() == second.as_wire()
    assert len(world.charges()) == 1


def test_after_the_first_token_nobody_else_is_asked_and_what_came_is_charged():
    world = world_of((TextDelta(" one"), UpstreamUnavailable()), ANSWER)
    conversation = world.conversation(world.user())
    events = world.run(conversation)

    assert next(events) == Delta(" one")
    with pytest.raises(UpstreamUnavailable):
        next(events)

    assert asked_models(world) == ["dear"]
    assert len(world.charges()) == 1


def test_when_all_fail_it_costs_nothing_and_the_key_is_free_again():
    world = world_of(DOWN, DOWN, ANSWER)
    request = world.request(world.conversation(world.user()), key="k")

    with pytest.raises(UpstreamUnavailable):
        answer_of(world.turn.run(request))
    assert (asked_models(world), world.spent(CREDIT)) == (["dear", "cheap"], 0)

    assert answer_of(world.turn.run(request)).cost == world.spent(CREDIT) > 0


def test_no_more_than_three_are_asked():
    world = world_of(DOWN)
    for name in ("a", "b", "c"):
        world.catalogue.put(name, CHEAP)
    conversation = world.conversation(world.user())

    with pytest.raises(UpstreamUnavailable):
        world.ask(conversation)

    assert asked_models(world) == ["dear", "a", "b"]


def test_who_failed_just_now_is_not_asked_first():
    world = world_of(DOWN, ANSWER)
    conversation = world.conversation(world.user())
    world.ask(conversation)

    world.ask(conversation)

    assert asked_models(world) == ["dear", "cheap", "cheap"]
    world.clock.advance(60_000)
    world.ask(conversation)
    assert asked_models(world)[-1] == "dear"


def test_where_the_next_cannot_be_paid_for_the_failure_is_told():
    world = world_of(DOWN, ANSWER)
    world.preferences.put(ANN, {"quality": 0, "speed": 0, "price": 1, "chat_model": "auto"})
    conversation = world.conversation(world.user(20_000))

    with pytest.raises(UpstreamUnavailable) as failure:
        world.ask(conversation, max_output_tokens=40)

    assert isinstance(failure.value.__cause__, InsufficientCredits)
    assert asked_models(world) == ["cheap"]
    assert (world.spent(20_000), world.ledger.balance(ANN).held) == (0, 0)


def test_a_message_is_not_longer_than_what_the_user_wants_to_pay():
    world = world_of(ANSWER)
    world.preferences.put(ANN, {**QUALITY, "chat_model": "auto", "max_cost_per_message": 12_000})
    conversation = world.conversation(world.user())

    world.ask(conversation)

    (request,) = world.upstream.requests
    assert request.model == "cheap"
    assert request.max_output_tokens == (12_000 - 9 * 100) // 200


def test_when_no_model_fits_nothing_is_held():
    world = world_of(ANSWER)
    world.preferences.put(ANN, {"chat_model": "auto", "max_cost_per_message": 1})
    conversation = world.conversation(world.user())

    with pytest.raises(NoModelFits) as refusal:
        world.ask(conversation)

    assert refusal.value.params == {"too_expensive": 2}
    assert kinds(world) == []


def test_an_estimate_is_for_the_model_that_would_be_asked():
    world = world_of(ANSWER)

    estimate = world.turn.estimate(ANN, content="Hello?")

    assert estimate.model == "dear"
    assert estimate.model_reason is not None


@pytest.mark.parametrize(("at", "when"), [(at, when) for at in range(1, 8) for when in ("before", "after")])
@pytest.mark.parametrize("minutes", [0, 16])
def test_a_crash_anywhere_between_two_models_is_made_good_and_charged_once(at, when, minutes):
    world = world_of(DOWN, ANSWER)
    request = world.request(world.conversation(world.user()), key="k")
    with pytest.raises(Crash):
        list(world.on(Dying(world.documents, at=at, when=when)).run(request))

    world.clock.advance(max(PAST_THE_LEASE, minutes * 60_000))
    world.ledger.expire_due(ANN)
    answer = answer_of(world.on(world.documents).run(request))

    assert answer.message.content == " one two"
    assert world.spent(CREDIT) == answer.cost
    assert world.ledger.balance(ANN).held == 0
    assert answer_of(world.turn.run(request)) == answer
    assert world.ledger.verify(ANN) == []
    assert answer.cost <= Micro(COST_DEAR)


def test_however_many_models_there_are_a_choice_reads_no_more_of_them():
    world = world_of(ANSWER, documents=Counted(stored()))
    for number in range(20):
        world.catalogue.put(f"other{number}", {**CHEAP, "quality": 1})
    conversation = world.conversation(world.user())
    world.ask(conversation)
    world.clock.advance(120_000)
    world.catalogue.enabled()
    world.documents.calls.clear()

    world.ask(conversation)

    assert world.documents.calls["get", "expectations"] <= 1
