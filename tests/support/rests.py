"""Rest of an account's lots as a store knows the rest, and decisions that read more lots until they have enough."""

from typing import Any

from shared.ledger.account import Account, Archive, Lot
from shared.ledger.commands import Command
from shared.ledger.decide import Decision, decide, decide_expiry
from shared.ledger.receipts import Receipt
from shared.ledger.rest import RestNotRead


def lots_at_rest(account: Account, archive: Archive) -> list[Lot]:
    """Return all lots with credits outside the state, in the order of consumption."""
    lots = [lot for lot in archive.lots.values() if not lot.is_empty and lot.id not in account.lots]
    return sorted(lots, key=lambda lot: lot.order)


def read(account: Account, archive: Archive, count: int | None) -> Archive:
    """Return the archive with the first `count` lots of the rest; with None, the archive before any was read."""
    if count is None:
        return Archive(lots=archive.lots, holds=archive.holds)
    lots = lots_at_rest(account, archive)
    names = tuple(lot.id for lot in lots[:count])
    return Archive(lots=archive.lots, holds=archive.holds, rest=names, is_whole=count > len(lots))


def decided(account: Account, archive: Archive, command: Command, now: int, kid: str, **more: Any) -> Decision[Receipt]:
    """Decide with nothing of the rest read, then with more and more."""
    for count in (None, 1, 4, 16, 64, 10_000):
        try:
            return decide(account, command, now, kid=kid, archive=read(account, archive, count), **more)
        except RestNotRead:
            assert count is None or count <= len(lots_at_rest(account, archive)), "more was read than there is"
    raise AssertionError("a decision needs more than the whole rest")


def first_expiries(account: Account, archive: Archive, now: int, kid: str) -> Decision[Receipt]:
    """Return the expiries that are committed first if more is due than fits into one commit."""
    return decide_expiry(account, now, kid=kid, archive=read(account, archive, 10_000))


def check_rest(account: Account, archive: Archive) -> None:
    """Hold the number, the sum and the first expiry of the rest to its lots. A closed account has forfeited them."""
    lots = [] if account.status == "closed" else lots_at_rest(account, archive)
    told = (account.rest_count, account.rest_available, account.rest_due_at)
    first = min((lot.expires_at for lot in lots if lot.expires_at is not None), default=0)
    assert told == (len(lots), sum(lot.available for lot in lots), first), "the state knows its rest"
    assert all(lot.may_rest for lot in lots), "nothing of the rest is held"
