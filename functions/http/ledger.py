"""`/v1/ledger`: public keys, and the transparency log as C2SP tlog-tiles serves it, for anybody."""

import json
from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.errors import NoSuchPath
from functions.http.fields import Answer, Choice, NextCursor, Request, Time, TreeSize
from functions.http.fresh import FOREVER_SECONDS, answered
from functions.http.routes import ANYBODY, Call, Routes
from shared.ledger.keys import to_base64
from shared.ledger.log.public_log import BundlesNotPublic, CheckpointNotFound
from shared.ledger.log.tile_names import parse_tile_name
from shared.ledger.log.tile_reader import TileNotFound

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
CHECKPOINT_SECONDS = 5
CONSISTENCY_PER_MINUTE = 300
BUNDLES = "entries"

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


class ConsistencyQuery(Request):
    """Two sizes of the log."""

    old = TreeSize(data_key="from", required=True, metadata={"description": "The smaller size, in leaves."})
    new = TreeSize(
        data_key="to",
        load_default=None,
        metadata={"description": "The larger size, in leaves; that of the last checkpoint if absent."},
    )


class ConsistencyOut(Answer):
    """Proof that the tree of `to` leaves begins with the tree of `from` leaves (RFC 9162, 2.1.4). Hashes are base64."""

    old = fields.Integer(required=True, data_key="from")
    new = fields.Integer(required=True, data_key="to")
    from_root = fields.String(required=True)
    to_root = fields.String(required=True)
    proof = fields.List(fields.String(), required=True)


@routes.get("/ledger/checkpoint", access=ANYBODY, answer="text/plain", errors=(CheckpointNotFound,))
def checkpoint(call: Call) -> Response:
    """Show the last signed checkpoint of the log (C2SP tlog-checkpoint).

    A checkpoint follows new entries within two minutes.
    """
    note = str(call.services.credits.public_log.checkpoint().note)
    return answered(note.encode(), TEXT, max_age_seconds=CHECKPOINT_SECONDS)


@routes.get(
    "/ledger/consistency",
    access=ANYBODY,
    answer=ConsistencyOut,
    query=ConsistencyQuery,
    errors=(CheckpointNotFound,),
    calls_per_minute=CONSISTENCY_PER_MINUTE,
)
def consistency(call: Call) -> Response:
    """Prove that the log at one size begins with the log at a smaller size: nothing was changed or taken away."""
    old, new = call.query["old"], call.query["new"]
    proved = call.services.credits.public_log.consistency(old, new)
    told = {
        "from": proved.old,
        "to": proved.new,
        "from_root": to_base64(proved.old_root),
        "to_root": to_base64(proved.new_root),
        "proof": [to_base64(each) for each in proved.hashes],
    }
    seconds = CHECKPOINT_SECONDS if new is None else FOREVER_SECONDS
    return answered(json.dumps(told).encode(), "application/json", max_age_seconds=seconds)


@routes.get(
    "/ledger/tile/{level}/{tile}", access=ANYBODY, answer=BYTES, errors=(TileNotFound, BundlesNotPublic), query=None
)
def tile(call: Call) -> Response:
    """Send a tile of hashes (C2SP tlog-tiles): `/ledger/tile/0/x001/x234/067`, with `.p/12` the first 12 hashes.

    Tiles never change. Those beyond the last checkpoint are not served, nor are entry bundles.
    """
    level, rest = call.path["level"], call.path["tile"]
    if level == BUNDLES:
        raise BundlesNotPublic
    name = parse_tile_name(level, rest)
    if name is None:
        raise NoSuchPath
    return answered(call.services.credits.public_log.tile(name), BYTES, max_age_seconds=FOREVER_SECONDS)
