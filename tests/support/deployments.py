"""A project at the stand-in for Google, deployed to without the Firebase CLI, with the API over memory behind."""

import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulator.cloud.dotenv import SettingsFile
from emulator.cloud.google import Google, google_of
from emulator.cloud.manifest import Manifest
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.secret_manager import SecretManager
from emulator.cloud.template import template
from emulator.cloud.web import web_of
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.wire import Answer, Json, Request, json_answer
from emulator.tools import ROOT
from shared.bootstrap.secrets import secrets_of
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Delete, Query
from shared.payments.ports import WebhookNotConfigured, WebhookRefused
from shared.platform.stripe.webhooks import StripeWebhooks
from tests.api.world import World

SHOP = "shop-prod"
MODEL_KEY = "sk-proj-4f9a1c77d2b84e0c9d"
SOURCES = ("functions.yaml", "firestore.rules", "firestore.indexes.json", "catalogue.yaml")
RULES = "https://firebaserules.googleapis.com/v1"
FIRESTORE = "https://firestore.googleapis.com/v1"


class Memory:
    """Product of one project over memory adapters, without models: the deploy brings them."""

    def __init__(self, project: str, **settings: str) -> None:
        self.stripe_secret = ""
        self._environment = {"GCLOUD_PROJECT": project, **settings}

    @functools.cached_property
    def world(self) -> World:
        """The API, its adapters and its people, built when somebody first asks."""
        world = World(env=self._environment)
        world.services.ports.documents().commit([Delete("models/gpt-4o-mini")])
        return world

    def answer(self, function: str, request: Request) -> Answer:
        if function == "stripe_webhook":
            return self._stripe(request)
        if function != "api":
            return Answer(status=404)
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        path = f"{request.path}?{request.query}" if request.query else request.path
        told = self.world.client.open(path, method=request.method, headers=headers, data=request.body)
        return Answer(status=told.status_code, body=told.get_data(), kind=told.content_type or "text/plain")

    def _stripe(self, request: Request) -> Answer:
        try:
            StripeWebhooks(self.stripe_secret, SystemClock()).verify(request.body, request.headers)
        except WebhookRefused as refused:
            return json_answer({"code": refused.code, "reason": refused.params["reason"]}, status=400)
        except WebhookNotConfigured as error:
            return json_answer({"code": error.code}, status=503)
        return json_answer({"code": "stored"})

    def sign_in(self, user: Json) -> str:
        identity = self.world.identity
        uid = identity.sign_up(user["email"], uid=user["localId"], claims=user["claims"])
        return identity.token(uid)

    def app_token(self) -> str:
        return self.world.identity.app_check_token()

    def forget(self, uid: str) -> None:
        self.world.identity.delete_user(uid)  # type: ignore[arg-type]

    def documents(self, collection: str) -> Mapping[str, Mapping[str, Any]]:
        documents: Any = self.world.services.ports.documents()
        found = documents.inner.query(Query(collection=collection, limit=100))
        return {each.id: each.data for each in found}


