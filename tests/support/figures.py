"""A platform whose accounts live journals step by step, and a naive fold to compare the stored figures with."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from shared.kernel.documents import Documents, Put, Query, Write
from shared.kernel.ids import Uid
from shared.ledger.account import Lot
from shared.ledger.codec import encode_lot
from shared.ledger.document_paths import lot_path
from shared.ledger.log.figure_count import FigureCount
from shared.ledger.log.figure_documents import is_month, stored_day, stored_figure_head, with_months
from shared.ledger.log.figure_reader import FigureReader
from shared.ledger.log.figure_sums import BalanceSums
from shared.ledger.log.figures import DayFigures, summed_days
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.rounds import Visit
from shared.ledger.log.sequencer import VISITS_MAX, Sequencer
from shared.sagas.accounts.figure_sweep import FigureSweep
from shared.sagas.engine.jobs import JobRun
from tests.support.books import NOW
from tests.support.faults import FaultyDocuments
from tests.support.sequencing import LogWorld
from tests.unit.ledger.test_accounting import month

MODELS = ("gpt-4o-mini", "claude-haiku", "")
CHAINED = {"v", "ledger", "uid", "seq", "prev", "kind", "op", "kid"}
FIELDS = ("paid", "promotional", "debt")
SHARDS = Query(collection="shards", group=True, limit=5_000)


def lived(seed: int, later: int = 0, pace: int = 1) -> list[dict[str, Any]]:
    """The bodies of a month, or of a part of one with a faster `pace`, with bought lots, and with models on charges."""
    dice, bodies = random.Random(seed), month(seed)
    for body in bodies:
        body["at"] = NOW + later + (body["at"] - NOW) // pace
        if "lot" in body:
            body["lot"]["paid"] = body["lot"]["source"].startswith("world:")
        if any(name.startswith("world:") for item in body["postings"] for name in (item["from"], item["to"])):
            ways = {"grant": ("in",), "reversal": ("out", "back")}.get(body["kind"], ("none",))
            body["about"] = {"purpose": "purchase", "money": f"{dice.choice(ways)}:{dice.randrange(1, 9_000)}:USD"}
        if body["kind"] == "charge" and dice.random() < 0.8:
            body["about"] = {"purpose": "chat", "model": dice.choice(MODELS), "price_version": dice.choice("12")}
            body["about"] |= dice.choice(({}, {"markup_percent": "20"}))
            body["usage"] = {"input_tokens": dice.randrange(900), "output_tokens": dice.randrange(90)}
    return bodies


@dataclass
class Platform(LogWorld):
    """A log whose accounts live the journals step by step."""

    journals: Mapping[Uid, list[dict[str, Any]]] = field(default_factory=dict)
    waiting: set[Uid] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.looked_up: list[Uid] = []
        self.lived: dict[Uid, list[dict[str, Any]]] = {uid: [] for uid in self.journals}

    def live(self, uid: Uid, count: int) -> None:
        """Store the next entries of a journal."""
        known = len(self.lived[uid])
        bodies = self.journals[uid][known : known + count]
        writes: list[Write] = [self.mill.entry_write(uid, body["kind"], **_facts(body)) for body in bodies]
        writes += [lot_write(uid, seq, body["lot"]) for seq, body in enumerate(bodies, known + 1) if "lot" in body]
        if writes:
            self.store.commit(writes)
        self.lived[uid] += bodies
        self.waiting.add(uid)

    def round(self, documents: FaultyDocuments | None = None) -> None:
        """Let a sequencer append what accounts have, of at most 200 accounts."""
        visits = [Visit(uid=uid, seq=len(self.lived[uid])) for uid in sorted(self.waiting)[:VISITS_MAX]]
        report = self.sequencer(documents).append(visits)
        self.waiting -= {visit.uid for visit in visits} - {visit.uid for visit in report.rest}

    def figures(self) -> Mapping[str, DayFigures]:
        """The figures as readers add them up."""
        head = stored_figure_head(self.store.get(HEAD_PATH))
        days = dict(head.days)
        for document in self.store.query(SHARDS):
            day = document.path.split("/")[1]
            if is_month(day):
                continue
            days[day] = days.get(day, DayFigures()) + stored_day(day, document, head.generation).figures
        return {day: figures for day, figures in days.items() if figures != DayFigures()}

    def months(self) -> Mapping[str, BalanceSums]:
        """The growth of the balances by month, as readers add it up."""
        head = stored_figure_head(self.store.get(HEAD_PATH))
        months = {name: figures for name, figures in with_months(head.days).items() if is_month(name)}
        for document in self.store.query(SHARDS):
            name = document.path.split("/")[1]
            if is_month(name):
                months[name] = months.get(name, DayFigures()) + stored_day(name, document, head.generation).figures
        return {name: figures.balances for name, figures in months.items() if figures != DayFigures()}

    def months_of(self, uids: Sequence[Uid]) -> Mapping[Uid, str]:
        """The months of sign-up: somebody signed up in the month before their first entry, and somebody is unknown."""
        self.looked_up += uids
        return {uid: sign_up_month(uid, self.journals[uid]) for uid in uids}

    def sequencer(self, documents: Documents | None = None) -> Sequencer:
        made = super().sequencer(documents)
        made._sign_ups = self
        return made

    def is_whole(self) -> bool:
        return stored_figure_head(self.store.get(HEAD_PATH)).is_whole

    def count_all(self) -> None:
        """Run the day's job twice: what a run finds broken, the next one counts again."""
        for _ in range(2):
            FigureSweep(self.store, self.alerts, FigureCount(self.store, self)).sweep(JobRun("", self.clock, 60.0))


