"""Which payment providers a laptop uses: those that are named, stand-ins for the rest, and who hears of events."""

import contextlib
import json
from pathlib import Path

import pytest
from cryptography import x509

from emulator.payment_providers import PaymentProviders, payment_providers
from shared.kernel.clock import SystemClock
from shared.platform.stripe.webhooks import StripeWebhooks
from tests.support.endpoint import Endpoint

EVENT = {"id": "evt_1", "type": "ping", "created": 1, "livemode": False, "data": {"object": {}}}
PORTS = {"stripe": 0, "paypal": 0}
GIVEN = {"STRIPE_WEBHOOK_SECRET": "whsec_new, whsec_old", "PAYPAL_WEBHOOK_ID": "WH-1"}
"""The secret and the id of webhooks that somebody has set, without the addresses of the providers."""


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in ("STRIPE_API_BASE", "PAYPAL_API_BASE", *GIVEN):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def started(home: Path, **settings: str):
    with contextlib.ExitStack() as stack:
        yield payment_providers(stack, settings, PORTS, home)


def running(found: PaymentProviders) -> dict[str, str]:
    """Which function hears from a stand-in, and from which."""
    return {function: stand_in.name for function, stand_in in found.stand_ins.items()}


def test_without_a_word_both_are_stood_in_for(tmp_path):
    with started(tmp_path) as found:
        root, between = x509.load_pem_x509_certificates(Path(found.settings["PAYPAL_WEBHOOK_ROOTS"]).read_bytes())

        assert running(found) == {"stripe_webhook": "stripe", "paypal_webhook": "paypal"}
        assert found.settings.keys() == {
            "STRIPE_API_BASE",
            "STRIPE_SECRET_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "PAYPAL_API_BASE",
            "PAYPAL_CLIENT_ID",
            "PAYPAL_CLIENT_SECRET",
            "PAYPAL_WEBHOOK_ID",
            "PAYPAL_WEBHOOK_ROOTS",
        }
        assert (root.issuer, between.issuer) == (root.subject, root.subject)
        assert found.addresses == {
            "stripe": found.settings["STRIPE_API_BASE"],
            "paypal": found.settings["PAYPAL_API_BASE"],
        }


@pytest.mark.parametrize("where", ["environment", "file"])
def test_one_that_is_named_is_used_as_it_is_and_keeps_its_own_credentials(tmp_path, monkeypatch, where):
    named = {"STRIPE_API_BASE": "https://api.stripe.com"}
    if where == "environment":
        monkeypatch.setenv("STRIPE_API_BASE", named["STRIPE_API_BASE"])

    with started(tmp_path, **(named if where == "file" else {})) as found:
        assert running(found) == {"paypal_webhook": "paypal"}
        assert found.addresses["stripe"] == "https://api.stripe.com"
        assert not any(name.startswith("STRIPE_") for name in found.settings)


@pytest.mark.parametrize("where", ["environment", "file"])
def test_stand_in_signs_with_the_webhook_secret_that_was_given(tmp_path, monkeypatch, where):
    if where == "environment":
        for name, value in GIVEN.items():
            monkeypatch.setenv(name, value)

    with started(tmp_path, **(GIVEN if where == "file" else {})) as found, Endpoint() as functions:
        found.deliver_to(functions.origin)
        found.stand_ins["stripe_webhook"].send_raw(body=json.dumps(EVENT))

        assert {name: found.settings[name] for name in GIVEN} == GIVEN
        (request,) = functions.received
        for secret in ("whsec_new", GIVEN["STRIPE_WEBHOOK_SECRET"]):
            assert StripeWebhooks(secret, SystemClock()).verify(request.body, request.headers).id == EVENT["id"]


@pytest.mark.parametrize("blank", ["", " , "])
def test_stand_in_keeps_its_own_webhook_secret_without_another(tmp_path, blank):
    with started(tmp_path, STRIPE_WEBHOOK_SECRET=blank) as found:
        assert found.settings["STRIPE_WEBHOOK_SECRET"] == "whsec_stand_in"


def test_the_functions_hear_what_happens(tmp_path):
    with started(tmp_path) as found, Endpoint() as functions:
        found.deliver_to(functions.origin)
        for stand_in in found.stand_ins.values():
            assert stand_in.send_raw(body="{}") == 200

        assert [request.path for request in functions.received] == ["/stripe_webhook", "/paypal_webhook"]
