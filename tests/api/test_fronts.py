"""What may stand in front of the API, rehearsed as settings: each front writes the headers as Google's machines do.

https://cloud.google.com/load-balancing/docs/https#x-forwarded-for_header
https://cloud.google.com/run/docs/securing/ingress
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from flask import Request
from werkzeug.test import EnvironBuilder

from emulator.cloud.staging import manifest_of
from functions.http.addresses import client_address
from functions.http.limits import REFUSALS_BURST
from functions.payment_webhooks import receive
from tests.api.world import World

OPEN = "ALLOW_ALL"
MANIFEST = (Path(__file__).parents[2] / "functions.yaml").read_text()
ANN, MALLORY, BALANCER, GOOGLE = "198.51.100.1", "203.0.113.9", "34.120.0.1", "169.254.1.1"
FORGED = ("", ANN, f"{ANN}, {ANN}", "nonsense", f"{ANN}, {BALANCER}", ",,,", "::1, 10.0.0.1")
Headers = dict[str, str]


def appended(headers: Headers, *addresses: str) -> Headers:
    """The headers behind a machine that appends these addresses to those that it was sent."""
    sent = headers.get("X-Forwarded-For")
    return {**headers, "X-Forwarded-For": ", ".join([*([sent] if sent else []), *addresses])}


def own_address(client: str, headers: Headers, ingress: str) -> Headers | None:
    """The function's own address. None: Google answers 404 in place of a function that admits a load balancer only."""
    return appended(headers, client) if ingress == OPEN else None


def load_balancer(client: str, headers: Headers, _ingress: str) -> Headers:
    """An external Application Load Balancer with a serverless network endpoint group."""
    return appended(headers, client, BALANCER)


def proxy(client: str, headers: Headers, ingress: str) -> Headers | None:
    """A proxy of one's own before the function's own address."""
    return own_address(BALANCER, appended(headers, client), ingress)


@dataclass(frozen=True, slots=True)
class Front:
    """A way to the API with the setting that belongs to it."""

    setting: str
    reach: Callable[[str, Headers, str], Headers | None]


FRONTS = [Front("function", own_address), Front("load_balancer", load_balancer), Front("proxy", proxy)]


def ingress_of(setting: str, function: str = "api") -> str:
    """The ingress of a function in the manifest that is deployed with this setting."""
    text = manifest_of(function, {"CLIENT_ADDRESS_FROM": setting}, MANIFEST)
    return str(yaml.safe_load(text)["endpoints"][function].get("ingressSettings", OPEN))


def request_with(headers: Headers, method: str = "GET") -> Request:
    environ = EnvironBuilder(method=method, environ_base={"REMOTE_ADDR": GOOGLE}).get_environ()
    return Request({**environ, **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}})


def seen(setting: str, headers: Headers) -> str:
    return client_address(request_with(headers), setting)


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.setting)
def test_a_client_is_seen_at_its_own_address_whatever_it_sends(front: Front, forged: str):
    reached = front.reach(MALLORY, {"X-Forwarded-For": forged} if forged else {}, ingress_of(front.setting))

    assert reached is not None
    assert seen(front.setting, reached) == MALLORY


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.setting)
def test_a_guesser_is_barred_by_address_and_others_are_not(front: Front):
    world = World(env={"CLIENT_ADDRESS_FROM": front.setting})
    ingress = ingress_of(front.setting)

    def guess(client: str, number: int) -> int:
        headers = front.reach(client, {"X-Forwarded-For": f"9.9.{number}.9"}, ingress)
        assert headers is not None
        environ = {"REMOTE_ADDR": GOOGLE}
        told = {**headers, "Authorization": f"Bearer guess-{number}"}
        return int(world.client.get("/v1/credits/balance", headers=told, environ_base=environ).status_code)

    answers = [guess(MALLORY, number) for number in range(REFUSALS_BURST + 1)]

    assert answers == [401] * REFUSALS_BURST + [429]
    assert guess(ANN, 0) == 401


def test_behind_a_load_balancer_the_own_address_admits_nobody():
    assert own_address(MALLORY, {"X-Forwarded-For": ANN}, ingress_of("load_balancer")) is None


def test_an_open_own_address_would_take_forged_addresses():
    """Why the ingress is closed: the entry that counts behind a load balancer is the caller's own here."""
    reached = own_address(MALLORY, {"X-Forwarded-For": ANN}, OPEN)

    assert reached is not None
    assert seen("load_balancer", reached) == ANN


@pytest.mark.parametrize("setting", ["function", "load_balancer", "proxy", "hosting"])
def test_webhooks_are_called_at_their_own_address_whatever_stands_before_the_api(setting: str):
    assert [ingress_of(setting, function) for function in ("stripe_webhook", "paypal_webhook")] == [OPEN, OPEN]


def test_a_webhook_counts_uploads_by_the_address_that_google_appends(monkeypatch):
    world = World(env={"CLIENT_ADDRESS_FROM": "load_balancer", "STRIPE_WEBHOOK_SECRET": "whsec_x"})
    callers: list[str] = []

    class Uploads:
        def receive(self, request, most, caller):
            callers.append(caller)
            return b"{}"

    monkeypatch.setattr("functions.payment_webhooks._uploads", Uploads())
    headers = appended({"X-Forwarded-For": ANN}, MALLORY)
    request = request_with(headers, "POST")

    answer, status, _ = receive("stripe", request, world.services, world.services.payments.webhooks["stripe"])

    assert callers == [MALLORY]
    assert (status, json.dumps(answer)) != (200, "{}")
