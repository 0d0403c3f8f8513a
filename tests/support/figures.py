"""A platform whose accounts live journals step by step, and a naive fold to compare the stored figures with."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.kernel.documents import Query
from shared.kernel.ids import Uid
from shared.ledger.log.figure_documents import stored_day, stored_figure_head
from shared.ledger.log.figures import DayFigures
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.rounds import Visit
from shared.ledger.log.sequencer import VISITS_MAX
from shared.sagas.accounts.figure_sweep import FigureSweep
from shared.sagas.engine.jobs import JobRun
from tests.support.books import NOW
from tests.support.faults import FaultyDocuments
from tests.support.sequencing import LogWorld
from tests.unit.ledger.test_accounting import month

MODELS = ("gpt-4o-mini", "claude-haiku", "")
CHAINED = {"v", "ledger", "uid", "seq", "prev", "kind", "op", "kid"}
SHARDS = Query(collection="shards", group=True, limit=5_000)


def lived(seed: int, later: int = 0, pace: int = 1) -> list[dict[str, Any]]:
    """The bodies of a month, or of a part of one with a faster `pace`, with models, prices and tokens on charges."""
    dice, bodies = random.Random(seed), month(seed)
    for body in bodies:
        body["at"] = NOW + later + (body["at"] - NOW) // pace
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
        self.lived: dict[Uid, list[dict[str, Any]]] = {uid: [] for uid in self.journals}

    def live(self, uid: Uid, count: int) -> None:
        """Store the next entries of a journal."""
        known = len(self.lived[uid])
        bodies = self.journals[uid][known : known + count]
        writes = [self.mill.entry_write(uid, body["kind"], **_facts(body)) for body in bodies]
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
            days[day] = days.get(day, DayFigures()) + stored_day(day, document, head.generation).figures
        return {day: figures for day, figures in days.items() if figures != DayFigures()}

    def is_whole(self) -> bool:
        return stored_figure_head(self.store.get(HEAD_PATH)).is_whole

    def count_all(self) -> None:
        """Run the day's job twice: what a run finds broken, the next one counts again."""
        for _ in range(2):
            FigureSweep(self.store, self.alerts).sweep(JobRun("", self.clock, 60.0))


def _facts(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in CHAINED}


def check_figures(platform: Platform) -> None:
    assert told(platform.figures()) == naive(platform.lived)


def naive(journals: Mapping[Any, Iterable[Mapping[str, Any]]]) -> dict[str, Counter]:
    """Return sums by day under names of their own, from the whole journals."""
    days: dict[str, Counter] = defaultdict(Counter)
    for bodies in journals.values():
        _follow(days, list(bodies))
    return {day: +counts for day, counts in days.items()}


def told(days: Mapping[str, Any]) -> dict[str, Counter]:
    """Return figures under the names of `naive`."""
    return {day: +_names(figures) for day, figures in days.items()}


def _follow(days: dict[str, Counter], bodies: list[Mapping[str, Any]]) -> None:
    seen_days, seen_months, cohort, has_bonus = set[str](), set[str](), "", False
    for number, body in enumerate(bodies):
        day = datetime.fromtimestamp(body["at"] / 1_000, UTC).date().isoformat()
        sums, month = days[day], day[:7]
        sums["entries", body["kind"]] += 1
        for item in body["postings"]:
            sums["flow", body["kind"], item["from"], item["to"]] += item["amount"]
        bought = sum(
            item["amount"] for item in body["postings"] if body["kind"] == "grant" and item["from"][:6] == "world:"
        )
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
    counts.update({name: getattr(figures.accounts, name) for name in figures.accounts.__slots__})
    return counts
