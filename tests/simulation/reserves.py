"""Sixty-four reserves at once, on instances that meet, in any weather, for credits that pay for exactly K of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from shared.ledger.commands import Command
from shared.ledger.ledger import Ledger
from tests.simulation.simulator import INSTANCES, LEDGER, UID, Simulation
from tests.support import books

CALLERS = 64


@dataclass
class Reserves(Simulation):
    """Whoever comes finds the next few waiting; all of them are answered before any hold's time is up."""

    commands_max: int = CALLERS
    waiting: list[Command] = field(default_factory=list, repr=False)
    ticks: ClassVar[tuple[int, ...]] = (0, 0, 1, 5)

    def play(self) -> None:
        self.pauses, self.faults = 0.0, min(self.faults, 0.1)
        for clock in self.clocks:
            clock.skew = 0
        paid_for, amount = self.dice.randrange(CALLERS + 1), self.dice.choice([1, 7, 100])
        rest = self.dice.randrange(amount)
        self._give(paid_for * amount + rest)
        given, self.told = self.told, []
        self.waiting = [books.hold(f"h{number}", amount, operation=f"op{number}") for number in range(CALLERS)]
        self.dice.shuffle(self.waiting)
        while self.waiting:
            self._act(self.dice.randrange(INSTANCES))
        self.clear()
        told = Counter(type(each.answer).__name__ for each in self.told)
        assert told == Counter(CommandAnswer=paid_for, InsufficientCredits=CALLERS - paid_for), (paid_for, told)
        ledger = Ledger(self.documents, self.clock, self.keys, ledger_id=LEDGER, hold_lifetime_seconds=900)
        assert (ledger.balance(UID).available, ledger.balance(UID).held) == (rest, paid_for * amount)
        self.told = given + self.told

    def _give(self, amount: int) -> None:
        """In a few lots."""
        while amount:
            part = self.dice.randrange(1, amount + 1)
            self.waiting = [books.grant(f"lot{amount}", part, operation=f"grant{amount}")]
            self._act(self.dice.randrange(INSTANCES))
            amount -= part

    def _batch(self) -> list[Command]:
        size = min(self.dice.choice([1, 1, 2, 5, 16]), len(self.waiting))
        batch, self.waiting = self.waiting[:size], self.waiting[size:]
        return batch
