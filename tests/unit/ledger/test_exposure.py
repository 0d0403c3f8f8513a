"""Calls admitted on an expectation: what their inputs may cost beyond it stays free for them."""

import orjson
import pytest

from shared.kernel.ids import HoldId, LotId
from shared.kernel.money import Micro
from shared.ledger.account import ABSORBED_KEYS_MAX, AbsorbedAmounts
from shared.ledger.codec import decode_account, encode_account
from shared.ledger.commands import Accrue, BudgetClaim, CallBound
from shared.ledger.entries import Draft, Posting
from shared.ledger.errors import BudgetExceeded, InsufficientCredits
from shared.ledger.exposure import (
    ABSORBED_AT_ONCE_MAX,
    ABSORBED_MAX,
    ABSORBED_WINDOW,
    INPUT_RISK_ALONE_MAX,
    KEY_CEILINGS_FROM,
    USER_CEILINGS_FROM,
    is_held_at_ceilings,
    risk_allowed,
    window_of,
)
from shared.ledger.fold import apply
from tests.support.books import (
    MINUTE,
    UID,
    Books,
    adjust,
    asked,
    call,
    capture,
    charge,
    expire,
    extend,
    freeze,
    grant,
    hold,
    release,
)

KEY = "key:k1"


@pytest.fixture
def books() -> Books:
    """An account of 1,000 µcr that may take no risk: another call of the user takes all that is allowed."""
    books = Books()
    books.do(hold("risky", **call(0, expected=0, at_most=ABSORBED_AT_ONCE_MAX)))
    books.do(grant("gift", 1_000))
    return books


def cap(limit: int, name: str = "cap") -> tuple[BudgetClaim, ...]:
    return (BudgetClaim(id=name, limit=Micro(limit)),)


def test_a_call_whose_bound_fits_holds_what_is_expected(books):
    said = books.said(hold("h", **call(100, expected=40, at_most=940)))

    assert said["amount"] == 100
    assert (books.account.holds[HoldId("h")].input_at_most, books.account.holds[HoldId("h")].input_held) == (940, 40)


def test_a_call_whose_bound_does_not_fit_is_refused_without_risk(books):
    with pytest.raises(InsufficientCredits) as refusal:
        books.do(hold("h", **call(100, expected=40, at_most=941)))

    assert refusal.value.params == {"available": 1_000, "held": 0, "required": 1_001}


def test_the_bounds_of_all_open_calls_fit_together(books):
    books.do(hold("a", **call(100, expected=100, at_most=500)))

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(hold("b", **call(100, expected=100, at_most=501)))
    said = books.said(hold("b", **call(100, expected=100, at_most=500)))

    assert refusal.value.params == {"available": 500, "held": 500, "required": 501}
    assert said["amount"] == 100


def test_a_call_that_ended_exposes_nothing_any_more(books):
    books.do(hold("a", **call(100, expected=100, at_most=900)))
    books.do(release("a"))

    assert books.said(hold("b", **call(100, expected=100, at_most=900)))["amount"] == 100


def test_what_open_calls_are_exposed_to_cannot_be_spent():
    books = rich_in_risk(1_000)
    books.do(hold("a", **call(100, expected=100, at_most=600)))

    for spend in (charge(401), hold("reserved", 401, is_reservation=True), hold("plain", 401)):
        with pytest.raises(InsufficientCredits) as refusal:
            books.do(spend)
        assert refusal.value.params == {"available": 400, "held": 600, "required": 401}
    books.do(charge(400))
    books.do(capture("a", 600))

    assert books.balance()["available"] == 0


def test_a_reservation_captures_no_more_than_open_calls_leave():
    books = rich_in_risk(1_000)
    books.do(hold("reserved", 10, is_reservation=True))
    books.do(hold("a", **call(100, expected=100, at_most=600)))

    said = books.said(capture("reserved", 1_000))

    assert (said["captured"], said["absorbed"]) == (400, 0)


def test_a_hold_grows_into_what_no_call_is_exposed_to(books):
    books.do(hold("a", **call(100, expected=100, at_most=600)))

    assert books.said(extend("a", 1_000))["added"] == 400
    with pytest.raises(InsufficientCredits) as refusal:
        books.do(extend("a", 1, at_least=1))
    said = books.said(capture("a", 1_000))

    assert refusal.value.params == {"available": 0, "held": 500, "required": 1}
    assert (said["captured"], said["absorbed"]) == (1_000, 0)


