"""Choosing a model for whoever asks for `auto`. Pure: the policy is `ranked`, and its table of cases is a test.

1. A model is out if the user does not allow it, if it lacks what the request needs (tools, vision), if the new message
   does not fit into its window, or if the message would cost more on it than the user wants to pay for one.
2. The rest is ordered by a score from 0 to 10: the mean of quality, speed and price, each weighted as the user says.
   Quality and speed stand in the model's document, from 1 to 10; price is 10 for the cheapest and falls as 1 ÷ price.
3. A model whose window would cut the conversation comes behind all that take it whole, and one whose upstream has just
   failed behind all others. Equal ones come by price, then by name.

The first is asked; if its upstream fails before the first token, the next, as the user has paid nothing by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from shared.ai.image_tokens import WINDOW_TOKENS, PromptImage
from shared.ai.models import RANK_MAX, Model
from shared.kernel.errors import Rejected
from shared.kernel.money import Micro

POINTS_MAX = RANK_MAX
WEIGHT_MAX = 10
ATTEMPTS_MAX = 3
"""So many models a turn asks at most, one after the other."""


class NoModelFits(Rejected):
    """`auto` found no model that the user allows and that the request fits; `params` count why each was out."""

    code = "no_model_fits"

    def __init__(self, out: Mapping[str, int]) -> None:
        super().__init__("No model that you allow fits this request.", **out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user wants of `auto`: weights of 0 to WEIGHT_MAX, not all 0; the models they allow (None: all of them);
    and how much one message may cost (µcr).
    """

    quality: int = 1
    speed: int = 1
    price: int = 1
    allowed: frozenset[str] | None = None
    cost_max: Micro | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a request needs: tokens that must fit, tokens of the whole conversation, capabilities by name."""

    least_tokens: int
    whole_tokens: int
    capabilities: frozenset[str] = frozenset()
    images: tuple[PromptImage, ...] = ()
    """Those among the tokens, each with WINDOW_TOKENS."""

    def input_tokens(self, model: Model) -> int:
        """Return how many tokens this model is expected to bill for the input."""
        more = sum(model.image_formula.expected(image) - WINDOW_TOKENS for image in self.images)
        return max(0, min(self.whole_tokens, model.context_window) + more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One model: what the message would cost on it (µcr), and whether its upstream has just failed."""

    model: Model
    cost: Micro
    is_ailing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model to ask, and why it: a sentence for the user."""

    model: Model
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    offer: Offer
    is_cut: bool
    price: Fraction
    score: Fraction = field(default=Fraction(0))

    @property
    def order(self) -> tuple[bool, bool, Fraction, int, str]:
        offer = self.offer
        return offer.is_ailing, self.is_cut, -self.score, offer.cost, offer.model.id


def ranked(offers: Sequence[Offer], wish: Wish, needs: Needs) -> list[Choice]:
    """The models to ask, the best first, and why each stands where it does. Raises NoModelFits."""
    out: dict[str, int] = {}
    left: list[Offer] = []
    for offer in offers:
        if why := _why_out(offer, wish, needs):
            out[why] = out.get(why, 0) + 1
        else:
            left.append(offer)
    if not left:
        raise NoModelFits(out)
    cheapest = min(offer.cost for offer in left)
    scored = sorted((_scored(offer, cheapest, wish, needs) for offer in left), key=lambda each: each.order)
    return [Choice(model=each.offer.model, reason=_reason(scored, number, wish)) for number, each in enumerate(scored)]


def _why_out(offer: Offer, wish: Wish, needs: Needs) -> str | None:
    """The first thing that speaks against a model, if anything does."""
    model = offer.model
    if wish.allowed is not None and model.id not in wish.allowed:
        return "not_allowed"
    if not needs.capabilities <= set(model.capabilities):
        return "incapable"
    if needs.least_tokens >= model.context_window:
        return "too_small"
    return "too_expensive" if wish.cost_max is not None and offer.cost > wish.cost_max else None


def _scored(offer: Offer, cheapest: Micro, wish: Wish, needs: Needs) -> _Scored:
    model = offer.model
    price = Fraction(POINTS_MAX) if offer.cost == cheapest else Fraction(POINTS_MAX * cheapest, offer.cost)
    weights = (wish.quality, wish.speed, wish.price)
    points = (Fraction(model.quality), Fraction(model.speed), price)
    total = sum((weight * point for weight, point in zip(weights, points, strict=True)), Fraction(0))
    is_cut = needs.whole_tokens >= model.context_window
    return _Scored(offer=offer, is_cut=is_cut, price=price, score=total / Fraction(sum(weights)))


def _reason(scored: Sequence[_Scored], number: int, wish: Wish) -> str:
    each = scored[number]
    said = [f"{_shown(each.score)} of {POINTS_MAX} points among {len(scored)} models"]
    points = (("quality", wish.quality, each.offer.model.quality), ("speed", wish.speed, each.offer.model.speed))
    told = [f"{name} {point} × {weight}" for name, weight, point in points]
    said.append(", ".join([*told, f"price {_shown(each.price)} × {wish.price}"]))
    if each.is_cut:
        said.append("no model takes the whole conversation" if number == 0 else "it takes only the newest of it")
    if each.offer.is_ailing:
        said.append("its upstream has failed just before")
    return "; ".join(said)


def _shown(points: Fraction) -> str:
    tenths = round(points * 10)
    return f"{tenths // 10}.{tenths % 10}"
