"""The verifier as a command: it says what it checked, and never that all is well where it checked nothing."""

import io
import subprocess
import sys

import orjson
import pytest

from shared.ledger.verify.command import BROKEN, INTACT, NOT_CHECKED, main
from tests.support.ledgers import KEYS, UID, World, charge, grant

LEDGER_KEYS = [key.to_json() for key in KEYS.registry]


@pytest.fixture
def lines() -> list[str]:
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    world.ledger.execute(UID, charge("c", 30))
    return list(world.ledger.export(UID))


@pytest.fixture
def saved(tmp_path):
    """Writes lines, or a JSON value, to a file of that name."""

    def save(content: object, name: str = "journal.ndjson") -> str:
        file = tmp_path / name
        file.write_bytes("".join(content).encode() if isinstance(content, list) else orjson.dumps(content))
        return str(file)

    return save


def test_a_whole_export_is_intact(lines, saved, capsys):
    assert main([saved(lines)]) == INTACT

    told = capsys.readouterr().out
    assert "INTACT: all 2 entries" in told
    assert "NOT checked: whether these keys are the ledger's" in told


def test_an_export_is_read_from_standard_input(lines, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))

    assert main(["-"]) == INTACT
    assert "INTACT" in capsys.readouterr().out


def test_trusted_keys_leave_nothing_unchecked(lines, saved, capsys):
    ledger = orjson.loads(lines[0])["ledger"]
    keys = saved({"ledger_id": ledger, "items": LEDGER_KEYS}, "keys.json")

    assert main(["--keys", keys, saved(lines)]) == INTACT
    assert "NOT checked" not in capsys.readouterr().out


def test_an_export_of_another_ledger_is_a_finding(lines, saved, capsys):
    keys = saved({"ledger_id": "another", "items": LEDGER_KEYS}, "keys.json")

    assert main(["--keys", keys, saved(lines)]) == BROKEN
    assert "identity" in capsys.readouterr().out


def test_keys_that_did_not_sign_are_a_finding(lines, saved, capsys):
    ledger = orjson.loads(lines[0])["ledger"]
    others = [{**key, "kid": "other"} for key in LEDGER_KEYS]

    assert main(["--keys", saved({"ledger_id": ledger, "items": others}, "keys.json"), saved(lines)]) == BROKEN
    assert "unknown_key" in capsys.readouterr().out


def test_every_finding_is_printed(lines, saved, capsys):
    broken = [line.replace('"hash":"', '"hash":"0') if '"entry"' in line else line for line in lines]

    assert main([saved(broken)]) == BROKEN
    told = capsys.readouterr().out
    assert "entry 1: hash" in told
    assert "entry 2: hash" in told
    assert "INTACT" not in told


@pytest.mark.parametrize("kept", [slice(0, 2), slice(0, 3), slice(0, 1)])
def test_an_export_cut_short_is_no_success(lines, saved, kept):
    assert main([saved(lines[kept])]) != INTACT


def test_a_line_behind_the_account_is_a_finding(lines, saved, capsys):
    assert main([saved([*lines, lines[1]])]) == BROKEN
    assert "line 5: the account's line is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", [[], ["\n"], ["{"], ['{"type":"entry"}\n'], ['{"type":"header"}\n'], ['{"type":"header","keys":[]}\n']]
)
def test_a_file_without_an_export_is_not_checked(saved, capsys, content):
    assert main([saved(content)]) == NOT_CHECKED
    assert "NOT CHECKED" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_not_checked(tmp_path, capsys):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    assert main([str(tmp_path / "none")]) == NOT_CHECKED
    assert main([str(tmp_path / "binary")]) == NOT_CHECKED
    assert main([str(tmp_path)]) == NOT_CHECKED
    assert capsys.readouterr().out == ""


def test_keys_that_cannot_be_read_check_nothing(lines, saved, tmp_path):
    (tmp_path / "keys.json").write_text("{}")

    assert main(["--keys", str(tmp_path / "keys.json"), saved(lines)]) == NOT_CHECKED


def test_one_unreadable_file_among_many_is_no_success(lines, saved, capsys):
    assert main([saved(lines), saved([], "empty.ndjson")]) == NOT_CHECKED
    assert "INTACT" in capsys.readouterr().out


def test_the_module_runs_as_a_command(lines, saved):
    command = [sys.executable, "-m", "shared.ledger.verify"]

    intact = subprocess.run([*command, saved(lines)], capture_output=True, text=True, check=False)
    unnamed = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (intact.returncode, unnamed.returncode) == (0, 2)
    assert "INTACT" in intact.stdout
