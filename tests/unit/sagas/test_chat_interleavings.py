"""Turns at once, unclear commits, renamings and moves in random order: no answered message is lost, or stored twice."""

import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

import pytest

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.messages import Message
from shared.kernel.documents import OutcomeUnknown
from shared.kernel.errors import DomainError
from shared.sagas.chat.turn import TurnEvent
from tests.support.chat import ANN, World
from tests.support.faults import FaultyDocuments
from tests.unit.sagas.test_chat_tail import LARGE, everything

STEPS = 40
SIZES = (50, 50, 50, 2_000, 30_000, 130_000, 300_000, 700_000)


@dataclass
class Afternoon:
    """One conversation, and what happens to it."""

    luck: random.Random
    world: World
    conversation: Conversation
    running: list[tuple[str, Generator[TurnEvent, None, None]]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    def begin(self, number: int) -> None:
        content = f"{number} " + "x" * self.luck.choice(SIZES)
        documents = self.world.documents
        if self.luck.random() < 0.3:
            when: Literal["before", "after"] = "before" if self.luck.random() < 0.5 else "after"
            documents = FaultyDocuments(documents, at=self.luck.randint(1, 6), when=when, error=OutcomeUnknown())
        key = f"key{number}" if self.luck.random() < 0.3 else ""
        turn = self.world.on(documents).run(self.world.request(self.conversation, content, key=key))
        try:
            next(turn)
        except DomainError:
            return
        self.running.append((content, turn))

    def finish(self) -> None:
        content, turn = self.running.pop(self.luck.randrange(len(self.running)))
        try:
            list(turn)
        except DomainError:
            return
        self.answered.append(content)

    def step(self, number: int) -> None:
        chance = self.luck.random()
        if chance < 0.45:
            self.begin(number)
        elif chance < 0.8:
            if self.running:
                self.finish()
        elif chance < 0.87:
            self.world.conversations.patch(ANN, self.conversation.id, {"title": f"Title {number}"})
        elif chance < 0.93:
            self.world.conversations.move(ANN, self.conversation.id)
        else:
            self.world.clock.advance(self.luck.randint(1, 5_000))

    def listed(self) -> list[Message]:
        """All messages, newest first, in pages of any size."""
        found: list[Message] = []
        cursor = None
        while True:
            limit = self.luck.choice((1, 3, 20))
            page = self.world.conversations.messages(ANN, self.conversation.id, cursor=cursor, limit=limit)
            found += page.items
            if (cursor := page.next_cursor) is None:
                return found


@pytest.mark.parametrize("seed", range(8))
def test_no_answered_message_is_lost_or_stored_twice(seed):
    world = World(prices={**LARGE, "max_output_tokens": 300_000})
    afternoon = Afternoon(random.Random(seed), world, world.conversation(world.user(10**15)))

    for number in range(STEPS):
        afternoon.step(number)
    while afternoon.running:
        afternoon.finish()

    said = everything(world, afternoon.conversation)
    stored = Counter(message.content for message in said if message.role == "user")
    assert {content: stored[content] for content in afternoon.answered} == dict.fromkeys(afternoon.answered, 1)
    assert max(stored.values()) == 1
    assert afternoon.listed() == said[::-1]
