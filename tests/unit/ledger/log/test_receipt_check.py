"""Offline check of receipts: a sound one passes, each change of any part is found by the law that it breaks."""

import dataclasses
import json
import random

import pytest

from shared.kernel.canonical import canonical
from shared.kernel.settings import SigningKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import PublicKey, from_base64, to_base64
from shared.ledger.log.checkpoints import parse_checkpoint
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.notes import COSIGNATURE, SeedSigner, cosignature, parse_note
from shared.ledger.log.policy import parse_policy
from shared.ledger.log.proof_receipts import NoReceipt, ProofReceipt
from shared.ledger.log.proof_text import parse_proof
from shared.ledger.verify.receipt import Demands, check_receipt
from tests.support.log_trees import ORIGIN, SIGNER, changed_bits, large_tree
from tests.support.proof_receipts import BODY, ENTRY_KEYS, PLACE, SIZE, receipt, saved

SOUND = receipt()
WITNESS = SeedSigner("witness.example", bytes(32), kind=COSIGNATURE)
OTHER_LOG = SeedSigner(ORIGIN, bytes([9] * 32))
OTHER_KEYS = KeyRing((SigningKey(kid="key-1", seed=bytes([7] * 32)),))
LOW_ORDER = to_base64(bytes([1, *[0] * 31]))
OWN = ENTRY_KEYS.held[0].public_key


def rules(text: str | ProofReceipt, **demands) -> list[str]:
    return [
        each.rule for each in check_receipt(text if isinstance(text, str) else saved(text), Demands(**demands)).findings
    ]


def edited(**parts: str) -> ProofReceipt:
    return dataclasses.replace(SOUND, **parts)


def with_note(change) -> ProofReceipt:
    """The receipt with another signed checkpoint in its proof."""
    proof = parse_proof(SOUND.proof)
    return edited(proof=str(dataclasses.replace(proof, note=change(proof.note))))


def test_a_sound_receipt_says_what_was_checked_and_what_was_not():
    report = check_receipt(saved(SOUND))

    assert (report.findings, report.is_sound, report.is_vouched) == ((), True, False)
    assert (report.ledger, report.uid, report.seq, report.kind, report.at) == ("prod-1", "zoe", 7, "charge", BODY["at"])
    assert (report.origin, report.index, report.size) == (ORIGIN, PLACE, SIZE)
    assert str(SIGNER.vkey) in report.unchecked[0]
    assert len(report.unchecked) == 4


@pytest.mark.parametrize(
    "form", [{"indent": 2}, {"sort_keys": True}, {"ensure_ascii": False}, {"separators": (",", ":")}]
)
def test_a_receipt_may_be_saved_in_another_layout(form):
    assert rules(json.dumps(SOUND.to_json(), **form)) == []


@pytest.mark.parametrize(("place", "size"), [(0, 1), (0, 2), (1, 2), (255, 256), (256, 257), (3, 700)])
def test_a_receipt_from_a_log_of_any_size_is_sound(place, size):
    assert rules(receipt(place=place, size=size)) == []


def test_a_policy_vouches_for_the_log():
    report = check_receipt(saved(SOUND), Demands(policy=parse_policy(f"log {SIGNER.vkey}\nquorum none\n")))

    assert (report.findings, report.is_vouched) == ((), True)
    assert not any("policy" in part for part in report.unchecked)


def test_a_receipt_of_another_log_is_refused_by_the_policy():
    policy = parse_policy(f"log {OTHER_LOG.vkey}\nquorum none\n")

    assert rules(SOUND, policy=policy) == ["policy"]
    assert rules(receipt(signer=OTHER_LOG), policy=policy) == []


def test_a_quorum_of_witnesses_is_demanded_and_found():
    policy = parse_policy(f"log {SIGNER.vkey}\nwitness w {WITNESS.vkey}\nquorum w\n")
    note = parse_note(parse_proof(SOUND.proof).note)
    cosigned = with_note(lambda _: str(note.with_signatures([cosignature(note.text, WITNESS, 1_795_900_000)])))

    assert rules(SOUND, policy=policy) == ["policy"]
    assert rules(cosigned, policy=policy) == []
    assert check_receipt(saved(cosigned), Demands(policy=policy)).witnesses == ("w",)


def test_trusted_keys_are_demanded_of_the_entry():
    key = ENTRY_KEYS.held[0]

    assert rules(SOUND, keys=(key,)) == []
    assert rules(SOUND, keys=()) == ["unknown_key"]
    assert rules(SOUND, keys=OTHER_KEYS.held) == ["identity", "signature"]
    assert rules(SOUND, keys=(dataclasses.replace(key, until=BODY["at"] - 1),)) == ["retired_key"]
    assert rules(SOUND, keys=(PublicKey(kid="key-1", public_key=OWN, since=BODY["at"] + 1),)) == ["early_key"]


