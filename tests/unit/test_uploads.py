"""Places for bodies: quick bodies wait a moment for each other, slow bodies make room, and the rest is refused."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from flask import Request
from werkzeug.exceptions import ClientDisconnected
from werkzeug.test import EnvironBuilder

from functions.http.errors import TooManyRequests
from functions.http.uploads import BodyTooSlow, InstanceBusy, Uploads
from tests.support.processes import wait_for

THREADS = 16
PLACES, PLACES_OF_ONE = 4, 2
BODY = b"{}"
LONG_SECONDS = 60


class HeldBody:
    """Body of a client that sends when `come` is set."""

    def __init__(self, arrives: bytes) -> None:
        self.is_read = threading.Event()
        self.come = threading.Event()
        self._left = arrives

    def read(self, size: int = -1) -> bytes:
        self.is_read.set()
        assert self.come.wait(LONG_SECONDS)
        sent, self._left = self._left[:size], self._left[size:]
        return sent


def request_with(body: HeldBody | None = None) -> Request:
    environ = EnvironBuilder(method="POST", data=BODY).get_environ()
    if body is not None:
        environ["wsgi.input"] = body
    return Request(environ)


class Crowd:
    """Clients whose bodies are under way at once."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.now = 0.0
        self.uploads = Uploads(THREADS, lambda: self.now)
        self.bodies: list[HeldBody] = []
        self._pool = pool

    def begin(self, caller: str, arrives: bytes = BODY) -> Future[bytes]:
        """Begin a body that has a place and does not come yet. `arrives` is the part that will come."""
        body = HeldBody(arrives)
        self.bodies.append(body)
        receiving = self._pool.submit(self.uploads.receive, request_with(body), 1_000, caller)
        assert body.is_read.wait(LONG_SECONDS)
        return receiving

    def begin_waiting(self, caller: str) -> Future[bytes]:
        """Send a body whole that has to wait for a place."""
        receiving = self._pool.submit(self.send, caller)
        wait_for(lambda: self.uploads._waiting or receiving.done())
        return receiving

    def send(self, caller: str) -> bytes:
        """Send a body whole."""
        return self.uploads.receive(request_with(), 1_000, caller)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with ThreadPoolExecutor(PLACES + 1) as pool, ended(Crowd(pool)) as crowd:
        yield crowd


@contextmanager
def ended(crowd: Crowd) -> Iterator[Crowd]:
    try:
        yield crowd
    finally:
        for body in crowd.bodies:
            body.come.set()


def test_a_third_body_of_a_caller_waits_until_another_is_read(crowd, monkeypatch):
    monkeypatch.setattr("functions.http.uploads.WAIT_SECONDS", LONG_SECONDS)
    begun = [crowd.begin("ann") for _ in range(PLACES_OF_ONE)]
    third = crowd.begin_waiting("ann")

    assert not third.done()
    crowd.bodies[0].come.set()
    assert [begun[0].result(LONG_SECONDS), third.result(LONG_SECONDS)] == [BODY, BODY]


def test_a_third_body_is_refused_if_no_place_comes_free(crowd):
    for _ in range(PLACES_OF_ONE):
        crowd.begin("ann")

    with pytest.raises(TooManyRequests):
        crowd.send("ann")
    assert crowd.send("ben") == BODY


def test_a_body_is_refused_at_once_if_every_place_is_taken(crowd, monkeypatch):
    monkeypatch.setattr("functions.http.uploads.WAIT_SECONDS", LONG_SECONDS)
    for number in range(PLACES):
        crowd.begin(("ann", "ben")[number % 2])

    with pytest.raises(TooManyRequests):
        crowd.send("ann")
    with pytest.raises(InstanceBusy):
        crowd.send("cay")


@pytest.mark.parametrize(
    ("arrives", "ends"), [(BODY, [type(None)] * 2), (b"{", [BodyTooSlow, ClientDisconnected])], ids=["whole", "part"]
)
def test_the_slowest_body_gives_up_its_place_unless_it_came_whole(crowd, arrives, ends):
    slow = [crowd.begin("ann", arrives) for _ in range(PLACES_OF_ONE)]
    crowd.now = 2.0

    assert crowd.send("ann") == BODY
    for body in crowd.bodies:
        body.come.set()
    assert sorted((type(each.exception(LONG_SECONDS)) for each in slow), key=str) == ends