def test_a_refused_growth_counts_other_calls_exposures_as_held(books):
    books.do(hold("a", **call(100, expected=100, at_most=600)))
    books.do(hold("b", **call(300, expected=300, at_most=400)))

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(extend("b", 200, at_least=1))

    assert refusal.value.params == {"available": 0, "held": 900, "required": 1}


def test_a_true_bound_is_paid_whole_and_nothing_is_absorbed(books):
    books.do(hold("a", **call(100, expected=100, at_most=500)))
    books.do(hold("b", **call(100, expected=100, at_most=500)))

    paid = [books.said(capture(name, 500)) for name in ("a", "b")]

    assert [(said["captured"], said["absorbed"]) for said in paid] == [(500, 0), (500, 0)]


# Caps --------------------------------------------------------------------------------------------------------------


def test_a_cap_has_room_for_the_bound_or_refuses_and_says_it(books):
    with pytest.raises(BudgetExceeded) as refusal:
        books.do(hold("h", **call(50, expected=20, at_most=71), budgets=cap(100)))
    books.do(hold("h", **call(50, expected=20, at_most=70), budgets=cap(100)))

    assert refusal.value.params == {"budget": "cap", "limit": 100, "used": 0, "held": 0, "required": 101}
    assert books.account.holds[HoldId("h")].amount == 50


def test_a_cap_keeps_what_its_open_calls_are_exposed_to(books):
    books.do(hold("a", **call(20, expected=20, at_most=60), budgets=cap(100)))
    books.do(hold("of_another", **call(20, expected=20, at_most=60), budgets=cap(100, "other")))

    with pytest.raises(BudgetExceeded) as refusal:
        books.do(hold("b", **call(10, expected=10, at_most=41), budgets=cap(100)))
    books.do(hold("b", **call(10, expected=10, at_most=40), budgets=cap(100)))
    paid = [books.said(capture(name, amount))["captured"] for name, amount in (("a", 60), ("b", 40))]

    assert refusal.value.params == {"budget": "cap", "limit": 100, "used": 0, "held": 60, "required": 41}
    assert paid == [60, 40]
    assert books.account.budgets["cap"].used == 100


def test_a_cap_allows_no_risk():
    books = Books()
    books.do(grant("gift", 1_000))

    with pytest.raises(BudgetExceeded):
        books.do(hold("h", **call(50, expected=50, at_most=101), budgets=cap(100)))


def test_a_hold_grows_under_its_cap_but_not_into_exposures(books):
    books.do(hold("a", **call(20, expected=20, at_most=60), budgets=cap(100)))

    assert books.said(extend("a", 100))["added"] == 40


def test_a_call_beyond_its_bound_is_paid_beyond_the_cap_and_says_so(books):
    books.do(hold("h", **call(50, expected=20, at_most=70), budgets=cap(100)))

    said = books.said(capture("h", 130))

    assert said == {"hold": "h", "captured": 130, "absorbed": 0, "beyond_cap": 30, "released": 0}
    assert books.bodies[-1]["hold"] == {"id": "h", "end": "captured", "beyond_cap": 30}
    assert books.account.budgets["cap"].used == 130


def test_a_part_of_a_call_beyond_its_cap_says_so(books):
    books.do(hold("h", **call(50, expected=20, at_most=70), budgets=cap(100)))

    said = books.said(capture("h", 130, is_final=False))

    assert said["beyond_cap"] == books.bodies[-1]["hold"]["beyond_cap"] == 30


def test_what_the_balance_cannot_pay_is_absorbed_when_a_bound_is_false(books):
    books.do(hold("h", **call(50, expected=20, at_most=70), budgets=cap(100)))

    said = books.said(capture("h", 1_200))

    assert (said["captured"], said["absorbed"], said["beyond_cap"]) == (1_000, 200, 900)


def test_a_hold_without_a_bound_stays_within_its_cap():
    books = rich_in_risk(1_000)
    books.do(hold("h", 50, budgets=cap(100)))

    said = books.said(capture("h", 130))

    assert said == {"hold": "h", "captured": 100, "absorbed": 30, "released": 0}


# Risk --------------------------------------------------------------------------------------------------------------


