"""Quote, claim and report of a crypto payment as stored fields. Atomic amounts are decimal strings."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import Value
from shared.payments.chains.quote import LevelClaim, Quote
from shared.payments.chains.report import ChainReport, Line, SeenTransfer
from shared.payments.fiat import Fiat


def quote_data(quote: Quote | None) -> dict[str, Value] | None:
    """Return the stored form of a quote."""
    if quote is None:
        return None
    times: Mapping[str, Value] = {
        "quoted_at": to_datetime(quote.quoted_at),
        "locked_until": to_datetime(quote.locked_until),
    }
    return {**asdict(quote), "due": str(quote.due), "sources": list(quote.sources), **times}


def quote_of(stored: Mapping[str, Any] | None) -> Quote | None:
    """Return the quote that a stored field describes."""
    if stored is None:
        return None
    times = {name: from_datetime(stored[name]) for name in ("quoted_at", "locked_until")}
    return Quote(**{**stored, "due": int(stored["due"]), "sources": tuple(stored["sources"]), **times})


def claim_data(claim: LevelClaim | None) -> dict[str, Value] | None:
    """Return the stored form of a claim."""
    return None if claim is None else {**asdict(claim), "begin": str(claim.begin), "end": str(claim.end)}


def claim_of(stored: Mapping[str, Any] | None) -> LevelClaim | None:
    """Return the claim that a stored field describes."""
    if stored is None:
        return None
    return LevelClaim(**{**stored, "begin": int(stored["begin"]), "end": int(stored["end"])})


def report_data(report: ChainReport | None) -> dict[str, Value] | None:
    """Return the stored form of a report."""
    if report is None:
        return None
    return {
        **asdict(report),
        "received": str(report.received),
        "missing": str(report.missing),
        "transactions": [asdict(each) for each in report.transactions],
        "lines": [_line_data(each) for each in report.lines],
        "others": list(report.others),
        **{name: None if at is None else to_datetime(at) for name, at in _ends(report).items()},
    }


def report_of(stored: Mapping[str, Any] | None) -> ChainReport | None:
    """Return the report that a stored field describes."""
    if stored is None:
        return None
    ends = {name: stored.get(name) for name in _ENDS}
    return ChainReport(
        **{
            **stored,
            **{name: None if at is None else from_datetime(at) for name, at in ends.items()},
            "received": int(stored["received"]),
            "missing": int(stored["missing"]),
            "transactions": tuple(SeenTransfer(**each) for each in stored["transactions"]),
            "lines": tuple(_line_of(each) for each in stored["lines"]),
            "others": tuple(stored["others"]),
        }
    )


_ENDS = ("locked_until", "expires_at")


def _ends(report: ChainReport) -> Mapping[str, Millis | None]:
    return {name: getattr(report, name) for name in _ENDS}


def _line_data(line: Line) -> dict[str, Value]:
    return {**asdict(line), "amount": str(line.amount), "price": asdict(line.price)}


def _line_of(stored: Mapping[str, Any]) -> Line:
    return Line(**{**stored, "amount": int(stored["amount"]), "price": Fiat(**stored["price"])})
