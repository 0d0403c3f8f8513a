"""Moves of money in the log: the postings of all accounts from and to `world:*`, in the order of the log.

The sequencer writes one document for each round that has such postings, in the commit that appends the entries. So the
moves between two sizes of the log are complete, and their sums are the changes of the books.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.kernel.clock import DAY, Millis, to_datetime
from shared.kernel.documents import Create, Document, Documents, Query, Write
from shared.kernel.ids import Uid
from shared.ledger.log.head import HEAD_PATH

WORLD = "world:"
COLLECTION = f"{HEAD_PATH}/world_moves"
KEPT: Millis = 100 * DAY
NUMBER_DIGITS = 19
REF_PAYMENT = "payment:"


class MovesUnreadable(ValueError):
    """Stored moves that the sequencer did not write so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldMove:
    """Credits of one entry that came from a source outside (`micro` > 0) or went back there (`micro` < 0), in µcr.

    `world` is the source without `world:`, such as `stripe`. `payment` is "" for an entry that names no payment. `at`
    is the time of the entry.
    """

    uid: Uid
    seq: int
    at: Millis
    world: str
    micro: int
    payment: str


def moves_in(uid: Uid, body: Mapping[str, Any]) -> list[WorldMove]:
    """Return the moves of an entry: one for each source outside. Raises KeyError or TypeError for any other body."""
    sums: dict[str, int] = {}
    for posting in body["postings"]:
        for name, amount in ((posting["from"], posting["amount"]), (posting["to"], -posting["amount"])):
            if name.startswith(WORLD):
                sums[name] = sums.get(name, 0) + amount
    if not sums:
        return []
    ref = str(body.get("about", {}).get("ref", ""))
    payment = ref.removeprefix(REF_PAYMENT) if ref.startswith(REF_PAYMENT) else ""
    facts: dict[str, Any] = {"uid": uid, "seq": body["seq"], "at": body["at"], "payment": payment}
    return [WorldMove(world=name.removeprefix(WORLD), micro=micro, **facts) for name, micro in sums.items() if micro]


def moves_write(size: int, moves: Sequence[WorldMove], now: Millis) -> Write:
    """Return the write of a round's moves. `size` is the size of the log before the round."""
    rows = [[move.uid, move.seq, move.at, move.world, str(move.micro), move.payment] for move in moves]
    return Create(moves_path(size), {"moves": orjson.dumps(rows), "delete_at": to_datetime(now + KEPT)})


def moves_path(size: int) -> str:
    """Return `ledger_log/head/world_moves/{size}`, the path of the moves of the round that began at this size."""
    return f"{COLLECTION}/{size:0{NUMBER_DIGITS}d}"


def next_moves(documents: Documents, first: int, until: int, limit: int) -> tuple[list[WorldMove], int | None]:
    """Return the next moves of the log from size `first` to `until`, from at most `limit` rounds.

    The second value is the size to go on from, None if no moves are left. Raises MovesUnreadable, StoreUnavailable.
    """
    after = (moves_path(first - 1),) if first else None
    found = documents.query(Query(collection=COLLECTION, limit=limit, after=after))
    wanted = [each for each in found if int(each.id) < until]
    moves = [move for document in wanted for move in _stored(document)]
    is_last = len(wanted) < len(found) or len(found) < limit
    return moves, None if is_last else int(found[-1].id) + 1


def _stored(document: Document) -> list[WorldMove]:
    try:
        data = document.data["moves"]
        rows = orjson.loads(data if isinstance(data, bytes) else b"")
        return [
            WorldMove(uid=Uid(str(uid)), seq=int(seq), at=int(at), world=str(world), micro=int(micro), payment=str(to))
            for uid, seq, at, world, micro, to in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise MovesUnreadable(document.path) from error