def rich_in_risk(amount: int) -> Books:
    books = Books()
    books.do(grant("gift", amount))
    return books


def test_a_balance_short_of_the_bound_holds_all_that_is_free():
    books = rich_in_risk(100)

    said = books.said(hold("h", **call(30, expected=20, at_most=200)))

    assert said["amount"] == 100
    assert (books.account.holds[HoldId("h")].input_at_most, books.account.holds[HoldId("h")].input_held) == (200, 90)


def test_a_hold_of_all_that_is_free_leaves_other_calls_theirs():
    books = rich_in_risk(100)
    books.do(hold("a", **call(10, expected=10, at_most=50)))

    said = books.said(hold("b", **call(20, expected=20, at_most=200)))

    assert said["amount"] == 50


def test_an_expectation_is_held_even_where_little_is_free():
    books = rich_in_risk(100)
    books.do(hold("a", **call(10, expected=10, at_most=90)))

    assert books.said(hold("b", **call(20, expected=20, at_most=200)))["amount"] == 20


def test_an_expectation_that_is_not_there_is_refused():
    books = rich_in_risk(100)

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(hold("h", **call(101, expected=20, at_most=20)))

    assert refusal.value.params["required"] == 101


def test_the_risk_is_what_the_platform_can_lose_and_no_more():
    books = rich_in_risk(100)
    most = 100 + INPUT_RISK_ALONE_MAX

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(hold("h", **call(100, expected=100, at_most=most + 1)))
    books.do(hold("h", **call(100, expected=100, at_most=most)))
    said = books.said(capture("h", most))

    assert refusal.value.params["required"] == 101
    assert said["absorbed"] == INPUT_RISK_ALONE_MAX
    assert risk_allowed(books.account, books.now, is_alone=True) == 0


def test_only_call_is_admitted_on_its_expectation_with_all_that_is_free():
    """A Russian question whose bytes are five times its tokens, asked with little more than it costs."""
    books = rich_in_risk(1_500)

    books.do(hold("h", **call(1_160, expected=1_160, at_most=6_462)))

    assert books.account.holds[HoldId("h")].amount == 1_500


def test_calls_at_once_may_risk_less_than_one_alone():
    books = rich_in_risk(100)
    books.do(hold("a", **call(0, expected=0, at_most=100)))

    with pytest.raises(InsufficientCredits):
        books.do(hold("b", **call(0, expected=0, at_most=ABSORBED_AT_ONCE_MAX + 1)))
    books.do(hold("b", **call(0, expected=0, at_most=ABSORBED_AT_ONCE_MAX)))


def test_a_risk_taken_by_one_call_is_not_there_for_the_next():
    books = rich_in_risk(100)
    books.do(hold("a", **call(0, expected=0, at_most=100 + ABSORBED_AT_ONCE_MAX - 10)))
    books.do(grant("more", 100))

    with pytest.raises(InsufficientCredits):
        books.do(hold("b", **call(0, expected=0, at_most=111)))
    books.do(hold("b", **call(0, expected=0, at_most=110)))


def test_what_costs_nothing_is_admitted_though_more_is_exposed_than_there_is():
    books = rich_in_risk(100)
    books.do(hold("a", **call(0, expected=0, at_most=100 + ABSORBED_MAX)))

    books.do(hold("free", **call(0, expected=0, at_most=0)))
    books.do(hold("empty", 0))


def test_reservations_and_charges_take_no_risk():
    books = rich_in_risk(1_000)
    books.do(hold("a", **call(0, expected=0, at_most=10)))

    for spend in (charge(991), hold("reserved", 991, is_reservation=True)):
        with pytest.raises(InsufficientCredits):
            books.do(spend)
    books.do(charge(990))


def test_a_hold_may_grow_into_the_risk():
    books = rich_in_risk(1_000)
    books.do(hold("a", **call(10, expected=10, at_most=500)))

    assert books.said(extend("a", 10_000))["added"] == 990


def test_what_was_absorbed_lowers_the_risk_until_the_window_ends():
    books = rich_in_risk(100)
    books.do(hold("a", 0))
    books.do(capture("a", 150))

    assert risk_allowed(books.account, books.now, is_alone=True) == ABSORBED_MAX - 50
    assert risk_allowed(books.account, books.now + ABSORBED_WINDOW, is_alone=True) == ABSORBED_MAX


