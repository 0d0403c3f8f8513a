"""Somebody edits the database: every edit is found, with account, seq and rule; the next operation is refused."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest

from shared.kernel.clock import from_datetime, rfc3339
from shared.kernel.documents import Create, Delete, Put
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.kernel.settings import SigningKey
from shared.ledger.account_documents import account_path, seal_message, state_path
from shared.ledger.codec import encode_account
from shared.ledger.entries import body_hash
from shared.ledger.errors import IntegrityFailed, UnknownKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, SEAL_CONTEXT
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore, entry_path, hold_path, lot_path, operation_path
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import capture, charge, grant, hold, reverse
from tests.support.ledgers import KEYS, UID

BOB = Uid("bob")
LAST = OperationId(f"{UID}4")
THIEF = KeyRing((SigningKey(kid=KEYS.kid, seed=bytes(32)),))
"""Calls itself by our key's name."""


class Scene:
    """Two accounts with a few entries each, and somebody with write access to the database."""

    def __init__(self) -> None:
        self.documents, self.clock, self.alerts = MemoryDocuments(), ManualClock(), MemoryAlerts()
        self.warm = self.instance()
        for uid in (UID, BOB):
            self.warm.execute(uid, grant("gift", 100, operation=f"{uid}1"))
            self.warm.execute(uid, hold("h", 60, operation=f"{uid}2"))
            self.warm.execute(uid, capture("h", 20, operation=f"{uid}3"))
            self.warm.execute(uid, charge(5, operation=f"{uid}4"))
        self.honest = {path: self.data(path) for path in (state_path(UID), account_path(UID))}

    def instance(self) -> Ledger:
        return Ledger(
            self.documents, self.clock, KEYS, ledger_id="demo-test", hold_lifetime_seconds=900, alerts=self.alerts
        )

    def data(self, path: str) -> dict[str, Any]:
        document = self.documents.get(path)
        assert document is not None
        return dict(document.data)

    def put(self, path: str, **fields: Any) -> None:
        """Deleted and written anew: to a memory store a False where a 0 was would be no change."""
        data = {**self.data(path), **fields}
        self.documents.commit([Delete(path)])
        self.documents.commit([Create(path, data)])

    def findings(self, uid: Uid = UID) -> set[tuple[str, int, str]]:
        return {(finding.uid, finding.seq, finding.rule) for finding in self.instance().verify(uid)}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_nothing_is_found_where_nothing_was_done(scene):
    assert scene.findings() == scene.findings(BOB) == set()


# Entries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("body", "{}", "format"),
        ("hash", "0" * 64, "hash"),
        ("signature", base64.b64encode(bytes(64)).decode(), "signature"),
        ("signature", "?", "signature"),
        ("kind", "grant", "kind"),
        ("schema", 2, "format"),
        ("schema", True, "format"),
        ("body", 7, "canonical"),
    ],
)
def test_an_edited_field_of_an_entry_is_found(scene, field, value, rule):
    scene.put(entry_path(UID, 3), **{field: value})

    assert (UID, 3, rule) in scene.findings()


@pytest.mark.parametrize("seq", [1, 2, 3, 4])
def test_every_field_of_every_body_is_covered(scene, seq):
    body = orjson.loads(scene.data(entry_path(UID, seq))["body"])

    for name, value in body.items():
        forged = {**body, name: value + 1 if isinstance(value, int) else [] if isinstance(value, list) else "x"}
        text = orjson.dumps(forged, option=orjson.OPT_SORT_KEYS)
        fresh = Scene()
        fresh.put(entry_path(UID, seq), body=text.decode(), hash=body_hash(text))
        assert (UID, seq, "signature") in fresh.findings() or (UID, seq, "unknown_key") in fresh.findings(), name


def test_an_entry_rewritten_and_signed_with_another_s_key_is_found(scene):
    path = entry_path(UID, 1)
    text = scene.data(path)["body"].replace('"amount":100', '"amount":900')
    digest = body_hash(text)
    scene.put(path, body=text, hash=digest, signature=THIEF.sign(ENTRY_CONTEXT, digest.encode()))

    assert {(UID, 1, "signature"), (UID, 2, "link")} <= scene.findings()


