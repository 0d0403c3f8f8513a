"""`/v1/api-keys`: keys for servers and for OpenAI clients, shown once, and limited by scopes and caps."""

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, fields

from functions.http.fields import Amount, Answer, Choice, Credits, Items, NextCursor, Request, Text, Time, page_answer
from functions.http.routes import MEMBER, Call, Routes
from shared.kernel.clock import Millis, parse_rfc3339
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.users.api_keys import (
    NAME_CHARACTERS_MAX,
    PREFIX,
    ApiKey,
    KeyNotFound,
    KeyShownBefore,
    KeyWanted,
    TooManyKeys,
)
from shared.users.principal import SCOPES, TOP_UP
from shared.users.spend_cap import PERIODS, SpendCap, window

TIME_CHARACTERS_MAX = 40

routes = Routes("api_keys")


class Instant(fields.String):
    """An instant that a client names, RFC 3339 with an offset. Milliseconds inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "date-time"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        try:
            if len(text) > TIME_CHARACTERS_MAX:
                raise ValueError(text)
            return parse_rfc3339(text)
        except (ValueError, OverflowError) as error:
            raise ValidationError("Not a valid RFC 3339 time with an offset.") from error


class SpendCapIn(Request):
    """Cap of a key's spending: per day, week (from Monday) or month, in UTC; or in total."""

    amount = Amount(required=True)
    period = Choice(*PERIODS, load_default="total")


class KeyIn(Request):
    """Properties of an API key to make."""

    name = Text(length_min=1, length_max=NAME_CHARACTERS_MAX, required=True)
    scopes = Items(Choice(*SCOPES), required=True, length_min=1, length_max=len(SCOPES))
    spend_cap = fields.Nested(SpendCapIn, load_default=None, allow_none=True)
    expires_at = Instant(load_default=None, allow_none=True)


class SpendCapOut(Answer):
    """Cap, and its used part in the current period, holds included."""

    amount = Credits(required=True)
    period = Choice(*PERIODS, required=True)
    used = Credits(required=True)
    resets_at = Time(required=True, allow_none=True)


class KeyOut(Answer):
    """API key without its text, which is shown only when the key is made."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    prefix = fields.String(required=True)
    last_four = fields.String(required=True)
    scopes = fields.List(Choice(*SCOPES), required=True)
    spend_cap = fields.Nested(SpendCapOut, required=True, allow_none=True)
    created_at = Time(required=True)
    expires_at = Time(required=True, allow_none=True)
    last_used_at = Time(required=True, allow_none=True)


class NewKeyOut(KeyOut):
    """New key with its text, which is shown this once."""

    key = fields.String(required=True)


class KeysOut(Answer):
    """Keys of the caller, newest first."""

    items = fields.List(fields.Nested(KeyOut), required=True)
    next_cursor = NextCursor()


@routes.post(
    "/api-keys",
    access=MEMBER,
    body=KeyIn,
    answer=NewKeyOut,
    errors=(TooManyKeys, KeyShownBefore, InvalidValue),
)
def create(call: Call) -> Any:
    """Make an API key. This answer is the only answer that shows the key.

    Send the key as a Firebase token is sent. The key may do what its scopes name, and never manages keys, users or
    operators. If the same `Idempotency-Key` made a key before, no second key is made, and the first is not shown
    again.
    """
    wanted = _wanted(call.body, call.services.clock.now())
    key, text = call.services.users.api_keys.create(call.uid, wanted, call.asked.operation, call.asked.fingerprint)
    return {**_shown(key, call, {}), "key": text}


@routes.get("/api-keys", access=MEMBER, answer=KeysOut)
def api_keys(call: Call) -> Any:
    """List the caller's API keys, newest first, with the used part of each cap."""
    return page_answer(shown_keys(call, call.uid))


def shown_keys(call: Call, uid: Uid) -> list[dict[str, Any]]:
    """Return a user's keys as an answer shows them, newest first."""
    keys: Sequence[ApiKey] = call.services.users.api_keys.of(uid)
    used = call.services.users.key_budgets.used(uid, keys)
    return [_shown(key, call, used) for key in keys]


@routes.delete("/api-keys/{id}", access=MEMBER, errors=(KeyNotFound,))
def revoke(call: Call) -> None:
    """Revoke an API key. Within five seconds the key is refused everywhere.

    Agent tasks that were begun with the key pause before their next step, and can be resumed. Images that were
    requested with the key and are not made yet are not made, and cost nothing.
    """
    call.services.key_revocation.revoke(call.uid, call.path["id"])


def _wanted(body: Mapping[str, Any], now: Millis) -> KeyWanted:
    expires_at, cap = body["expires_at"], body["spend_cap"]
    if expires_at is not None and expires_at <= now:
        raise InvalidValue("expires_at", "must be in the future")
    if TOP_UP in body["scopes"] and cap is None:
        raise InvalidValue("spend_cap", "must be set for a key that may top up: it limits what the key buys and spends")
    return KeyWanted(
        name=body["name"],
        scopes=frozenset(body["scopes"]),
        cap=SpendCap(**cap) if cap is not None else None,
        expires_at=expires_at,
    )


def _shown(key: ApiKey, call: Call, used: Mapping[str, int]) -> dict[str, Any]:
    now = call.services.clock.now()
    cap = key.cap and {
        "amount": key.cap.amount,
        "period": key.cap.period,
        "used": used.get(key.id, 0),
        "resets_at": window(key.cap.period, now).ends_at,
    }
    names = ("id", "name", "last_four", "created_at", "expires_at", "last_used_at")
    shown = {name: getattr(key, name) for name in names}
    return {**shown, "prefix": PREFIX, "scopes": sorted(key.scopes), "spend_cap": cap}
