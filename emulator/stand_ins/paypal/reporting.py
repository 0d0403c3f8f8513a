"""PayPal's transaction search of a stand-in: late, in pages of any order, and for accounts with the permission only.

https://developer.paypal.com/docs/api/transaction-search/v1/
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from emulator.stand_ins.paypal.errors import PayPalError, invalid
from emulator.stand_ins.paypal.money import OUTCOMES, Money
from emulator.stand_ins.wire import Json

PATH = "/v1/reporting/transactions"
PERIOD_DAYS_MAX = 31
PAGE_SIZE = 100
PAGE_SIZE_MAX = 500
RESULTS_MAX = 10_000
LATE_SECONDS = 3 * 3600
"""Time after which a transaction is listed."""
STATUS = {"COMPLETED": "S", "PARTIALLY_REFUNDED": "S", "REFUNDED": "S", "PENDING": "P"}


class Reporting:
    """Search of the merchant's transactions."""

    def __init__(self, money: Money, now: Callable[[], float]) -> None:
        self._money = money
        self._now = now
        self.is_permitted = True
        self.late_seconds: float = LATE_SECONDS
        self.results_max = RESULTS_MAX

    def search(self, asked: dict[str, str]) -> Json:
        """Return a page of the transactions between two times. Raises PayPalError as PayPal refuses a search."""
        if not self.is_permitted:
            raise PayPalError("NOT_AUTHORIZED")
        first, last = _moment(asked, "start_date"), _moment(asked, "end_date")
        if not timedelta(0) <= last - first <= timedelta(days=PERIOD_DAYS_MAX):
            raise invalid("INVALID_PARAMETER_VALUE", "end_date")
        size, page = _number(asked, "page_size", PAGE_SIZE, PAGE_SIZE_MAX), _number(asked, "page", 1, RESULTS_MAX)
        refreshed = datetime.fromtimestamp(self._now() - self.late_seconds, UTC)
        found = [each for at, each in self._transactions() if first <= at <= min(last, refreshed)]
        if len(found) > self.results_max:
            raise PayPalError("RESULTSET_TOO_LARGE")
        pages = max(1, -(-len(found) // size))
        chosen = found[(page - 1) * size : page * size]
        return {
            "transaction_details": [{"transaction_info": each} for each in reversed(chosen)],
            "account_number": "STANDNMERCH22",
            "start_date": _stamp(first),
            "end_date": _stamp(last),
            "last_refreshed_datetime": _stamp(refreshed),
            "page": page,
            "total_items": len(found),
            "total_pages": pages,
            "links": [],
        }

    def _transactions(self) -> Iterator[tuple[datetime, Json]]:
        for capture in self._money.captures.values():
            yield _transaction(capture, "T0006", capture["id"], STATUS.get(capture["status"], "D"))
        for refund in self._money.refunds.values():
            of = next(each["href"].rpartition("/")[2] for each in refund["links"] if each["rel"] == "up")
            status = "S" if refund["status"] == "COMPLETED" else "P" if refund["status"] == "PENDING" else "D"
            yield _transaction(refund, "T1107", refund["id"], status, of=of, is_out=True)
        for dispute in self._money.disputes.values():
            yield from _held(dispute)


def _held(dispute: Json) -> Iterator[tuple[datetime, Json]]:
    """Money of a dispute is held while the dispute is open, and released at its end."""
    of = dispute["disputed_transactions"][0]["seller_transaction_id"]
    thing = {**dispute, "amount": dispute["dispute_amount"]}
    number = dispute["dispute_id"].replace("-", "")
    yield _transaction(thing, "T1110", f"{number}H", "S", of=of, is_out=True)
    if dispute["status"] == "RESOLVED" and dispute["dispute_outcome"]["outcome_code"] in OUTCOMES.values():
        yield _transaction({**thing, "create_time": dispute["update_time"]}, "T1111", f"{number}R", "S", of=of)


def _transaction(
    thing: Json, code: str, number: str, status: str, *, of: str = "", is_out: bool = False
) -> tuple[datetime, Json]:
    at = datetime.fromisoformat(thing["create_time"])
    info: dict[str, Any] = {
        "transaction_id": number,
        "transaction_event_code": code,
        "transaction_initiation_date": _stamp(at),
        "transaction_updated_date": _stamp(datetime.fromisoformat(thing["update_time"])),
        "transaction_amount": {**thing["amount"], "value": f"{'-' if is_out else ''}{thing['amount']['value']}"},
        "transaction_status": status,
        "protection_eligibility": "01",
    }
    if of:
        info |= {"paypal_reference_id": of, "paypal_reference_id_type": "TXN"}
    if "custom_id" in thing:
        info["custom_field"] = thing["custom_id"]
    if "invoice_id" in thing:
        info["invoice_id"] = thing["invoice_id"]
    return at, info


def _stamp(at: datetime) -> str:
    """Return a time as PayPal's reports write times, with an offset without a colon."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def _moment(asked: dict[str, str], name: str) -> datetime:
    if name not in asked:
        raise invalid("MISSING_REQUIRED_PARAMETER", name)
    try:
        found = datetime.fromisoformat(asked[name])
    except ValueError:
        raise invalid("INVALID_PARAMETER_SYNTAX", name) from None
    if found.tzinfo is None:
        raise invalid("INVALID_PARAMETER_SYNTAX", name)
    return found


def _number(asked: dict[str, str], name: str, default: int, most: int) -> int:
    text = asked.get(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise invalid("INVALID_PARAMETER_VALUE", name)
    return int(text)
