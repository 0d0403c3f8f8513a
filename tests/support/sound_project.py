"""A sound Google project as the doctor's readers would find it, and small changes of its facts."""

import base64
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from emulator.cloud.checks.check import Fact, known
from emulator.cloud.checks.needs import Needs, needs_of
from emulator.cloud.checks.project import (
    Account,
    AnchorBucket,
    Bucket,
    Database,
    Deployment,
    Endpoint,
    FunctionFacts,
    Line,
    Offer,
    Probe,
    ProjectFacts,
    Provider,
    ScheduledJob,
    Secret,
    SecretVersion,
    SettingsFiles,
    SignIn,
    Watch,
)
from emulator.cloud.checks.settings import settings_of
from shared.bootstrap.secrets import secrets_of
from shared.platform.paypal.events import EVENT_TYPES as PAYPAL_EVENTS
from shared.platform.stripe.events import EVENT_TYPES as STRIPE_EVENTS

NEEDS = replace(needs_of(), catalogue={}, release="")
NAME = "shop-prod"
NOW = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)
REGION = "us-central1"
ACCOUNT = "acct_1PgafTB1WZVZmkqz"
ADDRESS = f"https://{REGION}-{NAME}.cloudfunctions.net"
KEY = "k1:" + base64.b64encode(bytes(range(3, 250, 8))[:31] + b"\xf1").decode()
OLD_KEY = "k0:" + base64.b64encode(bytes(range(7, 254, 8))[:31] + b"\xf2").decode()
LIVE = "live"
"""Mode in keys; no whole key of the live mode stands in this file."""
SECRETS = {
    "LEDGER_SIGNING_KEY": f"{KEY},{OLD_KEY}",
    "LEDGER_LOG_KEY": base64.b64encode(bytes(range(5, 252, 8))[:31] + b"\xf3").decode(),
    "MARKS_SECRET": "a-secret-of-the-marks-of-this-shop",
    "AI_PLATFORM_API_KEY": "sk-proj-a1b2c3d4e5f6a7b8c9d0",
    "STRIPE_SECRET_KEY": f"sk_{LIVE}_51PgafTB1WZVZmkqzQmE0kTn4hTq8mVwXbYcZdAeBfCgDhEiFjGkHlImJnKoLpMqNrOsPt",
    "STRIPE_WEBHOOK_SECRET": "whsec_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6",
    "PAYPAL_CLIENT_SECRET": "EGnHDxD_qRPdaLdZz8iCr8N7_MzF",
}
SETTINGS = {
    "STRIPE_PUBLISHABLE_KEY": f"pk_{LIVE}_51PgafTB1WZVZmkqzQmE0kTn4hTq8mVwXbYcZdAeBfCgDhEiFjGkHlImJnKoLpMqNrOsPt",
    "PAYPAL_CLIENT_ID": "AeA1QIZXiflr1_-r0U2UbWTziOWX1GRQer5jkUq4ZfWT5qwb6qQRPq7jDtv57TL4POEEezGLdutcxnkJ",
    "PAYPAL_WEBHOOK_ID": "8PT597110X687430L",
    "CORS_ORIGINS": "https://app.shop.example",
    "APP_CHECK": "enforce",
    "MARKUP_PERCENT": "20",
    "WELCOME_BONUS_AMOUNT": "50",
    "DEFAULT_MODEL": "gpt-4o-mini",
    "MIN_INSTANCES": "1",
    "LEDGER_ANCHOR_BUCKET": f"{NAME}-anchors",
}
MODELS = {
    "gpt-4o-mini": {
        "kind": "chat",
        "input_usd_per_mtok": "0.15",
        "output_usd_per_mtok": "0.60",
        "context_window": 128_000,
        "max_output_tokens": 16_384,
        "is_enabled": True,
    },
    "gpt-image-1": {"kind": "image", "image_usd": "0.04", "is_enabled": True},
}
PACKAGES = {
    "small": {"title": "Small", "price_minor": 1_000, "currency": "USD", "credits": 1_000 * 10**6, "is_enabled": True}
}
LISTING = (
    {"id": "gpt-4o-mini", "context_length": 128_000, "pricing": {"prompt": "0.00000015", "completion": "0.0000006"}},
    {"id": "gpt-image-1"},
)


def setting_lines(**changes: str | None) -> SettingsFiles:
    """The project's file with settings; a changed setting of None is left out."""
    values = {**SETTINGS, **changes}
    lines = [Line(file=f".env.{NAME}", name=name, value=value) for name, value in values.items() if value is not None]
    return SettingsFiles(project_file=f".env.{NAME}", is_there=True, lines=tuple(lines))


def secret(name: str, *values: str | None, state: str = "ENABLED") -> Secret:
    """A secret with these values, the newest last; `state` is that of the newest version."""
    versions = [
        SecretVersion(number=number, state=state if number == len(values) else "ENABLED", value=value)
        for number, value in enumerate(values, start=1)
    ]
    return Secret(name=name, versions=tuple(reversed(versions)))


def stored_secrets(**changes: Secret | str | None) -> dict[str, Secret]:
    """The project's secrets; a changed secret of None does not exist."""
    values: dict[str, Secret | str | None] = {**SECRETS, **changes}
    return {
        name: value if isinstance(value, Secret) else secret(name, value)
        for name, value in values.items()
        if value is not None
    }