# Output that is billed to its end ----------------------------------------------------------------------------------


def endless(amount: int, *, output: int, expected: int = 0, at_most: int | None = None):
    """A call whose provider bills all the output that was asked for, whoever reads it."""
    bounded = call(amount, expected=expected, at_most=expected if at_most is None else at_most)
    bound = bounded["call"]
    endless = CallBound(
        input_held=bound.input_held,
        input_at_most=bound.input_at_most,
        at_most=Micro(bound.input_at_most + output),
        output_at_most=Micro(output),
    )
    return {"amount": amount, "call": endless}


def test_output_that_is_billed_to_its_end_is_kept_free_and_no_more_is_asked_for():
    books = rich_in_risk(1_000)
    said = books.said(hold("h", **endless(50, expected=20, at_most=70, output=100)))

    assert said["affordable"] == 20 + 100
    assert books.account.holds[HoldId("h")].output_at_most == 100
    with pytest.raises(InsufficientCredits):
        books.do(charge(1_000 - 70 - 100 + 1))
    books.do(charge(1_000 - 70 - 100))
    assert books.said(capture("h", 170))["absorbed"] == 0


def test_output_that_ends_with_its_call_is_not_bounded(books):
    said = books.said(hold("h", **call(50, expected=20, at_most=70)))

    assert "affordable" not in said
    assert books.account.holds[HoldId("h")].output_at_most is None


def test_the_only_call_asks_for_half_of_what_is_free_and_others_for_a_quarter():
    books = rich_in_risk(1_000)

    first = books.said(hold("a", **endless(100, output=10_000)))
    second = books.said(hold("b", **endless(100, output=10_000)))

    assert first["affordable"] == 100 + 900 // 2
    assert second["affordable"] == 100 + 300
    assert books.balance()["held"] == 200


def test_a_share_is_of_what_other_calls_leave():
    books = rich_in_risk(1_000)

    first = books.said(hold("a", **endless(1, output=10_000)))
    second = books.said(hold("b", **endless(1, output=10_000)))

    assert first["affordable"] == 1 + 999 // 2
    assert second["affordable"] == 1 + (1_000 - 500 - 1) // 4


def test_the_risk_bounds_what_is_asked_beyond_a_share(books):
    assert books.said(hold("h", **endless(240, output=10_000)))["affordable"] == 240 + 760 // 2


def test_little_that_is_free_allows_some_times_the_expected_output():
    books = rich_in_risk(1_000)

    said = books.said(hold("a", **endless(240, output=10_000)))

    assert said["affordable"] == min(4 * 240, 240 + 760)


def test_no_output_is_asked_for_that_the_whole_balance_cannot_pay():
    books = rich_in_risk(1_000)

    said = books.said(hold("a", **endless(900, output=10_000)))

    assert said["affordable"] == 1_000


def test_a_hold_grows_into_what_its_own_output_keeps_free():
    books = rich_in_risk(1_000)
    books.do(hold("h", **endless(50, output=550)))
    books.do(charge(450))

    assert books.said(extend("h", 10_000))["added"] == 500


def test_a_hold_grows_into_its_own_output_where_nothing_else_is_free(books):
    books.do(hold("a", **endless(50, output=550)))
    books.do(hold("b", **call(800, expected=800, at_most=800)))

    assert books.said(extend("a", 10_000))["added"] == 150


def test_output_under_a_cap_leaves_what_is_used_held_and_exposed():
    books = rich_in_risk(10_000)
    books.do(charge(20, budgets=cap(100)))
    books.do(hold("a", **call(10, expected=10, at_most=30), budgets=cap(100)))

    said = books.said(hold("b", **endless(20, output=1_000), budgets=cap(100)))

    assert said["affordable"] == 100 - 20 - 10 - 20


def test_output_under_a_cap_keeps_it_for_itself():
    books = rich_in_risk(10_000)
    said = books.said(hold("a", **endless(10, expected=5, at_most=15, output=1_000), budgets=cap(100)))

    with pytest.raises(BudgetExceeded) as refusal:
        books.do(hold("b", **call(41, expected=41, at_most=41), budgets=cap(100)))
    books.do(hold("b", **call(40, expected=40, at_most=40), budgets=cap(100)))
    grown = books.said(extend("a", 1_000))["added"]
    paid = books.said(capture("a", 15 + 45))

    assert said["affordable"] == 5 + 5 + 80 // 2
    assert refusal.value.params["held"] == 60
    assert grown == 40
    assert (paid["captured"], "beyond_cap" in paid) == (60, False)


