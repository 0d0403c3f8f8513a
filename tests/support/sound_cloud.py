"""The sound project of `sound_project` behind real HTTP: stand-ins for Google, Stripe, PayPal and a model provider."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from emulator.cloud.checks.check import Finding, examine
from emulator.cloud.checks.needs import FunctionNeeds
from emulator.cloud.checks.project import ProjectFacts
from emulator.cloud.checks.table import CHECKS
from emulator.cloud.google import google_of
from emulator.cloud.readings.gather import gather
from emulator.cloud.readings.reading import Http
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.apis.billing import ACCOUNT as BILLING_ACCOUNT
from emulator.stand_ins.google.apis.secrets import put_version
from emulator.stand_ins.google.apis.storage import put_bucket
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.state import Project, State
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from emulator.stand_ins.wire import Answer, Request, Server, json_answer
from emulator.tools import ROOT
from shared.bootstrap.secrets import secrets_of
from shared.kernel.clock import SystemClock
from shared.payments.ports import WebhookRefused
from shared.platform.stripe.webhooks import StripeWebhooks
from tests.support.sound_project import (
    ACCOUNT,
    ADDRESS,
    LISTING,
    MODELS,
    NAME,
    NEEDS,
    PACKAGES,
    REGION,
    SECRETS,
    SETTINGS,
    account_of,
    endpoint,
)

RELEASE_FILES = ("functions.yaml", "firestore.rules", "firestore.indexes.json")
MORE_APIS = frozenset(f"{each}.googleapis.com" for each in ("firebaseappcheck",))
DATABASE = f"projects/{NAME}/databases/(default)"
GROUPS = f"{DATABASE}/collectionGroups"
HOURS_12 = "43200s"


@dataclass
class Product:
    """Deployed functions and the documents behind them, as the doctor meets them."""

    info: dict[str, Any] = field(
        default_factory=lambda: {"project": NAME, "region": REGION, "ledger_id": NAME, "credits_per_usd": 100}
    )
    webhook_secret: str = SECRETS["STRIPE_WEBHOOK_SECRET"]
    store: str = "ok"
    stored: dict[str, dict[str, Mapping[str, Any]]] = field(
        default_factory=lambda: {
            "models": dict(MODELS),
            "packages": dict(PACKAGES),
            "sealed": {"ann": {"seal": "k1:c2ln", "state": "{}"}},
            "entries": {"1": {"body": json.dumps({"kid": "k0"})}},
        }
    )

    def answer(self, function: str, request: Request) -> Answer:
        if function == "stripe_webhook":
            return self._stripe(request)
        if function == "paypal_webhook":
            return json_answer({"code": "webhook_refused", "reason": "header"}, status=400)
        answers = {
            "/v1/monitoring/info": self.info,
            "/v1/monitoring/status": {"status": self.store, "components": {}},
            "/v1/ledger/keys": {"ledger_id": NAME, "items": [{"kid": "k1"}, {"kid": "k0"}], "next_cursor": None},
        }
        return json_answer(answers[request.path]) if request.path in answers else Answer(status=404)

    def _stripe(self, request: Request) -> Answer:
        try:
            StripeWebhooks(self.webhook_secret, SystemClock()).verify(request.body, request.headers)
        except WebhookRefused as refused:
            return json_answer({"code": refused.code, "reason": refused.params["reason"]}, status=400)
        raise AssertionError("the doctor sent an event, which a webhook would store")

    def documents(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        return self.stored.get(collection, {})

    def sign_in(self, user: Mapping[str, Any]) -> str:
        raise NotImplementedError

    def app_token(self) -> str:
        return "token-of-an-app"

    def forget(self, uid: str) -> None:
        raise NotImplementedError


class SoundCloud:
    """Stand-ins with the sound project. `reset` brings the sound project back; `look` runs the doctor."""

    def __init__(self) -> None:
        self.google = GoogleStandIn()
        self.stripe = StripeStandIn(secret_key=SECRETS["STRIPE_SECRET_KEY"], account=ACCOUNT)
        self.paypal = PayPalStandIn(
            client_id=SETTINGS["PAYPAL_CLIENT_ID"], client_secret=SECRETS["PAYPAL_CLIENT_SECRET"]
        )
        self.listing: list[Mapping[str, Any]] = []
        self.model_key = SECRETS["AI_PLATFORM_API_KEY"]
        self._models = Server(0, self._list_models, name="models")
        self._state = state_of_a_sound_project()

    def __enter__(self) -> Self:
        self.google.__enter__()
        self.stripe.start()
        self.paypal.start()
        self._models.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._models.stop()
        self.paypal.stop()
        self.stripe.stop()
        self.google.__exit__()

    def reset(self) -> None:
        self.google.reset()
        self.google.state = copy.deepcopy(self._state)
        self.listing, self.model_key = list(LISTING), SECRETS["AI_PLATFORM_API_KEY"]
        self.stripe_endpoints.clear()
        self.stripe_endpoints["we_1"] = {
            "id": "we_1",
            "object": "webhook_endpoint",
            "url": f"{ADDRESS}/stripe_webhook",
            "enabled_events": list(endpoint("stripe").events),
            "status": "enabled",
            "livemode": True,
        }
        self.paypal_webhooks.clear()
        self.paypal_webhooks[SETTINGS["PAYPAL_WEBHOOK_ID"]] = {
            "id": SETTINGS["PAYPAL_WEBHOOK_ID"],
            "url": f"{ADDRESS}/paypal_webhook",
            "event_types": [{"name": name} for name in endpoint("paypal").events],
        }

    @property
    def stripe_endpoints(self) -> dict[str, Any]:
        return self.stripe._api.endpoints._endpoints

    @property
    def paypal_webhooks(self) -> dict[str, Any]:
        return self.paypal.webhooks._webhooks

    @property
    def project(self) -> Project:
        return self.google.state.projects[NAME]

    @property
    def product(self) -> Product:
        product = self.project.backend
        assert isinstance(product, Product)
        return product

    def facts(self, root: Path) -> ProjectFacts:
        """What the readers find. `root` is the folder of the release, see `release_folder`."""
        return gather(google_of(NAME, self.google.environment), Http(self._lead), root=root, needs=NEEDS)

    def look(self, root: Path) -> list[Finding]:
        return examine(self.facts(root), CHECKS)

    def _lead(self, url: str) -> str:
        places = {
            "api.stripe.com": self.stripe.url,
            "api-m.paypal.com": self.paypal.url,
            "api-m.sandbox.paypal.com": "http://127.0.0.1:9",
            "api.openai.com": self._models.url,
        }
        host = urlsplit(url).netloc
        rest = url.partition(host)[2]
        return f"{places[host]}{rest}" if host in places else f"{self.google.url}/{host}{rest}"

    def _list_models(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self.model_key}":
            return json_answer({"error": {"message": "Incorrect API key provided."}}, status=401)
        return json_answer({"object": "list", "data": list(self.listing)})


def release_folder(root: Path, **settings: str | None) -> Path:
    """A folder with the release's own files and the sound project's settings; a setting of None is left out."""
    for name in RELEASE_FILES:
        (root / name).write_text((ROOT / name).read_text())
    values = {**SETTINGS, **settings}
    lines = [f"{name}={value}\n" for name, value in values.items() if value is not None]
    (root / f".env.{NAME}").write_text("".join(lines))
    return root


def state_of_a_sound_project() -> State:
    """Google's state after a deployment, with everything that a person must add by hand."""
    state = State()
    project = state.add_project(NAME)
    project.enable(*NEEDS.apis, *MORE_APIS)
    project.backend = Product()
    _add_secrets(project)
    _add_topics(project)
    _add_database(project)
    _add_functions(project)
    _add_people(project)
    _add_watch(project, state)
    bucket = {
        "name": f"{NAME}-images",
        "location": REGION,
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
    }
    locked = {"retentionPeriod": str(3_650 * 86_400), "isLocked": True}
    for each in (bucket, {**bucket, "name": f"{NAME}-anchors", "retentionPolicy": locked}):
        put_bucket(project, state.buckets, each)
        state.bucket_owners[str(each["name"])] = NAME
        state.bucket_policies[str(each["name"])] = Policy()
    return state


