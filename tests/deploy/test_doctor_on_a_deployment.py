"""The doctor reads what the Firebase CLI itself has deployed, and finds it as this release describes it."""

import pytest

from emulator.cloud.checks.check import Finding, examine
from emulator.cloud.checks.table import AREAS, CHECKS
from emulator.cloud.google import google_of
from emulator.cloud.readings.gather import gather
from emulator.cloud.readings.reading import http_of
from emulator.tools import ROOT
from tests.deploy.deployed import PROJECT, SETTINGS, Deployment
from tests.support.sound_cloud import RELEASE_FILES

OF_THE_FUNCTIONS = {check.name for check in AREAS["functions and schedules"]} | {"role_missing", "role_too_broad"}
MADE_BY_OTHER_STEPS = {"schedule_late"}


@pytest.fixture(scope="module")
def findings(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    root = tmp_path_factory.mktemp("release")
    for name in RELEASE_FILES:
        (root / name).write_text((ROOT / name).read_text())
    (root / f".env.{PROJECT}").write_text("".join(f"{name}={value}\n" for name, value in SETTINGS.items()))
    environment = deployment.google.environment
    return examine(gather(google_of(PROJECT, environment), http_of(environment), root=root), CHECKS)


def test_functions_of_the_cli_are_sound_for_the_doctor(findings: list[Finding]):
    assert [each for each in findings if each.name in OF_THE_FUNCTIONS and each.severity == "wrong"] == []


def test_doctor_names_the_steps_that_the_cli_does_not_make(findings: list[Finding]):
    assert {each.name for each in findings} >= {
        "topic_missing",
        "bucket_missing",
        "backup_missing",
        "signing_key_guessable",
    }
