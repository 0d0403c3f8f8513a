"""A storm of operations while signing keys are rotated: writers on three instances, and an operator who never stops.

Goal: no operation fails, nothing is called tampered, no account is frozen. Method: eight threads ask commands of every
kind of random accounts, each of a random instance. Meanwhile instances are replaced one at a time, a key is announced,
used, ended and retired, and every job of every minute runs. The clock moves by a minute between the operator's acts,
which wait for a share of the operations, not for time.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shared.bootstrap import Services
from shared.kernel.clock import MINUTE
from shared.kernel.errors import Conflict, DomainError, NotFound, Rejected
from shared.kernel.ids import Uid
from shared.ledger.commands import Command
from shared.ledger.errors import IntegrityFailed
from shared.ledger.key_store import END_NOTICE
from shared.platform.memory.clock import ManualClock
from tests.support import books as ask
from tests.support.rotations import Fleet, signing_key, statuses

WRITERS = 8
INSTANCES = 3
ACCOUNTS = 8
NAMES = 6
"""Number of names of lots and holds that an account's commands choose from, so that most of them exist."""
ALARMING = frozenset(
    {
        "closed_day_broken",
        "freeze_breaker_open",
        "integrity_failed",
        "ledger_tampered",
        "log_account_parked",
        "log_broken",
        "log_inconsistent",
    }
)
"""Alerts that say that something was changed behind our back."""


class LeapingClock(ManualClock):
    """A time of day that leaps when told, over seconds that pass as they do: commands in flight keep their patience."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        threading.Event().wait(seconds)


@dataclass
class Outcome:
    """What the storm did: operations by their answer, and the failures, of which there must be none."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    rotations: int = 0

    @property
    def operations(self) -> int:
        return sum(self.answers.values())


