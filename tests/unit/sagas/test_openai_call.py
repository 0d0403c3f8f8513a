"""A call through the OpenAI routes: what it holds, where it ends, what it charges; whoever crashes or asks twice."""

import contextlib
import threading
from dataclasses import replace

import pytest

from shared.ai.models.catalogue import ModelUnpriced
from shared.ai.openai.embeddings import Embeddings
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.openai.responses import Responses
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.ai.tokens import prompt_at_most, prompt_expected
from shared.kernel.clock import SystemClock
from shared.kernel.documents import OutcomeUnknown, Patch
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim
from shared.ledger.errors import BudgetExceeded, InsufficientCredits
from shared.platform.memory.passthrough import Scripted, chunk, completion, embeddings, response, usage_chunk
from shared.sagas.openai.call import OpenAIAnswer, Piece
from tests.support.chat import ANN, CHEAP, CREDIT, cautious
from tests.support.faults import Crash, Dying, FaultyDocuments
from tests.support.openai import OpenAIBackend, answer_of, content_of

INPUT = prompt_expected(["Hello?"])
COST = 100 * 12 + 200 * 3
"""Of the answer that `spoken` gives: 12 tokens in, 3 out."""
TOKENS = 5_000
DEAR = {
    "input_usd_per_mtok": "100",
    "output_usd_per_mtok": "200",
    "context_window": 100_000,
    "max_output_tokens": 50_000,
}
"""A model whose output costs 0.02 credits a token, so that 5 000 of them are 100 credits."""


def spoken(**world) -> OpenAIBackend:
    return OpenAIBackend(*completion(" one", " two", " three", usage=(12, 3)), **world)


def long(*, usage: bool) -> list:
    return completion(*[" word"] * TOKENS, usage=(INPUT, TOKENS) if usage else None)


def check_books(backend: OpenAIBackend, uid: Uid = ANN) -> None:
    """The chain is whole, nothing is held or owed, and no balance on the way was below zero."""
    ledger = backend.world.ledger
    balance = ledger.balance(uid)
    entries = ledger.entries(uid, 1, balance.seq)
    assert ledger.verify(uid) == []
    assert (balance.held, balance.debt) == (0, 0)
    assert min(entry.balance_after for entry in entries) >= 0
    assert min(entry.held_after for entry in entries) >= 0


# The credit limit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("usage", [True, False], ids=["reported", "not reported"])
def test_five_thousand_tokens_to_a_balance_of_fifty_end_at_the_credit_limit(usage, is_streamed):
    backend = OpenAIBackend(*long(usage=usage), prices=DEAR)
    backend.world.user(50 * CREDIT)

    answered = backend.ask(is_streamed=is_streamed)

    words = content_of(answered).split()
    assert answered.answer["choices"][0]["finish_reason"] == "length"
    assert answered.answer["credits"]["ended_by"] == "credit_limit"
    assert answered.answer["credits"]["estimated"] is True
    assert 0 < len(words) < TOKENS
    assert backend.upstream.streams[0].is_aborted
    assert 0 <= backend.world.ledger.balance(ANN).available < 2 * CREDIT
    assert backend.world.spent(50 * CREDIT) == answered.cost <= 50 * CREDIT
    check_books(backend)


def test_an_upstream_that_honours_the_cap_ends_by_length_and_so_does_the_credit():
    backend = OpenAIBackend(*completion(*[" word"] * 2_000, usage=(INPUT, 2_000), finish_reason="length"), prices=DEAR)
    backend.world.user(50 * CREDIT)

    answered = backend.ask()

    asked = backend.upstream.requests[0][1]["max_tokens"]
    assert 2_000 < asked < 2_500
    assert answered.answer["credits"]["ended_by"] == "credit_limit"
    check_books(backend)


def test_with_a_limit_the_whole_ceiling_is_there_or_nothing_is_asked():
    backend = OpenAIBackend(*long(usage=True), prices=DEAR)
    backend.world.user(50 * CREDIT)

    with pytest.raises(InsufficientCredits):
        backend.ask(max_tokens=TOKENS)

    assert backend.upstream.requests == []
    assert backend.world.spent(50 * CREDIT) == 0
    check_books(backend)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_output_beyond_what_was_asked_for_is_not_the_users(name, capsys):
    backend = OpenAIBackend(*completion(" one", usage=(INPUT, 1_000_000)))
    backend.world.user()

    answered = backend.ask(**{name: 10})

    assert answered.cost == 100 * INPUT + 200 * 10
    assert '"limit_not_kept"' in capsys.readouterr().out
    check_books(backend)


