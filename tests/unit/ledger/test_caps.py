"""Caps inside an account: budgets, and the rate of spending calls."""

from dataclasses import replace

import pytest

from shared.kernel.money import Micro
from shared.ledger.account import BUDGETS_KEPT_MAX, BUDGETS_MAX, Budget
from shared.ledger.commands import BudgetClaim, RateLimit
from shared.ledger.decide import decide
from shared.ledger.errors import BudgetExceeded, LimitReached, RateLimited
from tests.support.books import KID, MINUTE, NOW, Books, capture, charge, extend, grant, hold, release


@pytest.fixture
def books() -> Books:
    books = Books()
    books.do(grant("gift", 1_000))
    return books


def cap(limit, name="key", expires_at=None):
    return (BudgetClaim(id=name, limit=Micro(limit), expires_at=expires_at),)


def test_a_cap_is_exact(books):
    books.do(charge(60, budgets=cap(100)))
    books.do(hold("h", 40, budgets=cap(100)))

    with pytest.raises(BudgetExceeded) as refusal:
        books.do(charge(1, budgets=cap(100)))

    assert refusal.value.params == {"budget": "key", "limit": 100, "used": 60, "held": 40, "required": 1}


def test_what_a_hold_gives_back_may_be_used_again(books):
    books.do(hold("h", 100, budgets=cap(100)))
    books.do(capture("h", 30))

    books.do(charge(70, budgets=cap(100)))

    assert books.account.budgets == {"key": Budget(id="key", limit=100, used=100, held=0)}


def test_a_released_hold_uses_nothing_of_its_cap(books):
    books.do(hold("h", 100, budgets=cap(100)))
    books.do(release("h"))

    assert books.account.budgets["key"] == Budget(id="key", limit=100)


def test_every_cap_that_a_hold_names_counts(books):
    both = (*cap(100, "key"), *cap(50, "task"))
    books.do(hold("h", 50, budgets=both))

    with pytest.raises(BudgetExceeded, match="cap"):
        books.do(hold("h2", 1, budgets=both))
    books.do(hold("h3", 50, budgets=cap(100, "key")))


def test_the_limit_follows_the_latest_claim(books):
    books.do(charge(60, budgets=cap(100)))

    with pytest.raises(BudgetExceeded):
        books.do(charge(1, budgets=cap(50)))
    books.do(charge(140, budgets=cap(200)))

    assert books.account.budgets["key"].used == 200


def test_an_extension_stays_within_the_caps_of_its_hold(books):
    books.do(hold("h", 80, budgets=cap(100)))

    assert books.said(extend("h", 50))["added"] == 20


def test_a_capture_beyond_its_hold_stays_within_the_cap_and_we_bear_the_rest(books):
    books.do(hold("h", 80, budgets=cap(100)))

    said = books.said(capture("h", 150))

    assert said == {"hold": "h", "captured": 100, "absorbed": 50, "released": 0}
    assert books.account.budgets["key"].used == 100


def test_a_cap_is_forgotten_after_its_time(books):
    books.do(charge(100, budgets=cap(100, expires_at=NOW + MINUTE)))
    books.now += MINUTE

    books.do(charge(100, budgets=cap(100, expires_at=NOW + 2 * MINUTE)))

    assert books.account.budgets["key"].used == 100


def test_a_cap_that_an_open_hold_names_is_not_forgotten(books):
    books.do(hold("h", 60, budgets=cap(100, expires_at=NOW + MINUTE)))
    books.now += 2 * MINUTE

    with pytest.raises(BudgetExceeded):
        books.do(charge(41, budgets=cap(100, expires_at=NOW + 3 * MINUTE)))
    books.do(capture("h", 60))

    assert books.account.budgets["key"].used == 60


@pytest.mark.parametrize("spend", [charge, lambda amount, **more: hold("h", amount, **more)], ids=["charge", "hold"])
def test_a_cap_that_was_given_an_end_keeps_it_though_a_claim_names_none(books, spend):
    books.do(charge(60, budgets=cap(100, expires_at=NOW + MINUTE)))

    books.do(spend(10, budgets=cap(100)))

    assert books.account.budgets["key"].expires_at == NOW + MINUTE


def test_a_claim_s_own_end_replaces_the_one_before(books):
    books.do(charge(60, budgets=cap(100, expires_at=NOW + MINUTE)))

    books.do(charge(10, budgets=cap(100, expires_at=NOW + 2 * MINUTE)))

    assert books.account.budgets["key"] == Budget(id="key", limit=100, used=70, expires_at=NOW + 2 * MINUTE)


