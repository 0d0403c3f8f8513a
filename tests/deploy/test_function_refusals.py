"""A function that Google would refuse is refused by the stand-in, in Google's words."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.state import Project
from tests.deploy.asking import RUNNER, Client, function_body, ready_project

HOST = "cloudfunctions.googleapis.com"
Change = Callable[[Any, Project], object]


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as server:
        yield server


def outcome(google: GoogleStandIn, change: Change, *, region: str = "us-central1") -> str:
    """Ask a ready project, changed, for a changed function. Returns the refusal's words, or the function's state."""
    google.reset()
    project, body = ready_project(google.state), function_body()
    change(body, project)
    ask = Client(google)
    address = f"{HOST}/v2/projects/shop/locations/{region}/functions"
    status, told = ask("POST", f"{address}?functionId=on_order", body)
    if status != 200:
        return str(told["message"])
    done = ask.wait(HOST, "v2", told)
    assert google.mistakes == []
    return str(done["error"]["message"] if "error" in done else done["response"]["state"])


def test_a_sound_function_is_deployed(google):
    assert outcome(google, lambda body, project: None) == "ACTIVE"


def changed(**fields: Any) -> Change:
    return lambda body, project: body["serviceConfig"].update(fields)


def trigger(**fields: Any) -> Change:
    return lambda body, project: body["eventTrigger"].update(fields)


FIRESTORE = {
    "eventType": "google.cloud.firestore.document.v1.written",
    "pubsubTopic": None,
    "eventFilters": [
        {"attribute": "database", "value": "(default)"},
        {"attribute": "document", "value": "users/{uid}", "operator": "match-path-pattern"},
    ],
}
PLAIN_AND_SECRET = {"environmentVariables": {"KEY": "in plain text"}}
REFUSALS: dict[str, tuple[Change, str]] = {
    "topic": (
        lambda body, project: project.table("Topic").clear(),
        "Cloud Pub/Sub topic projects/shop/topics/orders does not exist.",
    ),
    "secret": (lambda body, project: project.table("Secret").clear(), "secrets/KEY/versions/1 was not found"),
    "secret's version": (
        lambda body, project: project.table("SecretVersion").clear(),
        "secrets/KEY/versions/1 was not found",
    ),
    "disabled version": (
        lambda body, project: project.table("SecretVersion")["projects/shop/secrets/KEY/versions/1"].update(
            state="DISABLED"
        ),
        "is in DISABLED state",
    ),
    "accessor role": (
        lambda body, project: project.policy.revoke("roles/secretmanager.secretAccessor", f"serviceAccount:{RUNNER}"),
        "must be granted the 'Secret Manager Secret Accessor' role",
    ),
    "event receiver role": (
        lambda body, project: project.policy.revoke("roles/eventarc.eventReceiver", f"serviceAccount:{RUNNER}"),
        "Permission 'eventarc.events.receiveEvent' denied",
    ),
    "service account": (
        lambda body, project: project.table("ServiceAccount").clear(),
        f"Service account {RUNNER} does not exist.",
    ),
    "build API": (
        lambda body, project: project.disable("cloudbuild.googleapis.com"),
        "Cloud Build API has not been used in project",
    ),
    "event API": (
        lambda body, project: project.disable("eventarc.googleapis.com"),
        "Eventarc API has not been used in project",
    ),
    "own API": (lambda body, project: project.disable(HOST), "Cloud Functions API has not been used in project"),
    "plain and secret": (
        changed(**PLAIN_AND_SECRET),
        "Secret environment variable overlaps non secret environment variable: KEY",
    ),
    "memory": (changed(availableMemory="64Mi"), "Total memory must be between 128Mi and 32Gi."),
    "concurrency": (
        changed(availableCpu="0.5", availableMemory="512Mi"),
        "Total cpu < 1 is not supported with concurrency > 1.",
    ),
    "processors": (changed(availableCpu="3"), "or one of 1, 2, 4, 6 and 8."),
    "memory for processors": (changed(availableMemory="8Gi"), "For more than 4096Mi of memory, at least 2 CPU"),
    "event timeout": (changed(timeoutSeconds=3600), "Timeout 3600s of an event-driven function"),
    "instances": (changed(minInstanceCount=11), "maxScale (10) must be greater than or equal to minScale (11)"),
    "reserved name": (changed(environmentVariables={"K_SERVICE": "x"}), "K_SERVICE is reserved or not valid"),
    "unknown field": (changed(cpuCount=1), "Unknown name \"cpuCount\" at 'service_config': Cannot find field."),
    "event type": (trigger(eventType="google.cloud.anything.v1.done"), "is not supported."),
    "database's region": (trigger(**FIRESTORE), "Did you mean region 'eur3'?"),
    "runtime": (
        lambda body, project: body["buildConfig"].update(runtime="python27"),
        "Runtime python27 is not supported on GCF Gen2.",
    ),
    "source": (
        lambda body, project: body["buildConfig"]["source"]["storageSource"].update(object="gone.zip"),
        "Source gs://uploads/gone.zip was not found.",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_function_without_one_thing_is_refused(google, name):
    change, words = REFUSALS[name]

    assert words in outcome(google, change)


def test_a_region_that_does_not_exist_is_refused(google):
    assert "denied on resource" in outcome(google, lambda body, project: None, region="us-central9")


def test_a_deployer_without_the_role_to_act_as_the_account_is_refused(google):
    def developer(body: Any, project: Project) -> None:
        project.policy.revoke("roles/owner", "user:operator@example.com")
        project.policy.grant("roles/cloudfunctions.developer", "user:operator@example.com")

    assert "missing permission 'iam.serviceaccounts.actAs'" in outcome(google, developer)


def test_a_failed_function_stays_and_can_be_changed(google):
    assert "does not exist" in outcome(google, lambda body, project: project.table("Topic").clear())
    ask, name = Client(google), "projects/shop/locations/us-central1/functions/on_order"
    _, failed = ask("GET", f"{HOST}/v2/{name}")
    again, error = ask("POST", f"{HOST}/v2/{name.rpartition('/')[0]}?functionId=on_order", function_body())
    ask("PUT", "pubsub.googleapis.com/v1/projects/shop/topics/orders", {})
    _, operation = ask("PATCH", f"{HOST}/v2/{name}?updateMask=serviceConfig.timeoutSeconds", function_body())

    assert (failed["state"], again, error["status"]) == ("FAILED", 409, "ALREADY_EXISTS")
    assert ask.wait(HOST, "v2", operation)["response"]["state"] == "ACTIVE"


@pytest.mark.parametrize("schedule", ["every 0 lunches", "61 * * * *", "* * * *", "", "5-1 * * * *"])
def test_a_schedule_that_is_none_is_refused(google, schedule):
    assert job(google, schedule) == (400, "Schedule or time zone is invalid.")


@pytest.mark.parametrize("schedule", ["every 1 minutes", "17 3 * * *", "*/5 0-6 * jan mon", "every day 09:00"])
def test_a_schedule_is_taken(google, schedule):
    assert job(google, schedule)[0] == 200


def job(google: GoogleStandIn, schedule: str) -> tuple[int, str]:
    google.reset()
    ready_project(google.state)
    token = {"serviceAccountEmail": RUNNER}
    body = {
        "name": "projects/shop/locations/us-central1/jobs/every-minute",
        "schedule": schedule,
        "httpTarget": {"uri": "https://every-minute.run.app", "httpMethod": "POST", "oidcToken": token},
    }
    address = "cloudscheduler.googleapis.com/v1/projects/shop/locations/us-central1/jobs"
    status, told = Client(google)("POST", address, body)
    return status, str(told.get("message", ""))
