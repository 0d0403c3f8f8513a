"""History of an account, page by page: newest first, by kind, time, API key and object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import orjson

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, Uid
from shared.ledger.about import CALL_PURPOSES
from shared.ledger.account import Account
from shared.ledger.entries import NOTELESS_KINDS, POSTED_KINDS
from shared.ledger.errors import UNREADABLE, EntryNotFound, IntegrityFailed
from shared.ledger.links import EntryChecks
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry
from shared.ledger.views import EntryView, HistoryPage, entry_view, hold_needed

T = TypeVar("T")

HISTORY_WINDOW = 100
"""Number of entries that are read at once in search of an API key or an object."""
HISTORY_WINDOWS_MAX = 20
GUESSES_MAX = 2
"""Number of guesses between two halvings, in the search for an entry by time."""


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
    """Reader of the entries of accounts. Every entry is verified before it is shown. Safe to share between threads."""

    def __init__(self, store: AccountStore, checks: EntryChecks) -> None:
        self._store = store
        self._checks = checks

    def page(self, account: Account, wanted: EntryFilter, *, before: int | None, limit: int) -> HistoryPage:
        """Return wanted entries below seq `before`, newest first.

        Entries of other kinds are not read. One call reads a bounded number of entries. So a page may be short or empty
        and still have a `before` to continue from. Raises IntegrityFailed for an entry that the ledger did not write;
        UnknownKey.
        """
        last, searched = self._last(account, wanted, before)
        if wanted.is_about_any:
            found, rest = self._read(account, wanted, last, max(1, limit - searched))
        else:
            found, rest = self._searched(account, wanted, last, limit)
        self._checks.require_page(account.uid, found, (account.seq, account.head))
        return HistoryPage(items=tuple(self._noted(account.uid, found, self._views(account, found))), before=rest)

    def _searched(
        self, account: Account, wanted: EntryFilter, last: int, limit: int
    ) -> tuple[list[StoredEntry], int | None]:
        """Return the entries up to `last` that are about the wanted key and object, and where to continue, or None."""
        found: list[StoredEntry] = []
        before: int | None = last + 1
        for _ in range(HISTORY_WINDOWS_MAX):
            if before is None or len(found) > limit:
                break
            window, before = self._read(account, wanted, before - 1, HISTORY_WINDOW)
            views = self._views(account, window)
            found += [entry for entry, view in zip(window, views, strict=True) if wanted.has(view)]
        return found[:limit], found[limit - 1].seq if len(found) > limit else before

    def _read(
        self, account: Account, wanted: EntryFilter, last: int, limit: int
    ) -> tuple[list[StoredEntry], int | None]:
        """Return at most `limit` entries of the wanted kinds and times up to `last`, newest first.

        The second value is the seq below which others may follow; None if there are no others.
        """
        stored = self._store.newest(account.uid, 1, last, wanted.kinds, limit) if last >= 1 else []
        first = stored[-1] if len(stored) == limit else None
        is_after = first is not None and (wanted.since is None or _at(account.uid, first) >= wanted.since)
        is_more = first is not None and first.seq > 1 and is_after
        in_time = [each for each in stored if _is_within(account.uid, each, wanted)]
        return in_time, first.seq if first is not None and is_more else None

    def entry(self, account: Account, seq: int) -> EntryView:
        """Return one entry, with its note. Raises EntryNotFound, IntegrityFailed, UnknownKey."""
        stored = self._store.entries(account.uid, seq, seq) if 1 <= seq <= account.seq else []
        if not stored:
            raise EntryNotFound
        self._checks.require_page(account.uid, stored, (account.seq, account.head))
        [view] = self._noted(account.uid, stored, self._views(account, stored))
        return view

    def _last(self, account: Account, wanted: EntryFilter, before: int | None) -> tuple[int, int]:
        """Return the last seq that may be wanted, and the number of entries read to find that seq.

        A page that begins below another begins below the end of the wanted time as well, so nothing is searched.
        """
        if before is not None:
            return min(account.seq, before - 1), 0
        if wanted.until is None or wanted.until >= account.at:
            return account.seq, 0
        return self._last_until(account, wanted.until)

    def _last_until(self, account: Account, until: Millis) -> tuple[int, int]:
        """Return the last seq whose entry is of `until` or earlier, 0 if none is, and the number of entries read.

        Entries are in order of time. The search guesses the place by the times at both ends of what is left, and halves
        what is left after GUESSES_MAX guesses, so that few entries are read however the times are spread.
        """
        low, high, reads = 0, account.seq + 1, 0
        low_at, high_at = None, account.at
        while high - low > 1:
            if low_at is None:
                middle = 1
            elif reads % (GUESSES_MAX + 1) == GUESSES_MAX:
                middle = (low + high) // 2
            else:
                part = (until - low_at) * (high - low) // max(1, high_at - low_at)
                middle = max(low + 1, min(low + part, high - 1))
            stored, reads = self._store.entries(account.uid, middle, middle), reads + 1
            if not stored:
                raise IntegrityFailed(uid=account.uid, seq=middle, rule="sequence")
            at = _at(account.uid, stored[0])
            if at <= until:
                low, low_at = middle, at
            else:
                high, high_at = middle, at
        return low, reads

    def _views(self, account: Account, stored: Sequence[StoredEntry]) -> list[EntryView]:
        """Return the entries as views. The holds that older entries name are read together."""
        needed = [_read(account.uid, entry, hold_needed) for entry in stored]
        gone = {name for name in needed if name is not None and name not in account.holds}
        holds = {**account.holds, **self._store.archived_holds(account.uid, sorted(gone))}
        pairs = zip(stored, needed, strict=True)
        known = [(entry, holds.get(HoldId(name)) if name else None) for entry, name in pairs]
        return [_read(account.uid, entry, partial(entry_view, known=hold)) for entry, hold in known]

    def _noted(self, uid: Uid, stored: Sequence[StoredEntry], entries: Sequence[EntryView]) -> list[EntryView]:
        """Return the entries with their notes. Notes are read for entries that have one, and for those that do not
        tell.
        """
        pairs = zip(stored, entries, strict=True)
        notes = self._store.notes(uid, {entry.operation for each, entry in pairs if _may_have_note(each, entry)})
        return [replace(entry, note=notes.get(entry.operation)) for entry in entries]


def _may_have_note(stored: StoredEntry, entry: EntryView) -> bool:
    """Return False if the entry tells that it has no note, or is of a call, which has none."""
    if stored.has_note is not None:
        return stored.has_note
    return stored.kind not in NOTELESS_KINDS and not (stored.kind == "hold" and entry.about.purpose in CALL_PURPOSES)


def _read(uid: Uid, entry: StoredEntry, read: Callable[[StoredEntry], T]) -> T:
    """Return the result of `read`. Raises IntegrityFailed if the ledger did not write the entry."""
    try:
        return read(entry)
    except UNREADABLE as error:
        raise IntegrityFailed(uid=uid, seq=max(entry.seq, 0), rule="canonical") from error


def _at(uid: Uid, entry: StoredEntry) -> Millis:
    return _read(uid, entry, lambda stored: Millis(orjson.loads(stored.body)["at"]))


def _is_within(uid: Uid, entry: StoredEntry, wanted: EntryFilter) -> bool:
    if wanted.since is None and wanted.until is None:
        return True
    at = _at(uid, entry)
    return (wanted.since is None or at >= wanted.since) and (wanted.until is None or at <= wanted.until)