def test_another_ledger_or_account_than_the_demanded_one_is_found():
    assert rules(SOUND, ledger="prod-1", uids=("ann", "zoe")) == []
    assert rules(SOUND, ledger="prod-2", uids=("max",)) == ["identity", "identity"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (edited(body=SOUND.body.replace("12345", "12346")), ["hash"]),
        (edited(body=SOUND.body.replace('"held":0', '"held": 0')), ["canonical", "hash"]),
        (edited(body=SOUND.body.replace('"held":0', '"held":0.0')), ["canonical", "hash"]),
        (edited(body=SOUND.body.replace('"held":0', '"held":0,"held":0')), ["canonical", "hash"]),
        (edited(body="[]"), ["grammar", "hash"]),
        (edited(body="{}"), ["grammar", "hash"]),
        (edited(body=""), ["canonical", "hash"]),
        (edited(hash="00" * 32), ["hash", "signature", "inclusion"]),
        (edited(hash=SOUND.hash.upper()), ["hash", "signature", "inclusion"]),
        (edited(hash=""), ["hash", "signature", "inclusion"]),
        (edited(signature=to_base64(bytes(64))), ["signature", "inclusion"]),
        (edited(signature=SOUND.signature.rstrip("=")), ["signature", "inclusion"]),
        (edited(signature=""), ["signature", "inclusion"]),
        (edited(kid="key-2"), ["identity"]),
        (edited(public_key=OTHER_KEYS.held[0].public_key), ["signature"]),
        (edited(public_key=LOW_ORDER), ["signature"]),
        (edited(public_key=OWN.rstrip("=")), ["signature"]),
        (edited(public_key=""), ["signature"]),
        (edited(log=str(OTHER_LOG.vkey)), ["checkpoint"]),
        (edited(log=str(WITNESS.vkey)), ["checkpoint"]),
        (edited(log=""), ["checkpoint"]),
        (edited(proof=""), ["proof"]),
        (edited(proof=SOUND.proof.replace("index 300", "index 301")), ["inclusion"]),
        (edited(proof=SOUND.proof.replace("index 300", "index 99999")), ["inclusion"]),
        (edited(proof=SOUND.proof.replace("index 300", "index 0300")), ["proof"]),
        (edited(proof=SOUND.proof.replace("\n700\n", "\n701\n")), ["checkpoint"]),
        (edited(proof=SOUND.proof.replace("\n700\n", "\n0700\n")), ["checkpoint"]),
        (edited(proof=SOUND.proof.rstrip("\n")), ["checkpoint"]),
        (edited(proof=SOUND.proof.replace(f"\n{ORIGIN}\n", "\nanother.example\n")), ["checkpoint"]),
        (receipt({**BODY, "v": 2}), ["grammar"]),
        (receipt({**BODY, "seq": 0}), ["grammar"]),
        (receipt({**BODY, "seq": True}), ["grammar"]),
        (receipt({**BODY, "postings": {}}), ["grammar"]),
        (receipt({name: value for name, value in BODY.items() if name != "kid"}), ["grammar"]),
    ],
)  # fmt: skip
def test_a_changed_part_is_found_by_its_law(wrong, expected):
    assert rules(wrong) == expected


@pytest.mark.parametrize(
    "text",
    [
        saved({**SOUND.to_json(), "more": 1}),
        saved({name: value for name, value in SOUND.to_json().items() if name != "log"}),
        saved({**SOUND.to_json(), "version": 2}),
        saved({**SOUND.to_json(), "version": True}),
        saved({**SOUND.to_json(), "version": 1.0}),
        saved({**SOUND.to_json(), "log": 1}),
        saved({**SOUND.to_json(), "entry": []}),
        saved({**SOUND.to_json(), "key": {**SOUND.to_json()["key"], "alg": "none"}}),
        saved(SOUND).replace('"log":', '"log": "x", "log":', 1),
        saved(SOUND).replace('"kid":', '"kid": "x", "kid":', 1),
        saved(SOUND).replace('"hash": "', '"hash": "\\ud800', 1),
    ],
)
def test_a_receipt_of_another_form_breaks_the_grammar(text):
    assert rules(text) == ["grammar"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", "{}", '{"type": "header"}', "[" * 100_000, "x" * 3_000_000]
)
def test_another_text_is_no_receipt(text):
    with pytest.raises(NoReceipt):
        check_receipt(text)


def test_every_random_edit_of_one_character_is_found():
    text, random_ = json.dumps(SOUND.to_json(), ensure_ascii=False, separators=(",", ":")), random.Random(17)
    sound = []
    for _ in range(1_500):
        place, letter = random_.randrange(len(text)), random_.choice('0aA+/="\\{},: \nü')
        changed = text[:place] + letter + text[place + 1 :]
        try:
            is_sound = check_receipt(changed).is_sound
        except NoReceipt:
            continue
        if is_sound and json.loads(changed) != json.loads(text):
            sound.append((place, letter))

    assert sound == []


def test_every_changed_bit_of_hashes_and_signatures_is_found():
    parts = {"signature": SOUND.signature, "public_key": SOUND.public_key}
    for name, value in parts.items():
        for changed in changed_bits(from_base64(value), 13):
            assert rules(edited(**{name: to_base64(changed)})) != []


def test_a_receipt_in_a_log_of_2_to_27_is_below_2_kb_beyond_the_entry():
    from shared.ledger.log.checkpoints import Checkpoint
    from shared.ledger.log.leaves import entry_leaf
    from shared.ledger.log.notes import signed
    from shared.ledger.log.proof_text import ProofText
    from shared.ledger.log.proofs import prove_inclusion
    from tests.support.log_trees import MemoryTiles

    size, index = 2**27 + 12_345_678 % 2**20, 98_765_432
    leaf = leaf_hash(entry_leaf(SOUND.hash, SOUND.signature))
    head, tiles = large_tree(size, leaf, index)
    hashes = prove_inclusion(leaf, index, head, MemoryTiles(head, tiles))
    note = signed(str(Checkpoint(origin=ORIGIN, size=size, root=head.root)), SIGNER)
    large = edited(proof=str(ProofText(index=index, hashes=tuple(hashes), note=str(note))))

    entry = {"body": large.body, "hash": large.hash, "signature": large.signature}
    assert rules(large) == []
    assert parse_checkpoint(note.text).size > 2**27
    assert len(saved(large)) - len(json.dumps(entry)) <= 2_000


def test_a_body_far_too_deep_is_found_not_raised():
    deep = '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"

    assert rules(edited(body=deep)) == ["canonical", "hash"]
    assert canonical({"a": [1]}) == b'{"a":[1]}'
