"""`/v1/admin/crypto/deposits`: coins that came, for operators, and decisions about coins under review."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.admin_payments import asked_user
from functions.http.fields import Answer, Choice, Cursor, Limit, NextCursor, Request, Text, Time, encode_cursor
from functions.http.money import Money
from functions.http.routes import ACT, READ_USERS, Call, Routes
from shared.kernel.clock import rfc3339
from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.deposit_rows import DEPOSIT_STATES, DepositRow, NothingUnderReview
from shared.payments.payment import Payment, status_of
from shared.sagas.payments.crypto_desk import AddressNotFound, DepositFilter
from shared.sagas.payments.crypto_following import AddressBusy
from shared.users.audit import REASON_MAX
from shared.users.operator_acts import OwnAccount

UID_CHARACTERS_MAX = 1_500
NETWORK_CHARACTERS_MAX = 64
COLUMNS = (
    "id", "address", "uid", "network", "asset", "amount", "state", "value", "currency", "rate", "sources",
    "payment_id", "package_id", "status", "at", "transactions",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a cell that a spreadsheet would run."""

routes = Routes("admin_crypto")


class DepositTransactionOut(Answer):
    """Transaction that brought coins to the address."""

    hash = fields.String(required=True, metadata={"description": "The hash of the transaction."})
    url = fields.String(required=True, metadata={"description": "The transaction at an explorer; empty if unknown."})
    sender = fields.String(required=True, metadata={"description": "Who sent the coins, as far as the chain tells."})
    amount_atomic = fields.String(required=True, metadata={"description": "The coins, in the least units."})


