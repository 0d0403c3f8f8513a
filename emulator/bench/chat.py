"""A chat turn through functions-framework, with the whole money path on, beside the bare upstream call."""

import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emulator.bench import serving
from emulator.bench.tables import Row, milliseconds, percentile, print_table, timed
from emulator.seed import seed_models
from emulator.suite import Suite

CLIENTS = (1, 16, 64)
USERS_MAX = 16
TURNS_PER_CONVERSATION = 5
"""A turn reads and sends the earlier messages again. A bare call has no earlier messages."""
TURNS_LONG = 60
"""These turns have more than the 100 messages that a prompt looks back."""
SAMPLES = 200
WARM_UP = 500
"""By then the emulator's machine code is compiled, and a model's expected length is settled and stored now and then."""


@dataclass(frozen=True, slots=True)
class Person:
    """User with credits: the address of the API, and the user's token."""

    api: str
    token: str

    def conversation(self) -> str:
        """Begin a conversation, and return the conversation's id."""
        identifier: str = posted(f"{self.api}/v1/chat/conversations", {}, self.token)["id"]
        return identifier

    def say(self, conversation: str, *, is_streamed: bool = False) -> None:
        """Send one message, and read the answer to the end."""
        body = {"content": "Hello!", "max_output_tokens": 60, "stream": is_streamed}
        asked(f"{self.api}/v1/chat/conversations/{conversation}/messages", body, self.token)


def main() -> None:
    """Start the servers, measure, and print the table."""
    with tempfile.TemporaryDirectory() as home, serving.upstream() as upstream:
        suite = Suite(home=Path(home), only=("auth", "firestore", "pubsub"))
        with suite:
            os.environ.update(suite.environment())
            seed_models(suite.project)
            with serving.api(upstream) as api:
                print_table(_rows(api, suite, upstream))


def _rows(api: str, suite: Suite, upstream: str) -> Iterator[Row]:
    people = [signed_up(api, suite) for _ in range(USERS_MAX)]
    _one_by_one(people[0], upstream, WARM_UP)
    yield from _pair("1 client", *_one_by_one(people[0], upstream, SAMPLES))
    yield from _pair("1 client, streamed", *_one_by_one(people[0], upstream, SAMPLES, is_streamed=True))
    yield _row("a turn with 100 messages before it, p50", *map(statistics.median, _long(people[0], upstream)))
    for clients in CLIENTS[1:]:
        ours, floor = _together(people, upstream, clients)
        yield from _pair(f"{clients} clients", ours.seconds, floor.seconds)
        yield _rate(f"turns a second, {clients} clients", ours, floor)


def _pair(who: str, ours: list[float], floor: list[float]) -> Iterator[Row]:
    yield _row(f"a chat turn, {who}, p50", statistics.median(ours), statistics.median(floor))
    yield _row(f"a chat turn, {who}, p99", percentile(ours, 99), percentile(floor, 99))


def _one_by_one(
    person: Person, upstream: str, samples: int, *, is_streamed: bool = False
) -> tuple[list[float], list[float]]:
    """Turns and bare calls in turn, so that the machine's other work falls on both."""
    ours, floor, conversation = [], [], ""
    for number in range(samples):
        conversation = person.conversation() if number % TURNS_PER_CONVERSATION == 0 else conversation
        ours.append(timed(partial(person.say, conversation, is_streamed=is_streamed)))
        floor.append(timed(partial(_bare, upstream, is_streamed=is_streamed)))
    return ours, floor


def _long(person: Person, upstream: str) -> tuple[list[float], list[float]]:
    conversation = person.conversation()
    for _ in range(TURNS_LONG):
        person.say(conversation)
    return (
        [timed(lambda: person.say(conversation)) for _ in range(SAMPLES // 4)],
        [timed(lambda: _bare(upstream)) for _ in range(SAMPLES // 4)],
    )


@dataclass(slots=True)
class Measured:
    """Seconds of the calls of clients at the same time. `failed` calls have no time."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    elapsed: float = 0.0


def _together(people: list[Person], upstream: str, clients: int) -> tuple[Measured, Measured]:
    """Alternate short rounds of turns and of bare calls. Each client has its own conversations."""
    ours, floor = Measured(), Measured()
    for _ in range(max(2, 2 * SAMPLES // clients // TURNS_PER_CONVERSATION)):
        talks = [(person := people[number % len(people)], person.conversation()) for number in range(clients)]
        _round(ours, [lambda talk=talk: talk[0].say(talk[1]) for talk in talks])  # type: ignore[misc]  # bound early
        _round(floor, [lambda: _bare(upstream)] * clients)
    return ours, floor


def _round(measured: Measured, calls: list[Callable[[], None]]) -> None:
    def repeat(call: Callable[[], None]) -> None:
        for _ in range(TURNS_PER_CONVERSATION):
            try:
                measured.seconds.append(timed(call))
            except Exception:  # noqa: BLE001  a bench counts whatever fails
                measured.failed += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(repeat, calls))
    measured.elapsed += time.perf_counter() - started


def _bare(upstream: str, *, is_streamed: bool = False) -> None:
    """Send the call that a turn sends to the provider, and read the answer to the end."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 60}
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    asked(f"{upstream}/v1/chat/completions", {**body, **streamed}, "sk-laptop")


_local = threading.local()


def posted(url: str, body: Any, token: str) -> Any:
    return json.loads(asked(url, body, token) or b"{}")


def asked(url: str, body: Any, token: str) -> bytes:
    """Send a POST on this thread's open connection, and return the body of the answer.

    If the server closed the connection, open another.
    """
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    for connection in (getattr(_local, parts.netloc, None), HTTPConnection(parts.netloc, timeout=60)):
        if connection is None:
            continue
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
        except (OSError, HTTPException):
            continue
        setattr(_local, parts.netloc, connection)
        told = answer.read()
        if answer.status >= 400:  # noqa: PLR2004  # HTTP's own number
            raise RuntimeError(f"{url}: {answer.status} {told!r}")
        return told
    raise ConnectionError(url)


def signed_up(api: str, suite: Suite) -> Person:
    """Sign up a new user with the welcome bonus, and return the user."""
    address = {"email": f"{time.time_ns()}@example.com", "password": "a long password", "returnSecureToken": True}
    path = "/identitytoolkit.googleapis.com/v1/accounts:signUp?key=bench"
    token = posted(f"{suite.endpoints.auth}{path}", address, "")["idToken"]
    posted(f"{api}/v1/credits/welcome-bonus", {}, token)
    return Person(api, token)


def _row(what: str, ours: float, floor: float) -> Row:
    added = f"{ours / floor:.2f}×, {milliseconds(ours - floor)} added"
    return what, milliseconds(ours), f"{milliseconds(floor)} (bare upstream)", added


def _rate(what: str, ours: Measured, floor: Measured) -> Row:
    rates = [len(each.seconds) / each.elapsed for each in (ours, floor)]
    told = f"{rates[0]:,.0f} /s, {ours.failed} failed"
    return what, told, f"{rates[1]:,.0f} /s (bare upstream)", f"{rates[0] / rates[1]:.2f}×"


if __name__ == "__main__":
    main()
