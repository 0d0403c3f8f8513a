"""The bucket of anchors: made, corrected, locked after a yes, written by one function, and left to its owners."""

from pathlib import Path
from typing import Any

import pytest

from emulator.cloud.deploy import carry_out
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project, Step
from emulator.cloud.steps import anchors
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.state import add_account
from tests.support.deployments import SHOP, Listener, new_project

BUCKET = f"{SHOP}-anchors"
ACCOUNT = f"firebase-fn-minute@{SHOP}.iam.gserviceaccount.com"
DAY = 86_400


def project_with(google: GoogleStandIn, root: Path, **settings: str) -> Project:
    """A project with the function that anchors."""
    project = new_project(google, root, **settings)
    state = google.state.projects[SHOP]
    state.enable("storage.googleapis.com", "cloudfunctions.googleapis.com")
    add_account(state, ACCOUNT)
    full = f"projects/{SHOP}/locations/us-central1/functions/every_minute"
    state.table("Function")[full] = {"name": full, "serviceConfig": {"serviceAccountEmail": ACCOUNT}}
    return project


def act(project: Project) -> list[str]:
    """Carry the steps out, and return the sentences of all changes."""
    terminal: Any = project.terminal
    terminal.lines.clear()
    for look in (anchors.look, anchors.look_at_access):
        carry_out(Step(name="anchors", purpose="anchor", look=look), project)
    changes: list[str] = terminal.changes
    return changes


def test_a_named_bucket_is_made_locked_and_opened_to_one_function(google, tmp_path):
    project = project_with(google, tmp_path, LEDGER_ANCHOR_BUCKET=BUCKET)

    made, again = act(project), act(project)

    bucket = google.state.buckets[BUCKET]
    roles = google.state.bucket_policies[BUCKET].roles_of(f"serviceAccount:{ACCOUNT}")
    assert ([change.split()[0] for change in made], again) == (["create", "lock", "let"], [])
    assert bucket["retentionPolicy"]["retentionPeriod"] == str(3_650 * DAY)
    assert (bucket["retentionPolicy"]["isLocked"], bucket["iamConfiguration"]) == (True, anchors.ACCESS)
    assert roles == {"roles/storage.objectCreator", "roles/storage.objectViewer"}


def test_without_the_setting_nothing_is_asked_or_made(google, tmp_path):
    project = project_with(google, tmp_path)

    assert act(project) == []
    assert google.state.buckets == {}


def test_a_bucket_is_not_locked_without_a_yes(google, tmp_path):
    project = project_with(google, tmp_path, LEDGER_ANCHOR_BUCKET=BUCKET)
    assert isinstance(project.terminal, Listener)
    project.terminal.is_agreed = False

    act(project)

    assert google.state.buckets[BUCKET]["retentionPolicy"]["isLocked"] is False


def test_a_bucket_of_ones_own_is_corrected_and_never_shortened(google, tmp_path):
    project = project_with(google, tmp_path, LEDGER_ANCHOR_BUCKET=BUCKET, LEDGER_ANCHOR_DAYS="30")
    act(project)
    google.state.buckets[BUCKET]["iamConfiguration"]["publicAccessPrevention"] = "inherited"
    longer = project_with_days(project, tmp_path, google, "60")
    first = act(longer)
    shorter = project_with_days(project, tmp_path, google, "7")

    assert "public access prevented, anchors kept for 60 days" in first[0]
    assert act(shorter) == []
    assert google.state.buckets[BUCKET]["retentionPolicy"]["retentionPeriod"] == str(60 * DAY)


def project_with_days(project: Project, root: Path, google: GoogleStandIn, days: str) -> Project:
    path = project.settings.path
    lines = [line for line in path.read_text().splitlines() if not line.startswith("LEDGER_ANCHOR_DAYS=")]
    path.write_text("\n".join([*lines, f"LEDGER_ANCHOR_DAYS={days}", ""]))
    return project


def test_a_bucket_of_other_people_is_left_to_them(google, tmp_path):
    project = project_with(google, tmp_path, LEDGER_ANCHOR_BUCKET="auditors-anchors")
    google.state.foreign_buckets.add("auditors-anchors")

    assert act(project) == []


@pytest.mark.parametrize("days", ["0", "-1", "ten", "36501"])
def test_impossible_days_stop_the_step(google, tmp_path, days):
    project = project_with(google, tmp_path, LEDGER_ANCHOR_BUCKET=BUCKET, LEDGER_ANCHOR_DAYS=days)

    with pytest.raises(CloudProblem, match="LEDGER_ANCHOR_DAYS must be 1 to 36500"):
        anchors.look(project)
