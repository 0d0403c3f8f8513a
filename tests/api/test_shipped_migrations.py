"""The shipped migrations: on a database of earlier releases they end the same wherever they are interrupted."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from functions.commands import main
from functions.http.app import create_app
from shared.bootstrap import in_memory
from shared.bootstrap.migrations import MIGRATIONS
from shared.bootstrap.schemas import SCHEMAS
from shared.bootstrap.services import Services
from shared.kernel.clock import SECOND, from_datetime, to_datetime
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Create, Data, Documents, Put, Query, Version, Write
from shared.kernel.schemas import SCHEMA_VERSION, kind_of
from shared.ledger.account_documents import read_stored
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.migrations import MigrationReport, Migrations
from tests.api.world import Person, World
from tests.support.adapters import replace_adapters
from tests.support.faults import Crash, FaultyDocuments, Interrupted
from tests.support.shop import ENVIRONMENT, PACKAGE

SEALED = "accounts/*/entries"


class Life:
    """The world of some users, with the memory of its store."""

    def __init__(self) -> None:
        self.world = World(env=ENVIRONMENT)
        self.ann = self.world.person(email="ann@example.com", credits_=50)
        self.ann.get("/me")
        self.conversation = self.ann.post("/chat/conversations", {"message": "Hello"}, key="talk").json["id"]
        self.hold = self.ann.post("/credits/reserve", {"amount": "1"}).json["id"]
        self.ann.post("/credits/reserve", {"amount": "1"}, key="twice")
        self.ann.key("chat")
        self.ann.call("PUT", "/models/preferences", body={"chat_model": "gpt-4o-mini"})
        self.world.services.payments.packages.put("small", PACKAGE)
        self.ann.post("/payments/traditional", {"package_id": "small", "provider": "stripe"})

    @property
    def memory(self) -> Any:
        documents: Any = self.world.services.ports.documents()
        return documents.inner.inner.inner

    def forget_numbers(self) -> None:
        """Store everything as the releases before schema versions did."""
        for path, each in list(self.memory._documents.items()):
            self.memory.commit([Put(path, {n: v for n, v in each.data.items() if n != SCHEMA_VERSION})])


@pytest.fixture
def life() -> Life:
    life = Life()
    life.forget_numbers()
    return life


def run(documents: Documents, name: str = "schema-versions") -> MigrationReport:
    services = in_memory(documents=documents)
    migration = next(entry for entry in MIGRATIONS if entry.name == name).build(services)
    return Migrations(services.ports.documents(), services.clock, lambda line: None).run(migration)


def stored(memory: Any) -> dict[str, Any]:
    return {path: each.data for path, each in memory._documents.items() if not path.startswith("migrations/")}


@cache
def before() -> dict[str, Any]:
    """A database of an earlier release."""
    life = Life()
    life.forget_numbers()
    return stored(life.memory)


def database() -> MemoryDocuments:
    memory = MemoryDocuments()
    memory.commit([Create(path, data) for path, data in before().items()])
    return memory


def expected() -> dict[str, Any]:
    """Each document with the version of its kind; entries, which must never change, as they are."""
    numbers = {path: {SCHEMA_VERSION: SCHEMAS[kind_of(path)].version} for path in before() if kind_of(path) != SEALED}
    return {path: {**data, **numbers.get(path, {})} for path, data in before().items()}


def test_every_document_but_entries_gains_the_version_of_its_kind():
    memory = database()

    report = run(memory)

    assert report.is_complete
    assert stored(memory) == expected()
    assert {kind_of(path) for path in before()} > {SEALED, "accounts", "accounts/*/sealed", "turns", "users"}


def test_migrated_account_is_whole_and_goes_on(life):
    run(life.memory)
    documents = life.world.services.ports.documents()

    account = read_stored(documents, life.ann.uid)

    assert account.sealed is not None
    assert account.shown is not None
    assert account.sealed.version == account.shown.version
    assert life.world.services.credits.ledger.verify(life.ann.uid) == []
    life.world.services.jobs.run_schedule("every_day")
    assert life.ann.post(f"/credits/reservations/{life.hold}/capture", {"amount": "0.5"}).status_code == 200


def test_run_interrupted_at_any_write_ends_the_same():
    whole = FaultyDocuments(database())
    run(whole)

    for at in range(1, whole.commits + 1):
        for when in ("before", "after"):
            memory = database()
            with suppress(Crash):
                run(FaultyDocuments(memory, at=at, when=when))
            assert run(memory).is_complete
            assert stored(memory) == expected()


class Busy:
    """A store under which people work before and after every commit of its first ones."""

    def __init__(self, inner: Any, work: Any, commits: int) -> None:
        self.inner, self._work, self._left = inner, work, commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        self._left -= 1
        if self._left > 0:
            self._work()
        versions: list[Version] = self.inner.commit(writes, timeout_seconds=timeout_seconds)
        if self._left > 0:
            self._work()
        return versions


def without_numbers(life: Life) -> Any:
    """A client of an instance that numbers no document, on the same store."""
    world = life.world
    services: Services = in_memory(ENVIRONMENT, clock=world.clock, identity=world.identity, chat_model=world.chat_model)
    replace_adapters(services, documents=life.memory)
    return create_app(services).test_client()


def works(life: Life, client: Any, person: Person) -> None:
    """Spend, read, write and talk, and assert that nothing fails."""
    own, life.world.client = life.world.client, client
    try:
        hold = person.post("/credits/reserve", {"amount": "0.01"})
        answers = [
            hold,
            person.post(f"/credits/reservations/{hold.json['id']}/capture", {"amount": "0.001"}),
            person.call("PATCH", f"/chat/conversations/{life.conversation}", body={"title": "Tea"}),
            person.post(f"/chat/conversations/{life.conversation}/messages", {"content": "Hello"}),
            person.get("/credits/history"),
            person.get("/payments/history"),
            person.get("/models/preferences"),
        ]
    finally:
        life.world.client = own
    assert [each.status_code for each in answers] == [201, 200, 200, 201, 200, 200, 200]


def test_instances_with_and_without_numbers_work_during_the_migration(life):
    clients = [without_numbers(life), create_app(life.world.services).test_client()]

    def all_work() -> None:
        for client in clients:
            works(life, client, life.ann)

    run(Busy(life.memory, all_work, commits=8))
    report = run(life.memory)

    assert report.is_complete
    assert {kind_of(path) for path, data in stored(life.memory).items() if SCHEMA_VERSION not in data} == {SEALED}
    assert life.world.services.credits.ledger.verify(life.ann.uid) == []
    all_work()


ACTS: dict[str, Callable[[Life, Person], Any]] = {
    "reserve": lambda life, ann: ann.post("/credits/reserve", {"amount": "1"}),
    "capture": lambda life, ann: ann.post(f"/credits/reservations/{life.hold}/capture", {"amount": "0.5"}),
    "talk": lambda life, ann: ann.post(f"/chat/conversations/{life.conversation}/messages", {"content": "Hello"}),
    "talk again": lambda life, ann: ann.post("/chat/conversations", {"message": "Hello"}, key="talk"),
    "begin": lambda life, ann: ann.post("/chat/conversations", {"message": "Hello"}, key="new"),
    "rename": lambda life, ann: ann.call("PATCH", f"/chat/conversations/{life.conversation}", body={"title": "Tea"}),
    "prefer": lambda life, ann: ann.call("PUT", "/models/preferences", body={"chat_model": "gpt-4o-mini"}),
    "new key": lambda life, ann: ann.post("/api-keys", {"name": "l", "scopes": ["chat"]}),
    "buy": lambda life, ann: ann.post("/payments/traditional", {"package_id": "small", "provider": "stripe"}),
    "cancel": lambda life, ann: ann.post(f"/credits/reservations/{life.hold}/release"),
    "forget": lambda life, ann: ann.call("DELETE", f"/chat/conversations/{life.conversation}"),
    "see": lambda life, ann: ann.get("/me"),
    "leave": lambda life, ann: ann.call("DELETE", "/me"),
}


@pytest.mark.parametrize("commit", [1, 2])
@pytest.mark.parametrize("act", ACTS)
def test_act_succeeds_though_all_it_read_migrates_before_its_commit(life, act, commit):
    memory, world = life.memory, life.world

    def migrate() -> None:
        assert run(memory).is_complete

    services = in_memory(
        ENVIRONMENT,
        clock=world.clock,
        identity=world.identity,
        chat_model=world.chat_model,
        payment_providers=world.services.ports.payment_providers(),
        documents=Interrupted(memory, commit, "before", migrate),
    )
    world.client = create_app(services).test_client()

    answer = ACTS[act](life, life.ann)

    assert answer.status_code < 300, answer.get_json()
    assert world.services.credits.ledger.verify(life.ann.uid) == []


def test_command_shows_counts_moves_and_proves(life, capsys):
    services = life.world.services

    def said(*arguments: str) -> tuple[int, str]:
        code = main(["migrate", *arguments], services)
        return code, capsys.readouterr().out

    unchanged = stored(life.memory)
    assert said() == (0, "".join(f"{each.name:16} {each.purpose}\n" for each in MIGRATIONS))
    code, text = said("schema-versions", "--dry-run")
    assert code == 0
    assert "accounts: 1 to move" in text
    assert "schema version none" in text
    assert stored(life.memory) == unchanged
    assert said("schema-versions", "--limit", "2")[1].endswith("The limit is reached; run the command again.\n")
    assert "The last pass found none in an older form." in said("schema-versions")[1]
    assert ", 0 to move" in said("schema-versions", "--dry-run")[1]
    assert said("schema-versions", "--limit", "0")[0] == 1
    acts = [(each.actor, each.target) for each in services.operators.audit(None, 9).items if each.act == "migrate"]
    assert acts == [("command:migrate", "schema-versions")] * 2


def test_command_fails_while_a_document_is_left(life, capsys):
    life.memory.commit([Put("users/odd", {SCHEMA_VERSION: 9})])

    code = main(["migrate", "schema-versions"], life.world.services)

    told = capsys.readouterr()
    assert code == 1
    assert "not moved: users/odd (schema_unknown)" in told.out
    assert "migration_incomplete" in told.err


def test_document_under_a_lease_is_left_to_its_worker():
    clock = ManualClock()
    services = in_memory(documents=MemoryDocuments(), clock=clock)
    documents: Any = services.ports.documents()
    until = to_datetime(clock.now() + 45 * SECOND)
    stored_by_worker: Data = {"lease": {"token": "t", "until": until, "fence": 1, "stamp": "s"}}
    documents.inner.inner.commit([Create("agent_jobs/busy", stored_by_worker), Create("agent_jobs/idle", {"n": 1})])

    run_once = Migrations(documents, clock, lambda line: None).run(MIGRATIONS[0].build(services))

    assert run_once.is_complete
    assert clock.now() > from_datetime(until)
    assert [
        each.data[SCHEMA_VERSION] for each in documents.inner.inner.query(Query(collection="agent_jobs", limit=9))
    ] == [
        1,
        1,
    ]


def test_command_that_a_person_interrupts_says_so_and_can_be_repeated(life, capsys):
    faulty = FaultyDocuments(life.memory, at=4, error=KeyboardInterrupt())

    code = main(["migrate", "schema-versions"], in_memory(documents=faulty))

    assert code == 130
    assert capsys.readouterr().err.endswith("Interrupted.\n")
    assert main(["migrate", "schema-versions"], life.world.services) == 0


@pytest.mark.parametrize("fields", [{}, {"relay": 17}], ids=["without a field", "that looks waiting"])
def test_marker_of_a_newer_release_holds_up_no_other_users_events(life, fields):
    path = next(path for path in life.memory._documents if kind_of(path) == "accounts/*/outbox")
    beth = life.world.person(email="beth@example.com", credits_=5)
    newer: dict[str, Any] = {"form": "unknown", SCHEMA_VERSION: 99, **fields}
    life.memory.commit([Put(path, newer)])

    done = life.world.services.jobs.run_schedule("every_minute")

    assert done["relay"] == 1
    assert life.memory.get(path).data == newer
    assert life.memory.get(f"accounts/{beth.uid}/outbox/log").data["relay"] is None


def test_marker_of_an_earlier_release_is_found_by_the_job_once_migrated(life):
    path = f"accounts/{life.world.person(email='beth@example.com', credits_=5).uid}/outbox/log"
    marker = life.memory.get(path)
    life.memory.commit([Put(path, {name: marker.data[name] for name in ("uid", "seq", "at")})])
    unseen = life.world.services.jobs.run_schedule("every_minute")["relay"]

    assert main(["migrate", "markers"], life.world.services) == 0

    assert life.memory.get(path).data["relay"] == marker.data["relay"]
    assert life.world.services.jobs.run_schedule("every_minute")["relay"] == 1
    assert life.memory.get(path).data["relay"] is None
    assert unseen == 1, "the other account of the life"