def test_an_entry_rewritten_with_our_own_key_still_breaks_the_chain(scene):
    """Even who has the key cannot change one entry alone: the next one names its hash."""
    path = entry_path(UID, 1)
    text = scene.data(path)["body"].replace('"amount":100', '"amount":900')
    digest = body_hash(text)
    scene.put(path, body=text, hash=digest, signature=KEYS.sign(ENTRY_CONTEXT, digest.encode()))

    assert {(UID, 1, "balance_after"), (UID, 2, "link"), (UID, 0, "state")} <= scene.findings()


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_deleted_entry_is_found(scene, seq):
    scene.documents.commit([Delete(entry_path(UID, seq))])

    assert {(UID, seq, "sequence"), (UID, seq + 1, "link")} <= scene.findings()


def test_a_tail_that_was_cut_is_found(scene):
    scene.documents.commit([Delete(entry_path(UID, 4))])

    assert scene.findings() == {(UID, 4, "sequence")}


def test_an_inserted_entry_is_found_by_the_verifier_and_by_the_next_operation(scene):
    scene.documents.commit([Create(entry_path(UID, 5), scene.data(entry_path(UID, 4)))])

    found = scene.findings()
    with pytest.raises(IntegrityFailed) as cold:
        scene.instance().execute(UID, charge(1))
    with pytest.raises(IntegrityFailed) as warm:
        scene.warm.execute(UID, charge(1))

    assert {(UID, 5, "sequence"), (UID, 5, "link")} <= found
    assert cold.value.params == warm.value.params == {"uid": UID, "seq": 5, "rule": "entry_above_head"}


@pytest.mark.parametrize("name", ["000000000000", "zzz", "1", "²", "000000000002x", "!"])
def test_an_inserted_document_that_is_no_entry_of_ours_is_found(scene, name):
    path = f"{account_path(UID)}/entries/{name}"
    scene.documents.commit([Create(path, scene.data(entry_path(UID, 2)))])

    assert (UID, 0, "sequence") in scene.findings()


def test_swapped_entries_are_found(scene):
    second, third = scene.data(entry_path(UID, 2)), scene.data(entry_path(UID, 3))
    scene.documents.commit([Put(entry_path(UID, 2), third), Put(entry_path(UID, 3), second)])

    assert {(UID, 2, "sequence"), (UID, 2, "link"), (UID, 3, "sequence")} <= scene.findings()


def test_entries_swapped_across_accounts_are_found_in_both(scene):
    ours, theirs = scene.data(entry_path(UID, 4)), scene.data(entry_path(BOB, 4))
    scene.documents.commit([Put(entry_path(UID, 4), theirs), Put(entry_path(BOB, 4), ours)])

    assert {(UID, 4, "identity"), (UID, 4, "link")} <= scene.findings()
    assert {(BOB, 4, "identity"), (BOB, 4, "link")} <= scene.findings(BOB)


def test_an_operation_that_has_an_effect_twice_is_found(scene):
    """A forgotten operation can be asked again; the chain remembers."""
    scene.documents.commit([Delete(operation_path(UID, LAST))])
    scene.instance().execute(UID, charge(5, operation=LAST))

    assert scene.findings() == {(UID, 5, "operation")}


# The account -------------------------------------------------------------------------------------------------------


def edits() -> list[Any]:
    """Every field of the account's two documents, edited in every way that comes to mind."""
    values: dict[str, dict[str, list[Any]]] = {
        account_path(UID): {
            "available": ["1000000", "0.000074", "0.0000750", 75, True, None],
            "held": ["1", 0, False],
            "total": ["1", 75, None],
            "debt": ["1", 0, False],
            "status": ["frozen", ""],
            "seq": [3, 5, False, "4"],
            "updated_at": [None, "2026-01-01T00:00:00.000Z"],
            "state": ["{}"],
            "extra": [1],
        },
        state_path(UID): {
            "schema": [2, True],
            "due_shard": [99],
            "due_at": [None, 0],
            "state": ["{}", "", 7],
            "seal": [f"{KEYS.kid}:AAAA", f"{KEYS.kid}:", "none", None],
            "version": [99, -1, 2**60, "4"],
            "nonce": ["", 7],
            "extra": [1],
        },
    }
    honest = Scene().honest
    every = [(path, field, value) for path, fields in values.items() for field in fields for value in fields[field]]
    return [(p, f, v) for p, f, v in every if (type(honest[p].get(f)), honest[p].get(f)) != (type(v), v)]


