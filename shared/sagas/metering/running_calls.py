"""The registry of the calls that run on this instance, each with a stop signal, and of recent requests to stop."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from shared.kernel.clock import Clock, Millis
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.stopping import StopSignal
from shared.sagas.metering.stop_requests import CallName, StopRequest

REMEMBERED_USERS_MAX = 5_000
"""Most users whose stop requests an instance remembers; the latest requests stay."""
CLOCKS_APART: Millis = 250
"""Most time by which two instances' clocks differ. A turn this much younger than a request may have run before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunningCall:
    """A call while the call runs: the owner, the names, and the signal that ends the call."""

    uid: Uid
    principal: str
    names: frozenset[CallName]
    begun_at: Millis
    signal: StopSignal = field(repr=False)

    def is_meant(self, request: StopRequest) -> bool:
        """Return True if the request names this call, comes from an allowed caller, and came in time.

        An early request applies to later calls, too; any other request only to calls that had begun.
        """
        is_named = self.uid == request.uid and request.name in self.names and request.covers(self.principal)
        return is_named and (request.name.is_early or self.begun_at <= request.at + CLOCKS_APART)


class Hearer(Protocol):
    """A listener for requests to stop."""

    def hear(self, requests: Iterable[StopRequest]) -> None:
        """Take in requests, new or known."""
        ...

    def users(self) -> Sequence[Uid]:
        """Return the users whose calls run here."""
        ...


class News(Protocol):
    """The source of stop requests that other instances took."""

    def listen(self, hearer: Hearer) -> None:
        """Pass requests to `hearer` from now on, until `hearer` has been without calls for a while. Never blocks."""
        ...


class NoNews:
    """The source of news when there is no other instance."""

    def listen(self, hearer: Hearer) -> None:
        """Do nothing, since no other instance takes requests; see `News.listen`."""


class RunningCalls:
    """The registry of one instance. Safe to share between threads."""

    def __init__(self, clock: Clock, news: News | None = None) -> None:
        self._clock = clock
        self._news = news or NoNews()
        self._change = threading.Condition()
        self._running: dict[Uid, list[RunningCall]] = {}
        self._asked: OrderedDict[Uid, dict[str, StopRequest]] = OrderedDict()

    @contextmanager
    def running(self, uid: Uid, principal: str, names: Iterable[CallName], signal: StopSignal) -> Iterator[None]:
        """Make the call stoppable inside the block. If a stop was requested before, `signal` is given at once."""
        call = RunningCall(
            uid=uid, principal=principal, names=frozenset(names), begun_at=self._clock.now(), signal=signal
        )
        with self._change:
            self._running.setdefault(uid, []).append(call)
            is_asked = self._is_asked_for(call)
        try:
            if is_asked:
                signal.give()
            else:
                self._news.listen(self)
            yield
        finally:
            self._end(call)

    def stop(self, request: StopRequest) -> list[RunningCall]:
        """Stop the calls of this instance that the request means, and return the calls. Others may begin later."""
        with self._change:
            meant = self._meant(request)
        self.hear([request])
        return meant

    def hear(self, requests: Iterable[StopRequest]) -> None:
        """Stop the calls that new requests mean. A request that has expired stops nothing."""
        now = self._clock.now()
        for request in requests:
            with self._change:
                if request.id in self._asked.get(request.uid, ()) or request.is_over(now):
                    continue
                self._remember(request)
                meant = self._meant(request)
            for call in meant:
                log("call_stopped", uid=call.uid)
                call.signal.give()

    def users(self) -> Sequence[Uid]:
        """Return the users whose calls run here; see `Hearer.users`."""
        with self._change:
            return tuple(self._running)

    def wait_for_end(self, calls: Sequence[RunningCall], seconds: float) -> bool:
        """Wait until none of these calls runs any more, for `seconds` at most. Return False if a call still runs."""
        with self._change:
            return self._change.wait_for(lambda: not any(self._is_running(call) for call in calls), seconds)

    def _meant(self, request: StopRequest) -> list[RunningCall]:
        return [call for call in self._running.get(request.uid, ()) if call.is_meant(request)]

    def _is_running(self, call: RunningCall) -> bool:
        return any(each is call for each in self._running.get(call.uid, ()))

    def _is_asked_for(self, call: RunningCall) -> bool:
        now = self._clock.now()
        return any(
            request.name.is_early and not request.is_over(now) and call.is_meant(request)
            for request in self._asked.get(call.uid, {}).values()
        )

    def _remember(self, request: StopRequest) -> None:
        now = self._clock.now()
        known = self._asked.pop(request.uid, {})
        live = {id_: each for id_, each in known.items() if not each.is_over(now)}
        self._asked[request.uid] = {**live, request.id: request}
        while len(self._asked) > REMEMBERED_USERS_MAX:
            self._asked.popitem(last=False)

    def _end(self, call: RunningCall) -> None:
        with self._change:
            left = [each for each in self._running[call.uid] if each is not call]
            if left:
                self._running[call.uid] = left
            else:
                del self._running[call.uid]
            self._change.notify_all()
