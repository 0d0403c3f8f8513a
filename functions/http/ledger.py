"""`/v1/ledger`: the public keys that verify an export."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice, NextCursor, Time
from functions.http.routes import ANYBODY, Call, Routes

routes = Routes("ledger")


class Key(Answer):
    """Ed25519 verification key. Entries name the key by `kid`."""

    kid = fields.String(required=True)
    alg = Choice("Ed25519", required=True)
    public_key = fields.String(required=True, metadata={"description": "32 bytes, base64."})
    status = Choice("signing", "verifying", "ending", "retired", required=True)
    since = Time(required=True)
    until = Time(required=True, allow_none=True)


class Keys(Answer):
    """The keys of this ledger."""

    ledger_id = fields.String(required=True)
    items = fields.List(fields.Nested(Key), required=True)
    next_cursor = NextCursor()


@routes.get("/ledger/keys", access=ANYBODY, answer=Keys)
def keys(call: Call) -> Any:
    """List the public verification keys of this ledger."""
    known = call.services.credits.ledger.keys()
    items = [{"until": None, **key} for key in known]
    return {"ledger_id": call.services.settings.ledger_id, "items": items, "next_cursor": None}
