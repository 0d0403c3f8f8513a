"""One account, several instances, bad weather, one thread: a history that its seed alone decides.

Instances meet inside each other's store calls: whenever one reads or commits, another may do whole operations in
between. Commands are coalesced as threads would do it. What callers were told is then held against what is stored.

    python -m tests.simulation.simulator FIRST_SEED COUNT STEPS
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.kernel.documents import OutcomeUnknown
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.ids import HoldId, OperationId, Uid, derived_id
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim, Command, Expire, PlaceHold, RateLimit
from shared.ledger.committer import Committer
from shared.ledger.decide import decide
from shared.ledger.lanes import Committed, Job
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore, account_path, operation_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books
from tests.support.ledger_faults import COMMIT_FAULTS, Call, Fault, Weather
from tests.support.ledgers import KEYS

UID = Uid("simulated")
INSTANCES = 3
LEDGER = "demo-simulated"
NESTED_MAX = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What one caller was told about one command, by which instance."""

    instance: int
    command: Command
    answer: Committed | BaseException
    nonces: frozenset[str]
    """Of the commits that were tried for it."""


@dataclass
class Simulation:
    """`run` plays; what is wrong in the end raises AssertionError naming the seed."""

    seed: int
    steps: int
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.clock = ManualClock()
        self.documents = MemoryDocuments()
        self.nonces = iter(range(10**9))
        self.weathers = [Weather(self.documents, self._script(n)) for n in range(INSTANCES)]
        self.committers = [self._committer(n) for n in range(INSTANCES)]
        self.busy: set[int] = set()
        self.commands: list[Command] = []
        self.faults = self.dice.choice([0.0, 0.02, 0.1, 0.3])
        self.kinds: tuple[Fault, ...] = self.dice.choice([COMMIT_FAULTS, ("late",), ("late", "lost")])
        self.meetings = self.dice.choice([0.0, 0.1, 0.4])

    def run(self) -> None:
        """Play, let the weather clear, and hold what was told against what is stored."""
        for _ in range(self.steps):
            self.clock.advance(self.dice.choice([0, 1, 50, 1_000, 5_000, 60_000]))
            self._act(self.dice.randrange(INSTANCES))
        self.faults = self.meetings = 0.0
        for weather in self.weathers:
            weather.settle()
        self._judge()

    # Instances and weather ---------------------------------------------------------------------------------------

    def _committer(self, number: int) -> Committer:
        return Committer(
            AccountStore(self.weathers[number], KEYS, LEDGER),
            self.clock,
            KEYS.kid,
            jitter=self.dice.random,
            new_nonce=lambda: str(next(self.nonces)),
        )

    def _script(self, number: int) -> Any:
        def script(call: Call) -> Fault | None:
            while len(self.busy) <= NESTED_MAX and self.dice.random() < self.meetings:
                self._act(self.dice.choice([n for n in range(INSTANCES) if n not in self.busy]))
            self.weathers[number].delay = self.dice.choice([1, 1, 2, 5, 20])
            self.clock.advance(self.dice.choice([0, 0, 0, 5, 400, 3_000]))
            if self.dice.random() >= self.faults:
                return None
            return self.dice.choice(self.kinds) if call.kind == "commit" else "unavailable"

        return script

    def _act(self, number: int) -> None:
        if number in self.busy or len(self.busy) > NESTED_MAX:
            return
        if self.dice.random() < 0.02:
            self.committers[number] = self._committer(number)
        self.busy.add(number)
        batch, before = [self._command() for _ in range(self.dice.choice([1, 1, 1, 2, 5]))], len(self.told)
        for job in self._together(self.committers[number], batch):
            assert job.answer is not None
            self.told.append(Told(number, job.command, job.answer, frozenset(job.nonces)))
        self.busy.remove(number)
        if len(self.told) == before + 1:
            self._judge_refusal(self.told[-1])

    def _together(self, committer: Committer, batch: Sequence[Command]) -> list[Job]:
        """What `Committer.execute` does for so many threads that arrive at once, one of which leads."""
        jobs = [Job(command, self.clock.monotonic() + 25.0) for command in batch]
        lanes = [committer._lanes.enter(UID, job) for job in jobs]
        while waiting := [job for job in jobs if job.answer is None]:
            leaders = [job for job in waiting if job.must_lead]
            assert len(leaders) == 1, "somebody leads, and nobody else"
            committer._lanes.lead(lanes[0], leaders[0])
        assert not lanes[0].is_led
        return jobs

    # Commands ----------------------------------------------------------------------------------------------------

    def _command(self) -> Command:
        """Something new, or, as users and brokers do, the same again."""
        if self.commands and self.dice.random() < 0.3:
            return self.dice.choice(self.commands)
        command = self._new_command(OperationId(f"op{len(self.commands)}"))
        self.commands.append(command)
        return command

    def _new_command(self, op: OperationId) -> Command:
        dice, amount = self.dice, self.dice.choice([0, 1, 5, 20, 100])
        placed = [known.hold for known in self.commands if isinstance(known, PlaceHold)]
        held = dice.choice(placed[-8:]) if placed else "none"
        lot = f"lot{dice.randrange(len(self.commands) // 8 + 2)}"
        cap = (BudgetClaim(id="cap", limit=Micro(60)),) if dice.random() < 0.3 else ()
        name = dice.choice([f"h{dice.randrange(8)}", f"h{len(self.commands)}", *[derived_id("hold", op)] * 3])
        rate = RateLimit(per_minute=600, burst=20)
        expires_at = self.clock.now() + dice.choice([0, 2_000, 100_000]) if dice.random() < 0.5 else None
        makers: list[Callable[[], Command]] = [
            lambda: books.grant(lot, amount + 1, operation=op, expires_at=expires_at, priority=dice.choice([10, 20])),
            lambda: books.grant(lot, amount + 1, operation=op),
            lambda: books.hold(
                HoldId(name), amount, operation=op, lifetime=dice.choice([500, 5_000, 60_000]), budgets=cap, rate=rate
            ),
            lambda: books.extend(held, amount, accrued=dice.choice([0, amount]), operation=op),
            lambda: books.capture(held, amount, operation=op, is_final=dice.random() < 0.7),
            lambda: books.release(held, operation=op),
            lambda: books.charge(amount, operation=op, budgets=cap),
            lambda: books.reverse(lot, dice.choice([1, 5, 50]), operation=op),
            lambda: books.adjust(dice.choice([-20, -1, 1, 20]), operation=op),
            lambda: Expire(operation=OperationId(""), fingerprint=""),
        ]
        return dice.choice(makers)()

    # What was told, and what is true -----------------------------------------------------------------------------

    def _judge_refusal(self, told: Told) -> None:
        """Nobody else was there: what is stored now is what the refusal was decided on."""
        if isinstance(told.answer, Committed | Unavailable):
            return
        snapshot = AccountStore(self.documents, KEYS, LEDGER).read(UID, [told.command])
        assert told.command.operation not in snapshot.operations, (self, told, "refused, and it is done")
        try:
            decide(snapshot.head.account, told.command, self.clock.now(), kid="", archive=snapshot.archive)
        except DomainError as refusal:
            assert type(refusal) is type(told.answer), (self, told, refusal)  # noqa: PT017
        else:
            raise AssertionError(self, told, "refused, and it could have been done")

    def _judge(self) -> None:
        ledger = Ledger(self.documents, self.clock, KEYS, ledger_id=LEDGER, hold_lifetime_seconds=900)
        assert ledger.verify(UID) == [], self
        document = self.documents.get(account_path(UID))
        assert document is None or document.data["available"] >= 0, self  # type: ignore[operator]
        by_operation: dict[str, list[Told]] = {}
        for told in self.told:
            if told.command.operation:
                by_operation.setdefault(told.command.operation, []).append(told)
        for operation, all_told in by_operation.items():
            self._judge_operation(operation, all_told)

    def _judge_operation(self, operation: str, all_told: Sequence[Told]) -> None:
        document = self.documents.get(operation_path(UID, OperationId(operation)))
        is_stored = document is not None
        landed = {orjson.loads(str(document.data["state"]))["nonce"]} if document is not None else set()
        done = [told.answer for told in all_told if isinstance(told.answer, Committed)]
        unknown = any(isinstance(told.answer, OutcomeUnknown) for told in all_told)
        failed = [told.answer for told in all_told if not isinstance(told.answer, Committed)]
        assert all(isinstance(answer, DomainError) for answer in failed), (self, failed)
        assert all(answer.result == done[0].result for answer in done), (self, operation, "one key, one result")
        assert sum(not answer.is_replay for answer in done) <= 1, (self, operation, "one key, one effect")
        assert not done or is_stored, (self, operation, "told done, and it is not")
        assert done or unknown or not is_stored, (self, operation, "told failed, and it landed")
        for told in all_told:
            if not isinstance(told.answer, Committed | OutcomeUnknown):
                assert not landed & told.nonces, (self, operation, told.answer, "refused, and that very try landed")

    def tally(self) -> dict[str, int]:
        """How often each kind of answer was given."""
        kinds = [type(told.answer).__name__ for told in self.told]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def troubles(simulation: Simulation) -> int:
    """How many callers were told that the store was in the way."""
    return sum(isinstance(told.answer, Unavailable) for told in simulation.told)


def main() -> None:
    """Play COUNT seeds from FIRST_SEED on."""
    first, count, steps = (int(argument) for argument in sys.argv[1:4])
    for seed in range(first, first + count):
        simulation = Simulation(seed, steps)
        simulation.run()
        sys.stdout.write(f"{seed} {simulation.tally()}\n")


if __name__ == "__main__":
    main()
