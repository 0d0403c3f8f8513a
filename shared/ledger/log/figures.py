"""Figures of the whole platform by day (UTC): a fold of all entries that counts each entry once.

A day has the flows between sources and destinations by kind of entry, the uses by model and version of the prices, and
the accounts that were active, by the month of their first purchase. Nothing in a figure names an account.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from shared.ledger.about import MARKUP, PRICE_VERSION, WORLD
from shared.ledger.entries import ABSORBED, OWN
from shared.ledger.log.books import NAME, OTHER
from shared.ledger.log.figure_lots import LotMemory, grown
from shared.ledger.log.figure_sums import AccountSums, BalanceSums, CohortSums, MoneyDaySums, Sums, UseSums, WaySums
from shared.ledger.money_told import money_in
from shared.ledger.usage import REVENUE, USES, day_of

ROWS_MAX = 1_000
"""Most flows, and most uses, of a day with sums of their own. Further ones are summed under OTHER."""
GRANT, WELCOME = "grant", "promo:welcome"
MONTH_CHARACTERS = 7
NO_GROWTH, NO_WAY = BalanceSums(), WaySums()
MONEY_WAYS: Mapping[str, str] = {"in": "came_in", "out": "went_out", "back": "came_back"}

K = TypeVar("K", bound=tuple[str, ...])
S = TypeVar("S", bound=Sums)
Body = Mapping[str, Any]


class Flow(NamedTuple):
    """Movements by entries of one kind from a source to a destination."""

    kind: str
    source: str
    destination: str


class ModelUse(NamedTuple):
    """Kind of use with the model, the version of the model's prices and the percentage that was added to them.

    A part is "" where entries do not name that part; `markup` is "" without a markup.
    """

    kind: str
    model: str = ""
    price_version: str = ""
    markup: str = ""


class MoneyPlace(NamedTuple):
    """Payment provider, and currency of the money."""

    provider: str
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """Figures of one day, or of several days. Flows are in µcr; `entries` counts entries by kind.

    `cohorts` is by month of first purchase, `2026-11`; "" for accounts before their first purchase. `growth` is by kind
    of entry, `way` by month of sign-up; "" where that month is not known.
    """

    flows: Mapping[Flow, int] = field(default_factory=dict)
    entries: Mapping[str, int] = field(default_factory=dict)
    uses: Mapping[ModelUse, UseSums] = field(default_factory=dict)
    accounts: AccountSums = field(default_factory=AccountSums)
    cohorts: Mapping[str, CohortSums] = field(default_factory=dict)
    growth: Mapping[str, BalanceSums] = field(default_factory=dict)
    money: Mapping[MoneyPlace, MoneyDaySums] = field(default_factory=dict)
    way: Mapping[str, WaySums] = field(default_factory=dict)

    def __add__(self, other: "DayFigures") -> "DayFigures":
        """Return the figures of both. Rows beyond ROWS_MAX are summed under OTHER, those of `self` first."""
        return DayFigures(
            flows=_bounded(self.flows, other.flows, 0, lambda row: Flow(row.kind, OTHER, OTHER)),
            entries=_added(self.entries, other.entries, 0),
            uses=_bounded(self.uses, other.uses, UseSums(), lambda row: ModelUse(row.kind, OTHER, OTHER, OTHER)),
            accounts=self.accounts + other.accounts,
            cohorts=_added(self.cohorts, other.cohorts, CohortSums()),
            growth=_added(self.growth, other.growth, BalanceSums()),
            way=_added(self.way, other.way, WaySums()),
            money=_bounded(self.money, other.money, MoneyDaySums(), lambda row: MoneyPlace(OTHER, row.currency)),
        )

    @property
    def balances(self) -> BalanceSums:
        """Growth of the balances by all entries."""
        return sum(self.growth.values(), BalanceSums())


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguredAccount:
    """Memory about one account: the figures count entries 1 to `seq`, in the generation `generation`.

    `day` is the day of entry `seq`, `cohort` the month of the first purchase, "" before. `has_bonus`: the account had
    the welcome bonus. `has_spent`: a use was charged. `signed_up` is the month of sign-up, "" if nobody knows, None
    before somebody has looked; all generations keep the month. `lots` tells paid credits from promotional ones.
    """

    seq: int = 0
    generation: int = 0
    day: str = ""
    cohort: str = ""
    has_bonus: bool = False
    has_spent: bool = False
    signed_up: str | None = None
    lots: LotMemory = field(default_factory=LotMemory)

    def at(self, generation: int) -> "FiguredAccount":
        """Return the memory for a generation: nothing is counted yet in a new one."""
        if self.generation == generation:
            return self
        return FiguredAccount(generation=generation, signed_up=self.signed_up)


def figures_of(
    account: FiguredAccount, bodies: Iterable[Body], kinds: Mapping[str, bool] | None = None
) -> tuple[FiguredAccount, Mapping[str, DayFigures]]:
    """Return the memory after the next entries of an account, and the figures of these entries by day.

    `kinds` are forgotten lots that these entries name; True: the lot was bought. Raises LotForgotten for any other
    forgotten lot; KeyError, TypeError, ValueError or AttributeError for a body that is no entry's.
    """
    days: dict[str, _DayCount] = {}
    account = replace(account, lots=account.lots.with_kinds(kinds or {}))
    for body in bodies:
        assert body["seq"] == account.seq + 1, "figures follow the chain, one entry after the other"
        day = day_of(body["at"])
        account = _count(days.setdefault(day, _DayCount()), day, account, body)
    shortened = replace(account, lots=account.lots.shortened())
    return shortened, {day: count.figures() for day, count in days.items()}


def summed_days(days: Iterable[DayFigures]) -> DayFigures:
    """Return the figures of all these days."""
    total = DayFigures()
    for day in days:
        total = total + day
    return total


def figures_text(figures: DayFigures) -> str:
    """Return the figures as one stored text, with sums of any size and rows in order."""
    return json.dumps(
        {
            "flows": [[*row, amount] for row, amount in sorted(figures.flows.items())],
            "entries": figures.entries,
            "uses": [[*row, *sums.to_list()] for row, sums in sorted(figures.uses.items())],
            "accounts": figures.accounts.to_list(),
            "cohorts": {month: sums.to_list() for month, sums in figures.cohorts.items()},
            "way": {month: sums.to_list() for month, sums in figures.way.items()},
            "money": [[*row, *sums.to_list()] for row, sums in sorted(figures.money.items())],
            "growth": {kind: sums.to_list() for kind, sums in figures.growth.items()},
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def stored_figures(text: object) -> DayFigures:
    """Return the figures of a stored text. Raises KeyError, TypeError or ValueError for anything else."""
    if not isinstance(text, str):
        raise TypeError("figures are a text")
    told = json.loads(text)
    return DayFigures(
        flows={Flow(*map(_name, row[:3])): _whole(row[3]) for row in told["flows"]},
        entries={_name(kind): _whole(count) for kind, count in told["entries"].items()},
        uses={ModelUse(*map(_name, row[:4])): _sums(UseSums, row[4:]) for row in told["uses"]},
        accounts=_sums(AccountSums, told["accounts"]),
        cohorts={_name(month): _sums(CohortSums, row) for month, row in told["cohorts"].items()},
        way={_name(month): _sums(WaySums, row) for month, row in told["way"].items()},
        money={MoneyPlace(*map(_name, row[:2])): _sums(MoneyDaySums, row[2:]) for row in told["money"]},
        growth={_name(kind): _sums(BalanceSums, row) for kind, row in told["growth"].items()},
    )


@dataclass(slots=True, eq=False, repr=False)
class _DayCount:
    """Figures of one account on one day while entries are counted."""

    flows: dict[Flow, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    uses: dict[ModelUse, UseSums] = field(default_factory=dict)
    cohorts: dict[str, CohortSums] = field(default_factory=dict)
    growth: dict[str, BalanceSums] = field(default_factory=dict)
    money: dict[MoneyPlace, MoneyDaySums] = field(default_factory=dict)
    way: dict[str, WaySums] = field(default_factory=dict)
    accounts: AccountSums = field(default_factory=AccountSums)

    def figures(self) -> DayFigures:
        """Return the figures that were counted."""
        return DayFigures(**{each.name: getattr(self, each.name) for each in fields(self)})


def _count(count: _DayCount, day: str, account: FiguredAccount, body: Body) -> FiguredAccount:
    """Add one entry to the figures of its day. Return the account's memory after the entry."""
    kind = _bounded_name(body["kind"])
    count.entries[kind] = count.entries.get(kind, 0) + 1
    bought, is_bonus = 0, False
    for item in body["postings"]:
        source, amount = _bounded_name(item["from"]), _whole(item["amount"])
        flow = Flow(kind, source, _bounded_name(item["to"]))
        count.flows[flow] = count.flows.get(flow, 0) + amount
        bought += amount if kind == GRANT and source.startswith(WORLD) else 0
        is_bonus = is_bonus or source == WELCOME
    charged = _count_use(count, body)
    _count_money(count, body)
    lots, growth = grown(account.lots, body)
    if growth != NO_GROWTH:
        count.growth[kind] = count.growth.get(kind, NO_GROWTH) + growth
    is_buyer = bought > 0 and not account.cohort
    after = FiguredAccount(
        seq=body["seq"],
        generation=account.generation,
        day=day,
        cohort=account.cohort or (day[:MONTH_CHARACTERS] if is_buyer else ""),
        has_bonus=account.has_bonus or is_bonus,
        has_spent=account.has_spent or charged > 0,
        signed_up=account.signed_up,
        lots=lots,
    )
    is_first_of_month = account.day[:MONTH_CHARACTERS] != day[:MONTH_CHARACTERS]
    way = WaySums(
        bonuses=int(after.has_bonus and not account.has_bonus),
        buyers=int(is_buyer),
        spenders=int(after.has_spent and not account.has_spent),
    )
    if way != NO_WAY:
        month = account.signed_up or ""
        count.way[month] = count.way.get(month, NO_WAY) + way
    if account.day != day or way != NO_WAY:
        count.accounts += AccountSums(
            active=int(account.day != day),
            active_in_month=int(is_first_of_month),
            new=int(account.seq == 0),
            bonuses=way.bonuses,
            buyers=way.buyers,
            buyers_with_bonus=int(is_buyer and account.has_bonus),
            spenders=way.spenders,
        )
    if charged or bought or is_first_of_month:
        count.cohorts[after.cohort] = count.cohorts.get(after.cohort, CohortSums()) + CohortSums(
            active_in_month=int(is_first_of_month or is_buyer),
            purchases=int(bought > 0),
            bought=bought,
            charged=charged,
        )
    return after