def sound(**changes: Any) -> ProjectFacts:
    """The sound project with other facts. `settings` and `secrets` change single names; else a fact's value."""
    needs = NEEDS
    files = changes.pop("files", setting_lines(**changes.pop("settings", {})))
    secrets = changes.pop("secrets_found", stored_secrets(**changes.pop("secrets", {})))
    values = {name: each.value.strip() for name, each in secrets.items() if each.value}
    facts: dict[str, Any] = {
        "files": files,
        "settings": settings_of(changes.get("name", NAME), {**values, **files.values}),
        "secrets": secrets,
        "apis": needs.apis,
        "is_billed": True,
        "budgets": 1,
        "topics": needs.topics,
        "watch": Watch(
            subscriptions=("pager",),
            channels={"On call": True},
            policies=dict.fromkeys(needs.policies, True),
            heard=needs.policies,
            metrics=needs.metrics,
        ),
        "grants": {
            f"serviceAccount:{account_of(name)}": each.roles for name, each in needs.functions.items() if each.roles
        },
        "functions": functions_of(needs),
        "jobs": {
            name: ScheduledJob(
                function=name,
                state="ENABLED",
                schedule=each.schedule,
                zone=each.zone,
                attempted_at=NOW - timedelta(seconds=30),
                code=0,
            )
            for name, each in needs.functions.items()
            if each.schedule
        },
        "database": DATABASE,
        "indexes": dict.fromkeys(needs.indexes, "READY"),
        "single_fields": needs.single_fields,
        "rules": needs.rules,
        "bucket": BUCKET,
        "anchors": ANCHORS,
        "sign_in": SIGN_IN,
        "app_check": {"firestore.googleapis.com": "ENFORCED"},
        "admins": 1,
        "offer": Offer(models=MODELS, packages=PACKAGES),
        "sealing_keys": frozenset({"k0", "k1"}),
        "stripe": STRIPE,
        "paypal": PAYPAL,
        "providers": {"default": Provider(listing=LISTING)},
        "deployment": DEPLOYMENT,
    }
    name, now = changes.pop("name", NAME), changes.pop("now", NOW)
    needs = changes.pop("needs", needs)
    facts = {
        fact: value if isinstance(value, Fact) else known(fact, value) for fact, value in {**facts, **changes}.items()
    }
    assert facts.keys() | {"name", "now", "needs"} == {each.name for each in fields(ProjectFacts)}
    return ProjectFacts(name=name, now=now, needs=needs, **facts)


def account_of(function: str) -> str:
    return f"{function.replace('_', '-')}@{NAME}.iam.gserviceaccount.com"


def functions_of(needs: Needs, **changes: Any) -> dict[str, FunctionFacts]:
    """The deployed functions; `changes` are fields of the function `api`."""
    found = {
        name: FunctionFacts(
            name=name,
            region=REGION,
            state="ACTIVE",
            memory_mb=each.memory_mb or 0,
            cpu=each.cpu or "",
            concurrency=each.concurrency or 1,
            timeout_seconds=each.timeout_seconds or 60,
            instances_max=each.instances_max,
            instances_min=int(name == "api"),
            ingress="ALLOW_ALL",
            service_account=account_of(name),
            settings=MappingProxyType({**SETTINGS, "RELEASE": "v1"}),
            secrets=dict.fromkeys(secrets_of(name, SETTINGS), "1"),
            event=each.event,
            is_retried=each.is_retried,
        )
        for name, each in needs.functions.items()
    }
    return {**found, "api": replace(found["api"], **changes)}


def endpoint(provider: str, **changes: Any) -> Endpoint:
    events = STRIPE_EVENTS if provider == "stripe" else PAYPAL_EVENTS
    made = Endpoint(id=SETTINGS["PAYPAL_WEBHOOK_ID"], url=f"{ADDRESS}/{provider}_webhook", events=events)
    return replace(made, **changes)


DATABASE = Database(location="nam5", kind="FIRESTORE_NATIVE", has_recovery=True, is_protected=True, backup_days=(98,))
BUCKET = Bucket(location="US-CENTRAL1", is_uniform=True, is_private=True, members=frozenset({f"projectOwner:{NAME}"}))
ANCHORS = AnchorBucket(
    is_uniform=True, retention_days=3_650, is_locked=True, writers=frozenset({f"projectOwner:{NAME}"})
)
SIGN_IN = SignIn(
    providers=frozenset({"email"}),
    domains=frozenset({"app.shop.example", f"{NAME}.firebaseapp.com"}),
    sender_method="DEFAULT",
    sender_domain="shop.example",
    sender_state="SUCCEEDED",
    is_sender_used=True,
    callback=f"https://{NAME}.firebaseapp.com/__/auth/action",
    hides_addresses=True,
    is_sign_up_off=False,
    tenants=frozenset(),
)
STRIPE = Account(id=ACCOUNT, endpoints=(endpoint("stripe", id="we_1"),))
DISPUTES, SEARCH = (
    f"https://uri.paypal.com/services/{name}" for name in ("disputes/read-seller", "reporting/search/read")
)
PAYPAL = Account(scopes=frozenset({DISPUTES, SEARCH}), endpoints=(endpoint("paypal"),))
INFO = Probe(
    status=200, json={"project": NAME, "region": REGION, "ledger_id": NAME, "version": "1.0.0", "credits_per_usd": 100}
)
REFUSED = Probe(status=400, json={"code": "webhook_refused", "reason": "header"})
DEPLOYMENT = Deployment(
    info=INFO,
    status=Probe(status=200, json={"status": "ok"}),
    keys=Probe(status=200, json={"items": [{"kid": "k1"}, {"kid": "k0"}]}),
    own=INFO,
    webhooks=dict.fromkeys(
        ("stripe", "paypal"), Probe(status=400, json={"code": "webhook_refused", "reason": "header"})
    ),
    signed=Probe(status=400, json={"code": "webhook_refused", "reason": "not_an_event"}),
)
