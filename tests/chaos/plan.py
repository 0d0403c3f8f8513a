"""What is asked in one storm, by whom: decided by the seed alone, and the same for everybody who computes it."""

import random
from dataclasses import dataclass, replace

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
    asks: list[Ask] = []
    for number in range(operations):
        ask = _ask(dice, number, asks)
        asks.append(ask)
        at.append((number, ask))
        if ask.kind != "read" and dice.random() < DUPLICATED:
            twin = replace(ask, amount=ask.amount + 1) if dice.random() < ALTERED else ask
            at.append((number + dice.random() * dice.choice(GAPS), twin))
    return [Send(number, ask) for number, (_, ask) in enumerate(sorted(at, key=lambda item: item[0]))]


def _ask(dice: random.Random, number: int, before: list[Ask]) -> Ask:
    uid, kind, name = dice.choice(ACCOUNTS), dice.choice(KINDS), f"op{number}"
    ask = Ask(uid=uid, operation=OperationId(name), kind=kind, amount=dice.randint(1, 100))
    holds = [known.about for known in before if known.uid == uid and known.kind == "hold"][-RECENT:] or ["none"]
    lots = [known.about for known in before if known.uid == uid and known.kind == "grant"][-RECENT:] or ["none"]
    match kind:
        case "grant":
            about = dice.choice(lots) if dice.random() < 0.05 else f"lot_{name}"
            return replace(ask, about=about, amount=dice.randint(100, 400))
        case "hold":
            about = dice.choice(holds) if dice.random() < 0.05 else f"hold_{name}"
            return replace(ask, about=about, lifetime=dice.choice([300, 2_000, 10_000]))
        case "extend":
            return replace(ask, about=dice.choice(holds), accrued=dice.randint(0, 50))
        case "capture":
            return replace(ask, about=dice.choice(holds), is_final=dice.random() < 0.8)
        case "release" | "reverse":
            return replace(ask, about=dice.choice(holds if kind == "release" else lots))
        case "adjust":
            return replace(ask, amount=dice.choice([-1, 1]) * ask.amount)
        case _:
            return ask