def test_a_cap_whose_end_is_past_begins_anew_and_without_end(books):
    books.do(charge(60, budgets=cap(100, expires_at=NOW + MINUTE)))
    books.now += MINUTE

    books.do(charge(100, budgets=cap(100)))

    assert books.account.budgets["key"] == Budget(id="key", limit=100, used=100)


def test_unused_caps_make_room_for_one_more(books):
    for number in range(BUDGETS_MAX):
        books.rush(charge(0, budgets=cap(1, f"key{number}")))

    books.do(charge(0, budgets=cap(1, "one_more")))

    assert books.account.budgets == {"one_more": Budget(id="one_more", limit=1)}


def test_caps_that_are_used_held_or_named_stay_when_room_is_made(books):
    books.do(charge(1, budgets=cap(1, "used")))
    books.do(hold("h", 1, budgets=cap(1, "held")))
    books.do(hold("empty", 0, budgets=cap(1, "named")))
    for number in range(BUDGETS_MAX):
        books.rush(charge(0, budgets=cap(1, f"key{number}")))

    books.do(charge(1, budgets=cap(1, "one_more")))
    books.do(release("empty"))

    assert {"used", "held", "named", "one_more"} <= books.account.budgets.keys()
    assert len(books.account.budgets) < BUDGETS_MAX
    with pytest.raises(BudgetExceeded):
        books.do(charge(1, budgets=cap(1, "used")))


def test_the_257th_used_cap_is_served_and_no_cap_is_filled_again(books):
    for number in range(BUDGETS_MAX + 10):
        books.rush(charge(1, budgets=cap(1, f"key{number}")))

    for number in range(BUDGETS_MAX + 10):
        with pytest.raises(BudgetExceeded):
            books.rush(charge(1, budgets=cap(1, f"key{number}")))


def test_the_used_caps_of_an_account_are_limited():
    books = Books()
    books.do(grant("gift", 10_000))
    used = {f"key{n}": Budget(id=f"key{n}", limit=1, used=1) for n in range(BUDGETS_KEPT_MAX)}
    books.account = replace(books.account, budgets=used)

    books.rush(charge(0, budgets=cap(1, "key0")))
    unused = {"key0": Budget(id="key0", limit=1)}
    room = replace(books.account, budgets={**used, **unused})
    decide(room, charge(1, budgets=cap(1, "one_more")), books.now, kid=KID)
    with pytest.raises(LimitReached, match="budgets"):
        books.rush(charge(1, budgets=cap(1, "one_more")))


def test_a_hold_refused_by_a_cap_leaves_no_trace_of_it(books):
    with pytest.raises(BudgetExceeded):
        books.do(hold("h", 2, budgets=cap(1)))

    assert books.account.budgets == {}


# The rate ----------------------------------------------------------------------------------------------------------

RATE = RateLimit(per_minute=60, burst=3)


def test_a_burst_is_let_through_and_then_one_call_a_second(books):
    for _ in range(3):
        books.do(charge(1, rate=RATE))

    with pytest.raises(RateLimited) as refusal:
        books.do(charge(1, rate=RATE))
    books.now += 1_000
    books.do(charge(1, rate=RATE))
    with pytest.raises(RateLimited):
        books.do(hold("h", 1, rate=RATE))

    assert refusal.value.params == {"retry_after_ms": 1_000}


def test_the_call_is_welcome_when_we_said_it_would_be(books):
    for _ in range(3):
        books.do(charge(1, rate=RATE))
    books.now += 400
    with pytest.raises(RateLimited) as refusal:
        books.do(charge(1, rate=RATE))

    books.now += refusal.value.params["retry_after_ms"]
    books.do(charge(1, rate=RATE))

    assert refusal.value.params == {"retry_after_ms": 600}


def test_a_quiet_minute_restores_the_burst_and_no_more(books):
    for _ in range(3):
        books.do(charge(1, rate=RATE))
    books.now += 10 * MINUTE

    for _ in range(3):
        books.do(charge(1, rate=RATE))
    with pytest.raises(RateLimited):
        books.do(charge(1, rate=RATE))


def test_a_refusal_does_not_count_against_the_rate(books):
    for _ in range(5):
        with pytest.raises(BudgetExceeded):
            books.do(charge(2, rate=RATE, budgets=cap(1)))

    assert books.account.tat == 0
