"""Exports to tamper with: three accounts with every kind of line, signed by a retired key and by the present one."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any

import orjson

from shared.kernel.canonical import canonical
from shared.kernel.clock import DAY
from shared.kernel.ids import HoldId, Uid
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.ledger.account_documents import seal_message
from shared.ledger.commands import BudgetClaim, Command
from shared.ledger.entries import body_hash
from shared.ledger.export_format import HEADER_CONTEXT, header_message
from shared.ledger.findings import Finding
from shared.ledger.hold_names import capture_operation
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, SEAL_CONTEXT, PublicKey, Verifier
from shared.ledger.ledger import Ledger
from shared.ledger.verify.exports import ExportAudit
from shared.ledger.verify.grammar import lines_of
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask

LEDGER, OTHER_LEDGER = "demo-test", "demo-other"
ANN, BOB, CAL = Uid("ann"), Uid("böb"), Uid("cal")
OLD = SigningKey(kid="old", seed=bytes(range(1, 33)))
LIVE = SigningKey(kid="live", seed=bytes(range(2, 34)))
THIEF = KeyRing((SigningKey(kid="live", seed=bytes(32)),))
"""Keys of a stranger who names them as the ledger's."""
RINGS = {"old": KeyRing((OLD,)), "live": KeyRing((LIVE,))}
LOTS_OF_CAL = 35
CLAIM = BudgetClaim(id="key:1", limit=Micro(900))
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Edited export, and the place of the edit: the number of a line, or the entry `seq` of `uid` (0: the account).

    If `is_anywhere`, lines of several places are mixed, and each finding names one of them.
    """

    data: bytes
    line: int | None = None
    uid: str = ""
    seq: int = 0
    is_anywhere: bool = False

    def is_at(self, finding: Finding) -> bool:
        """Return True if the finding names this place."""
        if self.is_anywhere:
            return True
        if self.line is not None:
            return finding.detail.startswith(f"line {self.line}:")
        return (finding.uid, finding.seq) == (self.uid, self.seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class TamperClass:
    """Kind of edit: the rules by which it is found, and `make`, an edit of one export at a random place.

    `uid` and `ledger` are named by whoever verifies; None if the file may say so itself.
    """

    name: str
    rules: frozenset[str]
    make: Callable[["Export", Random], Edit | None]
    found_by: str = "verifier"
    uid: Uid | None = None
    is_slow: bool = False
    """True for edits that take long to make, so that fewer are made."""
    exports: "Callable[[], tuple[Export, ...]] | None" = None
    """Exports that have a place for the edit; None for those of `exports`."""


class RememberingVerifier(Verifier):
    """Verifier that checks a signature once, since most lines of an edited export are the honest ones."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        super().__init__(keys)
        self._checked: dict[tuple[bytes, bytes, str, str], bool] = {}

    def is_signed(self, context: bytes, message: bytes, *, kid: str, signature: str) -> bool:
        """Return the answer of `Verifier.is_signed`."""
        asked = (context, message, kid, signature)
        if asked not in self._checked:
            self._checked[asked] = super().is_signed(context, message, kid=kid, signature=signature)
        return self._checked[asked]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Export:
    """Honest export with the keys that verify it, at the time `now`."""

    lines: tuple[bytes, ...]
    verifier: Verifier
    now: int
    others: Mapping[str, "Export"] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """Bytes of the file."""
        return b"".join(self.lines)

    def records(self) -> list[Record]:
        """Return the lines as fresh values."""
        return [orjson.loads(line) for line in self.lines]

    def places(self, kind: str) -> list[int]:
        """Return the indexes of the lines of a type."""
        mark = f'"type":"{kind}"'.encode()
        return [index for index, line in enumerate(self.lines) if mark in line]

    def findings(self, data: bytes, uid: Uid | None = None) -> Sequence[Finding]:
        """Verify a file with every signature, by the keys and at the time of this export."""
        audit = ExportAudit(verifier=self.verifier, now=self.now, uid=uid)
        for line in lines_of(io.BytesIO(data)):
            audit.read(line)
        audit.close()
        return audit.findings