@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("pieces", [TOKENS, 1], ids=["in tokens", "at once"])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_upstream_that_does_not_know_the_limit_gives_no_answers_away(name, pieces, is_streamed):
    text = " word" * TOKENS
    backend = OpenAIBackend(*completion(*[text[: len(text) // pieces]] * pieces, usage=(INPUT, TOKENS)))
    backend.world.user()

    answered = backend.ask(is_streamed=is_streamed, **{name: 10})

    assert len((content_of(answered) or "").split()) < 3 * 10 + 20
    assert answered.answer["choices"][0]["finish_reason"] == "length"
    assert "ended_by" not in answered.answer["credits"]
    assert answered.cost <= 100 * cautious(INPUT) + 200 * 10
    assert backend.upstream.streams[0].is_aborted or pieces == 1 or not is_streamed
    check_books(backend)


def test_an_answer_as_long_as_asked_for_is_whole_however_we_count_it():
    words = [" \u4e2d\u6587\u8bcd\u8bed"] * 100
    backend = OpenAIBackend(*completion(*words, usage=(INPUT, 300)))
    backend.world.user()

    answered = backend.ask(max_tokens=300)

    assert content_of(answered) == "".join(words)
    assert answered.answer["choices"][0]["finish_reason"] == "stop"


def test_a_response_ends_at_the_credit_limit_too():
    backend = OpenAIBackend(*response(*[" word"] * TOKENS, usage=(INPUT, TOKENS)), path="/responses", prices=DEAR)
    backend.world.user(50 * CREDIT)

    answered = backend.ask(dialect=Responses(), input="Hello?")

    told = answered.answer
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert 0 < len(told["output"][0]["content"][0]["text"].split()) < TOKENS
    assert told["credits"]["ended_by"] == "credit_limit"
    assert answered.tail[-1]["type"] == "response.incomplete"
    check_books(backend)


def test_embeddings_that_the_balance_does_not_pay_for_are_not_asked_for():
    backend = OpenAIBackend(*embeddings(), path="/embeddings")
    backend.world.catalogue.put("cheap", {"kind": "embedding", "input_usd_per_mtok": "1", "context_window": 8_000})
    backend.world.user(1_000)

    with pytest.raises(InsufficientCredits):
        backend.ask(dialect=Embeddings(), is_streamed=False, input="word " * 1_000)

    assert backend.upstream.requests == []
    check_books(backend)


def test_many_at_once_never_spend_what_is_not_there():
    backend = OpenAIBackend(*completion(*[" word"] * 40, usage=(INPUT, 40)), clock=SystemClock())
    cost = 100 * INPUT + 200 * 40
    backend.world.user(7 * cost)
    gate, outcomes = threading.Barrier(30), list[object]()

    def call() -> None:
        gate.wait(60)
        try:
            outcomes.append(backend.ask())
        except InsufficientCredits as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=call) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)

    answered = [each for each in outcomes if isinstance(each, OpenAIAnswer)]
    assert len(outcomes) == 30
    assert sum(each.cost for each in answered) == backend.world.spent(7 * cost) <= 7 * cost
    check_books(backend)


# Prices ----------------------------------------------------------------------------------------------------------


def test_a_price_that_changes_mid_call_is_the_one_it_began_with():
    backend = spoken()
    backend.world.user()
    events = backend.run()
    told = [next(events)]
    backend.world.catalogue.put("cheap", {**CHEAP, **DEAR})

    told += list(events)

    assert answer_of(told).cost == COST
    check_books(backend)


@pytest.mark.parametrize("price", [None, "-1", "-0.5", "", "NaN", "1e9", 5, "Infinity"])
@pytest.mark.parametrize("name", ["input_usd_per_mtok", "output_usd_per_mtok"])
def test_a_price_that_is_none_is_refused_not_given_away(name, price):
    backend = spoken()
    backend.world.user()
    backend.world.documents.commit([Patch("models/cheap", {name: price})])

    with pytest.raises(ModelUnpriced):
        backend.ask()

    assert backend.upstream.requests == []
    assert backend.world.spent(CREDIT) == 0


def test_a_price_that_goes_bad_mid_call_settles_at_the_snapshot():
    backend = spoken()
    backend.world.user()
    events = backend.run()
    told = [next(events)]
    backend.world.documents.commit([Patch("models/cheap", {"output_usd_per_mtok": "-1"})])
    backend.world.clock.advance(60_000)

    told += list(events)

    assert answer_of(told).cost == COST
    with pytest.raises(ModelUnpriced):
        backend.ask()
    check_books(backend)


def test_a_reported_zero_is_honoured_and_nonsense_is_no_report():
    free = OpenAIBackend(*completion(" one", usage=(0, 0)))
    free.world.user()
    bad = OpenAIBackend(
        *completion(" one"), {**usage_chunk(1, 1), "usage": {"prompt_tokens": -5, "completion_tokens": 10**12}}
    )
    bad.world.user()

    assert free.ask().cost == 0
    answered = bad.ask()
    assert answered.answer["credits"]["estimated"] is True
    assert answered.cost == 100 * cautious(INPUT) + 200 * cautious(1)
    check_books(bad)


# Failing upstreams -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [UpstreamUnavailable(), UpstreamRejected(), RequestRefused({}), ZeroDivisionError()])
@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("key", ["", "k"])
def test_an_upstream_that_fails_costs_nothing_and_is_not_remembered(error, is_streamed, key):
    backend = OpenAIBackend(error)
    backend.world.user()

    for _ in range(2):
        with pytest.raises((UpstreamUnavailable, UpstreamRejected)):
            backend.ask(is_streamed=is_streamed, key=key)

    assert len(backend.upstream.requests) == 2
    assert backend.world.spent(CREDIT) == 0
    check_books(backend)


def test_an_answer_without_an_end_is_a_failure_not_an_answer():
    backend = OpenAIBackend(chunk({"content": " one"}))
    backend.world.user()

    with pytest.raises(UpstreamUnavailable):
        backend.ask(is_streamed=False)

    assert backend.world.spent(CREDIT) == 0
    check_books(backend)


def test_a_response_that_failed_costs_nothing():
    backend = OpenAIBackend({"type": "response.failed", "response": {"error": {"code": "x"}}}, path="/responses")
    backend.world.user()

    with pytest.raises(UpstreamUnavailable):
        backend.ask(dialect=Responses(), input="Hello?")

    assert backend.world.spent(CREDIT) == 0


@pytest.mark.parametrize("body", [{"n": 17}, {"messages": []}, {"max_tokens": 0}])
def test_what_makes_no_sense_leaves_nothing_behind(body):
    backend = spoken()
    backend.world.user()

    with pytest.raises(InvalidValue):
        backend.ask(key="k", **body)

    assert backend.world.documents.get(f"turns/{operation_id('test', ANN, 'k')}") is None
    assert backend.world.spent(CREDIT) == 0


# Budgets ---------------------------------------------------------------------------------------------------------


def test_a_cap_is_counted_and_never_crossed():
    backend = spoken()
    backend.world.user()
    ceiling = 100 * prompt_at_most(["Hello?"]) + 200 * 3
    claim = BudgetClaim(id="key_1:total", limit=Micro(ceiling + 2 * COST))
    outcomes = []

    for _ in range(10):
        request = backend.request(max_tokens=3)
        with contextlib.suppress(BudgetExceeded):
            outcomes.append(
                answer_of(list(backend.call.run(replace(request, budgets=(claim,), principal="key:key_1"))))
            )

    assert len(outcomes) == 3
    assert backend.world.spent(CREDIT) == 3 * COST <= claim.limit
    assert backend.world.ledger.budgets(ANN)["key_1:total"].used == backend.world.spent(CREDIT)
    check_books(backend)


# Leaving, silence, time ------------------------------------------------------------------------------------------


def test_a_client_that_leaves_pays_for_what_it_got():
    backend = OpenAIBackend(*completion(" one")[:2], 30.0)
    backend.world.user()
    events = backend.run()
    told = [next(events), next(events)]

    events.close()

    assert [isinstance(each, Piece) for each in told] == [True, True]
    assert backend.upstream.streams[0].is_aborted
    assert backend.world.charges() == [100 * cautious(INPUT) + 200 * cautious(1)]
    check_books(backend)


def test_a_client_that_left_finds_what_it_had_got_with_the_same_key():
    backend = OpenAIBackend(*completion(" one")[:2], 30.0)
    backend.world.user()
    events = backend.run(key="k")
    next(events), next(events)
    events.close()

    again = answer_of(list(backend.run(key="k")))

    assert content_of(again) == " one"
    assert again.answer["credits"]["ended_by"] == "disconnected"
    assert [again.cost] == backend.world.charges()
    assert len(backend.upstream.requests) == 1


@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "plain"])
def test_who_left_before_the_first_word_finds_an_answer_that_says_nothing(is_streamed):
    backend = OpenAIBackend(30.0, ping_seconds=0.01)
    backend.world.user()
    events = backend.run(key="k", is_streamed=is_streamed)
    next(events)
    events.close()

    again = backend.ask(key="k", is_streamed=is_streamed)

    assert [choice["finish_reason"] for choice in again.answer["choices"]] == ["length"]
    assert (content_of(again), again.answer["credits"]["ended_by"]) == ("None", "disconnected")
    assert [again.cost] == backend.world.charges() == [100 * cautious(INPUT)]
    assert len(backend.upstream.requests) == 1
    check_books(backend)


