"""Procedures that change a deployment, walked on a project at the stand-in for Google."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from emulator.cloud import rollback, signing_keys
from emulator.cloud.deploy import deploy
from emulator.cloud.keys import KEY, new_key
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.release import git
from emulator.cloud.steps import functions
from emulator.stand_ins.google import GoogleStandIn
from functions.http.app import create_app
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import MINUTE, rfc3339
from shared.kernel.documents import Query
from shared.kernel.ids import Uid, new_id
from shared.kernel.settings import parse_signing_keys
from shared.ledger.key_store import END_NOTICE
from shared.sagas.engine.jobs import JobRun
from tests.api.world import MODEL, World
from tests.operating.walking import Terminal, walk
from tests.support.deployments import SHOP, Listener, Memory, new_project
from tests.support.ledgers import grant

FEW_INDEXES: dict[str, list[Any]] = {"indexes": [], "fieldOverrides": []}


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleStandIn]:
    with GoogleStandIn() as google:
        yield google


@pytest.fixture
def project(server: GoogleStandIn, tmp_path: Path) -> Project:
    server.reset()
    root = tmp_path / "tree"
    root.mkdir()
    made = new_project(server, root)
    (root / "firestore.indexes.json").write_text(json.dumps(FEW_INDEXES))
    return made


def world_of(server: GoogleStandIn) -> World:
    backend = server.state.projects[SHOP].backend
    assert isinstance(backend, Memory)
    return backend.world


def opened(project: Project, monkeypatch, module: Any, terminal: Terminal) -> None:
    """Let a command open this project, as it would open one by its id; what the command says is printed."""

    class Printed(Listener):
        def say(self, line: str) -> None:
            sys.stdout.write(f"{line}\n")

    @contextmanager
    def open_project(arguments: list[str], environment: Any = None) -> Iterator[Project]:
        assert arguments[0] == "acme-credits"
        yield replace(project, terminal=Printed(), is_plan=terminal.environment.get("PLAN") == "1")

    monkeypatch.setattr(module, "open_project", open_project)


def released(project: Project, tag: str) -> None:
    (project.root / "notes.txt").write_text(tag)
    git(project.root, "add", "--all")
    git(project.root, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", tag)
    git(project.root, "tag", tag)


def test_rollback_is_true_as_written(server: GoogleStandIn, project: Project, tmp_path: Path, monkeypatch):
    git(project.root, "init", "-q")
    (project.root / ".gitignore").write_text(".env*\n")
    released(project, "v1")
    deploy(project)
    released(project, "v2")
    for change in functions.look(project):
        change.do()
    world = world_of(server)
    terminal = Terminal(world, tmp_path, {"TOKEN": world.person("admin").token})
    opened(project, monkeypatch, rollback, terminal)

    def rolled(given: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", ["rollback", *given])
        return rollback.main(terminal.environment)

    terminal.made["emulator.cloud.rollback"] = rolled
    seen: list[set[str]] = []

    def look() -> None:
        running = server.state.projects[SHOP].table("Function").values()
        seen.append({each["serviceConfig"]["environmentVariables"]["RELEASE"] for each in running})

    walk("rollback", terminal, after={1: look, 2: look})

    assert seen == [{"v2"}, {"v1"}]


class Deployments:
    """Deployments of one project one after the other. The instances of the last two live side by side."""

    def __init__(self, project: Project, world: World) -> None:
        self.project, self.world = project, world
        self.instances: list[Services] = []
        self()

    def __call__(self, given: Sequence[str] = ()) -> int:
        """Give the functions the newest version of the secret."""
        self.project.firebase.deploy("functions", self.project.root)
        ports, marks = self.world.services.ports, self.project.secrets.read("MARKS_SECRET") or ""
        keys = {KEY: self.stored, "MARKS_SECRET": marks}
        documents, identity = ports.documents(), ports.identity()
        self.world.services = in_memory(keys, clock=self.world.clock, documents=documents, identity=identity)
        self.world.app = create_app(self.world.services)
        self.world.client = self.world.app.test_client()
        self.instances.append(self.world.services)
        return 0

    @property
    def stored(self) -> str:
        return self.project.secrets.read(KEY) or ""

    def minute(self) -> None:
        """Let the newest instance do the work of a minute on the registry of keys."""
        self.world.clock.advance(MINUTE)
        self.instances[-1].credits.key_rotation.keys(JobRun("", self.world.clock, 60))

    def retire(self) -> None:
        """Let the end of a key go by, and the work after it."""
        self.world.clock.advance(END_NOTICE)
        self.minute()

    def write_side_by_side(self, uid: Uid) -> None:
        """Each instance writes to the account, and then verifies all that the other wrote."""
        for services in [*self.instances[-2:], *self.instances[-2:]]:
            services.credits.ledger.execute(uid, grant(new_id("g"), 5))
            assert services.credits.ledger.verify(uid) == []


def test_adding_a_signing_key_is_true_as_written(keyed: Project, server: GoogleStandIn, tmp_path: Path, monkeypatch):
    deployments = Deployments(keyed, world_of(server))
    world = deployments.world
    world.services.models.catalogue.put("gpt-4o-mini", MODEL)
    me = world.person(credits_=5)
    terminal = Terminal(world, tmp_path, {"TOKEN": me.token, "ME": me.uid})
    opened(keyed, monkeypatch, signing_keys, terminal)

    def run(given: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", ["signing_keys", *given])
        return signing_keys.main()

    def look() -> None:
        terminal.variables.setdefault("KID", deployments.stored.split(",")[-1].partition(":")[0])
        deployments.write_side_by_side(me.uid)

    terminal.made |= {"emulator.cloud.signing_keys": run, "emulator.cloud.deploy": deployments}

    terminal.variables["OLD"] = deployments.stored.partition(":")[0]
    after = dict.fromkeys((2, 3, 5, 7, 9), look)
    walk("add-a-signing-key", terminal, before={4: deployments.minute, 8: deployments.retire}, after=after)

    assert terminal.variables["OLD"] not in deployments.stored
    entries = world.services.ports.documents().query(Query(collection=f"accounts/{me.uid}/entries", limit=100))
    signers = {json.loads(str(entry.data["body"]))["kid"] for entry in entries}
    assert terminal.variables["KID"] in signers
    assert len(signers) == 2


def test_a_stolen_key_is_true_as_written(keyed: Project, server: GoogleStandIn, tmp_path: Path, monkeypatch):
    deployments = Deployments(keyed, world_of(server))
    world = deployments.world
    me = world.person(credits_=5)
    old = deployments.stored.partition(":")[0]
    terminal = Terminal(world, tmp_path, {"OLD": old, "SINCE": rfc3339(world.clock.now())})
    opened(keyed, monkeypatch, signing_keys, terminal)

    def run(given: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", ["signing_keys", *given])
        return signing_keys.main()

    def remember() -> None:
        terminal.variables["KID"] = deployments.stored.split(",")[-1].partition(":")[0]
        deployments.minute()

    terminal.made |= {"emulator.cloud.signing_keys": run, "emulator.cloud.deploy": deployments}

    walk("stolen-key", terminal, before={2: remember, 6: deployments.retire})

    assert old not in deployments.stored
    assert world.services.credits.ledger.verify(me.uid) == []


@pytest.fixture
def keyed(project: Project, server: GoogleStandIn) -> Project:
    """A project whose functions run with its first signing key."""
    server.state.projects[SHOP].enable("secretmanager.googleapis.com", "cloudfunctions.googleapis.com")
    project.secrets.add(KEY, new_key(datetime(2026, 11, 30, tzinfo=UTC)))
    for name in ("AI_PLATFORM_API_KEY", "LEDGER_LOG_KEY", "MARKS_SECRET"):
        project.secrets.add(name, "x")
    project.firebase.deploy("functions", project.root)
    return project


def test_a_key_is_not_used_before_every_function_knows_it(keyed: Project):
    kid = signing_keys.add_key(keyed)

    with pytest.raises(signing_keys.KeyNotKnownYet, match="api, "):
        signing_keys.use_key(keyed, kid)

    keyed.firebase.deploy("functions", keyed.root)
    assert [signing_keys.use_key(keyed, kid), signing_keys.use_key(keyed, kid)] == [True, False]
    assert parse_signing_keys(keyed.secrets.read(KEY) or "")[0].kid == kid


def test_no_key_is_lost_by_adding_and_using_keys(keyed: Project):
    first = keyed.secrets.read(KEY) or ""
    kids = []
    for _ in range(2):
        kids.append(signing_keys.add_key(keyed))
        keyed.firebase.deploy("functions", keyed.root)
        signing_keys.use_key(keyed, kids[-1])
        keyed.firebase.deploy("functions", keyed.root)

    keys = parse_signing_keys(keyed.secrets.read(KEY) or "")
    assert {key.kid for key in keys} == {*kids, first.partition(":")[0]}
    assert keys[0].kid == kids[-1]


@pytest.mark.parametrize("kid", ["", "k1", "k20261130"])
def test_a_key_that_was_never_added_is_not_used(keyed: Project, kid: str):
    with pytest.raises(signing_keys.NoSuchKey):
        signing_keys.use_key(keyed, kid)


def test_a_seed_is_not_removed_while_its_key_is_in_force(keyed: Project, server: GoogleStandIn):
    deployments = Deployments(keyed, world_of(server))
    kid = signing_keys.add_key(keyed)
    deployments()
    deployments.minute()

    with pytest.raises(signing_keys.KeyInForce, match=kid):
        signing_keys.remove_key(keyed, kid)
    with pytest.raises(signing_keys.NoSuchKey):
        signing_keys.remove_key(keyed, "other")

    assert kid in deployments.stored


def test_a_project_without_a_key_is_told_to_deploy(project: Project, server: GoogleStandIn):
    server.state.projects[SHOP].enable("secretmanager.googleapis.com")

    with pytest.raises(CloudProblem, match="make deploy"):
        signing_keys.add_key(project)


def test_keys_do_not_pile_up_without_end(keyed: Project, monkeypatch):
    monkeypatch.setattr(signing_keys, "KEYS_MAX", 2)
    signing_keys.add_key(keyed)

    with pytest.raises(CloudProblem, match="already"):
        signing_keys.add_key(keyed)
