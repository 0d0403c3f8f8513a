"""CPU of a chat turn by the size of the conversation before it, on Firestore's emulator and with a scripted model."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from emulator.bench.tables import Row, milliseconds, print_table
from emulator.suite import Suite
from shared.ai.chat.messages import Message, position
from shared.ai.tokens import expected_tokens
from shared.bootstrap import Services, in_memory
from shared.kernel.documents import Documents
from shared.kernel.ids import LotId, OperationId, Uid, new_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.platform.firestore.documents import connect
from shared.platform.memory.chat_model import ScriptedChatModel
from shared.sagas.chat.turn import TurnRequest

USER = Uid("bench")
MODEL = "roomy"
ROOMY = {
    "kind": "chat",
    "input_usd_per_mtok": "0.01",
    "output_usd_per_mtok": "0.02",
    "context_window": 2_000_000,
    "max_output_tokens": 1_000,
    "expected_output_tokens": 50,
}
MESSAGES = 60
"""Earlier messages. With the measured turns they stay below the number that a summary replaces."""
SIZES_KB = (1, 100, 1_000, 4_300)
"""Sizes of a conversation in kB. The last is about a million tokens."""
TURNS = 6
WARM_UP = 3
"""Turns of each other instance before the measured ones: the first opens connections and reads the models."""
WORDS = "Seven words of a talk about tea. "
TURN_MS, KB_MS = 4.0, 0.005
"""Most CPU of a turn, and most CPU for each kB of the conversation, in milliseconds."""


def main() -> None:
    """Start Firestore, measure, and print the table.

    The instances' watches break when Firestore stops, and say so in the log, which is not shown.
    """
    with tempfile.TemporaryDirectory() as home, redirect_stdout(StringIO()):
        suite = Suite(home=Path(home), only=("firestore",))
        with suite:
            os.environ.update(suite.environment())
            rows = list(_rows(connect(suite.project)))
    print_table(rows)


def _rows(documents: Documents) -> Iterator[Row]:
    services = _instance(documents)
    services.models.catalogue.put(MODEL, ROOMY)
    services.credits.ledger.open(USER)
    lot = new_id("lot")
    grant = Grant(operation=OperationId(lot), amount=Micro(10**15), lot=LotId(lot), source="bench")
    services.credits.ledger.execute(USER, grant)
    others = [_instance(documents) for _ in range(TURNS)]
    for instance in others:
        _turns(services, [instance] * WARM_UP, 1)
    for size in SIZES_KB:
        tokens = MESSAGES * expected_tokens(_text(size))
        what = f"CPU of a turn after {size} kB ({tokens:,} tokens)"
        bound = TURN_MS + KB_MS * size
        for who, instances in (
            ("the same instance", [services] * TURNS),
            ("another instance", others),
        ):
            spent = _turns(services, instances, size)
            yield f"{what}, {who}", milliseconds(spent), f"{bound:.1f} ms (bound)", f"{spent * 1000 / bound:.2f}×"


def _turns(services: Services, instances: list[Services], size: int) -> float:
    """Return the median CPU seconds of a turn, each by the next of the instances, in a conversation of `size` kB."""
    conversation = _talk(services, size)
    _seconds(instances[0], conversation)
    return statistics.median(_seconds(instance, conversation) for instance in instances)


def _seconds(services: Services, conversation: str) -> float:
    request = TurnRequest(
        uid=USER,
        conversation_id=conversation,
        content="And then?",
        operation=OperationId(new_id("op")),
        fingerprint="",
        has_key=False,
        model=MODEL,
        max_output_tokens=60,
        is_streamed=False,
    )
    services.credits.ledger.balance(USER)
    started = time.process_time()
    list(services.chat.turn.run(request))
    return time.process_time() - started


def _talk(services: Services, size: int) -> str:
    """Store a conversation of `size` kB, and return the conversation's id."""
    store = services.chat.conversations
    conversation = store.create(USER, operation=OperationId(new_id("op")), fingerprint="").id
    text = _text(size)
    tokens = expected_tokens(text)
    for number in range(1, MESSAGES, 2):
        known, _ = store.get_beside(USER, conversation, [])
        at = known.created_at - MESSAGES + number
        said = [
            Message(
                id=f"msg_{number}_{index}",
                uid=USER,
                conversation_id=conversation,
                role="assistant" if index else "user",
                content=text,
                position=position(at, f"run{number}", index),
                created_at=at,
                tokens=tokens,
            )
            for index in (0, 1)
        ]
        services.ports.documents().commit(store.writes_to_continue(known, (), said))
    return conversation


def _text(size: int) -> str:
    characters = size * 1_000 // MESSAGES
    return (WORDS * (characters // len(WORDS) + 1))[:characters]


def _instance(documents: Documents) -> Services:
    """Return a backend as another instance has it: with the store in common, and nothing remembered."""
    return in_memory({}, documents=documents, chat_model=ScriptedChatModel())
