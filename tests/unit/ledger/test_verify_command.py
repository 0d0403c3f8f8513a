"""The verifier as a command: it says what it checked, and never that all is well where it checked nothing."""

import gzip
import io
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from shared.kernel.canonical import canonical
from shared.kernel.ids import Uid
from shared.ledger.account_documents import seal_message
from shared.ledger.export_format import HEADER_CONTEXT, header_message
from shared.ledger.keys import SEAL_CONTEXT, to_base64
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.notes import SeedSigner, signed
from shared.ledger.verify.command.main import main
from shared.ledger.verify.command.progress import ReadingProgress
from shared.ledger.verify.command.report import BROKEN, NOT_CHECKED, SOUND
from shared.ledger.verify.command.trust import fingerprint
from tests.support.ledgers import KEYS, UID, World, charge, grant

BOB = Uid("bob")
LEDGER_KEYS = [key.to_json() for key in KEYS.registry]
FINGERPRINT = fingerprint(KEYS.registry[0].public_key)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    world.ledger.execute(UID, charge("c", 30))
    world.ledger.execute(BOB, grant("b", 7))
    return world


@pytest.fixture
def lines(world) -> list[str]:
    return list(world.ledger.export(UID))


@pytest.fixture
def both(world, lines) -> list[str]:
    """An export of two accounts."""
    return [*lines, *list(world.ledger.export(BOB))[1:]]


@pytest.fixture
def saved(tmp_path):
    """Writes lines, bytes or a JSON value to a file of that name."""

    def save(content: object, name: str = "journal.ndjson") -> str:
        file = tmp_path / name
        if isinstance(content, list):
            content = "".join(content).encode()
        file.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
        return str(file)

    return save


def reported(capsys, *arguments: str) -> dict[str, Any]:
    """The command's report in JSON, whose code is the command's own."""
    code = main([*arguments, "--json"])
    report = orjson.loads(capsys.readouterr().out)
    assert report["exit_code"] == code
    return report


def with_checkpoint(lines: list[str], checkpoint: str) -> list[str]:
    """The export as the ledger would have written it with this checkpoint in the header."""
    header = {**orjson.loads(lines[0]), "checkpoint": checkpoint}
    header["seal"] = f"{KEYS.kid}:{KEYS.sign(HEADER_CONTEXT, header_message(header))}"
    return [canonical(header).decode() + "\n", *lines[1:]]


def test_a_sound_export_is_told_with_its_scope_and_the_unchecked_parts(lines, saved, capsys):
    file = saved(lines)

    assert main([file]) == SOUND

    told = capsys.readouterr().out.splitlines()
    scope = "2 entries of 1 account (ada) in ledger demo-test"
    verdict = f"consistent in itself, keys not vouched for: test-1 {FINGERPRINT}"
    assert (
        told[0] == f"{file}: SOUND: {verdict}. Checked {scope}: every hash, link and law, and the seal of each account."
    )
    assert [line.removeprefix(f"{file}: not checked: ").split(":")[0] for line in told[1:]] == [
        "whether these keys are the ledger's",
        "the signature of each entry by itself",
        "whether anything is missing at the end",
        "whether the ledger shows everybody the same history, and has added nothing since",
    ]


def test_a_report_in_json_names_ledger_accounts_entries_and_keys(both, saved, capsys):
    report = reported(capsys, "--full", saved(both))

    assert (report["verdict"], report["mode"]) == ("sound", "full")
    (file,) = report["files"]
    assert (file["ledger"], file["account_count"], file["entries"]) == ("demo-test", 2, 3)
    assert file["accounts"] == [{"uid": "ada", "entries": 2}, {"uid": "bob", "entries": 1}]
    assert file["keys"] == [{"kid": "test-1", "fingerprint": FINGERPRINT, "vouched_by": None}]
    assert len(file["not_checked"]) == 3


def test_an_export_is_read_from_standard_input(lines, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO("".join(lines).encode())))

    assert main(["-"]) == SOUND
    assert "-: SOUND" in capsys.readouterr().out


def test_keys_of_the_caller_are_vouched_for(lines, saved, capsys):
    ledger = orjson.loads(lines[0])["ledger"]
    keys = saved({"ledger_id": ledger, "items": LEDGER_KEYS}, "keys.json")

    assert main(["--keys", keys, saved(lines)]) == SOUND
    told = capsys.readouterr().out
    assert "The keys file vouches for the keys." in told
    assert "not vouched" not in told


def test_an_export_of_another_ledger_is_a_finding(lines, saved, capsys):
    keys = saved({"ledger_id": "another", "items": LEDGER_KEYS}, "keys.json")

    assert main(["--keys", keys, saved(lines)]) == BROKEN
    assert main(["--ledger", "another", saved(lines)]) == BROKEN
    told = capsys.readouterr().out
    assert "- 0 identity the export is of ledger demo-test, the keys file names another" in told
    assert "- 0 identity the export is of ledger demo-test, the caller names another" in told