def _add_secrets(project: Project) -> None:
    for name, value in SECRETS.items():
        full = f"projects/{NAME}/secrets/{name}"
        project.table("Secret").add(full, {"replication": {"automatic": {}}})
        put_version(project, full, value.encode())


def _add_topics(project: Project) -> None:
    for topic in NEEDS.topics:
        project.table("Topic").add(f"projects/{NAME}/topics/{topic}", {})
    subscription = {"topic": f"projects/{NAME}/topics/alerts"}
    project.table("Subscription").add(f"projects/{NAME}/subscriptions/pager", subscription)


def _add_database(project: Project) -> None:
    project.table("Database").add(
        DATABASE,
        {
            "locationId": "nam5",
            "type": "FIRESTORE_NATIVE",
            "pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_ENABLED",
            "deleteProtectionState": "DELETE_PROTECTION_ENABLED",
        },
    )
    schedule = {"retention": f"{98 * 86_400}s", "dailyRecurrence": {}}
    project.table("BackupSchedule").add(f"{DATABASE}/backupSchedules/1", schedule)
    wanted = json.loads((ROOT / "firestore.indexes.json").read_text())
    for number, index in enumerate(wanted["indexes"]):
        name = f"{GROUPS}/{index['collectionGroup']}/indexes/{number}"
        last = {"fieldPath": "__name__", "order": index["fields"][-1].get("order", "ASCENDING")}
        fields = [*index["fields"], last]
        project.table("Index").add(name, {"queryScope": index["queryScope"], "fields": fields, "state": "READY"})
    for each in wanted["fieldOverrides"]:
        name = f"{GROUPS}/{each['collectionGroup']}/fields/{each['fieldPath']}"
        project.table("Field").add(name, _field(each))
    rules, ruleset = f"projects/{NAME}/releases/cloud.firestore", f"projects/{NAME}/rulesets/1"
    project.table("Ruleset").add(ruleset, {"source": {"files": [{"name": "firestore.rules", "content": NEEDS.rules}]}})
    project.table("Release").add(rules, {"rulesetName": ruleset})


