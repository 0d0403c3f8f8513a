"""History of an account, page by page: newest first, by kind, time, API key and object."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, Uid
from shared.ledger.account import Account
from shared.ledger.entries import POSTED_KINDS
from shared.ledger.errors import EntryNotFound, IntegrityFailed
from shared.ledger.store import AccountStore, StoredEntry
from shared.ledger.views import EntryView, HistoryPage, entry_view, hold_needed

HISTORY_WINDOW = 100
"""Number of entry ids in one window. Entries are read back from the head in windows, filtered by the wanted kinds."""
HISTORY_WINDOWS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Filter of entries: by kinds, from `since` to `until` (both included), by API key, by object.

    `ref` is `type:id`, or an id. `key` is the id of an API key. A field that is None matches all entries.
    """

    kinds: frozenset[str] = POSTED_KINDS
    since: Millis | None = None
    until: Millis | None = None
    ref: str | None = None
    key: str | None = None

    @property
    def is_about_any(self) -> bool:
        """True if the filter accepts every entry of its kinds and times."""
        return self.ref is None and self.key is None

    def has(self, entry: EntryView) -> bool:
        """Return True if the entry matches the wanted key and object."""
        is_of_key = self.key is None or entry.about.key_id == self.key
        return is_of_key and (self.ref is None or entry.about.is_named(self.ref))


class EntryHistory:
    """Reader of the entries of accounts. Safe to share between threads."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def page(self, account: Account, wanted: EntryFilter, *, before: int | None, limit: int) -> HistoryPage:
        """Return wanted entries below seq `before`, newest first.

        One call reads a bounded number of entries. So a page may be short or empty and still have a `before` to
        continue from.
        """
        uid = account.uid
        oldest, last = self._bounds(account, wanted, before)
        found: list[StoredEntry] = []
        for _ in range(HISTORY_WINDOWS_MAX):
            if last < oldest or len(found) > limit:
                break
            first = max(oldest, last - HISTORY_WINDOW + 1)
            stored = self._store.entries(uid, first, last, wanted.kinds)
            found += self._those(account, wanted, stored[::-1])
            last = first - 1
        page = self._noted(uid, self._views(account, found[:limit]))
        before = page[-1].seq if len(found) > limit else last + 1
        return HistoryPage(items=tuple(page), before=before if before > oldest else None)

    def entry(self, account: Account, seq: int) -> EntryView:
        """Return one entry, with its note. Raises EntryNotFound."""
        stored = self._store.entries(account.uid, seq, seq) if 1 <= seq <= account.seq else []
        if not stored:
            raise EntryNotFound
        [view] = self._noted(account.uid, self._views(account, stored))
        return view

    def _bounds(self, account: Account, wanted: EntryFilter, before: int | None) -> tuple[int, int]:
        """Return the first and the last seq that match the wanted times."""
        last = min(account.seq, account.seq if before is None else before - 1)
        oldest = 1 if wanted.since is None else self._first_at(account.uid, wanted.since, last)
        if wanted.until is not None:
            last = self._first_at(account.uid, wanted.until + 1, last) - 1
        return oldest, last

    def _first_at(self, uid: Uid, at: Millis, last: int) -> int:
        """Return the first seq whose entry is of `at` or later, `last` + 1 if none is: entries are in order of time."""
        low, high = 1, last + 1
        while low < high:
            middle = (low + high) // 2
            stored = self._store.entries(uid, middle, middle)
            if not stored:
                raise IntegrityFailed(uid=uid, seq=middle, rule="sequence")
            if orjson.loads(stored[0].body)["at"] < at:
                low = middle + 1
            else:
                high = middle
        return low

    def _those(self, account: Account, wanted: EntryFilter, stored: Sequence[StoredEntry]) -> Sequence[StoredEntry]:
        if wanted.is_about_any:
            return stored
        views = self._views(account, stored)
        return [entry for entry, view in zip(stored, views, strict=True) if wanted.has(view)]

    def _views(self, account: Account, stored: Sequence[StoredEntry]) -> list[EntryView]:
        """Return the entries as views. The holds that older entries name are read together."""
        needed = [hold_needed(entry) for entry in stored]
        gone = {name for name in needed if name is not None and name not in account.holds}
        holds = {**account.holds, **self._store.archived_holds(account.uid, sorted(gone))}
        pairs = zip(stored, needed, strict=True)
        return [entry_view(entry, holds.get(HoldId(name)) if name else None) for entry, name in pairs]

    def _noted(self, uid: Uid, entries: list[EntryView]) -> list[EntryView]:
        notes = self._store.notes(uid, {entry.operation for entry in entries})
        return [replace(entry, note=notes.get(entry.operation)) for entry in entries]
