"""`/v1/credits/history`, and beside it the entries, the open holds and the export: the reasons for a balance."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.fields import (
    WHOLE,
    Answer,
    Choice,
    Credits,
    Cursor,
    LastMoment,
    Limit,
    Moment,
    NextCursor,
    Request,
    Text,
    Time,
    page_answer,
)
from functions.http.routes import READ, Call, Routes
from shared.kernel.ids import Uid
from shared.ledger.about import PURPOSES, REF_TYPES
from shared.ledger.errors import EntryNotFound, EntryRedacted, NotLoggedYet
from shared.ledger.history import EntryFilter
from shared.ledger.log.head import LogBroken

NAME_CHARS_MAX = 200
NDJSON = "application/x-ndjson"
PIECE_CHARACTERS = 16_384
"""Size from which lines of an export are written to the connection together."""

KINDS = ("grant", "charge", "refund", "expiry", "reversal", "adjustment")
"""Entries that moved posted credits; `hold` stands for all the others."""
OTHER_KINDS = frozenset({"hold", "extension", "release", "status"})

routes = Routes("credits")


class RefOut(Answer):
    """The object that an entry or hold is about."""

    type = Choice(*REF_TYPES, required=True)
    id = fields.String(required=True)


class EntryOut(Answer):
    """Entry of the journal.

    `amount` is the change of the user's credits: available + held − debt. `balance_after` is available after the entry,
    `held_after` is set aside, `debt_after` is owed. So `balance_after` + `held_after` − `debt_after` of one entry, and
    the `amount` of the next entry, explain each other. `purpose`, `model`, `key_id` and `ref` name the entry's purpose,
    `usage` the counted units, `label` all of this in words. `beyond_cap` is the amount that a call took beyond a cap,
    since the call cost more than could be known before.
    """

    seq = fields.Integer(required=True)
    kind = fields.String(required=True)
    at = Time(required=True)
    operation = fields.String(required=True)
    amount = Credits(required=True)
    balance_after = Credits(required=True)
    held_after = Credits(required=True)
    debt_after = Credits(required=True)
    purpose = Choice(*PURPOSES, required=True, attribute="about.purpose")
    model = fields.String(required=True, allow_none=True, attribute="about.model")
    key_id = fields.String(required=True, allow_none=True, attribute="about.key_id")
    ref = fields.Nested(RefOut, required=True, allow_none=True, attribute="about.ref")
    label = fields.String(required=True, attribute="about.label")
    usage = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True, allow_none=True)
    hold = fields.String(required=True, allow_none=True)
    lot = fields.String(required=True, allow_none=True)
    hash = fields.String(required=True)
    note = fields.String(required=True, allow_none=True)
    beyond_cap = Credits(required=True, allow_none=True)


class History(Answer):
    """A page of entries, newest first."""

    items = fields.List(fields.Nested(EntryOut), required=True)
    next_cursor = NextCursor()


class HistoryQuery(Request):
    """Filter and page of entries."""

    limit = Limit()
    cursor = Cursor(int)
    kind = Choice(*KINDS, "hold", load_default=None)
    since = Moment(data_key="from")
    until = LastMoment(data_key="to")
    ref = Text(
        length_min=1,
        length_max=NAME_CHARS_MAX,
        load_default=None,
        metadata={"description": "Entries about this object: `payment:pay_…`, or its id alone."},
    )
    key = Text(
        length_min=1,
        length_max=NAME_CHARS_MAX,
        load_default=None,
        metadata={"description": "Entries of what this API key was used for, by its id."},
    )


class OpenHoldOut(Answer):
    """Credits that are set aside now, and their purpose. The suspension of a disputed payment has no end."""

    id = fields.String(required=True)
    amount = Credits(required=True, attribute="held")
    captured = Credits(required=True)
    purpose = Choice(*PURPOSES, required=True, attribute="about.purpose")
    model = fields.String(required=True, allow_none=True, attribute="about.model")
    key_id = fields.String(required=True, allow_none=True, attribute="about.key_id")
    ref = fields.Nested(RefOut, required=True, allow_none=True, attribute="about.ref")
    label = fields.String(required=True, attribute="about.label")
    placed_at = Time(required=True)
    expires_at = Time(required=True, allow_none=True, attribute="ends_at")


class OpenHoldsOut(Answer):
    """Open holds, the last placed first. `seq` is the number of the last entry before this answer."""

    items = fields.List(fields.Nested(OpenHoldOut), required=True)
    seq = fields.Integer(required=True)
    next_cursor = NextCursor()


class SignedEntryOut(Answer):
    """Signed entry. `body` is the canonical JSON text, and `hash` is the SHA-256 of the text, in hex.

    `signature` is the Ed25519 signature of `ics-entry-v1:` and the hash, in base64.
    """

    body = fields.String(required=True)
    hash = fields.String(required=True)
    signature = fields.String(required=True)


class EntryKeyOut(Answer):
    """Key that signed the entry."""

    kid = fields.String(required=True)
    alg = Choice("Ed25519", required=True)
    public_key = fields.String(required=True, metadata={"description": "32 bytes, base64."})


class ReceiptOut(Answer):
    """Entry with its proof.

    `log` is the key of the log in the form of C2SP signed-note, `proof` a text of the form c2sp.org/tlog-proof@v1.
    The leaf is `ics-leaf-v1` and a newline, the 32 bytes of the hash and the 64 bytes of the signature.
    """

    format = Choice("ics-receipt", required=True)
    version = fields.Integer(required=True)
    entry = fields.Nested(SignedEntryOut, required=True)
    key = fields.Nested(EntryKeyOut, required=True)
    log = fields.String(required=True)
    proof = fields.String(required=True)


@routes.get("/credits/history", scopes=READ, answer=History, query=HistoryQuery)
def history(call: Call) -> Any:
    """List the caller's entries, newest first.

    Without `kind`, the list has all entries that moved posted credits. `kind=hold` lists holds, extensions,
    releases and changes of status. `from`, `to`, `ref` and `key` narrow the list. A page may be short or empty and
    still have a `next_cursor`, since one call looks back a limited way.
    """
    return history_page(call, call.uid)


def history_page(call: Call, uid: Uid) -> Any:
    """Return the page of this account's history that the query of the call asks for."""
    query = call.query
    kind = query["kind"]
    wanted = EntryFilter(
        kinds=OTHER_KINDS if kind == "hold" else frozenset({kind} if kind else KINDS),
        since=query["since"],
        until=query["until"],
        ref=query["ref"],
        key=query["key"],
    )
    page = call.services.credits.ledger.history(uid, before=query["cursor"], limit=query["limit"], wanted=wanted)
    return page_answer(page.items, page.before)


