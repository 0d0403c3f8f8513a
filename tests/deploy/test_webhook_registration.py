"""Webhooks that a deploy registers at Stripe and PayPal: exact events, secrets told once, and lost secrets."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.cloud.deploy import STEPS, deploy, plan
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.steps import webhooks, webhooks_stripe
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.paypal.objects import SUMMARIES
from emulator.stand_ins.stripe import StripeStandIn
from emulator.stand_ins.stripe.endpoints import ENDPOINTS_MAX
from shared.bootstrap.payment_adapters import adapter_of
from shared.payments.providers import PROVIDERS
from tests.support.deployments import SHOP, Listener, Memory, new_project

STRIPE_URL = f"https://us-central1-{SHOP}.cloudfunctions.net/stripe_webhook"
PAYPAL_URL = f"https://us-central1-{SHOP}.cloudfunctions.net/paypal_webhook"
STRIPE_KEY = "sk_test_standin4f9a1c77"
PAYPAL_SECRET = "EO422dn3gQLgDbuwqTjzrFgFtaRLRR5BdHEESmha49TM"


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as server:
        yield server


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn(secret_key=STRIPE_KEY) as server:
        yield server


@pytest.fixture
def paypal() -> Iterator[PayPalStandIn]:
    with PayPalStandIn(client_secret=PAYPAL_SECRET) as server:
        yield server


@pytest.fixture
def project(google: GoogleStandIn, stripe: StripeStandIn, paypal: PayPalStandIn, tmp_path: Path) -> Project:
    """A project of two providers, with a database and Secret Manager."""
    google.reset()
    made = new_project(
        google,
        tmp_path,
        PAYMENT_PROVIDERS="stripe,paypal",
        PAYPAL_CLIENT_ID=paypal.client_id,
    )
    google.state.projects[SHOP].enable("secretmanager.googleapis.com")
    given = {"STRIPE_SECRET_KEY": STRIPE_KEY, "PAYPAL_CLIENT_SECRET": PAYPAL_SECRET}
    addresses = {"STRIPE_API_BASE": stripe.url, "PAYPAL_API_BASE": paypal.url}
    return replace(made, terminal=Listener(secrets=given), environment=addresses)


def register(project: Project) -> list[str]:
    """Look and act as the step does, and return the sentences."""
    said = []
    while changes := webhooks.look(project):
        for change in changes:
            said.append(change.says)
            change.do()
    return said


def endpoints(stripe: StripeStandIn) -> list[Any]:
    return stripe.endpoints.list({"limit": 100})["data"]


def test_webhooks_are_registered_for_exactly_the_events_that_code_handles(project, stripe, paypal):
    said = register(project)

    (endpoint,), (webhook,) = endpoints(stripe), paypal.webhooks.list()
    assert (endpoint["url"], webhook["url"]) == (STRIPE_URL, PAYPAL_URL)
    assert endpoint["enabled_events"] == list(adapter_of("stripe").event_types())
    assert [each["name"] for each in webhook["event_types"]] == list(adapter_of("paypal").event_types())
    assert project.secrets.read("STRIPE_WEBHOOK_SECRET") == stripe.endpoints.secrets[endpoint["id"]]
    assert project.settings.get("PAYPAL_WEBHOOK_ID") == webhook["id"]
    assert [each.partition(",")[0] for each in said] == [
        "store STRIPE_SECRET_KEY",
        "store PAYPAL_CLIENT_SECRET",
        f"register {STRIPE_URL} at Stripe for 18 event types",
        f"register {PAYPAL_URL} at PayPal for 14 event types",
    ]
    assert webhooks.look(project) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_event_list_has_a_wildcard(provider):
    assert not [name for name in adapter_of(provider).event_types() if "*" in name]


def test_every_event_that_paypals_stand_in_sends_is_registered():
    assert set(SUMMARIES) <= set(adapter_of("paypal").event_types())


def test_a_wildcard_or_another_list_is_replaced(project, stripe, paypal):
    register(project)
    (endpoint,), (webhook,) = endpoints(stripe), paypal.webhooks.list()
    stripe.endpoints.update(endpoint["id"], {"enabled_events": ["*"], "disabled": True})
    wildcard = {"op": "replace", "path": "/event_types", "value": [{"name": "*"}]}
    paypal.webhooks.patch(webhook["id"], [wildcard])

    said = register(project)

    assert len(said) == 2
    (endpoint,), (webhook,) = endpoints(stripe), paypal.webhooks.list()
    assert (endpoint["status"], len(endpoint["enabled_events"])) == ("enabled", 18)
    assert len(webhook["event_types"]) == 14


def test_a_webhook_of_paypal_that_exists_gives_its_id(project, paypal):
    given = [{"name": name} for name in adapter_of("paypal").event_types()]
    made = paypal.webhooks.create({"url": PAYPAL_URL, "event_types": given})

    register(project)

    assert project.settings.get("PAYPAL_WEBHOOK_ID") == made["id"]
    assert len(paypal.webhooks.list()) == 1


def test_an_endpoint_made_by_hand_is_kept_with_its_secret(project, stripe):
    made = stripe.endpoints.create({"url": STRIPE_URL, "enabled_events": list(adapter_of("stripe").event_types())})
    project.secrets.add("STRIPE_WEBHOOK_SECRET", made["secret"])

    said = register(project)

    assert not [each for each in said if "Stripe" in each and "register" in each and "store" not in each]
    assert [each["id"] for each in endpoints(stripe)] == [made["id"]]
    assert webhooks.look_at_old(project) == []


def test_an_endpoint_whose_secret_is_lost_is_replaced_after_the_new_one_works(google, project, stripe):
    lost = stripe.endpoints.create({"url": STRIPE_URL, "enabled_events": ["charge.refunded"]})
    register(project)
    backend = google.state.projects[SHOP].backend
    assert isinstance(backend, Memory)
    (old,) = webhooks.look_at_old(project)

    with pytest.raises(CloudProblem, match=r"does not accept the new STRIPE_WEBHOOK_SECRET \(.*\): the old endpoint"):
        old.do()
    assert len(endpoints(stripe)) == 2, "the function does not have the new secret yet"
    backend.stripe_secret = project.secrets.read("STRIPE_WEBHOOK_SECRET") or ""
    old.do()

    assert lost["id"] not in [each["id"] for each in endpoints(stripe)]
    assert (webhooks.look(project), webhooks.look_at_old(project)) == ([], [])


class Interrupted(BaseException):
    """The end of the machine."""


@pytest.mark.parametrize("moment", ["secret is stored", "endpoint is marked"])
def test_registration_interrupted_before_the_end_is_made_again(project, stripe, monkeypatch, moment):
    def interrupt(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        if moment == "secret is stored":
            patch.setattr(type(project.secrets), "add", interrupt)
        else:
            patch.setattr(webhooks_stripe, "fingerprint", interrupt)
        with pytest.raises(Interrupted):
            webhooks_stripe._create(project, _wanted())

    register(project)

    current = project.secrets.read("STRIPE_WEBHOOK_SECRET")
    assert len(endpoints(stripe)) == 2
    assert [each for each, secret in stripe.endpoints.secrets.items() if secret == current]
    assert len(webhooks.look_at_old(project)) == 1


def _wanted():
    from emulator.cloud.webhook import Webhook

    return Webhook(url=STRIPE_URL, events=("charge.refunded",), keys={"STRIPE_SECRET_KEY": STRIPE_KEY})


def _given() -> dict[str, str]:
    return {"STRIPE_SECRET_KEY": STRIPE_KEY, "PAYPAL_CLIENT_SECRET": PAYPAL_SECRET}


def test_a_key_that_stripe_refuses_is_told_in_a_sentence(project):
    project.secrets.add("STRIPE_SECRET_KEY", "sk_test_anotheraccount0")
    project.secrets.add("PAYPAL_CLIENT_SECRET", PAYPAL_SECRET)

    with pytest.raises(CloudProblem, match=r"Stripe refuses STRIPE_SECRET_KEY \(Invalid API Key.*\): add a version"):
        webhooks.look(project)


def test_a_secret_that_paypal_refuses_is_told_in_a_sentence(project):
    project.secrets.add("STRIPE_SECRET_KEY", STRIPE_KEY)
    project.secrets.add("PAYPAL_CLIENT_SECRET", "wrong-secret-of-another-app")

    with pytest.raises(CloudProblem, match=r"PayPal refuses PAYPAL_CLIENT_ID .*\(invalid_client\): correct them"):
        webhooks.look(project)


def test_a_full_account_is_told_in_stripes_words(project, stripe):
    for number in range(ENDPOINTS_MAX):
        stripe.endpoints.create({"url": f"https://example.com/{number}", "enabled_events": ["charge.refunded"]})

    with pytest.raises(CloudProblem, match="maximum of 16 test webhook endpoints"):
        register(project)


def test_deploy_with_both_providers_ends_sound_and_plans_nothing_more(google, project, stripe, paypal):
    given = {**_given(), "AI_PLATFORM_API_KEY": "sk-proj-4f9a1c77d2b84e0c9d"}
    (project.root / "firestore.indexes.json").write_text('{"indexes": [], "fieldOverrides": []}')
    project = replace(project, terminal=Listener(secrets=given))
    deploy(project)
    planned = replace(project, terminal=Listener(), is_plan=True)
    before, asked = len(google.requests), len(stripe.journal)

    assert plan(planned)

    assert {each.http_method for each in google.requests[before:]} == {"GET"}
    assert {each["method"] for each in stripe.journal[asked:]} == {"GET"}
    writes = [each for each in paypal.journal if each["method"] != "GET" and "oauth2" not in each["path"]]
    assert [each["path"] for each in writes] == ["/v1/notifications/webhooks"]
    assert planned.terminal.lines.count("     as it should be") == len(STEPS)
    functions = google.state.projects[SHOP].table("Function")
    own = functions[f"projects/{SHOP}/locations/us-central1/functions/stripe_webhook"]["serviceConfig"]
    assert [each["key"] for each in own["secretEnvironmentVariables"]] == ["STRIPE_WEBHOOK_SECRET"]
