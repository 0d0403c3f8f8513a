"""A side turn: a small metered call by the platform for a user, for a summary or a title; stored and charged once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from shared.ai.models.catalogue import Model
from shared.ai.models.prompt import build_prompt
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatModel, ChatRequest, ChatStream, TextDelta
from shared.ai.tokens import Usage
from shared.kernel.documents import Write
from shared.kernel.money import Micro
from shared.sagas.metering.claims import Turn, TurnReceipt
from shared.sagas.metering.plan import CallRequest, MeteredPlan, forecast
from shared.sagas.metering.reply import GrowingReply
from shared.sagas.metering.turn import MeteredTurn, Run, TurnRecord


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
    """A request to one model. `keep` returns the writes that store the answer, in one commit with the turn."""

    model: Model
    instructions: str
    content: str
    keep: Callable[[SideAnswer], Sequence[Write]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePlan(MeteredPlan):
    """A side turn as decided before anything happens."""

    request: SideRequest


class SideTurn(MeteredTurn[SideRequest, SidePlan, SideCharge | None, SideAnswer]):
    """The saga of a side turn; see `MeteredTurn`. The event that ends the answer is the charge; the text is stored."""

    def __init__(self, tariff: Tariff, chat_model: ChatModel, **parts: Any) -> None:
        super().__init__(**parts)
        self._tariff = tariff
        self._chat_model = chat_model

    def pay(self, request: SideRequest) -> SideCharge:
        """Run the turn, or finish an answer that another attempt has stored. Raises the errors of `MeteredTurn.run`."""
        with closing(self.run(request)) as events:
            return next(event for event in events if event is not None)

    def _plan(self, request: SideRequest, failed: Sequence[str]) -> SidePlan:
        del failed  # the model is named
        model, limit = request.model, request.max_output_tokens
        prompt = build_prompt(
            model, system=request.instructions, history=(), content=request.content, max_output_tokens=limit
        )
        return SidePlan(
            request=request,
            model=model,
            rate=self._tariff.rate(model),
            prompt=prompt,
            forecast=forecast(self._expectation, model, prompt, limit, uid=request.uid),
        )

    def _open_stream(self, plan: SidePlan, output_cap: int, *, is_whole: bool) -> ChatStream:
        return self._chat_model.stream(
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

    def _delivered(self, run: Run[SidePlan], event: TextDelta, text: str) -> Iterable[SideCharge | None]:
        return ()

    def _silent(self) -> SideCharge | None:
        return None

    def _kept(self, run: Run[SidePlan], reply: GrowingReply) -> TurnRecord[SideAnswer]:
        answer = SideAnswer(
            text=reply.text.strip(),
            token=run.claim.run,
            usage=reply.usage,
            is_estimated=reply.is_estimated,
            finish_reason=reply.finish_reason,
            cost=reply.cost,
        )
        return TurnRecord(id=answer.token, record=answer, writes=run.plan.request.keep(answer))

    def _still_wanted(self, run: Run[SidePlan], writes: Sequence[Write]) -> Sequence[Write]:
        """Return no writes: a conversation that was deleted meanwhile stays deleted. The usage is still charged."""
        return ()

    def _learned(self, run: Run[SidePlan], reply: GrowingReply) -> None:
        """Learn nothing: the length of a side answer says nothing about other answers."""

    def _ended(self, run: Run[SidePlan], record: SideAnswer, settled: TurnReceipt) -> Iterable[SideCharge | None]:
        yield SideCharge(token=record.token, cost=settled.cost)

    def _replay(self, turn: Turn, request: SideRequest) -> Iterator[SideCharge | None]:
        assert turn.settled is not None, "a turn that is done was settled"
        yield SideCharge(token=turn.runs[-1], cost=turn.settled.cost)