@routes.get("/credits/entries/{seq}", scopes=READ, answer=EntryOut, errors=(EntryNotFound,))
def entry(call: Call) -> Any:
    """Show one of the caller's entries, of any kind, by number."""
    seq = call.path["seq"]
    if not WHOLE.fullmatch(seq):
        raise EntryNotFound
    return call.services.credits.ledger.entry(call.uid, int(seq))


@routes.get(
    "/credits/entries/{seq}/proof",
    scopes=READ,
    answer=ReceiptOut,
    errors=(EntryNotFound, EntryRedacted, NotLoggedYet, LogBroken),
)
def proof(call: Call) -> Any:
    """Show a receipt: one of the caller's entries, its signature, and the proof that the public log holds it.

    Save the answer. The page `GET /v1/docs/verify` checks a receipt in a browser, and the command
    `python -m shared.ledger.verify FILE` on a terminal. An entry is in the log within two minutes.
    """
    seq = call.path["seq"]
    if not WHOLE.fullmatch(seq):
        raise EntryNotFound
    return call.services.credits.ledger.receipt(call.uid, int(seq)).to_json()


@routes.get("/credits/holds", scopes=READ, answer=OpenHoldsOut)
def holds(call: Call) -> Any:
    """List the caller's credits that are set aside now: by calls, images, agents, reservations and disputes."""
    open_ = call.services.credits.ledger.open_holds(call.uid)
    newest_first = sorted(open_.holds, key=lambda hold: (hold.placed_at, hold.id), reverse=True)
    return {**page_answer(newest_first), "seq": open_.seq}


@routes.get("/credits/export", scopes=READ, answer=NDJSON)
def export(call: Call) -> Response:
    """Export the caller's whole journal as NDJSON, with everything that offline verification needs."""
    return journal_file(call.services.credits.ledger.export(call.uid))


def journal_file(exported: Iterator[str]) -> Response:
    """Return the lines of an export as a file to save. Raises before the answer begins for an unreadable journal."""
    lines = iter(exported)
    first = next(lines)
    response = Response(_pieces(chain([first], lines)), mimetype=NDJSON)
    response.headers["Content-Disposition"] = 'attachment; filename="journal.ndjson"'
    return response


def _pieces(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines in pieces, since each piece is written to the connection by itself."""
    piece, size = [], 0
    for line in lines:
        piece.append(line if line.endswith("\n") else f"{line}\n")
        size += len(line)
        if size >= PIECE_CHARACTERS:
            yield "".join(piece)
            piece, size = [], 0
    yield "".join(piece)
