"""Looks of operators at users' data, on record in the audit trail before the data is shown."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from shared.kernel.clock import Clock, Millis, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, Patch, PreconditionFailed, StoreUnavailable
from shared.kernel.ids import Uid, derived_id
from shared.users.audit import END_OF_TIME, LOOK_WINDOW

LOOK = "look"
"""Act of a look in the audit trail. The target is the user, or MANY."""
MANY = "many"
"""Target of a look at a list with data of several users."""
LOOKS_REMEMBERED_MAX = 1_000
WRITE_ATTEMPTS_MAX = 5


@dataclass(slots=True)
class _LookWindow:
    """Looks that this instance has served in one window. `count` and `routes` are stored, `unwritten` is not."""

    path: str
    count: int = 0
    unwritten: int = 0
    routes: set[str] = field(default_factory=set)


class Looks:
    """Records of looks in the collection `audit`.

    A record is written at the first look, at the first look by a further route, and each time the count has doubled.
    So a record names every route, and `count` is at least half of the looks.
    """

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[str, str, str | None], _LookWindow] = OrderedDict()

    def record(self, actor: Uid, target: str, route: str, reason: str | None) -> None:
        """Record that the operator sees data of `target`: a uid, or MANY. Raises Unavailable if that is impossible."""
        window, looks = self._noted(actor, target, route, reason)
        if looks == 0:
            return
        try:
            count = self._write(window.path, looks, route, (actor, target, reason))
        except Exception:
            # This look is refused. The looks before it were served, and wait for the next write.
            with self._lock:
                window.unwritten += looks - 1
            raise
        with self._lock:
            window.count = max(window.count, count)
            window.routes.add(route)

    def _noted(self, actor: Uid, target: str, route: str, reason: str | None) -> tuple[_LookWindow, int]:
        """Return the present window, and the number of looks to write now: 0 if the stored record covers this look."""
        now = self._clock.now()
        path, key = look_path(actor, target, reason, now), (actor, target, reason)
        with self._lock:
            window = self._windows.get(key)
            if window is None or window.path != path:
                window = self._windows[key] = _LookWindow(path)
            self._windows.move_to_end(key)
            while len(self._windows) > LOOKS_REMEMBERED_MAX:
                self._windows.popitem(last=False)
            window.unwritten += 1
            if route in window.routes and window.unwritten < window.count:
                return window, 0
            looks, window.unwritten = window.unwritten, 0
            return window, looks

    def _write(self, path: str, looks: int, route: str, whose: tuple[str, str, str | None]) -> int:
        """Add looks to the stored record, and return its new count. Other instances write the same record."""
        for _ in range(WRITE_ATTEMPTS_MAX):
            document = self._documents.get(path)
            counted = _counted(document, looks, route)
            try:
                self._documents.commit([self._record(path, document, counted, whose)])
                return cast("int", counted["count"])
            except PreconditionFailed:
                continue
        raise StoreUnavailable

    def _record(
        self, path: str, document: Document | None, counted: Data, whose: tuple[str, str, str | None]
    ) -> Create | Patch:
        """Return the write of a new record, or of the stored record with its new count."""
        now = to_datetime(self._clock.now())
        if document is not None:
            return Patch(path, {"after": counted, "completed_at": now}, document.version)
        actor, target, reason = whose
        data: Data = {
            "at": now,
            "actor": actor,
            "act": LOOK,
            "target": target,
            "reason": reason,
            "state": "done",
            "before": None,
            "after": counted,
            "operation": None,
            "completed_at": now,
        }
        return Create(path, data)


def look_path(actor: str, target: str, reason: str | None, now: Millis) -> str:
    """Return the path of the record for looks at this time. The path sorts by the beginning of the window."""
    begun = now - now % LOOK_WINDOW
    return "audit/" + derived_id(f"{END_OF_TIME - begun:013d}_{LOOK}", actor, target, reason or "")


def _counted(document: Document | None, looks: int, route: str) -> Data:
    """Return the routes and the number of looks after `looks` further ones."""
    before = {} if document is None else cast("Mapping[str, object]", document.data["after"])
    routes = {route, *cast("Sequence[str]", before.get("routes", ()))}
    return {"count": cast("int", before.get("count", 0)) + looks, "routes": sorted(routes)}
