"""A proxy before the real store: calls fail on their way there, or on their way back."""

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Self

import grpc

from shared.platform.firestore.calls import FirestoreCalls, emulator_channel
from shared.platform.firestore.documents import FirestoreDocuments

CODES = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.ALREADY_EXISTS,
)
"""ALREADY_EXISTS behind an applied commit is what a client library that repeats it hears."""
LATE_SECONDS_MAX = 0.3
TOLD = "said by nobody but this proxy"


class Injected(grpc.RpcError, grpc.Call):  # type: ignore[misc]  # grpc has no types
    """A failure as grpc itself would raise it."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__()
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return TOLD

    def initial_metadata(self) -> tuple[()]:
        return ()

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return False


class Proxy(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """Fails a `share` of all calls, by a seed: before the store heard of them, after it did, or, late, before it does.

    Of a method's calls every kind of failure meets as many, however few there are. `done` counts what was done.
    """

    def __init__(self, seed: int, share: float) -> None:
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self.share = share
        self.done: Counter[tuple[str, str, str]] = Counter()
        self._late: list[threading.Timer] = []
        self._decks: dict[str, list[tuple[str, grpc.StatusCode]]] = {}

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        when, code = self._drawn(details.method, ("before", "after", "late"))
        if when == "before":
            raise Injected(code)
        if when == "late":
            self._later(lambda: continuation(details, request))
            raise Injected(grpc.StatusCode.DEADLINE_EXCEEDED)
        call = continuation(details, request)
        if when == "after" and call.exception() is None:
            raise Injected(code)
        return call

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        when, code = self._drawn(details.method, ("before", "after"))
        if when == "before":
            raise Injected(code)
        call = continuation(details, request)
        return _Broken(call, code) if when == "after" else call

    def settle(self) -> None:
        """Let all that is late arrive."""
        self.share = 0.0
        for timer in self._late:
            timer.join()

    def _drawn(self, method: str, ways: tuple[str, ...]) -> tuple[str, Any]:
        with self._lock:
            if self._dice.random() >= self.share:
                return "", None
            when, code = self._dealt(method, ways)
            self.done[method.rpartition("/")[2], when, "" if when == "late" else code.name] += 1
            return when, code

    def _dealt(self, method: str, ways: tuple[str, ...]) -> tuple[str, grpc.StatusCode]:
        deck = self._decks.setdefault(method, [])
        if not deck:
            deck += product(ways, CODES)
            self._dice.shuffle(deck)
        return deck.pop()

    def _later(self, send: Callable[[], Any]) -> None:
        timer = threading.Timer(self._dice.random() * LATE_SECONDS_MAX, send)
        self._late.append(timer)
        timer.start()


class _Broken:
    """A stream that delivers everything but its end."""

    def __init__(self, call: Any, code: grpc.StatusCode) -> None:
        self._call, self._code = call, code

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except StopIteration:
            raise Injected(self._code) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class FaultyStore:
    """The adapter of production on the emulator, with the proxy in between. `documents` are safe to share."""

    def __init__(self, project: str, proxy: Proxy) -> None:
        self._channel = emulator_channel(os.environ["FIRESTORE_EMULATOR_HOST"])
        database = f"projects/{project}/databases/(default)"
        calls = FirestoreCalls(
            grpc.intercept_channel(self._channel, proxy), database, (("authorization", "Bearer owner"),)
        )
        self.documents = FirestoreDocuments(calls, database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
