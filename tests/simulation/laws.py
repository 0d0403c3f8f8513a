"""The laws, kept beside a store: every commit that lands is held to them, from what it wrote and nothing else."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from shared.kernel.canonical import canonical
from shared.kernel.clock import to_datetime
from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Create,
    Data,
    Document,
    Documents,
    Put,
    Query,
    Upsert,
    Version,
    Write,
)
from shared.kernel.ids import LotId, Uid
from shared.ledger.account import Account, Archive, check
from shared.ledger.account_documents import account_path, plain_fields, state_path, sweep_fields
from shared.ledger.books import merged
from shared.ledger.codec import encode_account, encode_hold, encode_lot
from shared.ledger.entries import CALL_KINDS, body_hash, draft_of, genesis
from shared.ledger.entry_index import index_fields
from shared.ledger.entry_notes import NOTE_FACT, is_bound_by
from shared.ledger.fold import apply
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, SEAL_CONTEXT, to_base64
from shared.ledger.markers import READERS, SHARD_SPAN, marker_path
from shared.ledger.rest import rest_fields
from shared.ledger.store import entry_path, hold_path, lot_path
from tests.support.rests import check_rest


class Lawful:
    """Passes everything on, and shows the laws whatever was written."""

    def __init__(self, inner: Documents, laws: "Laws") -> None:
        self.inner = inner
        self.laws = laws

    def get(self, path: str) -> Document | None:
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        versions = self.inner.commit(writes, timeout_seconds=timeout_seconds)
        self.laws.landed(writes)
        return versions


class Laws:
    """One account as its own entries tell it. `landed` raises AssertionError for the first law that is broken."""

    def __init__(self, ledger: str, uid: Uid, keys: KeyRing) -> None:
        self.uid, self.keys, self.ledger = uid, keys, ledger
        self.account = Account(ledger=ledger, uid=uid, head=genesis(ledger, uid))
        self.archive = Archive()
        self.commits = 0
        self.nonces: set[str] = set()
        self.operations: dict[str, Mapping[str, Any]] = {}
        self.effects: set[str] = set()
        self.totals: Counter[str] = Counter()
        self.flows: dict[str, Counter[str]] = {}
        self.balances: dict[int, Mapping[str, Any]] = {}
        self._is_silent = False

    def landed(self, writes: Sequence[Write]) -> None:
        """One commit has been applied, whoever asked for it and whenever."""
        by_path = {write.path: write for write in writes}
        own, shown = by_path.pop(state_path(self.uid)), by_path.pop(account_path(self.uid))
        marker = by_path.pop(marker_path(self.uid), None)
        assert all(isinstance(write, Create | Put) for write in by_path.values()), "nothing is deleted or patched"
        left, is_silent = Archive(), True
        while (path := entry_path(self.uid, self.account.seq + 1)) in by_path:
            entry = by_path.pop(path)
            self._check_note(entry, by_path)
            left = merged(left, self._follow(entry))
            is_silent = is_silent and self._is_silent
        self._check_account(own, shown)
        self._check_marker(marker, is_silent=is_silent)
        expected = self._archived(left)
        for path, write in by_path.items():
            self._check_other(path, write, expected)
        assert not expected.keys() - by_path.keys(), "what leaves the state is archived"

    # Entries -----------------------------------------------------------------------------------------------------

    def _follow(self, write: Write) -> Archive:
        """One entry on from the state before it: laws 1 to 4, 7 and 8."""
        assert isinstance(write, Create), "an entry is written once"
        data, before = write.data, self.account
        text = str(data["body"])
        body: Any = orjson.loads(text)
        assert canonical(body).decode() == text
        named = (body["ledger"], body["uid"], body["seq"], body["prev"])
        assert named == (self.ledger, self.uid, before.seq + 1, before.head), "entries link"
        assert body["at"] >= before.at, "time never runs backwards"
        digest, signature = body_hash(text), data["signature"]
        assert set(data) - {"has_note"} == {"kind", "body", "signature", *index_fields(text)}
        assert data["kind"] == body["kind"]
        self.effects.add(body["op"])
        assert isinstance(signature, bytes)
        assert self._is_signed(ENTRY_CONTEXT, digest.encode(), body["kid"], to_base64(signature))
        after, left = apply(before, draft_of(body), self.archive)
        self.account, self.archive = replace(after, head=digest), merged(self.archive, left)
        told = (body["posted"], body["held"], body["debt"])
        assert told == (after.available + after.held, after.held, after.debt), "an entry tells the balance after it"
        self._count(body)
        self._check_left(left)
        hold = after.holds.get(body.get("hold", {}).get("id", ""))
        is_call = hold is not None and hold.model is not None and not hold.is_reservation
        self._is_silent = is_call and body["kind"] in {"hold", "extension"}
        self.balances[after.seq] = self._balance()
        return left

    def _check_note(self, write: Write, others: Mapping[str, Write]) -> None:
        """An entry tells whether its operation has a note, and binds the note."""
        assert isinstance(write, Create)
        body: Any = orjson.loads(str(write.data["body"]))
        note = others.get(f"{account_path(self.uid)}/notes/{body['op']}")
        assert write.data.get("has_note", False) is (note is not None), "an entry tells of its note"
        assert (NOTE_FACT in body) is (note is not None)
        assert note is None or (isinstance(note, Put) and is_bound_by(body, note.data)), "an entry binds its note"
        assert "has_note" in write.data or write.data["kind"] in CALL_KINDS, "only an entry of a call tells nothing"

    def _count(self, body: Mapping[str, Any]) -> None:
        for posting in body["postings"]:
            assert posting["amount"] > 0
            self.totals[posting["from"]] -= posting["amount"]
            self.totals[posting["to"]] += posting["amount"]
            if "hold" in body:
                flow = self.flows.setdefault(body["hold"]["id"], Counter())
                flow["in"] += posting["amount"] if posting["to"] == "held" else 0
                flow["out"] += posting["amount"] if posting["from"] == "held" else 0

    def _check_left(self, left: Archive) -> None:
        for hold in left.holds.values():
            flow = self.flows.get(hold.id, Counter())
            assert flow["in"] == flow["out"] == hold.placed, "captured and released is what was held"
        for lot in left.lots.values():
            assert lot.reversed + lot.owed <= lot.granted, "no more is taken back than was granted"

    # The account, and what stands beside it ----------------------------------------------------------------------

    def _check_account(self, write: Write, shown: Write) -> None:
        """State = fold of the chain; nothing below zero; every commit is one further, and says whose it is."""
        assert isinstance(write, Create | Put)
        assert isinstance(shown, Create | Put)
        data, account = write.data, self.account
        assert isinstance(write, Create) is isinstance(shown, Create) is (self.commits == 0)
        self.commits += 1
        state, nonce = str(data["state"]), str(data["nonce"])
        assert state == encode_account(account), "the state is the fold of its chain"
        assert data["version"] == self.commits, "every commit changes the account"
        assert nonce not in self.nonces, "every commit has a nonce of its own"
        self.nonces.add(nonce)
        digest = hashlib.sha256(state.encode()).hexdigest()
        message = canonical(
            {"ledger": self.ledger, "uid": self.uid, "version": self.commits, "nonce": nonce, "state": digest}
        )
        kid, _, seal = str(data["seal"]).partition(":")
        assert self._is_signed(SEAL_CONTEXT, message, kid, seal)
        plain = {name: value for name, value in data.items() if name not in {"state", "seal", "version", "nonce"}}
        assert plain == sweep_fields(account), "sweeps find the account when time has something to do"
        assert shown.data == plain_fields(account), "what listeners see is the state"
        self._check_laws()

    def _check_marker(self, marker: Write | None, *, is_silent: bool) -> None:
        """Only the hold of a model's call and its extensions are told to nobody: the call's end tells of them."""
        if marker is None:
            assert is_silent, "whatever else is written is told to all readers"
            return
        at = self.account.at
        assert isinstance(marker, Upsert), "the oldest time stays"
        assert marker.data == {"uid": self.uid, "seq": self.account.seq, "at": to_datetime(at)}
        assert {reader: number % SHARD_SPAN for reader, number in marker.minima.items()} == dict.fromkeys(READERS, at)

    def _check_laws(self) -> None:
        account = self.account
        check(account)
        check_rest(account, self.archive)
        assert sum(self.totals.values()) == 0, "postings sum to zero over the platform"
        own = (self.totals["available"], self.totals["held"], -self.totals["debt"])
        assert own == (account.available, account.held, account.debt), "a balance is the sum of its postings"
        assert account.available >= 0
        for budget in account.budgets.values():
            naming = [hold.amount for hold in account.holds.values() if budget.id in hold.budgets]
            assert budget.held == sum(naming), "a budget holds what its holds hold"
        assert not account.holds.keys() & self.archive.holds.keys(), "a hold resolves once"

    def _archived(self, left: Archive) -> dict[str, str]:
        lots = {lot_path(self.uid, lot.id): encode_lot(lot) for lot in left.lots.values()}
        return lots | {hold_path(self.uid, hold.id): encode_hold(hold) for hold in left.holds.values()}

    def _check_other(self, path: str, write: Write, archived: Mapping[str, str]) -> None:
        kind, data = path.split("/")[2], write.data  # type: ignore[union-attr]  # a Create or Put
        if kind == "operations":
            self._remember(path, write, data)
        elif kind in {"lots", "holds"}:
            lot = self.archive.lots.get(LotId(path.split("/")[3])) if kind == "lots" else None
            found_by = {} if lot is None else rest_fields(lot)
            assert {name: data[name] for name in data.keys() - {"state", "seal"}} == found_by, "the rest has its order"
            assert (data["state"], self._is_marked(path, data)) == (archived[path], True)
        else:
            assert kind == "notes", f"{path} is none of ours"

    def _remember(self, path: str, write: Write, data: Data) -> None:
        """One key, one effect; and what it is told is the balance that its own last entry left."""
        assert isinstance(write, Create), "an operation is remembered once"
        assert self._is_marked(path, data)
        remembered: Any = orjson.loads(str(data["state"]))
        told = remembered["result"]
        if remembered["seq"] in self.balances:
            assert {**told, **self.balances[remembered["seq"]]} == told, "a result tells the balance after it"
        self.operations[path.rpartition("/")[2]] = remembered

    def _balance(self) -> Mapping[str, Any]:
        account = self.account
        return {
            "available": account.available,
            "held": account.held,
            "debt": account.debt,
            "status": account.status,
            "seq": account.seq,
        }

    def _is_marked(self, path: str, data: Data) -> bool:
        record = canonical({"ledger": self.ledger, "path": path, "state": str(data["state"])})
        return self.keys.is_marked(record, str(data["seal"]))

    def _is_signed(self, context: bytes, message: bytes, kid: str, signature: str) -> bool:
        return self.keys.is_signed(context, message, kid=kid, signature=signature)