@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "plain"])
def test_an_upstream_that_only_reports_has_failed_and_costs_nothing(is_streamed):
    backend = OpenAIBackend(usage_chunk(5, 0))
    backend.world.user()

    with pytest.raises(UpstreamUnavailable):
        backend.ask(is_streamed=is_streamed)

    assert backend.world.charges() == []


def test_a_stream_that_broke_is_the_same_broken_stream_again():
    backend = OpenAIBackend(*completion(" one")[:2], UpstreamUnavailable())
    backend.world.user()
    texts = []

    for _ in range(2):
        told: list[Piece] = []
        with pytest.raises(UpstreamUnavailable):
            told.extend(each for each in backend.run(key="k") if isinstance(each, Piece))
        texts.append("".join(p.raw["choices"][0]["delta"].get("content") or "" for p in told))

    assert texts == [" one", " one"]
    assert len(backend.upstream.requests) == 1
    assert len(backend.world.charges()) == 1


def test_answers_side_by_side_teach_nothing_about_the_length_of_one():
    backend = OpenAIBackend(
        chunk({"content": " one"}), chunk({"content": " 1"}, index=1), *completion(" two", usage=(12, 900))[-2:]
    )
    backend.world.user()
    before = backend.world.turn.estimate(ANN, content="Hello?").output_tokens_expected

    for _ in range(5):
        backend.ask(n=2)

    fresh = backend.world.on(backend.world.documents)
    assert fresh.estimate(ANN, content="Hello?").output_tokens_expected == before


