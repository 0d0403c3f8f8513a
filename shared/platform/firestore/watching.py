"""Standing query on Firestore: one `Listen` stream, read on a thread of its own."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.cloud.firestore_v1.types import TargetChange

from shared.kernel.documents import Document
from shared.kernel.events import log
from shared.kernel.watching import Listener
from shared.platform.firestore.calls import FirestoreCalls, RawListen

TARGET = 1
CURRENT = int(TargetChange.TargetChangeType.CURRENT)
REMOVED = int(TargetChange.TargetChangeType.REMOVE)


class FirestoreWatch:
    """Standing query as one `Listen` stream with one target; see `Watch`."""

    def __init__(self, calls: FirestoreCalls, database: str, run_query: Any, decode: Callable[[Any], Document]) -> None:
        self._calls = calls
        self._decode = decode
        self._request = RawListen(database=database)
        target = self._request.add_target
        target.target_id = TARGET
        target.query.parent = run_query.parent
        target.query.structured_query.CopyFrom(run_query.structured_query)
        target.query.structured_query.ClearField("limit")
        self._is_closed = threading.Event()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stream: Any = None

    def begin(self, listener: Listener) -> None:
        """Open the stream, and read on a new thread until the stream ends or is closed."""
        threading.Thread(target=self._read, args=(listener,), name="watch", daemon=True).start()

    def close(self) -> None:
        """End the watch; see `Watch.close`."""
        self._is_closed.set()
        self._requests.put(None)
        if self._stream is not None:
            self._stream.cancel()

    def _read(self, listener: Listener) -> None:
        self._requests.put(self._request)
        try:
            self._stream = self._calls.listen(self._listen_requests())
            for answer in self._stream:
                if self._is_closed.is_set() or not self._pass_on(answer, listener):
                    break
        except (grpc.RpcError, ValueError) as error:
            # A closed channel raises ValueError.
            if not self._is_closed.is_set():
                log("watch_broken", "WARNING", kind=type(error).__name__)
        is_broken = not self._is_closed.is_set()
        self.close()
        if is_broken:
            listener.broken()

    def _listen_requests(self) -> Iterator[Any]:
        """Yield the request, then keep the stream open until `close`."""
        return iter(self._requests.get, None)

    def _pass_on(self, answer: Any, listener: Listener) -> bool:
        """Pass one answer on to the listener.

        Return False if the store removed the target, so that no answer follows.
        """
        if answer.HasField("document_change") and TARGET in answer.document_change.target_ids:
            listener.changed([self._decode(answer.document_change.document)])
        elif answer.HasField("target_change"):
            change = answer.target_change.target_change_type
            if change == CURRENT:
                listener.caught_up()
            return bool(change != REMOVED)
        return True
