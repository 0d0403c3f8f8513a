"""What a turn says and costs, on the real ledger in memory."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.models.catalogue import ModelNotFound, ModelUnpriced
from shared.ai.models.prompt import ContextTooLong
from shared.ai.models.tariff import Tariff
from shared.ai.ports import AnswerEnd, HiddenDelta, TextDelta, UpstreamRejected, UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage, expected_tokens, prompt_expected
from shared.kernel.documents import Put
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import format_credits
from shared.ledger.commands import Freeze
from shared.ledger.errors import AccountFrozen, InsufficientCredits
from shared.platform.memory.chat_model import says
from shared.sagas.chat.turn import Delta, Ping, TurnEnded, TurnEvent
from tests.support.chat import ANN, CHEAP, CREDIT, World, answer_of, cautious, end_of, text_of

WORDS = [" one", " two", " three", " four", " five"]
INPUT = prompt_expected(["Hello?"])
"""What the prompt of a first message is expected to be."""


def usage(input_tokens, output_tokens):
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)


def price(tokens_in, tokens_out):
    return 100 * tokens_in + 200 * tokens_out


def counted(words):
    return expected_tokens("".join(words))


@pytest.fixture
def world():
    return World(scripts=[says(*WORDS, usage=usage(12, 5))])


# What a turn answers ---------------------------------------------------------------------------------------------


def test_a_turn_streams_the_answer_and_ends_with_what_it_cost(world):
    conversation = world.conversation(world.user())

    events = list(world.run(conversation))

    assert events[:-1] == [Delta(word) for word in WORDS]
    done = events[-1]
    assert isinstance(done, TurnEnded)
    wire = done.answer.as_wire()
    assert wire == {
        "message": {
            "id": done.answer.message.id,
            "role": "assistant",
            "content": " one two three four five",
            "model": "cheap",
            "model_reason": None,
            "finish_reason": "stop",
            "created_at": "2026-09-21T14:13:20.001Z",
        },
        "usage": {"input_tokens": 12, "output_tokens": 5, "estimated": False},
        "cost": "0.0022",
        "balance": {"available": "0.9978", "held": "0"},
    }


def test_both_messages_are_kept_question_first(world):
    conversation = world.conversation(world.user())

    answer = world.ask(conversation, "What is up?")

    kept = world.conversations.messages(ANN, conversation.id).items
    assert [(message.role, message.content) for message in kept] == [
        ("assistant", " one two three four five"),
        ("user", "What is up?"),
    ]
    assert kept[0] == answer.message
    assert world.conversations.get(ANN, conversation.id).title == "What is up?"


def test_the_model_is_told_what_was_said_before(world):
    conversation = world.conversation(world.user(), system_prompt="Be brief.")

    world.ask(conversation, "First")
    world.ask(conversation, "Second")

    told = [(message.role, message.content) for message in world.upstream.requests[1].messages]
    assert told == [
        ("system", "Be brief."),
        ("user", "First"),
        ("assistant", " one two three four five"),
        ("user", "Second"),
    ]


def test_the_model_is_the_requests_else_the_conversations_else_the_users_else_the_default(world):
    for name in ("a", "b", "c"):
        world.catalogue.put(name, {**CHEAP, "upstream_model": f"up/{name}"})
    world.user()
    plain, fixed = world.conversation(), world.conversation(model="b")

    world.ask(plain)
    world.preferences.put(ANN, {"chat_model": "c"})
    answers = [world.ask(plain), world.ask(fixed), world.ask(fixed, model="a")]

    assert [answer.message.model for answer in answers] == ["c", "b", "a"]
    assert [request.model for request in world.upstream.requests] == ["cheap", "up/c", "up/b", "up/a"]


def test_the_journal_of_a_turn_verifies(world):
    world.ask(world.conversation(world.user()))

    assert world.ledger.verify(ANN) == []


def test_no_prompt_and_no_answer_is_ever_logged(world, capsys):
    world.ask(world.conversation(world.user(), system_prompt="sysSECRET"), "askSECRET")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["chat_turn_captured"]
    assert "SECRET" not in str(lines)
    assert "three" not in str(lines)


# Exactness -------------------------------------------------------------------------------------------------------

DECIMALS = st.decimals(min_value=0, max_value=500, places=15).map(lambda number: f"{number:f}")
COUNTS = st.integers(0, 3_000)


@settings(max_examples=40, deadline=None)
@given(DECIMALS, DECIMALS, COUNTS, COUNTS, st.integers(0, 300))
def test_the_charge_is_exact_and_the_same_everywhere(input_price, output_price, tokens_in, tokens_out, markup):
    tariff = Tariff(credits_per_usd=100, markup_percent=markup)
    prices = {
        "input_usd_per_mtok": input_price,
        "output_usd_per_mtok": output_price,
        "max_output_tokens": 3_000,
        "expected_output_tokens": 10,
    }
    # The prompt has as many bytes as the upstream will report tokens, so that the report is one that it could make.
    world = World(scripts=[says("Hi", usage=usage(tokens_in, tokens_out))], prices=prices, tariff=tariff)
    before = 10**12
    conversation = world.conversation(world.user(before))
    content = "x" * max(1, tokens_in)
    expected = tariff.price(world.catalogue.get("cheap"), usage(tokens_in, tokens_out))

    plain = world.ask(conversation, content, is_streamed=False)
    streamed = world.ask(world.conversation(), content, is_streamed=True)

    assert [plain.cost, streamed.cost] == [expected, expected]
    assert world.spent(before) == 2 * expected
    assert world.charges() == ([expected, expected] if expected else [])
    assert plain.as_wire()["cost"] == format_credits(expected)
    assert plain.available == before - expected
    assert plain.message.cost == expected


def test_the_charge_is_linear_in_tokens():
    costs = []
    for count in (1, 2, 3, 30):
        world = World(scripts=[says("Hi", usage=usage(10 * count, 5 * count))])
        costs.append(world.ask(world.conversation(world.user()), "Hi").cost)

    assert costs == [2_000, 4_000, 6_000, 60_000]


@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(str.strip),
    st.none() | st.integers(1, 50),
    st.integers(0, 400),
    st.integers(0, 2_000),
)
def test_no_call_ever_costs_more_than_its_estimate(content, limit, tokens_in, tokens_out):
    estimate = World().turn.estimate(ANN, content=content, max_output_tokens=limit)
    honest = min(tokens_in, estimate.input_tokens_at_most)
    world = World(scripts=[says("Hi", usage=usage(honest, tokens_out))])

    answer = world.ask(world.conversation(world.user(10**9)), content, max_output_tokens=limit)

    assert estimate.expected <= estimate.ceiling
    assert answer.cost <= estimate.ceiling
    assert answer.cost == price(honest, min(tokens_out, estimate.output_tokens_at_most))


def test_what_is_reported_is_what_is_charged_however_short_the_message_was():
    world = World(scripts=[says("Hi", usage=usage(100_000, 7))])

    assert world.ask(world.conversation(world.user(10**9)), "Hi").cost == price(100_000, 7)


def test_an_estimate_needs_no_conversation_and_no_credits(world):
    estimate = world.turn.estimate(Uid("nobody"), content="Hello?", max_output_tokens=10)

    assert (estimate.model, estimate.price_version) == ("cheap", 1)
    assert (estimate.output_tokens_at_most, estimate.output_tokens_expected) == (10, 10)
    assert estimate.ceiling == price(estimate.input_tokens_at_most, 10)
    assert estimate.expected == price(INPUT, 10)
    assert world.upstream.requests == []


def test_the_price_is_the_one_when_the_hold_was_placed(world):
    conversation = world.conversation(world.user())
    events = world.run(conversation)
    next(events)

    world.catalogue.put("cheap", {**CHEAP, "input_usd_per_mtok": "50", "output_usd_per_mtok": "50"})
    first, second = answer_of(events), world.ask(world.conversation())

    assert first.cost == price(12, 5)
    assert second.cost == 50 * 100 * (12 + 5)
    assert first.message.price == {
        "version": "1",
        "input_credits_per_mtok": "100",
        "output_credits_per_mtok": "200",
        "cached_input_credits_per_mtok": "100",
        "cache_write_credits_per_mtok": "100",
        "request_credits": "0",
    }


def test_missing_usage_is_counted_alike_however_the_text_was_cut():
    pieces = ["zigzagging", " - ", "vowelless"]
    one_by_one, all_at_once = World(scripts=[says(*pieces)]), World(scripts=[says("".join(pieces))])

    answers = [world.ask(world.conversation(world.user())) for world in (one_by_one, all_at_once)]

    assert counted(pieces) == 6
    assert [answer.usage.output_tokens for answer in answers] == [cautious(6), cautious(6)]


def test_no_charge_follows_what_was_learned_of_other_answers():
    words = ["improbability "] * 8
    script = says(*words, usage=usage(9, 12))
    world = World(scripts=[script, says(*words)])
    conversation = world.conversation(world.user())

    answers = [world.ask(conversation) for _ in range(2)]

    assert [(answer.usage.output_tokens, answer.is_estimated) for answer in answers] == [
        (12, False),
        (cautious(counted(words)), True),
    ]


def test_missing_usage_is_counted_here_and_says_so():
    world = World(scripts=[says(*WORDS)])

    answer = world.ask(world.conversation(world.user()))

    assert (answer.usage, answer.is_estimated) == (usage(cautious(INPUT), cautious(counted(WORDS))), True)
    assert answer.cost == world.spent(CREDIT) == price(cautious(INPUT), cautious(counted(WORDS)))


def test_a_reported_zero_is_honoured():
    world = World(scripts=[says(*WORDS, usage=usage(0, 0))])

    answer = world.ask(world.conversation(world.user()))

    assert (answer.usage, answer.is_estimated, answer.cost) == (usage(0, 0), False, 0)
    assert world.spent(CREDIT) == 0


def test_the_last_report_counts():
    script: list[Any] = [UsageReport(usage(9, 0)), *map(TextDelta, WORDS), UsageReport(usage(9, 2)), AnswerEnd("stop")]
    world = World(scripts=[[*script, UsageReport(usage(9, 7))]])

    assert world.ask(world.conversation(world.user())).usage == usage(9, 7)


def test_an_early_report_does_not_hide_what_came_after_it():
    world = World(scripts=[[UsageReport(usage(9, 1)), *map(TextDelta, WORDS), AnswerEnd("stop")]])

    answer = world.ask(world.conversation(world.user()))

    assert (answer.usage, answer.is_estimated) == (usage(9, cautious(counted(WORDS))), True)


def test_a_free_model_costs_nothing_also_those_who_have_nothing():
    world = World(prices={"input_usd_per_mtok": "0", "output_usd_per_mtok": "0"})

    assert world.ask(world.conversation(world.user(0))).cost == 0
    assert world.ledger.verify(ANN) == []


# Refusals: nothing called, nothing charged, nothing kept ---------------------------------------------------------


def refused(world, error, conversation, content="Hello?", **fields):
    with pytest.raises(error):
        next(world.run(conversation, content, **fields))
    assert world.upstream.requests == []
    assert world.ledger.balance(ANN).held == 0
    assert world.conversations.messages(conversation.uid, conversation.id).items == ()


def test_without_credits_the_model_is_not_asked(world):
    refused(world, InsufficientCredits, world.conversation(world.user(0)))


def test_with_a_limit_the_whole_ceiling_must_be_there(world):
    conversation = world.conversation(world.user())
    ceiling = world.turn.estimate(ANN, content="Hello?", conversation_id=conversation.id, max_output_tokens=40).ceiling
    poor, rich = World(), World()

    refused(poor, InsufficientCredits, poor.conversation(poor.user(ceiling - 1)), max_output_tokens=40)
    answer = rich.ask(rich.conversation(rich.user(ceiling)), max_output_tokens=40)

    assert answer.message.finish_reason == "stop"
    assert rich.upstream.requests[0].max_output_tokens == 40


def test_without_a_limit_what_is_expected_must_be_there():
    expected = price(INPUT, 50)
    poor, rich = World(), World()

    refused(poor, InsufficientCredits, poor.conversation(poor.user(expected - 1)))

    assert rich.ask(rich.conversation(rich.user(expected))).message.finish_reason == "stop"


def test_a_model_that_reasons_holds_its_ceiling():
    reasoning = {"capabilities": ["reasoning"]}
    poor, rich = World(prices=reasoning), World(prices=reasoning)
    ceiling = poor.turn.estimate(ANN, content="Hello?").ceiling

    refused(poor, InsufficientCredits, poor.conversation(poor.user(ceiling - 1)))
    rich.ask(rich.conversation(rich.user(ceiling)))

    assert (rich.upstream.requests[0].max_output_tokens, rich.upstream.requests[0].is_reasoning) == (1_000, True)


def test_hidden_reasoning_cannot_exceed_the_hold():
    world = World(scripts=[says("Hm", usage=usage(10, 90_000))], prices={"capabilities": ["reasoning"]})
    ceiling = world.turn.estimate(ANN, content="Hello?").ceiling
    world.user(10 * ceiling)

    assert world.ask(world.conversation()).cost == world.spent(10 * ceiling) == price(10, 1_000) <= ceiling


def test_unpriced_unknown_and_painting_models_are_refused(world):
    world.user()
    world.documents.commit([Put("models/broken", {**CHEAP, "output_usd_per_mtok": "NaN"})])
    world.catalogue.put("painter", {"kind": "image", "image_usd": "1"})

    refused(world, ModelUnpriced, world.conversation(), model="broken")
    refused(world, ModelNotFound, world.conversation(), model="painter")
    refused(world, ModelNotFound, world.conversation(), model="none")


def test_what_does_not_fit_the_window_is_refused(world):
    refused(world, ContextTooLong, world.conversation(world.user()), "word " * 8_000)


@pytest.mark.parametrize("content", ["", "  \n", "x" * 800_001, "half \ud83d"])
def test_content_that_cannot_be_kept_is_refused(world, content):
    refused(world, InvalidValue, world.conversation(world.user()), content)


def test_a_limit_below_one_is_refused(world):
    refused(world, InvalidValue, world.conversation(world.user()), max_output_tokens=0)


def test_a_frozen_account_is_refused(world):
    world.ledger.execute(world.user(), Freeze(operation=OperationId("f")))

    refused(world, AccountFrozen, world.conversation())


def test_others_conversations_are_not_found(world):
    world.user()
    theirs = world.conversation(world.user(uid=Uid("bob")))

    with pytest.raises(ConversationNotFound):
        next(world.turn.run(replace(world.request(theirs), uid=ANN)))


# Failures of the upstream ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [UpstreamUnavailable(), UpstreamRejected(), ValueError("a bug")])
def test_a_failure_before_the_first_token_costs_nothing(error):
    world = World(scripts=[[error]])
    conversation = world.conversation(world.user())

    with pytest.raises((UpstreamUnavailable, UpstreamRejected)):
        list(world.run(conversation))

    balance = world.ledger.balance(ANN)
    assert (balance.available, balance.held) == (CREDIT, 0)
    assert world.conversations.messages(ANN, conversation.id).items == ()


def test_a_failure_in_the_middle_is_told_and_what_was_delivered_is_kept_and_charged():
    world = World(scripts=[[TextDelta(" one"), TextDelta(" two"), UpstreamUnavailable()]])
    conversation = world.conversation(world.user())
    events: list[TurnEvent] = []

    with pytest.raises(UpstreamUnavailable):
        events.extend(world.run(conversation))
    kept = world.conversations.messages(ANN, conversation.id).items[0]

    assert (kept.content, kept.finish_reason, kept.is_estimated) == (" one two", "error", True)
    assert world.spent(CREDIT) == kept.cost == price(cautious(INPUT), cautious(counted([" one two"])))
    assert world.ledger.balance(ANN).held == 0


def test_a_failure_in_the_middle_of_a_plain_call_delivered_nothing_and_costs_nothing():
    world = World(scripts=[[TextDelta(" one"), UpstreamUnavailable()]])
    conversation = world.conversation(world.user())

    with pytest.raises(UpstreamUnavailable):
        list(world.run(conversation, is_streamed=False))

    assert (world.spent(CREDIT), world.ledger.balance(ANN).held) == (0, 0)
    assert world.conversations.messages(ANN, conversation.id).items == ()


def test_a_stream_that_just_stops_has_failed():
    world = World(scripts=[[TextDelta(" one")]])

    with pytest.raises(UpstreamUnavailable):
        list(world.run(world.conversation(world.user())))


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "length"), ("content_filter", "content_filter"), ("?", "stop")]
)
def test_the_upstreams_reason_is_told_if_it_is_a_known_one(reason, told):
    world = World(scripts=[says("Hi", usage=usage(1, 1), reason=reason)])

    assert world.ask(world.conversation(world.user())).message.finish_reason == told


def test_half_a_character_does_not_break_an_answer():
    world = World(scripts=[says("a\ud83d", "b")])

    assert world.ask(world.conversation(world.user())).message.content == "a?b"


def test_an_answer_too_large_to_keep_is_cut():
    script: list[Any] = [TextDelta("x" * 500_000), TextDelta("y" * 500_000), 30.0, AnswerEnd("stop")]
    sizes = {"context_window": 2_000_000, "max_output_tokens": 1_000_000}
    world = World(scripts=[script], prices={"output_usd_per_mtok": "0", **sizes})

    answer = world.ask(world.conversation(world.user()))

    assert (len(answer.message.content), answer.message.finish_reason) == (500_000, "length")
    assert world.upstream.streams[0].is_aborted


# Credits that run out --------------------------------------------------------------------------------------------


def test_a_balance_that_runs_out_ends_the_stream_cleanly():
    world = World(scripts=[says(*WORDS * 40)])
    amount = price(INPUT, 60)
    conversation = world.conversation(world.user(amount))

    events = list(world.run(conversation))
    answer = end_of(events)

    delivered = text_of(events)
    assert answer.message.content == delivered == "".join(WORDS * 12)
    assert answer.message.finish_reason == "credit_limit"
    assert world.upstream.streams[0].is_aborted
    assert answer.cost == world.spent(amount) == price(INPUT, 60) == amount
    assert (answer.available, answer.held) == (0, 0)


def test_the_upstream_is_told_a_limit_that_the_balance_pays_for():
    amount = price(INPUT, 70) + 199
    world = World(scripts=[says("Hi", usage=usage(INPUT, 70), reason="length")])

    answer = world.ask(world.conversation(world.user(amount)))

    assert world.upstream.requests[0].max_output_tokens == 70
    assert (answer.message.finish_reason, answer.cost) == ("credit_limit", price(INPUT, 70))


def test_a_hold_grows_with_the_answer():
    world = World(scripts=[says(*WORDS * 100, usage=usage(INPUT, 500))])

    answer = world.ask(world.conversation(world.user()))

    assert (answer.message.finish_reason, answer.cost) == ("stop", price(INPUT, 500))
    assert world.ledger.verify(ANN) == []


def test_what_is_expected_follows_use():
    world = World(scripts=[says("Hi", usage=usage(10, 10))])
    conversation = world.conversation(world.user())
    before = world.turn.estimate(ANN, content="Hello?").output_tokens_expected

    for _ in range(20):
        world.ask(conversation)

    assert (before, world.turn.estimate(ANN, content="Hello?").output_tokens_expected) == (50, 10)


def test_forty_at_once_on_a_balance_for_four_are_four():
    world = World(scripts=[says(*WORDS, usage=usage(INPUT, 40))])
    ceiling = world.turn.estimate(ANN, content="Hello?", max_output_tokens=40).ceiling
    conversation = world.conversation(world.user(4 * ceiling))
    # All hold at once: nobody has captured before everybody has asked.
    gate, outcomes = threading.Barrier(40), list[Any]()

    def call():
        events = world.run(conversation, max_output_tokens=40)
        try:
            first = next(events)
        except InsufficientCredits as refusal:
            gate.wait(60)
            outcomes.append(refusal)
        else:
            gate.wait(60)
            outcomes.append((first, answer_of(events)))

    threads = [threading.Thread(target=call) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    answered = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    assert (len(answered), len(outcomes), len(world.upstream.requests)) == (4, 40, 4)
    assert world.ledger.balance(ANN).total == 4 * (ceiling - price(INPUT, 40))
    assert world.ledger.verify(ANN) == []


# Silence, and clients that leave ---------------------------------------------------------------------------------


def test_silence_is_filled_with_pings():
    is_heard = threading.Event()

    def script() -> Iterator[Any]:
        yield TextDelta(" one")
        is_heard.wait(60)
        yield from (TextDelta(" two"), AnswerEnd("stop"))

    world, told = World(scripts=[cast("Any", script())], ping_seconds=0.01), list[Any]()
    for event in world.run(world.conversation(world.user())):
        told.append(event)
        if event == Ping() and Delta(" one") in told:
            is_heard.set()

    assert Ping() in told[told.index(Delta(" one")) : told.index(Delta(" two"))]
    assert [event for event in told[:-1] if event != Ping()] == [Delta(" one"), Delta(" two")]


@pytest.mark.parametrize("delivered", range(1, len(WORDS) + 1))
def test_a_client_that_leaves_pays_for_what_it_got(delivered):
    said = [*map(TextDelta, WORDS)]
    world = World(scripts=[[*said[:delivered], 30.0, *said[delivered:], AnswerEnd("stop"), UsageReport(usage(12, 5))]])
    conversation = world.conversation(world.user())
    events = world.run(conversation)
    for _ in range(delivered):
        next(events)

    events.close()

    kept = world.conversations.messages(ANN, conversation.id).items[0]
    assert (kept.content, kept.finish_reason) == ("".join(WORDS[:delivered]), "disconnected")
    assert world.spent(CREDIT) == kept.cost == price(cautious(INPUT), cautious(counted(WORDS[:delivered])))
    assert world.ledger.balance(ANN).held == 0
    assert world.upstream.streams[0].is_aborted
    assert world.ledger.verify(ANN) == []


def test_a_client_that_leaves_before_the_first_word_pays_for_what_it_asked():
    world = World(scripts=[[600.0, TextDelta(" one")]], ping_seconds=0.01)
    conversation = world.conversation(world.user())
    events = world.run(conversation)
    assert next(events) == Ping()

    events.close()

    assert world.spent(CREDIT) == price(cautious(INPUT), 0)
    assert world.conversations.messages(ANN, conversation.id).items[0].content == ""


def test_what_a_reader_left_unsaid_is_not_told_to_the_model():
    world = World(scripts=[[600.0, TextDelta(" one")], says("Hi")], ping_seconds=0.01)
    conversation = world.conversation(world.user())
    events = world.run(conversation, "First")
    next(events)
    events.close()

    world.ask(conversation, "Second")

    assert [message.content for message in world.upstream.requests[1].messages] == ["First", "Second"]


def test_the_reading_thread_ends_with_its_reader():
    world = World(scripts=[[TextDelta(" one"), 600.0, TextDelta(" two")], [TextDelta("x")] * 500])
    conversation = world.conversation(world.user())
    for _ in range(2):
        events = world.run(conversation)
        next(events)
        events.close()

    readers = [thread for thread in threading.enumerate() if thread.name == "chat reading"]
    for thread in readers:
        thread.join(60)

    assert [thread.is_alive() for thread in readers] == [False] * len(readers)


def test_a_turn_ends_itself_before_its_function_is_ended():
    world = World(scripts=[[TextDelta(" one"), 600.0, TextDelta(" two"), AnswerEnd("stop")]], ping_seconds=0.02)
    events = world.run(world.conversation(world.user()))
    first = next(event for event in events if event != Ping())

    world.clock.advance(500_000)
    answer = answer_of(events)

    assert first == Delta(" one")
    assert (answer.message.content, answer.message.finish_reason) == (" one", "timeout")


def test_a_conversation_deleted_meanwhile_stays_deleted_and_is_charged(world):
    conversation = world.conversation(world.user())
    events = world.run(conversation)
    next(events)

    world.conversations.delete(ANN, conversation.id)
    answer = answer_of(events)

    assert answer.cost == world.spent(CREDIT) == price(12, 5)
    with pytest.raises(ConversationNotFound):
        world.conversations.messages(ANN, conversation.id)


def test_a_hold_whose_time_was_up_charged_what_had_accrued(world):
    conversation = world.conversation(world.user())
    events = world.run(conversation)
    next(events)

    world.clock.advance(901_000)
    world.ledger.expire_due(ANN)
    answer = answer_of(events)

    assert answer.cost == answer.message.cost == world.spent(CREDIT) == 0
    assert world.conversations.messages(ANN, conversation.id).items[0].cost == 0


def test_reasoning_is_charged_and_neither_delivered_nor_kept():
    script = [HiddenDelta("word " * 40), TextDelta("Hello"), AnswerEnd("stop")]
    world = World([script])

    events = list(world.run(world.conversation(world.user())))

    answer = answer_of(event for event in events)
    assert (text_of(events), answer.message.content) == ("Hello", "Hello")
    assert answer.usage.output_tokens >= 40


def test_reasoning_beyond_the_balance_ends_the_answer():
    world = World([[HiddenDelta("word " * 40)] * 100])

    answer = answer_of(event for event in world.run(world.conversation(world.user(100 * 9 + 200 * 60))))

    assert answer.message.finish_reason == "credit_limit"
