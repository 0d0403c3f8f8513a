"""Deployment of one function, as Google does it: build, Cloud Run service, Eventarc trigger, subscription.

Each part can refuse: an API that is off, a source that does not build, an account that may not read a secret, a topic
that does not exist. A refusal leaves the function in the state FAILED.
"""

import io
import zipfile
from typing import Any

from emulator.stand_ins.google.apis.secrets import find_version
from emulator.stand_ins.google.calls import Call
from emulator.stand_ins.google.errors import GoogleRefusal, failed_precondition, invalid, service_disabled
from emulator.stand_ins.google.function_rules import AUTH_EVENT, FIRESTORE_EVENT, PUBSUB_EVENT
from emulator.stand_ins.google.published import document
from emulator.stand_ins.google.state import Project, now_text
from emulator.stand_ins.wire import Json

BUILD_APIS = {
    "cloudbuild.googleapis.com": "cloudbuild.v1",
    "artifactregistry.googleapis.com": "artifactregistry.v1",
    "run.googleapis.com": "run.v2",
}
EVENT_APIS = {"eventarc.googleapis.com": "eventarc.v1", "pubsub.googleapis.com": "pubsub.v1"}
SECRET_API = {"secretmanager.googleapis.com": "secretmanager.v1"}
REQUIRED_FILES = ("main.py", "requirements.txt")


def service_name(function: str) -> str:
    """Return the full name of a function's Cloud Run service: lower case, no underscores."""
    parent, _, function_id = function.rpartition("/functions/")
    return f"{parent}/services/{function_id.lower().replace('_', '-')}"


def service_url(project: Project, function: str) -> str:
    region, service = function.split("/")[3], service_name(function).rpartition("/")[2]
    return f"https://{service}-{project.number}.{region}.run.app"


def account_of(function: Json) -> str:
    return str(function["serviceConfig"]["serviceAccountEmail"])


def check_callers(call: Call, function: Json) -> None:
    """Raise GoogleRefusal if an API is off, the account is unknown, or the caller may not deploy as the account."""
    needed = dict(BUILD_APIS)
    if function.get("eventTrigger"):
        needed |= EVENT_APIS
    if function["serviceConfig"].get("secretEnvironmentVariables"):
        needed |= SECRET_API
    for host, name in needed.items():
        if host not in call.project.apis:
            raise service_disabled(host, document(name).title, call.project.number)
    email = account_of(function)
    if not call.project.has_account(email):
        raise invalid(f"Service account {email} does not exist.", field="service_config.service_account_email")
    name = f"projects/{call.project.id}/serviceAccounts/{email}"
    if not call.project.may(call.caller, "iam.serviceAccounts.actAs", name):
        raise GoogleRefusal(
            "PERMISSION_DENIED",
            f"Caller {call.caller.partition(':')[2]} is missing permission 'iam.serviceaccounts.actAs' on service "
            f"account projects/{call.project.id}/serviceAccounts/{email}. Grant the role "
            "'roles/iam.serviceAccountUser' to the caller on the service account.",
        )


def deploy(call: Call, function: Json) -> None:
    """Build and start the function, and connect its trigger."""
    _build(call, function)
    _check_secrets(call.project, function)
    trigger = function.get("eventTrigger")
    if trigger:
        _check_trigger(call.project, function, trigger)
    name = str(function["name"])
    service = service_name(name)
    url = service_url(call.project, name)
    revisions = 1 + int(call.table("Service").get(service, {}).get("generation", 0))
    function["serviceConfig"] |= {
        "service": service,
        "uri": url,
        "revision": f"{service.rpartition('/')[2]}-{revisions:05d}-abc",
    }
    call.table("Service")[service] = {"name": service, "generation": revisions, "function": name, "uri": url}
    if trigger:
        _connect(call.project, function, trigger)


def remove(project: Project, function: Json) -> None:
    """Forget the function with its service, trigger and subscription."""
    name = str(function["name"])
    project.table("Function").pop(name, None)
    project.table("Service").pop(service_name(name), None)
    project.policies.pop(service_name(name), None)
    trigger = str((function.get("eventTrigger") or {}).get("trigger", ""))
    made = project.table("Trigger").pop(trigger, None)
    if made is not None:
        project.table("Subscription").pop(made["transport"]["pubsub"]["subscription"], None)


def delivery_problem(project: Project, function: str) -> str:
    """Return Cloud Run's words if the trigger's account may not call the function, else the empty text.

    Google deploys such a function without a complaint: each event then ends with status 403.
    """
    found = next(each for name, each in project.table("Function").items() if name.endswith(f"/functions/{function}"))
    email = str(found["eventTrigger"].get("serviceAccountEmail") or account_of(found))
    return calling_problem(project, service_name(str(found["name"])), email)


def calling_problem(project: Project, service: str, email: str) -> str:
    """Return Cloud Run's words if the account may not call the service, else the empty text."""
    if project.may(f"serviceAccount:{email}", "run.routes.invoke", service):
        return ""
    return (
        "The request was not authenticated. Either allow unauthenticated invocations or set the proper Authorization "
        "header. Read more at https://cloud.google.com/run/docs/securing/authenticating"
    )


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _build(call: Call, function: Json) -> None:
    source: dict[str, Any] = function["buildConfig"]["source"]["storageSource"]
    content = call.state.objects.get((str(source.get("bucket")), str(source.get("object"))))
    if content is None:
        raise invalid(f"Source gs://{source.get('bucket')}/{source.get('object')} was not found.")
    try:
        names = set(zipfile.ZipFile(io.BytesIO(content)).namelist())
    except zipfile.BadZipFile:
        raise failed_precondition("Build failed with status: FAILURE. Could not unzip the source archive.") from None
    missing = [each for each in REQUIRED_FILES if each not in names]
    if missing:
        raise failed_precondition(
            f"Build failed with status: FAILURE and message: missing {missing[0]} and GOOGLE_FUNCTION_SOURCE not "
            "specified. Either create the function in main.py or specify GOOGLE_FUNCTION_SOURCE to point to the file "
            "that contains the function."
        )


