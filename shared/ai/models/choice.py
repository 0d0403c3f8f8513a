"""Choice of a model for requests for `auto`. Pure: `ranked` is the policy, and a test holds a table of cases.

1. A model is out if the user does not allow the model, or if a capability that the request needs is missing (tools,
   vision). A model is also out if the new message does not fit into the window, or would cost more than the user wants
   to pay for one message.
2. The rest is ordered by a score from 0 to 10: the mean of quality, speed and price, each weighted as the user says.
   Quality and speed stand in the model's document, from 1 to 10; price is 10 for the cheapest and falls as 1 ÷ price.
3. A model whose window would cut the conversation ranks behind all that take the whole conversation. A model whose
   upstream has just failed ranks behind all others. Models with equal scores are ordered by price, then by name.

The first model is asked. If the upstream fails before the first token, the next model is asked, as the user has paid
nothing yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from shared.ai.models.catalogue import RANK_MAX, Model
from shared.ai.models.image_tokens import WINDOW_TOKENS, PromptImage
from shared.kernel.errors import Rejected
from shared.kernel.money import Micro

POINTS_MAX = RANK_MAX
WEIGHT_MAX = 10
ATTEMPTS_MAX = 3
"""Most models that a turn asks, one after the other."""


class NoModelFits(Rejected):
    """Refusal of `auto`: no model that the user allows fits the request.

    `params` count the excluded models by reason.
    """

    code = "no_model_fits"

    def __init__(self, out: Mapping[str, int]) -> None:
        super().__init__("No model that you allow fits this request.", **out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Preferences of a user for `auto`.

    The weights are 0 to WEIGHT_MAX, not all 0. `allowed` names the models that may be chosen (None: all). `cost_max` is
    the most that one message may cost (µcr; None: no limit).
    """

    quality: int = 1
    speed: int = 1
    price: int = 1
    allowed: frozenset[str] | None = None
    cost_max: Micro | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Requirements of a request: tokens that must fit, tokens of the whole conversation, capabilities by name."""

    least_tokens: int
    whole_tokens: int
    capabilities: frozenset[str] = frozenset()
    images: tuple[PromptImage, ...] = ()
    """Images of the prompt. The token counts include WINDOW_TOKENS for each image."""

    def input_tokens(self, model: Model) -> int:
        """Return the input tokens that `model` is expected to bill."""
        more = sum(model.image_formula.expected(image) - WINDOW_TOKENS for image in self.images)
        return max(0, min(self.whole_tokens, model.context_window) + more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Candidate model with the cost of the message (µcr). `is_ailing`: the model's upstream has just failed."""

    model: Model
    cost: Micro
    is_ailing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Model to ask, with the reason as a sentence for the user."""

    model: Model
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoredOffer:
    offer: Offer
    is_cut: bool
    price: Fraction
    score: Fraction = field(default=Fraction(0))

    @property
    def order(self) -> tuple[bool, bool, Fraction, int, str]:
        offer = self.offer
        return offer.is_ailing, self.is_cut, -self.score, offer.cost, offer.model.id


def ranked(offers: Sequence[Offer], wish: Wish, needs: Needs) -> list[ModelChoice]:
    """Return the models to ask, best first, each with the reason for its rank. Raises NoModelFits."""
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
    return [
        ModelChoice(model=each.offer.model, reason=_reason(scored, number, wish)) for number, each in enumerate(scored)
    ]


def _why_out(offer: Offer, wish: Wish, needs: Needs) -> str | None:
    """Return the first reason to exclude the model; None if there is no reason."""
    model = offer.model
    if wish.allowed is not None and model.id not in wish.allowed:
        return "not_allowed"
    if not needs.capabilities <= set(model.capabilities):
        return "incapable"
    if needs.least_tokens >= model.context_window:
        return "too_small"
    return "too_expensive" if wish.cost_max is not None and offer.cost > wish.cost_max else None


def _scored(offer: Offer, cheapest: Micro, wish: Wish, needs: Needs) -> _ScoredOffer:
    model = offer.model
    price = Fraction(POINTS_MAX) if offer.cost == cheapest else Fraction(POINTS_MAX * cheapest, offer.cost)
    weights = (wish.quality, wish.speed, wish.price)
    points = (Fraction(model.quality), Fraction(model.speed), price)
    total = sum((weight * point for weight, point in zip(weights, points, strict=True)), Fraction(0))
    is_cut = needs.whole_tokens >= model.context_window
    return _ScoredOffer(offer=offer, is_cut=is_cut, price=price, score=total / Fraction(sum(weights)))


def _reason(scored: Sequence[_ScoredOffer], number: int, wish: Wish) -> str:
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
