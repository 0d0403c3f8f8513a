"""Decide what a command makes of an account: entries, the state after them, and the answer. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import HoldId, LotId
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.account import BUDGETS_MAX, HOLDS_MAX, LOTS_MAX, TAKES_MAX, Account, Archive, Hold, Lot, check
from shared.ledger.commands import (
    Adjust,
    BudgetClaim,
    Capture,
    Charge,
    Close,
    Command,
    Expire,
    ExtendHold,
    Freeze,
    Grant,
    PlaceHold,
    RateLimit,
    Release,
    Reverse,
    Unfreeze,
)
from shared.ledger.entries import ABSORBED, ADJUSTMENT, AVAILABLE, BREAKAGE, DEBT, HELD, Draft, Entry, Kind, Posting
from shared.ledger.errors import (
    AccountClosed,
    AccountFrozen,
    BudgetExceeded,
    HoldExists,
    HoldNotFound,
    HoldResolved,
    InsufficientCredits,
    LimitReached,
    LotExists,
    LotNotFound,
    RateLimited,
    ReversalTooLarge,
)
from shared.ledger.fold import apply, live_budgets, seal_entry

Result = Mapping[str, Json]

MICROS_PER_MINUTE = 60_000_000
NO_LIFETIME_END: Millis = 2**53
TIME_MAX: Millis = 2**47
"""Nothing lives or ends beyond this (the year 6429): what is due has to be a time that the store can write."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decision:
    """The state after, the entries to write, what left the state for the archive, and what the caller is told."""

    account: Account
    entries: tuple[Entry, ...]
    archive: Archive
    result: Result


@dataclass(slots=True, eq=False, repr=False)
class _Books:
    """One account while a command is decided: everything that changes it goes through `post`."""

    account: Account
    archive: Archive
    now: Millis
    kid: str
    entries: list[Entry] = field(default_factory=list)
    left: Archive = field(default_factory=Archive)

    def post(self, kind: Kind, operation: str, postings: Iterable[Posting], **facts: Json) -> None:
        """Append an entry, and move on to the state after it."""
        draft = Draft(kind=kind, operation=operation, at=self.now, postings=tuple(postings), facts=facts)
        after, left = apply(self.account, draft, self.archive)
        self.account, entry = seal_entry(self.account, after, draft, self.kid)
        self.entries.append(entry)
        self.left = merged(self.left, left)
        self.archive = merged(self.archive, left)


def decide(account: Account, command: Command, now: Millis, *, kid: str, archive: Archive | None = None) -> Decision:
    """What `command` does to `account` at `now`, whatever is due by then first.

    `archive` holds the archived lot or hold that the command names, if there is one. Raises the errors of
    `shared.ledger.errors`; then nothing is to be written.
    """
    _check_bounds(command)
    books = _Books(account=account, archive=archive or Archive(), now=max(now, account.at), kid=kid)
    _settle_due(books)
    if books.account.status == "closed" and not isinstance(command, Expire):
        raise AccountClosed
    result = HANDLERS[type(command)](books, command)
    check(books.account)
    told = {**result, **_balance(books.account)}
    return Decision(account=books.account, entries=tuple(books.entries), archive=books.left, result=told)


def settled(account: Account, now: Millis) -> Account:
    """The account as it is at `now`, when all that is due has happened: for reading, not for writing."""
    books = _Books(account=account, archive=Archive(), now=max(now, account.at), kid="")
    _settle_due(books)
    return books.account


def merged(first: Archive, second: Archive) -> Archive:
    """Both archives as one; the second is the newer."""
    return Archive(lots={**first.lots, **second.lots}, holds={**first.holds, **second.holds})


def _balance(account: Account) -> Result:
    return {
        "available": account.available,
        "held": account.held,
        "debt": account.debt,
        "status": account.status,
        "seq": account.seq,
    }


# What is due by time ---------------------------------------------------------------------------------------------


def _settle_due(books: _Books) -> None:
    """Expire lots and holds in the order of their times, so that a late reader sees what a prompt one would."""
    while (due := _next_due(books.account, books.now)) is not None:
        if isinstance(due, Hold):
            _end_hold(books, due, due.accrued, operation=f"expire:{due.id}", end="expired")
        else:
            books.post("expiry", f"expire:{due.id}", [Posting(AVAILABLE, BREAKAGE, due.available, due.id)])


def _next_due(account: Account, now: Millis) -> Lot | Hold | None:
    lots = [(lot.expires_at or 0, lot.id, lot) for lot in account.lots.values() if _is_due(lot, now)]
    holds = [(hold.expires_at, hold.id, hold) for hold in account.holds.values() if hold.expires_at <= now]
    due: list[tuple[Millis, str, Lot | Hold]] = [*lots, *holds]
    return min(due, key=lambda item: item[:2])[2] if due else None


