"""Kinds of edits of stored documents: each with the part that finds it, within what time, and at which entry and rule.

A row's `edit` changes a scene at a random place, and returns the entries and rules of which one must be among the
findings. The rows of `LOG` leave nothing wrong inside the database. Only what was published outside tells, so that the
tests of the transparency log take them up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Literal, Protocol

import orjson

from shared.kernel.clock import DAY, to_datetime
from shared.kernel.ids import HoldId, LotId, OperationId
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.audit_position import position_path as audited_path
from shared.ledger.markers import marker_path
from shared.ledger.positions import position_path
from shared.ledger.store import entry_path, hold_path, lot_path, operation_path
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask
from tests.tamper.scenes import ADA, BOB, STRANGER, THIEF_OF_LIVE, THIEF_OF_OLD, Scene

Part = Literal["audit", "operation", "relay", "trigger", "verifier", "lost_accounts", "log"]
WITHIN: Mapping[Part, str] = {
    "operation": "the next operation",
    "trigger": "seconds",
    "relay": "a minute",
    "audit": "the next night",
    "lost_accounts": "the next night",
    "verifier": "the next export",
    "log": "the next checkpoint",
}
Expected = set[tuple[int, str]]
Edit = Callable[[Scene, Random], Expected]


@dataclass(frozen=True)
class Row:
    """Kind of edit. `parts` find it, the first one soonest."""

    name: str
    edit: Edit
    parts: tuple[Part, ...]


ROWS: list[Row] = []
LOG: list[Row] = []


def row(name: str, *parts: Part) -> Callable[[Edit], Edit]:
    """Return the decorator that adds an edit to the table, or to the rows of the log if the log alone finds it."""

    def add(edit: Edit) -> Edit:
        (LOG if parts == ("log",) else ROWS).append(Row(name, edit, parts))
        return edit

    return add


class NamedEdit(Protocol):
    """Edit that also takes the name of its row, such as a field."""

    def __call__(self, scene: Scene, random: Random, name: str) -> Expected: ...


def each(names: tuple[str, ...], title: str, *parts: Part) -> Callable[[NamedEdit], NamedEdit]:
    """Return the decorator that adds a row for each name, whose edit also takes the name."""

    def add(edit: NamedEdit) -> NamedEdit:
        for name in names:
            row(f"{title} {name}", *parts)(partial(edit, name=name))
        return edit

    return add


def other_text(text: str, random: Random) -> str:
    """Return the text with one character changed."""
    at = random.randrange(len(text))
    return text[:at] + random.choice([letter for letter in "0aZ{" if letter != text[at]]) + text[at + 1 :]


def other_value(value: Any, random: Random) -> Any:
    """Return another value, of the same type or of another one."""
    kin: list[Any] = ["x", 7]
    if isinstance(value, str):
        kin = [other_text(value, random), "", "9" * 9_999]
    elif isinstance(value, int):
        kin = [value + 1, -1, 2**40]
    return random.choice([*kin, None, [1], {"a": {"b": 1}}, b"\xff", to_datetime(0)])


def some_seq(scene: Scene, random: Random, first: int = 1) -> int:
    return random.randint(first, scene.seq)


def some_path(scene: Scene, random: Random, part: str) -> str:
    return random.choice(scene.paths(part))


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@row("entry: one character of the body", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    path = entry_path(ADA, seq)
    scene.change(path, body=other_text(str(scene.data(path)["body"]), random))
    rules = ("canonical", "signature", "identity", "kind", "hash", "format", "unknown_key", "link", "sequence")
    return {(seq, rule) for rule in (*rules, "entry_changed")}


@row("entry: one bit of the signature", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    signature = bytearray(scene.data(entry_path(ADA, seq))["signature"])
    signature[random.randrange(64)] ^= 1 << random.randrange(8)
    scene.change(entry_path(ADA, seq), signature=bytes(signature))
    return {(seq, "signature"), (seq, "entry_changed")}


@each(("body", "signature", "kind"), "entry: another", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    seq = some_seq(scene, random)
    path = entry_path(ADA, seq)
    scene.change(path, **{name: other_value(scene.data(path)[name], random)})
    rules = ("canonical", "signature", "kind", "hash", "format", "unknown_key", "identity", "link", "sequence")
    return {(seq, rule) for rule in (*rules, "entry_changed")}


@each(("body", "signature", "kind"), "entry: without", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    seq = some_seq(scene, random)
    scene.drop(entry_path(ADA, seq), name)
    return {(seq, rule) for rule in ("canonical", "signature", "kind", "entry_changed")}


@row("entry: an unknown field", "trigger", "audit")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    scene.change(entry_path(ADA, seq), amount=random.randint(1, 10**9))
    return {(seq, "format"), (seq, "entry_changed")}


@row("entry: a mark of a note of a wrong type", "trigger", "audit")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    scene.change(entry_path(ADA, seq), has_note=random.choice([7, -1, "yes", b"", [], {"a": 1}]))
    return {(seq, "format"), (seq, "entry_changed")}


@row("entry: the mark of a note taken away", "trigger", "audit")
def _(scene: Scene, random: Random) -> Expected:
    path = entry_path(ADA, seq_of(scene, "adjust"))
    scene.change(path, has_note=False) if random.randint(0, 1) else scene.drop(path, "has_note")
    return {(seq_of(scene, "adjust"), "format"), (seq_of(scene, "adjust"), "entry_changed")}


@each(("ref", "key"), "entry: another mark of the index", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    seq = some_seq(scene, random)
    scene.change(entry_path(ADA, seq), **{name: random.choice([b"\xff\xff\xff", "x", 7, None, [1], {"a": 1}])})
    return {(seq, "format"), (seq, "entry_changed")}


@row("entry: the marks of the index taken away", "trigger", "audit")
def _(scene: Scene, random: Random) -> Expected:
    marked = [path for path in scene.paths("/entries/") if "ref" in scene.data(path)]
    path = random.choice(marked)
    scene.drop(path, "ref", "key")
    seq = int(path.rsplit("/", 1)[1])
    return {(seq, "format"), (seq, "entry_changed")}


@row("note: another text or salt", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    path, field = f"accounts/{ADA}/notes/adjust", random.choice(["text", "salt"])
    scene.change(path, **{field: random.choice(["", "because", "9" * 9_999])})
    return {(seq_of(scene, "adjust"), "note")}


@row("note: of a wrong type or with an unknown field", "audit")
def _(scene: Scene, random: Random) -> Expected:
    values: list[Any] = [None, 7, b"x", [], {"a": 1}]
    scene.change(f"accounts/{ADA}/notes/adjust", **{random.choice(["text", "salt", "by"]): random.choice(values)})
    return {(seq_of(scene, "adjust"), "note")}


@row("entry: deleted in the middle", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = random.randint(1, scene.seq - 1)
    scene.remove(entry_path(ADA, seq))
    return {(seq, "sequence"), (seq, "entry_changed")}


@row("entry: tail deleted", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    last, cut = scene.seq, random.randint(1, scene.seq - 1)
    scene.remove(*(entry_path(ADA, seq) for seq in range(last - cut + 1, last + 1)))
    return {(last - cut + 1, "sequence"), (last - cut + 1, "entry_changed")}


@row("entry: all deleted", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(*scene.paths("/entries/"))
    return {(1, "sequence"), (1, "entry_changed")}


@row("entry: two neighbours swapped", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = random.randint(1, scene.seq - 1)
    first, second = entry_path(ADA, seq), entry_path(ADA, seq + 1)
    one, other = scene.data(first), scene.data(second)
    scene.put(first, other)
    scene.put(second, one)
    return {(seq, "sequence"), (seq, "link"), (seq, "identity"), (seq, "entry_changed")}


@row("entry: of another account", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    scene.put(entry_path(ADA, seq), scene.data(entry_path(BOB, seq)))
    return {(seq, "identity"), (seq, "entry_changed")}


@row("entry: copied above the head", "operation", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    scene.put(entry_path(ADA, scene.seq + 1), scene.data(entry_path(ADA, some_seq(scene, random))))
    above = scene.seq + 1
    return {(above, rule) for rule in ("entry_above_head", "sequence", "identity", "link")}


@row("entry: a document of no entry", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    name = random.choice(["zzz", "000000000002x", "0", "-1", f"{scene.seq + 9:012d}"])
    scene.put(f"accounts/{ADA}/entries/{name}", scene.data(entry_path(ADA, some_seq(scene, random))))
    return {(seq, "sequence") for seq in (0, scene.seq + 1, scene.seq + 9)}


@row("entry: signed by a stranger under our key's name", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    scene.sign(seq, scene.entry(seq), STRANGER)
    return {(seq, "signature"), (seq, "entry_changed")}


@row("entry: one signed again with the live key", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    scene.sign(seq, {**scene.entry(seq), "at": scene.entry(seq)["at"] + 1}, THIEF_OF_LIVE)
    return {(seq + 1, "link"), (seq, "link"), (seq, "published"), (0, "state"), (seq, "entry_changed")}


@row("entry: one signed again with a retired key", "trigger", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    seq = some_seq(scene, random)
    scene.sign(seq, scene.entry(seq), THIEF_OF_OLD)
    return {(seq, "retired_key"), (seq, "entry_changed")}


# ── the account's documents ──────────────────────────────────────────────────────────────────────────────────────────

BALANCE = ("available", "held", "total", "debt", "status", "seq", "updated_at")
SEALED = ("state", "seal", "version", "nonce", "schema", "due_shard", "due_at")
ACCOUNT_RULES = ("plain_balance", "seal", "state", "identity", "format", "sequence", "unknown_key")


def of_account(scene: Scene) -> Expected:
    """Return the rules of an account's documents. The number of entries may be a lie as well."""
    told = scene.documents.get(account_path(ADA))
    seq = 0 if told is None else told.data.get("seq")
    seqs = {0, -1, 1, scene_last(scene), scene_last(scene) + 1, seq if isinstance(seq, int) else 0}
    return {(seq, rule) for seq in seqs for rule in ACCOUNT_RULES}