def test_an_account_of_somebody_else_is_a_finding(both, saved, capsys):
    file = saved(both)

    assert [main(["--uid", "ada", "--uid", "bob", file]), main(["--uid", "ada", file])] == [SOUND, BROKEN]
    assert "bob 0 identity the account is of bob, the caller names ada" in capsys.readouterr().out


def test_a_named_account_that_is_missing_is_not_checked(lines, saved, capsys):
    assert main(["--uid", "ada", "--uid", "eve", saved(lines)]) == NOT_CHECKED
    assert "It holds no account of eve." in capsys.readouterr().err


def test_keys_that_did_not_sign_are_a_finding(lines, saved, capsys):
    ledger = orjson.loads(lines[0])["ledger"]
    others = [{**key, "kid": "other"} for key in LEDGER_KEYS]

    assert main(["--keys", saved({"ledger_id": ledger, "items": others}, "keys.json"), saved(lines)]) == BROKEN
    assert "unknown_key" in capsys.readouterr().out


def test_every_finding_is_told_by_uid_seq_rule_and_detail(lines, saved, capsys):
    broken = [line.replace('"hash":"', '"hash":"0') if '"type":"entry"' in line else line for line in lines]
    file = saved(broken)

    assert main([file]) == BROKEN
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{file}: BROKEN: ")
    assert told[1] == f"{file}: ada 1 hash the body does not have this hash"
    assert f"{file}: ada 2 hash the body does not have this hash" in told
    assert "SOUND" not in "".join(told)


def test_the_finding_of_the_first_bad_entry_comes_first(both, saved, capsys):
    both[1], both[4] = both[1].replace('"hash":"', '"hash":"0'), both[4].replace('"hash":"', '"hash":"0')

    (file,) = reported(capsys, saved(both))["files"]

    assert [file["findings"][0][name] for name in ("uid", "seq", "rule")] == ["ada", 1, "hash"]
    assert ("bob", 1, "hash") in [(each["uid"], each["seq"], each["rule"]) for each in file["findings"]]


def test_an_entrys_own_signature_is_checked_by_the_full_mode(lines, saved, capsys):
    entry = orjson.loads(lines[1])
    entry["signature"] = orjson.loads(lines[2])["signature"]
    lines[1] = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    file = saved(lines)

    assert [main([file]), main(["--full", file])] == [SOUND, BROKEN]
    assert "ada 1 signature" in capsys.readouterr().out


def test_control_characters_of_a_file_do_not_reach_the_terminal(lines, saved, capsys):
    body = orjson.loads(orjson.loads(lines[1])["body"]) | {"uid": "\x1b[2J\u202eada"}
    entry = orjson.loads(lines[1]) | {"body": orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()}
    lines[1] = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode() + "\n"

    assert main([saved(lines)]) == BROKEN
    told = capsys.readouterr().out
    assert "\\x1b[2J" in told
    assert not {"\x1b", "\u202e"} & set(told)


@pytest.mark.parametrize("kept", [slice(0, 2), slice(0, 3), slice(0, 1)])
def test_an_export_cut_short_is_no_success(lines, saved, kept):
    assert main([saved(lines[kept])]) != SOUND


def test_a_line_behind_the_account_is_a_finding(lines, saved, capsys):
    assert main([saved([*lines, lines[1]])]) == BROKEN
    assert "grammar line 5" in capsys.readouterr().out


def test_an_account_that_stands_twice_is_a_finding(lines, saved, capsys):
    assert main([saved([*lines, *lines[1:]])]) == BROKEN
    assert "stands twice" in capsys.readouterr().out


def test_a_header_with_an_edited_line_is_a_finding(lines, saved, capsys):
    assert main([saved([lines[0].replace("{", "{ ", 1), *lines[1:]])]) == BROKEN
    assert "- 0 grammar line 1: " in capsys.readouterr().out


def test_an_export_of_version_one_is_refused_by_name(saved, capsys):
    old = {"type": "header", "format": "ics-export", "version": 1, "ledger": "l", "uid": "ada", "keys": LEDGER_KEYS}

    assert main([saved(orjson.dumps(old) + b"\n")]) == NOT_CHECKED
    assert "export version 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [[], ["\n"], ["{"], ["null\n"], ['{"type":"entry"}\n'], ['{"type":"header"}\n'], ['{"type":"header","keys":[]}\n']],
)
def test_a_file_without_an_export_is_not_checked(saved, capsys, content):
    assert main([saved(content)]) == NOT_CHECKED
    assert "NOT CHECKED" in capsys.readouterr().err


