"""Each edit of a checkpoint, an anchor or a whole database is found by the component, in the time, by the rule."""

import os
import random

import pytest

from shared.kernel.deadline import NEVER
from shared.kernel.objects import StorageUnavailable
from shared.ledger.log.head import EMPTY_HEAD, LogBroken
from shared.ledger.log.policy import parse_policy
from shared.ledger.log.signer import AnchorGate
from shared.ledger.log.tile_reader import read_head
from tests.support.logs import leaves
from tests.tamper.checkpoint_edits import EDITS, SignedPast, signed_past

PLACES = 1_000 if os.environ.get("TAMPER") == "long" else 4


@pytest.mark.parametrize("name", EDITS)
def test_edit_of_what_was_signed_is_found_at_each_random_place(name):
    edit = EDITS[name]
    for place in range(PLACES):
        chosen = random.Random(f"{name}/{place}")
        made = signed_past(chosen, has_bucket=edit.has_bucket)
        log, signatures, newest = made.log, made.log.key.count, str(made.log.served().note)
        edit.harm(made, chosen)
        is_refused = not is_accepted(made)
        if edit.rule in {"checkpoint", "head", "anchor"}:
            log.append(leaves(made.sizes[2], made.sizes[2] + 1))

        log.cursor = log.signer().sign(log.cursor, NEVER)

        events = [each.event for each in log.alerts.raised]
        if edit.finder == "signer":
            assert edit.rule in {*log.rules(), "*"}, place
            assert set(events) == {"log_inconsistent"}, place
        elif edit.finder == "witness":
            assert "witness_disagrees" in events, place
        elif edit.finder == "verifier":
            assert is_refused, place
        else:
            assert (events, str(log.served().note.text)) == ([], newest.partition("\n\n")[0] + "\n"), place
        if edit.rule in {"behind", "split"}:
            assert log.key.count == signatures, "nothing is signed for a tree that forgets"


@pytest.mark.parametrize("name", [name for name, edit in EDITS.items() if edit.rule == "behind" and edit.has_bucket])
def test_sequencer_appends_nothing_to_a_log_that_is_behind(name):
    made = signed_past(random.Random(name), has_bucket=True)
    EDITS[name].harm(made, random.Random(name))

    with pytest.raises(LogBroken):
        AnchorGate(made.log.documents, made.log.anchors).require_newest(read_head(made.log.documents) or EMPTY_HEAD)


def test_an_anchor_is_never_edited_or_deleted():
    made = signed_past(random.Random("anchors"), has_bucket=True)
    before = dict(made.log.objects._objects)

    for name in made.log.objects.names("checkpoint/") + made.log.objects.names("tile/"):
        assert not made.log.objects.put(name, b"another", "text/plain")
        with pytest.raises(StorageUnavailable):
            made.log.objects.delete(name)

    assert made.log.objects._objects == before


@pytest.mark.parametrize(
    "name", [name for name in EDITS if name.startswith(("checkpoint: note", "checkpoint: cosignature"))]
)
def test_a_verifier_refuses_each_edited_checkpoint(name):
    made = signed_past(random.Random(name), has_bucket=True)
    assert is_accepted(made)
    EDITS[name].harm(made, random.Random(name))

    assert not is_accepted(made)


def is_accepted(made: SignedPast) -> bool:
    """Return True if an auditor's policy accepts the served checkpoint for the tree beside it."""
    witness = next(iter(made.log.witnesses)).vkey
    policy = parse_policy(f"log {made.log.key.vkey}\nwitness w {witness}\nquorum w\n")
    try:
        served = made.log.served()
    except LogBroken:
        return False
    return served is not None and policy.verdict(served.note).is_accepted


def test_the_matrix_says_who_finds_each_edit_and_when():
    assert {name.partition(":")[0] for name in EDITS} == {
        "anchor",
        "checkpoint",
        "database",
        "head",
        "split view",
        "tree",
    }
    assert all(edit.finder == "witness" or edit.has_bucket or edit.rule for edit in EDITS.values())