# Crashes and ambiguity ---------------------------------------------------------------------------------------------


def commits_of(key: str) -> int:
    """How many commits a call makes."""
    backend = spoken()
    backend.world.user()
    counting = FaultyDocuments(backend.world.documents)
    list(backend.on(counting).run(backend.request(key=key)))
    return counting.commits


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, commits_of("k") + 1))
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_crash_at_any_commit_is_finished_by_the_same_key_with_one_charge(at, when, is_streamed):
    backend = spoken()
    backend.world.user()
    dying = Dying(backend.world.documents, at=at, when=when)
    with contextlib.suppress(Crash):
        list(backend.on(dying).run(backend.request(key="k", is_streamed=is_streamed)))
    backend.world.clock.advance(31_000)

    answered = answer_of(
        list(backend.on(backend.world.documents).run(backend.request(key="k", is_streamed=is_streamed)))
    )
    again = answer_of(list(backend.on(backend.world.documents).run(backend.request(key="k", is_streamed=is_streamed))))

    assert answered.answer == again.answer
    assert content_of(answered) == " one two three"
    assert sum(backend.world.charges()) == answered.cost == COST == backend.world.spent(CREDIT)
    assert len(backend.upstream.requests) <= 2
    check_books(backend)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, commits_of("k") + 1))
