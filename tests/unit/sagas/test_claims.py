"""The claim of a turn: the lease that is let go is the one that the last renewal has left."""

import threading
from collections.abc import Callable

import pytest

from shared.kernel.documents import Patch
from shared.kernel.ids import OperationId, Uid
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.metering.claims import KeyedClaim, Turns

OPERATION = OperationId("op_1")


class WatchedLock:
    """A lock that says when somebody waits for it."""

    def __init__(self) -> None:
        self.lock, self.is_asked = threading.Lock(), threading.Event()

    def __enter__(self) -> None:
        self.is_asked.set()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


@pytest.mark.parametrize("let_go", [KeyedClaim.give_up, KeyedClaim.forget_turn])
def test_turn_is_let_go_although_its_renewal_is_under_way(let_go: Callable[[KeyedClaim], None]):
    documents, clock = MemoryDocuments(), ManualClock()
    _, claim = Turns(documents, clock).begin_turn(OPERATION, uid=Uid("ann"), conversation_id="", fingerprint="f")
    assert isinstance(claim, KeyedClaim)
    claim.stop()
    lock = WatchedLock()
    claim._lock = lock  # type: ignore[assignment]  # as a lock is used here
    with lock.lock:
        ending = threading.Thread(target=let_go, args=(claim,))
        ending.start()
        assert lock.is_asked.wait(30)
        (claim._version,) = documents.commit([Patch(claim._path, {"lease_until": clock.now() + 1}, claim._version)])
    ending.join()

    turn = documents.get(claim._path)
    assert turn is None or turn.data["lease_until"] == 0
