"""`/v1/credits/analytics` and `/v1/models/analytics`: use and cost by day, exact to the journal."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from marshmallow import ValidationError, fields

from functions.http.fields import Answer, Choice, Credits, Request
from functions.http.routes import READ, Call, Routes
from shared.kernel.clock import to_datetime
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.series import BUCKETS, Period, grouped, period, series
from shared.ledger.usage import MOVES, Amounts, Day, summed

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

routes = Routes("analytics")


class Date(fields.String):
    """A day (UTC), as `2026-11-24`. A `date` inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "date", "examples": ["2026-11-24"]}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        try:
            return date.fromisoformat(text if DATE.fullmatch(text) else "")
        except ValueError as error:
            raise ValidationError("Not a day such as 2026-11-24.") from error


class AnalyticsQuery(Request):
    """Days (UTC), both included; by default thirty days up to today, at most 366."""

    first = Date(data_key="from", load_default=None)
    last = Date(data_key="to", load_default=None)
    bucket = Choice(*BUCKETS, load_default="day")


class Counted(Answer):
    """Number and cost of uses."""

    count = fields.Integer(required=True)
    cost = Credits(required=True)


class UsedByKind(Counted):
    """Part of one kind of use: `chat`, `image`, `agent`, `reservation`, …"""

    kind = fields.String(required=True)


class UsedByKey(Counted):
    """Part of one API key; the key is null for use without a key."""

    key = fields.String(required=True, allow_none=True)


class UsedByModel(Counted):
    """Part of one model, of one kind and by one API key. The model is null if the journal names no model."""

    model = fields.String(required=True, allow_none=True)
    kind = fields.String(required=True)
    key = fields.String(required=True, allow_none=True)
    input_tokens = fields.Integer(required=True)
    output_tokens = fields.Integer(required=True)


class Figures(Counted):
    """Change of the caller's credits. Losses have a minus, and the sum of all figures is the change of the balance."""

    spent = Credits(required=True)
    granted = Credits(required=True)
    refunded = Credits(required=True)
    adjusted = Credits(required=True)
    expired = Credits(required=True)
    reversed = Credits(required=True)
    written_off = Credits(required=True)
    other = Credits(required=True)
    kinds = fields.List(fields.Nested(UsedByKind), required=True)
    keys = fields.List(fields.Nested(UsedByKey), required=True)


class FiguresBucket(Figures):
    """Figures of one day or month."""

    start = fields.String(required=True, metadata={"format": "date"})


class ModelFigures(Counted):
    """Use of each model."""

    input_tokens = fields.Integer(required=True)
    output_tokens = fields.Integer(required=True)
    models = fields.List(fields.Nested(UsedByModel), required=True)


class ModelBucket(ModelFigures):
    """Use of models on one day or in one month."""

    start = fields.String(required=True, metadata={"format": "date"})


class Analytics(Answer):
    """Every bucket from the first day to the last, oldest first, as of entry `seq` of the journal."""

    start = fields.String(data_key="from", required=True, metadata={"format": "date"})
    end = fields.String(data_key="to", required=True, metadata={"format": "date"})
    bucket = Choice(*BUCKETS, required=True)
    seq = fields.Integer(required=True)


class CreditsAnalytics(Analytics):
    """Change of credits in a period."""

    items = fields.List(fields.Nested(FiguresBucket), required=True)
    total = fields.Nested(Figures, required=True)


class ModelsAnalytics(Analytics):
    """Use of models in a period."""

    items = fields.List(fields.Nested(ModelBucket), required=True)
    total = fields.Nested(ModelFigures, required=True)


@routes.get(
    "/credits/analytics",
    scopes=READ,
    query=AnalyticsQuery,
    answer=CreditsAnalytics,
    errors=(InvalidValue, PreconditionFailed),
)
def of_credits(call: Call) -> Any:
    """Show the caller's spent and received credits by day or month, kind of use and API key, exact to the journal."""
    return credits_analytics(call, call.uid)


@routes.get(
    "/models/analytics",
    scopes=READ,
    query=AnalyticsQuery,
    answer=ModelsAnalytics,
    errors=(InvalidValue, PreconditionFailed),
)
def of_models(call: Call) -> Any:
    """Show the caller's use and cost of each model by day or month, exact to the journal."""
    return _answer(call, call.uid, _model_figures)


def credits_analytics(call: Call, uid: Uid) -> Mapping[str, Any]:
    """Return the figures of a user's credits that the query of the call asks for."""
    return _answer(call, uid, _figures)


def _answer(call: Call, uid: Uid, figures: Any) -> Mapping[str, Any]:
    asked = _period_of(call)
    report = call.services.credits.analytics.report(uid, asked.first.isoformat(), asked.last.isoformat())
    buckets = series(report.days, asked, call.query["bucket"])
    return {
        "start": asked.first.isoformat(),
        "end": asked.last.isoformat(),
        "bucket": call.query["bucket"],
        "seq": report.seq,
        "items": [{"start": start, **figures(day)} for start, day in buckets],
        "total": figures(summed(day for _, day in buckets)),
    }


def _period_of(call: Call) -> Period:
    return period(call.query["first"], call.query["last"], to_datetime(call.services.clock.now()).date())


def _figures(day: Day) -> dict[str, Any]:
    return {
        **_counted(sum(day.uses.values(), Amounts())),
        **{name: day.moved.get(name, 0) for name in MOVES},
        "kinds": [{"kind": kind, **_counted(amounts)} for (kind,), amounts in grouped(day.uses, "kind").items()],
        "keys": [{"key": key or None, **_counted(amounts)} for (key,), amounts in grouped(day.uses, "key").items()],
    }


def _model_figures(day: Day) -> dict[str, Any]:
    rows = grouped(day.uses, "model", "kind", "key")
    return {
        **_counted(sum(day.uses.values(), Amounts())),
        "models": [
            {"model": model or None, "kind": kind, "key": key or None, **_counted(amounts)}
            for (model, kind, key), amounts in rows.items()
        ],
    }


def _counted(amounts: Amounts) -> dict[str, int]:
    return {name: getattr(amounts, name) for name in ("count", "cost", "input_tokens", "output_tokens")}
