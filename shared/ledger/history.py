"""History of an account, page by page: newest first, by kind, time, API key and object."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import orjson

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, Uid
from shared.ledger.about import CALL_PURPOSES
from shared.ledger.account import Account
from shared.ledger.entries import NOTELESS_KINDS, POSTED_KINDS
from shared.ledger.entry_index import KEY, REF, UNTOLD, index_mark, ref_mark
from shared.ledger.errors import UNREADABLE, EntryNotFound, IntegrityFailed
from shared.ledger.heads import Head
from shared.ledger.links import EntryChecks
from shared.ledger.store import NO_MARKS, AccountStore
from shared.ledger.stored_entries import StoredEntry
from shared.ledger.views import EntryView, HistoryPage, entry_view, hold_needed

T = TypeVar("T")

DISJUNCTIONS_MAX = 30
"""Most combinations of accepted values in a query; see
https://firebase.google.com/docs/firestore/query-data/queries#limits_on_or_queries.
"""
PAGE_DOCUMENTS = 20
"""Most documents of a page beside the account, if the page has no larger limit."""
HOLD_PLACES = 2
"""Number of documents in which an ended hold may be found."""
GUESSES_MAX = 2
"""Number of guesses between two halvings, in the search for an entry by time."""
SEARCH_READS_MAX = 20
"""Most reads of the search by time in a journal of 2^19 entries. If a guess could need more, the search only halves."""


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
    def marks(self) -> Mapping[str, Sequence[bytes]]:
        """Accepted values of the index fields. Empty if the filter accepts every entry of its kinds and times.

        A query of very many kinds asks for the object alone, since one query has DISJUNCTIONS_MAX combinations at most.
        """
        told = {REF: (ref_mark(self.ref), UNTOLD)} if self.ref is not None else {}
        by_key = {KEY: (index_mark(self.key), UNTOLD)} if self.key is not None else {}
        is_asked = not told or len(self.kinds) * 4 <= DISJUNCTIONS_MAX
        return {**told, **by_key} if is_asked else told

    def has(self, entry: EntryView) -> bool:
        """Return True if the entry matches the wanted key and object."""
        is_of_key = self.key is None or entry.about.key_id == self.key
        return is_of_key and (self.ref is None or entry.about.is_named(self.ref))


class EntryHistory:
    """Reader of the entries of accounts. Every entry is verified before it is shown. Safe to share between threads."""

    def __init__(self, store: AccountStore, checks: EntryChecks) -> None:
        self._store = store
        self._checks = checks

    def page(self, head: Head, wanted: EntryFilter, *, before: int | None, limit: int) -> HistoryPage:
        """Return wanted entries below seq `before`, newest first.

        Other entries are not read, except those of earlier releases if an object or API key is wanted. One call reads
        `limit` or PAGE_DOCUMENTS documents at most, notes and holds included. So a page may be short or empty and still
        have a `before` to continue from. Raises IntegrityFailed for an entry that the ledger did not write; UnknownKey.
        """
        account = head.account
        last, searched = self._last(account, wanted, before)
        budget = max(limit, PAGE_DOCUMENTS) - searched
        if budget < 1:
            return HistoryPage(items=(), before=last + 1 if last >= 1 else None)
        read, rest = self._affordable(head, wanted, last, limit, budget)
        in_time = [each for each in read if _is_within(account.uid, each, wanted)]
        views = self._views(account, in_time)
        found = [(entry, view) for entry, view in zip(in_time, views, strict=True) if wanted.has(view)]
        self._checks.require_page(account.uid, [entry for entry, _ in found], (account.seq, account.head))
        is_past = bool(read) and wanted.since is not None and _at(account.uid, read[-1]) < wanted.since
        is_over = rest is None or rest <= 1 or is_past
        return HistoryPage(items=tuple(self._noted(account.uid, found)), before=None if is_over else rest)

    def _affordable(
        self, head: Head, wanted: EntryFilter, last: int, limit: int, budget: int
    ) -> tuple[list[StoredEntry], int | None]:
        """Return at most `limit` entries up to `last` that may be wanted, and the seq below which others may follow.

        The entries, their notes and their holds are `budget` documents at most. So the second half is read once the
        notes and holds of the first half are known. One entry is always returned.
        """
        half = min(limit, -(-budget // 2))
        read, rest = self._candidates(head, wanted, last, half)
        kept = _prefix(head.account, read, budget - len(read), least=1)
        if len(kept) < len(read):
            return kept, kept[-1].seq
        spent = half + sum(_documents_beside(head.account, each) for each in kept)
        left = min(limit - len(kept), budget - spent)
        if rest is None or rest <= 1 or left < 1:
            return kept, rest
        read, below = self._candidates(head, wanted, rest - 1, left)
        more = _prefix(head.account, read, budget - spent - max(1, len(read)), least=0)
        cut = more[-1].seq if more else rest
        return [*kept, *more], below if len(more) == len(read) else cut

    def _candidates(
        self, head: Head, wanted: EntryFilter, last: int, limit: int
    ) -> tuple[list[StoredEntry], int | None]:
        """Return at most `limit` entries up to `last` that may be wanted, newest first.

        The second value is the seq below which others may follow; None if there are no others. Entries that may lack
        index fields are read by their kinds alone.
        """
        marks, first = wanted.marks, head.next_indexed
        if not marks or first <= 1:
            found = self._newest(head, wanted.kinds, (1, last), limit, marks)
            return found, found[-1].seq if len(found) == limit else None
        found = self._newest(head, wanted.kinds, (first, last), limit, marks)
        left = limit - max(len(found), last >= first)
        if left < 1:
            return found, found[-1].seq if found else first
        older = self._newest(head, wanted.kinds, (1, min(last, first - 1)), left, NO_MARKS)
        return [*found, *older], older[-1].seq if len(older) == left else None

    def _newest(
        self, head: Head, kinds: frozenset[str], seqs: tuple[int, int], limit: int, marks: Mapping[str, Sequence[bytes]]
    ) -> list[StoredEntry]:
        """Return at most `limit` entries between the two numbers, newest first; see `AccountStore.newest`."""
        first, last = seqs
        return self._store.newest(head.account.uid, first, last, kinds, limit, marks) if last >= first else []

    def entry(self, account: Account, seq: int) -> EntryView:
        """Return one entry, with its note. Raises EntryNotFound, IntegrityFailed, UnknownKey."""
        stored = self._store.entries(account.uid, seq, seq) if 1 <= seq <= account.seq else []
        if not stored:
            raise EntryNotFound
        self._checks.require_page(account.uid, stored, (account.seq, account.head))
        [view] = self._noted(account.uid, list(zip(stored, self._views(account, stored), strict=True)))
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

        Entries are in order of time. The search guesses the place by the times at both ends of the rest, and halves the
        rest after GUESSES_MAX guesses, so that few entries are read however the times are spread.
        """
        low, high, reads = 0, account.seq + 1, 0
        low_at, high_at = None, account.at
        while high - low > 1:
            if low_at is None:
                middle = 1
            elif reads % (GUESSES_MAX + 1) == GUESSES_MAX or reads + (high - low).bit_length() >= SEARCH_READS_MAX:
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

    def _noted(self, uid: Uid, found: Sequence[tuple[StoredEntry, EntryView]]) -> list[EntryView]:
        """Return the entries with their notes. Notes are read for entries that have one, and for those that do not
        tell.
        """
        notes = self._store.notes(uid, {entry.operation for stored, entry in found if _may_have_note(stored, entry)})
        return [replace(entry, note=notes.get(entry.operation)) for _, entry in found]


def _prefix(account: Account, entries: Sequence[StoredEntry], allowance: int, *, least: int) -> list[StoredEntry]:
    """Return the first entries whose notes and holds are `allowance` documents at most, or `least` entries."""
    kept = list[StoredEntry]()
    for entry in entries:
        allowance -= _documents_beside(account, entry)
        if allowance < 0 and len(kept) >= least:
            break
        kept.append(entry)
    return kept


def _documents_beside(account: Account, entry: StoredEntry) -> int:
    """Return the most documents beside an entry that a page reads: a note, and two places of a hold."""
    hold = _read(account.uid, entry, hold_needed)
    has_note = _may_have_note(entry, _read(account.uid, entry, entry_view))
    return has_note + (HOLD_PLACES if hold is not None and hold not in account.holds else 0)


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
