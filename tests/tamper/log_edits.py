"""Edits of the log's own documents and of accounts behind the log's back: who finds each, when, and where.

A row names the component that finds the edit, the time within which it does, and the rule. `harm` edits at a random
place and returns the account and entry that the finding must name, None for an edit of the log itself.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from shared.kernel.clock import MINUTE
from shared.kernel.documents import Delete, Document, Patch, Put
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path
from shared.ledger.document_paths import entry_path
from shared.ledger.log.head import HEAD_PATH, tile_path
from shared.ledger.log.position import position_path
from shared.ledger.markers import marker_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.sequencing import LogWorld, users

Finder = Literal["sequencer", "sequencer's walk", "proof"]
Within = Literal["minute of the next entry", "day", "next proof"]
Place = tuple[Uid, int] | None
Harm = Callable[["Victims", random.Random], Place]
UIDS = users(6, "victim")
WRONG: list[Any] = [None, "x", "", b"", True, -1, 2**62, [], {}, [1], {"a": 1}]
"""Values of wrong types, and huge ones."""
TREE, STATE = ("size", "root", "edge"), ("seq", "hash", "runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEdit:
    """Class of edits. `rule` is that of the alarm; "" for a broken log and for proofs, which name no entry."""

    harm: Harm
    finder: Finder = "sequencer"
    within: Within = "minute of the next entry"
    rule: str = ""


@dataclass
class Victims:
    """World whose log has the entries of six accounts, over three minutes, with the documents of each minute."""

    world: LogWorld
    past: list[Mapping[str, Document]]

    def copy(self) -> "Victims":
        """Return a copy, for one edit."""
        store = MemoryDocuments()
        store._documents = dict(self.world.store._documents)  # type: ignore[attr-defined]
        store._ids = {name: list(ids) for name, ids in self.world.store._ids.items()}  # type: ignore[attr-defined]
        store._ticks = self.world.store._ticks  # type: ignore[attr-defined]
        world = LogWorld(store=store, clock=ManualClock(self.world.clock.now()), cursor=self.world.cursor)
        world.mill.heads = dict(self.world.mill.heads)
        return Victims(world, self.past)

    def chosen(self, chosen: random.Random) -> tuple[Uid, int]:
        """Return an account and the number of its entries."""
        uid = chosen.choice(UIDS)
        return uid, self.world.mill.heads[uid][0]

    def put_back(self, paths: list[str], moment: int) -> None:
        """Put documents back as they were after that minute; delete those that did not exist."""
        for path in paths:
            old = self.past[moment].get(path)
            self.world.store.commit([Delete(path) if old is None else Put(path, old.data)])


@cache
def victims(seed: int) -> Victims:
    """Make the world of this seed, with random numbers of entries."""
    made, chosen = Victims(LogWorld(), []), random.Random(seed)
    for minute in range(3):
        for uid in UIDS:
            made.world.mill.grow([uid], chosen.randrange(40, 60) if minute == 0 else chosen.randrange(2, 8))
        made.world.minute()
        made.world.minute()
        made.world.clock.advance(MINUTE)
        made.past.append(dict(made.world.store._documents))  # type: ignore[attr-defined]
    return made


def flipped(raw: bytes, chosen: random.Random) -> bytes:
    at = chosen.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << chosen.randrange(8)]) + raw[at + 1 :]


def _other(known: Any, chosen: random.Random) -> Any:
    """Return a wrong value, or one that is wrong by a bit."""
    if isinstance(known, bytes) and known and chosen.random() < 0.5:
        return flipped(known, chosen)
    return chosen.choice([value for value in WRONG if (type(value), value) != (type(known), known)])


def _patched(path: str, name: str, field: str) -> Harm:
    def harm(made: Victims, chosen: random.Random) -> Place:
        known: Any = made.world.store.get(path).data[name]  # type: ignore[union-attr]
        made.world.store.commit([Patch(path, {name: {**known, field: _other(known[field], chosen)}})])
        return None

    return harm


def _position_edited(field: str) -> Harm:
    def harm(made: Victims, chosen: random.Random) -> Place:
        uid, _ = made.chosen(chosen)
        known: Any = made.world.store.get(position_path(uid)).data["state"]  # type: ignore[union-attr]
        wrong = chosen.choice([value for value in WRONG if value != known[field]])
        made.world.store.commit([Patch(position_path(uid), {"state": {**known, field: wrong}})])
        return uid, 0

    return harm


def _head_deleted(made: Victims, _chosen: random.Random) -> Place:
    made.world.store.commit([Delete(HEAD_PATH)])
    return None


def _head_put_back(made: Victims, chosen: random.Random) -> Place:
    made.put_back([HEAD_PATH], chosen.randrange(2))
    return None


def _position_put_back(made: Victims, chosen: random.Random) -> Place:
    uid, _ = made.chosen(chosen)
    moment = chosen.randrange(2)
    made.put_back([position_path(uid)], moment)
    state: Any = made.past[moment][position_path(uid)].data["state"]
    return uid, state["seq"] + 1


def _position_deleted(made: Victims, chosen: random.Random) -> Place:
    uid, _ = made.chosen(chosen)
    made.world.store.commit([Delete(position_path(uid))])
    return uid, 1


def _position_hash(made: Victims, chosen: random.Random) -> Place:
    uid, last = made.chosen(chosen)
    known: Any = made.world.store.get(position_path(uid)).data["state"]  # type: ignore[union-attr]
    made.world.store.commit([Patch(position_path(uid), {"state": {**known, "hash": chosen.randbytes(32).hex()}})])
    return uid, last + 1


def _tail_cut(made: Victims, chosen: random.Random) -> Place:
    """Cut the tail, with the account's document and marker of before, and let honest entries follow if any do."""
    uid, last = made.chosen(chosen)
    kept = chosen.randrange(1, last)
    made.world.store.commit([Delete(entry_path(uid, seq)) for seq in range(kept + 1, last + 1)])
    body = str(made.past[-1][entry_path(uid, kept + 1)].data["body"])
    made.world.mill.heads[uid] = (kept, body.split('"prev":"')[1][:64])
    made.world.store.commit([Put(account_path(uid), {"seq": kept}), Delete(marker_path(uid))])
    return uid, kept + 1


