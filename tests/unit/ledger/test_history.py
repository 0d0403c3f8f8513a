from shared.kernel.ids import HoldId, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import PlaceHold, Release
from shared.ledger.history import HISTORY_WINDOW, HISTORY_WINDOWS_MAX
from shared.platform.memory.documents import MemoryDocuments
from tests.support.ledgers import UID, World, charge, grant


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


def test_a_rare_kind_far_back_is_found_in_bounded_steps():
    ledger = World().ledger
    ledger.execute(UID, grant("g", 100))
    for number in range(HISTORY_WINDOW * HISTORY_WINDOWS_MAX // 2 + 1):
        hold = HoldId(f"hold_{number}")
        place = PlaceHold(
            operation=operation_id("place", hold),
            amount=Micro(1),
            hold=hold,
            purpose="chat",
            lifetime=1_000_000,
            principal=UID,
        )
        ledger.execute(UID, place)
        ledger.execute(UID, Release(operation=operation_id("release", hold), hold=hold))

    first = ledger.history(UID, before=None, limit=10)
    second = ledger.history(UID, before=first.before, limit=10)

    assert first.items == ()
    assert [entry.kind for entry in second.items] == ["grant"]
    assert second.before is None


class Counting(MemoryDocuments):
    """A store that counts the documents that queries have read."""

    read = 0

    def query(self, query):
        found = super().query(query)
        self.read += len(found)
        return found


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
    assert documents.read == 1


def test_an_account_that_is_not_open_has_no_history():
    assert World().ledger.history(UID, before=None, limit=10).items == ()