def _is_due(lot: Lot, now: Millis) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now and lot.available > 0


# Credits in and out ----------------------------------------------------------------------------------------------


def _grant(books: _Books, command: Grant) -> Result:
    kind: Kind = "refund" if command.source.startswith("refund:") else "grant"
    _add_lot(books, command, kind, expires_at=command.expires_at, lot_fact=_lot_fact(command))
    return {"lot": command.lot, "amount": command.amount}


def _lot_fact(command: Grant) -> dict[str, Json]:
    fact: dict[str, Json] = {
        "id": command.lot,
        "source": command.source,
        "priority": command.priority,
        "paid": command.is_paid,
    }
    return fact if command.expires_at is None else {**fact, "expires_at": command.expires_at}


def _add_lot(
    books: _Books, command: Grant | Adjust, kind: Kind, *, expires_at: Millis | None, lot_fact: dict[str, Json]
) -> None:
    """A new lot; what it grants pays debt first, so that explicit debt never outlives the next purchase."""
    lot = LotId(str(lot_fact["id"]))
    if lot in books.account.lots or lot in books.archive.lots:
        raise LotExists
    if len(books.account.lots) >= LOTS_MAX:
        raise LimitReached("lots", LOTS_MAX)
    if books.account.available + books.account.held + command.amount > AMOUNT_MAX:
        raise LimitReached("credits", AMOUNT_MAX)
    postings = [Posting(str(lot_fact["source"]), AVAILABLE, command.amount, lot)]
    if owed := min(books.account.debt, command.amount):
        postings.append(Posting(AVAILABLE, DEBT, owed, lot))
    books.post(kind, command.operation, postings, lot=lot_fact)
    if expires_at is not None and expires_at <= books.now:
        _settle_due(books)


def _adjust(books: _Books, command: Adjust) -> Result:
    if command.amount > 0:
        fact: dict[str, Json] = {"id": f"lot_{command.operation}", "source": ADJUSTMENT, "priority": 10, "paid": False}
        _add_lot(books, command, "adjustment", expires_at=None, lot_fact=fact)
    else:
        taken = _consumed(books.account, -command.amount)
        books.post("adjustment", command.operation, [Posting(AVAILABLE, ADJUSTMENT, n, lot) for lot, n in taken])
    return {"amount": command.amount}


def _charge(books: _Books, command: Charge) -> Result:
    _may_spend(books.account)
    tat = _rate_limited(books, command.rate)
    _within_budgets(books.account, command.budgets, command.amount, books.now)
    taken = _consumed(books.account, command.amount)
    postings = [Posting(AVAILABLE, f"revenue:{command.purpose}", amount, lot) for lot, amount in taken]
    books.post("charge", command.operation, postings, **tat, **_budget_facts(command.budgets))
    return {"amount": command.amount}


def _reverse(books: _Books, command: Reverse) -> Result:
    """Take back up to the target: the delta is computed here, so that it cannot be posted twice."""
    lot = books.account.lots.get(command.lot) or books.archive.lots.get(command.lot)
    if lot is None:
        raise LotNotFound
    if command.target > lot.granted:
        raise ReversalTooLarge
    delta = max(0, command.target - lot.reversed - lot.owed)
    clawed = min(delta, lot.available)
    parts = [(AVAILABLE, clawed), (DEBT, delta - clawed)]
    if books.account.debt + delta - clawed > AMOUNT_MAX:
        raise LimitReached("credits of debt", AMOUNT_MAX)
    if delta:
        postings = [Posting(source, lot.source, amount, lot.id) for source, amount in parts if amount]
        books.post("reversal", command.operation, postings)
    return {"lot": lot.id, "reversed": clawed, "owed": delta - clawed}


def _consumed(account: Account, amount: int) -> list[tuple[LotId, int]]:
    """Which lots pay `amount`: by priority, then soonest expiry, then age. Raises InsufficientCredits."""
    taken = list(_drawn(account, amount))
    if sum(part for _, part in taken) < amount:
        raise InsufficientCredits(available=account.available, held=account.held, required=amount)
    return taken


def _drawn(account: Account, amount: int) -> Iterator[tuple[LotId, int]]:
    """As much of `amount` as the lots have, in the order of consumption."""
    for lot in sorted(account.lots.values(), key=_consumption_order):
        part = min(lot.available, amount)
        amount -= part
        if part > 0:
            yield lot.id, part


def _consumption_order(lot: Lot) -> tuple[int, Millis, int]:
    expires_at = NO_LIFETIME_END if lot.expires_at is None else lot.expires_at
    return lot.priority, expires_at, lot.granted_seq


# Holds -----------------------------------------------------------------------------------------------------------


