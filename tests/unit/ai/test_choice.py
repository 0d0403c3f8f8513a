"""The policy of `auto`, as a table: what is wanted, what is needed, what is there, and what is asked in which order."""

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ai.models.catalogue import parse_model
from shared.ai.models.choice import Needs, NoModelFits, Offer, Wish, ranked
from shared.kernel.money import Micro

SMALL = Needs(least_tokens=100, whole_tokens=500)


def model(model_id, *, quality=5, speed=5, window=8_000, capabilities=("chat",)):
    fields = {
        "kind": "chat",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "2",
        "context_window": window,
        "max_output_tokens": min(1_000, window),
        "quality": quality,
        "speed": speed,
        "capabilities": list(capabilities),
    }
    return parse_model(model_id, fields)


def offer(model_id, cost=100, *, is_ailing=False, **fields):
    return Offer(model=model(model_id, **fields), cost=Micro(cost), is_ailing=is_ailing)


BEST = offer("best", 400, quality=10, speed=4, capabilities=("chat", "tools", "vision"))
FAST = offer("fast", 100, quality=4, speed=10, capabilities=("chat", "tools"))
CHEAP = offer("cheap", 20, quality=3, speed=6)
ALL = (BEST, FAST, CHEAP)


@dataclass(frozen=True, kw_only=True)
class Case:
    wish: Wish = field(default_factory=Wish)
    needs: Needs = SMALL
    offers: tuple[Offer, ...] = ALL
    order: str


