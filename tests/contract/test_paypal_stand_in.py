"""The stand-in PayPal speaks Orders v2 as published: every state it has, and every way it misbehaves on command."""

import base64
import zlib
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import urlsplit

import paypalrestsdk
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stand_in import Misuse
from emulator.stand_ins.wire import Request
from tests.support.endpoint import Endpoint
from tests.support.published import lost_at_paypal

PATIENCE_SECONDS = 120
SIGNER = "messageverificationcerts.sandbox.paypal.com"


class Client:
    """PayPal's API over plain HTTP, with a token of its own."""

    def __init__(self, stand_in: PayPalStandIn) -> None:
        self._url = stand_in.url
        self._session = requests.Session()
        given = self.post(
            "/v1/oauth2/token",
            auth=(stand_in.client_id, stand_in.client_secret),
            data={"grant_type": "client_credentials"},
        )
        self._session.headers["Authorization"] = f"Bearer {given.json()['access_token']}"

    def get(self, path: str, **asked: Any) -> requests.Response:
        return self._session.get(self._url + path, params=asked, timeout=PATIENCE_SECONDS)

    def post(self, path: str, *, key: str = "", **more: Any) -> requests.Response:
        headers = {"PayPal-Request-Id": key} if key else {}
        return self._session.post(
            self._url + path, headers={**headers, **more.pop("headers", {})}, timeout=PATIENCE_SECONDS, **more
        )

    def order(self, *, value: str = "10.00", key: str = "", reference: str = "pay_1") -> dict[str, Any]:
        return self.post("/v2/checkout/orders", key=key, json=order_params(value=value, reference=reference)).json()

    def capture(self, order: str, *, key: str = "", **more: Any) -> requests.Response:
        return self.post(f"/v2/checkout/orders/{order}/capture", key=key, json={}, **more)

    def refund(self, capture: str, value: str | None = None, *, key: str = "", currency: str = "USD"):
        body = {} if value is None else {"amount": {"currency_code": currency, "value": value}}
        return self.post(f"/v2/payments/captures/{capture}/refund", key=key, json=body)

    def close(self) -> None:
        self._session.close()


def order_params(*, value: str = "10.00", reference: str = "pay_1", currency: str = "USD") -> dict[str, Any]:
    context = {"return_url": "https://app.example.com/done", "cancel_url": "https://app.example.com/cancelled"}
    unit = {"amount": {"currency_code": currency, "value": value}, "custom_id": reference, "invoice_id": reference}
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }


@pytest.fixture
def client(paypal_stand_in: PayPalStandIn):
    it = Client(paypal_stand_in)
    yield it
    it.close()


def paid(stand_in: PayPalStandIn, client: Client, *, ending: str = "completed", reference: str = "pay_1"):
    """An order that was approved and captured: its id and its capture's."""
    order = client.order(reference=reference)["id"]
    stand_in.approve(order=order, ending=ending)
    return order, capture_in(client.capture(order).json())["id"]


def capture_in(order: dict[str, Any]) -> dict[str, Any]:
    (capture,) = order["purchase_units"][0]["payments"]["captures"]
    return capture


def types(stand_in: PayPalStandIn) -> list[str]:
    return [event["event_type"] for event in stand_in.events()]


