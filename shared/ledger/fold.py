"""The fold: the effect of one entry on an account. Deciding and verifying both use only this module for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from shared.kernel.canonical import Json, canonical
from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import (
    ABSORBED_KEYS_MAX,
    BUDGETS_MAX,
    NOTHING,
    STATED_FIELDS,
    AbsorbedAmounts,
    Account,
    Archive,
    Budget,
    Hold,
    HoldStatus,
    Lot,
    changed,
)
from shared.ledger.entries import (
    AVAILABLE,
    BREAKAGE,
    DEBT,
    ENTRY_VERSION,
    ENVELOPE,
    HELD,
    Draft,
    Entry,
    Posting,
    body_hash,
)
from shared.ledger.rest import rest_change

FOLD_VERSION = 2
"""Version of the fold. Raise the number if equal entries come to another state, or an equal state to another text.

Then each audit begins again, and states of closed days are not compared with states of today.
"""


class NotApplicable(ValueError):
    """Entry that cannot follow this state, since the entry moves credits that are not there."""


@dataclass(slots=True, eq=False, repr=False)
class _Fold:
    """Parts of an account while one entry changes them."""

    draft: Draft
    debt: int
    lots: dict[LotId, Lot]
    holds: dict[HoldId, Hold]
    budgets: dict[str, Budget]
    archive: Archive
    absorbed: Mapping[str, AbsorbedAmounts]
    uid: str
    rest_count: int
    rest_available: int
    rest_due_at: Millis
    hold_id: HoldId | None = None


_MOVED = ("debt", "lots", "holds", "budgets", "absorbed", "rest_count", "rest_available", "rest_due_at")
"""Fields of `Account` that an entry's postings move, each the field of `_Fold` with the same name."""


def apply(account: Account, draft: Draft, archive: Archive) -> tuple[Account, Archive]:
    """Return the state after `draft`, and the lots and holds that left the state.

    `archive` holds the archived lots and holds that `draft` may name. Raises NotApplicable when the draft moves credits
    that are not there.
    """
    fold = _Fold(
        draft=draft,
        debt=account.debt,
        lots=dict(account.lots),
        holds=dict(account.holds),
        budgets=live_budgets(account.budgets, account.holds, draft.at),
        archive=archive,
        absorbed=account.absorbed,
        uid=account.uid,
        rest_count=account.rest_count,
        rest_available=account.rest_available,
        rest_due_at=account.rest_due_at,
    )
    _take_facts(fold, account.seq + 1)
    for posting in draft.postings:
        _post(fold, posting)
    rested = _rested(fold, account)
    left = _archived(fold, rested)
    moved = {name: getattr(fold, name) for name in _MOVED}
    facts = {name: draft.facts[name] for name in STATED_FIELDS if name in draft.facts}
    after = changed(account, seq=account.seq + 1, at=draft.at, **moved, **facts)
    return after, left


def seal_entry(before: Account, after: Account, draft: Draft, kid: str) -> tuple[Account, Entry]:
    """Return the state with the new head, and the draft as the next link of the chain."""
    held = after.held
    body: dict[str, Json] = {
        "v": ENTRY_VERSION,
        "ledger": before.ledger,
        "uid": before.uid,
        "seq": after.seq,
        "prev": before.head,
        "kind": draft.kind,
        "op": draft.operation,
        "at": draft.at,
        "kid": kid,
        "postings": [posting.to_json() for posting in draft.postings],
        "posted": after.available + held,
        "held": held,
        "debt": after.debt,
    }
    assert ENVELOPE.isdisjoint(draft.facts), "a fact has a name of its own"
    text = canonical({**body, **draft.facts})
    entry = Entry(seq=after.seq, kind=draft.kind, body=text.decode(), hash=body_hash(text), kid=kid)
    return changed(after, head=entry.hash), entry


def live_budgets(budgets: Mapping[str, Budget], holds: Mapping[HoldId, Hold], at: Millis) -> dict[str, Budget]:
    """Return the budgets that count at `at`: those before their end, or named by an open hold."""
    if not budgets:
        return {}
    named = {name for hold in holds.values() for name in hold.budgets}
    return {name: budget for name, budget in budgets.items() if name in named or not _is_past(budget, at)}


def is_unused(budget: Budget) -> bool:
    """Return True if nothing of the budget is used or held, so that a new budget would be equal."""
    return budget.used == 0 and budget.held == 0