@pytest.mark.parametrize(("path", "field", "value"), edits())
def test_an_edited_field_of_the_account_is_found_and_refused_by_the_next_operation(scene, path, field, value):
    scene.put(path, **{field: value})

    for ledger in (scene.instance(), scene.warm):
        with pytest.raises(IntegrityFailed) as failure:
            ledger.execute(UID, charge(1))
        assert failure.value.params["uid"] == UID
        assert failure.value.params["rule"] in {"seal", "plain_balance"}
    with pytest.raises(IntegrityFailed):
        scene.instance().balance(UID)
    assert {rule for _, seq, rule in scene.findings() if seq == 0} & {"seal", "plain_balance", "format", "state"}
    assert {alert.event for alert in scene.alerts.raised} == {"integrity_failed"}


def test_a_time_moved_by_a_moment_is_found(scene):
    told = scene.honest[account_path(UID)]["updated_at"]
    scene.put(
        account_path(UID),
        updated_at=rfc3339(from_datetime(datetime.fromisoformat(told)) + 1),
    )

    assert scene.findings() == {(UID, 0, "plain_balance")}
    with pytest.raises(IntegrityFailed):
        scene.warm.execute(UID, charge(1))


def test_an_edited_balance_changes_nothing_that_is_stored_afterwards(scene):
    scene.put(account_path(UID), available="1000")

    with pytest.raises(IntegrityFailed):
        scene.warm.execute(UID, charge(10**6))

    assert scene.documents.get(entry_path(UID, 5)) is None


def test_a_state_sealed_with_another_s_key_is_refused(scene):
    store = AccountStore(scene.documents, THIEF, "demo-test")
    account = AccountStore(scene.documents, KEYS, "demo-test").read(UID).head.account
    richer = replace(account, tat=1)
    head = AccountStore(scene.documents, KEYS, "demo-test").read(UID).head
    scene.documents.commit(store.account_writes(head, richer, "n"))

    with pytest.raises(IntegrityFailed) as failure:
        scene.warm.execute(UID, charge(1))

    assert failure.value.params == {"uid": UID, "seq": 4, "rule": "seal"}
    assert (UID, 0, "seal") in scene.findings()


def test_a_state_sealed_with_our_own_key_is_still_not_the_fold_of_its_chain(scene):
    account = AccountStore(scene.documents, KEYS, "demo-test").read(UID).head.account
    state = encode_account(replace(account, tat=1))
    signature = KEYS.sign(SEAL_CONTEXT, seal_message("demo-test", UID, 9, "n", state))
    scene.put(state_path(UID), state=state, seal=f"{KEYS.kid}:{signature}", version=9, nonce="n")

    assert scene.findings() == {(UID, 0, "state")}


def test_another_account_s_document_does_not_fit_here(scene):
    scene.documents.commit([Put(state_path(UID), scene.data(state_path(BOB)))])

    with pytest.raises(IntegrityFailed):
        scene.warm.execute(UID, charge(1))
    assert (UID, 0, "seal") in scene.findings()


def test_an_account_rolled_back_collides_with_its_own_next_entry(scene):
    scene.warm.execute(UID, charge(70, operation="all"))
    scene.documents.commit([Put(path, data) for path, data in scene.honest.items()])

    found = scene.findings()
    for ledger in (scene.instance(), scene.warm):
        with pytest.raises(IntegrityFailed) as failure:
            ledger.execute(UID, charge(1))
        assert failure.value.params == {"uid": UID, "seq": 5, "rule": "entry_above_head"}

    assert (UID, 5, "sequence") in found


