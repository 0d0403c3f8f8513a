"""Receipts over HTTP: a saved answer is checked offline, an entry beyond the checkpoint is to be asked for again."""

import json
from dataclasses import replace

import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.documents import Put
from shared.ledger.document_paths import entry_path
from shared.ledger.keys import PublicKey
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.policy import parse_policy
from shared.ledger.log.position import ParkedAt, position_data, position_path, stored_position
from shared.ledger.verify.receipt import Demands, check_receipt
from tests.api.world import World, problem
from tests.support.log_trees import ORIGIN, SIGNER
from tests.support.logged_accounts import append_leaves, log_entries, sign_head

TRUSTED = parse_policy(f"log {SIGNER.vkey}\nquorum none\n")


@pytest.fixture
def documents(world):
    return world.services.ports.documents()


@pytest.fixture
def logged(world, documents, alice):
    """Alice with two entries in a log of 600 leaves, of which 300 stand behind a later head."""
    alice.post("/credits/reserve", {"amount": "1"})
    append_leaves(documents, [leaf_hash(b"before %d" % number) for number in range(298)])
    log_entries(documents, alice.uid, 2)
    sign_head(documents)
    append_leaves(documents, [leaf_hash(b"behind %d" % number) for number in range(300)])
    return alice


def test_a_saved_receipt_is_sound_for_the_policy_and_the_keys(world, logged):
    registry = world.call("GET", "/ledger/keys").json["items"]

    for seq, kind in ((1, "grant"), (2, "hold")):
        answer = logged.get(f"/credits/entries/{seq}/proof")
        keys = tuple(PublicKey.from_json(each) for each in registry)
        report = check_receipt(
            answer.text, Demands(policy=TRUSTED, keys=keys, ledger="demo-memory", uids=(logged.uid,))
        )

        assert (answer.status_code, report.findings, report.is_vouched) == (200, (), True)
        assert (report.uid, report.seq, report.kind) == (logged.uid, seq, kind)
        assert (report.origin, report.index, report.size) == (ORIGIN, 297 + seq, 300)


def test_the_jobs_of_two_minutes_bring_an_entry_into_the_log(world, alice):
    for _ in range(2):
        world.services.jobs.run_schedule("every_minute")
        world.clock.advance(MINUTE)

    answer = alice.get("/credits/entries/1/proof")
    report = check_receipt(answer.text)

    assert (answer.status_code, report.findings, report.seq) == (200, (), 1)
    assert world.call("GET", "/ledger/checkpoint").text in answer.json["proof"]


def test_the_receipt_holds_the_entry_as_the_history_shows_it(logged):
    receipt = logged.get("/credits/entries/1/proof").json
    shown = logged.get("/credits/entries/1").json

    assert receipt["entry"]["hash"] == shown["hash"]
    assert json.loads(receipt["entry"]["body"])["op"] == shown["operation"]


def test_an_entry_beyond_the_checkpoint_is_to_be_asked_for_again(documents, logged):
    logged.post("/credits/reserve", {"amount": "1"})
    unsequenced = logged.get("/credits/entries/3/proof")
    log_entries(documents, logged.uid, 1)
    unsigned = logged.get("/credits/entries/3/proof")
    sign_head(documents)

    for answer in (unsequenced, unsigned):
        assert problem(answer) == (409, "not_logged_yet")
        assert answer.headers["Retry-After"] == "60"
    assert logged.get("/credits/entries/3/proof").status_code == 200


def test_before_the_first_checkpoint_no_entry_is_logged(alice):
    assert problem(alice.get("/credits/entries/1/proof")) == (409, "not_logged_yet")


@pytest.fixture(scope="module")
def reader():
    """Somebody with two entries, who only reads."""
    world = World()
    alice = world.person(credits_=10)
    alice.post("/credits/reserve", {"amount": "1"})
    log_entries(world.services.ports.documents(), alice.uid, 2)
    sign_head(world.services.ports.documents())
    return alice


@pytest.mark.parametrize("seq", ["0", "3", "999999999", "1e0", "-1", "01", "x", "9" * 30])
def test_no_entry_has_no_proof(reader, seq):
    assert problem(reader.get(f"/credits/entries/{seq}/proof")) == (404, "entry_not_found")


def test_nobody_else_reads_the_receipt(world, logged):
    assert problem(world.person().get("/credits/entries/1/proof")) == (404, "entry_not_found")
    assert problem(world.call("GET", "/credits/entries/1/proof"))[0] == 401
    assert logged.key("read").get("/credits/entries/1/proof").status_code == 200
    assert problem(logged.key("chat").get("/credits/entries/1/proof"))[0] == 403


def test_an_edited_entry_gets_no_receipt(documents, logged):
    path = entry_path(logged.uid, 1)
    stored = documents.get(path).data
    documents.commit([Put(path, {**stored, "body": stored["body"].replace("10000000", "10000001")})])

    answer = logged.get("/credits/entries/1/proof")

    assert problem(answer) == (409, "integrity_failed")
    assert answer.json["params"]["seq"] == 1


def test_a_position_that_names_another_leaf_gets_no_receipt(documents, logged):
    path = position_path(logged.uid)
    state = documents.get(path).data["state"]
    runs = state["runs"][:8] + (7).to_bytes(8)
    documents.commit([Put(path, {"state": {**state, "runs": runs}})])

    assert problem(logged.get("/credits/entries/1/proof")) == (409, "log_broken")


def test_an_account_that_the_sequencer_parked_says_so(documents, logged):
    logged.post("/credits/reserve", {"amount": "1"})
    path = position_path(logged.uid)
    position = stored_position(logged.uid, documents.get(path))
    documents.commit([Put(path, position_data(replace(position, parked=ParkedAt(seq=3, rule="link"))))])

    assert problem(logged.get("/credits/entries/3/proof")) == (409, "integrity_failed")
    assert logged.get("/credits/entries/2/proof").status_code == 200
