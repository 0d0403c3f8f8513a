"""Ends of calls: the message or the stored answer of a call, and the cost of its hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from shared.ai.chat.conversations import ConversationNotFound, ConversationStore
from shared.ai.chat.messages import Message
from shared.ai.openai.answers import AnswerNotKept, Answers
from shared.ai.tokens import Usage
from shared.kernel.clock import Clock, Millis
from shared.kernel.ids import Uid, derived_id
from shared.kernel.money import Micro
from shared.ledger.errors import HoldNotFound
from shared.ledger.ledger import Ledger
from shared.ledger.views import HoldView
from shared.sagas.metering.call_journal import CONVERSATION, CallJournal, CallSearch, JournalCall
from shared.sagas.metering.stop_requests import EVERYBODY

LAST_MESSAGES = 10
"""Messages to read, newest first, in search of a conversation's last answer."""

Status = Literal["stopped", "settling", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredAnswer:
    """Answer of a call, as far as the answer was delivered. `model_reason` is None unless `auto` chose the model.

    `finish_reason` is None if the answer has none.
    """

    id: str
    content: str
    model: str
    model_reason: str | None
    finish_reason: str | None
    created_at: Millis
    role: str = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnd:
    """The end of one call; amounts in µcr. `cost` is None while the call is settling, then `at_most` bounds the cost.

    `said` is the delivered answer and `usage` its tokens. Both are None if the call stored no answer.
    """

    status: Status
    said: DeliveredAnswer | None = None
    usage: Usage | None = None
    is_estimated: bool = False
    cost: Micro | None = None
    at_most: Micro | None = None


class CallRecords:
    """Reads the ends of calls. Safe to share between threads."""

    def __init__(self, ledger: Ledger, conversations: ConversationStore, answers: Answers, clock: Clock) -> None:
        self._clock = clock
        self._ledger = ledger
        self._journal = CallJournal(ledger)
        self._conversations = conversations
        self._answers = answers

    def end_of(self, uid: Uid, call: JournalCall, status: Status) -> CallEnd:
        """Return the end of this call; its status is `settling` while the hold is open. Raises Unavailable."""
        told = self._by_message(uid, call) if call.conversation_id else self._by_answer(uid, call)
        if call.charged is not None:
            return replace(told, status=status, cost=call.charged, at_most=None)
        try:
            hold = self._ledger.hold(uid, call.hold)
        except HoldNotFound:  # its record has expired
            return replace(told, status=status)
        if hold.status == "active":
            return replace(told, status="settling", cost=None, at_most=self._at_most(uid, call, hold))
        cost = Micro(hold.captured) if told.cost is None else told.cost
        return replace(told, status=status, cost=cost, at_most=None)

    def _at_most(self, uid: Uid, call: JournalCall, hold: HoldView) -> Micro:
        """Return the most that a call can cost (µcr).

        The hold grows while the provider generates, as far as the account has credits.
        """
        return Micro(min(call.ceiling, hold.amount + self._ledger.balance(uid).available))

    def last_message(self, uid: Uid, conversation_id: str) -> CallEnd | None:
        """Return the end of the conversation's last answer; None if there is no answer. Raises ConversationNotFound."""
        page = self._conversations.messages(uid, conversation_id, limit=LAST_MESSAGES)
        last = next((each for each in page.items if each.role == "assistant"), None)
        if last is None or last.settles_by is None:
            return None if last is None else _of_message(last)
        # Its cost is corrected a moment after the charge, and not at all by an instance that has died.
        call = self._journal.last(CallSearch(uid=uid, caller=EVERYBODY, tag=CONVERSATION, value=conversation_id))
        if call is not None and _message_id(call) == last.id:
            return self.end_of(uid, call, "ended")
        if last.is_settling(self._clock.now()):
            return replace(_of_message(last), status="settling")
        return replace(_of_message(last), cost=last.cost, at_most=None)

    def _by_message(self, uid: Uid, call: JournalCall) -> CallEnd:
        """Return the end from the call's message.

        If the conversation is deleted or the call has failed, there is no record.
        """
        try:
            return _of_message(self._conversations.message(uid, str(call.conversation_id), _message_id(call)))
        except ConversationNotFound:
            return CallEnd(status="ended")

    def _by_answer(self, uid: Uid, call: JournalCall) -> CallEnd:
        """Return the end from the stored answer. The answer does not record the charge; the hold does."""
        answer_id = derived_id("ans", call.run)
        try:
            stored = self._answers.get(uid, answer_id)
        except AnswerNotKept:
            return CallEnd(status="ended")
        said = DeliveredAnswer(
            id=answer_id,
            content=_text_of(stored.answer),
            model=stored.model,
            model_reason=stored.choice,
            finish_reason=stored.finish_reason,
            created_at=call.placed_at,
        )
        return CallEnd(status="ended", said=said, usage=stored.usage, is_estimated=stored.is_estimated)


def _message_id(call: JournalCall) -> str:
    return derived_id("msg", call.run, "assistant")


def _of_message(message: Message) -> CallEnd:
    """Return the end from a message.

    Until the provider has reported, the message's cost is the most that the call can cost.
    """
    said = DeliveredAnswer(
        id=message.id,
        content=message.content,
        model=str(message.model),
        model_reason=message.model_reason,
        finish_reason=message.finish_reason,
        created_at=message.created_at,
    )
    end = CallEnd(status="ended", said=said, usage=message.usage, is_estimated=message.is_estimated)
    if message.settles_by is None:
        return replace(end, cost=message.cost)
    return replace(end, at_most=message.cost)


def _text_of(answer: Mapping[str, Any]) -> str:
    """Return the text of a chat completion's choices, or of a response's items."""
    choices = [choice.get("message", {}).get("content") for choice in answer.get("choices", ())]
    parts = [part.get("text") for item in answer.get("output", ()) for part in item.get("content") or ()]
    return "".join(text for text in (*choices, *parts) if isinstance(text, str))
