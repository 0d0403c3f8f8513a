"""A backend in memory that can chat: the real ledger and repositories, a scripted model."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.messages import Message
from shared.ai.chat.stored_messages import StoredMessages
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatModel
from shared.bootstrap import MEMORY_ENVIRONMENT, Services
from shared.kernel.documents import Documents
from shared.kernel.ids import LotId, OperationId, Uid, fingerprint, new_id, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import parse_settings
from shared.ledger.commands import Grant
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.chat_model import HELLO, ScriptedChatModel
from shared.platform.memory.clock import ManualClock
from shared.sagas.chat.turn import ChatTurn, Delta, ModelAnswer, TurnEnded, TurnEvent, TurnRequest
from shared.sagas.metering.ending import COUNTING_ERROR
from tests.support.adapters import replace_parts
from tests.support.backend import services_on
from tests.support.indexes import stored
from tests.support.processes import wait_for

ANN = Uid("ann")
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
        self.upstream = ScriptedChatModel(self.scripts)
        services = self.instance(self.documents)
        self.reading_on = services.metering.reading_on
        self.catalogue, self.preferences = services.models.catalogue, services.models.preferences
        self.conversations, self.turn = services.chat.conversations, services.chat.turn
        self.ledger, self.losses = services.credits.ledger, services.credits.losses
        if self.catalogue.read("cheap") is None:
            self.catalogue.put("cheap", {**CHEAP, **self.prices})

    def instance(self, documents: Documents, ledger: Ledger | None = None, **metering: Any) -> Services:
        """An instance that sees the store through `documents`. `metering` are parts of its metering, by name."""
        services = services_on(
            documents,
            self.clock,
            {"AI_PLATFORM_PROFILE": self.profile, "AI_PLATFORM_BASE_URL": "https://models.invalid/v1"},
            chat_model=self.chat_model or self.upstream,
            alerts=self.alerts,
        )
        replace_parts(services.models, tariff=self.tariff)
        if ledger is not None:
            replace_parts(services.credits, ledger=ledger)
        replace_parts(services.metering, **metering)
        replace_parts(services.metering, parts=replace(services.metering.parts, ping_seconds=self.ping_seconds))
        return services

    def on(self, documents: Documents, **options: Any) -> ChatTurn:
        """The saga of an instance that sees the store through `documents`; its ledger may have `options`."""
        ledger = self.ledger_on(documents, **options) if options else None
        return self.instance(documents, ledger, reading_on=self.reading_on).chat.turn

    def ledger_on(self, documents: Documents, **options: Any) -> Ledger:
        """A ledger with `options` that sees the store through `documents`, with the keys of all backends in memory."""
        keys = KeyRing(parse_settings(MEMORY_ENVIRONMENT).ledger_signing_keys)
        return Ledger(documents, self.clock, keys, ledger_id="test", hold_lifetime_seconds=900, **options)

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


def change_message(documents: Documents, message: Message, **fields: Any) -> None:
    """Change fields of a stored message."""
    is_found = StoredMessages(documents).commit_change(
        message.conversation_id, message.id, lambda stored: replace(stored, **fields)
    )
    assert is_found, "the message is stored"


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
