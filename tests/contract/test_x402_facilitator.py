"""The client of a facilitator over HTTP: every answer that a facilitator may give, and none."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.stand_ins.wire import Answer, Request, Server, json_answer
from shared.payments.facilitator import FacilitatorAnswer, FacilitatorUnavailable
from shared.platform.addresses.keccak import checksummed
from shared.platform.x402.facilitator import BYTES_MAX, HttpFacilitator

HASH = "0x" + "ab" * 32
PAYER = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
SIGNED = {"from": PAYER.lower(), "to": PAYER.lower(), "value": "1"}
PAYLOAD = {"x402Version": 2, "payload": {"signature": "0x", "authorization": SIGNED}}


SUPPORTED = {
    "kinds": [
        {"x402Version": 2, "scheme": "exact", "network": "eip155:8453"},
        {"x402Version": 2, "scheme": "upto", "network": "eip155:1"},
        {"x402Version": 1, "scheme": "exact", "network": "base"},
        {"x402Version": 2, "scheme": "exact", "network": "eip155:137", "extra": {}},
    ]
}


class Facilitator:
    """Server whose next answer a test sets. `asked` are the bodies of the requests."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.asked: list[tuple[str, Any]] = []
        self.server = Server(0, self._serve, name="facilitator")

    def _serve(self, request: Request) -> Answer | None:
        self.asked.append((request.path, json.loads(request.body or b"null")))
        return self.answer


@pytest.fixture
def facilitator() -> Iterator[Facilitator]:
    made = Facilitator()
    made.server.start()
    yield made
    made.server.stop()


def settled(facilitator: Facilitator) -> FacilitatorAnswer:
    return HttpFacilitator(f"{facilitator.server.url}/x/", checksummed).settle(PAYLOAD, {"amount": "1"})


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"success": True, "transaction": HASH}, 200, FacilitatorAnswer(is_settled=True, transaction=HASH)),
        ({"success": True, "transaction": "no hash"}, 200, FacilitatorAnswer(is_settled=True)),
        (
            {"success": False, "errorReason": "insufficient_funds", "transaction": ""},
            200,
            FacilitatorAnswer(is_settled=False, reason="insufficient_funds"),
        ),
        ({"success": False}, 400, FacilitatorAnswer(is_settled=False, reason="refused")),
        (
            {"success": True, "transaction": HASH},
            402,
            FacilitatorAnswer(is_settled=False, reason="refused", transaction=HASH),
        ),
        (
            {"success": False, "errorReason": "settlement_pending", "transaction": HASH},
            200,
            FacilitatorAnswer(is_settled=False, reason="settlement_pending", transaction=HASH, is_pending=True),
        ),
    ],
)
def test_answer_of_a_facilitator_is_read(facilitator: Facilitator, body: Any, status: int, expected: FacilitatorAnswer):
    facilitator.answer = json_answer(body, status=status)

    assert settled(facilitator) == expected


@pytest.mark.parametrize(
    "answer",
    [
        None,
        json_answer({"success": True}, status=500),
        json_answer({"success": False}, status=429),
        json_answer({"success": "yes"}),
        json_answer([True]),
        Answer(body=b"not json"),
        Answer(body=b"[" * 50_000),
        Answer(body=b'{"success": true, "x": "' + b"x" * BYTES_MAX + b'"}'),
        Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    ],
)
def test_no_answer_of_a_facilitator_is_neither_yes_nor_no(facilitator: Facilitator, answer: Answer | None):
    facilitator.answer = answer

    with pytest.raises(FacilitatorUnavailable):
        settled(facilitator)


def test_facilitator_that_is_not_there_is_unavailable():
    with pytest.raises(FacilitatorUnavailable):
        HttpFacilitator("http://127.0.0.1:1", checksummed).settle(PAYLOAD, {})


def test_addresses_are_sent_with_their_checksums(facilitator: Facilitator):
    facilitator.answer = json_answer({"success": True, "transaction": HASH})

    settled(facilitator)

    ((path, asked),) = facilitator.asked
    assert path == "/x/settle"
    assert asked["x402Version"] == 2
    assert asked["paymentPayload"]["payload"]["authorization"] == {"from": PAYER, "to": PAYER, "value": "1"}
    assert asked["paymentRequirements"] == {"amount": "1"}


def test_networks_are_those_of_exact_payments_of_version_two(facilitator: Facilitator):
    facilitator.answer = json_answer(SUPPORTED)

    found = HttpFacilitator(facilitator.server.url, checksummed).networks()

    assert found == {"eip155:8453", "eip155:137"}
    assert facilitator.asked == [("/supported", None)]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        json_answer(SUPPORTED, status=500),
        json_answer({"kinds": [{"network": "eip155:8453"}]}),
        json_answer({"kinds": 5}),
        json_answer(["kinds"]),
        Answer(body=b"no json"),
    ],
)
def test_facilitator_that_lists_no_networks_is_unavailable(facilitator: Facilitator, answer: Answer | None):
    facilitator.answer = answer

    with pytest.raises(FacilitatorUnavailable):
        HttpFacilitator(facilitator.server.url, checksummed).networks()
