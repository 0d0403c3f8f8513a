"""Every function, started from its uploaded archive, answers its trigger.

Each process has the archive, the locked packages, the environment that was deployed and its own secrets. Google and
the providers are replaced by addresses of this machine.
"""

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe
from google.events.cloud.firestore_v1.types import Document, DocumentEventData

from emulator.payment_providers import PaymentProviders
from emulator.ports import LOOPBACK, free_ports
from emulator.storage import StorageEmulator
from emulator.suite import Suite
from emulator.upstream import Upstream
from shared.kernel.clock import SystemClock, rfc3339
from shared.kernel.documents import Documents, Query
from shared.platform.firestore.documents import connect
from tests.deploy.archives import Answer, Served, environment_of
from tests.deploy.deployed import PROJECT, Deployment
from tests.deploy.table import FUNCTIONS
from tests.support.locked_site import build_locked_site, install_locked_site

STORAGE = "storage"
WRITTEN = "google.cloud.firestore.document.v1.written"
CREATED = "google.cloud.firestore.document.v1.created"
DELETED_USER = "google.firebase.auth.user.v2.deleted"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
DATABASE = f"projects/{PROJECT}/databases/(default)"
PASSWORD = "correct horse battery"
ADDRESSES = ("_API_BASE", "_WEBHOOK_ROOTS")
"""Endings of the settings that say where a provider is."""


@pytest.fixture(scope="module")
def instead(emulators: Suite, suite_upstream: Upstream, suite_payments: PaymentProviders) -> Iterator[dict[str, str]]:
    """What replaces Google, the model provider and the payment providers."""
    hosts = {name: value for name, value in emulators.environment().items() if name.endswith("_EMULATOR_HOST")}
    payments = {name: value for name, value in suite_payments.settings.items() if name.endswith(ADDRESSES)}
    port = free_ports((STORAGE,))[STORAGE]
    with StorageEmulator(port=port):
        yield {
            **hosts,
            **payments,
            "AI_PLATFORM_BASE_URL": suite_upstream.url,
            "STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{port}",
        }


@pytest.fixture(scope="module")
def functions(
    deployment: Deployment, instead: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Served]]:
    """All functions of the deployment, each as a process of its own."""
    home, ports = tmp_path_factory.mktemp("deployed"), free_ports(FUNCTIONS)
    with contextlib.ExitStack() as stack:
        running = {name: served(deployment, name, ports[name], instead, home) for name in FUNCTIONS}
        fill_site(home)
        for each in running.values():
            stack.callback(each.stop)
            each.start()
        for each in running.values():
            each.wait()
        yield running


def fill_site(home: Path) -> None:
    """Provide the locked packages: linked, or with FRESH=1 installed from the archive's own list."""
    if os.environ.get("FRESH"):
        install_locked_site(home / "site", home / "api" / "requirements.txt")
    else:
        build_locked_site(home / "site")


def served(deployment: Deployment, name: str, port: int, instead: Mapping[str, str], home: Path) -> Served:
    deployment.archive(name).extractall(home / name)
    environment = {**environment_of(deployment, name, port), **instead}
    return Served(name=name, home=home / name, site=home / "site", port=port, environment=environment)


class Customer:
    """A user with a verified address, who has signed in at the Auth emulator."""

    def __init__(self, auth: str, functions: Mapping[str, Served], documents: Documents) -> None:
        self.functions, self.documents = functions, documents
        identity = f"{auth}/identitytoolkit.googleapis.com/v1"
        owner = {"Authorization": "Bearer owner"}
        email = "ann@example.org"
        body = {"email": email, "password": PASSWORD, "emailVerified": True, "targetProjectId": PROJECT}
        made = requests.post(f"{identity}/projects/{PROJECT}/accounts", json=body, headers=owner, timeout=10).json()
        self.uid = str(made["localId"])
        signed_in = requests.post(
            f"{identity}/accounts:signInWithPassword?key=any",
            json={"email": email, "password": PASSWORD, "returnSecureToken": True, "targetProjectId": PROJECT},
            headers=owner,
            timeout=10,
        ).json()
        self.headers = {"Authorization": f"Bearer {signed_in['idToken']}"}

    def ask(self, path: str) -> Answer:
        return self.functions["api"].post(b"", self.headers, path=path, method="GET")

    def claim_bonus(self) -> None:
        headers = {**self.headers, "Idempotency-Key": "welcome", "Content-Type": "application/json"}
        answer = self.functions["api"].post(b"{}", headers, path="/v1/credits/welcome-bonus")
        assert answer.status < 300, answer.body

    def entries(self) -> list[str]:
        query = Query(collection=f"accounts/{self.uid}/entries", limit=10)
        return [found.path for found in self.documents.query(query)]


@pytest.fixture(scope="module")
def documents(emulators: Suite) -> Documents:
    return connect(PROJECT)


@pytest.fixture(scope="module")
def customer(emulators: Suite, functions: Mapping[str, Served], documents: Documents) -> Customer:
    return Customer(emulators.endpoints.auth, functions, documents)


def event(served: Served, kind: str, data: bytes, content_type: str, **attributes: str) -> Answer:
    """Deliver a CloudEvent in the binary form in which Eventarc delivers it."""
    usual = {"id": "e-1", "source": f"//{PROJECT}", "type": kind, "specversion": "1.0"}
    told = {**usual, "time": rfc3339(SystemClock().now()), **attributes}
    return served.post(data, {"Content-Type": content_type, **{f"ce-{name}": value for name, value in told.items()}})