def _is_past(budget: Budget, at: Millis) -> bool:
    return budget.expires_at is not None and budget.expires_at <= at


def _take_facts(fold: _Fold, seq: int) -> None:
    facts = cast("Mapping[str, Any]", fold.draft.facts)
    if "lot" in facts:
        _open_lot(fold, facts["lot"], seq)
    for claim in facts.get("budgets", ()):
        known = fold.budgets.get(claim["id"], Budget(id=claim["id"], limit=0))
        fold.budgets[known.id] = changed(known, limit=claim["limit"], expires_at=claim.get("expires_at"))
    if len(fold.budgets) > BUDGETS_MAX:
        _forget_unused(fold, {claim["id"] for claim in facts.get("budgets", ())})
    if "hold" in facts:
        _take_hold_facts(fold, facts["hold"], [claim["id"] for claim in facts.get("budgets", ())])


def _forget_unused(fold: _Fold, claimed: set[str]) -> None:
    """Forget unused budgets. Budgets that are claimed now, named by an open hold, or used stay."""
    named = claimed.union(*(hold.budgets for hold in fold.holds.values()))
    fold.budgets = {name: each for name, each in fold.budgets.items() if name in named or not is_unused(each)}


def _open_lot(fold: _Fold, fact: Mapping[str, Any], seq: int) -> None:
    if fact["id"] in fold.lots or fact["id"] in fold.archive.lots:
        raise NotApplicable("the lot exists")
    fold.lots[fact["id"]] = Lot(
        id=fact["id"],
        source=fact["source"],
        priority=fact["priority"],
        granted_seq=seq,
        expires_at=fact.get("expires_at"),
        is_paid=fact["paid"],
        granted=0,
    )


def _take_hold_facts(fold: _Fold, fact: Mapping[str, Any], budgets: list[str]) -> None:
    """Open the hold that the entry places, or change the hold that the entry names.

    Raises NotApplicable if a hold of this id exists or existed, or if there is no such open hold.
    """
    fold.hold_id = HoldId(fact["id"])
    if fold.draft.kind == "hold":
        if fold.hold_id in fold.holds or fold.hold_id in fold.archive.holds:
            raise NotApplicable("the hold is open, or was")
        fold.holds[fold.hold_id] = Hold(
            id=fold.hold_id,
            purpose=fact["purpose"],
            principal=fact["principal"],
            is_reservation=fact["reservation"],
            placed_at=fold.draft.at,
            expires_at=fact["expires_at"],
            takes=(),
            budgets=tuple(budgets),
            model=fact.get("model"),
            about=_about(fold.draft),
            input_at_most=fact.get("input_at_most"),
            input_held=fact.get("input_held"),
            output_at_most=fact.get("output_at_most"),
        )
        return
    hold = _hold(fold)
    fold.holds[hold.id] = changed(
        hold,
        expires_at=fact.get("expires_at", hold.expires_at),
        accrued=fact.get("accrued", hold.accrued),
        input_held=fact.get("input_held", hold.input_held),
    )


def _about(draft: Draft) -> tuple[tuple[str, str], ...] | None:
    told = cast("Mapping[str, str]", draft.facts.get("about", {}))
    return tuple(sorted(told.items())) or None


def _hold(fold: _Fold) -> Hold:
    hold = fold.holds.get(fold.hold_id) if fold.hold_id is not None else None
    if hold is None:
        raise NotApplicable("the hold is not open")
    return hold


def _lot(fold: _Fold, lot_id: LotId | None) -> Lot:
    lot = fold.lots.get(lot_id) if lot_id is not None else None
    lot = lot or (fold.archive.lots.get(lot_id) if lot_id is not None else None)
    if lot is None:
        raise NotApplicable("the lot is not there")
    return lot


def _post(fold: _Fold, posting: Posting) -> None:
    """Move one amount between the parts of the account. Amounts outside the account are not booked: totals are derived.

    Raises NotApplicable if the posting moves nothing, or credits that are not there.
    """
    if posting.amount <= 0:
        raise NotApplicable("a posting moves more than nothing")
    if posting.source == DEBT:
        _post_from_debt(fold, posting)
    elif posting.source == HELD:
        _post_from_held(fold, posting)
    elif posting.source == AVAILABLE:
        _post_from_available(fold, posting)
    elif posting.destination == AVAILABLE:
        _post_to_available(fold, posting)
    elif posting.destination == DEBT:
        _pay_debt(fold, posting.amount)
        if posting.lot is not None:
            lot = _lot(fold, posting.lot)
            fold.lots[lot.id] = changed(lot, owed=lot.owed - posting.amount)
    elif fold.hold_id is not None:
        _count_captured(fold, posting.amount, paid_by_user=False)
        _count_absorbed(fold, posting.amount)