def sign_up_month(uid: Uid, journal: Sequence[Mapping[str, Any]]) -> str:
    if uid == "user1" or not journal:
        return ""
    return datetime.fromtimestamp(journal[0]["at"] / 1_000 - 86_400 * 10, UTC).date().isoformat()[:7]


def lot_write(uid: Uid, seq: int, fact: Mapping[str, Any]) -> Write:
    """The write of an archived lot, as the ledger stores it once the lot has left the state."""
    lot = Lot(
        id=fact["id"],
        source=fact["source"],
        priority=fact["priority"],
        granted_seq=seq,
        expires_at=fact.get("expires_at"),
        is_paid=fact["paid"],
        granted=0,
    )
    return Put(lot_path(uid, lot.id), {"state": encode_lot(lot)})


def _facts(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in CHAINED}


def check_figures(platform: Platform) -> None:
    days = platform.figures()
    assert told(days) == naive(platform.lived)
    assert told({name: DayFigures(growth={"": sums}) for name, sums in platform.months().items()}) == _by_month(days)


def check_balances(platform: Platform, days: Iterable[str]) -> None:
    """Assert that the balances on these days are those of all entries up to each day."""
    journals = naive(platform.lived)
    for day in days:
        found = FigureReader(platform.store).balances(date.fromisoformat(day), date.fromisoformat(day))
        told = found.opening + summed_days(found.figures.days.values()).balances
        assert told == summed_growth(sums for name, sums in journals.items() if name <= day)


def summed_growth(days: Iterable[Counter]) -> BalanceSums:
    """Return the growth by all kinds of entries on these days."""
    parts = dict.fromkeys(FIELDS, 0)
    for sums in days:
        for key, amount in sums.items():
            if key[0] == "growth":
                parts[key[2]] += amount
    return BalanceSums(**parts)


def _by_month(days: Mapping[str, DayFigures]) -> Mapping[str, Counter]:
    months: dict[str, Counter] = defaultdict(Counter)
    for day, figures in days.items():
        for name in FIELDS:
            months[max(day[:7], "2025-01")]["growth", "", name] += getattr(figures.balances, name)
    return {month: sums for month, counts in months.items() if (sums := _but_zeros(counts))}


def _but_zeros(counts: Counter) -> Counter:
    return Counter({name: count for name, count in counts.items() if count})


def naive(journals: Mapping[Any, Iterable[Mapping[str, Any]]]) -> dict[str, Counter]:
    """Return sums by day under names of their own, from the whole journals."""
    days: dict[str, Counter] = defaultdict(Counter)
    for uid, journal in journals.items():
        bodies = list(journal)
        _follow(days, bodies)
        _follow_way(days, bodies, sign_up_month(uid, bodies))
    return {day: _but_zeros(counts) for day, counts in days.items()}


def told(days: Mapping[str, Any]) -> dict[str, Counter]:
    """Return figures under the names of `naive`."""
    return {day: _but_zeros(_names(figures)) for day, figures in days.items()}