def document_event(served: Served, kind: str, path: str) -> Answer:
    value = Document(name=f"{DATABASE}/documents/{path}", fields={})
    data = DocumentEventData.serialize(DocumentEventData(value=value))
    return event(served, kind, data, "application/protobuf", document=path, subject=f"documents/{path}")


def message(served: Served, data: Any) -> Answer:
    body = {"message": {"data": base64.b64encode(json.dumps(data).encode()).decode(), "messageId": "1"}}
    return event(served, PUBLISHED, json.dumps({**body, "subscription": "s"}).encode(), "application/json")


def test_the_api_answers_a_signed_in_user(customer):
    answer = customer.ask("/v1/me")

    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["uid"] == customer.uid


def test_the_api_refuses_a_stranger(functions):
    assert functions["api"].post(b"", {}, path="/v1/me", method="GET").status == 401


def test_a_created_user_is_offered_the_welcome_bonus(customer, functions, documents):
    customer.ask("/v1/me")

    answer = document_event(functions["on_user_created"], CREATED, f"users/{customer.uid}")

    assert answer.status == 200, answer.body
    assert documents.get(f"users/{customer.uid}").data["welcome_offer"]


def test_a_ledger_entry_is_verified_and_published(customer, functions, emulators):
    customer.claim_bonus()
    subscription = subscribe(emulators.endpoints.pubsub, "credit-events")

    answer = document_event(functions["on_ledger_entry"], WRITTEN, f"accounts/{customer.uid}/outbox/log")

    assert answer.status == 200, answer.body
    assert customer.uid in pull(subscription)


def subscribe(pubsub: str, topic: str) -> str:
    base = f"{pubsub}/v1/projects/{PROJECT}"
    requests.put(f"{base}/topics/{topic}", json={}, timeout=10)
    name = f"projects/{PROJECT}/topics/{topic}"
    requests.put(f"{base}/subscriptions/all-{topic}", json={"topic": name}, timeout=10)
    return f"{base}/subscriptions/all-{topic}"


def pull(subscription: str) -> str:
    told = requests.post(f"{subscription}:pull", json={"maxMessages": 10}, timeout=10).json()
    return " ".join(base64.b64decode(each["message"]["data"]).decode() for each in told.get("receivedMessages", []))


def stripe_notice(deployment: Deployment, event_id: str) -> tuple[bytes, dict[str, str]]:
    payment = {"id": "pi_unknown", "object": "payment_intent"}
    body = {"id": event_id, "object": "event", "type": "payment_intent.succeeded", "livemode": False}
    raw = json.dumps({**body, "created": 1_796_000_000, "data": {"object": payment}}).encode()
    now = SystemClock().now() // 1000
    sign = stripe.WebhookSignature.generate_signature_header
    return raw, {"Stripe-Signature": sign(raw.decode(), deployment.secret("STRIPE_WEBHOOK_SECRET"), now)}


def test_a_signed_notice_of_stripe_is_stored_and_a_forged_one_is_not(deployment, functions):
    raw, headers = stripe_notice(deployment, "evt_stored")

    stored = functions["stripe_webhook"].post(raw, headers)
    forged = functions["stripe_webhook"].post(raw.replace(b"pi_unknown", b"pi_another"), headers)

    assert (stored.status, json.loads(stored.body)) == (200, {"code": "stored"})
    assert forged.status == 400


def test_a_stored_notice_is_handled(deployment, functions, documents):
    raw, headers = stripe_notice(deployment, "evt_handled")
    functions["stripe_webhook"].post(raw, headers)
    inbox = next(
        each.path for each in documents.query(Query(collection="inbox", limit=10)) if "evt_handled" in str(each.data)
    )

    answer = document_event(functions["on_provider_event"], CREATED, inbox)

    assert answer.status == 200, answer.body


def test_an_unsigned_notice_of_paypal_is_refused(functions):
    answer = functions["paypal_webhook"].post(b'{"id": "WH-1"}', {"Content-Type": "application/json"})

    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "webhook_refused"


@pytest.mark.parametrize("name", ["generate_image", "run_agent_step"])
def test_a_message_about_work_that_is_gone_is_taken(functions, name):
    assert message(functions[name], {"task_id": "gone"}).status == 200


@pytest.mark.parametrize("name", ["every_minute", "every_day"])
def test_a_schedule_runs_its_jobs(functions, name):
    headers = {"Content-Type": "application/json", "X-CloudScheduler-JobName": name}

    answer = functions[name].post(b"{}", headers)

    assert answer.status == 200, answer.body
    assert len(json.loads(answer.body)) > 2


def test_a_deleted_user_leaves_nothing_open(customer, functions, documents):
    customer.ask("/v1/me")
    body = json.dumps({"oldValue": {"uid": customer.uid, "email": "ann@example.org"}}).encode()

    answer = event(
        functions["on_user_deleted"], DELETED_USER, body, "application/json", subject=f"users/{customer.uid}"
    )

    assert answer.status == 200, answer.body
    profile = documents.get(f"users/{customer.uid}")
    assert profile is None or profile.data["status"] != "active"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_loads_its_own_packages_alone(functions, name):
    text = functions[name].log.read_text()

    assert "site-packages" not in text
    assert "Traceback" not in text