def _place_hold(books: _Books, command: PlaceHold) -> Result:
    _may_spend(books.account)
    if command.hold in books.account.holds or command.hold in books.archive.holds:
        raise HoldExists
    if len(books.account.holds) >= HOLDS_MAX:
        raise LimitReached("open reservations", HOLDS_MAX)
    tat = _rate_limited(books, command.rate)
    _within_budgets(books.account, command.budgets, command.amount, books.now)
    taken = _consumed(books.account, command.amount)
    _within_takes(books.account, len(taken))
    hold: dict[str, Json] = {
        "id": command.hold,
        "purpose": command.purpose,
        "principal": command.principal,
        "reservation": command.is_reservation,
        "expires_at": books.now + command.lifetime,
    }
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken]
    books.post("hold", command.operation, postings, hold=hold, **tat, **_budget_facts(command.budgets))
    return {"hold": command.hold, "amount": command.amount, "expires_at": books.now + command.lifetime}


def _extend_hold(books: _Books, command: ExtendHold) -> Result:
    _may_spend(books.account)
    hold = _open_hold(books, command.hold, None)
    room = min([books.account.budgets[name].room for name in hold.budgets], default=command.amount)
    taken = list(_drawn(books.account, min(command.amount, room)))
    added = sum(amount for _, amount in taken)
    if added < command.at_least:
        account = books.account
        raise InsufficientCredits(available=account.available, held=account.held, required=command.at_least)
    _within_takes(books.account, len(taken))
    expires_at = max(hold.expires_at, books.now + command.lifetime)
    fact: dict[str, Json] = {"id": hold.id, "expires_at": expires_at, "accrued": command.accrued}
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken]
    books.post("extension", command.operation, postings, hold=fact)
    return {"hold": hold.id, "added": added, "amount": hold.amount + added, "expires_at": expires_at}


def _capture(books: _Books, command: Capture) -> Result:
    hold = _open_hold(books, command.hold, command.principal)
    if command.is_final:
        return _end_hold(books, hold, command.amount, operation=command.operation, end="captured")
    charged = _captured(books.account, hold, command.amount)
    books.post("charge", command.operation, charged, hold={"id": hold.id})
    return {"hold": hold.id, **_totals(charged), "released": 0}


def _release(books: _Books, command: Release) -> Result:
    hold = _open_hold(books, command.hold, command.principal)
    return _end_hold(books, hold, 0, operation=command.operation, end="released")


def _open_hold(books: _Books, hold_id: HoldId, principal: str | None) -> Hold:
    hold = books.account.holds.get(hold_id) or books.archive.holds.get(hold_id)
    if hold is None or (principal is not None and hold.principal != principal):
        raise HoldNotFound
    if hold.status != "active":
        raise HoldResolved(hold.status)
    return hold


def _end_hold(books: _Books, hold: Hold, cost: int, *, operation: str, end: str) -> Result:
    """Charge `cost`, give back the rest, end the hold: one entry, so that a hold resolves once."""
    charged = _captured(books.account, hold, cost)
    spent: dict[LotId | None, int] = {}
    for posting in charged:
        if posting.source == HELD:
            spent[posting.lot] = spent.get(posting.lot, 0) + posting.amount
    returned = [(lot, amount - spent.get(lot, 0)) for lot, amount in hold.takes]
    postings = [*charged, *_returned(books, [(lot, amount) for lot, amount in returned if amount])]
    kind: Kind = "charge" if charged else ("expiry" if _has_breakage(postings) else "release")
    books.post(kind, operation, postings, hold={"id": hold.id, "end": end})
    released = sum(amount for _, amount in returned)
    return {"hold": hold.id, **_totals(charged), "released": released}


def _totals(charged: list[Posting]) -> Result:
    """What the user paid, and what was ours to bear."""
    absorbed = sum(posting.amount for posting in charged if posting.source == ABSORBED)
    return {"captured": sum(posting.amount for posting in charged) - absorbed, "absorbed": absorbed}


def _has_breakage(postings: list[Posting]) -> bool:
    return any(posting.destination == BREAKAGE for posting in postings)


def _captured(account: Account, hold: Hold, cost: int) -> list[Posting]:
    """Postings that charge `cost`: from the hold, then from what is available; what nobody has is ours to bear.

    A reservation's capture is named by the user, and nothing of ours was used for it: it takes what there is.
    """
    revenue = f"revenue:{hold.purpose}"
    postings, missing = [], cost
    for lot, amount in hold.takes:
        if part := min(amount, missing):
            postings.append(Posting(HELD, revenue, part, lot))
            missing -= part
    room = min([account.budgets[name].room for name in hold.budgets], default=missing)
    for lot, part in _drawn(account, min(missing, room)):
        postings.append(Posting(AVAILABLE, revenue, part, lot))
        missing -= part
    if missing and not hold.is_reservation:
        postings.append(Posting(ABSORBED, revenue, missing))
    return postings