def _follow(days: dict[str, Counter], bodies: list[Mapping[str, Any]]) -> None:
    seen_days, seen_months, cohort, has_bonus = set[str](), set[str](), "", False
    paid = {body["lot"]["id"]: body["lot"]["paid"] for body in bodies if "lot" in body}
    for number, body in enumerate(bodies):
        day = datetime.fromtimestamp(body["at"] / 1_000, UTC).date().isoformat()
        sums, month = days[day], day[:7]
        sums["entries", body["kind"]] += 1
        for item in body["postings"]:
            sums["flow", body["kind"], item["from"], item["to"]] += item["amount"]
            for name, amount in ((item["from"], -item["amount"]), (item["to"], item["amount"])):
                part = "paid" if paid.get(item.get("lot")) else "promotional"
                sums["growth", body["kind"], part] += amount * (name in {"available", "held"})
                sums["growth", body["kind"], "debt"] -= amount * (name == "debt")
        bought = sum(
            item["amount"] for item in body["postings"] if body["kind"] == "grant" and item["from"][:6] == "world:"
        )
        _follow_money(sums, body)
        is_buyer = bought > 0 and not cohort
        cohort = month if is_buyer else cohort
        sums["new"] += number == 0
        sums["buyers"] += is_buyer
        sums["buyers_with_bonus"] += is_buyer and has_bonus
        if not has_bonus and any(item["from"] == "promo:welcome" for item in body["postings"]):
            has_bonus = True
            sums["bonuses"] += 1
        sums["active"] += day not in seen_days
        sums["active_in_month"] += month not in seen_months
        sums["cohort", cohort, "active_in_month"] += month not in seen_months or is_buyer
        sums["cohort", cohort, "purchases"] += bought > 0
        sums["cohort", cohort, "bought"] += bought
        charged = _follow_use(sums, body)
        sums["cohort", cohort, "charged"] += charged
        seen_days.add(day)
        seen_months.add(month)


def _follow_way(days: dict[str, Counter], bodies: list[Mapping[str, Any]], signed_up: str) -> None:
    """Count the first day of each step of an account."""
    for name, happens in STEPS.items():
        first = next((body for body in bodies if happens(body)), None)
        if first is not None:
            day = datetime.fromtimestamp(first["at"] / 1_000, UTC).date().isoformat()
            days[day]["way", signed_up, name] += 1
            days[day]["spenders"] += name == "spenders"


def _moves(body: Mapping[str, Any], source: str, destination: str = "") -> bool:
    return any(item["from"].startswith(source) and item["to"].startswith(destination) for item in body["postings"])


STEPS = {
    "bonuses": lambda body: _moves(body, "promo:welcome"),
    "buyers": lambda body: body["kind"] == "grant" and _moves(body, "world:"),
    "spenders": lambda body: any(_moves(body, name, "revenue:") for name in ("available", "held", "debt")),
}


def _follow_money(sums: Counter, body: Mapping[str, Any]) -> None:
    way, _, rest = body.get("about", {}).get("money", "").partition(":")
    if way in {"in", "out", "back"}:
        minor, currency = rest.split(":")
        (name,) = {name for item in body["postings"] for name in (item["from"], item["to"]) if name[:6] == "world:"}
        sums["money", name[6:], currency, way] += int(minor)
        sums["money", name[6:], currency, "payments"] += way == "in"


def _follow_use(sums: Counter, body: Mapping[str, Any]) -> int:
    paid = [item for item in body["postings"] if item["to"].startswith("revenue:")]
    hold, about, usage = body.get("hold", {}), body.get("about", {}), body.get("usage", {})
    if not paid and hold.get("end") != "captured":
        return 0
    kind = paid[0]["to"][8:] if paid else about.get("purpose", "")
    model = about.get("model") or body.get("tags", {}).get("model") or hold.get("model") or ""
    use = ("use", kind, model, about.get("price_version", ""), about.get("markup_percent", ""))
    charged = sum(item["amount"] for item in paid if item["from"] in {"available", "held", "debt"})
    sums[*use, "count"] += usage.get("uses", 1)
    sums[*use, "charged"] += charged
    sums[*use, "absorbed"] += sum(item["amount"] for item in paid if item["from"] == "absorbed")
    sums[*use, "input_tokens"] += usage.get("input_tokens", 0)
    sums[*use, "output_tokens"] += usage.get("output_tokens", 0)
    return charged


def _names(figures: Any) -> Counter:
    counts: Counter = Counter({("entries", kind): count for kind, count in figures.entries.items()})
    counts.update({("flow", *row): amount for row, amount in figures.flows.items()})
    for row, sums in figures.uses.items():
        counts.update({("use", *row, name): getattr(sums, name) for name in sums.__slots__})
    for cohort, sums in figures.cohorts.items():
        counts.update({("cohort", cohort, name): getattr(sums, name) for name in sums.__slots__})
    for row, sums in figures.money.items():
        told = {"payments": sums.payments, "in": sums.came_in, "out": sums.went_out, "back": sums.came_back}
        counts.update({("money", *row, name): amount for name, amount in told.items()})
    for begun, sums in figures.way.items():
        counts.update({("way", begun, name): getattr(sums, name) for name in sums.__slots__})
    for kind, sums in figures.growth.items():
        counts.update({("growth", kind, name): getattr(sums, name) for name in FIELDS})
    counts.update({name: getattr(figures.accounts, name) for name in figures.accounts.__slots__})
    return counts
