"""Releases and rollbacks: tags of a repository, the tree that is deployed, and commands on a real project."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.cloud.command import environment_of
from emulator.cloud.deploy import deploy
from emulator.cloud.deployed import deployed_functions, running_release
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.release import next_release, release_before, release_of
from emulator.cloud.releasing import release
from emulator.cloud.rollback import roll_back
from emulator.stand_ins.google import GoogleStandIn
from shared.kernel.settings import parse_settings
from tests.support.deployments import SHOP, Listener, new_project

ALIAS = json.dumps({"projects": {"prod": SHOP}})
AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *AUTHOR, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path, name: str = "a.txt", text: str = "1") -> None:
    (root / name).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", f"{name} is {text}")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit. Tags need an author, as commits do."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ann")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ann@example.com")
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text(".env.*\n")
    commit(tmp_path)
    return tmp_path


def test_a_green_and_clean_tree_gets_the_next_tag(repository):
    first = release(repository, lambda: True)
    commit(repository, text="2")

    assert (first, release(repository, lambda: True)) == ("v1", "v2")
    assert release_of(repository) == "v2"
    with pytest.raises(CloudProblem, match="This commit is released already, as v2"):
        release(repository, lambda: True)


def test_a_red_or_changed_tree_gets_no_tag(repository):
    with pytest.raises(CloudProblem, match="`make check test` fails"):
        release(repository, lambda: False)
    (repository / "a.txt").write_text("not committed")
    with pytest.raises(CloudProblem, match=r"1 files are not committed, a\.txt first"):
        release(repository, lambda: True)

    assert next_release(repository) == "v1"


def test_the_tenth_release_comes_after_the_ninth(repository):
    for number in (1, 2, 9, 10):
        git(repository, "tag", f"v{number}")
    git(repository, "tag", "v2-beta")

    assert next_release(repository) == "v11"
    assert release_before(repository, "v10") == "v9"
    assert release_before(repository, "v9") == "v2"


@pytest.mark.parametrize(
    ("running", "before"), [("v2", "v1"), ("v2-3-gabc1234", "v2"), ("v2-dirty-1a2b3c4d", "v2"), ("v3", "v2")]
)
def test_the_release_before_a_running_tree_is_a_tag(repository, running, before):
    git(repository, "tag", "v1")
    git(repository, "tag", "v2")

    assert release_before(repository, running) == before


@pytest.mark.parametrize(
    ("running", "words"), [("v1", "no release before v1"), ("abc1234", "RELEASE=vN"), ("", "no release")]
)
def test_a_rollback_without_an_earlier_release_says_so(repository, running, words):
    git(repository, "tag", "v1")

    with pytest.raises(CloudProblem, match=words):
        release_before(repository, running)


def test_other_changes_of_a_tree_have_another_name(repository):
    git(repository, "tag", "v1")
    (repository / "a.txt").write_text("2")
    first = release_of(repository)
    (repository / "a.txt").write_text("3")
    second = release_of(repository)
    (repository / ".env.shop").write_text("REGION=us-central1")

    assert first != second
    assert first.startswith("v1-dirty-")
    assert release_of(repository) == second, "settings are not part of the tree"


def test_a_tree_without_git_has_a_name_that_its_settings_do_not_change(tmp_path):
    (tmp_path / "main.py").write_text("a = 1")
    (tmp_path / ".env.shop").write_text("A=1")
    first = release_of(tmp_path)
    (tmp_path / ".env.shop").write_text("A=2")

    assert first.startswith("unreleased-")
    assert release_of(tmp_path) == first


@pytest.fixture(scope="module")
def running_v2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that runs v2. Its rules differ between v1 and v2."""
    repository = tmp_path_factory.mktemp("two-releases")
    git(repository, "init", "--quiet")
    (repository / ".gitignore").write_text(".env.*\n")
    with GoogleStandIn() as server:
        project = new_project(server, repository)
        (repository / "firestore.indexes.json").write_text('{"indexes": [], "fieldOverrides": []}')
        commit(repository, "notes.txt", "one")
        git(repository, "tag", "v1")
        rules = repository / "firestore.rules"
        commit(repository, "firestore.rules", f"{rules.read_text()}// of v2\n")
        git(repository, "tag", "v2")
        deploy(project)
        yield project


@pytest.fixture
def two_releases(running_v2: Project) -> Project:
    """That project, with nothing said yet. Each test leaves v2 running."""
    return replace(running_v2, terminal=Listener())


def test_rollback_deploys_the_release_before_and_leaves_no_tree(two_releases):
    assert running_release(deployed_functions(two_releases.google)) == "v2"
    before = git(two_releases.root, "worktree", "list")

    assert roll_back(two_releases) == "v1"

    assert running_release(deployed_functions(two_releases.google)) == "v1"
    assert git(two_releases.root, "worktree", "list") == before
    assert git(two_releases.root, "status", "--porcelain") == ""
    assert [line.split()[0] for line in two_releases.terminal.changes] == ["publish", "deploy", "sign"]
    deploy(replace(two_releases, terminal=Listener()))
    assert running_release(deployed_functions(two_releases.google)) == "v2"


def test_rollback_keeps_settings_of_every_file(two_releases):
    own, root = two_releases.settings.path, two_releases.root
    beside = {".env": "CORS_ORIGINS=https://a.example\n", ".env.prod": own.read_text(), ".firebaserc": ALIAS}
    own.unlink()
    for name, text in beside.items():
        (root / name).write_text(text)
    try:
        roll_back(two_releases)

        settings = deployed_functions(two_releases.google)["api"].environment
        assert (settings["CORS_ORIGINS"], settings["RELEASE"]) == ("https://a.example", "v1")
        assert settings["WEB_API_KEY"] == two_releases.settings.get("WEB_API_KEY")
    finally:
        own.write_text(beside[".env.prod"])
        for name in beside:
            (root / name).unlink()
    deploy(replace(two_releases, terminal=Listener()))


def test_planned_rollback_changes_nothing(two_releases):
    google = two_releases.firebase.stand_in
    before = len(google.requests)

    assert roll_back(replace(two_releases, is_plan=True)) == "v1"

    assert {each.http_method for each in google.requests[before:]} == {"GET"}
    assert running_release(deployed_functions(two_releases.google)) == "v2"


def test_rollback_to_something_else_than_a_release_is_refused(two_releases):
    with pytest.raises(CloudProblem, match="main is no release"):
        roll_back(two_releases, "main")
    with pytest.raises(CloudProblem, match="git worktree failed"):
        roll_back(two_releases, "v9")

    assert running_release(deployed_functions(two_releases.google)) == "v2"


def test_a_command_has_the_settings_and_secrets_of_the_project(two_releases):
    machine = {"PATH": "/bin", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080"}
    environment = environment_of(replace(two_releases, environment=machine))

    settings = parse_settings(environment)
    assert (settings.project, settings.region, settings.is_laptop) == (SHOP, "us-central1", False)
    assert settings.ledger_signing_keys[0].kid.startswith("k20")
    assert environment["PATH"] == "/bin"


def test_a_command_without_the_secrets_says_what_to_do(tmp_path):
    with GoogleStandIn() as google:
        project = new_project(google, tmp_path)
        google.state.projects[SHOP].enable("secretmanager.googleapis.com")

        with pytest.raises(CloudProblem, match="is not in Secret Manager: run make deploy PROJECT=shop-prod first"):
            environment_of(project)
