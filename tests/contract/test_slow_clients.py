"""Check that `/health` is answered while slow clients hold connections.

Method: clients that are slow in each way, at a real functions-framework process. `SLOW=1` keeps 200 of them for 60
seconds each; the short form keeps them a second longer than they may be slow.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import requests

from functions.http.uploads import CHUNK_SECONDS_MAX, DRAIN_SECONDS_MAX
from functions.serving import HEADERS_SECONDS_MAX
from tests.support.slow_clients import QuickServer, dripping

CLIENTS = 200
"""Clients of at most two ways to be slow, so that those of either way are more than the server's threads."""
LONG_SECONDS = 60.0 if os.environ.get("SLOW") == "1" else 0.0
SHARE_MAX = 0.6
"""Most part of the slow clients' time that `/health` may take on a busy machine. Behind them it takes all of it."""
UNREAD_HEALTH_SECONDS_MAX = 5.0
"""Clients that do not read are left in waves, as threads take them up; each has been sent a megabyte before."""
PAUSE_SECONDS = 0.2
CHAT, CONVERSATIONS = "/openai/chat/completions", "/chat/conversations"
CHUNK = b"1\r\n \r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[QuickServer]:
    with QuickServer(tmp_path_factory.mktemp("served")) as server:
        yield server


@contextmanager
def connected(open_one, count=CLIENTS, *, sends: Sequence[bytes] = (b"",)):
    """Meanwhile so many clients hold a connection each, and send these pieces in turn from time to time."""
    clients = []
    try:
        clients += [open_one(number) for number in range(count)]
        with dripping(clients, sends):
            yield clients
    finally:
        for client in clients:
            client.close()


def slowest_health(server, limit_seconds) -> float:
    """The longest that `/health` took, asked again and again until some clients are beyond their limit."""
    seconds = max(LONG_SECONDS, limit_seconds + 1.0)
    ends_at, slowest, pause = time.monotonic() + seconds, 0.0, threading.Event()
    while time.monotonic() < ends_at:
        slowest = max(slowest, server.health_seconds())
        pause.wait(PAUSE_SECONDS)
    return slowest


def first_line(client) -> str:
    with client.makefile("rb") as answer:
        return answer.readline().decode().strip().lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chunked", "sends"),
    [(False, (b"", b" ")), (True, (b"", CHUNK))],
    ids=["silent or slow", "silent or slow in chunks"],
)
def test_health_is_answered_while_bodies_do_not_come(server, chunked, sends):
    tokens, paths = server.tokens, (CHAT, CONVERSATIONS)

    def open_one(number):
        return server.slow(paths[number // 2 % 2], token=tokens[number // 2 % len(tokens)], chunked=chunked)

    with connected(open_one, sends=sends):
        assert slowest_health(server, CHUNK_SECONDS_MAX) < SHARE_MAX * CHUNK_SECONDS_MAX


@pytest.mark.slow
@pytest.mark.parametrize("paths", [(CHAT, "/nope"), ("/monitoring/health",)], ids=["nobody or nowhere", "health"])
def test_health_is_answered_while_refused_requests_do_not_end(server, paths):
    with connected(lambda number: server.slow(paths[number % len(paths)]), sends=(b" ",)):
        assert slowest_health(server, DRAIN_SECONDS_MAX) < SHARE_MAX * DRAIN_SECONDS_MAX


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begun", "sends"),
    [((b"",), (b"",)), ((b"GET /v1/moni", b"GET / HTTP/1.1\r\nA: b\r\n"), (b"x",))],
    ids=["nothing", "line or header"],
)
def test_health_is_answered_while_connections_say_little(server, begun, sends):
    def open_one(number):
        client = server.connected()
        client.sendall(begun[number % len(begun)])
        return client

    with connected(open_one, sends=sends):
        assert slowest_health(server, HEADERS_SECONDS_MAX) < SHARE_MAX * HEADERS_SECONDS_MAX


@pytest.mark.slow
def test_health_is_answered_while_answers_are_not_read(server):
    def open_one(_):
        client = server.connected(receives_bytes=2_048)
        client.sendall(b"GET /v1/docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n")
        return client

    with connected(open_one):
        assert slowest_health(server, DRAIN_SECONDS_MAX) < UNREAD_HEALTH_SECONDS_MAX


def test_slow_reader_gets_the_whole_answer(server):
    with server.connected(receives_bytes=2_048) as client:
        client.sendall(b"GET /v1/docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as answer:
            head, _, begun = answer.read(64 * 1024).partition(b"\r\n\r\n")
            threading.Event().wait(1.0)
            rest = answer.read()

    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    assert len(begun) + len(rest) == int(length.partition(b":")[2])


@pytest.mark.slow
def test_silent_client_is_told_that_its_body_is_too_slow(server):
    with connected(lambda _: server.slow(CHAT, token=server.tokens[1]), 1) as (client,):
        began = time.monotonic()

        assert first_line(client) == "http/1.1 408 request timeout"
        assert time.monotonic() - began >= CHUNK_SECONDS_MAX - 0.5


@pytest.mark.parametrize("token", ["", "guess"])
def test_refused_client_hears_the_answer_while_it_sends(server, token):
    with connected(lambda _: server.slow(CHAT, token=token), 1) as (client,):
        client.sendall(b" " * 500_000)

        assert first_line(client).split()[1] in {"401", "429"}


def test_honest_body_is_answered_while_others_do_not_come(server):
    tokens = server.tokens
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "user": "u" * 50_000}

    with connected(lambda _: server.slow(CHAT, token=tokens[0]), sends=(b" ",)):
        answer = requests.post(
            f"{server.url}{CHAT}", json=body, headers={"Authorization": f"Bearer {tokens[2]}"}, timeout=60
        )

    assert answer.status_code == 200, answer.text


def test_headers_in_two_pieces_are_read(server):
    with server.connected() as client:
        client.sendall(b"GET /v1/monitoring/health HTTP/1.1\r\nHost: x\r\n")
        threading.Event().wait(0.2)
        client.sendall(b"Connection: close\r\n\r\n")

        assert first_line(client) == "http/1.1 200 ok"


def test_connection_serves_one_request_after_another(server):
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.tokens[3]}"
        made = [session.post(f"{server.url}/credits/reserve", json={"amount": "1"}, timeout=60) for _ in range(3)]

    assert [each.status_code for each in made] == [201] * 3
    assert all(each.headers.get("Connection") == "keep-alive" for each in made)