class DepositOut(Answer):
    """Coins at an address that share a state. Coins of no payment have no value, and no payment."""

    id = fields.String(required=True, metadata={"description": "The address: family and index."})
    address = fields.String(required=True, metadata={"description": "The address that the coins came to."})
    uid = fields.String(required=True)
    network = fields.String(required=True, metadata={"description": "The network on which the coins came."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins."})
    amount = fields.String(required=True, metadata={"description": "The coins, as a decimal."})
    amount_atomic = fields.String(required=True, metadata={"description": "The coins, in the least units."})
    state = Choice(*DEPOSIT_STATES, required=True, metadata={"description": "What became of the coins."})
    value = Money(required=True, allow_none=True)
    rate = fields.String(
        required=True, allow_none=True, metadata={"description": "USD per coin at which the value was found."}
    )
    sources = fields.List(fields.String(), required=True, metadata={"description": "Where the rate came from."})
    payment_id = fields.String(required=True, allow_none=True)
    package_id = fields.String(required=True, allow_none=True)
    status = fields.String(
        required=True, allow_none=True, metadata={"description": "The payment's status; null for no payment."}
    )
    at = Time(required=True, allow_none=True)
    transactions = fields.List(
        fields.Nested(DepositTransactionOut),
        required=True,
        metadata={"description": "The transactions that brought this asset to the address, the newest ones."},
    )


class DepositsOut(Answer):
    """A page of coins that came, by address."""

    items = fields.List(fields.Nested(DepositOut), required=True)
    next_cursor = NextCursor()


class DepositsQuery(Request):
    """Filter of coins; all conditions hold at once. `format=csv` answers with a table for spreadsheets."""

    limit = Limit()
    cursor = Cursor(str)
    uid = Text(length_min=1, length_max=UID_CHARACTERS_MAX, load_default=None)
    network = Text(length_min=1, length_max=NETWORK_CHARACTERS_MAX, load_default=None)
    state = Choice(*DEPOSIT_STATES, load_default=None)
    format = Choice("json", "csv", load_default="json")


class DecisionIn(Request):
    """Reason of the decision."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class DecidedOut(Answer):
    """All coins at the address after the decision."""

    items = fields.List(fields.Nested(DepositOut), required=True)


@routes.get(
    "/admin/crypto/deposits",
    access=READ_USERS,
    query=DepositsQuery,
    answer=DepositsOut,
    has_table=True,
    looks_at=asked_user,
)
def deposits(call: Call) -> Any:
    """List the coins that came, by address, with value, rate and transactions.

    With `format=csv`, the answer is a table, and the header `X-Next-Cursor` continues it.
    """
    query = call.query
    wanted = DepositFilter(uid=query["uid"], network=query["network"], state=query["state"])
    rows, after = call.services.crypto.desk.page(wanted, limit=query["limit"], after=query["cursor"])
    items, cursor = _told(call, rows), None if after is None else encode_cursor(after)
    if query["format"] == "json":
        return {"items": items, "next_cursor": cursor}
    answer = Response(_table(items), mimetype="text/csv")
    answer.headers["Content-Disposition"] = 'attachment; filename="deposits.csv"'
    if cursor is not None:
        answer.headers["X-Next-Cursor"] = cursor
    return answer


@routes.post(
    "/admin/crypto/deposits/{address}/assign",
    status=200,
    access=ACT,
    body=DecisionIn,
    answer=DecidedOut,
    errors=(AddressNotFound, NothingUnderReview, OwnAccount, AddressBusy),
)
def assign(call: Call) -> Any:
    """Credit the coins under review at an address to the user to whom the address was given."""
    rows = call.services.crypto.desk.assign(call.principal, *_place(call), call.body["reason"])
    return {"items": _told(call, rows)}


@routes.post(
    "/admin/crypto/deposits/{address}/ignore",
    status=200,
    access=ACT,
    body=DecisionIn,
    answer=DecidedOut,
    errors=(AddressNotFound, NothingUnderReview, OwnAccount, AddressBusy),
)
def ignore(call: Call) -> Any:
    """Note that the coins under review at an address are nobody's deposit, such as your own coins for fees.

    They can be assigned later.
    """
    rows = call.services.crypto.desk.ignore(call.principal, *_place(call), call.body["reason"])
    return {"items": _told(call, rows)}


def _place(call: Call) -> tuple[str, int]:
    """Return family and index of the address in the path. Raises AddressNotFound."""
    family, _, index = call.path["address"].partition(":")
    if not (index.isascii() and index.isdigit()):
        raise AddressNotFound
    return family, int(index)


def _told(call: Call, rows: Sequence[DepositRow]) -> list[Mapping[str, Any]]:
    payments = call.services.payments.store.among(sorted({row.payment for row in rows if row.payment}))
    return [_row(row, payments.get(row.payment)) for row in rows]


def _row(row: DepositRow, payment: Payment | None) -> Mapping[str, Any]:
    """Return a row for operators. `payment` is None for coins of no payment."""
    quote = None if payment is None else payment.quote
    return {
        "id": row.id,
        "address": row.record.address,
        "uid": row.record.uid,
        "network": row.network,
        "asset": row.asset,
        "amount": decimal_text(row.amount, row.decimals),
        "amount_atomic": str(row.amount),
        "state": row.state,
        "value": row.value,
        "rate": row.rate or None,
        "sources": () if quote is None else quote.sources,
        "payment_id": row.payment or None,
        "package_id": None if payment is None else payment.terms.package,
        "status": None if payment is None else status_of(payment),
        "at": row.at,
        "transactions": [
            {
                "hash": each.shown.hash,
                "url": each.shown.url,
                "sender": each.sender,
                "amount_atomic": str(each.amount),
            }
            for each in row.transactions
        ],
    }


def _table(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as CSV, with names in the first line."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for item in items:
        value = item["value"]
        told = {
            **item,
            "value": "" if value is None else value.decimal,
            "currency": "" if value is None else value.currency,
            "sources": " ".join(item["sources"]),
            "at": "" if item["at"] is None else rfc3339(item["at"]),
            "transactions": " ".join(each["hash"] for each in item["transactions"]),
        }
        table.writerow([_cell(told[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> str:
    """Return a cell as text that no spreadsheet runs as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
