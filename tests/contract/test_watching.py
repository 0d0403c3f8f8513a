"""Both stores tell a listener of what matches, and of what changes; a broken watch says so."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.kernel.documents import Create, Data, Delete, Document, Put, Query, Where
from shared.kernel.watching import BrokenWatch
from shared.platform.firestore.calls import FirestoreCalls, emulator_channel
from shared.platform.firestore.documents import FirestoreDocuments, connect
from shared.platform.memory.documents import MemoryDocuments

SECONDS_MAX = 30.0
RECENT = Query(collection="notes", where=(Where("at", ">", 10),), limit=1)


@dataclass
class Heard:
    """A listener that remembers, and can be waited for."""

    data: dict[str, Data] = field(default_factory=dict)
    is_caught_up: bool = False
    is_broken: bool = False
    change: Any = field(default_factory=threading.Condition)

    def changed(self, documents: Sequence[Document]) -> None:
        with self.change:
            self.data |= {document.path: document.data for document in documents}
            self.change.notify_all()

    def caught_up(self) -> None:
        with self.change:
            self.is_caught_up = True
            self.change.notify_all()

    def broken(self) -> None:
        with self.change:
            self.is_broken = True
            self.change.notify_all()

    def until(self, is_so: Any) -> bool:
        with self.change:
            return bool(self.change.wait_for(is_so, SECONDS_MAX))


@pytest.fixture(params=["memory", "firestore"])
def documents(request, firestore_emulator, project):
    return MemoryDocuments() if request.param == "memory" else connect(project)


def test_a_watch_tells_what_matches_and_what_changes_later(documents):
    documents.commit([Create("notes/old", {"at": 1}), Create("notes/a", {"at": 11}), Create("notes/b", {"at": 12})])
    heard = Heard()

    watch = documents.watch(RECENT, heard)
    assert heard.until(lambda: heard.is_caught_up)
    assert heard.data == {"notes/a": {"at": 11}, "notes/b": {"at": 12}}
    documents.commit([Create("notes/c", {"at": 13}), Put("notes/a", {"at": 14}), Create("others/d", {"at": 15})])

    assert heard.until(lambda: "notes/c" in heard.data and heard.data["notes/a"] == {"at": 14})
    documents.commit([Delete("notes/b")])
    documents.commit([Put("notes/old", {"at": 16})])
    assert heard.until(lambda: "notes/old" in heard.data)
    assert set(heard.data) == {"notes/old", "notes/a", "notes/b", "notes/c"}
    watch.close()
    assert not heard.is_broken


def test_a_closed_watch_tells_nothing_more(documents):
    closed, open_ = Heard(), Heard()
    documents.watch(RECENT, closed).close()
    watch = documents.watch(RECENT, open_)

    documents.commit([Create("notes/new", {"at": 20})])

    assert open_.until(lambda: "notes/new" in open_.data)
    assert (closed.data, closed.is_broken) == ({}, False)
    watch.close()


def test_a_store_that_cannot_be_reached_says_that_the_watch_is_broken(project):
    database = f"projects/{project}/databases/(default)"
    documents = FirestoreDocuments(FirestoreCalls(emulator_channel("127.0.0.1:1"), database), database)
    heard = Heard()

    documents.watch(RECENT, heard)

    assert heard.until(lambda: heard.is_broken)


def test_a_store_without_changes_says_that_its_watch_is_broken():
    heard = Heard()

    BrokenWatch().watch(RECENT, heard).close()

    assert heard.is_broken
