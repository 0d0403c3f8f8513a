"""A naive fold of journals into figures, entry by entry, to compare the stored figures with."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any


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
    for month, sums in figures.cohorts.items():
        counts.update({("cohort", month, name): getattr(sums, name) for name in sums.__slots__})
    counts.update({name: getattr(figures.accounts, name) for name in figures.accounts.__slots__})
    return counts
