"""A process that does something about one payment, and meets its fate at a moment of its choosing.

A moment is `before` or `after` its n-th commit or call of the provider, all counted together, from 1. There it is
killed, or stopped until somebody lets it go on; nothing behind that moment runs meanwhile. One that has no fate ends
well and tells how many moments there were.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from shared.bootstrap import Services, production
from shared.kernel.errors import DomainError
from shared.kernel.ids import OperationId
from shared.kernel.settings import parse_settings
from shared.platform.memory.alerts import MemoryAlerts
from shared.sagas.payments.refunds import RefundAsked
from tests.support.adapters import replace_adapters

PORT = frozenset({"open", "truth", "capture", "refund", "cancel", "locate", "notices"})
LOADED = (
    "tests.support.killable_worker",
    "shared.platform.firestore.documents",
    "shared.platform.paypal.provider",
    "shared.platform.stripe.provider",
    "shared.sagas.payments.refunds",
)
"""What a process finds loaded when it begins. None of them opens a connection by being loaded."""
SECONDS_MAX = 120.0
WAKE_SECONDS = 0.2
WAKES_MAX = 100

EXIT_CODES = threading.Lock()
"""Held while an exit code may be read. `multiprocessing` reads those of all processes whenever one is started: of two
threads that read the same code at once, one would get 255.
"""

Act = Callable[[Services], None]


@dataclass(frozen=True)
class Fate:
    """What happens to a process, and when."""

    number: int
    when: str
    signal: signal.Signals


class Moments:
    """Counts them, and lets fate strike."""

    def __init__(self, fate: Fate | None, told: Connection) -> None:
        self.count = 0
        self._fate = fate
        self._told = told

    @contextmanager
    def one(self) -> Iterator[None]:
        self.count += 1
        number = self.count
        self._come(number, "before")
        yield
        self._come(number, "after")

    def _come(self, number: int, when: str) -> None:
        if self._fate is not None and (number, when) == (self._fate.number, self._fate.when):
            self._told.send("here")
            os.kill(os.getpid(), self._fate.signal)
            self._told.send("on")


class Watched:
    """A part of ours with some of whose calls a moment comes."""

    def __init__(self, inner: Any, calls: frozenset[str], moments: Moments) -> None:
        self._inner = inner
        self._calls = calls
        self._moments = moments

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self._calls:
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._moments.one():
                return value(*args, **kwargs)

        return call


def settle(services: Services, payment: str) -> None:
    services.payments.settlement.settle(payment)


def refund(services: Services, payment: str, minor: int) -> None:
    """A refund of ours, the same one for each payment."""
    operation = OperationId(f"op_refund_{payment}")
    services.payments.refunds.refund(
        RefundAsked(payment=payment, minor=minor, operation=operation, fingerprint=str(minor))
    )


def _begin(environment: Mapping[str, str], act: Act, fate: Fate | None, told: Connection) -> None:
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what it logs as it goes
    services, moments = production(parse_settings(environment)), Moments(fate, told)
    watched = Watched(services.ports.documents(), frozenset({"commit"}), moments)
    providers = {
        name: Watched(provider, PORT, moments) for name, provider in services.ports.payment_providers().items()
    }
    replace_adapters(services, alerts=MemoryAlerts(), documents=watched, payment_providers=providers)
    try:
        act(services)
    except DomainError as error:
        told.send(error.code)
    else:
        told.send(moments.count)


class KillableWorker:
    """Such a process, from outside."""

    def __init__(self, environment: Mapping[str, str], act: Act, fate: Fate | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(LOADED))
        self._told, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_begin, args=(dict(environment), act, fate, theirs), daemon=True)
        with EXIT_CODES:
            self._process.start()
        theirs.close()

    def meets_its_fate(self) -> None:
        """Wait until it does."""
        assert self._heard() == "here", "a process came to its end before its moment"

    def goes_on(self) -> None:
        """Wake it, again if it was only about to fall asleep."""
        for _ in range(WAKES_MAX):
            os.kill(self._pid, signal.SIGCONT)
            if self._told.poll(WAKE_SECONDS):
                break
        assert self._heard() == "on"

    def is_heard(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        return self._told.poll(seconds)

    def ended(self) -> int | str:
        """How many moments there were, or the code of the error that it ended with."""
        return self._heard()

    def died(self) -> int | None:
        """The exit code of one that was killed."""
        self._join()
        return self._process.exitcode

    def close(self) -> None:
        """Nothing of it stays, stopped or not."""
        self._process.kill()
        self._join()
        self._process.close()
        self._told.close()

    def _join(self) -> None:
        wait([self._process.sentinel], SECONDS_MAX)
        with EXIT_CODES:
            self._process.join(0)

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def _heard(self) -> int | str:
        assert self._told.poll(SECONDS_MAX), "a process said nothing"
        heard: int | str = self._told.recv()
        return heard
