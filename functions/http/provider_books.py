"""ProviderDay of a closed day with the listings of payment providers, as a part of the day's books."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice, Credits
from shared.bootstrap import Services
from shared.ledger.log.days import DayRecord
from shared.ledger.log.world_moves import WORLD
from shared.payments.fiat import decimal_of
from shared.payments.listed_money import ListsMoney
from shared.payments.provider_days import MoneySums, ProviderDay, ProviderDays


class ListedSumsOut(Answer):
    """Money of one currency in a provider's listing of the day, as decimals."""

    currency = fields.String(required=True)
    came_in = fields.String(required=True)
    went_out = fields.String(required=True)
    lines = fields.Integer(required=True)


class DifferenceOut(Answer):
    """Payment on which the ledger and the provider's listing differ. `ours` and `theirs` are net credits.

    `in_transit`: the other side may have the money on the next day. `pending`: the provider has not moved the money.
    `disputed`: the provider holds the money of an open dispute. `differs`: a person has to act.
    """

    payment = fields.String(required=True)
    finding = Choice(
        "missing_here",
        "missing_there",
        "outgoing_missing_here",
        "outgoing_missing_there",
        "amount_differs",
        "currency_differs",
        "unknown_payment",
        required=True,
    )
    state = Choice("in_transit", "pending", "disputed", "differs", required=True)
    uid = fields.String(required=True)
    problem = fields.String(required=True)
    first_day = fields.String(required=True)
    ours = Credits(required=True)
    theirs = Credits(required=True)
    net_amount = fields.String(required=True)
    currency = fields.String(required=True)
    names = fields.List(fields.String(), required=True)


class ProviderDayOut(Answer):
    """ProviderDay with one provider. `open`: the day is not compared yet, and `reason` and `detail` say why.

    `unlisted`: the provider has no listing to compare with. `granted` and `taken_back` are the credits of the day.
    `is_log_complete` is False if moves of the log are missing.
    """

    provider = fields.String(required=True)
    status = Choice("compared", "differs", "open", "unlisted", required=True)
    reason = fields.String(required=True)
    detail = fields.String(required=True)
    flow = Credits(required=True)
    granted = Credits(required=True)
    taken_back = Credits(required=True)
    listed = fields.List(fields.Nested(ListedSumsOut), required=True)
    elsewhere = fields.List(fields.Nested(ListedSumsOut), required=True)
    unreadable = fields.Integer(required=True)
    is_log_complete = fields.Boolean(required=True)
    open_items = fields.Integer(required=True)
    items = fields.List(fields.Nested(DifferenceOut), required=True)


def provider_days(services: Services, record: DayRecord) -> list[dict[str, Any]]:
    """Return the comparison of a closed day with each provider that is configured, or has moved credits.

    Reads two documents for each provider with a listing. Raises ProviderBooksBroken.
    """
    providers = services.payments.providers
    moved = {name.removeprefix(WORLD) for name in record.books.flows if name.startswith(WORLD)}
    books = ProviderDays(services.ports.documents())
    told = []
    for name in sorted({*providers, *moved}):
        flow = {"provider": name, "flow": -record.books.flows.get(f"{WORLD}{name}", 0)}
        if isinstance(providers.get(name), ListsMoney):
            told.append({**flow, **_compared(books, name, record.day)})
        else:
            told.append({**flow, **_nothing("unlisted")})
    return told


def _compared(books: ProviderDays, name: str, day: str) -> dict[str, Any]:
    found = books.find(name, day)
    if found is not None:
        return _of(found)
    state = books.state(name)
    if day <= state.last:
        return _nothing("compared")
    return {**_nothing("open"), "reason": state.reason, "detail": state.detail}


def _of(found: ProviderDay) -> dict[str, Any]:
    is_sound = found.is_complete and not found.unreadable
    differs = not is_sound or any(each["state"] == "differs" for each in found.items)
    return {
        **_nothing("differs" if differs else "compared"),
        "granted": found.granted,
        "taken_back": found.taken_back,
        "listed": _sums(found.listed),
        "elsewhere": _sums(found.elsewhere),
        "unreadable": found.unreadable,
        "is_log_complete": found.is_complete,
        "open_items": found.open,
        "items": [_item(each) for each in found.items],
    }


def _item(told: Mapping[str, Any]) -> dict[str, Any]:
    minor, currency = int(told["minor"]), str(told["currency"])
    return {**told, "net_amount": decimal_of(minor, currency) if currency else ""}


def _sums(sums: Mapping[str, MoneySums]) -> list[dict[str, Any]]:
    return [
        {
            "currency": currency,
            "came_in": decimal_of(each.came_in, currency),
            "went_out": decimal_of(each.went_out, currency),
            "lines": each.lines,
        }
        for currency, each in sorted(sums.items())
    ]


def _nothing(status: str) -> dict[str, Any]:
    return {
        "status": status,
        "reason": "",
        "detail": "",
        "granted": 0,
        "taken_back": 0,
        "listed": [],
        "elsewhere": [],
        "unreadable": 0,
        "is_log_complete": True,
        "open_items": 0,
        "items": [],
    }
