"""Account as sentences: who reads them answers a customer, so each amount has a purpose and a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.kernel.clock import to_datetime
from shared.kernel.money import format_credits
from shared.ledger.about import Reference
from shared.ledger.findings import Finding
from shared.ledger.views import Balance, EntryView, HoldView, LotView

STATUSES = {
    "open": "The account is open.",
    "frozen": "The account is frozen: nothing can be spent.",
    "closed": "The account is closed: its user has left.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStory:
    """Facts about one account whose chain is intact. `is_whole`: the entries are all entries that moved credits."""

    uid: str
    balance: Balance
    holds: tuple[HoldView, ...]
    entries: tuple[EntryView, ...]
    is_whole: bool
    payments: tuple[str, ...]


def told_lines(story: AccountStory) -> Iterator[str]:
    """Yield the lines that explain an account."""
    balance = story.balance
    yield f"Account {story.uid}: {format_credits(balance.available)} credits can be spent."
    yield f"{format_credits(balance.held)} more are set aside, and {format_credits(balance.debt)} are owed."
    yield STATUSES[balance.status]
    yield f"The chain of {balance.seq} entries is intact, and its sum is this balance."
    yield from _part("Where they stand", [*(_lot(each) for each in balance.lots), *_other_lots(balance)])
    yield from _part("Set aside now", [_hold(each) for each in story.holds])
    title = "All entries that moved credits" if story.is_whole else f"The last {len(story.entries)} entries"
    yield from _part(f"{title}, newest first", [_entry(each) for each in story.entries])
    yield from _part("Payments, newest first", story.payments)


def broken_lines(uid: str, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines that say why an account cannot be explained."""
    yield f"Account {uid}: THE CHAIN IS BROKEN. Explain nothing before docs/operating/tamper-alarm.md is done."
    yield from (f"  entry {each.seq}: {each.rule} {each.detail}".rstrip() for each in findings)


def _part(title: str, lines: list[str] | tuple[str, ...]) -> Iterator[str]:
    yield ""
    yield f"{title}:"
    yield from (f"  {line}" for line in lines or ["none"])


def _other_lots(balance: Balance) -> Iterator[str]:
    other = balance.other_lots
    if other.count:
        yield f"{format_credits(other.available)} in {other.count} more lots, which are spent after these"


def _lot(lot: LotView) -> str:
    left = f"{format_credits(lot.available)} of {format_credits(lot.granted)}"
    held = f", {format_credits(lot.held)} set aside" if lot.held else ""
    ends = f"end on {_time(lot.expires_at)}" if lot.expires_at is not None else "never end"
    return f"{left}{held}: from {lot.source}, {'paid' if lot.is_paid else 'a gift'}, {ends}"


def _hold(hold: HoldView) -> str:
    ends = f"ends by itself at {_time(hold.ends_at)}" if hold.ends_at is not None else "stays until the dispute ends"
    purpose = f"{hold.about.label}{_object(hold.about.ref)}"
    return f"{format_credits(hold.held)}: {purpose}, since {_time(hold.placed_at)}, {ends}"


def _entry(entry: EntryView) -> str:
    usage = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in (entry.usage or {}).items())
    parts = [f"#{entry.seq}", _time(entry.at), _signed(entry.amount), f"{entry.about.label}{_object(entry.about.ref)}"]
    parts += [f"({usage})"] if usage else []
    parts += [f"“{entry.note}”"] if entry.note else []
    after = [f"{format_credits(entry.balance_after)} to spend"]
    after += [f"{format_credits(entry.held_after)} set aside"] if entry.held_after else []
    after += [f"{format_credits(entry.debt_after)} owed"] if entry.debt_after else []
    return f"{'  '.join(parts)}  → {', '.join(after)}"


def _object(ref: Reference | None) -> str:
    return "" if ref is None else f" ({ref.type} {ref.id})"


def _signed(amount: int) -> str:
    return f"+{format_credits(amount)}" if amount > 0 else format_credits(amount)


def _time(at: int) -> str:
    return to_datetime(at).strftime("%Y-%m-%d %H:%M:%S")
