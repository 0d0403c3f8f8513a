"""The doctor finds each planted mistake by its name, says what to do, and finds nothing else."""

import re
from dataclasses import fields, replace
from typing import Any

import pytest

from emulator.cloud.checks.check import UNREAD, Check, Fact, examine
from emulator.cloud.checks.project import ProjectFacts, SettingsFiles
from emulator.cloud.checks.settings import KNOWN, OF_THE_DEPLOYMENT, is_reserved
from emulator.cloud.checks.table import AREAS, CHECKS
from emulator.cloud.roles import SECRETS as READS_SECRETS
from emulator.cloud.template import template
from shared.bootstrap.secrets import secrets_of
from tests.support.sound_project import NAME, NEEDS, SECRETS, SETTINGS, account_of, sound, stored_secrets
from tests.unit.cloud.planted_cloud import PLANTED_CLOUD
from tests.unit.cloud.planted_settings import PLANTED
from tests.unit.cloud.planted_trade import PLANTED_TRADE
from tests.unit.cloud.planting import Planted

ALL_PLANTED = (*PLANTED, *PLANTED_CLOUD, *PLANTED_TRADE)
FACTS = [each.name for each in fields(ProjectFacts) if each.name not in {"name", "now", "needs"}]


def found_in(project: ProjectFacts):
    return examine(project, CHECKS)


def test_a_sound_project_has_no_finding():
    assert found_in(sound()) == []


@pytest.mark.parametrize("planted", ALL_PLANTED, ids=lambda planted: f"{planted.name}: {planted.sentence}"[:60])
def test_planted_mistake_is_found_alone_with_its_remedy(planted: Planted):
    found = found_in(sound(**planted.changes))

    assert {finding.name for finding in found} == {planted.name}
    assert any(planted.sentence in finding.sentence and planted.remedy in finding.remedy for finding in found)


def test_account_in_the_policies_of_its_own_needs_no_roles():
    reads = {member: roles - {READS_SECRETS} for member, roles in sound().grants.value.items()}
    users = {name: [each for each in NEEDS.functions if name in secrets_of(each, SETTINGS)] for name in SECRETS}
    opened = {
        name: replace(stored, readers=frozenset(map(account_of, users[name])))
        for name, stored in stored_secrets().items()
    }

    assert found_in(sound(grants=reads, secrets_found=opened)) == []


def test_every_check_has_a_planted_mistake():
    assert {check.name for check in CHECKS} == {planted.name for planted in ALL_PLANTED}
    assert len({check.name for check in CHECKS}) == len(CHECKS) == sum(map(len, AREAS.values()))


def test_finding_never_shows_a_secret():
    values = {part for value in SECRETS.values() for part in value.split(",")}
    told = [finding.sentence + finding.remedy for each in ALL_PLANTED for finding in found_in(sound(**each.changes))]

    assert len(told) >= len(ALL_PLANTED)
    assert [text for text in told for value in values if value in text] == []


def test_finding_hides_a_key_that_stands_in_another_setting():
    key = "sk-proj-abcdefghijklmnopqrstuv"
    found = found_in(sound(settings={"DEFAULT_MODEL": key, "PUBLIC_URL": key}))

    assert [finding for finding in found if key in finding.sentence] == []


@pytest.mark.parametrize("fact", FACTS)
def test_unread_fact_is_a_finding_and_no_pass(fact: str):
    changes: Any = {fact: Fact("this part", reason="Google answered 403.", remedy="Ask an owner.")}
    project = replace(sound(), **changes)
    found = found_in(project)
    [unread] = [finding for finding in found if finding.severity == "unread"]

    assert unread.sentence == "Could not look at this part, because Google answered 403."
    assert (unread.name, unread.remedy) == (UNREAD, "Ask an owner.")
    assert [finding for finding in found if finding.severity == "wrong"] == []


def test_unread_fact_is_left_out_when_a_finding_explains_it():
    project = sound(
        apis=sound().needs.apis - {"cloudscheduler.googleapis.com"},
        jobs=Fact("the schedules", reason="the API is off.", explained_by=("api_off",)),
        topics=Fact("the topics", reason="the network is down."),
    )

    assert [(finding.name, finding.severity) for finding in found_in(project)] == [
        ("api_off", "wrong"),
        (UNREAD, "unread"),
    ]


def test_broken_check_is_told_and_hides_no_other():
    def look(project: ProjectFacts) -> list[str]:
        raise ZeroDivisionError

    broken = Check(name="broken", severity="wrong", meaning="", remedy="", look=look)

    found = examine(sound(is_billed=False), [broken, *CHECKS])

    assert [(each.name, each.severity) for each in found] == [("billing_off", "wrong"), (UNREAD, "unread")]
    assert "the check `broken` failed (ZeroDivisionError)" in found[1].sentence


def test_new_project_without_anything_gets_findings_but_no_crash():
    nothing = sound(
        files=SettingsFiles(project_file=f".env.{NAME}", is_there=False),
        secrets_found={},
        functions={},
        jobs={},
        database=None,
        topics=frozenset(),
        apis=frozenset(),
        bucket=None,
        indexes={},
        sealing_keys=frozenset(),
    )

    assert {"secret_missing", "function_missing", "database_missing", "api_off"} <= {
        finding.name for finding in found_in(nothing)
    }


def test_no_setting_has_a_name_that_the_cli_refuses():
    assert [name for name in sorted(KNOWN | OF_THE_DEPLOYMENT) if is_reserved(name)] == []


def test_settings_of_a_new_project_are_all_known():
    lines = [match[1] for match in re.finditer(r"^(?:# )?([A-Z_]+)=", template(NAME), re.MULTILINE)]

    assert len(lines) > 10
    assert set(lines) <= KNOWN | OF_THE_DEPLOYMENT


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_check_says_its_meaning_and_a_remedy_in_sentences(check):
    assert check.meaning.endswith(".")
    assert check.meaning[0].isupper()
    assert len(check.remedy) > 10