def line_of(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line. The values of an honest export and of its edits lie inside the canonical profile."""
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def file_of(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return records as a file."""
    return b"".join(map(line_of, records))


def body_of(record: Mapping[str, Any]) -> Record:
    """Return the parsed body of an entry's record."""
    body: Record = orjson.loads(record["body"])
    return body


def uid_at(records: Sequence[Record], index: int) -> str:
    """Return the user of the account that the line at `index` belongs to."""
    return next(str(each["uid"]) for each in records[index:] if each["type"] == "account")


def signed(record: Record, body: Mapping[str, Any], ring: KeyRing | None = None) -> Record:
    """Return an entry's record with another body, hashed and signed by the key that the body names, or by `ring`."""
    text = canonical(dict(body)).decode()
    digest = body_hash(text)
    by = ring or RINGS[body["kid"]]
    return {**record, "body": text, "hash": digest, "signature": by.sign(ENTRY_CONTEXT, digest.encode())}


def rewritten(records: list[Record], index: int, change: Callable[[Record], None]) -> list[Record]:
    """Return the file with another entry at `index`, and all that follow linked and signed again by the live key."""
    head = ""
    for at in range(index, len(records)):
        if records[at]["type"] != "entry":
            return records
        body = {**body_of(records[at]), "kid": "live"}
        if at == index:
            change(body)
        else:
            body["prev"] = head
        records[at] = signed(records[at], body)
        head = records[at]["hash"]
    return records


def sealed(account: Record, ledger: str = LEDGER, kid: str = "live") -> Record:
    """Return an account's record sealed by a key of the ledger."""
    message = seal_message(ledger, Uid(account["uid"]), account["version"], account["nonce"], account["state"])
    return {**account, "seal": f"{kid}:{RINGS[kid].sign(SEAL_CONTEXT, message)}"}


def sealed_header(header: Record, ring: KeyRing | None = None) -> Record:
    """Return a header sealed by the live key, or by `ring`."""
    by = ring or RINGS["live"]
    return {**header, "seal": f"{by.kid}:{by.sign(HEADER_CONTEXT, header_message(header))}"}


@cache
def exports() -> tuple[Export, ...]:
    """Return exports of one account each, and one of two accounts."""
    clock, documents = ManualClock(), MemoryDocuments()
    keys = _written(documents, clock, LEDGER)
    verifier = RememberingVerifier(keys)
    header = sealed_header(_header(LEDGER, keys))
    lines = {uid: _account_lines(documents, clock, LEDGER, uid) for uid in (ANN, BOB, CAL)}
    now = clock.now()

    def export(*uids: Uid) -> Export:
        every = (line_of(header), *(line for uid in uids for line in lines[uid]))
        return Export(lines=every, verifier=verifier, now=now)

    singles = {uid: export(uid) for uid in lines}
    others = {**{str(uid): each for uid, each in singles.items()}, OTHER_LEDGER: _foreign(verifier, now)}
    return tuple(replace(each, others=others) for each in (singles[ANN], export(BOB, ANN), singles[CAL]))


def _foreign(verifier: Verifier, now: int) -> Export:
    """Return the export of the same user in another ledger, which has the same keys."""
    clock, documents = ManualClock(), MemoryDocuments()
    keys = _written(documents, clock, OTHER_LEDGER)
    header = line_of(sealed_header(_header(OTHER_LEDGER, keys)))
    return Export(lines=(header, *_account_lines(documents, clock, OTHER_LEDGER, ANN)), verifier=verifier, now=now)


def _written(documents: MemoryDocuments, clock: ManualClock, ledger: str) -> tuple[PublicKey, ...]:
    """Write the accounts, and return the keys: the present one, and one that is retired since half of the entries."""
    for uid in (ANN, BOB, CAL):
        _run(_ledger(documents, clock, ledger, (OLD,)), clock, uid, _first_half(uid))
    retired_at = clock.now()
    clock.advance(1_000)
    for uid in (ANN, BOB, CAL):
        _run(_ledger(documents, clock, ledger, (LIVE, OLD)), clock, uid, _second_half(uid))
    live, old = KeyRing((LIVE, OLD)).registry
    return replace(live, since=retired_at + 1), replace(old, until=retired_at)


def _ledger(documents: MemoryDocuments, clock: ManualClock, ledger: str, keys: tuple[SigningKey, ...]) -> Ledger:
    return Ledger(documents, clock, KeyRing(keys), ledger_id=ledger, hold_lifetime_seconds=900)


def _run(ledger: Ledger, clock: ManualClock, uid: Uid, commands: Iterable[Command]) -> None:
    for command in commands:
        clock.advance(1_000)
        ledger.execute(uid, command)


def _first_half(uid: Uid) -> list[Command]:
    if uid == BOB:
        return [ask.grant("gift", 50, operation="b1"), ask.charge(20, operation="b2")]
    if uid == CAL:
        return [ask.grant(f"lot{n:02}", 10 + n, operation=f"g{n}") for n in range(LOTS_OF_CAL)]
    return [
        ask.grant("gift", 100, operation="a1", expires_at=ManualClock().now() + 400 * DAY),
        ask.grant("paid", 5_000, operation="a2", source="world:stripe", is_paid=True, priority=20),
        ask.hold("h1", 60, operation="a3", budgets=(CLAIM,)),
        ask.capture("h1", 60, operation=capture_operation(HoldId("h1"))),
        ask.adjust(7, operation="a5"),
        ask.charge(40, operation="a6", budgets=(CLAIM,)),
        ask.hold("h2", 30, operation="a7"),
    ]


def _second_half(uid: Uid) -> list[Command]:
    if uid == BOB:
        return [ask.hold("h1", 10, operation="b3"), ask.release("h1", operation="b4"), ask.charge(20, operation="b5")]
    if uid == CAL:
        return [ask.charge(60, operation="c1"), ask.reverse("lot34", 5, operation="c2")]
    return [
        ask.capture("h2", 20, operation="a8"),
        ask.hold("h3", 10, operation="a9"),
        ask.extend("h3", 5, operation="a10"),
        ask.capture("h3", 12, operation=capture_operation(HoldId("h3")), record="passing"),
        ask.reverse("paid", 100, operation="a12"),
        ask.restore("paid", 40, operation="a13"),
        ask.suspend("s1", "paid", operation="a14"),
        ask.reinstate("s1", operation="a15"),
        ask.freeze(),
        ask.unfreeze(),
        ask.adjust(-3, operation="a18"),
        ask.hold("h4", 10, operation="a19"),
    ]


def _header(ledger: str, keys: Iterable[PublicKey]) -> Record:
    told = [dict(key.exported()) for key in keys]
    return {
        "type": "header",
        "format": "ics-export",
        "version": 2,
        "ledger": ledger,
        "keys": told,
        "checkpoint": "demo-test.example/log\n12\nAAAA\n\n— demo-test.example/log AAAA\n",
    }


def _account_lines(documents: MemoryDocuments, clock: ManualClock, ledger: str, uid: Uid) -> list[bytes]:
    _, *lines = _ledger(documents, clock, ledger, (LIVE, OLD)).export(uid)
    return [line.encode() for line in lines]
