"""Check the token that `make token` prints: of a person at a project, and a sentence for whoever cannot have one."""

from pathlib import Path

import pytest

from emulator.cloud import token
from emulator.cloud.app_check import WEB_KEY
from emulator.cloud.people import Person, SignInRefused, id_token
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.apis.identity import SETTING
from tests.support.deployments import SHOP, new_project

EMAIL, PASSWORD = "olga@shop.example", "correct horse"


@pytest.fixture
def project(google: GoogleStandIn, tmp_path: Path) -> Project:
    """A project with a login for Olga, and the public key of its web app among the settings."""
    project = new_project(google, tmp_path)
    state = google.state.projects[SHOP]
    state.settings[SETTING] = {"signIn": {"email": {"enabled": True}}}
    state.table("User").add("olga", {"localId": "olga", "email": EMAIL, "password": PASSWORD})
    project.settings.set(WEB_KEY, f"AIzaStandIn{state.number}")
    return project


def test_token_is_of_the_person_who_signs_in(project: Project):
    got = id_token(project.web, project.settings.get(WEB_KEY), EMAIL, PASSWORD)

    assert (
        Person(project=project, uid="olga", headers={"Authorization": f"Bearer {got}"}).call("GET", "/v1/me")["uid"]
        == "olga"
    )


@pytest.mark.parametrize(("email", "password"), [(EMAIL, "wrong"), ("nobody@shop.example", PASSWORD)])
def test_refusal_says_who_was_not_signed_in_and_why(project: Project, email: str, password: str):
    with pytest.raises(SignInRefused, match=f"{email} was not signed in .INVALID_LOGIN_CREDENTIALS.") as refused:
        id_token(project.web, project.settings.get(WEB_KEY), email, password)

    assert password not in str(refused.value)


def test_laptop_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(token, "ENDPOINTS", tmp_path / "endpoints.json")

    with pytest.raises(CloudProblem, match="make run"):
        token.place_of("", {})


def test_command_without_an_address_asks_for_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("sys.argv", ["token", SHOP, ""])

    assert token.main() == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "EMAIL=" in told.err
