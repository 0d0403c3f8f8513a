"""Views of an account for readers: balances, entries and holds, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, LotId
from shared.ledger.about import About, about_entry, about_hold
from shared.ledger.account import Account, Hold, HoldStatus, Lot, Status
from shared.ledger.entries import draft_of, net_change
from shared.ledger.limits import TIME_MAX
from shared.ledger.stored_entries import StoredEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class LotView:
    """Lot with available or held credits; µcr. `expires_at` is None for a lot that never expires."""

    id: LotId
    source: str
    is_paid: bool
    granted: int
    available: int
    held: int
    expires_at: Millis | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLots:
    """Number of the lots that are spent after all listed lots, and their credits (µcr)."""

    count: int = 0
    available: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """State of an account's credits at one moment; µcr. `available` counts the credits in lots that are not held."""

    available: int
    held: int
    debt: int
    status: Status
    seq: int
    updated_at: Millis
    lots: tuple[LotView, ...] = ()
    other_lots: OtherLots = OtherLots()

    @property
    def total(self) -> int:
        """Available and held credits together (µcr)."""
        return self.available + self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldView:
    """Open or resolved hold; µcr. `amount` is the amount set aside in all."""

    id: HoldId
    amount: int
    captured: int
    released: int
    status: HoldStatus
    placed_at: Millis
    expires_at: Millis
    principal: str
    is_reservation: bool
    about: About
    held: int
    """Credits (µcr) set aside now."""

    @property
    def ends_at(self) -> Millis | None:
        """Time (ms) at which the hold ends by itself; None for credits of a disputed payment, which never end by
        time.
        """
        return None if self.expires_at >= TIME_MAX else self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHolds:
    """Holds open after the account's entry `seq`."""

    seq: int
    holds: tuple[HoldView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """Entry in the history. `amount` is the change of available + held − debt, in µcr.

    `balance_after` is the amount available after the entry. `usage` has the counts of the use; None if nothing is
    counted.
    """

    seq: int
    kind: str
    at: Millis
    operation: str
    amount: int
    balance_after: int
    held_after: int
    debt_after: int
    about: About
    usage: Mapping[str, int] | None
    postings: tuple[Mapping[str, Any], ...]
    hash: str
    hold: str | None = None
    lot: str | None = None
    note: str | None = None
    end: str | None = None
    """End of the hold that this entry ended, such as `captured`; None if the entry ended no hold."""
    principal: str | None = None
    """Principal that placed the hold; None for most entries.

    The principal is recorded where a hold begins, and where the platform bore a part of a call or may have.
    """
    model: str | None = None
    """Model of the hold's call, recorded in the same entries as `principal`; None otherwise, or if there is no call."""
    beyond_cap: int | None = None
    """Amount (µcr) that a call took beyond a cap, since the call exceeded its bound; None if no cap was exceeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Page of an account's history, newest first. `before` continues behind the page; None at the first entry."""

    items: tuple[EntryView, ...]
    before: int | None


def balance_of(account: Account) -> Balance:
    """Return the balance of an account's state."""
    return Balance(
        available=account.available,
        held=account.held,
        debt=account.debt,
        status=account.status,
        seq=account.seq,
        updated_at=account.at,
        lots=tuple(_lot_view(lot) for lot in sorted(account.lots.values(), key=lambda lot: lot.order)),
        other_lots=OtherLots(count=account.rest_count, available=account.rest_available),
    )


def hold_view(hold: Hold) -> HoldView:
    """Return the view of a hold for its owner."""
    return HoldView(
        id=hold.id,
        amount=hold.placed,
        captured=hold.captured,
        released=hold.released,
        status=hold.status,
        placed_at=hold.placed_at,
        expires_at=hold.expires_at,
        principal=hold.principal,
        is_reservation=hold.is_reservation,
        about=about_hold(hold),
        held=hold.amount,
    )


def entry_view(stored: StoredEntry, known: Hold | None = None) -> EntryView:
    """Return the view of an entry in the history.

    `known` is the named hold, for an older entry without its own purpose.
    """
    body = orjson.loads(stored.body)
    hold = body.get("hold", {})
    return EntryView(
        seq=stored.seq,
        kind=body["kind"],
        at=body["at"],
        operation=body["op"],
        amount=net_change(draft_of(body)),
        balance_after=body["posted"] - body["held"],
        held_after=body["held"],
        debt_after=body["debt"],
        about=about_entry(body, known),
        usage=body.get("usage"),
        postings=tuple(body["postings"]),
        hash=stored.hash,
        hold=hold.get("id"),
        lot=body.get("lot", {}).get("id"),
        end=hold.get("end"),
        principal=hold.get("principal"),
        model=hold.get("model"),
        beyond_cap=hold.get("beyond_cap"),
    )


def hold_needed(stored: StoredEntry) -> HoldId | None:
    """Return the id of the hold that gives the entry's purpose; None if not needed.

    The hold is needed only for an older entry that names a hold and has no purpose of its own.
    """
    if '"about":' in stored.body:
        return None
    return cast("HoldId | None", orjson.loads(stored.body).get("hold", {}).get("id"))


def _lot_view(lot: Lot) -> LotView:
    return LotView(
        id=lot.id,
        source=lot.source,
        is_paid=lot.is_paid,
        granted=lot.granted,
        available=lot.available,
        held=lot.held,
        expires_at=lot.expires_at,
    )
