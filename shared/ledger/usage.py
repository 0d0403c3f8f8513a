"""Usage: sums of one account's entries, day by day; a fold of the journal, and nothing else.

A day (UTC) gives the cost of every kind of use, by model and API key, and the movements of the account's credits. The
entry that placed a hold names the model and API key of the hold's charges, so the fold remembers open holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.kernel.clock import Millis, to_datetime
from shared.ledger.entries import ABSORBED, BREAKAGE, OWN
from shared.ledger.redactions import USAGE_AFTER

REVENUE, KEY = "revenue:", "key:"
ROWS_MAX = 1_000
"""Largest number of rows (kind, model and key) in a day. Further uses are added up under `OTHERS`."""
OTHERS = "(others)"
USES = "uses"
"""Count in the usage of an entry that charges for several uses. An entry without the count is one use."""

SPENT, EXPIRED, WRITTEN_OFF, OTHER = "spent", "expired", "written_off", "other"
MOVED_BY_KIND: Mapping[str, str] = {
    "grant": "granted",
    "refund": "refunded",
    "reversal": "reversed",
    "adjustment": "adjusted",
}
MOVES = (SPENT, EXPIRED, *MOVED_BY_KIND.values(), WRITTEN_OFF, OTHER)
"""Reasons for changes of an account's own credits (available + held − debt). Each change is a signed amount."""

Body = Mapping[str, Any]


class Use(NamedTuple):
    """Kind of use (`chat`, `image`, …) with the ids of the model and the API key; an id is "" if the journal
    names none.
    """

    kind: str
    model: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Number of uses, their cost to the user (µcr), and the reported tokens."""

    count: int = 0
    cost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        """Return the sum of both."""
        return Amounts(
            count=self.count + other.count,
            cost=self.cost + other.cost,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Usage of one day, or of several days: amounts by use, and changes of the user's credits by reason (µcr)."""

    uses: Mapping[Use, Amounts] = field(default_factory=dict)
    moved: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFold:
    """Usage summed from the journal up to entry `seq`.

    `days` maps ISO dates to the usage of the days that were given or have changed since. `open` maps the ids of open
    holds to their uses.
    """

    seq: int = 0
    open: Mapping[str, Use] = field(default_factory=dict)
    days: Mapping[str, Day] = field(default_factory=dict)


def day_of(at: Millis) -> str:
    """Return the day (UTC) of an instant, such as `2026-11-24`."""
    return to_datetime(at).date().isoformat()


def folded(usage: UsageFold, bodies: Iterable[Body]) -> UsageFold:
    """Return `usage` with the next entries added. `bodies` are the parsed entries after `usage.seq`, without a gap.

    For each day on which one of the entries falls, `usage.days` must hold all earlier usage of that day.
    """
    fold = _UsageSums(seq=usage.seq, open=dict(usage.open), days=dict(usage.days))
    for body in bodies:
        _follow(fold, body)
    return UsageFold(seq=fold.seq, open=fold.open, days=fold.days)


def summed(days: Iterable[Day]) -> Day:
    """Return one `Day` with the sums of these days."""
    total = Day()
    for day in days:
        total = Day(uses=added(total.uses, day.uses), moved=_added_moves(total.moved, day.moved))
    return total


def added(first: Mapping[Use, Amounts], second: Mapping[Use, Amounts]) -> Mapping[Use, Amounts]:
    """Return a table with the sum of both amounts for each use."""
    return {**first, **{use: first.get(use, Amounts()) + amounts for use, amounts in second.items()}}


def _added_moves(first: Mapping[str, int], second: Mapping[str, int]) -> Mapping[str, int]:
    return {**first, **{name: first.get(name, 0) + amount for name, amount in second.items()}}


@dataclass(slots=True, eq=False, repr=False)
class _UsageSums:
    """Usage while entries change the sums."""

    seq: int
    open: dict[str, Use]
    days: dict[str, Day]


def _follow(fold: _UsageSums, body: Body) -> None:
    """Add one entry to the sums. A charge of a hold counts for the purpose given when the hold was placed."""
    assert body["seq"] == fold.seq + 1, "a fold follows the chain, one entry after the other"
    fold.seq = body["seq"]
    if USAGE_AFTER in body:
        _take_over(fold, body)
        return
    hold: Mapping[str, str] = body.get("hold", {})
    tags: Mapping[str, str] = body.get("tags", {})
    model = tags.get("model") or hold.get("model", "")
    used_for = Use(hold.get("purpose", ""), model, tags.get("key") or _key(hold))
    if body["kind"] == "hold":
        fold.open[hold["id"]] = used_for
    elif hold:
        used_for = fold.open.get(hold["id"], used_for)
    if "end" in hold:
        fold.open.pop(hold["id"], None)
    uses, moved = _uses(body, used_for), _moves(body)
    if uses or moved:
        date = day_of(body["at"])
        day = fold.days.get(date, Day())
        told = {_told_apart(day.uses, use): amounts for use, amounts in uses.items()}
        fold.days[date] = Day(uses=added(day.uses, told), moved=_added_moves(day.moved, moved))


def _take_over(fold: _UsageSums, body: Body) -> None:
    """Go on from the usage after an entry whose body was deleted."""
    after: UsageFold = body[USAGE_AFTER]
    date = day_of(body["at"])
    fold.open = dict(after.open)
    if date in after.days:
        fold.days[date] = after.days[date]


def _key(hold: Mapping[str, str]) -> str:
    """Return the API key that placed a hold, which is then the hold's principal; empty if no key did."""
    principal = hold.get("principal", "")
    return principal.removeprefix(KEY) if principal.startswith(KEY) else ""


def _uses(body: Body, used_for: Use) -> Mapping[Use, Amounts]:
    """Return the use in this entry, if there is one: a charge, or a hold that ended as captured, even without cost."""
    paid = [item for item in body["postings"] if item["to"].startswith(REVENUE)]
    if not paid and body.get("hold", {}).get("end") != "captured":
        return {}
    tokens: Mapping[str, int] = body.get("usage", {})
    use = used_for._replace(kind=paid[0]["to"].removeprefix(REVENUE)) if paid else used_for
    amounts = Amounts(
        count=tokens.get(USES, 1),
        cost=sum(item["amount"] for item in paid if item["from"] in OWN),
        input_tokens=tokens.get("input_tokens", 0),
        output_tokens=tokens.get("output_tokens", 0),
    )
    return {use: amounts}


def _told_apart(uses: Mapping[Use, Amounts], use: Use) -> Use:
    return use if use in uses or len(uses) < ROWS_MAX else Use(use.kind, OTHERS, OTHERS)


def _moves(body: Body) -> Mapping[str, int]:
    """Return the changes of the user's own credits in this entry, by reason."""
    moved: dict[str, int] = {}
    for item in body["postings"]:
        change = item["amount"] * ((item["to"] in OWN) - (item["from"] in OWN))
        if change:
            name = _reason(body["kind"], item["to"] if change < 0 else item["from"])
            moved[name] = moved.get(name, 0) + change
    return moved


def _reason(kind: str, other: str) -> str:
    if other.startswith(REVENUE):
        return SPENT
    return {BREAKAGE: EXPIRED, ABSORBED: WRITTEN_OFF}.get(other) or MOVED_BY_KIND.get(kind, OTHER)