class RotationStorm:
    """Writers and an operator on one store. `seed` decides what the writers ask."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.seed = seed
        self.keys = [signing_key("key-0", 1)]
        self.instances = [fleet.deploy(*self.keys) for _ in range(INSTANCES)]
        self.outcome = Outcome()
        self.uids = [Uid(f"user-{number}") for number in range(ACCOUNTS)]
        self._counted = threading.Condition()
        self._is_over = False
        self._begun = self._allowed = 0

    def run(self, operations: int, is_enough: Callable[[], bool] = lambda: True) -> Outcome:
        """Rotate at least once during so many operations, and again until it is enough."""
        for uid in self.uids:
            self.instances[0].credits.ledger.execute(uid, ask.grant("first", 1_000_000, operation="first"))
        writers = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            while True:
                self._rotate(operations)
                if is_enough():
                    return self.outcome
        finally:
            with self._counted:
                self._is_over = True
                self._counted.notify_all()
            for writer in writers:
                writer.join()

    # Writers -----------------------------------------------------------------------------------------------------

    def _write(self, number: int) -> None:
        dice = random.Random(f"{self.seed}:{number}")
        count = 0
        while self._may_begin():
            count += 1
            uid, services = dice.choice(self.uids), dice.choice(self.instances)
            self._count(self._answer(services, uid, _command(dice, f"{number}-{count}", self.fleet.clock.now())), uid)

    def _may_begin(self) -> bool:
        """Wait until one more operation is allowed; return False at the end of the storm."""
        with self._counted:
            self._counted.wait_for(lambda: self._is_over or self._begun < self._allowed)
            self._begun += 1
            return not self._is_over

    def _answer(self, services: Services, uid: Uid, command: Command) -> str:
        try:
            services.credits.ledger.execute(uid, command)
        except IntegrityFailed as error:
            return f"failed: {error.code} {dict(error.params)}"
        except (Rejected, Conflict, NotFound) as refusal:
            return refusal.code
        except DomainError as error:
            return f"failed: {error.code}"
        return "done"

    def _count(self, answer: str, uid: Uid) -> None:
        with self._counted:
            self.outcome.answers[answer.partition(":")[0]] += 1
            if answer.startswith("failed"):
                self.outcome.failures.append(f"{uid}: {answer}")
            self._counted.notify_all()

    # The operator ------------------------------------------------------------------------------------------------

    def _rotate(self, operations: int) -> None:
        """Replace the key while so many operations run, each act after its share of them."""
        acts = list(self._acts())
        begun = self.outcome.operations
        for number, act in enumerate(acts, 1):
            self._allow(begun + operations * number // len(acts))
            act()
            self._wait()
        self.outcome.rotations += 1

    def _acts(self) -> Iterator[Callable[[], Any]]:
        old, new = self.keys[0], signing_key(f"key-{self.outcome.rotations + 1}", self.outcome.rotations + 2)
        kid = old.partition(":")[0]
        yield self.minute
        yield from self._deployments(old, new)
        yield self.minute
        yield from self._deployments(new, old)
        yield lambda: self.instances[-1].credits.key_acts.end(kid)
        for _ in range(END_NOTICE // MINUTE + 2):
            yield self.minute
        yield lambda: self._until_retired(kid)
        yield from self._deployments(new)
        yield self._day

    def _deployments(self, *keys: str) -> Iterator[Callable[[], None]]:
        """Yield the replacement of each instance, one after the other."""
        for number in range(INSTANCES):
            yield partial(self._deploy, number, keys)

    def _deploy(self, number: int, keys: tuple[str, ...]) -> None:
        self.keys = list(keys)
        self.instances[number] = self.fleet.deploy(*keys)

    def minute(self) -> None:
        self.fleet.clock.advance(MINUTE)
        self.instances[-1].jobs.run_schedule("every_minute")

    def _day(self) -> None:
        self.instances[-1].jobs.run_schedule("every_day")

    def _until_retired(self, kid: str) -> None:
        for _ in range(20):
            if statuses(self.instances[-1])[kid] == "retired":
                return
            self.minute()
        raise AssertionError(f"{kid} was never retired")

    def _allow(self, operations: int) -> None:
        """Let the writers go on to so many operations."""
        with self._counted:
            self._allowed = operations
            self._counted.notify_all()

    def _wait(self) -> None:
        with self._counted:
            self._counted.wait_for(lambda: self.outcome.operations >= self._allowed)

    # Afterwards --------------------------------------------------------------------------------------------------

    def kinds(self) -> set[str]:
        """Kinds of entries that occurred."""
        ledger = self.instances[0].credits.ledger
        return {str(body["kind"]) for uid in self.uids for body in ledger.bodies(uid, 1, 100_000)}

    def alarms(self) -> list[str]:
        """Alerts that call something tampered with."""
        return [f"{each.event} {dict(each.fields)}" for each in self.fleet.alerts.raised if each.event in ALARMING]

    def broken(self) -> list[Any]:
        """Laws that an account breaks, by the keys of the registry."""
        ledger = self.instances[0].credits.ledger
        return [finding for uid in self.uids for finding in ledger.verify(uid)]


def _command(dice: random.Random, name: str, now: int) -> Command:
    """A command of any kind; a frozen account is unfrozen as often as accounts are frozen."""
    lot, hold = f"lot-{dice.randrange(NAMES)}", f"hold-{dice.randrange(4 * NAMES)}"
    amount = dice.randint(1, 500)
    made: tuple[Callable[[], Command], ...] = (
        lambda: ask.grant(f"lot-{name}", amount, operation=name, expires_at=now + dice.randint(1, 20) * MINUTE),
        lambda: ask.grant(lot, amount, operation=name),
        lambda: ask.grant(f"back-{name}", amount, operation=name, source="refund:chat"),
        lambda: ask.charge(amount, operation=name),
        lambda: ask.hold(hold, amount, operation=name),
        lambda: ask.extend(hold, amount, operation=name),
        lambda: ask.capture(hold, amount, operation=name),
        lambda: ask.release(hold, operation=name),
        lambda: ask.reverse(lot, amount, operation=name),
        lambda: ask.restore(lot, amount, operation=name),
        lambda: ask.adjust(amount, operation=name),
        lambda: ask.freeze() if dice.random() < 0.05 else ask.charge(amount, operation=name),
        lambda: ask.unfreeze() if dice.random() < 0.5 else ask.charge(amount, operation=name),
    )
    return dice.choice(made)()