def test_an_output_that_a_cap_cannot_pay_is_asked_for_as_expected(books):
    said = books.said(hold("a", **endless(100, output=1_000), budgets=cap(100)))

    assert said["affordable"] == 100


def test_output_at_ceilings_is_held_whole():
    books = absorbing(USER_CEILINGS_FROM + 1)

    said = books.said(hold("next", **endless(10, expected=5, output=900)))

    assert (said["amount"], said["affordable"]) == (905, 905)
    assert books.account.holds[HoldId("next")].exposure == 0


# Ceilings ----------------------------------------------------------------------------------------------------------


def absorbing(amount: int, *, principal: str = UID) -> Books:
    books = rich_in_risk(0 + 1)
    books.do(hold("h", 0, principal=principal, tags=(("model", "m1"),)))
    books.do(capture("h", amount + 1))
    books.do(grant("more", 10_000))
    return books


def test_absorbed_amounts_are_summed_in_the_state_by_user_and_key():
    books = absorbing(50, principal=KEY)
    window = window_of(books.now)

    assert books.account.absorbed == {
        UID: AbsorbedAmounts(principal=UID, window=window, amount=50, most=50),
        KEY: AbsorbedAmounts(principal=KEY, window=window, amount=50, most=50),
    }
    assert books.bodies[2]["hold"] == {
        "id": "h",
        "end": "captured",
        "principal": KEY,
        "model": "m1",
        "window": window,
    }


def test_a_user_s_own_call_is_summed_once():
    assert absorbing(50).account.absorbed.keys() == {UID}


def test_a_new_window_sums_anew_and_remembers_the_most():
    books = absorbing(50)
    books.now += ABSORBED_WINDOW
    books.do(hold("next", 0, principal=UID))
    books.do(capture("next", 10_020))

    window = window_of(books.now)
    assert books.account.absorbed == {UID: AbsorbedAmounts(principal=UID, window=window, amount=20, most=50)}


@pytest.mark.parametrize(("amount", "at_ceilings"), [(USER_CEILINGS_FROM, False), (USER_CEILINGS_FROM + 1, True)])
def test_a_user_beyond_the_limit_is_held_at_ceilings(amount, at_ceilings):
    books = absorbing(amount)

    said = books.said(hold("next", **call(10, expected=5, at_most=5, ceiling=900), principal=UID))

    assert is_held_at_ceilings(books.account, UID) is at_ceilings
    assert is_held_at_ceilings(books.account, KEY) is at_ceilings
    assert said["amount"] == (900 if at_ceilings else 10)
    assert (risk_allowed(books.account, books.now, is_alone=True) == 0) is at_ceilings


@pytest.mark.parametrize(("amount", "at_ceilings"), [(KEY_CEILINGS_FROM, False), (KEY_CEILINGS_FROM + 1, True)])
def test_a_key_beyond_its_limit_is_held_at_ceilings_alone(amount, at_ceilings):
    books = absorbing(amount, principal=KEY)

    held = {
        who: books.said(hold(who, **call(10, expected=5, at_most=5, ceiling=900), principal=who))["amount"]
        for who in (KEY, "key:k2", UID)
    }

    assert held == {KEY: 900 if at_ceilings else 10, "key:k2": 10, UID: 10}


def test_ceilings_stay_when_the_window_is_over():
    books = absorbing(USER_CEILINGS_FROM + 1)
    books.now += 10 * ABSORBED_WINDOW
    books.do(expire())

    assert is_held_at_ceilings(books.account, UID)
    assert risk_allowed(books.account, books.now, is_alone=True) == 0


def test_a_ceiling_that_is_not_there_is_refused_and_said():
    books = absorbing(USER_CEILINGS_FROM + 1)

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(hold("next", **call(10, expected=5, at_most=5, ceiling=10_001)))

    assert refusal.value.params == {"available": 10_000, "held": 0, "required": 10_001}


def test_a_ceiling_counts_against_the_cap():
    books = absorbing(USER_CEILINGS_FROM + 1)

    with pytest.raises(BudgetExceeded) as refusal:
        books.do(hold("next", **call(10, expected=5, at_most=5, ceiling=900), budgets=cap(899)))

    assert refusal.value.params["required"] == 900