def _count_absorbed(fold: _Fold, amount: int) -> None:
    """Add to the absorbed sums of the user and of the principal.

    Entries older than these sums name no window and add nothing.
    """
    fact = cast("Mapping[str, Any]", fold.draft.facts["hold"])
    if "window" not in fact:
        return
    sums = dict(fold.absorbed)
    for name in dict.fromkeys((fold.uid, str(fact["principal"]))):
        sums[name] = sums.get(name, AbsorbedAmounts(principal=name)).plus(amount, fact["window"])
    if len(sums) > ABSORBED_KEYS_MAX:
        least = min((each for each in sums.values() if each.principal != fold.uid), key=lambda each: each.most)
        del sums[least.principal]
    fold.absorbed = sums


def _post_to_available(fold: _Fold, posting: Posting) -> None:
    """Add a grant to its lot, or undo a reversal. Credits that were owed and have since been paid are granted again."""
    lot, amount = _lot(fold, posting.lot), posting.amount
    if fold.draft.kind != "reversal":
        fold.lots[lot.id] = changed(lot, granted=lot.granted + amount)
        return
    anew = min(amount, lot.owed)
    if amount - anew > lot.reversed:
        raise NotApplicable("more than was taken back is given back")
    fold.lots[lot.id] = changed(
        lot, granted=lot.granted + anew, owed=lot.owed - anew, reversed=lot.reversed - (amount - anew)
    )


def _post_from_available(fold: _Fold, posting: Posting) -> None:
    """Take an amount out of a lot: into a hold, breakage, against debt, or to a source or revenue.

    Without a lot, the amount is the whole rest, which is forfeited.
    """
    if posting.lot is None and posting.destination == BREAKAGE:
        _forfeit_rest(fold, posting.amount)
        return
    lot, amount = _lot(fold, posting.lot), posting.amount
    if lot.available < amount:
        raise NotApplicable("more than the lot has")
    if posting.destination == HELD:
        fold.lots[lot.id] = changed(lot, held=lot.held + amount)
        _take(fold, lot.id, amount)
    elif posting.destination == BREAKAGE:
        fold.lots[lot.id] = changed(lot, expired=lot.expired + amount)
    elif fold.draft.kind == "reversal" and posting.destination != DEBT:
        _check_reversible(lot, amount)
        fold.lots[lot.id] = changed(lot, reversed=lot.reversed + amount)
    else:
        fold.lots[lot.id] = changed(lot, spent=lot.spent + amount)
        _count_spent(fold, posting)


def _count_spent(fold: _Fold, posting: Posting) -> None:
    if posting.destination == DEBT:
        _pay_debt(fold, posting.amount)
    elif fold.hold_id is not None:
        _count_captured(fold, posting.amount, paid_by_user=True)
    else:
        claims = cast("tuple[Mapping[str, str], ...]", fold.draft.facts.get("budgets", ()))
        _change_budgets(fold, tuple(claim["id"] for claim in claims), used=posting.amount, held=0)


def _post_from_held(fold: _Fold, posting: Posting) -> None:
    """Take an amount out of a hold: back to the lot, into breakage, against debt, or to a source or revenue.

    Only an amount that leaves the user counts as captured from the hold.
    """
    lot, amount = _lot(fold, posting.lot), posting.amount
    _give_back(fold, lot.id, amount)
    kept = changed(lot, held=lot.held - amount)
    if posting.destination == AVAILABLE:
        fold.lots[lot.id] = kept
    elif posting.destination == BREAKAGE:
        fold.lots[lot.id] = changed(kept, expired=lot.expired + amount)
    elif posting.destination == DEBT:
        fold.lots[lot.id] = changed(kept, reversed=lot.reversed + amount, owed=lot.owed - amount)
        _pay_debt(fold, amount)
    elif fold.draft.kind == "reversal":
        _check_reversible(lot, amount)
        fold.lots[lot.id] = changed(kept, reversed=lot.reversed + amount)
        _count_captured(fold, amount, paid_by_user=True)
    else:
        fold.lots[lot.id] = changed(kept, spent=lot.spent + amount)
        _count_captured(fold, amount, paid_by_user=True)