CASES = {
    "all weighed alike: 19/3, 16/3, 14.5/3 points": Case(order="cheap fast best"),
    "quality alone": Case(wish=Wish(quality=1, speed=0, price=0), order="best fast cheap"),
    "speed alone": Case(wish=Wish(quality=0, speed=1, price=0), order="fast cheap best"),
    "price alone": Case(wish=Wish(quality=0, speed=0, price=1), order="cheap fast best"),
    "quality and a little of the rest": Case(wish=Wish(quality=10, speed=1, price=1), order="best fast cheap"),
    "weights count by their ratio": Case(wish=Wish(quality=0, speed=10, price=0), order="fast cheap best"),
    "only what is allowed": Case(wish=Wish(allowed=frozenset({"best", "fast"})), order="fast best"),
    "what is allowed and is not there": Case(wish=Wish(allowed=frozenset({"best", "gone"})), order="best"),
    "no more than a message may cost": Case(
        wish=Wish(quality=1, speed=0, price=0, cost_max=Micro(100)), order="fast cheap"
    ),
    "exactly what it may cost": Case(wish=Wish(cost_max=Micro(20)), order="cheap"),
    "tools are needed": Case(
        needs=Needs(least_tokens=1, whole_tokens=1, capabilities=frozenset({"tools"})), order="fast best"
    ),
    "vision is needed": Case(
        needs=Needs(least_tokens=1, whole_tokens=1, capabilities=frozenset({"vision"})), order="best"
    ),
    "what does not fit is out, what cuts the conversation is last": Case(
        needs=Needs(least_tokens=4_000, whole_tokens=8_000),
        offers=(
            offer("tiny", 1, window=4_000),
            offer("short", 1, quality=10, window=8_000),
            offer("long", 9, window=8_001),
        ),
        order="long short",
    ),
    "who failed just now is last": Case(
        offers=(offer("a", quality=10, is_ailing=True), offer("b", quality=1), offer("c", quality=2)), order="c b a"
    ),
    "who failed comes behind who cuts": Case(
        needs=Needs(least_tokens=1, whole_tokens=8_000),
        offers=(offer("ailing", window=9_000, is_ailing=True), offer("short")),
        order="short ailing",
    ),
    "all failed: the best of them all the same": Case(
        offers=(offer("a", quality=2, is_ailing=True), offer("b", quality=3, is_ailing=True)), order="b a"
    ),
    "equal points: the cheaper": Case(
        wish=Wish(quality=1, speed=0, price=0), offers=(offer("a", 3), offer("b", 2)), order="b a"
    ),
    "equal in all: by name": Case(offers=(offer("b"), offer("a")), order="a b"),
    "what is free is the cheapest, beside which all else has no points": Case(
        wish=Wish(quality=0, speed=0, price=1), offers=(offer("dear", 9), offer("free", 0)), order="free dear"
    ),
    "all free": Case(offers=(offer("a", 0, quality=1), offer("b", 0, quality=2)), order="b a"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_policy(case):
    assert " ".join(choice.model.id for choice in ranked(case.offers, case.wish, case.needs)) == case.order


NOTHING_FITS = {
    "there are no models": (Wish(), SMALL, (), {}),
    "none is allowed": (Wish(allowed=frozenset({"gone"})), SMALL, ALL, {"not_allowed": 3}),
    "all are too dear": (Wish(cost_max=Micro(1)), SMALL, ALL, {"too_expensive": 3}),
    "each for its own reason": (
        Wish(allowed=frozenset({"best", "cheap", "small"}), cost_max=Micro(100)),
        Needs(least_tokens=2, whole_tokens=2, capabilities=frozenset({"tools"})),
        (*ALL, offer("small", window=2, capabilities=("tools",))),
        {"too_expensive": 1, "not_allowed": 1, "incapable": 1, "too_small": 1},
    ),
}


@pytest.mark.parametrize(("wish", "needs", "offers", "why"), NOTHING_FITS.values(), ids=NOTHING_FITS.keys())
def test_when_nothing_fits_it_says_why(wish, needs, offers, why):
    with pytest.raises(NoModelFits) as refusal:
        ranked(offers, wish, needs)

    assert refusal.value.params == why


def test_the_reason_tells_the_points():
    choices = ranked(ALL, Wish(quality=2), SMALL)

    assert [choice.reason for choice in choices] == [
        "6.1 of 10 points among 3 models; quality 10 × 2, speed 4 × 1, price 0.5 × 1",
        "5.5 of 10 points among 3 models; quality 3 × 2, speed 6 × 1, price 10.0 × 1",
        "5.0 of 10 points among 3 models; quality 4 × 2, speed 10 × 1, price 2.0 × 1",
    ]


def test_the_reason_tells_what_speaks_against_it_all_the_same():
    (choice,) = ranked([offer("a", window=400, is_ailing=True)], Wish(), SMALL)

    assert choice.reason.endswith("; no model takes the whole conversation; its upstream has failed just before")


offers = st.builds(
    offer,
    st.text("abc", min_size=1, max_size=3),
    st.integers(0, 50),
    is_ailing=st.booleans(),
    quality=st.integers(1, 10),
    speed=st.integers(1, 10),
    window=st.integers(1, 60),
)
wishes = st.builds(
    Wish,
    quality=st.integers(1, 10),
    speed=st.integers(0, 10),
    price=st.integers(0, 10),
    cost_max=st.none() | st.integers(0, 50).map(Micro),
)


@given(offers=st.lists(offers, max_size=6, unique_by=lambda each: each.model.id), wish=wishes, size=st.integers(0, 60))
def test_the_order_of_the_offers_changes_nothing_and_nothing_unfit_is_asked(offers, wish, size):
    needs = Needs(least_tokens=size // 2, whole_tokens=size)
    fit = [each for each in offers if each.model.context_window > size // 2]
    fit = [each for each in fit if wish.cost_max is None or each.cost <= wish.cost_max]
    try:
        choices = ranked(offers, wish, needs)
    except NoModelFits:
        choices = []

    assert {choice.model.id for choice in choices} == {each.model.id for each in fit}
    if choices:
        assert ranked(offers[::-1], wish, needs) == choices


@given(cost=st.integers(1, 10**9), more=st.integers(0, 10**9))
def test_more_money_is_never_more_points(cost, more):
    price_alone = Wish(quality=0, speed=0, price=1)
    choices = ranked([offer("a", cost), offer("b", cost + more)], price_alone, SMALL)

    assert [choice.model.id for choice in choices] == ["a", "b"]
    assert Fraction(cost, cost + more) <= 1
