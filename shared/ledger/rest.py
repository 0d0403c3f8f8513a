"""The rest: the lots of an account that are spent last. They stand outside the state, which keeps their number and sum.

An account may have any number of lots, since no purchase may be refused for their number. The state holds the lots that
are spent next, so that a charge costs the same after one purchase and after thousands.

An entry moves lots into the rest by its fact `rest`: `lots` are the moved lots, and `due_at` is the first expiry in the
rest (0: none) if that changes. A lot returns to the state with the first posting that names the lot.
"""

from collections.abc import Iterator, Mapping

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.ids import LotId
from shared.ledger.account import NOTHING, Account, Archive, Lot
from shared.ledger.entries import Draft

LOTS_MAX = 32
"""Number of lots without held credits in the state. An entry moves the lots spent last beyond it into the rest."""
KEPT_LOTS_MAX = 64
"""Number of lots of the rest that an instance remembers between two commits to an account."""
RESTED_AT_ONCE_MAX = 64
"""Largest number of lots that one entry moves into the rest, so that a commit stays small."""


class RestNotRead(Exception):  # nothing has failed: the caller reads more and decides again
    """Signal that a decision depends on lots of the rest that were not read."""


def rest_lots(account: Account, archive: Archive) -> list[Lot]:
    """Return the first lots of the rest, in the order of consumption, as far as they were read."""
    names = archive.rest or ()
    return [archive.lots[name] for name in names if name not in account.lots]


def unread(account: Account, archive: Archive) -> int:
    """Return the credits (µcr) in lots of the rest that were not read."""
    return account.rest_available - sum(lot.available for lot in rest_lots(account, archive))


def first_due(account: Account, archive: Archive, now: Millis) -> Lot | None:
    """Return the lot of the rest that expires first, if its time is up; else None.

    Raises RestNotRead if such a lot was not read.
    """
    if not account.rest_due_at or account.rest_due_at > now:
        return None
    lots = rest_lots(account, archive)
    if not lots:
        raise RestNotRead
    return lots[0]


def rest_fact(before: Account, after: Account, draft: Draft, archive: Archive) -> dict[str, Json] | None:
    """Return the fact `rest` of an entry that leads from `before` to `after`; None if the entry needs none.

    Raises RestNotRead if the first lot that stays in the rest was not read.
    """
    moved = list(_moved(before, after, draft))
    returned = {name for name in _named(draft) if _is_in_rest(name, before, archive)}
    if not (moved or returned):
        return None
    due_at = before.rest_due_at
    if returned:
        due_at = (_first_left(before, archive, returned).expires_at or 0) if after.rest_count else 0
    due_at = min([at for at in (due_at, *(lot.expires_at for lot in moved)) if at], default=0)
    fact: dict[str, Json] = {"lots": [lot.id for lot in moved]} if moved else {}
    if due_at != before.rest_due_at and (moved or after.rest_count):
        fact["due_at"] = due_at
    return fact or None


def read_on(before: Account, after: Account, archive: Archive, left: Archive) -> Archive:
    """Return the archive for the next entry: with the lots and holds that `left` the state, and the rest's first lots.

    `archive` and `before` are the archive and the state of the entry that led to `after`.
    """
    lots, holds = {**archive.lots, **left.lots}, {**archive.holds, **left.holds}
    names, is_whole = archive.rest, archive.is_whole
    if not before.rest_count:
        names, is_whole = (), True
    if names is None:
        return Archive(lots=lots, holds=holds)
    moved = [name for name, lot in left.lots.items() if not lot.is_empty]
    stay = [name for name in names if name not in after.lots and not lots[name].is_empty and name not in moved]
    last = lots[stay[-1]].order if stay else None
    fitting = [name for name in moved if is_whole or (last is not None and lots[name].order < last)]
    ordered = tuple(sorted((*stay, *fitting), key=lambda name: lots[name].order))
    return Archive(lots=lots, holds=holds, rest=ordered, is_whole=is_whole)


def first_of_rest(archive: Archive) -> Archive:
    """Return the first lots of the rest alone, as far as they were read, for the next commit to the account."""
    if archive.rest is None:
        return NOTHING
    names = archive.rest[:KEPT_LOTS_MAX]
    is_whole = archive.is_whole and len(names) == len(archive.rest)
    return Archive(lots={name: archive.lots[name] for name in names}, rest=names, is_whole=is_whole)


def rest_fields(lot: Lot) -> Mapping[str, str]:
    """Return the field `rest_order` of a lot's document, by which the rest is read; no field for an empty lot.

    Texts of this field sort in the order of consumption.
    """
    if lot.is_empty:
        return {}
    priority, expires_at, seq = lot.order
    return {"rest_order": f"{priority:06d}:{expires_at:016d}:{seq:012d}"}


def _moved(before: Account, after: Account, draft: Draft) -> Iterator[Lot]:
    """Yield the lots that the entry moves into the rest: those spent last, if the state has more than its number.

    A granted lot that would be spent last joins a rest that is not empty, since its lots are spent before.
    """
    ordered = sorted((lot for lot in after.lots.values() if lot.may_rest), key=lambda lot: lot.order, reverse=True)
    over = min(max(0, len(ordered) - LOTS_MAX), RESTED_AT_ONCE_MAX)
    yield from ordered[:over]
    if over == 0 and before.rest_count and "lot" in draft.facts and ordered and ordered[0].id not in before.lots:
        yield ordered[0]


def _named(draft: Draft) -> set[LotId]:
    return {posting.lot for posting in draft.postings if posting.lot is not None}


def _is_in_rest(name: LotId, account: Account, archive: Archive) -> bool:
    lot: Lot | None = archive.lots.get(name)
    return lot is not None and not lot.is_empty and name not in account.lots


def _first_left(account: Account, archive: Archive, returned: set[LotId]) -> Lot:
    left = [lot for lot in rest_lots(account, archive) if lot.id not in returned]
    if not left:
        raise RestNotRead
    return left[0]


def rest_change(account: Account, lots: Mapping[LotId, Lot], archive: Archive) -> tuple[int, int]:
    """Return the change of the rest's number of lots and of their credits (µcr) by the lots that have returned.

    `lots` are the lots of the state after an entry's postings; `archive` has the lots of the rest before the entry.
    """
    if not account.rest_count:
        return 0, 0
    returned = [archive.lots[name] for name in lots if _is_in_rest(name, account, archive)]
    return -len(returned), -sum(lot.available for lot in returned)