def test_a_header_without_an_account_is_not_checked(lines, saved, capsys):
    assert main([saved(lines[:1])]) == NOT_CHECKED
    assert "It holds no account." in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_not_checked(lines, saved, tmp_path, capsys):
    files = [str(tmp_path / "none"), str(tmp_path), saved(b"\xff\xfe\x00", "binary")]
    packed = saved(gzip.compress("".join(lines).encode()), "journal.ndjson.gz")

    assert [main([file]) for file in [*files, packed]] == [NOT_CHECKED] * 4
    told = capsys.readouterr()
    assert told.out == ""
    assert "gunzip" in told.err


def test_bytes_that_are_no_text_are_a_finding_of_their_line(lines, saved, capsys):
    content = "".join(lines).encode().replace(b'"kind":"charge"', b'"kind":"charg\xff"', 1)

    assert main([saved(content)]) == BROKEN
    assert "ada 2 grammar line 3" in capsys.readouterr().out


@pytest.mark.parametrize("at", [2**53 - 1, -(2**53 - 1)])
def test_a_state_whose_time_is_no_time_is_a_finding(lines, saved, at, capsys):
    account = orjson.loads(lines[-1])
    account["state"] = canonical(orjson.loads(account["state"]) | {"at": at}).decode()
    message = seal_message("demo-test", UID, account["version"], account["nonce"], account["state"])
    account["seal"] = f"{KEYS.kid}:{KEYS.sign(SEAL_CONTEXT, message)}"

    assert main([saved([*lines[:-1], canonical(account).decode() + "\n"])]) == BROKEN
    assert "ada 0 state the state is not the fold of its journal" in capsys.readouterr().out


