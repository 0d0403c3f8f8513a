"""State of the stand-in: projects with their APIs, policies and resources, buckets, and the callers."""

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from emulator.stand_ins.google.backend import Backend
from emulator.stand_ins.google.errors import already_exists, not_found
from emulator.stand_ins.google.operations import Operations
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.wire import Json, copied

OPERATOR = "user:operator@example.com"
FIRST_NUMBER = 845_201_344_001
PROPAGATION_CALLS = 2
PROPAGATION_SECONDS = 5.0
ALWAYS_ON = frozenset({
    "cloudbilling.googleapis.com", "firebase.googleapis.com", "serviceusage.googleapis.com", "www.googleapis.com",
})  # fmt: skip
ON_IN_NEW_PROJECTS = (
    "cloudapis.googleapis.com", "cloudresourcemanager.googleapis.com", "cloudtrace.googleapis.com",
    "datastore.googleapis.com", "fcm.googleapis.com", "firebase.googleapis.com", "firebasehosting.googleapis.com",
    "firebaseinstallations.googleapis.com", "firebaserules.googleapis.com", "identitytoolkit.googleapis.com",
    "logging.googleapis.com", "monitoring.googleapis.com", "pubsub.googleapis.com", "runtimeconfig.googleapis.com",
    "securetoken.googleapis.com", "servicemanagement.googleapis.com", "serviceusage.googleapis.com",
    "storage-api.googleapis.com", "storage-component.googleapis.com", "storage.googleapis.com", "iam.googleapis.com",
    "testing.googleapis.com",
)  # fmt: skip
"""APIs of a project that was just made in the Firebase console."""

AGENTS = {
    "pubsub.googleapis.com": "service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com",
    "eventarc.googleapis.com": "service-{number}@gcp-sa-eventarc.iam.gserviceaccount.com",
    "cloudfunctions.googleapis.com": "service-{number}@gcf-admin-robot.iam.gserviceaccount.com",
    "run.googleapis.com": "service-{number}@serverless-robot-prod.iam.gserviceaccount.com",
    "cloudscheduler.googleapis.com": "service-{number}@gcp-sa-cloudscheduler.iam.gserviceaccount.com",
    "cloudbuild.googleapis.com": "service-{number}@gcp-sa-cloudbuild.iam.gserviceaccount.com",
    "artifactregistry.googleapis.com": "service-{number}@gcp-sa-artifactregistry.iam.gserviceaccount.com",
    "secretmanager.googleapis.com": "service-{number}@gcp-sa-secretmanager.iam.gserviceaccount.com",
    "storage.googleapis.com": "service-{number}@gs-project-accounts.iam.gserviceaccount.com",
    "firestore.googleapis.com": "service-{number}@gcp-sa-firestore.iam.gserviceaccount.com",
    "monitoring.googleapis.com": "service-{number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com",
    "compute.googleapis.com": "{number}-compute@developer.gserviceaccount.com",
}
"""Accounts that Google makes when an API is enabled, or when a service identity is asked for."""


def now_text() -> str:
    """Return the time as Google's JSON writes timestamps."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Resources(dict[str, Json]):
    """Resources of one kind by full name. `kind` is the noun of Google's refusals."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def add(self, name: str, resource: Json) -> Json:
        if name in self:
            raise already_exists(f"Resource '{name}' already exists.")
        self[name] = copied({"name": name, **resource})
        return copied(self[name])

    def find(self, name: str) -> Json:
        """Return the resource itself, not a copy."""
        if name not in self:
            raise not_found(f"{self.kind} {name} was not found.")
        return self[name]

    def remove(self, name: str) -> Json:
        self.find(name)
        return self.pop(name)

    def under(self, parent: str) -> list[Json]:
        """Return the resources below a parent. A `-` in the parent stands for any segment."""
        pattern = re.compile("/".join("[^/]+" if part == "-" else re.escape(part) for part in parent.split("/")) + "/")
        return [each for name, each in sorted(self.items()) if pattern.match(name)]


