"""What readers see of an account: balances, entries and holds, as values."""

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
from shared.ledger.store import StoredEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class LotView:
    """A lot that still has something; µcr."""

    id: LotId
    source: str
    is_paid: bool
    granted: int
    available: int
    held: int
    expires_at: Millis | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """An account at one moment; µcr. `available` is in lots and not held."""

    available: int
    held: int
    debt: int
    status: Status
    seq: int
    updated_at: Millis
    lots: tuple[LotView, ...] = ()

    @property
    def total(self) -> int:
        """What is available and what is held."""
        return self.available + self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldView:
    """A hold, open or resolved; µcr. `amount` is what was set aside in all."""

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
    """What is set aside now."""

    @property
    def ends_at(self) -> Millis | None:
        """When the hold ends by itself; None for credits of a disputed payment, which no time ends."""
        return None if self.expires_at >= TIME_MAX else self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHolds:
    """The open holds of an account as of its entry `seq`."""

    seq: int
    holds: tuple[HoldView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """One entry as history tells it; `amount` is the change of available + held − debt, in µcr.

    `balance_after` is what was available after the entry; `usage` what was used, None where nothing is counted.
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
    """How the hold ended that this entry ended; None if it ended none."""
    principal: str | None = None
    """Who placed the hold; told where a hold begins, and where the platform bore some of a call."""
    model: str | None = None
    """The model that the hold's call asks; told where the principal is."""
    beyond_cap: int | None = None
    """How much (µcr) a call took beyond a cap, as it cost more than its bound; None if it kept to its caps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Some of an account's history, newest first; `before` continues behind it, None at the first entry."""

    items: tuple[EntryView, ...]
    before: int | None


def balance_of(account: Account) -> Balance:
    """The balance that an account's state says."""
    return Balance(
        available=account.available,
        held=account.held,
        debt=account.debt,
        status=account.status,
        seq=account.seq,
        updated_at=account.at,
        lots=tuple(_lot_view(lot) for lot in account.lots.values()),
    )


def hold_view(hold: Hold) -> HoldView:
    """A hold as its owner sees it."""
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
    """An entry as history tells it. `known` is the hold that it names: an older entry does not tell its purpose."""
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
    """Return the hold that must be known to say what an entry was for; None if the entry tells it."""
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