def _tail_cut_and_regrown(made: Victims, chosen: random.Random) -> Place:
    """Cut the tail, and let as many honest entries follow, in a chain of their own: the last one of the log differs."""
    uid, first = _tail_cut(made, chosen) or (UIDS[0], 1)
    last = len([path for path in made.past[-1] if path.startswith(f"{account_path(uid)}/entries/")])
    made.world.mill.grow([uid], last - first + 1)
    return uid, last


def _tail_cut_and_outgrown(made: Victims, chosen: random.Random) -> Place:
    """Cut the tail, and let more honest entries follow than were cut."""
    uid, last = _tail_cut_and_regrown(made, chosen) or (UIDS[0], 1)
    made.world.mill.grow([uid], chosen.randrange(1, 5))
    return uid, last + 1


def _rewritten(made: Victims, chosen: random.Random) -> Place:
    """Write the whole chain again with the live key, and one entry more."""
    uid, last = made.chosen(chosen)
    del made.world.mill.heads[uid]
    made.world.clock.advance(1)
    made.world.mill.grow([uid], last + 1)
    return uid, last + 1


def _all_deleted(made: Victims, chosen: random.Random) -> Place:
    """Delete the account with all traces but the log's."""
    uid, _ = made.chosen(chosen)
    mine = [path for path in made.past[-1] if path.startswith(f"{account_path(uid)}/") and "/log/" not in path]
    made.world.store.commit([Delete(path) for path in (*mine, account_path(uid))])
    return uid, 1


def _new_entry(change: Mapping[str, Any], *, is_deleted: bool = False) -> Harm:
    """Edit or delete one of the account's new entries before the log has them."""

    def harm(made: Victims, chosen: random.Random) -> Place:
        uid, last = made.chosen(chosen)
        made.world.mill.grow([uid], 3)
        seq = last + chosen.randrange(1, 4)
        path = entry_path(uid, seq)
        made.world.store.commit([Delete(path) if is_deleted else Patch(path, change)])
        return uid, seq

    return harm


def _new_body(made: Victims, chosen: random.Random) -> Place:
    """Change one digit or letter in the body of a new entry, but not the key's name: an unknown key is no tampering."""
    uid, last = made.chosen(chosen)
    made.world.mill.grow([uid], 3)
    seq = last + chosen.randrange(1, 4)
    body = str(made.world.store.get(entry_path(uid, seq)).data["body"])  # type: ignore[union-attr]
    kid = body.index('"kid"')
    places = [at for at, letter in enumerate(body) if letter.isalnum() and not kid <= at < kid + len('"kid":"test-1"')]
    at = chosen.choice(places)
    other = chosen.choice([letter for letter in "0123456789abc" if letter != body[at]])
    made.world.store.commit([Patch(entry_path(uid, seq), {"body": body[:at] + other + body[at + 1 :]})])
    return uid, seq


def _tile_edited(made: Victims, chosen: random.Random) -> Place:
    path = tile_path(0, 0)
    tile: Any = made.world.store.get(path).data["hashes"]  # type: ignore[union-attr]
    made.world.store.commit([Patch(path, {"hashes": _other(tile, chosen)})])
    return None


def _tile_deleted(made: Victims, _chosen: random.Random) -> Place:
    made.world.store.commit([Delete(tile_path(0, 0))])
    return None


EDITS: Mapping[str, LogEdit] = {
    **{f"head: {field} edited": LogEdit(harm=_patched(HEAD_PATH, "tree", field)) for field in TREE},
    "head: deleted": LogEdit(harm=_head_deleted),
    "head: put back": LogEdit(harm=_head_put_back),
    "tile: edited": LogEdit(harm=_tile_edited, finder="proof", within="next proof"),
    "tile: deleted": LogEdit(harm=_tile_deleted, finder="proof", within="next proof"),
    **{f"position: {field} edited": LogEdit(harm=_position_edited(field), rule="position") for field in STATE},
    "position: another hash": LogEdit(harm=_position_hash, rule="link"),
    "position: put back": LogEdit(harm=_position_put_back, rule="position"),
    "position: deleted": LogEdit(harm=_position_deleted, rule="position"),
    "account: tail cut with an older account": LogEdit(
        harm=_tail_cut, finder="sequencer's walk", within="day", rule="rollback"
    ),
    "account: tail cut, as many new entries": LogEdit(harm=_tail_cut_and_regrown, rule="rollback"),
    "account: tail cut, more new entries": LogEdit(harm=_tail_cut_and_outgrown, rule="link"),
    "account: written again with the live key": LogEdit(harm=_rewritten, rule="link"),
    "account: deleted with all traces": LogEdit(
        harm=_all_deleted, finder="sequencer's walk", within="day", rule="rollback"
    ),
    "new entry: deleted": LogEdit(harm=_new_entry({}, is_deleted=True), rule="sequence"),
    "new entry: no signature": LogEdit(harm=_new_entry({"signature": bytes(64)}), rule="signature"),
    "new entry: another kind": LogEdit(harm=_new_entry({"kind": "grant"}), rule="kind"),
    "new entry: body edited": LogEdit(harm=_new_body, rule="*"),
}
