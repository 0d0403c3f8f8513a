"""A metered turn of a kind of its own: a kind that names the verbs gets the hold, the charge and the replay."""

from dataclasses import dataclass

import pytest

from shared.ai.models.prompt import build_prompt
from shared.ai.ports import ChatRequest, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.documents import Create, Patch, Query
from shared.kernel.ids import operation_id
from shared.kernel.money import Micro
from shared.ledger.holding import HoldCharge
from shared.platform.memory.chat_model import says
from shared.sagas.metering.plan import CallRequest, MeteredPlan, forecast
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.turn import MeteredTurn
from shared.sagas.metering.turn_record import FinalCommit, TurnAnswer, TurnReceipt
from tests.support.chat import ANN, CREDIT, World

COST = 100 * 12 + 200 * 3
ASKED = CallRequest(uid=ANN, operation=operation_id("test", "k"), has_key=True)


@dataclass(frozen=True)
class EchoRecord:
    """The text of an answer, as one document."""

    id: str
    text: str

    @property
    def writes(self):
        return [Create(f"echoes/{self.id}", {"text": self.text})]

    def writes_after_refusal(self, writes):
        return writes

    def costed(self, cost):
        return self

    def writes_of_correction(self, reply, cost):
        return ()

    def end_events(self, receipt):
        return (f"{self.text} for {receipt.cost}",)


@dataclass(frozen=True)
class PlannedEcho:
    """One question to the model."""

    plan: MeteredPlan
    world: World
    silence: str = "…"

    def open_stream(self, output_cap, *, is_whole):
        sent = ChatRequest(
            model="cheap", messages=self.plan.prompt.messages, max_output_tokens=output_cap, is_whole=is_whole
        )
        return self.world.upstream.stream(sent)

    def text_events(self, event, text):
        return (text,)

    def other_events(self, event):
        return ()

    def record(self, attempt, reply):
        return EchoRecord(id=attempt, text=reply.text)


@dataclass(frozen=True)
class EchoKind:
    """A kind of turn with strings for events."""

    world: World

    @property
    def recovery(self):
        return TurnRecovery(self.world.ledger)

    def plan(self, request, failed):
        model = self.world.catalogue.of_kind("chat", "cheap")
        prompt = build_prompt(model, system=None, history=(), content="Hello?", max_output_tokens=None)
        expectation = self.world.instance(self.world.documents).metering.expectation
        plan = MeteredPlan(
            request=request,
            model=model,
            rate=self.world.tariff.rate(model),
            prompt=prompt,
            forecast=forecast(expectation, model, prompt, None, uid=request.uid),
        )
        return PlannedEcho(plan=plan, world=self.world)

    def replay(self, turn, request):
        yield f"again for {turn.settled.cost}"


@pytest.fixture
def world():
    world = World(scripts=[says("one", " two", " three", usage=Usage(input_tokens=12, output_tokens=3))])
    world.user()
    return world


def echo(world):
    return MeteredTurn(world.instance(world.documents).metering.parts, EchoKind(world))


def stored_echoes(world):
    return [document.data["text"] for document in world.documents.query(Query(collection="echoes", limit=9))]


def test_turn_of_any_kind_is_stored_and_charged_once(world):
    events = list(echo(world).run(ASKED))

    again = list(echo(world).run(ASKED))

    assert (events[-1], again) == (f"one two three for {COST}", [f"again for {COST}"])
    assert stored_echoes(world) == ["one two three"]
    assert (world.charges(), world.spent(CREDIT)) == ([COST], COST)


def test_turn_of_any_kind_costs_nothing_when_the_model_fails(world):
    world.upstream.scripts = [[UpstreamUnavailable()]]

    with pytest.raises(UpstreamUnavailable):
        list(echo(world).run(ASKED))

    assert (world.charges(), world.spent(CREDIT)) == ([], 0)
    assert stored_echoes(world) == []


def test_final_commit_stores_the_result_with_the_record():
    record = Create("echoes/1", {"text": "Hi"})
    answer = TurnAnswer(message_id="1", writes=[record], charge=Micro(70), paid_before=Micro(30))
    charge = HoldCharge(amount=60, absorbed=10, available=5, held=1)

    result, stored = FinalCommit(answer=answer, path="turns/op", version=7).writes(charge)

    receipt = TurnReceipt(cost=Micro(90), available=5, held=1)
    assert TurnReceipt.of(charge, Micro(30)) == receipt
    assert isinstance(result, Patch)
    assert (result.path, result.data, result.version) == ("turns/op", {**answer.fields, **receipt.fields}, 7)
    assert stored is record


def test_final_commit_stores_the_record_alone_without_a_key():
    answer = TurnAnswer(message_id="1", writes=[Create("echoes/1", {})], charge=Micro(70), paid_before=Micro(0))

    commit = FinalCommit(answer=answer, path=None, version=None)

    assert commit.writes(HoldCharge(amount=70, absorbed=0, available=5, held=0)) == answer.writes