def _check_secrets(project: Project, function: Json) -> None:
    email, service = account_of(function), service_name(str(function["name"])).rpartition("/")[2]
    for index, each in enumerate(function["serviceConfig"].get("secretEnvironmentVariables") or []):
        secret, version = str(each["secret"]), str(each.get("version") or "latest")
        told = f"projects/{project.number}/secrets/{secret}/versions/{version}"
        place = f"spec.template.spec.containers[0].env[{index}].value_from.secret_key_ref.name"
        name = f"projects/{project.id}/secrets/{secret}"
        if not project.may(f"serviceAccount:{email}", "secretmanager.versions.access", name):
            raise failed_precondition(
                f"Could not create or update Cloud Run service {service}. {place}: Permission denied on secret: {told} "
                f"for Revision service account {email}. The service account used must be granted the 'Secret Manager "
                "Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level."
            )
        try:
            found = find_version(project, secret, version)
        except GoogleRefusal:
            found = {"state": "missing"}
        if found["state"] != "ENABLED":
            why = "was not found" if found["state"] == "missing" else f"is in {found['state']} state"
            raise failed_precondition(
                f"Could not create or update Cloud Run service {service}. {place}: Secret {told} {why}"
            )


def trigger_name(function: Json) -> str:
    parent, _, function_id = str(function["name"]).rpartition("/functions/")
    place = function["eventTrigger"].get("triggerRegion") or parent.rpartition("/")[2]
    number = sum(map(ord, function_id)) % 1_000_000
    return f"{parent.rpartition('/')[0]}/{place}/triggers/{function_id.lower().replace('_', '-')}-{number:06d}"


def _check_trigger(project: Project, function: Json, trigger: Json) -> None:
    name, kind = trigger_name(function), str(trigger["eventType"])
    email = str(trigger.get("serviceAccountEmail") or account_of(function))
    if not project.has_account(email):
        raise failed_precondition(f"Validation failed for trigger {name}: Service account {email} does not exist.")
    if not project.may(f"serviceAccount:{email}", "eventarc.events.receiveEvent"):
        raise failed_precondition(
            f"Validation failed for trigger {name}: Permission 'eventarc.events.receiveEvent' denied on resource "
            f"'projects/{project.id}' for service account {email}. Grant it the role roles/eventarc.eventReceiver."
        )
    if kind == PUBSUB_EVENT:
        _check_topic(project, name, str(trigger["pubsubTopic"]))
    elif kind.startswith(FIRESTORE_EVENT):
        _check_database(project, name, function, trigger)
    elif kind.startswith(AUTH_EVENT) and trigger.get("triggerRegion", "global") != "global":
        raise invalid(f"Validation failed for trigger {name}: events of Firebase Authentication are global.")


def _check_topic(project: Project, name: str, topic: str) -> None:
    if topic not in project.table("Topic"):
        raise failed_precondition(
            f"Validation failed for trigger {name}: The request was invalid: Cloud Pub/Sub topic {topic} does not "
            "exist."
        )


def _check_database(project: Project, name: str, function: Json, trigger: Json) -> None:
    filters = {each["attribute"]: each["value"] for each in trigger["eventFilters"]}
    database = project.table("Database").get(f"projects/{project.id}/databases/{filters['database']}")
    place = trigger.get("triggerRegion") or str(function["name"]).split("/")[3]
    if database is None or "firestore.googleapis.com" not in project.apis:
        raise failed_precondition(
            f"Validation failed for trigger {name}: invalid argument: Database '{filters['database']}' does not exist."
        )
    if database["locationId"] != place:
        raise failed_precondition(
            f"Validation failed for trigger {name}: invalid argument: Database '{filters['database']}' does not exist "
            f"in region '{place}'. Did you mean region '{database['locationId']}'?"
        )


def _connect(project: Project, function: Json, trigger: Json) -> None:
    """Make the Eventarc trigger, and the subscription by which it delivers."""
    name, now = trigger_name(function), now_text()
    short = name.rpartition("/")[2]
    topic = trigger.get("pubsubTopic") or f"projects/{project.id}/topics/eventarc-{short}"
    place = name.split("/")[3]
    subscription = f"projects/{project.id}/subscriptions/eventarc-{place}-{short}-sub-000"
    filters = [{"attribute": "type", "value": trigger["eventType"]}, *(trigger.get("eventFilters") or [])]
    service = service_name(str(function["name"]))
    project.table("Trigger")[name] = {
        "name": name,
        "uid": f"uid-{short}",
        "createTime": now,
        "updateTime": now,
        "eventFilters": filters,
        "serviceAccount": str(trigger.get("serviceAccountEmail") or account_of(function)),
        "destination": {"cloudRun": {"service": service.rpartition("/")[2], "region": service.split("/")[3]}},
        "transport": {"pubsub": {"topic": topic, "subscription": subscription}},
    }
    project.table("Subscription")[subscription] = {"name": subscription, "topic": topic, "state": "ACTIVE"}
    trigger |= {"trigger": name, "triggerRegion": place}
