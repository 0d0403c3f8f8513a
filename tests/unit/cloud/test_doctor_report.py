"""The doctor's report: one screen for a sound project, mistakes first, and an exit code that a script can read."""

from dataclasses import replace
from pathlib import Path

import pytest

from emulator.cloud.checks.check import Fact, Finding, examine
from emulator.cloud.checks.needs import needs_of
from emulator.cloud.checks.table import AREAS, CHECKS
from emulator.cloud.doctor import USAGE, before_deploy, exit_code, main
from emulator.cloud.report import SHOWN_PER_NAME_MAX, report
from emulator.tools import ROOT
from tests.support.sound_project import KEY, LIVE, NAME, OLD_KEY, SECRETS, functions_of, setting_lines, sound

SCREEN_LINES = 24
RELEASE = ("functions.yaml", "firestore.rules", "firestore.indexes.json")


def told(project):
    return report(project.name, examine(project, CHECKS), AREAS)


def folder(tmp_path: Path, settings: str) -> Path:
    """A copy of the release's own files, with these settings of the project."""
    for name in RELEASE:
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / f".env.{NAME}").write_text(settings)
    return tmp_path


def test_report_of_a_sound_project_fits_one_screen():
    text = told(sound())

    assert text.startswith(f"{NAME} is sound: {len(CHECKS)} checks found no mistake.")
    assert len(text.splitlines()) <= SCREEN_LINES


def test_report_with_every_hint_still_fits_one_screen():
    changes = {"MARKUP_PERCENT": "0", "APP_CHECK": "monitor"}
    sound_one = sound(settings=changes)
    functions = {
        name: replace(each, instances_min=0, settings={}) for name, each in functions_of(sound_one.needs).items()
    }
    project = sound(functions=functions, files=replace(setting_lines(**changes), is_there=False))

    text = told(project)

    assert text.startswith(f"{NAME} is sound")
    assert text.count("·") == 4
    assert len(text.splitlines()) <= SCREEN_LINES


def test_report_shows_name_sentence_and_remedy():
    text = told(sound(is_billed=False))

    assert text.splitlines()[0] == f"{NAME}: 1 mistake ({len(CHECKS)} checks)."
    assert "✗ billing_off: Billing is off." in text
    assert "→ Link a billing account" in text


def test_report_shows_few_findings_of_one_name():
    text = told(sound(indexes={}))
    missing = len(sound().needs.indexes)

    assert text.count("✗ index_missing") == SHOWN_PER_NAME_MAX
    assert f"… and {missing - SHOWN_PER_NAME_MAX} more index_missing." in text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"settings": {"MARKUP_PERCENT": "0"}, "functions": {}}, 1),
        ({"topics": Fact("the topics", reason="nothing answered.")}, 2),
        ({"topics": Fact("the topics", reason="nothing answered."), "is_billed": False}, 1),
    ],
)
def test_exit_code_tells_sound_wrong_and_unread_apart(changes, code):
    assert exit_code(examine(sound(**changes), CHECKS)) == code


def test_exit_code_of_a_hint_is_that_of_a_sound_project():
    assert exit_code([Finding(name="no_markup", severity="hint", sentence="", remedy="")]) == 0


def test_doctor_without_a_project_explains_itself(capsys):
    assert main([""]) == 2
    assert capsys.readouterr().out == USAGE + "\n"


def test_before_deploy_finds_mistakes_of_the_file_alone(tmp_path):
    root = folder(tmp_path, "CREDIT_PER_USD=100\nWELCOME_BONUS_REQUIRES=any\nPUBLIC_URL=http://127.0.0.1:5001/api\n")

    assert {finding.name for finding in before_deploy(NAME, root=root)} == {
        "setting_unknown",
        "laptop_address",
    }


def test_catalogue_with_a_mistake_is_told_in_a_sentence(tmp_path):
    root = folder(tmp_path, "")
    (root / "catalogue.yaml").write_text("models: [a, b]\n")

    assert "catalogue.yaml" in needs_of(root).catalogue_problem


def test_before_deploy_finds_nothing_in_a_new_project(tmp_path):
    assert before_deploy(NAME, root=folder(tmp_path, "")) == []
    assert before_deploy(NAME, root=folder(tmp_path, ""), secrets={}) == []


def test_before_deploy_looks_at_the_stored_secrets(tmp_path):
    root = folder(tmp_path, f"STRIPE_PUBLISHABLE_KEY=pk_{LIVE}_51Pgaf\n")
    secrets = {
        **SECRETS,
        "LEDGER_SIGNING_KEY": f"{KEY},{OLD_KEY}\n",
        "MARKS_SECRET": None,
        "STRIPE_SECRET_KEY": SECRETS["STRIPE_SECRET_KEY"].replace(LIVE, "test"),
    }

    assert {finding.name for finding in before_deploy(NAME, root=root, secrets=secrets)} == {
        "secret_with_spaces",
        "secret_disabled",
        "stripe_keys_of_two_modes",
    }
