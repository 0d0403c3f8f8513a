"""A caller of the stand-in for Google, and a project that is ready for functions."""

import io
import json
import urllib.error
import urllib.request
import zipfile
from typing import Any

from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.apis.secrets import put_version
from emulator.stand_ins.google.state import Project, State, add_account

RUNNER = "runner@shop.iam.gserviceaccount.com"
APIS = (
    "artifactregistry.googleapis.com", "cloudbuild.googleapis.com", "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com", "compute.googleapis.com", "eventarc.googleapis.com", "firestore.googleapis.com",
    "pubsub.googleapis.com", "run.googleapis.com", "secretmanager.googleapis.com", "storage.googleapis.com",
)  # fmt: skip


class Client:
    """Caller of the stand-in, with the status of each answer."""

    def __init__(self, google: GoogleStandIn) -> None:
        self.google = google
        self.token = "operator"

    def __call__(self, method: str, address: str, body: Any = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.google.url}/{address}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())["error"]

    def wait(self, host: str, version: str, operation: Any) -> Any:
        """Poll an operation to its end. Returns the operation."""
        for _ in range(10):
            if operation.get("done"):
                return operation
            _, operation = self("GET", f"{host}/{version}/{operation['name']}")
        raise AssertionError(operation)


def ready_project(state: State) -> Project:
    """Make the project `shop` with all that a function needs, and the service account RUNNER."""
    project = state.add_project("shop")
    project.enable(*APIS)
    add_account(project, RUNNER)
    for role in ("roles/eventarc.eventReceiver", "roles/run.invoker", "roles/secretmanager.secretAccessor"):
        project.policy.grant(role, f"serviceAccount:{RUNNER}")
    project.table("Topic").add("projects/shop/topics/orders", {})
    project.table("Database").add("projects/shop/databases/(default)", {"locationId": "eur3"})
    project.table("Secret").add("projects/shop/secrets/KEY", {"replication": {"automatic": {}}})
    put_version(project, "projects/shop/secrets/KEY", b"value")
    state.objects["uploads", "source.zip"] = archive(("main.py", "requirements.txt"))
    return project


def archive(names: tuple[str, ...]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "")
    return content.getvalue()


def function_body() -> Any:
    """Return the request for a function with a topic and a secret, which a ready project takes."""
    return {
        "name": "projects/shop/locations/us-central1/functions/on_order",
        "buildConfig": {
            "runtime": "python312",
            "entryPoint": "on_order",
            "source": {"storageSource": {"bucket": "uploads", "object": "source.zip"}},
        },
        "serviceConfig": {
            "availableMemory": "512Mi",
            "availableCpu": "1",
            "timeoutSeconds": 540,
            "maxInstanceCount": 10,
            "maxInstanceRequestConcurrency": 8,
            "serviceAccountEmail": RUNNER,
            "environmentVariables": {"REGION": "us-central1"},
            "secretEnvironmentVariables": [{"key": "KEY", "projectId": "shop", "secret": "KEY", "version": "1"}],
        },
        "eventTrigger": {
            "eventType": "google.cloud.pubsub.topic.v1.messagePublished",
            "pubsubTopic": "projects/shop/topics/orders",
            "retryPolicy": "RETRY_POLICY_RETRY",
        },
    }
