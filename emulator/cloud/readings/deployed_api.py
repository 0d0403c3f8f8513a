"""Readers of the deployed API and webhooks over HTTP. Nothing is written: each request is refused or only reads."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import requests

from emulator.cloud.checks.payments import STRIPE
from emulator.cloud.checks.project import Deployment, FunctionFacts, Probe
from emulator.cloud.readings.reading import Http
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings
from shared.payments.providers import PROVIDERS

NO_EVENT = b"{}"
"""Signed body that is no event: the webhook checks the signature, and stores nothing."""
MILLIS = 1_000


def read_deployment(
    http: Http, clock: Clock, settings: Settings, region: str, functions: Mapping[str, FunctionFacts]
) -> Deployment:
    """Return the answers of the API at its public and its own address, and of the webhooks."""
    public = settings.public_url
    google = f"https://{region}-{settings.project}.cloudfunctions.net"
    own = f"{google}/api"
    info = _ask(http, clock, "GET", f"{public}/v1/monitoring/info")
    is_there = "api" in functions
    return Deployment(
        info=info,
        status=_ask(http, clock, "GET", f"{public}/v1/monitoring/status"),
        keys=_ask(http, clock, "GET", f"{public}/v1/ledger/keys"),
        own=info if public == own else _ask(http, clock, "GET", f"{own}/v1/monitoring/info") if is_there else Probe(),
        webhooks={
            record.name: _ask(http, clock, "POST", f"{google}/{record.webhook}", body=NO_EVENT)
            for record in PROVIDERS.values()
        },
        signed=_signed(http, clock, f"{google}/{PROVIDERS[STRIPE].webhook}", settings.stripe_webhook_secret),
    )


def _signed(http: Http, clock: Clock, url: str, secrets: str) -> Probe:
    """Return the Stripe webhook's answer to a body that no event is, signed with the newest stored secret."""
    secret = secrets.split(",", maxsplit=1)[0].strip()
    if not secret:
        return Probe()
    stamp = str(clock.now() // MILLIS)
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + NO_EVENT, hashlib.sha256).hexdigest()
    return _ask(http, clock, "POST", url, body=NO_EVENT, signature=f"t={stamp},v1={signature}")


def _ask(http: Http, clock: Clock, method: str, url: str, *, body: bytes | None = None, signature: str = "") -> Probe:
    headers = {"Content-Type": "application/json"} | ({"Stripe-Signature": signature} if signature else {})
    try:
        answer = http.ask(method, url, headers=headers, data=body)
    except requests.RequestException as error:
        return Probe(problem=f"nothing answered ({type(error).__name__})")
    return Probe(status=answer.status_code, json=_json(answer), seconds_off=_seconds_off(answer, clock))


def _json(answer: requests.Response) -> Mapping[str, object]:
    try:
        found = json.loads(answer.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds_off(answer: requests.Response, clock: Clock) -> float:
    """Return the difference between the time in the answer and this machine's time; 0 without a time."""
    try:
        told = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return 0.0
    return told.timestamp() - clock.now() / MILLIS