def _returned(books: _Books, parts: list[tuple[LotId, int]]) -> Iterator[Posting]:
    """Each part goes back where it came from: an expired lot breaks it, a reversed one settles its debt with it."""
    debt = books.account.debt
    for lot_id, amount in parts:
        lot = books.account.lots[lot_id]
        if settles := min(amount, lot.owed, debt):
            debt -= settles
            yield Posting(HELD, DEBT, settles, lot_id)
        is_over = lot.expires_at is not None and lot.expires_at <= books.now
        if rest := amount - settles:
            yield Posting(HELD, BREAKAGE if is_over else AVAILABLE, rest, lot_id)


# Limits ----------------------------------------------------------------------------------------------------------


def _check_bounds(command: Command) -> None:
    """No amount is negative or beyond what one may be; only an adjustment has a sign. A grant grants something."""
    least = 1 if isinstance(command, Grant) else 0
    for name in ("amount", "at_least", "accrued", "target"):
        amount = getattr(command, name, least)
        if not least <= (abs(amount) if isinstance(command, Adjust) else amount) <= AMOUNT_MAX:
            raise InvalidValue(name, f"must be an amount from {least} to {AMOUNT_MAX} µcr")
    for name in ("expires_at", "lifetime"):
        if not 0 <= (getattr(command, name, 0) or 0) <= TIME_MAX:
            raise InvalidValue(name, "is too far away")


def _may_spend(account: Account) -> None:
    if account.status == "frozen":
        raise AccountFrozen


def _rate_limited(books: _Books, rate: RateLimit | None) -> dict[str, Json]:
    """The next theoretical arrival time (GCRA, ITU-T I.371), in µs. Raises RateLimited."""
    if rate is None:
        return {}
    interval, now = MICROS_PER_MINUTE // rate.per_minute, books.now * 1000
    tat = max(books.account.tat, now) + interval
    if (early := tat - interval * rate.burst - now) > 0:
        raise RateLimited(retry_after_ms=-(-early // 1000))
    return {"tat": tat}


def _within_budgets(account: Account, claims: tuple[BudgetClaim, ...], amount: int, now: Millis) -> None:
    budgets = live_budgets(account.budgets, account.holds, now)
    if len(budgets.keys() | {claim.id for claim in claims}) > BUDGETS_MAX:
        raise LimitReached("budgets", BUDGETS_MAX)
    for claim in claims:
        known = budgets.get(claim.id)
        used, held = (known.used, known.held) if known else (0, 0)
        if used + held + amount > claim.limit:
            raise BudgetExceeded(budget=claim.id, limit=claim.limit, used=used, held=held, required=amount)


def _budget_facts(claims: tuple[BudgetClaim, ...]) -> dict[str, Json]:
    return {"budgets": [_budget_fact(claim) for claim in claims]} if claims else {}


def _budget_fact(claim: BudgetClaim) -> dict[str, Json]:
    fact: dict[str, Json] = {"id": claim.id, "limit": claim.limit}
    return fact if claim.expires_at is None else {**fact, "expires_at": claim.expires_at}


def _within_takes(account: Account, more: int) -> None:
    if sum(len(hold.takes) for hold in account.holds.values()) + more > TAKES_MAX:
        raise LimitReached("lots in reservations", TAKES_MAX)


# The account itself ----------------------------------------------------------------------------------------------


def _freeze(books: _Books, command: Freeze) -> Result:
    return _set_status(books, command.operation, "frozen")


def _unfreeze(books: _Books, command: Unfreeze) -> Result:
    return _set_status(books, command.operation, "open")


def _set_status(books: _Books, operation: str, status: str) -> Result:
    if books.account.status != status:
        books.post("status", operation, (), status=status)
    return {"status": status}


def _close(books: _Books, command: Close) -> Result:
    """Nothing stays open: holds end as if expired, credits are forfeited, debt is ours to bear."""
    for hold in list(books.account.holds.values()):
        _end_hold(books, hold, hold.accrued, operation=f"{command.operation}:{hold.id}", end="expired")
    account = books.account
    postings = [Posting(AVAILABLE, BREAKAGE, lot.available, lot.id) for lot in account.lots.values() if lot.available]
    if account.debt:
        postings.append(Posting(ABSORBED, DEBT, account.debt))
    books.post("status", command.operation, postings, status="closed")
    return {"status": "closed"}


def _expire(books: _Books, command: Expire) -> Result:
    del books, command
    return {}


HANDLERS: Mapping[type, Callable[[_Books, Any], Result]] = {
    Grant: _grant,
    PlaceHold: _place_hold,
    ExtendHold: _extend_hold,
    Capture: _capture,
    Release: _release,
    Charge: _charge,
    Reverse: _reverse,
    Adjust: _adjust,
    Freeze: _freeze,
    Unfreeze: _unfreeze,
    Close: _close,
    Expire: _expire,
}
