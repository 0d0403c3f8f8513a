"""The command that verifies, given a receipt: verdict, exit code and report."""

import json

import pytest

from shared.kernel.settings import SigningKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.verify.command.main import main
from tests.support.log_trees import SIGNER
from tests.support.proof_receipts import ENTRY_KEYS, receipt, saved

SOUND = saved(receipt())
OTHERS = KeyRing((SigningKey(kid="key-1", seed=bytes([7] * 32)),))


@pytest.fixture
def file(tmp_path):
    def written(text: str, name: str = "receipt.json") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


@pytest.fixture
def policy(file) -> str:
    return file(f"log {SIGNER.vkey}\nquorum none\n", "log.policy")


def test_a_receipt_under_a_policy_is_sound(file, policy, capsys):
    code = main([file(SOUND), "--policy", policy, "--require-policy", "--uid", "zoe", "--ledger", "prod-1"])

    told = capsys.readouterr().out
    assert code == 0
    assert "entry 7 (charge) of zoe in ledger prod-1 is leaf 300 of 700 in the log ledger.example.com/prod-1" in told
    assert "The policy vouches for the log." in told


def test_a_receipt_without_a_policy_is_consistent_and_says_so(file, capsys):
    assert main([file(SOUND)]) == 0

    told = capsys.readouterr().out
    assert "SOUND: consistent in itself, the log's key not vouched for" in told
    assert f"not checked: who owns the log's key {SIGNER.vkey}" in told
    assert main([file(SOUND), "--require-policy"]) == 2


@pytest.mark.parametrize(
    ("text", "options", "code", "rule"),
    [
        (SOUND.replace("12345", "12346", 1), [], 1, "hash"),
        (SOUND.replace("index 300", "index 301"), [], 1, "inclusion"),
        (SOUND, ["--uid", "max"], 1, "identity"),
        (SOUND, ["--uid", "max", "--uid", "ann"], 1, "identity"),
        (SOUND, ["--uid", "max", "--uid", "zoe"], 0, None),
        (SOUND, ["--ledger", "prod-2"], 1, "identity"),
        ("{}", [], 2, None),
        ("", [], 2, None),
    ],
)
def test_a_changed_or_foreign_receipt_is_broken_and_other_files_unchecked(file, capsys, text, options, code, rule):
    assert main([file(text), *options]) == code

    assert rule is None or f" 7 {rule} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ledger", "keys", "code"), [("prod-1", ENTRY_KEYS, 0), ("prod-2", ENTRY_KEYS, 1), ("prod-1", OTHERS, 1)]
)
def test_saved_keys_must_be_of_the_ledger_and_verify_the_entry(file, ledger, keys, code):
    answer = {"ledger_id": ledger, "items": [key.to_json() for key in keys.held], "next_cursor": None}

    assert main([file(SOUND), "--keys", file(json.dumps(answer), "keys.json")]) == code


def test_the_report_for_programs_names_the_leaf(file, policy, capsys):
    main([file(SOUND), "--policy", policy, "--json"])

    (told,) = json.loads(capsys.readouterr().out)["files"]
    assert told["verdict"] == "sound"
    assert told["receipt"] == {
        "uid": "zoe",
        "seq": 7,
        "kind": "charge",
        "log": "ledger.example.com/prod-1",
        "index": 300,
        "size": 700,
        "is_vouched": True,
        "witnesses": [],
    }
