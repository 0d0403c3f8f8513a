"""Request in one of OpenAI's dialects, and the events of its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from shared.ai.openai.answers import StoredAnswer
from shared.ai.openai.dialect import Demand, Dialect, as_text, asks_to_think
from shared.ai.openai.passthrough import Json
from shared.kernel.money import format_credits
from shared.sagas.metering.plan import CallRequest
from shared.sagas.metering.reply import CREDIT_LIMIT, DISCONNECTED, SETTLING, STOPPED, TIMED_OUT
from shared.sagas.metering.turn_record import TurnReceipt

OUR_ENDS = frozenset({CREDIT_LIMIT, DISCONNECTED, STOPPED, TIMED_OUT})
"""Finish reasons that OpenAI has no word for. OpenAI clients see a cut at the length; `credits` gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """The input of a call whose answer later calls may refer to, and OpenAI's id of the response before, or None."""

    input: Sequence[Any]
    previous_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIRequest(CallRequest):
    """A request in one of OpenAI's dialects."""

    dialect: Dialect
    model: str
    body: Json
    extras: frozenset[str] = frozenset()
    """Top-level fields that an operator named beside OpenAI's own."""
    extra_texts: tuple[Any, ...] = ()
    """Values of all fields that an operator named. These values count as input."""
    keeping: Keeping | None = None
    """Input to store for later calls; None if no later call may refer to the answer."""

    @property
    def demand(self) -> Demand:
        """The demand of the request. Raises InvalidValue for content that has no price in tokens."""
        own = {name: value for name, value in self.body.items() if name not in self.extras}
        demand = self.dialect.demand(own)
        return replace(
            demand,
            texts=(*demand.texts, *map(as_text, self.extra_texts)),
            has_hidden_output=demand.has_hidden_output or asks_to_think(self.body),
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """The next object of a streamed answer."""

    raw: Json


@dataclass(frozen=True, slots=True)
class Quiet:
    """A sign to the client that the model is silent but the connection is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIAnswer:
    """The end of a call: the whole answer, the objects that end the stream, and the cost and balance in µcr."""

    answer: Json
    tail: Sequence[Json]
    cost: int
    available: int


CallEvent: TypeAlias = Piece | Quiet | OpenAIAnswer


def answered(request: OpenAIRequest, stored: StoredAnswer, settled: TurnReceipt, pieces: int) -> OpenAIAnswer:
    """Return the answer with the cost in the field `credits`, the same for every replay."""
    told: dict[str, object] = {
        "cost": format_credits(settled.cost),
        "available": format_credits(settled.available),
        "estimated": stored.is_estimated,
    }
    if settled.at_most is not None:
        told |= {"status": SETTLING, "at_most": format_credits(settled.at_most)}
    if stored.choice is not None:
        told |= {"model": stored.model, "choice": stored.choice}
    if stored.finish_reason in OUR_ENDS:
        told["ended_by"] = stored.finish_reason
    answer = {**stored.answer, "credits": told}
    tail = request.dialect.tail(answer, request.body, pieces) if request.is_streamed else []
    return OpenAIAnswer(answer=answer, tail=tail, cost=settled.cost, available=settled.available)
