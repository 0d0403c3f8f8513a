"""`make deploy` with the CLI itself asks of Google exactly what the table says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from emulator import tools
from emulator.cloud.deploy import deploy
from tests.deploy.deployed import LOCATION, PROJECT, Deployment
from tests.deploy.table import (
    APIS,
    BACKUPS,
    BUCKET,
    DATABASE_SETTINGS,
    FUNCTIONS,
    OBJECTS,
    OTHER_TOPICS,
    READS_SECRETS,
    TRIGGER_TOPICS,
    Row,
)
from tests.support.deployments import Listener

PLACES = {"google.cloud.firestore": LOCATION, "google.firebase.auth": "global", "google.cloud.pubsub": None}
"""Where events come from. None: from the function's own region."""
SCHEDULED = "cloudscheduler.v1 projects.locations.jobs.create"
INVOKERS = "run.v1 projects.locations.services.setIamPolicy"


def row_of(deployment: Deployment, name: str) -> Row:
    """The row that the requests for a function amount to."""
    body, config = deployment.functions[name], deployment.functions[name]["serviceConfig"]
    trigger = body.get("eventTrigger")
    return Row(
        trigger=trigger_of(deployment, name, trigger),
        memory=config["availableMemory"],
        concurrency=config["maxInstanceRequestConcurrency"],
        instances_max=config["maxInstanceCount"],
        seconds=config["timeoutSeconds"],
        retry=None if trigger is None else trigger["retryPolicy"] == "RETRY_POLICY_RETRY",
        secrets=tuple(each["key"] for each in config.get("secretEnvironmentVariables", [])),
        roles=deployment.roles(name),
        invokers=invokers_of(deployment, name),
    )


def trigger_of(deployment: Deployment, name: str, trigger: Any) -> tuple[str, ...]:
    jobs = [each.body for each in deployment.google.asked(SCHEDULED) if f"-{name}-" in each.body["name"]]
    if jobs:
        return jobs[0]["schedule"], jobs[0]["timeZone"]
    if trigger is None:
        return ("http",)
    patterns = [each["value"] for each in trigger.get("eventFilters", []) if each["attribute"] == "document"]
    topic = trigger.get("pubsubTopic", "").rpartition("/")[2]
    return (trigger["eventType"], *patterns, *([topic] if topic else []))


def invokers_of(deployment: Deployment, name: str) -> tuple[str, ...]:
    service = f"/services/{name.replace('_', '-')}:setIamPolicy"
    bodies = [each.body for each in deployment.google.asked(INVOKERS) if each.path.endswith(service)]
    members = [member for body in bodies for bound in body["policy"]["bindings"] for member in bound["members"]]
    own = f"serviceAccount:{deployment.account(name)}"
    return tuple("itself" if member == own else member for member in members)


def test_the_deployment_runs_to_its_end(deployment):
    assert deployment.lines[-1].endswith(f"runs: {deployment.ours.function_url('api')}/v1")
    assert deployment.google.mistakes == []


def test_a_second_deploy_after_the_cli_changes_nothing(deployment):
    again = replace(deployment.ours, terminal=Listener())

    deploy(again)

    assert again.terminal.changes == []


def test_every_function_is_deployed_once(deployment):
    assert set(deployment.functions) == set(FUNCTIONS)
    assert {each["state"] for each in deployment.project.table("Function").values()} == {"ACTIVE"}
    assert len(deployment.google.asked("cloudfunctions.v2 projects.locations.functions.create")) == len(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_deployed_as_the_table_says(deployment, name):
    assert row_of(deployment, name) == FUNCTIONS[name]


def test_every_function_has_an_account_of_its_own(deployment):
    accounts = {deployment.account(name) for name in FUNCTIONS}

    assert len(accounts) == len(FUNCTIONS)
    assert all(account.endswith(f"@{PROJECT}.iam.gserviceaccount.com") for account in accounts)


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.retry is not None])
def test_an_event_reaches_its_function_from_the_place_of_its_source(deployment, name):
    trigger = deployment.functions[name]["eventTrigger"]

    assert trigger.get("triggerRegion") == PLACES[".".join(trigger["eventType"].split(".")[:3])]
    assert trigger["serviceAccountEmail"] == deployment.account(name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_secret_is_pinned_to_its_version_and_stands_nowhere_in_plain(deployment, name):
    config = deployment.functions[name]["serviceConfig"]
    bound = config.get("secretEnvironmentVariables", [])

    assert [(each["secret"], each["version"]) for each in bound] == [(each["key"], "1") for each in bound]
    assert not {each["key"] for each in bound} & set(config["environmentVariables"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_account_may_read_the_secrets_of_its_function_alone(deployment, name):
    assert deployment.readable_secrets(name) == set(FUNCTIONS[name].secrets)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_account_uses_no_other_bucket_and_no_other_secret(deployment, name):
    assert deployment.project_roles(name) & {OBJECTS, READS_SECRETS} == set()


def test_every_topic_is_there(deployment):
    made = {name.rpartition("/")[2] for name in deployment.project.table("Topic")}

    assert made == TRIGGER_TOPICS | OTHER_TOPICS


def test_the_database_is_protected_and_backed_up(deployment):
    database = deployment.project.table("Database")[f"projects/{PROJECT}/databases/(default)"]
    kept = deployment.project.table("BackupSchedule").values()

    assert {name: database[name] for name in DATABASE_SETTINGS} == DATABASE_SETTINGS
    assert {(kind, each["retention"]) for each in kept for kind in each if kind.endswith("Recurrence")} == BACKUPS


def test_the_bucket_is_private(deployment):
    bucket = deployment.google.state.buckets[f"{PROJECT}-images"]

    assert {name: bucket[name] for name in BUCKET} == BUCKET


def test_the_cli_asks_for_every_required_api(deployment):
    asked = {each.path.rpartition("/")[2] for each in deployment.google.asked("serviceusage.v1 services.get")}

    assert {f"{api}.googleapis.com" for api in APIS} <= asked
    assert {f"{api}.googleapis.com" for api in APIS} <= set(deployment.project.apis)


def test_rules_and_indexes_are_those_of_the_repository(deployment):
    wanted = json.loads((tools.ROOT / "firestore.indexes.json").read_text())
    built = deployment.project.table("Index").values()
    fields = deployment.project.table("Field").values()
    releases = list(deployment.project.table("Release").values())
    ruleset = deployment.project.table("Ruleset")[releases[0]["rulesetName"]]

    assert sorted(index_of(each) for each in wanted["indexes"]) == sorted(built_index_of(each) for each in built)
    assert len(fields) == len(wanted["fieldOverrides"])
    assert {each["name"].rpartition("/")[2] for each in releases} == {"cloud.firestore"}
    assert ruleset["source"]["files"][0]["content"] == (tools.ROOT / "firestore.rules").read_text()


def index_of(index: Any) -> tuple[str, str, str]:
    return index["collectionGroup"], index["queryScope"], json.dumps(parts_of(index), sort_keys=True)


def built_index_of(index: Any) -> tuple[str, str, str]:
    group = index["name"].split("/")[5]
    return group, index["queryScope"], json.dumps(parts_of(index), sort_keys=True)


def parts_of(index: Any) -> list[Any]:
    return [each for each in index["fields"] if each["fieldPath"] != "__name__"]
