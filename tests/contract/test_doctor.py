"""`make doctor` over real HTTP: a sound project at the stand-ins, then one planted mistake at a time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator.cloud.checks.check import UNREAD
from emulator.stand_ins.google.apis.secrets import put_version
from tests.support.sound_cloud import DATABASE, GROUPS, SoundCloud, release_folder
from tests.support.sound_project import (
    ADDRESS,
    KEY,
    LISTING,
    MODELS,
    NAME,
    NEEDS,
    REGION,
    SECRETS,
    SETTINGS,
    account_of,
    sound,
)

Plant = Callable[[SoundCloud], object]
FUNCTIONS = f"projects/{NAME}/locations/{REGION}/functions"
JOBS = f"projects/{NAME}/locations/{REGION}/jobs/firebase-schedule"
MINUTE_JOB = f"{JOBS}-every_minute-{REGION}"
BUCKET = f"{NAME}-images"
API = f"serviceAccount:{account_of('api')}"
FIRST_POLICY = min(NEEDS.policies)
HOSTS = (
    "billingbudgets", "cloudbilling", "cloudfunctions", "cloudresourcemanager", "cloudscheduler", "firebaseappcheck",
    "firebaserules", "firestore", "identitytoolkit", "monitoring", "pubsub", "secretmanager", "serviceusage", "storage",
)  # fmt: skip


@dataclass(frozen=True)
class PlantedOnTheWire:
    """Change of the stand-ins or the settings, and words of the finding."""

    name: str
    sentence: str
    plant: Plant = lambda _: None
    settings: dict[str, str | None] = field(default_factory=dict)


def row(kind: str, name: str, **changes: Any) -> Plant:
    """Change the fields of a resource."""
    return lambda cloud: cloud.project.table(kind)[name].update(changes)


def gone(kind: str, name: str) -> Plant:
    return lambda cloud: cloud.project.table(kind).remove(name)


def service(**changes: Any) -> Plant:
    """Change the service of the function `api`."""
    return lambda cloud: cloud.project.table("Function")[f"{FUNCTIONS}/api"]["serviceConfig"].update(changes)


def secret(name: str, value: str, *, state: str = "ENABLED") -> Plant:
    """Replace the value of a secret."""

    def plant(cloud: SoundCloud) -> None:
        version = f"projects/{NAME}/secrets/{name}/versions/1"
        cloud.project.payloads[version] = value.encode()
        cloud.project.table("SecretVersion")[version]["state"] = state

    return plant


def without_secret(name: str) -> Plant:
    def plant(cloud: SoundCloud) -> None:
        cloud.project.table("Secret").remove(f"projects/{NAME}/secrets/{name}")
        cloud.project.table("SecretVersion").remove(f"projects/{NAME}/secrets/{name}/versions/1")

    return plant


def newer_secret(name: str, value: str) -> Plant:
    return lambda cloud: put_version(cloud.project, f"projects/{NAME}/secrets/{name}", value.encode())


def sign_in(**changes: Any) -> Plant:
    return lambda cloud: cloud.project.settings["identity"].update(changes)


def stripe(**changes: Any) -> Plant:
    return lambda cloud: cloud.stripe_endpoints["we_1"].update(changes)


def paypal(**changes: Any) -> Plant:
    return lambda cloud: cloud.paypal_webhooks[SETTINGS["PAYPAL_WEBHOOK_ID"]].update(changes)


def product(**changes: Any) -> Plant:
    def plant(cloud: SoundCloud) -> None:
        for name, value in changes.items():
            setattr(cloud.product, name, value)

    return plant


def model(name: str, **changes: Any) -> Plant:
    return lambda cloud: cloud.product.stored["models"].update({name: {**MODELS["gpt-4o-mini"], **changes}})


def listing(cloud: SoundCloud) -> None:
    cloud.listing = [{**LISTING[0], "pricing": {"prompt": "0.000001", "completion": "0.000004"}}, LISTING[1]]


def second_api(cloud: SoundCloud) -> None:
    functions = cloud.project.table("Function")
    old = FUNCTIONS.replace(REGION, "europe-west1")
    functions.add(f"{old}/api", {**functions[f"{FUNCTIONS}/api"], "name": f"{old}/api"})


def cheap_package(cloud: SoundCloud) -> None:
    packages = cloud.product.stored["packages"]
    packages["small"] = {**packages["small"], "price_minor": 500}


def hours_ago(hours: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


P = PlantedOnTheWire
ON_THE_WIRE = (
    P("setting_unknown", "CREDIT_PER_USD", settings={"CREDIT_PER_USD": "100"}),
    P("secret_in_plain_text", "LEDGER_SIGNING_KEY", without_secret("LEDGER_SIGNING_KEY"), {"LEDGER_SIGNING_KEY": KEY}),
    P("secret_and_setting", "MARKS_SECRET", settings={"MARKS_SECRET": SECRETS["MARKS_SECRET"]}),
    P("secret_missing", "AI_PLATFORM_API_KEY", without_secret("AI_PLATFORM_API_KEY")),
    P(
        "secret_without_version",
        "MARKS_SECRET",
        gone("SecretVersion", f"projects/{NAME}/secrets/MARKS_SECRET/versions/1"),
    ),
    P("secret_disabled", "MARKS_SECRET", secret("MARKS_SECRET", "x" * 20, state="DISABLED")),
    P("secret_with_spaces", "a newline", secret("MARKS_SECRET", "a-secret-of-the-marks\n")),
    P(
        "secret_not_deployed",
        "`PAYPAL_CLIENT_SECRET`",
        newer_secret("PAYPAL_CLIENT_SECRET", SECRETS["PAYPAL_CLIENT_SECRET"]),
    ),
    P("signing_key_removed", "`k0`", secret("LEDGER_SIGNING_KEY", KEY)),
    P("billing_off", "Billing is off", lambda cloud: setattr(cloud.project, "is_billed", False)),
    P("budget_missing", "No budget", lambda cloud: cloud.google.state.budgets.clear()),
    P("api_off", "cloudscheduler", lambda cloud: cloud.project.disable("cloudscheduler.googleapis.com")),
    P("api_off", "firestore", lambda cloud: cloud.project.disable("firestore.googleapis.com")),
    P("topic_missing", "credit-events", gone("Topic", f"projects/{NAME}/topics/credit-events")),
    P("topic_missing", "alerts", gone("Topic", f"projects/{NAME}/topics/alerts")),
    P("alert_policy_missing", FIRST_POLICY, gone("AlertPolicy", f"projects/{NAME}/alertPolicies/0")),
    P(
        "channel_disabled",
        "Operators",
        row("NotificationChannel", f"projects/{NAME}/notificationChannels/1", enabled=False),
    ),
    P("role_missing", "roles/datastore.user", lambda cloud: cloud.project.policy.revoke("roles/datastore.user", API)),
    P("role_too_broad", "roles/editor", lambda cloud: cloud.project.policy.grant("roles/editor", API)),
    P("database_missing", "(default)", gone("Database", DATABASE)),
    P(
        "database_without_recovery",
        "recovery",
        row("Database", DATABASE, pointInTimeRecoveryEnablement="POINT_IN_TIME_RECOVERY_DISABLED"),
    ),
    P(
        "database_deletable",
        "protection",
        row("Database", DATABASE, deleteProtectionState="DELETE_PROTECTION_DISABLED"),
    ),
    P("database_elsewhere", "eur3", row("Database", DATABASE, locationId="eur3")),
    P("backup_missing", "no backup", gone("BackupSchedule", f"{DATABASE}/backupSchedules/1")),
    P("index_missing", "payment_sagas", gone("Index", f"{GROUPS}/payment_sagas/indexes/0")),
    P("index_not_ready", "creating", row("Index", f"{GROUPS}/payment_sagas/indexes/0", state="CREATING")),
    P("field_indexes_differ", "inbox.delete_at", gone("Field", f"{GROUPS}/inbox/fields/delete_at")),
    P("rules_missing", "No rules", gone("Release", f"projects/{NAME}/releases/cloud.firestore")),
    P(
        "rules_differ",
        "firestore.rules",
        row(
            "Ruleset",
            f"projects/{NAME}/rulesets/1",
            source={"files": [{"name": "firestore.rules", "content": "allow read;"}]},
        ),
    ),
    P("bucket_missing", BUCKET, lambda cloud: cloud.google.state.buckets.pop(BUCKET)),
    P(
        "bucket_public",
        "allUsers",
        lambda cloud: cloud.google.state.bucket_policies[BUCKET].grant("roles/storage.objectViewer", "allUsers"),
    ),
    P(
        "bucket_elsewhere",
        "europe-west1",
        lambda cloud: cloud.google.state.buckets[BUCKET].update(location="EUROPE-WEST1"),
    ),
    P("anchor_bucket_missing", f"{NAME}-anchors", lambda cloud: cloud.google.state.buckets.pop(f"{NAME}-anchors")),
    P(
        "anchor_bucket_unlocked",
        "not locked",
        lambda cloud: cloud.google.state.buckets[f"{NAME}-anchors"]["retentionPolicy"].update(isLocked=False),
    ),
    P("function_missing", "every_day", gone("Function", f"{FUNCTIONS}/every_day")),
    P(
        "function_failed",
        "does not start",
        row(
            "Function",
            f"{FUNCTIONS}/api",
            state="FAILED",
            stateMessages=[{"severity": "ERROR", "type": "X", "message": "does not start"}],
        ),
    ),
    P("function_limits_differ", "memory (MB) 512", service(availableMemory="512Mi")),
    P("function_twice", "europe-west1", second_api),
    P("setting_not_deployed", "MARKUP_PERCENT", service(environmentVariables={**SETTINGS, "MARKUP_PERCENT": "0"})),
    P("own_address_closed", "GCLB", service(ingressSettings="ALLOW_INTERNAL_AND_GCLB")),
    P("schedule_missing", "every_minute", gone("Job", MINUTE_JOB)),
    P("schedule_paused", "every_minute", row("Job", MINUTE_JOB, state="PAUSED")),
    P("schedule_failed", "code 13", row("Job", MINUTE_JOB, status={"code": 13})),
    P("schedule_late", "every_minute", row("Job", MINUTE_JOB, lastAttemptTime=hours_ago(3))),
    P("sign_in_off", "No way", sign_in(signIn={"email": {"enabled": False}})),
    P(
        "sender_unverified",
        "shop.example",
        sign_in(
            notification={
                "sendEmail": {"dnsInfo": {"pendingCustomDomain": "shop.example", "customDomainState": "IN_PROGRESS"}}
            }
        ),
    ),
    P("domain_not_authorised", "app.shop.example", sign_in(authorizedDomains=[f"{NAME}.firebaseapp.com"])),
    P(
        "domain_of_a_laptop",
        "localhost",
        sign_in(authorizedDomains=["localhost", "app.shop.example", f"{NAME}.firebaseapp.com"]),
    ),
    P("app_check_off", "APP_CHECK", service(environmentVariables={}), {"APP_CHECK": None}),
    P("app_check_not_for_database", "Cloud Firestore", lambda cloud: cloud.project.table("ProtectedService").clear()),
    P("administrator_missing", "admin", row("User", "olga", customAttributes=json.dumps({"roles": ["support"]}))),
    P("payment_key_refused", "Stripe refuses", secret("STRIPE_SECRET_KEY", SECRETS["STRIPE_SECRET_KEY"][:-3] + "abc")),
    P("payment_key_refused", "PayPal refuses", secret("PAYPAL_CLIENT_SECRET", "another-secret-of-paypal")),
    P("endpoint_missing", f"{ADDRESS}/stripe_webhook", lambda cloud: cloud.stripe_endpoints.clear()),
    P("endpoint_elsewhere", "shop-old", stripe(url="https://us-central1-shop-old.cloudfunctions.net/stripe_webhook")),
    P("endpoint_disabled", "we_1", stripe(status="disabled")),
    P("endpoint_with_wildcard", "every event", stripe(enabled_events=["*"])),
    P("endpoint_events_missing", "CHECKOUT", paypal(event_types=[{"name": "PAYMENT.CAPTURE.COMPLETED"}])),
    P("webhook_secret_differs", "STRIPE_WEBHOOK_SECRET", product(webhook_secret="whsec_of_another_endpoint")),
    P("store_unavailable", "database", product(store="degraded")),
    P("api_of_another_project", "shop-old", product(info={"project": "shop-old", "ledger_id": "shop-old"})),
    P("ledger_renamed", "shop-ledger", product(info={"project": NAME, "ledger_id": "shop-ledger"})),
    P("model_without_price", "gpt-5", model("gpt-5", output_usd_per_mtok=None)),
    P("model_not_listed", "gpt-5", model("gpt-5")),
    P("model_below_cost", "input_usd_per_mtok", listing),
    P(
        "package_below_cost",
        "Priced below cost",
        cheap_package,
    ),
    P("model_key_refused", "status 401", lambda cloud: setattr(cloud, "model_key", "sk-another")),
)


@pytest.fixture(scope="module")
def server() -> Iterator[SoundCloud]:
    with SoundCloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(server: SoundCloud) -> Iterator[SoundCloud]:
    server.reset()
    yield server
    assert server.google.mistakes == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return release_folder(tmp_path)


def test_doctor_finds_nothing_in_a_sound_project(cloud: SoundCloud, root: Path):
    assert cloud.look(root) == []


def test_readers_find_the_facts_of_the_sound_project(cloud: SoundCloud, root: Path):
    found, expected = cloud.facts(root), sound()

    for name in ("database", "indexes", "single_fields", "rules", "app_check", "sign_in", "stripe", "sealing_keys"):
        assert getattr(found, name).value == getattr(expected, name).value, name
    assert found.paypal.value.endpoints == expected.paypal.value.endpoints


def test_doctor_only_reads(cloud: SoundCloud, root: Path):
    cloud.look(root)
    posts = {each.path for each in cloud.google.requests if each.http_method != "GET"}

    assert posts == {
        f"/v1/projects/{NAME}:getIamPolicy",
        f"/v1/projects/{NAME}/databases/(default)/documents:runQuery",
        "/stripe_webhook",
        "/paypal_webhook",
    }


@pytest.mark.parametrize("planted", ON_THE_WIRE, ids=lambda planted: f"{planted.name}: {planted.sentence}"[:60])
def test_mistake_on_the_wire_is_found_alone(cloud: SoundCloud, tmp_path: Path, planted: PlantedOnTheWire):
    planted.plant(cloud)
    if planted.settings:
        for function in cloud.project.table("Function").values():
            function["serviceConfig"]["environmentVariables"] = {}

    found = cloud.look(release_folder(tmp_path, **planted.settings))

    assert {finding.name for finding in found} == {planted.name}
    assert any(planted.sentence in finding.sentence for finding in found)
    assert [finding for finding in found for value in SECRETS.values() if value in finding.sentence] == []


@pytest.mark.parametrize("host", HOSTS)
def test_api_that_refuses_is_told_and_never_passed(cloud: SoundCloud, root: Path, host: str):
    cloud.google.fail(status=403, times=1_000, path=f"/{host}.googleapis.com/")

    found = cloud.look(root)

    assert {finding.name for finding in found} == {UNREAD}
    assert all("403" in finding.sentence for finding in found)


@pytest.mark.parametrize("how", ["status", "reset"])
def test_api_that_fails_for_a_moment_is_asked_again(cloud: SoundCloud, root: Path, how: str):
    cloud.google.fail(how=how, status=503, times=2, path="/pubsub.googleapis.com/")

    assert cloud.look(root) == []


def test_command_for_an_unknown_project_says_so_in_a_sentence(cloud: SoundCloud, tmp_path: Path):
    told = subprocess.run(
        [sys.executable, "-m", "emulator.cloud.doctor", "shop-gone"],
        env={**os.environ, "GOOGLE_APIS": cloud.google.url, "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert told.stdout == ""
    assert told.stderr.startswith("There is no project shop-gone, or your account may not see the project (")
    assert told.returncode == 2
