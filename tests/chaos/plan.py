"""Commands of one storm and their callers. The seed alone decides them, so each process computes the same plan."""

import random
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.kernel.ids import OperationId, Uid
from tests.support.history import Ask, Kind

DUPLICATED = 0.3
ALTERED = 0.2
"""So many of the duplicates ask for something else under the same operation id."""
GAPS = (8, 8, 8, 60, 2_000)
ACCOUNTS = (Uid("ada"), Uid("ada"), Uid("ada"), Uid("bob"), Uid("bob"), Uid("cyd"), Uid("dan"))
KINDS: tuple[Kind, ...] = ("charge",) * 6 + ("hold",) * 6 + ("capture",) * 4 + ("extend",) * 2 + ("release",) * 2
KINDS += ("grant",) * 3 + ("reverse", "adjust", "read")
RECENT = 12
REUSED = 0.05
"""So many holds and lots want a name that is taken."""
SLOTS = 4


@dataclass(frozen=True, slots=True)
class Send:
    """One ask, to be sent by one slot; `number` is its place in the plan."""

    number: int
    ask: Ask

    @property
    def slot(self) -> int:
        return self.number % SLOTS

    @property
    def heir(self) -> int:
        """Who sends it again if whoever sent it was killed before it was answered: as likely somebody else as not."""
        return self.number // SLOTS % SLOTS


def accounts() -> list[Uid]:
    """Everybody who has one."""
    return sorted(set(ACCOUNTS))


def plan(seed: int, operations: int) -> list[Send]:
    """So many operations, 30 % of them twice: soon after or much later, by anybody, some with another body."""
    dice = random.Random(seed)
    at: list[tuple[float, Ask]] = []
    named: dict[tuple[Uid, Kind], deque[str]] = defaultdict(lambda: deque(["none"], maxlen=RECENT))
    for number in range(operations):
        ask = _ask(dice, number, named)
        named[ask.uid, ask.kind].append(ask.about)
        at.append((number, ask))
        if ask.kind != "read" and dice.random() < DUPLICATED:
            twin = replace(ask, amount=ask.amount + 1) if dice.random() < ALTERED else ask
            at.append((number + dice.random() * dice.choice(GAPS), twin))
    return [Send(number, ask) for number, (_, ask) in enumerate(sorted(at, key=lambda item: item[0]))]


def _ask(dice: random.Random, number: int, named: Mapping[tuple[Uid, Kind], deque[str]]) -> Ask:
    uid, kind, name = dice.choice(ACCOUNTS), dice.choice(KINDS), f"op{number}"
    ask = Ask(uid=uid, operation=OperationId(name), kind=kind, amount=dice.randint(1, 100))
    holds, lots = named[uid, "hold"], named[uid, "grant"]
    changes: dict[str, Any] = {}
    match kind:
        case "grant":
            about = dice.choice(lots) if dice.random() < REUSED else f"lot_{name}"
            changes = {"about": about, "amount": dice.randint(40, 200)}
        case "hold":
            about = dice.choice(holds) if dice.random() < REUSED else f"hold_{name}"
            changes = {"about": about, "lifetime": dice.choice([300, 2_000, 10_000])}
        case "extend":
            changes = {"about": dice.choice(holds), "accrued": dice.randint(0, 50), "lifetime": 4_000}
        case "capture":
            changes = {"about": dice.choice(holds), "is_final": dice.random() < 0.8}
        case "release" | "reverse":
            changes = {"about": dice.choice(holds if kind == "release" else lots)}
        case "adjust":
            changes = {"amount": dice.choice([-1, 1]) * ask.amount}
    return replace(ask, **changes)
