"""Documents read together are read at times of their own: whoever commits between them deceives nobody."""

from collections.abc import Callable, Sequence

import pytest

from shared.kernel.documents import Document, Documents
from shared.kernel.ids import LotId, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant, Reverse
from shared.ledger.errors import LotExists
from shared.ledger.ledger import Ledger
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.ledgers import UID, charge, grant, ledger_on


class Torn:
    """Reads the documents of one request one after the other, last or first one first; `between` comes in between."""

    def __init__(self, inner: Documents, *, is_last_first: bool) -> None:
        self.inner = inner
        self.between: Callable[[], None] | None = None
        self._step = -1 if is_last_first else 1
        self.commit = inner.commit
        self.query = inner.query

    def get(self, path: str) -> Document | None:
        found = self.inner.get(path)
        self._meanwhile()
        return found

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        return [self.get(path) for path in paths[:: self._step]][:: self._step]

    def _meanwhile(self) -> None:
        between, self.between = self.between, None
        if between is not None:
            between()


@pytest.fixture(params=["last first", "first first"])
def torn(request: pytest.FixtureRequest) -> Torn:
    return Torn(MemoryDocuments(), is_last_first=request.param == "last first")


def test_a_lot_that_is_archived_meanwhile_is_not_said_to_be_missing(torn):
    ours, theirs = (ledger_on(documents, ManualClock()) for documents in (torn, torn.inner))
    theirs.execute(UID, grant("a", 100))
    reverse = Reverse(operation=operation_id("back"), lot=LotId("lot_a"), target=Micro(40))

    torn.between = lambda: _spend_all(theirs)
    outcome = ours.execute(UID, reverse)

    assert (outcome.receipt.reversed, outcome.receipt.owed) == (0, 40)


def test_a_lot_that_is_archived_meanwhile_is_not_granted_again(torn):
    ours, theirs = (ledger_on(documents, ManualClock()) for documents in (torn, torn.inner))
    theirs.execute(UID, grant("a", 100))
    again = Grant(operation=operation_id("again"), amount=Micro(100), lot=LotId("lot_a"), source="promo:welcome")

    torn.between = lambda: _spend_all(theirs)
    with pytest.raises(LotExists):
        ours.execute(UID, again)

    assert ours.balance(UID).total == 0
    assert ours.verify(UID) == []


def test_what_somebody_else_does_meanwhile_is_not_refused(torn):
    ours, theirs = (ledger_on(documents, ManualClock()) for documents in (torn, torn.inner))
    theirs.execute(UID, grant("a", 100))

    torn.between = lambda: _spend_all(theirs)
    outcome = ours.execute(UID, charge("all", 100))

    assert outcome.is_replay
    assert ours.balance(UID).total == 0


def _spend_all(ledger: Ledger) -> None:
    ledger.execute(UID, charge("all", 100))


class HalfShown(MemoryDocuments):
    """Shows the sealed state as it was before the last commit for some reads, as an overloaded emulator does."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Document | None = None
        self.stale_reads = 0

    def get(self, path: str) -> Document | None:
        if path.endswith("/sealed/state") and self.stale_reads > 0:
            self.stale_reads -= 1
            return self.before
        return super().get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        return [self.get(path) for path in paths]


def test_account_of_which_half_a_commit_is_shown_is_read_again():
    documents = HalfShown()
    ledger_on(documents, ManualClock()).execute(UID, grant("a", 100))
    documents.before = documents.get(f"accounts/{UID}/sealed/state")
    ledger_on(documents, ManualClock()).execute(UID, charge("b", 40))

    documents.stale_reads = 5

    assert ledger_on(documents, ManualClock()).balance(UID).available == 60
    assert documents.stale_reads == 0
