"""Accounts with a document of every kind below `accounts/{uid}`, and the documents of one account to edit."""

from collections.abc import Iterable

from shared.bootstrap import Services
from shared.kernel.clock import DAY
from shared.kernel.documents import Data, Delete, Put
from shared.kernel.ids import OperationId, Uid
from shared.ledger.hold_names import capture_operation, hold_id
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask


def fill(services: Services, uid: Uid) -> None:
    """Fill an account: an open, an empty and an expiring lot, open and ended holds, a note, records of every kind."""
    ledger, clock = services.credits.ledger, services.clock
    call = OperationId("call")
    ledger.execute_all(
        uid,
        [
            ask.grant("gift", 100, operation="g1", expires_at=clock.now() + 40 * DAY),
            ask.grant("paid", 5_000, operation="g2", source="world:stripe", is_paid=True, priority=20),
            ask.hold("h1", 60, operation="h1"),
            ask.charge(40, operation="empty"),
            ask.adjust(7, operation="adjust"),
            ask.hold("h2", 40, operation="h2"),
        ],
    )
    ledger.execute_all(
        uid, [ask.capture("h1", 60, operation="c1"), ask.hold(hold_id(call), 40, operation=call, record="none")]
    )
    ledger.execute(uid, ask.capture(hold_id(call), 20, operation=capture_operation(hold_id(call)), record="passing"))


def fill_plainly(services: Services, uid: Uid) -> None:
    """Fill an account with two entries."""
    services.credits.ledger.execute_all(uid, [ask.grant("gift", 100, operation="g1"), ask.charge(1, operation="c1")])


def paths_of(documents: MemoryDocuments, uid: Uid) -> list[str]:
    """Return the paths of the account's documents."""
    of = f"accounts/{uid}"
    return sorted(path for path in documents._documents if path == of or path.startswith(f"{of}/"))


def data_of(documents: MemoryDocuments, path: str) -> Data:
    """Return the document's data as stored, with the schema version."""
    found = documents.get(path)
    assert found is not None, path
    return found.data


def put(documents: MemoryDocuments, path: str, data: Data) -> None:
    """Write the whole document as somebody else than the ledger."""
    documents.commit([Put(path, data)])


def delete(documents: MemoryDocuments, paths: Iterable[str]) -> None:
    documents.commit([Delete(path) for path in paths])
