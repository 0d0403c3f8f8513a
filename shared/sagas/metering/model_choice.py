"""The choice of the model for a call: the named model, or the best for `auto`, from stored and observed data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.ai.models.catalogue import AUTO, Catalogue, Model, ModelUnpriced
from shared.ai.models.choice import ATTEMPTS_MAX, Needs, Offer, ranked
from shared.ai.models.expectation import Expectation
from shared.ai.models.health import ModelHealth
from shared.ai.models.preferences import PreferredModels, wish_of
from shared.ai.models.tariff import Tariff
from shared.ai.tokens import Usage
from shared.kernel.money import Micro


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenModel:
    """The model to ask. The other fields are set for `auto` only.

    `reason`: why this model. `others`: how many other models could be asked instead. `cost_max`: the most that the user
    wants to pay for a message (µcr), or None.
    """

    model: Model
    reason: str | None = None
    others: int = 0
    cost_max: Micro | None = None


class Chooser:
    """The chooser of models, which changes nothing. Safe to share between threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        tariff: Tariff,
        expectation: Expectation,
        health: ModelHealth,
        *,
        default_model: str,
    ) -> None:
        self._catalogue = catalogue
        self._tariff = tariff
        self._expectation = expectation
        self._health = health
        self._default_model = default_model

    def choose(
        self,
        named: str | None,
        preferred_of: Callable[[], PreferredModels],
        needs_of: Callable[[], Needs],
        *,
        limit: int | None = None,
        failed: Sequence[str] = (),
    ) -> ChosenModel:
        """Return the model named, else the user's, else the setting's. Each of these may be `auto`.

        `preferred_of` and `needs_of` are called only if needed. `limit` is the most output tokens of the request;
        `failed` are models that this call has asked before. Raises ModelNotFound, ModelUnpriced, NoModelFits.
        """
        preferred = None if named and named != AUTO else preferred_of()
        name = named or (preferred["chat_model"] if preferred else None) or self._default_model
        if name != AUTO or preferred is None:
            return ChosenModel(model=self._catalogue.chat(name))
        wish, needs = wish_of(preferred), needs_of()
        choices = ranked(self.offers(needs, limit), wish, needs)
        left = [choice for choice in choices if choice.model.id not in failed] or choices
        return ChosenModel(
            model=left[0].model,
            reason="; ".join([left[0].reason, *(f"{model} failed before" for model in failed)]),
            others=min(len(left) - 1, ATTEMPTS_MAX - 1 - len(failed)),
            cost_max=wish.cost_max,
        )

    def offers(self, needs: Needs, limit: int | None) -> list[Offer]:
        """Return the cost of the call on each enabled chat model.

        If the ceiling is held, the cost is the ceiling; otherwise the cost is the expected cost.
        """
        found = []
        for model in self._catalogue.enabled():
            if model.kind != "chat":
                continue
            held_whole = limit is not None or model.is_reasoning
            expected = model.max_output_tokens if held_whole else self._expectation.known_output_tokens(model)
            usage = Usage(
                input_tokens=needs.input_tokens(model),
                output_tokens=expected if limit is None else min(expected, limit),
            )
            try:
                cost = self._tariff.price(model, usage)
            except ModelUnpriced:
                continue
            found.append(Offer(model=model, cost=cost, is_ailing=self._health.is_ailing(model.id)))
        return found
