"""Pages of an account's history: whole, in order, and no more documents read than shown."""

from dataclasses import replace

import orjson
import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.documents import Create, Data, Put
from shared.ledger.heads import Head
from shared.ledger.history import EntryFilter, EntryHistory
from shared.ledger.links import EntryChecks
from shared.ledger.store import AccountStore, entry_path
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import NOW, adjust
from tests.support.ledgers import KEYS, UID, World, charge, grant

ACCOUNT_DOCUMENTS = ("accounts", "sealed")
"""Documents that are read for the account of each page."""


def test_pages_meet_without_a_gap_and_the_last_one_says_so():
    ledger = World().ledger
    ledger.execute(UID, grant("g", 100))
    for number in range(4):
        ledger.execute(UID, charge(f"c{number}", 1))

    first = ledger.history(UID, before=None, limit=3)
    second = ledger.history(UID, before=first.before, limit=3)

    assert [entry.seq for entry in first.items] == [5, 4, 3]
    assert [entry.seq for entry in second.items] == [2, 1]
    assert second.before is None
    assert ledger.history(UID, before=None, limit=5).before is None


class Counting(MemoryDocuments):
    """A store that counts the documents that queries have read."""

    read = 0

    def query(self, query):
        found = super().query(query)
        self.read += len(found)
        return found

    def get_all(self, paths):
        self.read += len(set(paths))
        return super().get_all(paths)


def test_history_reads_no_entry_of_a_kind_that_is_not_wanted():
    documents = Counting()
    ledger = World(documents=documents).ledger
    ledger.execute(UID, grant("g", 1_000))
    for number in range(150):
        ledger.execute(UID, charge(f"c{number}", 1))
    documents.read = 0

    empty = ledger.history(UID, before=None, limit=10, kinds=frozenset({"refund"}))
    grants = ledger.history(UID, before=None, limit=10, kinds=frozenset({"grant"}))

    assert empty.items == ()
    assert [entry.kind for entry in grants.items] == ["grant"]
    assert documents.read == 1 + 2 * len(ACCOUNT_DOCUMENTS)


class Unchecked(EntryChecks):
    """Checks that accept all: the entries of a long history are not signed."""

    def require_page(self, *_):
        """Accept the page."""


CHECKS = Unchecked(verifier=KEYS, ledger="demo-test")


def store_on(documents: MemoryDocuments) -> AccountStore:
    return AccountStore(documents, KEYS, "demo-test")


def data_of(documents: MemoryDocuments, path: str) -> Data:
    document = documents.get(path)
    assert document is not None
    return document.data


def long_history(documents: MemoryDocuments, count: int) -> Head:
    """Store `count` entries, a charge in each minute and every fifth a hold, and return the head of their account."""
    world = World(documents=documents)
    world.ledger.execute(UID, grant("g", 1_000))
    world.ledger.execute(UID, charge("c", 1))
    head = store_on(documents).read(UID).head
    data = data_of(documents, entry_path(UID, 2))
    body = orjson.loads(str(data["body"]))
    for first in range(3, count + 1, 2_000):
        documents.commit(
            [
                Create(
                    entry_path(UID, seq),
                    {
                        **{name: data[name] for name in data if name != "has_note"},
                        "kind": "hold" if seq % 5 == 0 else "charge",
                        "body": orjson.dumps({**body, "seq": seq, "op": f"o{seq}", "at": NOW + seq * MINUTE}).decode(),
                    },
                )
                for seq in range(first, min(first + 2_000, count + 1))
            ]
        )
    return replace(head, account=replace(head.account, seq=count, at=NOW + count * MINUTE))


@pytest.mark.parametrize("count", [100, 10_000, 100_000])
def test_history_page_reads_as_many_documents_as_it_shows(count):
    documents = Counting()
    head = long_history(documents, count)
    history, limit = EntryHistory(store_on(documents), CHECKS), 20
    middle = NOW + count // 2 * MINUTE
    pages = {
        "newest": (EntryFilter(), None),
        "old": (EntryFilter(), count // 3),
        "rare": (EntryFilter(kinds=frozenset({"grant"})), None),
        "none": (EntryFilter(kinds=frozenset({"refund"})), None),
        "holds": (EntryFilter(kinds=frozenset({"hold"})), None),
        "since": (EntryFilter(since=NOW + (count - 3) * MINUTE), None),
        "until": (EntryFilter(until=middle), None),
    }
    for name, (wanted, before) in pages.items():
        documents.read = 0
        page = history.page(head, wanted, before=before, limit=limit)
        assert documents.read + len(ACCOUNT_DOCUMENTS) <= 22, name
        assert len(page.items) <= limit, name
    until = history.page(head, EntryFilter(until=middle), before=None, limit=limit)
    assert [entry.seq for entry in until.items][:3] == [each for each in range(count // 2, 0, -1) if each % 5][:3]


@pytest.mark.parametrize("first", [0, 1, 4, 9, 10, 11])
def test_history_until_a_time_ends_at_the_last_entry_of_that_time(first):
    """Several entries share a time, and the times are spread unevenly."""
    world = World()
    for number in range(10):
        world.ledger.execute(UID, grant(f"g{number}", 1))
        world.clock.advance(0 if number in {2, 3, 4} else MINUTE * 10**number)
    at = {entry.seq: entry.at for entry in world.ledger.history(UID, before=None, limit=20).items}
    until = at[first] if first in at else (NOW - 1 if first == 0 else world.clock.now())

    page = world.ledger.history(UID, before=None, limit=20, wanted=EntryFilter(until=until))
    seqs = [entry.seq for entry in page.items]
    while page.before is not None:
        page = world.ledger.history(UID, before=page.before, limit=20, wanted=EntryFilter(until=until))
        seqs += [entry.seq for entry in page.items]

    assert seqs == [seq for seq in range(10, 0, -1) if at[seq] <= until]


def test_history_reads_notes_of_entries_that_have_one_or_do_not_tell():
    documents = Counting()
    world = World(documents=documents)
    world.ledger.execute(UID, grant("g", 1_000))
    world.ledger.execute(UID, adjust(5))
    for number in range(3):
        world.ledger.execute(UID, charge(f"c{number}", 1))
    old = data_of(documents, entry_path(UID, 2))
    documents.commit([Put(entry_path(UID, 2), {name: old[name] for name in old if name != "has_note"})])
    documents.read = 0

    page = world.ledger.history(UID, before=None, limit=10)

    assert [entry.note for entry in page.items] == [None, None, None, "why", None]
    assert documents.read == len(ACCOUNT_DOCUMENTS) + 5 + 1


def test_old_entries_of_calls_are_asked_for_no_note():
    documents = Counting()
    head = long_history(documents, 100)
    documents.read = 0

    EntryHistory(store_on(documents), CHECKS).page(head, EntryFilter(), before=90, limit=20)

    assert documents.read == 20


def test_an_account_that_is_not_open_has_no_history():
    assert World().ledger.history(UID, before=None, limit=10).items == ()
