"""PayPal's transaction search as lines of money, and the periods in which a long time is searched. Pure.

https://developer.paypal.com/docs/api/transaction-search/v1/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.clock import SECOND, Millis, parse_rfc3339
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListedMoney

PAGE = 500
PERIOD_SECONDS_MAX = 86_400
PERIOD_SECONDS_MIN = 60
TOO_LARGE = "resultset_too_large"
"""Issue of a search with more than 10,000 results. The search is made again for half of the period."""
MONEY_CODES = ("T00", "T12")
REVERSAL_CODES = frozenset({"T1100", "T1106", "T1107", "T1110", "T1111", "T1112", "T1114", "T1115", "T1116", "T1119"})
"""Codes of money that went back, or is held for a dispute. T1108 returns fees, and T1109 is the fee of a chargeback."""
NOT_MOVED = frozenset({"D"})
PENDING = "P"
BARE_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlace:
    """Place in a search: the page of a period that begins at `since` (ms) and lasts `seconds`."""

    since: Millis
    seconds: int
    page: int = 1

    @classmethod
    def parsed(cls, cursor: str | None, since: Millis) -> "SearchPlace":
        """Return the place that a cursor names; the first place for None. Raises ValueError for any other text."""
        if cursor is None:
            return cls(since=since, seconds=PERIOD_SECONDS_MAX)
        first, seconds, page = (int(part) for part in cursor.split(":"))
        return cls(since=Millis(first), seconds=seconds, page=page)

    def end(self, until: Millis) -> Millis:
        """Return the end of the period (ms), at most `until`."""
        return Millis(min(until, self.since + self.seconds * SECOND))

    def halved(self) -> str | None:
        """Return the cursor of the first half of the period; None if the period is too short to be halved."""
        half = self.seconds // 2
        return f"{self.since}:{half}:1" if half >= PERIOD_SECONDS_MIN else None

    def following(self, pages: int, until: Millis) -> str | None:
        """Return the cursor of the next page or period; None at the end. `pages` are those of this period."""
        if self.page < pages:
            return f"{self.since}:{self.seconds}:{self.page + 1}"
        end = self.end(until)
        return None if end >= until else f"{end}:{self.seconds}:1"


def money_of(detail: Mapping[str, Any]) -> ListedMoney | None:
    """Return the line of a transaction; None if the transaction moves no payment's money.

    Raises AttributeError, KeyError, TypeError, ValueError or InvalidValue for any other object.
    """
    info = detail["transaction_info"]
    code, status = str(info["transaction_event_code"]), str(info["transaction_status"])
    if not (code.startswith(MONEY_CODES) or code in REVERSAL_CODES) or status in NOT_MOVED:
        return None
    amount, number = info["transaction_amount"], str(info["transaction_id"])
    value = str(amount["value"])
    is_out = value.startswith("-")
    if is_out and code.startswith("T00"):
        return None  # money that we sent, which no payment knows
    is_referring = info.get("paypal_reference_id_type") == "TXN"
    return ListedMoney(
        id=number,
        amount=Fiat.parse(value.removeprefix("-"), str(amount["currency_code"])),
        at=parse_rfc3339(_with_colon(str(info["transaction_initiation_date"]))),
        is_out=is_out,
        money=str(info["paypal_reference_id"]) if is_referring else number,
        payment=str(info.get("custom_field") or ""),
        is_pending=status == PENDING,
    )


def refreshed_in(page: Mapping[str, Any]) -> Millis | None:
    """Return the time up to which the search is complete; None if PayPal does not tell. Raises ValueError."""
    told = page.get("last_refreshed_datetime")
    return None if told is None else parse_rfc3339(_with_colon(str(told)))


def _with_colon(stamp: str) -> str:
    """Return a time as RFC 3339: PayPal writes the offset as `+0000`."""
    return BARE_OFFSET.sub(r"\1:\2", stamp)
