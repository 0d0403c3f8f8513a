"""Facilitator over HTTP: only a clear answer is an answer, and everything else leaves the question to the chain."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from shared.payments.facilitator import FacilitatorAnswer, FacilitatorUnavailable
from shared.platform.addresses.keccak import checksummed
from shared.platform.x402.facilitator import BYTES_MAX, HttpFacilitator

HASH = "0x" + "ab" * 32
PLACE = "0x" + "12" * 20
PAYLOAD = {"payload": {"authorization": {"from": PLACE, "to": PLACE}}}


class _Answering(BaseHTTPRequestHandler):
    """Facilitator that gives one answer to everything."""

    answer: tuple[int, bytes] = (200, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.answer
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def facilitator() -> Iterator[HttpFacilitator]:
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield HttpFacilitator(f"http://127.0.0.1:{server.server_port}/", checksummed)
        server.shutdown()


def told(facilitator: HttpFacilitator, status: int, answer: Any) -> FacilitatorAnswer:
    _Answering.answer = (status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    return facilitator.settle(PAYLOAD, {})


def test_settlement_is_told_with_its_transaction(facilitator):
    answer = told(facilitator, 200, {"success": True, "transaction": HASH})

    assert answer == FacilitatorAnswer(is_settled=True, transaction=HASH)


@pytest.mark.parametrize("transaction", [None, 7, "", "0x12", HASH + "\n", "https://liar.example"])
def test_settlement_is_told_without_what_is_no_transaction(facilitator, transaction):
    answer = told(facilitator, 200, {"success": True, "transaction": transaction})

    assert answer == FacilitatorAnswer(is_settled=True)


@pytest.mark.parametrize("status", [200, 400, 402, 409])
def test_refusal_is_told_with_a_short_reason(facilitator, status):
    answer = told(facilitator, status, {"success": False, "errorReason": "n" * 5_000})

    assert (answer.is_settled, answer.is_pending, answer.reason) == (False, False, "n" * 100)


def test_pending_settlement_is_neither_success_nor_refusal(facilitator):
    answer = told(facilitator, 200, {"success": False, "errorReason": "settlement_pending", "transaction": HASH})

    assert (answer.is_settled, answer.is_pending, answer.transaction) == (False, True, HASH)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b""),
        (200, b"no json"),
        (200, b"[" * 50_000),
        (200, b"\xff\xfe"),
        (200, []),
        (200, {}),
        (200, {"success": "true"}),
        (200, b" " * (BYTES_MAX + 1)),
        (302, {"success": True}),
        (401, b"denied"),
        (429, {"success": False}),
        (500, {"success": False}),
        (503, {"success": True}),
    ],
)
def test_everything_else_leaves_the_outcome_unknown(facilitator, status, answer):
    with pytest.raises(FacilitatorUnavailable):
        told(facilitator, status, answer)


def test_facilitator_out_of_reach_leaves_the_outcome_unknown():
    with pytest.raises(FacilitatorUnavailable):
        HttpFacilitator("http://127.0.0.1:1", checksummed).settle(PAYLOAD, {})
