"""A backend in memory that can chat: the real ledger and repositories, a scripted model."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.conversations import ConversationStore
from shared.ai.models.catalogue import Catalogue
from shared.ai.models.expectation import Expectation
from shared.ai.models.health import ModelHealth
from shared.ai.models.preferences import Preferences
from shared.ai.models.profiles import PROFILES, UpstreamProfiles
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatModel
from shared.kernel.documents import Documents
from shared.kernel.ids import LotId, OperationId, Uid, fingerprint, new_id, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.kernel.waiting import WaitingRoom
from shared.ledger.commands import Grant
from shared.ledger.keys import KeyRing
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.chat_model import HELLO, ScriptedChatModel
from shared.platform.memory.clock import ManualClock
from shared.sagas.chat.turn import ChatTurn, Delta, ModelAnswer, TurnEnded, TurnEvent, TurnRequest
from shared.sagas.metering.admission import Admission
from shared.sagas.metering.claims import Turns
from shared.sagas.metering.ending import COUNTING_ERROR
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.reading_on import ReadingOn
from shared.sagas.metering.running_calls import RunningCalls
from tests.support.indexes import stored
from tests.support.processes import wait_for

ANN = Uid("ann")
KEYS = KeyRing((SigningKey(kid="k1", seed=b"1" * 32),))
CHEAP: Mapping[str, Any] = {
    "kind": "chat",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "2",
    "context_window": 8_000,
    "max_output_tokens": 1_000,
    "expected_output_tokens": 50,
}
"""A model whose token costs 100 µcr going in and 200 µcr coming out."""
CREDIT = 1_000_000


@dataclass
class World:
    """Everything a turn needs. `script` is what the model says, again and again."""

    scripts: Sequence[Sequence[Any]] = (HELLO,)
    documents: Any = field(default_factory=stored)
    clock: Any = field(default_factory=ManualClock)
    prices: Mapping[str, Any] = field(default_factory=dict)
    tariff: Tariff = field(default_factory=lambda: Tariff(credits_per_usd=100))
    ping_seconds: float = 5.0
    chat_model: ChatModel | None = None
    profile: str = "openai"

    def __post_init__(self) -> None:
        self.alerts = MemoryAlerts()
        self.reading_on = ReadingOn()
        self.profiles = UpstreamProfiles({"default": PROFILES[self.profile]})
        self.upstream = ScriptedChatModel(self.scripts)
        self.catalogue = Catalogue(self.documents, self.clock)
        if self.catalogue.read("cheap") is None:
            self.catalogue.put("cheap", {**CHEAP, **self.prices})
        self.conversations = ConversationStore(self.documents, self.clock)
        self.preferences = Preferences(self.documents)
        self.ledger = self.ledger_on(self.documents)
        self.losses = Losses(self.documents, self.alerts, self.clock)
        self.turn = self.chat_turn(self.documents)

    def metering(
        self, documents: Documents, ledger: Ledger | None = None, reading_on: ReadingOn | None = None
    ) -> MeteringParts:
        """The parts of a metered turn, as another instance has them."""
        ledger, expectation, room = ledger or self.ledger, Expectation(documents, self.clock), WaitingRoom()
        return MeteringParts(
            ledger=ledger,
            expectation=expectation,
            admission=Admission(ledger, expectation, self.clock, self.profiles, room),
            health=ModelHealth(self.clock),
            turns=Turns(documents, self.clock, room),
            losses=Losses(documents, self.alerts, self.clock),
            reading_on=reading_on or self.reading_on,
            profiles=self.profiles,
            documents=documents,
            clock=self.clock,
            ping_seconds=self.ping_seconds,
        )

    def chat_turn(
        self,
        documents: Documents,
        ledger: Ledger | None = None,
        calls: RunningCalls | None = None,
        reading_on: ReadingOn | None = None,
    ) -> ChatTurn:
        """The saga as another instance has it."""
        return ChatTurn(
            self.metering(documents, ledger, reading_on),
            catalogue=self.catalogue,
            tariff=self.tariff,
            conversations=ConversationStore(documents, self.clock),
            preferences=self.preferences,
            chat_model=self.chat_model or self.upstream,
            calls=calls or RunningCalls(self.clock),
            default_model="cheap",
        )

    def on(self, documents: Documents, **options: Any) -> ChatTurn:
        """The saga of an instance that sees the store through `documents`, its ledger (with `options`) included."""
        return self.chat_turn(documents, self.ledger_on(documents, **options))

    def ledger_on(self, documents: Documents, **options: Any) -> Ledger:
        """The ledger of an instance that sees the store through `documents`."""
        return Ledger(documents, self.clock, KEYS, ledger_id="test", hold_lifetime_seconds=900, **options)

    def user(self, amount: int = CREDIT, uid: Uid = ANN) -> Uid:
        """Somebody with so many µcr."""
        self.ledger.open(uid)
        if amount:
            lot = new_id("lot")
            grant = Grant(operation=OperationId(lot), amount=Micro(amount), lot=LotId(lot), source="promo:test")
            self.ledger.execute(uid, grant)
        return uid

    def conversation(self, uid: Uid = ANN, **fields: Any) -> Conversation:
        """A new conversation of theirs."""
        return self.conversations.create(uid, operation=OperationId(new_id("op")), fingerprint="", **fields)

    def request(
        self, conversation: Conversation, content: str = "Hello?", *, key: str = "", **fields: Any
    ) -> TurnRequest:
        """What the HTTP edge would make of a message."""
        operation = operation_id("test", conversation.uid, key) if key else OperationId(new_id("op"))
        return TurnRequest(
            uid=conversation.uid,
            conversation_id=conversation.id,
            content=content,
            operation=operation,
            fingerprint=fingerprint(ascii(content)),
            has_key=bool(key),
            **fields,
        )

    def run(
        self, conversation: Conversation, content: str = "Hello?", **fields: Any
    ) -> Generator[TurnEvent, None, None]:
        """A turn, not started yet."""
        return self.turn.run(self.request(conversation, content, **fields))

    def ask(self, conversation: Conversation, content: str = "Hello?", **fields: Any) -> ModelAnswer:
        """A turn to its end."""
        return answer_of(self.run(conversation, content, **fields))

    def read_on(self) -> None:
        """Wait until no call is read on any more."""
        wait_for(lambda: not self.reading_on.taken, what="the calls that are read on")

    def spent(self, before: int, uid: Uid = ANN) -> int:
        """How much less than `before` there is now, held credits included."""
        return before - self.ledger.balance(uid).total

    def charges(self, uid: Uid = ANN) -> list[int]:
        """What the journal says was charged, oldest first."""
        entries = self.ledger.history(uid, before=None, limit=100, kinds=frozenset({"charge"})).items
        return [-entry.amount for entry in reversed(entries)]


def cautious(tokens: int) -> int:
    """A count with the error of counting, as a charge without a report has it."""
    return ceil(tokens * (1 + COUNTING_ERROR))


def answer_of(events: Generator[TurnEvent, None, None]) -> ModelAnswer:
    """The answer at the end of a turn."""
    answers = [event.answer for event in events if isinstance(event, TurnEnded)]
    assert len(answers) == 1, "a turn ends with its answer"
    return answers[0]


def end_of(events: Sequence[TurnEvent]) -> ModelAnswer:
    """The answer that the last event tells."""
    assert isinstance(events[-1], TurnEnded), "a turn ends with its answer"
    return events[-1].answer


def text_of(events: Sequence[TurnEvent]) -> str:
    """What was delivered."""
    return "".join(event.text for event in events if isinstance(event, Delta))