def _count_money(count: _DayCount, body: Body) -> None:
    """Add the money of a payment that the entry tells of."""
    told = money_in(body)
    if told is None:
        return
    place = MoneyPlace(_bounded_name(told.provider), told.currency)
    count.money[place] = count.money.get(place, MoneyDaySums()) + MoneyDaySums(
        payments=int(told.way == "in"), **{MONEY_WAYS[told.way]: told.minor}
    )


def _count_use(count: _DayCount, body: Body) -> int:
    """Add the use in an entry: a charge, or a hold that ended as captured without cost. Return the charged µcr."""
    paid = [item for item in body["postings"] if item["to"].startswith(REVENUE)]
    hold: Mapping[str, str] = body.get("hold", {})
    if not paid and hold.get("end") != "captured":
        return 0
    about, tags, tokens = (body.get(name, {}) for name in ("about", "tags", "usage"))
    kind = paid[0]["to"].removeprefix(REVENUE) if paid else about.get("purpose", "")
    model = about.get("model") or tags.get("model") or hold.get("model") or ""
    version, markup = (_bounded_name(about.get(name, "")) for name in (PRICE_VERSION, MARKUP))
    use = ModelUse(_bounded_name(kind), _bounded_name(model), version, markup)
    charged = sum(_whole(item["amount"]) for item in paid if item["from"] in OWN)
    count.uses[use] = count.uses.get(use, UseSums()) + UseSums(
        count=_whole(tokens.get(USES, 1)),
        charged=charged,
        absorbed=sum(item["amount"] for item in paid if item["from"] == ABSORBED),
        input_tokens=_whole(tokens.get("input_tokens", 0)),
        output_tokens=_whole(tokens.get("output_tokens", 0)),
    )
    return charged


def _bounded_name(name: str) -> str:
    """Return a name with bounded length and characters; OTHER for any other name, so that a document stays bounded."""
    return name if name in _NAMES or _is_name(name) else OTHER


_NAMES = frozenset({"", *OWN})


@lru_cache(maxsize=4_096)
def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None


def _added(first: Mapping[str, Any], second: Mapping[str, Any], nothing: Any) -> Mapping[str, Any]:
    return {**first, **{name: first.get(name, nothing) + each for name, each in second.items()}}


def _bounded(first: Mapping[K, Any], second: Mapping[K, Any], nothing: Any, other: Callable[[K], K]) -> Mapping[K, Any]:
    """Return the sums of two tables with at most about ROWS_MAX rows."""
    total = dict(first)
    for row, each in second.items():
        kept = row if row in total or len(total) < ROWS_MAX else other(row)
        total[kept] = total.get(kept, nothing) + each
    return total


def _sums(kind: type[S], numbers: Any) -> S:
    names = [each.name for each in fields(kind)]
    return kind(**dict(zip(names, map(_whole, numbers), strict=True)))


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is a text")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a sum is a whole number")
    return value