def test_an_unclear_commit_anywhere_is_one_charge_or_none_and_told(at, when):
    backend = spoken()
    backend.world.user()
    unclear = FaultyDocuments(backend.world.documents, at=at, when=when, error=OutcomeUnknown())
    with contextlib.suppress(OutcomeUnknown):
        list(backend.on(unclear).run(backend.request(key="k")))
    backend.world.clock.advance(31_000)

    answered = answer_of(list(backend.on(backend.world.documents).run(backend.request(key="k"))))

    assert sum(backend.world.charges()) == answered.cost == COST == backend.world.spent(CREDIT)
    check_books(backend)


def test_fifty_at_once_with_one_key_are_one_call():
    backend = spoken(clock=SystemClock())
    backend.world.user()
    gate, answers = threading.Barrier(50), list[object]()

    def call() -> None:
        gate.wait(60)
        answers.append(backend.ask(key="k").answer)

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)

    assert len(answers) == 50
    assert all(each == answers[0] for each in answers)
    assert len(backend.upstream.requests) == 1
    assert backend.world.charges() == [COST]
    check_books(backend)


# auto --------------------------------------------------------------------------------------------------------------


def choosing(*first: Scripted) -> OpenAIBackend:
    """Two models, the dearer one better; the first call is answered as given, all others well."""
    backend = OpenAIBackend()
    backend.upstream.scripts = {"/chat/completions": [list(first), completion(" one", " two", " three", usage=(12, 3))]}
    better = {**CHEAP, "output_usd_per_mtok": "4", "quality": 10, "speed": 10, "capabilities": ["tools"]}
    backend.world.catalogue.put("better", better)
    backend.world.user()
    return backend


def test_auto_asks_the_best_model_and_says_which_and_why():
    backend = choosing(*completion(" one", usage=(12, 1)))

    answered = answer_of(list(backend.call.run(replace(backend.request(), model="auto"))))

    assert backend.upstream.requests[0][1]["model"] == "better"
    assert answered.answer["credits"]["model"] == "better"
    assert "points among 2 models" in answered.answer["credits"]["choice"]


def test_auto_takes_a_model_that_can_what_the_request_needs():
    backend = choosing(*completion(" one", usage=(12, 1)))
    backend.world.catalogue.put("better", {**CHEAP, "quality": 10, "speed": 10})
    backend.world.catalogue.put("cheap", {**CHEAP, "capabilities": ["tools"]})
    tools = [{"type": "function", "function": {"name": "f"}}]

    list(backend.call.run(replace(backend.request(tools=tools), model="auto")))

    assert backend.upstream.requests[0][1]["model"] == "cheap"


def test_auto_prices_an_image_by_each_models_formula():
    backend = choosing(*completion(" one", usage=(12, 1)))
    sees = {"capabilities": ["vision"], "context_window": 100_000}
    backend.world.catalogue.put("cheap", {**CHEAP, **sees, "image_tokens": {"base": 2_833, "tile": 5_667}})
    backend.world.catalogue.put(
        "better", {**CHEAP, **sees, "input_usd_per_mtok": "9", "image_tokens": {"base": 85, "tile": 170}}
    )
    backend.world.user(amount=50 * CREDIT)
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    asked = backend.request(messages=[{"role": "user", "content": [picture]}])

    answered = answer_of(list(backend.call.run(replace(asked, model="auto"))))

    assert answered.answer["credits"]["model"] == "better"


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("key", ["", "k"])
def test_auto_asks_the_next_model_when_one_fails_before_the_first_token_and_charges_once(is_streamed, key):
    backend = choosing(UpstreamUnavailable())
    request = replace(backend.request(is_streamed=is_streamed, key=key), model="auto")

    answered = answer_of(list(backend.call.run(request)))

    assert [body["model"] for _, body in backend.upstream.requests] == ["better", "cheap"]
    assert content_of(answered) == " one two three"
    assert backend.world.charges() == [COST] == [answered.cost]
    check_books(backend)


def test_a_model_at_a_provider_that_is_not_set_up_is_unavailable():
    backend = spoken()
    backend.world.user()
    backend.world.catalogue.put("cheap", {**CHEAP, "upstream": "elsewhere"})

    with pytest.raises(UpstreamUnavailable):
        backend.ask()

    assert backend.upstream.requests == []
    assert backend.world.spent(CREDIT) == 0