def _field(override: Mapping[str, Any]) -> dict[str, Any]:
    indexes = [
        {
            "queryScope": each.get("queryScope", "COLLECTION"),
            "fields": [
                {
                    "fieldPath": override["fieldPath"],
                    **{name: each[name] for name in ("order", "arrayConfig") if name in each},
                }
            ],
            "state": "READY",
        }
        for each in override["indexes"]
    ]
    ttl = {"ttlConfig": {"state": "ACTIVE"}} if override.get("ttl") else {}
    return {"indexConfig": {"indexes": indexes, "usesAncestorConfig": False}, **ttl}


def _add_functions(project: Project) -> None:
    now = datetime.now(UTC)
    for name, needs in NEEDS.functions.items():
        full = f"projects/{NAME}/locations/{REGION}/functions/{name}"
        project.table("Function").add(full, _function(name, needs, project.number))
        for role in needs.roles:
            project.policy.grant(role, f"serviceAccount:{account_of(name)}")
        if needs.schedule:
            job = {
                "schedule": needs.schedule,
                "timeZone": needs.zone,
                "state": "ENABLED",
                "userUpdateTime": _time(now - timedelta(days=9)),
                "lastAttemptTime": _time(now - timedelta(seconds=40)),
                "status": {},
            }
            jobs = f"projects/{NAME}/locations/{REGION}/jobs"
            project.table("Job").add(f"{jobs}/firebase-schedule-{name}-{REGION}", job)


def _function(name: str, needs: FunctionNeeds, number: str) -> dict[str, Any]:
    bindings = [
        {"key": secret, "secret": secret, "projectId": number, "version": "1"} for secret in secrets_of(name, SETTINGS)
    ]
    trigger = {"eventType": needs.event, "retryPolicy": "RETRY_POLICY_RETRY"} if needs.event else None
    return {
        "state": "ACTIVE",
        "environment": "GEN_2",
        **({"eventTrigger": trigger} if trigger else {}),
        "url": f"{ADDRESS}/{name}",
        "labels": {"deployment-tool": "cli-firebase"},
        "serviceConfig": {
            "availableMemory": f"{needs.memory_mb}M",
            "availableCpu": needs.cpu,
            "timeoutSeconds": needs.timeout_seconds,
            "maxInstanceCount": needs.instances_max,
            "minInstanceCount": int(name == "api"),
            "maxInstanceRequestConcurrency": needs.concurrency,
            "ingressSettings": "ALLOW_ALL",
            "serviceAccountEmail": account_of(name),
            "environmentVariables": {**SETTINGS, "RELEASE": "v1", "FUNCTION_TARGET": name},
            "secretEnvironmentVariables": bindings,
            "uri": f"https://{name.replace('_', '-')}-uc.a.run.app",
        },
    }


def _add_people(project: Project) -> None:
    project.settings["identity"] = {
        "name": f"projects/{project.number}/config",
        "signIn": {"email": {"enabled": True, "passwordRequired": True}},
        "authorizedDomains": ["app.shop.example", f"{NAME}.firebaseapp.com"],
        "notification": {
            "sendEmail": {
                "method": "DEFAULT",
                "callbackUri": f"https://{NAME}.firebaseapp.com/__/auth/action",
                "dnsInfo": {"customDomain": "shop.example", "useCustomDomain": True, "customDomainState": "SUCCEEDED"},
            }
        },
        "emailPrivacyConfig": {"enableImprovedEmailPrivacy": True},
    }
    claims = json.dumps({"roles": ["admin", "user"]})
    project.table("User").add("olga", {"localId": "olga", "email": "olga@shop.example", "customAttributes": claims})
    protected = f"projects/{project.number}/services/firestore.googleapis.com"
    project.table("ProtectedService").add(protected, {"enforcementMode": "ENFORCED"})


def _add_watch(project: Project, state: State) -> None:
    channel = f"projects/{NAME}/notificationChannels/1"
    project.table("NotificationChannel").add(
        channel, {"type": "email", "displayName": "Operators", "enabled": True, "verificationStatus": "VERIFIED"}
    )
    for metric in NEEDS.metrics:
        project.table("LogMetric").add(f"projects/{NAME}/metrics/{metric}", {"filter": "x"})
    for number, policy in enumerate(sorted(NEEDS.policies)):
        project.table("AlertPolicy").add(
            f"projects/{NAME}/alertPolicies/{number}",
            {"displayName": policy, "enabled": True, "combiner": "OR", "notificationChannels": [channel]},
        )
    name = f"{BILLING_ACCOUNT}/budgets/1"
    state.budgets[name] = {"name": name, "budgetFilter": {"projects": [f"projects/{project.number}"]}}


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
