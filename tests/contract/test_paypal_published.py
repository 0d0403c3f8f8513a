"""Our requests and the stand-in's answers are held to the OpenAPI documents that PayPal publishes.

The documents are not ours to ship: where they are not beside the project, these tests are skipped.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import requests

from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.wire import Answer, Request, Server
from shared.payments.fiat import Fiat
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.paypal.vouching import PayPalVouching
from tests.contract.test_paypal_provider import approved, connected, paid

SPECS = Path(__file__).resolve().parents[3] / "shared" / "cases" / "specs"
DOCUMENTS = ("checkout_orders_v2", "payments_payment_v2", "customer_disputes_v1", "notifications_webhooks_v1")
PASSED_ON = ("authorization", "content-type", "paypal-request-id", "prefer")
OK_MAX = 299

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="PayPal's published documents are not here")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request of ours and its answer."""

    method: str
    path: str
    asked: Any
    status: int
    told: Any


@dataclass(frozen=True, kw_only=True)
class Published:
    """PayPal's operations, by method and path."""

    documents: tuple[dict[str, Any], ...] = field(
        default_factory=lambda: tuple(json.loads((SPECS / f"{name}.json").read_text()) for name in DOCUMENTS)
    )

    def faults(self, call: Call) -> list[str]:
        """Return what the published document says against this call."""
        for document in self.documents:
            for path, operations in document["paths"].items():
                pattern = re.sub(r"\{[^}]+\}", "[^/]+", path)
                if re.fullmatch(pattern, call.path.rstrip("/")) and call.method.lower() in operations:
                    return self._against(document, operations[call.method.lower()], call)
        return [f"{call.method} {call.path} is not published"]

    def _against(self, document: dict[str, Any], operation: dict[str, Any], call: Call) -> list[str]:
        responses = operation["responses"]
        answer = responses.get(str(call.status))
        if answer is None:
            return [f"{call.method} {call.path} answers {call.status}, published are {', '.join(responses)}"]
        faults = _invalid(document, answer, call.told)
        body = operation.get("requestBody")
        return faults if body is None or call.asked is None else [*faults, *_invalid(document, body, call.asked)]


def _invalid(document: dict[str, Any], part: dict[str, Any], value: Any) -> list[str]:
    media = (part.get("content") or {}).get("application/json")
    if media is None:
        return []
    schema = {**media["schema"], "components": document["components"]}
    validator = jsonschema_rs.Draft4Validator(_closed(schema))
    return [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(value)]


def _closed(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: what only the reader fills in is not asked of the writer."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _closed(each) for name, each in schema.items() if name not in {"example", "examples", "format"}}


class Recorder:
    """Stands between our adapter and the stand-in, and remembers what both say."""

    def __init__(self, paypal: PayPalStandIn) -> None:
        self._paypal = paypal
        self.calls: list[Call] = []
        self.server = Server(0, self._serve, name="recorder")

    def _serve(self, request: Request) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        url = f"{self._paypal.url}{request.path}" + (f"?{request.query}" if request.query else "")
        answer = requests.request(request.method, url, data=request.body, headers=headers, timeout=10)
        if request.path != "/v1/oauth2/token":
            asked = json.loads(request.body) if request.body else None
            call = Call(
                method=request.method, path=request.path, asked=asked, status=answer.status_code, told=answer.json()
            )
            self.calls.append(call)
        return Answer(status=answer.status_code, body=answer.content)


@pytest.fixture
def recorded() -> Iterator[tuple[PayPalStandIn, Recorder]]:
    with PayPalStandIn() as paypal:
        recorder = Recorder(paypal)
        recorder.server.start()
        try:
            yield paypal, recorder
        finally:
            recorder.server.stop()


def test_calls_of_a_payment_s_life_are_as_published(recorded):
    paypal, recorder = recorded
    provider = connected(paypal, MemoryAlerts(), api_base=recorder.server.url)
    bought = paid(paypal, provider)
    provider.refund(bought.refs, Fiat(250, "USD"), "refund-1")
    dispute = paypal.dispute(of=bought.money, value="5.00")["dispute_id"]
    provider.truth(bought.refs)
    paypal.close_dispute(dispute=dispute, outcome="lost")
    provider.truth(bought.refs, [dispute])
    pending = approved(paypal, provider, "pay_2", ending="pending")
    provider.capture(pending, "pay_2-capture")
    provider.truth(pending)
    provider.notices(0, None)
    provider.locate({"refund": provider.truth(bought.refs).refunds[0].id})

    published = Published()
    faults = {f"{call.method} {call.path}: {fault}" for call in recorder.calls for fault in published.faults(call)}

    assert {call.status for call in recorder.calls} <= set(range(OK_MAX))
    assert len({(call.method, re.sub(r"[A-Z0-9-]{8,}", "*", call.path)) for call in recorder.calls}) >= 7
    assert sorted(faults) == []


def test_question_about_a_signature_is_as_published(recorded):
    paypal, recorder = recorded
    paypal.hold()
    bought = paid(paypal, connected(paypal, MemoryAlerts()))
    assert bought.money
    event = paypal.events()[-1]
    raw = json.dumps(event).encode()
    headers = {name.lower(): value for name, value in paypal.sign(raw, {}).items()}
    vouching = PayPalVouching(
        api_base=recorder.server.url,
        client_id=paypal.client_id,
        client_secret=paypal.client_secret,
        webhook_id=paypal.webhook_id,
        clock=connected(paypal, MemoryAlerts())._clock,
        alerts=MemoryAlerts(),
    )

    assert vouching.vouches_for(raw, headers)
    [call] = recorder.calls
    assert Published().faults(call) == []
