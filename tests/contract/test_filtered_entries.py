"""Filtered pages of a history on Firestore are the pages in memory, for each combination of filters."""

from dataclasses import replace
from itertools import product

import pytest

from emulator.suite import Suite
from shared.kernel.documents import Documents
from shared.ledger.about import about
from shared.ledger.entries import POSTED_KINDS
from shared.ledger.history import EntryFilter
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import connect
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books
from tests.support.books import MINUTE
from tests.support.indexes import IndexCheckedDocuments
from tests.support.ledgers import UID, charge, grant, ledger_on

ALL_KINDS = POSTED_KINDS | {"hold", "extension", "release", "status"}
KINDS = (POSTED_KINDS, frozenset({"hold"}), frozenset({"charge"}), ALL_KINDS)
REFS = (None, "call:a", "b", "payment:a", "reservation:r1", "none")
API_KEYS = (None, "k0", "k1", "none")


@pytest.fixture(params=["memory", "firestore"])
def ledger(request: pytest.FixtureRequest, firestore_emulator: Suite, project: str) -> Ledger:
    documents: Documents = MemoryDocuments() if request.param == "memory" else connect(project)
    clock = ManualClock()
    ledger = ledger_on(IndexCheckedDocuments(documents), clock)
    ledger.execute(UID, grant("g", 1_000))
    for number in range(12):
        clock.advance(MINUTE)
        told = about("openai", ref=("call", "abc"[number % 3]), principal=f"key:k{number % 2}")
        ledger.execute(UID, replace(charge(f"c{number}", 1), about=told))
        if number % 4 == 0:
            ledger.execute(UID, books.hold(f"h{number}", 3, about=told))
    ledger.execute(UID, books.hold("r1", 3, is_reservation=True, principal="key:k0"))
    return ledger


def test_filtered_pages_are_the_filtered_journal_on_both_stores(ledger):
    whole = ledger.history(UID, before=None, limit=100, kinds=ALL_KINDS).items
    times = (None, whole[len(whole) // 2].at)
    for kinds, ref, key, since, until in product(KINDS, REFS, API_KEYS, times, times):
        wanted = EntryFilter(kinds=kinds, ref=ref, key=key, since=since, until=until)
        expected = [
            each.seq
            for each in whole
            if each.kind in kinds
            and wanted.has(each)
            and (since is None or each.at >= since)
            and (until is None or each.at <= until)
        ]

        page = ledger.history(UID, before=None, limit=4, wanted=wanted)
        found = [each.seq for each in page.items]
        while page.before is not None:
            page = ledger.history(UID, before=page.before, limit=4, wanted=wanted)
            found += [each.seq for each in page.items]

        assert found == expected, wanted