def test_a_hold_that_is_no_call_has_no_ceiling():
    books = absorbing(USER_CEILINGS_FROM + 1)

    assert books.said(hold("reserved", 10, is_reservation=True))["amount"] == 10


def test_sums_of_keys_are_limited_and_the_smallest_goes_first():
    books = rich_in_risk(1)
    for number in range(ABSORBED_KEYS_MAX + 2):
        books.do(hold(f"h{number}", 0, principal=f"key:{number}"))
        books.do(capture(f"h{number}", 10 + (number != 7) + (number == 0)))

    sums = books.account.absorbed
    assert len(sums) == ABSORBED_KEYS_MAX
    assert UID in sums
    assert "key:7" not in sums


def test_the_user_s_own_sum_is_never_forgotten():
    books = rich_in_risk(1)
    for number in range(ABSORBED_KEYS_MAX + 2):
        books.do(hold(f"h{number}", 0, principal=f"key:{number}"))
        books.do(capture(f"h{number}", 10 + (number == 0)))
        books.now += ABSORBED_WINDOW

    assert UID in books.account.absorbed


# What was stored before --------------------------------------------------------------------------------------------


def test_a_state_without_the_new_facts_reads_and_writes_as_before(books):
    books.do(release("risky"))
    books.do(hold("h", 10, budgets=cap(100)))
    text = encode_account(books.account)

    state = orjson.loads(text)

    assert "absorbed" not in state
    assert {"input_at_most", "input_held", "model"}.isdisjoint(state["holds"][0])
    assert decode_account(text) == books.account


def test_an_absorbed_entry_older_than_the_sums_adds_nothing():
    books = rich_in_risk(1_000)
    books.do(hold("h", 10))
    postings = (Posting("held", "revenue:chat", 10, LotId("gift")), Posting("absorbed", "revenue:chat", 5))
    facts = {"hold": {"id": "h", "end": "captured", "principal": "me"}}
    draft = Draft(kind="charge", operation="o", at=books.now, postings=postings, facts=facts)

    after, _ = apply(books.account, draft, books.archive)

    assert after.absorbed == {}


def test_a_correction_by_an_operator_may_take_what_calls_are_exposed_to(books):
    books.do(hold("a", **call(100, expected=100, at_most=600)))

    books.do(adjust(-900))

    assert books.balance()["available"] == 0


# What is written down ----------------------------------------------------------------------------------------------


def accrue(name: str, accrued: int) -> Accrue:
    return Accrue(**asked(), hold=HoldId(name), accrued=Micro(accrued), lifetime=15 * MINUTE)


def test_an_input_s_bound_that_is_written_down_is_held_from_what_was_kept_free():
    books = rich_in_risk(1_000)
    books.do(hold("h", **endless(50, expected=20, at_most=70, output=100)))

    said = books.said(accrue("h", 170))

    assert (said["accrued"], said["added"]) == (100, 50)
    held = books.account.holds[HoldId("h")]
    assert (held.amount, held.input_held, held.exposure, held.output_exposure) == (100, 70, 70, 70)


def test_no_more_is_held_than_is_written_down():
    books = rich_in_risk(1_000)
    books.do(hold("h", **endless(50, expected=20, at_most=70, output=100)))

    books.do(accrue("h", 90))

    held = books.account.holds[HoldId("h")]
    assert (held.amount, held.input_held, held.exposure, held.output_exposure) == (90, 60, 80, 70)


def test_nothing_beyond_the_bound_is_held_when_more_is_written_down():
    books = rich_in_risk(1_000)
    books.do(hold("h", **call(50, expected=20, at_most=70)))

    said = books.said(accrue("h", 900))

    assert (said["accrued"], said["added"]) == (100, 50)


def test_a_frozen_account_lets_what_was_kept_free_be_held():
    books = rich_in_risk(1_000)
    books.do(hold("h", **call(50, expected=20, at_most=70), budgets=cap(100)))
    books.do(freeze())

    assert books.said(accrue("h", 100))["added"] == 50
    books.now += 16 * MINUTE
    books.do(expire())

    assert books.postings() == [("held", "revenue:chat", 100, "gift")]
    assert books.account.budgets["cap"].used == 100
