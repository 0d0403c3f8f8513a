"""A side turn: a small metered call by the platform for a user, for a summary or a title; stored and charged once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Self

from shared.ai.models.catalogue import Model
from shared.ai.models.expectation import Expectation
from shared.ai.models.prompt import build_prompt
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatEvent, ChatModel, ChatRequest, ChatStream, TextDelta
from shared.ai.tokens import Usage, counted_prompt, expected_tokens
from shared.kernel.documents import Write
from shared.kernel.money import Micro
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.plan import CallRequest, MeteredPlan, forecast
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import GrowingReply
from shared.sagas.metering.turn import MeteredTurn
from shared.sagas.metering.turn_record import Turn, TurnReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class SideAnswer:
    """The outcome of a side turn: the text, the usage, and the cost (µcr). `token` names the attempt."""

    text: str
    token: str
    usage: Usage
    is_estimated: bool
    finish_reason: str | None
    cost: Micro


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCharge:
    """The final charge for an answer (µcr), and the attempt that stored the answer. A replay returns the same."""

    token: str
    cost: Micro


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRequest(CallRequest):
    """A request to one model. `keep` returns the writes that store the answer, in one commit with the turn.

    `content_tokens` is the expected number of tokens of `content`, None if the content was not counted before.
    """

    model: Model
    instructions: str
    content: str
    content_tokens: int | None = None
    keep: Callable[[SideAnswer], Sequence[Write]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePlan(MeteredPlan):
    """A side turn as decided before anything happens."""

    request: SideRequest

    @property
    def is_telling(self) -> bool:
        """False: the length of a side answer says nothing about other answers."""
        return False


class SideTurn:
    """The saga of a side turn: a metered turn of the kind `SideKind`."""

    def __init__(self, metering: MeteringParts, tariff: Tariff, chat_model: ChatModel) -> None:
        kind = SideKind(
            expectation=metering.expectation,
            recovery=TurnRecovery(metering.ledger),
            tariff=tariff,
            chat_model=chat_model,
        )
        self._turn = MeteredTurn(metering, kind)

    def pay(self, request: SideRequest) -> SideCharge:
        """Run the turn, or finish an answer that another attempt has stored. Raises the errors of `MeteredTurn.run`."""
        with closing(self._turn.run(request)) as events:
            return next(event for event in events if event is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideKind:
    """Verbs of a side turn; see `TurnKind`. The event that ends the answer is the charge; the text is stored."""

    expectation: Expectation
    recovery: TurnRecovery
    tariff: Tariff
    chat_model: ChatModel

    def plan(self, request: SideRequest, failed: Sequence[str]) -> "PlannedSideTurn":
        """See `TurnKind.plan`. The request names the model, so no other model is tried."""
        del failed
        model, limit = request.model, request.max_output_tokens
        counted = request.content_tokens
        prompt = build_prompt(
            model,
            system=request.instructions,
            history=(),
            content=request.content,
            max_output_tokens=limit,
            needed=None if counted is None else counted_prompt([expected_tokens(request.instructions), counted]),
        )
        plan = SidePlan(
            request=request,
            model=model,
            rate=self.tariff.rate(model),
            prompt=prompt,
            forecast=forecast(self.expectation, model, prompt, limit, uid=request.uid),
        )
        return PlannedSideTurn(plan=plan, chat_model=self.chat_model)

    def replay(self, turn: Turn, request: SideRequest) -> Iterator[SideCharge | None]:
        """Yield the charge of the stored answer."""
        assert turn.settled is not None, "a turn that is done was settled"
        yield SideCharge(token=turn.runs[-1], cost=turn.settled.cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSideTurn:
    """One side turn as planned; see `PlannedTurn`. Nobody waits for the pieces of the answer."""

    plan: SidePlan
    chat_model: ChatModel

    @property
    def silence(self) -> SideCharge | None:
        """See `PlannedTurn.silence`."""
        return None

    def open_stream(self, output_cap: int, *, is_whole: bool) -> ChatStream:
        """See `PlannedTurn.open_stream`."""
        plan = self.plan
        return self.chat_model.stream(
            ChatRequest(
                model=plan.model.upstream_model,
                messages=plan.prompt.messages,
                max_output_tokens=output_cap,
                is_reasoning=plan.model.is_reasoning,
                upstream=plan.model.upstream,
                is_whole=is_whole,
                end_user=plan.request.end_user,
            )
        )

    def text_events(self, event: TextDelta, text: str) -> Iterable[SideCharge | None]:
        """See `PlannedTurn.text_events`."""
        return ()

    def other_events(self, event: ChatEvent) -> Iterable[SideCharge | None]:
        """See `PlannedTurn.other_events`."""
        return ()

    def record(self, attempt: str, reply: GrowingReply) -> "SideRecord":
        """See `PlannedTurn.record`."""
        answer = SideAnswer(
            text=reply.text.strip(),
            token=attempt,
            usage=reply.usage,
            is_estimated=reply.is_estimated,
            finish_reason=reply.finish_reason,
            cost=reply.cost,
        )
        return SideRecord(id=attempt, writes=self.plan.request.keep(answer))


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRecord:
    """The writes that store the answer of the attempt `id`; see `AnswerRecord`."""

    id: str
    writes: Sequence[Write]

    def writes_after_refusal(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Return no writes: a conversation that was deleted meanwhile stays deleted. The usage is still charged."""
        return ()

    def costed(self, cost: Micro) -> Self:
        """Return the record unchanged: the charge stands in the turn."""
        return self

    def writes_of_correction(self, reply: GrowingReply, cost: Micro) -> Sequence[Write]:
        """Return no writes: the stored answer stays as counted."""
        return ()

    def end_events(self, receipt: TurnReceipt) -> Iterable[SideCharge | None]:
        """Return the charge."""
        return (SideCharge(token=self.id, cost=receipt.cost),)