def test_a_deleted_account_is_found_and_not_begun_anew(scene):
    scene.documents.commit([Delete(account_path(UID)), Delete(state_path(UID))])

    for ledger in (scene.instance(), scene.warm):
        with pytest.raises(IntegrityFailed) as failure:
            ledger.execute(UID, charge(0))
        assert failure.value.params == {"uid": UID, "seq": 1, "rule": "entry_above_head"}
    assert scene.findings() == {(UID, 5, "grammar")}


def test_a_seal_by_a_key_we_have_not_heard_of_is_retried_and_not_called_tampering(scene):
    _, _, signature = scene.honest[state_path(UID)]["seal"].partition(":")
    scene.put(state_path(UID), seal=f"next-year:{signature}")

    with pytest.raises(UnknownKey):
        scene.warm.execute(UID, charge(1))

    assert (UID, 0, "unknown_key") in scene.findings()
    assert scene.alerts.raised == []


def test_what_the_account_is_not_can_be_exported_all_the_same(scene):
    scene.put(account_path(UID), available=b"bytes")
    scene.put(state_path(UID), state=b"\xff")

    assert {rule for _, _, rule in scene.findings()} != set()


@pytest.mark.parametrize("path", [account_path(UID), state_path(UID)])
def test_half_an_account_is_refused(scene, path):
    scene.documents.commit([Delete(path)])

    for ledger in (scene.instance(), scene.warm):
        with pytest.raises(IntegrityFailed):
            ledger.execute(UID, charge(1))
    assert scene.findings()


# Beside the account ------------------------------------------------------------------------------------------------


def reread(scene: Scene) -> list[Callable[[], Any]]:
    return [
        lambda: scene.instance().execute(UID, capture("h", 1, operation="again")),
        lambda: scene.instance().hold(UID, HoldId("h")),
    ]


def test_an_edited_archived_hold_is_refused(scene):
    path = hold_path(UID, HoldId("h"))
    scene.put(path, state=scene.data(path)["state"].replace('"captured":20', '"captured":10'))

    for call in reread(scene):
        with pytest.raises(IntegrityFailed) as failure:
            call()
        assert failure.value.params["rule"] == "archive_seal"


def test_another_account_s_archived_hold_does_not_fit_here(scene):
    scene.documents.commit([Put(hold_path(UID, HoldId("h")), scene.data(hold_path(BOB, HoldId("h"))))])

    for call in reread(scene):
        with pytest.raises(IntegrityFailed):
            call()


def test_an_archived_lot_rolled_back_to_before_its_reversal_is_found(scene):
    scene.warm.execute(UID, charge(75))
    path = lot_path(UID, LotId("gift"))
    before = scene.data(path)
    scene.warm.execute(UID, reverse("gift", 100))
    scene.documents.commit([Put(path, before)])

    scene.instance().execute(UID, reverse("gift", 100))

    assert (UID, 7, "postings") in scene.findings()


@pytest.mark.parametrize("field", ["state", "seal"])
def test_a_remembered_operation_that_is_not_one_is_refused(scene, field):
    path = operation_path(UID, LAST)
    data = {name: value for name, value in scene.data(path).items() if name != field}
    scene.documents.commit([Put(path, data)])

    with pytest.raises(IntegrityFailed) as failure:
        scene.instance().execute(UID, charge(5, operation=LAST))

    assert failure.value.params == {"uid": UID, "seq": 0, "rule": "operation_seal"}


def test_an_edited_result_of_an_operation_is_refused(scene):
    path = operation_path(UID, LAST)
    scene.put(path, state=scene.data(path)["state"].replace('"amount":5', '"amount":4'))

    with pytest.raises(IntegrityFailed):
        scene.instance().execute(UID, charge(5, operation=LAST))


def test_a_result_copied_from_another_operation_is_refused(scene):
    scene.warm.execute(UID, charge(7, operation=OperationId("other")))
    scene.documents.commit([Put(operation_path(UID, LAST), scene.data(operation_path(UID, OperationId("other"))))])

    with pytest.raises(IntegrityFailed):
        scene.instance().execute(UID, charge(5, operation=LAST))
