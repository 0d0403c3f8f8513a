"""`make deploy` against the stand-in for Google: a new project, a second run, a plan, and interruptions."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.cloud.deploy import STEPS, StepFailed, deploy, plan
from emulator.cloud.project import Change, Project
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.server import Asked
from tests.support.deployments import MODEL_KEY, SHOP, Listener, Memory, new_project

READS = {"GET"}
FEW = {
    "indexes": [
        {
            "collectionGroup": "notes",
            "queryScope": "COLLECTION",
            "fields": [{"fieldPath": "uid", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}],
        }
    ],
    "fieldOverrides": [{"collectionGroup": "notes", "fieldPath": "ends_at", "ttl": True, "indexes": []}],
}


@pytest.fixture
def project(google: GoogleStandIn, tmp_path: Path) -> Project:
    return new_project(google, tmp_path)


@pytest.fixture
def small(project: Project) -> Project:
    """A project whose database has one index, so that each look is quick."""
    (project.root / "firestore.indexes.json").write_text(json.dumps(FEW))
    return project


def listener(project: Project) -> Listener:
    assert isinstance(project.terminal, Listener)
    return project.terminal


def afresh(project: Project, **changes: Any) -> Project:
    """The same project, with nothing said yet."""
    return replace(project, terminal=Listener(), **changes)


def writes(google: GoogleStandIn) -> list[Asked]:
    return [each for each in google.requests if each.http_method not in READS]


def world_of(google: GoogleStandIn, project: Project) -> dict[str, Any]:
    """What a deploy made, without times, generated values and ids."""
    state = google.state.projects[SHOP]
    names = {kind: sorted(_named(name) for name in table) for kind, table in state.tables.items() if table}
    bucket = google.state.buckets[f"{SHOP}-images"]
    assert isinstance(state.backend, Memory)
    return {
        "tables": names,
        "apis": sorted(state.apis),
        "bucket": {name: bucket[name] for name in ("location", "iamConfiguration", "softDeletePolicy")},
        "settings": sorted(project.settings.all()),
        "models": sorted(state.backend.documents("models")),
        "packages": sorted(state.backend.documents("packages")),
        "users": sorted(state.table("User")),
    }


def _named(resource: str) -> str:
    """A name without the random id of a backup schedule or an alert policy."""
    is_random = any(kind in resource for kind in ("backupSchedules", "alertPolicies"))
    return resource.rpartition("/")[0] if is_random else resource


def test_deploy_brings_a_new_project_to_a_working_product(google, project):
    deploy(project)

    state, said = google.state.projects[SHOP], listener(project)
    assert "     gpt-4o-mini answered, for 0.00042 credits" in said.lines
    assert said.lines[-1] == f"{project.settings.get('RELEASE')} runs: {project.function_url('api')}/v1"
    assert project.firebase.runs == ["firestore", "functions"]
    topics = sorted(name.rpartition("/")[2] for name in state.table("Topic"))
    assert topics == ["agent-steps", "alerts", "credit-events", "health", "image-jobs"]
    database = state.table("Database")[f"projects/{SHOP}/databases/(default)"]
    assert database["pointInTimeRecoveryEnablement"] == "POINT_IN_TIME_RECOVERY_ENABLED"
    assert database["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED"
    kept = {each["retention"] for each in state.table("BackupSchedule").values()}
    assert kept == {f"{7 * 86_400}s", f"{98 * 86_400}s"}
    bucket = google.state.buckets[f"{SHOP}-images"]
    access = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    assert bucket["iamConfiguration"] == access
    assert not state.table("User"), "the operator and the user of the smoke test are gone"


def test_deploy_never_shows_a_secret(google, small, capfd):
    deploy(small)

    shown = "\n".join(listener(small).lines) + "".join(capfd.readouterr())
    stored = [payload.decode() for payload in google.state.projects[SHOP].payloads.values()]
    assert len(stored) == 4
    assert MODEL_KEY in stored
    assert not [secret for secret in stored if secret in shown or secret.rpartition(":")[2][:12] in shown]
    assert not [secret for secret in stored if secret in small.settings.path.read_text()]


def test_second_deploy_changes_nothing(google, small):
    deploy(small)
    before = len(google.requests)
    again = afresh(small)

    deploy(again)

    assert [each for each in google.requests[before:] if each.http_method not in READS] == []
    assert listener(again).changes == []
    assert listener(again).lines.count("     as it should be") == len(STEPS)


def test_plan_of_a_new_project_only_reads_and_comes_true(google, small):
    planned = afresh(small, is_plan=True)
    settings = small.settings.path.read_text()

    is_sound = plan(planned)

    assert is_sound
    assert writes(google) == []
    assert small.settings.path.read_text() == settings
    deploy(small)
    foretold = listener(planned).changes
    assert [said for said in listener(small).changes if said in foretold] == foretold
    unknown = [line for line in listener(planned).lines if line.startswith("   ? ")]
    assert len(unknown) == 7, "only the steps whose API is off are unknown"


def test_plan_of_a_changed_project_says_exactly_what_deploy_does(google, small):
    deploy(small)
    state = google.state.projects[SHOP]
    state.table("Topic").remove(f"projects/{SHOP}/topics/alerts")
    google.state.buckets[f"{SHOP}-images"]["iamConfiguration"]["publicAccessPrevention"] = "inherited"
    small.settings.set("BACKUP_DAILY_DAYS", "30")
    small.settings.set("MARKUP_PERCENT", "25")
    catalogue = small.root / "catalogue.yaml"
    catalogue.write_text(catalogue.read_text().replace('"1.99"', '"2.49"'))
    planned, done = afresh(small, is_plan=True), afresh(small)
    before = len(google.requests)

    plan(planned)

    assert {each.http_method for each in google.requests[before:]} == READS
    deploy(done)
    told = [line.splitlines()[0] for line in listener(done).changes]
    foretold = [line.splitlines()[0] for line in listener(planned).changes]
    assert foretold[:-1] == told[:-1]
    assert [line.partition(" ")[0] for line in foretold] == ["keep", "create", "correct", "deploy", "put", "sign"]
    assert foretold[-1] == "sign up a user, ask a model, verify the ledger, leave, after the changes of functions"
    assert len(told) == len(foretold)


def test_deploy_whose_writes_are_never_answered_ends_the_same(google, small):
    """Each run loses the answer to its first POST, PATCH or PUT, which has its effect."""
    methods, quiet, stops = itertools.cycle(["POST", "PATCH", "PUT"]), 0, 0
    while quiet < 3:
        google.faults.clear()
        google.fail(times=1, how="reset", when="after", method=next(methods))
        try:
            deploy(afresh(small))
            quiet += 1
        except StepFailed:
            quiet, stops = 0, stops + 1
            assert stops < 40
    google.faults.clear()
    last = afresh(small)

    deploy(last)

    assert stops > 5
    assert listener(last).changes == []
    assert small.secrets.versions("LEDGER_SIGNING_KEY") == {1: "ENABLED"}
    assert not google.state.projects[SHOP].table("User")


class Interrupted(BaseException):
    """The operator's Ctrl-C, or the end of the machine."""


def interrupting(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every change be the last of its run."""
    slot: Any = vars(Change)["do"]

    class LastChange:
        def __get__(self, change: Any, kind: Any = None) -> Any:
            def act() -> None:
                slot.__get__(change, kind)()
                raise Interrupted

            return act

        def __set__(self, change: Any, value: Any) -> None:
            slot.__set__(change, value)

    monkeypatch.setattr(Change, "do", LastChange())


def test_deploy_interrupted_after_every_change_ends_the_same(google, small, tmp_path_factory, monkeypatch):
    runs = 0
    with monkeypatch.context() as patch:
        interrupting(small, patch)
        while True:
            run = afresh(small)
            runs += 1
            assert runs < 40, listener(run).lines
            try:
                deploy(run)
            except Interrupted:
                continue
            break
    step_by_step = world_of(google, small)
    assert runs == 23, "each of 22 changes had a run of its own, the last run had none"

    google.reset()
    at_once = new_project(google, tmp_path_factory.mktemp("at-once"))
    (at_once.root / "firestore.indexes.json").write_text(json.dumps(FEW))
    deploy(at_once)

    assert step_by_step == world_of(google, at_once)