@dataclass(slots=True)
class Project:
    """One project. Tables are keyed by full resource names, with the project's id in place of the number."""

    id: str
    number: str
    apis: dict[str, int] = field(default_factory=dict)  # to the calls that still see the API as off
    enabled_at: dict[str, float] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    policies: dict[str, Policy] = field(default_factory=dict)  # of resources, by full name
    operations: Operations = field(default_factory=Operations)
    is_billed: bool = True
    database_polls: int = 0  # the Firebase CLI takes the database from the first answer: Google is that fast
    agents: set[str] = field(default_factory=set)
    tables: dict[str, Resources] = field(default_factory=dict)
    settings: dict[str, Json] = field(default_factory=dict)  # resources of which a project has one
    backend: Backend | None = None
    payloads: dict[str, bytes] = field(default_factory=dict)  # of secret versions

    def table(self, kind: str) -> Resources:
        """Return the resources of a kind, e.g. `Topic`."""
        return self.tables.setdefault(kind, Resources(kind))

    def policy_of(self, name: str) -> Policy:
        return self.policies.setdefault(name, Policy())

    # ── APIs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def enable(self, *apis: str, propagates: bool = False) -> None:
        """Switch APIs on. If `propagates`, the next calls still see the API as off."""
        for api in apis:
            if api not in self.apis:
                self.apis[api] = PROPAGATION_CALLS if propagates else 0
                self.enabled_at[api] = time.monotonic()
            self.add_agent(api)

    def add_agent(self, api: str) -> str:
        """Make the service agent of an API, and return the e-mail address."""
        email = AGENTS.get(api, f"service-{{number}}@gcp-sa-{api.split('.', maxsplit=1)[0]}.iam.gserviceaccount.com")
        told = email.format(number=self.number)
        self.agents.add(told)
        if api == "run.googleapis.com":
            self.agents.add(self.compute_account)  # https://cloud.google.com/run/docs/quickstarts says so
        return told

    def disable(self, api: str) -> None:
        self.apis.pop(api, None)

    def answers(self, api: str) -> bool:
        """Return whether a call to the API is served. Counts the calls to an API that was just enabled."""
        if api in ALWAYS_ON:
            return True
        if api not in self.apis:
            return False
        left = self.apis[api]
        if left and time.monotonic() - self.enabled_at[api] < PROPAGATION_SECONDS:
            self.apis[api] = left - 1
            return False
        return True

    # ── who may what ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def compute_account(self) -> str:
        return f"{self.number}-compute@developer.gserviceaccount.com"

    def has_account(self, email: str) -> bool:
        """Return whether this service account exists, or belongs to another project, of which nothing is known."""
        own = (f"@{self.id}.iam.gserviceaccount.com", f"@{self.id}.gserviceaccount.com")
        if email.endswith(own):
            return f"projects/{self.id}/serviceAccounts/{email}" in self.table("ServiceAccount")
        if self.number in email:
            return email in self.agents
        return True

    def may(self, member: str, permission: str, resource: str = "") -> bool:
        """Return whether the member has the permission, by the project's policy or that of the resource."""
        if self.policy.allows(member, permission):
            return True
        return resource in self.policies and self.policies[resource].allows(member, permission)


@dataclass(slots=True)
class State:
    """All that Google knows. `principals` are the callers by their access tokens; any other token is the operator's."""

    projects: dict[str, Project] = field(default_factory=dict)
    principals: dict[str, str] = field(default_factory=dict)
    buckets: dict[str, Json] = field(default_factory=dict)
    bucket_policies: dict[str, Policy] = field(default_factory=dict)
    bucket_owners: dict[str, str] = field(default_factory=dict)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    foreign_buckets: set[str] = field(default_factory=set)  # names that others have taken
    budgets: dict[str, Json] = field(default_factory=dict)

    def add_project(self, project_id: str, *, member: str = OPERATOR) -> Project:
        """Make a project like the Firebase console: a few APIs, one owner, nothing else."""
        project = Project(id=project_id, number=str(FIRST_NUMBER + len(self.projects)))
        project.enable(*ON_IN_NEW_PROJECTS)
        project.policy.grant("roles/owner", member)
        self.projects[project_id] = project
        add_account(project, f"firebase-adminsdk-fbsvc@{project_id}.iam.gserviceaccount.com")
        return project

    def find_project(self, id_or_number: str) -> Project | None:
        by_id = self.projects.get(id_or_number)
        return by_id or next((each for each in self.projects.values() if each.number == id_or_number), None)


def add_account(project: Project, email: str, **fields: str) -> Json:
    """Make a service account, without asking anybody's permission."""
    name = f"projects/{project.id}/serviceAccounts/{email}"
    unique = str(sum(map(ord, email)) + 10**20)
    return project.table("ServiceAccount").add(
        name, {"projectId": project.id, "uniqueId": unique, "email": email, "oauth2ClientId": unique, **fields}
    )