def issue(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["issue"]


PAID = ["CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED", "CHECKOUT.ORDER.COMPLETED"]


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_secret_gets_no_token(paypal_stand_in):
    answer = requests.post(
        f"{paypal_stand_in.url}/v1/oauth2/token",
        auth=(paypal_stand_in.client_id, "wrong"),
        data={"grant_type": "client_credentials"},
        timeout=PATIENCE_SECONDS,
    )

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("how", ["by time", "by command", "for one call"])
def test_a_token_ends(paypal_stand_in, client, how):
    order = client.order()["id"]
    if how == "by time":
        paypal_stand_in.advance(seconds=32_401)
    elif how == "by command":
        paypal_stand_in.expire_tokens()
    else:
        paypal_stand_in.fail(status=401)

    refused = client.get(f"/v2/checkout/orders/{order}")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    assert (client.get(f"/v2/checkout/orders/{order}").status_code == 200) == (how == "for one call")


# ── orders and captures ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_approved_captured_and_completed(paypal_stand_in, client):
    created = client.order()
    early = client.capture(created["id"])
    paypal_stand_in.approve(order=created["id"])
    approved = client.get(f"/v2/checkout/orders/{created['id']}").json()
    captured = client.capture(created["id"])
    again = client.capture(created["id"])

    assert created["status"] == "PAYER_ACTION_REQUIRED"
    (page,) = [link["href"] for link in created["links"] if link["rel"] == "payer-action"]
    assert urlsplit(page).query == f"token={created['id']}"
    assert (issue(early), approved["status"]) == ((422, "ORDER_NOT_APPROVED"), "APPROVED")
    assert (captured.status_code, captured.json()["status"]) == (201, "COMPLETED")
    capture = client.get(f"/v2/payments/captures/{capture_in(captured.json())['id']}").json()
    assert (capture["status"], capture["custom_id"], capture["invoice_id"]) == ("COMPLETED", "pay_1", "pay_1")
    assert capture["seller_receivable_breakdown"]["net_amount"]["value"] == "9.16"
    assert issue(again) == (422, "ORDER_ALREADY_CAPTURED")
    assert paypal_stand_in.capture_count(order=created["id"]) == 1
    assert types(paypal_stand_in) == PAID


def test_an_order_without_a_payment_source_is_created_with_an_approve_link(client):
    params = order_params()
    context = params.pop("payment_source")["paypal"]["experience_context"]
    order = client.post("/v2/checkout/orders", json={**params, "application_context": context})

    assert (order.status_code, order.json()["status"]) == (201, "CREATED")
    assert [link["rel"] for link in order.json()["links"]] == ["self", "approve", "update", "capture"]


def test_the_whole_order_is_answered_if_that_is_preferred(client):
    prefer = {"Prefer": "return=representation"}
    whole = client.post("/v2/checkout/orders", headers=prefer, json=order_params()).json()

    assert whole["purchase_units"][0]["payee"]["merchant_id"] == "STANDNMERCH22"
    assert "purchase_units" not in client.order()


@pytest.mark.parametrize(
    ("is_paid", "status", "kind", "count"), [(True, "COMPLETED", "COMPLETED", 1), (False, "DECLINED", "DENIED", 0)]
)
def test_a_pending_capture_is_completed_or_denied(paypal_stand_in, client, is_paid, status, kind, count):
    order, capture = paid(paypal_stand_in, client, ending="pending")
    pending = client.get(f"/v2/payments/captures/{capture}").json()
    refused = client.refund(capture)
    paypal_stand_in.settle_capture(capture=capture, is_paid=is_paid)

    assert (pending["status"], pending["status_details"]["reason"]) == ("PENDING", "PENDING_REVIEW")
    assert issue(refused) == (422, "PENDING_CAPTURE")
    assert client.get(f"/v2/payments/captures/{capture}").json()["status"] == status
    assert capture_in(client.get(f"/v2/checkout/orders/{order}").json())["status"] == status
    assert types(paypal_stand_in)[-2:] == ["PAYMENT.CAPTURE.PENDING", f"PAYMENT.CAPTURE.{kind}"]
    assert paypal_stand_in.capture_count(order=order) == count
    with pytest.raises(Misuse):
        paypal_stand_in.settle_capture(capture=capture, is_paid=True)


def test_a_capture_may_be_denied_at_once(paypal_stand_in, client):
    _, capture = paid(paypal_stand_in, client, ending="denied")

    assert client.get(f"/v2/payments/captures/{capture}").json()["status"] == "DECLINED"
    assert types(paypal_stand_in)[-1] == "PAYMENT.CAPTURE.DENIED"
    assert issue(client.refund(capture)) == (422, "REFUND_NOT_ALLOWED")
    assert paypal_stand_in.captures_for(reference="pay_1") == []


def test_a_declined_instrument_may_be_replaced_by_approving_again(paypal_stand_in, client):
    order = client.order()["id"]
    paypal_stand_in.approve(order=order, ending="declined")
    declined = client.capture(order)
    paypal_stand_in.approve(order=order)

    assert issue(declined) == (422, "INSTRUMENT_DECLINED")
    assert declined.json()["links"][0]["rel"] == "redirect"
    assert client.capture(order).status_code == 201


def test_a_declined_answer_is_repeated_under_its_request_id(paypal_stand_in, client):
    order = client.order()["id"]
    paypal_stand_in.approve(order=order, ending="declined")
    client.capture(order, key="k")
    paypal_stand_in.approve(order=order)

    assert issue(client.capture(order, key="k")) == (422, "INSTRUMENT_DECLINED")
    assert client.capture(order, key="l").status_code == 201


def test_an_order_expires_and_a_payer_who_approved_it_hears_of_it(paypal_stand_in, client):
    created, approved = client.order(reference="a")["id"], client.order(reference="b")["id"]
    paypal_stand_in.approve(order=approved)
    paypal_stand_in.expire_order(order=created)
    paypal_stand_in.advance(seconds=3 * 3600 + 1)

    assert issue(client.capture(created)) == (404, "INVALID_RESOURCE_ID")
    assert client.get(f"/v2/checkout/orders/{approved}").status_code == 404
    assert types(paypal_stand_in)[-1] == "CHECKOUT.PAYMENT-APPROVAL.REVERSED"


def test_the_same_invoice_is_never_paid_twice(paypal_stand_in, client):
    first, second = client.order()["id"], client.order()["id"]
    for order in (first, second):
        paypal_stand_in.approve(order=order)

    assert client.capture(first).status_code == 201
    assert issue(client.capture(second)) == (422, "DUPLICATE_INVOICE_ID")
    assert len(paypal_stand_in.captures_for(reference="pay_1")) == 1


@pytest.mark.parametrize(
    ("value", "currency", "refusal"),
    [
        ("0.00", "USD", (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        ("-1", "USD", (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        ("1.001", "USD", (422, "DECIMAL_PRECISION")),
        ("1.50", "JPY", (422, "DECIMAL_PRECISION")),
        ("ten", "USD", (400, "INVALID_PARAMETER_SYNTAX")),
        (10, "USD", (400, "INVALID_PARAMETER_SYNTAX")),
        ("1.00", "XYZ", (422, "INVALID_CURRENCY_CODE")),
        (None, "USD", (400, "MISSING_REQUIRED_PARAMETER")),
    ],
)
def test_an_amount_is_refused_as_paypal_refuses_it(client, value, currency, refusal):
    answer = client.post("/v2/checkout/orders", json=order_params(value=value, currency=currency))

    assert issue(answer) == refusal
    assert answer.json()["debug_id"] == answer.headers["Paypal-Debug-Id"]


def test_what_is_not_json_is_refused(client):
    broken = client.post("/v2/checkout/orders", data="{", headers={"Content-Type": "application/json"})
    other = client.post("/v2/checkout/orders", data="a=1", headers={"Content-Type": "text/plain"})

    assert issue(broken) == (400, "MALFORMED_REQUEST_JSON")
    assert (other.status_code, other.json()["name"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_paypals_own_sdk_is_understood_with_its_habits(paypal_stand_in):
    options = {"client_id": paypal_stand_in.client_id, "client_secret": paypal_stand_in.client_secret}
    api = paypalrestsdk.Api({"mode": "sandbox", "endpoint": paypal_stand_in.url, **options})
    order = api.post("v2/checkout/orders", order_params(), headers={"PayPal-Request-Id": "k"})
    paypal_stand_in.approve(order=order["id"])

    assert api.get(f"v2/checkout/orders/{order['id']}")["status"] == "APPROVED"  # with the body `null`
    assert api.post(f"v2/checkout/orders/{order['id']}/capture", {})["status"] == "COMPLETED"


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_partial_refunds_add_up_and_no_cent_more_goes_back(paypal_stand_in, client):
    _, capture = paid(paypal_stand_in, client)
    first = client.refund(capture, "3.00")
    too_much = client.refund(capture, "7.01")
    other = client.refund(capture, "7.00", currency="EUR")
    between = client.get(f"/v2/payments/captures/{capture}").json()["status"]
    rest = client.refund(capture)
    nothing_left = client.refund(capture)

    assert (first.status_code, first.json()["status"]) == (201, "COMPLETED")
    assert issue(too_much) == (422, "REFUND_AMOUNT_EXCEEDED")
    assert issue(other) == (422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
    assert (between, issue(nothing_left)) == ("PARTIALLY_REFUNDED", (422, "CAPTURE_FULLY_REFUNDED"))
    refund = client.get(f"/v2/payments/refunds/{rest.json()['id']}").json()
    assert (refund["amount"]["value"], refund["custom_id"]) == ("7.00", "pay_1")
    assert refund["seller_payable_breakdown"]["total_refunded_amount"]["value"] == "10.00"
    assert [link["href"].rpartition("/")[2] for link in refund["links"] if link["rel"] == "up"] == [capture]
    assert client.get(f"/v2/payments/captures/{capture}").json()["status"] == "REFUNDED"
    assert types(paypal_stand_in)[len(PAID) :] == ["PAYMENT.CAPTURE.REFUNDED"] * 2


def test_a_refund_that_was_pending_arrives_or_fails(paypal_stand_in, client):
    _, capture = paid(paypal_stand_in, client)
    paypal_stand_in.refunds_start(status="PENDING")
    first, second = client.refund(capture, "4.00").json(), client.refund(capture, "1.00").json()
    paypal_stand_in.settle_refund(refund=first["id"])
    paypal_stand_in.fail_refund(refund=second["id"])

    assert (first["status"], second["status"]) == ("PENDING", "PENDING")
    assert client.get(f"/v2/payments/refunds/{first['id']}").json()["status"] == "COMPLETED"
    assert client.get(f"/v2/payments/refunds/{second['id']}").json()["status"] == "FAILED"
    assert client.get(f"/v2/payments/captures/{capture}").json()["status"] == "PARTIALLY_REFUNDED"
    assert types(paypal_stand_in)[-4:] == [
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.REFUND.FAILED",
    ]


@pytest.mark.parametrize("start", ["COMPLETED", "FAILED"])
def test_a_failed_refund_gives_nothing_back(paypal_stand_in, client, start):
    _, capture = paid(paypal_stand_in, client)
    paypal_stand_in.refunds_start(status=start)
    refund = client.refund(capture).json()
    if start == "COMPLETED":
        paypal_stand_in.fail_refund(refund=refund["id"])

    assert client.get(f"/v2/payments/refunds/{refund['id']}").json()["status"] == "FAILED"
    assert client.get(f"/v2/payments/captures/{capture}").json()["status"] == "COMPLETED"
    assert types(paypal_stand_in)[-1] == "PAYMENT.REFUND.FAILED"


def test_the_dashboard_refunds_too(paypal_stand_in, client):
    order, capture = paid(paypal_stand_in, client)
    paypal_stand_in.refund(of=order, value="2.50")

    assert client.get(f"/v2/payments/captures/{capture}").json()["status"] == "PARTIALLY_REFUNDED"


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "code", "refunded"),
    [
        ("won", "RESOLVED_SELLER_FAVOUR", "0.00"),
        ("lost", "RESOLVED_BUYER_FAVOUR", "4.00"),
        ("withdrawn", "CANCELED_BY_BUYER", "0.00"),
    ],
)
def test_a_dispute_is_opened_and_resolved(paypal_stand_in, client, outcome, code, refunded):
    _, capture = paid(paypal_stand_in, client)
    opened = paypal_stand_in.dispute(of=capture, value="4.00")
    partial = client.refund(capture, "1.00")
    paypal_stand_in.review_dispute(dispute=opened["dispute_id"])
    paypal_stand_in.close_dispute(dispute=opened["dispute_id"], outcome=outcome, is_reversal_told=True)

    (listed,) = client.get("/v1/customer/disputes", disputed_transaction_id=capture).json()["items"]
    dispute = client.get(f"/v1/customer/disputes/{listed['dispute_id']}").json()
    assert issue(partial) == (422, "TRANSACTION_DISPUTED")
    assert (dispute["status"], dispute["dispute_outcome"]["outcome_code"]) == ("RESOLVED", code)
    assert dispute["dispute_outcome"]["amount_refunded"]["value"] == refunded
    assert dispute["disputed_transactions"][0]["seller_transaction_id"] == capture
    told = ["CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED"]
    assert types(paypal_stand_in)[len(PAID) :] == told + ["PAYMENT.CAPTURE.REVERSED"] * (outcome == "lost")
    with pytest.raises(Misuse):
        paypal_stand_in.close_dispute(dispute=opened["dispute_id"], outcome="won")


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_object_and_event_is_as_paypal_publishes_it(paypal_stand_in, client):
    from paypalserversdk.models.captured_payment import CapturedPayment
    from paypalserversdk.models.order import Order
    from paypalserversdk.models.refund import Refund

    order, capture = paid(paypal_stand_in, client, reference="a")
    _, pending = paid(paypal_stand_in, client, reference="b", ending="pending")
    paypal_stand_in.settle_capture(capture=pending, is_paid=False)
    refund = client.refund(capture, "1.00").json()["id"]
    paypal_stand_in.refunds_start(status="PENDING")
    paypal_stand_in.fail_refund(refund=client.refund(capture, "2.00").json()["id"])
    objects = [
        lost_at_paypal(client.get(f"/v2/checkout/orders/{order}").json(), Order),
        lost_at_paypal(client.get(f"/v2/payments/captures/{capture}").json(), CapturedPayment),
        lost_at_paypal(client.get(f"/v2/payments/refunds/{refund}").json(), Refund),
    ]
    models = {"checkout-order": Order, "capture": CapturedPayment, "refund": Refund}

    told = [lost_at_paypal(event["resource"], models[event["resource_type"]]) for event in paypal_stand_in.events()]
    assert objects == [[]] * 3
    assert told == [[]] * len(told)
    assert len(set(types(paypal_stand_in))) == 8
    assert lost_at_paypal({"id": "1", "amout": {}}, Refund) == ["Refund.amout: {} became None"]


# ── webhook events ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_events_are_listed_by_time_type_and_transaction(paypal_stand_in, client):
    _, first = paid(paypal_stand_in, client, reference="a")
    paypal_stand_in.advance(seconds=100)
    paid(paypal_stand_in, client, reference="b")
    since = paypal_stand_in.events()[len(PAID)]["create_time"]

    def told(**asked: Any) -> list[str]:
        events = client.get("/v1/notifications/webhooks-events", **asked).json()["events"]
        return [event["event_type"] for event in events]

    assert told(start_time=since) == PAID[::-1]
    assert told(end_time=since, transaction_id=first) == ["PAYMENT.CAPTURE.COMPLETED"]
    assert told(event_type="CHECKOUT.ORDER.APPROVED") == ["CHECKOUT.ORDER.APPROVED"] * 2
    assert issue(client.get("/v1/notifications/webhooks-events", start_time="yesterday"))[0] == 400


def test_events_come_in_pages(paypal_stand_in, client):
    for number in range(3):
        paid(paypal_stand_in, client, reference=f"pay_{number}")

    seen, path = [], "/v1/notifications/webhooks-events?page_size=4"
    while path:
        page = client.get(path).json()
        seen += [event["id"] for event in page["events"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        path = following[0].removeprefix("https://api.sandbox.paypal.com") if following else ""
        assert not path or path.startswith("/v1/notifications/webhooks-events/?")
    assert seen == [event["id"] for event in paypal_stand_in.events()][::-1]
    assert client.get(f"/v1/notifications/webhooks-events/{seen[0]}").json() == paypal_stand_in.events()[-1]


# ── request ids ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_request_id_replays_the_first_answer(paypal_stand_in, client):
    first, again = (client.post("/v2/checkout/orders", key="k", json=order_params()) for _ in range(2))
    other = client.post("/v2/checkout/orders", key="k", json=order_params(value="11.00"))

    assert first.json() == again.json()
    assert again.status_code == 200
    assert issue(other) == (422, "DUPLICATE_REQUEST_ID")
    assert [seen["outcome"] for seen in paypal_stand_in.requests(path="orders")] == ["answered", "replayed", "refused"]


@pytest.mark.parametrize("how", ["by command", "by time"])
def test_an_expired_request_id_acts_again_and_a_refund_is_then_a_second_one(paypal_stand_in, client, how):
    order, capture = paid(paypal_stand_in, client)
    first, again = (client.refund(capture, "2.00", key="r").json()["id"] for _ in range(2))
    if how == "by command":
        paypal_stand_in.expire_idempotency_keys()
    else:
        paypal_stand_in.advance(seconds=6 * 3600 + 1)
    second = client.refund(capture, "2.00", key="r").json()["id"]

    assert first == again != second
    assert issue(client.capture(order, key="late")) == (422, "ORDER_ALREADY_CAPTURED")


def test_a_request_whose_first_still_runs_is_a_conflict(paypal_stand_in, client):
    order = client.order()["id"]
    paypal_stand_in.approve(order=order)
    paypal_stand_in.slow(seconds=PATIENCE_SECONDS, times=2, path="/capture")

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(client.capture, order, key="c") for _ in range(2)]
        wait(asked, return_when=FIRST_COMPLETED)
        paypal_stand_in.hurry()
    answers = [each.result() for each in asked]
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    (conflict,) = [answer for answer in answers if answer.status_code == 409]
    assert issue(conflict) == (409, "PREVIOUS_REQUEST_IN_PROGRESS")


# ── misbehaviour of the API ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "name"), [(500, "INTERNAL_SERVER_ERROR"), (429, "RATE_LIMIT_REACHED")])
def test_it_fails_before_anything_happened(paypal_stand_in, client, status, name):
    order = client.order()["id"]
    paypal_stand_in.approve(order=order)
    paypal_stand_in.fail(status=status, path="/capture")

    failed = client.capture(order)
    assert (failed.status_code, failed.json()["name"]) == (status, name)
    assert paypal_stand_in.capture_count(order=order) == 0


@pytest.mark.parametrize("how", ["status", "reset"])
def test_it_fails_after_the_capture_and_the_order_tells(paypal_stand_in, client, how):
    order = client.order()["id"]
    paypal_stand_in.approve(order=order)
    paypal_stand_in.fail(how=how, when="after", path="/capture")
    if how == "status":
        assert client.capture(order, key="c").status_code == 500
    else:
        with pytest.raises(requests.ConnectionError):
            client.capture(order, key="c")

    assert client.get(f"/v2/checkout/orders/{order}").json()["status"] == "COMPLETED"
    assert client.capture(order, key="c").status_code == 200
    assert paypal_stand_in.capture_count(order=order) == 1


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hooked(paypal_stand_in: PayPalStandIn, endpoint: Endpoint) -> Endpoint:
    paypal_stand_in.target(urls=[endpoint.url])
    return endpoint


def verify(stand_in: PayPalStandIn, request: Request) -> None:
    """As PayPal documents it. Raises InvalidSignature or VerificationError."""
    told = request.headers
    path = urlsplit(told["paypal-cert-url"]).path
    served = requests.get(stand_in.url + path, timeout=PATIENCE_SECONDS).content
    [leaf] = x509.load_pem_x509_certificates(served)
    root, between = x509.load_pem_x509_certificates(stand_in.authorities_pem.encode())
    PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(SIGNER)).verify(leaf, [between])
    sent = f"{told['paypal-transmission-id']}|{told['paypal-transmission-time']}"
    message = f"{sent}|{stand_in.webhook_id}|{zlib.crc32(request.body)}"
    key = leaf.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(told["paypal-transmission-sig"])
    key.verify(signature, message.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_what_is_delivered_verifies_as_documented(paypal_stand_in, client, hooked):
    paid(paypal_stand_in, client)
    assert paypal_stand_in.drain()

    assert sorted(hooked.types("event_type")) == sorted(PAID)
    for request in hooked.received:
        verify(paypal_stand_in, request)
        assert request.headers["paypal-auth-algo"] == "SHA256withRSA"
        assert urlsplit(request.headers["paypal-cert-url"]).netloc == "api.sandbox.paypal.com"
    (approved,) = [body for body in hooked.bodies if body["event_type"] == PAID[0]]
    assert approved["resource"]["payer"]["name"]["surname"] == "Müller-Ñandú"
    (captured,) = [body for body in hooked.bodies if body["event_type"] == PAID[1]]
    assert captured["resource"]["supplementary_data"]["related_ids"]["order_id"] == approved["resource"]["id"]


def test_the_bytes_that_re_serialising_breaks_are_signed_as_they_are(paypal_stand_in, hooked):
    raw = '{"id":"WH-1","event_type":"X","resource":{"empty":{},"rate":1.0,"name":"Zoë \\u00eb"},  "a":1e2}'
    assert paypal_stand_in.send_raw(body=raw) == 200

    (request,) = hooked.received
    assert request.body == raw.encode()
    verify(paypal_stand_in, request)


@pytest.mark.parametrize(
    "signing",
    [
        {"webhook_id": "SOMEBODY-ELSES"},
        {"crc": 1},
        {"signature": base64.b64encode(b"no").decode()},
        {"time": "2020-01-01T00:00:00Z", "transmission_id": "x", "crc": "0"},
    ],
)
def test_a_delivery_may_be_signed_wrongly(paypal_stand_in, client, hooked, signing):
    from cryptography.exceptions import InvalidSignature

    paypal_stand_in.hold()
    paid(paypal_stand_in, client)
    paypal_stand_in.deliver(paypal_stand_in.pending()[0]["id"], **signing)

    with pytest.raises(InvalidSignature):
        verify(paypal_stand_in, hooked.received[0])


@pytest.mark.parametrize(
    "bad",
    [
        {"common_name": "evil.example.com"},
        {"names": ["api.sandbox.paypal.com.evil.example.com"]},
        {"starts_in_days": -30, "ends_in_days": -1},
        {"starts_in_days": 1, "ends_in_days": 30},
        {"is_trusted": False},
    ],
)
def test_a_certificate_may_be_bad_in_every_way(paypal_stand_in, client, hooked, bad):
    paypal_stand_in.hold()
    paid(paypal_stand_in, client)
    certificate = paypal_stand_in.issue_certificate(**bad)
    paypal_stand_in.deliver(paypal_stand_in.pending()[0]["id"], certificate=certificate)

    with pytest.raises(VerificationError):
        verify(paypal_stand_in, hooked.received[0])


def test_headers_say_what_a_test_wants(paypal_stand_in, client, hooked):
    paypal_stand_in.hold()
    paid(paypal_stand_in, client)
    url = "https://evil.example.com/v1/notifications/certs/CERT-1"
    paypal_stand_in.deliver(paypal_stand_in.pending()[0]["id"], certificate_url=url, algorithm="SHA1withRSA")

    told = hooked.received[0].headers
    assert (told["paypal-cert-url"], told["paypal-auth-algo"]) == (url, "SHA1withRSA")


def test_deliveries_are_held_reordered_repeated_and_lied_in(paypal_stand_in, client, hooked):
    paypal_stand_in.hold()
    paid(paypal_stand_in, client)
    waiting = paypal_stand_in.pending()
    for each in [*waiting[::-1], waiting[0]]:
        paypal_stand_in.deliver(each["id"])
    paypal_stand_in.release()
    lie = paypal_stand_in.lie(
        event=waiting[1]["event"],
        changes={"resource.amount.value": "1000000.00", "resource.payee.merchant_id": "OTHER"},
    )
    assert paypal_stand_in.drain()

    assert hooked.types("event_type") == [*PAID[::-1], PAID[0], PAID[1]]
    assert (hooked.bodies[-1]["id"], hooked.bodies[-1]["resource"]["amount"]["value"]) == (lie, "1000000.00")
    verify(paypal_stand_in, hooked.received[-1])


def test_an_event_is_sent_again_when_the_merchant_asks(paypal_stand_in, client, hooked):
    paid(paypal_stand_in, client)
    assert paypal_stand_in.drain()
    event = paypal_stand_in.events()[0]["id"]
    assert client.post(f"/v1/notifications/webhooks-events/{event}/resend", json={}).status_code == 202
    assert paypal_stand_in.drain()

    assert [body["id"] for body in hooked.bodies].count(event) == 2


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_many_captures_at_once_take_the_money_once(paypal_stand_in, client, hooked):
    orders = [client.order(reference=f"pay_{number}")["id"] for number in range(40)]
    for order in orders:
        paypal_stand_in.approve(order=order)

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda order: client.capture(order).status_code, orders * 3))
    assert paypal_stand_in.drain()

    assert (statuses.count(201), statuses.count(422)) == (40, 80)
    assert [paypal_stand_in.capture_count(order=order) for order in orders] == [1] * 40
    assert len(hooked.received) == 40 * len(PAID)