def test_a_file_that_breaks_the_verifier_is_not_checked(lines, saved, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of a fault")

    monkeypatch.setattr("shared.ledger.verify.command.checker.ExportAudit.read", fail)

    assert main([saved(lines)]) == NOT_CHECKED
    assert "The verifier failed: ZeroDivisionError: of a fault." in capsys.readouterr().err


def test_a_report_is_printed_where_only_ascii_can_be_shown(both, saved):
    run = subprocess.run(
        [sys.executable, "-m", "shared.ledger.verify", saved(both, "j€.ndjson")],
        env={"PATH": "", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )

    assert (run.returncode, run.stderr) == (SOUND, b"")


def test_keys_that_cannot_be_read_check_nothing(lines, saved, tmp_path):
    (tmp_path / "keys.json").write_text("{}")

    assert main(["--keys", str(tmp_path / "keys.json"), saved(lines)]) == NOT_CHECKED


def test_the_worst_of_many_files_gives_the_code(lines, saved, capsys):
    sound, empty = saved(lines, "sound"), saved([], "empty")
    broken = saved([lines[0], lines[2], *lines[3:]], "broken")

    codes = [main([sound, empty]), main([empty, broken, sound]), main([sound, sound])]

    assert codes == [NOT_CHECKED, BROKEN, SOUND]
    assert capsys.readouterr().out.count("SOUND") == 4


def test_a_policy_that_no_checkpoint_answers_leaves_keys_unvouched(lines, saved, capsys):
    log = SeedSigner("log.example", bytes(32))
    policy = saved(f"log {log.vkey}\nquorum none\n".encode(), "policy")
    file = saved(lines)

    codes = [main(["--policy", policy, file]), main(["--policy", policy, "--require-policy", file])]

    assert codes == [SOUND, NOT_CHECKED]
    told = capsys.readouterr()
    assert "keys not vouched for: test-1 SHA256:" in told.out
    assert f"{file}: not checked: anything by the policy: the export has no checkpoint of a log" in told.out
    assert "no policy vouches for its keys: test-1 SHA256:" in told.err


def test_a_policy_is_required_only_of_what_is_not_broken(lines, saved):
    assert main(["--require-policy", saved(lines)]) == NOT_CHECKED
    assert main(["--require-policy", saved([lines[0], *lines[2:]])]) == BROKEN


def test_a_checkpoint_that_the_policy_refuses_is_a_finding(lines, saved, capsys):
    log, other = SeedSigner("log.example", bytes(32)), SeedSigner("other.example", bytes(range(32)))
    note = str(signed(str(Checkpoint(origin="log.example", size=4, root=bytes(32))), log))
    file = saved(with_checkpoint(lines, note))
    policies = [saved(f"log {each.vkey}\nquorum none\n".encode(), each.vkey.name) for each in (log, other)]

    assert [main(["--policy", policy, file]) for policy in policies] == [SOUND, BROKEN]
    assert "- 0 checkpoint No log of the policy" in capsys.readouterr().out


@pytest.mark.parametrize("policy", [None, "log nonsense\n", "quorum none\r\n"])
def test_a_policy_that_cannot_be_read_checks_nothing(lines, saved, tmp_path, policy, capsys):
    name = str(tmp_path / "none") if policy is None else saved(policy.encode(), "policy")

    assert main(["--policy", name, saved(lines)]) == NOT_CHECKED
    told = capsys.readouterr()
    assert (told.out, told.err[:12]) == ("", "NOT CHECKED:")


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_cleared(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr("shared.ledger.verify.command.progress.EACH_SECONDS", 0)

    with ReadingProgress("journal", 4 << 20) as progress:
        progress.add(1 << 20)

    assert terminal.getvalue() == "\r\033[Kjournal: 1 MiB, 25 %\r\033[K"


def test_progress_is_not_shown_to_a_program(monkeypatch):
    monkeypatch.setattr("sys.stderr", told := io.StringIO())
    monkeypatch.setattr("shared.ledger.verify.command.progress.EACH_SECONDS", 0)

    with ReadingProgress("journal", None) as progress:
        progress.add(1)

    assert told.getvalue() == ""


def test_the_module_runs_as_a_command(lines, saved):
    command = [sys.executable, "-m", "shared.ledger.verify"]

    sound = subprocess.run([*command, saved(lines)], capture_output=True, text=True, check=False)
    unnamed = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (sound.returncode, unnamed.returncode) == (0, 2)
    assert "SOUND" in sound.stdout


def ran(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own, with a code that is a verdict and not a crash."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.ledger.verify", *arguments],
        stderr=subprocess.PIPE,
        check=False,
        **{"stdout": subprocess.PIPE, **options},
    )
    assert b"Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("mode", [(), ("--json",)])
def test_a_name_of_any_script_is_told_on_an_ascii_terminal(world, saved, mode):
    world.ledger.execute(Uid("éve"), grant("e", 7))
    file = saved(list(world.ledger.export(Uid("éve"))))

    done = ran(*mode, file, env={"PYTHONIOENCODING": "ascii"}, cwd=ROOT)

    assert (done.returncode, b"ve" in done.stdout) == (SOUND, True)


def test_a_file_whose_name_is_no_utf8_is_told_in_json(lines, saved, tmp_path, capsys):
    file = Path(saved(lines)).rename(tmp_path / "journal\udcff")

    assert reported(capsys, str(file))["files"][0]["file"] == f"{tmp_path}/journal\\udcff"


def test_a_closed_standard_input_is_not_checked():
    closed = f"exec {shlex.quote(sys.executable)} -m shared.ledger.verify - <&-"
    done = subprocess.run(["sh", "-c", closed], capture_output=True, check=False, cwd=ROOT)

    assert (done.returncode, done.stderr) == (NOT_CHECKED, b"-: NOT CHECKED: Standard input is closed.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device of a full disk")
def test_a_report_that_cannot_be_written_is_no_verdict(lines, saved):
    with Path("/dev/full").open("wb") as full:
        done = ran(saved(lines), stdout=full, cwd=ROOT)

    assert (done.returncode, done.stderr[:46]) == (NOT_CHECKED, b"NOT CHECKED: the report cannot be written: No ")


def test_a_key_of_another_algorithm_is_a_finding(lines, saved, capsys):
    edited = [lines[0].replace('"alg":"Ed25519"', '"alg":"none"'), *lines[1:]]

    (file,) = reported(capsys, saved(edited))["files"]

    assert file["findings"][0]["detail"] == "line 1: the algorithm of a key is not Ed25519"


@pytest.mark.parametrize("trusted", [False, True])
def test_a_header_with_a_key_of_low_order_is_a_finding(trusted, lines, saved, capsys):
    keys = saved({"items": LEDGER_KEYS, "ledger_id": "demo-test"}, "keys.json")
    edited = with_keys(lines, lambda key: {**key, "public_key": to_base64(bytes(32))})

    report = reported(capsys, saved(edited), *(["--keys", keys] if trusted else []))

    assert report["exit_code"] == BROKEN
    assert report["files"][0]["findings"][0]["detail"].startswith("line 1: the keys cannot be read: key ")


def test_a_header_without_a_key_is_a_finding(lines, saved, capsys):
    header = {**orjson.loads(lines[0]), "keys": []}

    report = reported(capsys, saved([canonical(header).decode() + "\n", *lines[1:]]))

    assert (report["exit_code"], report["files"][0]["findings"][0]["detail"]) == (BROKEN, "line 1: no key is named")


def with_keys(lines: list[str], edit: Any) -> list[str]:
    """The export with edited keys in the header."""
    header = orjson.loads(lines[0])
    return [canonical({**header, "keys": [edit(key) for key in header["keys"]]}).decode() + "\n", *lines[1:]]
