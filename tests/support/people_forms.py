"""A small domain whose documents change their form: the code of two neighbouring releases, and their tables.

The older release stores a person with two names, the newer one with one. Each has its own repository, as two releases
have, and neither knows the other's form: the tables of schemas convert.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shared.kernel.documents import Create, Data, Documents, PreconditionFailed, Put, Query
from shared.kernel.schemas import Schema, Schemas, brought_up, is_behind
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.engine.migrations import Migration

ATTEMPTS_MAX = 20


def with_one_name(path: str, data: Data) -> Data:
    """Convert version 1 to version 2."""
    del path
    return {"name": " ".join(str(data[each]) for each in ("first", "last")), "visits": data["visits"]}


def with_two_names(path: str, data: Data) -> Data:
    """Convert version 2 to version 1."""
    del path
    first, _, last = str(data["name"]).partition(" ")
    return {"first": first, "last": last, "visits": data["visits"]}


PETS = {"people/*/pets": Schema()}
BEFORE: Schemas = {"people": Schema(), **PETS}
EXPAND: Schemas = {"people": Schema(version=1, reads={2: with_two_names}), **PETS}
MIGRATE: Schemas = {"people": Schema(version=2, reads={1: with_one_name}), **PETS}
CONTRACT: Schemas = {"people": Schema(version=2), **PETS}


@dataclass(frozen=True, slots=True)
class People:
    """What both releases do: enter a person, count a visit, and list the names."""

    documents: Documents
    data_of: Callable[[str], Data]
    name_of: Callable[[Data], str]

    def enter(self, person: str, name: str) -> None:
        self.documents.commit([Create(f"people/{person}", self.data_of(name))])

    def visit(self, person: str) -> None:
        for _ in range(ATTEMPTS_MAX):
            found = self.documents.get(f"people/{person}")
            assert found is not None
            visits = found.data["visits"]
            assert isinstance(visits, int)
            try:
                self.documents.commit([Put(found.path, {**found.data, "visits": visits + 1}, found.version)])
                return
            except PreconditionFailed:
                continue
        raise AssertionError("a visit is counted after a few attempts")

    def names(self) -> list[str]:
        return [self.name_of(each.data) for each in self.documents.query(Query(collection="people", limit=1_000))]


def older(documents: Documents, schemas: Schemas = EXPAND) -> People:
    """The release that works with version 1."""

    def data_of(name: str) -> Data:
        return with_two_names("", {"name": name, "visits": 0})

    def name_of(data: Data) -> str:
        return " ".join(str(data[each]) for each in ("first", "last"))

    return People(VersionedDocuments(documents, schemas), data_of, name_of)


def newer(documents: Documents, schemas: Schemas = MIGRATE) -> People:
    """The release that works with version 2."""
    return People(
        VersionedDocuments(documents, schemas), lambda name: {"name": name, "visits": 0}, lambda data: str(data["name"])
    )


def people_migration(documents: Documents) -> Migration:
    """The newer release's migration of all people and their pets."""
    opened = VersionedDocuments(documents, MIGRATE)

    def move(document):
        opened.commit([brought_up(document, MIGRATE)])
        return True

    return Migration(name="people", kinds=frozenset(MIGRATE), is_due=lambda each: is_behind(each, MIGRATE), move=move)