def scene_last(scene: Scene) -> int:
    return max(int(path[-12:]) for path in scene.paths("/entries/"))


@each(BALANCE, "account: another", "operation", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    scene.change(account_path(ADA), **{name: other_value(scene.data(account_path(ADA))[name], random)})
    return of_account(scene)


@each(BALANCE, "account: without", "operation", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    scene.drop(account_path(ADA), name)
    return of_account(scene)


@row("account: an unknown field", "operation", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    scene.change(random.choice([account_path(ADA), state_path(ADA)]), bonus=random.randint(1, 9))
    return of_account(scene)


@each(SEALED, "sealed: another", "operation", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    scene.change(state_path(ADA), **{name: other_value(scene.data(state_path(ADA))[name], random)})
    return of_account(scene)


@each(SEALED, "sealed: without", "operation", "audit", "verifier")
def _(scene: Scene, random: Random, name: str) -> Expected:
    scene.drop(state_path(ADA), name)
    return of_account(scene)


@row("account: the shown document deleted", "operation", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(account_path(ADA))
    return of_account(scene)


@row("account: the sealed document deleted", "operation", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(state_path(ADA))
    return of_account(scene)


@row("account: both documents deleted", "audit", "lost_accounts")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(account_path(ADA), state_path(ADA))
    return {(1, "sequence")}


@row("account: all but one document deleted", "lost_accounts")
def _(scene: Scene, random: Random) -> Expected:
    kept = random.choice([path for path in scene.paths() if path not in {account_path(ADA), state_path(ADA)}])
    scene.remove(*(path for path in scene.paths() if path != kept))
    return {(1, "sequence"), (0, "account"), (0, "audit_position")}


@row("account: swapped with another", "operation", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    for path in (account_path, state_path):
        ada, bob = scene.data(path(ADA)), scene.data(path(BOB))
        scene.put(path(ADA), bob)
        scene.put(path(BOB), ada)
    return of_account(scene)


@row("account: all documents of another account", "operation", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(*scene.paths())
    for path in scene.paths(uid=BOB):
        scene.put(path.replace(str(BOB), str(ADA), 1), scene.data(path))
    return of_account(scene) | {(1, "identity")}


@row("account: of another ledger", "operation", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    other = Scene(documents=MemoryDocuments())
    other.ledger(ledger="staging").execute_all(
        ADA, [ask.grant("g", 10**9, operation="x")] + [ask.charge(1, operation=f"y{n}") for n in range(scene.seq + 5)]
    )
    scene.remove(*scene.paths())
    for path in other.paths():
        scene.put(path, other.data(path))
    return of_account(scene) | {(1, "identity")}


@row("account: an older state", "operation", "audit")
def _(scene: Scene, random: Random) -> Expected:
    early = int(str(scene.early[account_path(ADA)].data["seq"]))
    scene.bring_back([account_path(ADA), state_path(ADA)])
    return {(early + 1, "sequence"), (early + 1, "entry_above_head")}


@row("rollback: tail cut with older account documents", "audit")
def _(scene: Scene, random: Random) -> Expected:
    early = int(str(scene.early[account_path(ADA)].data["seq"]))
    scene.bring_back([*scene.paths("/entries/"), account_path(ADA), state_path(ADA)])
    kept = random.choice([audited_path(ADA), marker_path(ADA), position_path(ADA)])
    scene.bring_back({audited_path(ADA), marker_path(ADA), position_path(ADA)} - {kept})
    return {(early + 1, "sequence")}


@row("rollback: tail cut, and honest entries since", "audit")
def _(scene: Scene, random: Random) -> Expected:
    early = int(str(scene.early[account_path(ADA)].data["seq"]))
    scene.bring_back([*scene.paths("/entries/"), *scene.paths("/operations/"), account_path(ADA), state_path(ADA)])
    for number in range(random.randint(1, 5)):
        scene.ledger().execute(ADA, ask.charge(1, operation=f"since{number}"))
    seqs = range(early + 1, scene.seq + 9)
    return {(seq, rule) for seq in seqs for rule in ("sequence", "link", "published", "state")}


@row("fork: another true continuation", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.bring_back([*scene.paths("/entries/"), *scene.paths("/operations/"), account_path(ADA), state_path(ADA)])
    for _ in range(random.randint(4, 9)):
        scene.ledger().execute(ADA, ask.charge(random.randint(1, 9), operation=f"fork{scene.seq}"))
    return {(seq, rule) for seq in range(1, scene.seq + 2) for rule in ("link", "published")}


@row("rewrite: of all entries, with the live key", "audit")
def _(scene: Scene, random: Random) -> Expected:
    first = random.choice([seq for seq in range(1, scene.seq + 1) if scene.entry(seq)["kind"] == "grant"])
    scene.rewrite(first, THIEF_OF_LIVE)
    return {(seq, rule) for seq in range(first, scene.seq + 1) for rule in ("link", "published")} | {(0, "state")}


@row("rewrite: of all entries, with a retired key", "operation", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    first = random.choice([seq for seq in range(1, scene.seq + 1) if scene.entry(seq)["kind"] == "grant"])
    scene.rewrite(first, THIEF_OF_OLD)
    return {(seq, "retired_key") for seq in range(scene.seq + 1)}


@row("append: of a grant, with a retired key", "operation", "relay", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    scene.ledger(THIEF_OF_OLD).execute(ADA, ask.grant("stolen", 10**9, operation="thief"))
    return {(seq, "retired_key") for seq in (0, scene.seq)}


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────

KEPT = ("g1", "g2", "adjust")
"""Operations whose record must be there for ever."""


def seq_of(scene: Scene, operation: str) -> int:
    return next(seq for seq in range(1, scene.seq + 1) if scene.entry(seq)["op"] == operation)


def some_record(scene: Scene, random: Random) -> tuple[str, int]:
    path = some_path(scene, random, "/operations/")
    return path, seq_of(scene, path.rsplit("/", 1)[1])


@each(("state", "seal"), "operation: another", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    path, seq = some_record(scene, random)
    scene.change(path, **{name: other_value(scene.data(path)[name], random)})
    return {(seq, "operation_seal"), (seq, "unknown_key")}


@each(("state", "seal"), "operation: without", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    path, seq = some_record(scene, random)
    scene.drop(path, name)
    return {(seq, "operation_seal")}


@row("operation: a record that must be there deleted", "audit")
def _(scene: Scene, random: Random) -> Expected:
    name = random.choice(KEPT)
    scene.remove(operation_path(ADA, OperationId(name)))
    return {(seq_of(scene, name), "operation")}


@row("operation: a record deleted, and the request repeated", "audit", "verifier")
def _(scene: Scene, random: Random) -> Expected:
    name = random.choice(["late1", "late2", "late3"])
    scene.remove(operation_path(ADA, OperationId(name)))
    scene.ledger().execute(ADA, ask.charge(11, operation=name))
    return {(scene.seq, "operation"), (seq_of(scene, name), "operation")}


@row("operation: the record of another operation", "audit")
def _(scene: Scene, random: Random) -> Expected:
    one, other = random.sample(scene.paths("/operations/"), 2)
    scene.put(one, scene.data(other))
    return {(seq_of(scene, one.rsplit("/", 1)[1]), "operation_seal")}


@row("operation: a lifetime that deletes the record", "audit")
def _(scene: Scene, random: Random) -> Expected:
    path, seq = some_record(scene, random)
    scene.change(path, expires_at=to_datetime(scene.clock.now() + random.randint(1, 29) * DAY))
    return {(seq, "operation")}


@row("operation: another result, with the secret of the marks", "audit")
def _(scene: Scene, random: Random) -> Expected:
    path, seq = some_record(scene, random)
    state = orjson.loads(str(scene.data(path)["state"]))
    name = random.choice(["available", "held", "debt", "seq"])
    state["result"][name] += 1
    scene.reseal(path, orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode())
    return {(seq, "operation")}


@each(("lots/gift", "holds/h1"), "archive: another", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    path, field = f"accounts/{ADA}/{name}", random.choice(["state", "seal"])
    scene.change(path, **{field: other_value(scene.data(path)[field], random)})
    return {(seq, rule) for seq in range(scene.seq) for rule in ("archive_seal", "unknown_key")}


@each(("lots/gift", "holds/h1"), "archive: deleted", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    scene.remove(f"accounts/{ADA}/{name}")
    return {(0 if "lots" in name else seq_of(scene, "c1"), "archive")}


@each(("lots/gift", "holds/h1"), "archive: an unknown field of", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    scene.change(f"accounts/{ADA}/{name}", rest_order=f"{random.randint(1, 9):06d}")
    return {(0 if "lots" in name else seq_of(scene, "c1"), "archive")}


@row("archive: a lot, with the secret of the marks", "audit")
def _(scene: Scene, random: Random) -> Expected:
    path = lot_path(ADA, LotId("gift"))
    state = orjson.loads(str(scene.data(path)["state"]))
    state[random.choice(["granted", "spent", "expired", "reversed", "priority"])] += random.randint(1, 9)
    scene.reseal(path, orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode())
    return {(0, "archive")}


@row("archive: a hold, with the secret of the marks", "audit")
def _(scene: Scene, random: Random) -> Expected:
    path = hold_path(ADA, HoldId("h1"))
    state = orjson.loads(str(scene.data(path)["state"]))
    state["status"] = random.choice(["released", "expired"])
    scene.reseal(path, orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode())
    return {(seq_of(scene, "c1"), "archive")}


# ── what follows from the journal ────────────────────────────────────────────────────────────────────────────────────


@each(("state", "uid"), "usage: another", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    path = some_path(scene, random, "/usage/")
    scene.change(path, **{name: other_value(scene.data(path)[name], random)})
    return {(0, "usage")}


@row("usage: one amount", "audit")
def _(scene: Scene, random: Random) -> Expected:
    path = some_path(scene, random, "/usage/")
    state = orjson.loads(str(scene.data(path)["state"]))
    random.choice(state["uses"])[random.randint(3, 6)] += random.randint(1, 10**6)
    scene.change(path, state=orjson.dumps(state, option=orjson.OPT_SORT_KEYS).decode())
    return {(0, "usage")}


@row("usage: a day deleted", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(some_path(scene, random, "/usage/"))
    return {(0, "usage")}


@row("usage: a day added", "audit")
def _(scene: Scene, random: Random) -> Expected:
    day = to_datetime(scene.clock.now() + random.choice([-1, 1]) * random.randint(1, 400) * DAY).date().isoformat()
    scene.put(f"accounts/{ADA}/usage/{day}", scene.data(some_path(scene, random, "/usage/")))
    return {(0, "usage")}


@each(("uid", "at", "relay"), "marker: another", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    values = [True, 5, -1, 2**62, "x", b"", [1], {"a": 1}, to_datetime(scene.clock.now() + DAY)]
    scene.change(marker_path(ADA), **{name: random.choice(values)})
    return {(0, "marker")}


@row("marker: a number beyond the journal", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.change(marker_path(ADA), seq=scene.seq + random.choice([1, 7, 2**40]))
    return {(scene.seq + 1, "sequence")}


@row("marker: deleted with news", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.ledger().execute(ADA, ask.charge(1, operation="news"))
    scene.remove(marker_path(ADA))
    return {(scene.seq, "marker")}


@row("marker: news that nobody is told of", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.ledger().execute(ADA, ask.charge(1, operation="news"))
    scene.change(marker_path(ADA), relay=None, seq=scene.seq - random.randint(0, 1))
    return {(scene.seq, "relay_position"), (scene.seq, "marker")}


@row("position: published beyond the journal", "audit")
def _(scene: Scene, random: Random) -> Expected:
    relay = scene.data(position_path(ADA))["relay"]
    scene.change(position_path(ADA), relay={**relay, "seq": scene.seq + random.choice([1, 9, 2**40])})
    return {(scene.seq + 1, "sequence")}


@row("position: another hash", "audit")
def _(scene: Scene, random: Random) -> Expected:
    relay = scene.data(position_path(ADA))["relay"]
    scene.change(position_path(ADA), relay={**relay, "hash": other_text(relay["hash"], random)})
    return {(scene.seq, "published")}


@each(("seq", "open", "is_clearing", "relay"), "position: another", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    values = ["x", b"\x00", [1], -1, to_datetime(0)]
    scene.change(position_path(ADA), **{name: random.choice(values)})
    return {(0, "relay_position")}


@each(("state", "marks", "usage", "seal"), "audit: another", "audit")
def _(scene: Scene, random: Random, name: str) -> Expected:
    values = ["x", "", None, 7, b"\x00", [1], {"a": 1}]
    scene.change(audited_path(ADA), **{name: random.choice(values)})
    return {(0, "audit_position")}


@row("audit: the position of another account", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.put(audited_path(ADA), scene.data(audited_path(BOB)))
    return {(0, "audit_position")}


@row("audit: a page of names", "audit")
def _(scene: Scene, random: Random) -> Expected:
    scene.change(f"accounts/{ADA}/audited/names-000000", content=random.choice([b"", b"\x00" * 99, "x", None, 7]))
    scene.ledger().execute(ADA, ask.charge(1, operation="news"))
    return {(0, "audit_position")}


# ── what only the log tells ──────────────────────────────────────────────────────────────────────────────────────────


@row("log: rollback of an account with all traces", "log")
def _(scene: Scene, random: Random) -> Expected:
    scene.bring_back({*scene.paths(), *(path for path in scene.early if path.startswith(f"accounts/{ADA}"))})
    return set()


@row("log: rollback with all traces, and honest entries since", "log")
def _(scene: Scene, random: Random) -> Expected:
    scene.bring_back({*scene.paths(), *(path for path in scene.early if path.startswith(f"accounts/{ADA}"))})
    scene.ledger().execute(ADA, ask.charge(1, operation="since"))
    return set()


@row("log: the whole database of a backup", "log")
def _(scene: Scene, random: Random) -> Expected:
    scene.bring_back({*scene.documents._documents, *scene.early})
    return set()


@row("log: all documents of an account deleted", "log")
def _(scene: Scene, random: Random) -> Expected:
    scene.remove(*scene.paths())
    return set()


@row("log: rewrite with the live key, and all traces deleted", "log")
def _(scene: Scene, random: Random) -> Expected:
    first = random.choice([seq for seq in range(1, scene.seq + 1) if scene.entry(seq)["kind"] == "grant"])
    scene.rewrite(first, THIEF_OF_LIVE)
    scene.remove(*scene.paths("/audited/"), *scene.paths("/relay/"), *scene.paths("/usage/"))
    for path in scene.paths("/operations/"):
        scene.remove(path)
    return set()