@dataclass(slots=True)
class RecordedFirebase:
    """Firebase CLI that has the effects of its recorded runs, by Google's own APIs. `runs` remembers what ran."""

    google: Google
    stand_in: GoogleStandIn
    runs: list[str] = field(default_factory=list)

    def deploy(self, only: str, root: Path) -> None:
        self.runs.append(only)
        if only == "firestore":
            self._publish_rules(root)
            self._create_indexes(root)
        else:
            self._deploy_functions(root)

    def _publish_rules(self, root: Path) -> None:
        project = f"{RULES}/projects/{self.google.project}"
        files = [{"name": "firestore.rules", "content": (root / "firestore.rules").read_text()}]
        ruleset = self.google.post(f"{project}/rulesets", {"source": {"files": files}})["name"]
        release = f"projects/{self.google.project}/releases/cloud.firestore"
        body = {"name": release, "rulesetName": ruleset}
        if self.google.create(f"{project}/releases", body) is None:
            self.google.patch(f"{RULES}/{release}", {"release": body})

    def _create_indexes(self, root: Path) -> None:
        groups = f"{FIRESTORE}/projects/{self.google.project}/databases/(default)/collectionGroups"
        wanted = json.loads((root / "firestore.indexes.json").read_text())
        for index in wanted["indexes"]:
            body = {"queryScope": index["queryScope"], "fields": index["fields"]}
            self.google.create(f"{groups}/{index['collectionGroup']}/indexes", body)
        for each in wanted["fieldOverrides"]:
            indexes = [_field_index(each["fieldPath"], index) for index in each["indexes"]]
            body = {"indexConfig": {"indexes": indexes}, **({"ttlConfig": {}} if each.get("ttl") else {})}
            self.google.patch(f"{groups}/{each['collectionGroup']}/fields/{each['fieldPath']}", body)

    def _deploy_functions(self, root: Path) -> None:
        project = self.stand_in.state.projects[self.google.project]
        settings = SettingsFile(self.google.project, root).all()
        secrets = SecretManager(self.google)
        table, region = project.table("Function"), settings["REGION"]
        if isinstance(project.backend, Memory):
            project.backend.stripe_secret = secrets.read("STRIPE_WEBHOOK_SECRET") or ""
        for name in Manifest(root).endpoints:
            versions = {secret: secrets.newest_version(secret) for secret in secrets_of(name, settings)}
            if missing := [secret for secret, version in versions.items() if version is None]:
                raise CloudProblem(f"firebase deploy --only functions failed: {missing[0]} has no version")
            full = f"projects/{project.id}/locations/{region}/functions/{name}"
            table[full] = {
                "name": full,
                "state": "ACTIVE",
                "updateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "labels": {"deployment-tool": "cli-firebase", "firebase-functions-codebase": name},
                "serviceConfig": {
                    "environmentVariables": {**settings, "FUNCTION_TARGET": name, "GCLOUD_PROJECT": project.id},
                    "secretEnvironmentVariables": [
                        {"key": secret, "secret": secret, "projectId": project.number, "version": version}
                        for secret, version in versions.items()
                    ],
                },
            }


def _field_index(path: str, index: Json) -> Json:
    mode = {name: index[name] for name in ("order", "arrayConfig") if name in index}
    return {"queryScope": index.get("queryScope", "COLLECTION"), "fields": [{"fieldPath": path, **mode}]}


@dataclass(slots=True)
class Listener:
    """Terminal of a test: all lines, prepared secrets, and one answer to every question."""

    secrets: dict[str, str] = field(default_factory=lambda: {"AI_PLATFORM_API_KEY": MODEL_KEY})
    is_agreed: bool = True
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def ask_secret(self, name: str, question: str) -> str:
        if name not in self.secrets:
            raise CloudProblem(f"{name} is needed, and nobody is here.")
        return self.secrets[name]

    def agrees(self, question: str) -> bool:
        return self.is_agreed

    @property
    def changes(self) -> list[str]:
        """The sentences of changes, without their numbers."""
        return [line.strip().removeprefix("+ ") for line in self.lines if line.startswith("   + ")]


def new_project(google: GoogleStandIn, root: Path, **settings: str) -> Project:
    """A project that was just made in the Firebase console, with its settings file."""
    made = google.add_project(SHOP)
    made.operations.polls = 0
    made.backend = Memory(SHOP, **{name: value for name, value in settings.items() if name == "APP_CHECK"})
    for name in SOURCES:
        shutil.copyfile(ROOT / name, root / name)
    file = SettingsFile(SHOP, root)
    file.write(template(SHOP))
    for name, value in settings.items():
        file.set(name, value)
    ours = google_of(SHOP, google.environment)
    return Project(
        id=SHOP,
        google=ours,
        settings=file,
        secrets=SecretManager(ours),
        web=web_of(google.environment),
        firebase=RecordedFirebase(ours, google),
        terminal=Listener(),
        environment={},
        root=root,
    )