def _post_from_debt(fold: _Fold, posting: Posting) -> None:
    lot = _lot(fold, posting.lot)
    _check_reversible(lot, posting.amount)
    fold.debt += posting.amount
    fold.lots[lot.id] = changed(lot, owed=lot.owed + posting.amount)


def _check_reversible(lot: Lot, amount: int) -> None:
    if lot.reversed + lot.owed + amount > lot.granted:
        raise NotApplicable("more than was granted is taken back")


def _pay_debt(fold: _Fold, amount: int) -> None:
    if fold.debt < amount:
        raise NotApplicable("more than is owed")
    fold.debt -= amount


def _take(fold: _Fold, lot_id: LotId, amount: int) -> None:
    hold = _hold(fold)
    takes = dict(hold.takes)
    takes[lot_id] = takes.get(lot_id, 0) + amount
    fold.holds[hold.id] = changed(hold, takes=tuple(takes.items()), placed=hold.placed + amount)
    _change_budgets(fold, hold.budgets, used=0, held=amount)


def _give_back(fold: _Fold, lot_id: LotId, amount: int) -> None:
    hold = _hold(fold)
    takes = dict(hold.takes)
    if takes.get(lot_id, 0) < amount:
        raise NotApplicable("more than the hold took")
    takes[lot_id] -= amount
    left = tuple((lot, rest) for lot, rest in takes.items() if rest > 0)
    fold.holds[hold.id] = changed(hold, takes=left)
    _change_budgets(fold, hold.budgets, used=0, held=-amount)


def _count_captured(fold: _Fold, amount: int, *, paid_by_user: bool) -> None:
    """Count a charge: captured credits no longer accrue.

    Absorbed credits do not count as captured, or as used of a budget.
    """
    hold = _hold(fold)
    paid = amount if paid_by_user else 0
    fold.holds[hold.id] = changed(hold, captured=hold.captured + paid, accrued=max(0, hold.accrued - amount))
    _change_budgets(fold, hold.budgets, used=paid, held=0)


def _change_budgets(fold: _Fold, names: tuple[str, ...], *, used: int, held: int) -> None:
    for name in names:
        budget = fold.budgets[name]
        fold.budgets[name] = changed(budget, used=budget.used + used, held=budget.held + held)


def _forfeit_rest(fold: _Fold, amount: int) -> None:
    """Forfeit the credits of the whole rest, as one posting of an account that closes."""
    if amount != fold.rest_available:
        raise NotApplicable("the rest is forfeited as a whole")
    fold.rest_count = fold.rest_available = fold.rest_due_at = 0


def _rested(fold: _Fold, account: Account) -> dict[LotId, Lot]:
    """Count the lots that have returned from the rest, and move the lots that the entry names into the rest.

    Return the moved lots. Raises NotApplicable if such a lot is not there, or has held or no available credits.
    """
    count, available = rest_change(account, fold.lots, fold.archive)
    fact = cast("Mapping[str, Any]", fold.draft.facts.get("rest", {}))
    moved = {}
    for name in fact.get("lots", ()):
        lot = fold.lots.get(name)
        if lot is None or not lot.may_rest:
            raise NotApplicable("the lot cannot leave the state")
        moved[name] = fold.lots.pop(name)
    fold.rest_count += count + len(moved)
    fold.rest_available += available + sum(lot.available for lot in moved.values())
    fold.rest_due_at = fact.get("due_at", fold.rest_due_at) if fold.rest_count else 0
    return moved


def _archived(fold: _Fold, rested: Mapping[LotId, Lot]) -> Archive:
    """Remove empty lots and the hold that this entry ended from the state, and return them with the `rested` lots."""
    left = {lot.id: lot for lot in fold.lots.values() if lot.is_empty}
    for lot_id in left:
        del fold.lots[lot_id]
    left |= rested
    fact = cast("Mapping[str, str]", fold.draft.facts.get("hold", {}))
    if "end" not in fact:
        return Archive(lots=left) if left else NOTHING
    ended = changed(_hold(fold), status=cast("HoldStatus", fact["end"]), accrued=0)
    if ended.takes:
        raise NotApplicable("an ended hold holds nothing")
    del fold.holds[ended.id]
    return Archive(lots=left, holds={ended.id: ended})
