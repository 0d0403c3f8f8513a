"""Worker processes of the verifier say what one process says, and leave nothing behind when somebody stops them."""

import os
import signal
import subprocess
import sys

import orjson
import pytest

from emulator.bench.journals import header_line, many_accounts, one_account
from shared.ledger.verify.command.checker import REFUSED_MAX
from shared.ledger.verify.command.main import main
from shared.ledger.verify.command.report import BROKEN, NOT_CHECKED, SOUND
from shared.ledger.verify.command.workers import UnitJob, WorkerLost, WorkerProcesses

COMMAND = [sys.executable, "-m", "shared.ledger.verify"]
ENTRIES = 700
EDITS = [
    (b'"hash":"', b'"hash":"0'),
    (b'"kind":"', b'"kind":"x'),
    (b'"seq":', b'"seq": '),
    (b'{"body"', b'{"nobody"'),
    (b'\\"kid\\":\\"', b'\\"kid\\":\\"x'),
    (b'\\"amount\\":', b'\\"amount\\":1'),
    (b'\\"debt\\":', b'\\"debt\\":null,\\"none\\":'),
    (b'\\"op\\":', b'\\"operation\\":'),
    (b'\\"', b"\xff"),
    (b"\n", b"\r\n"),
    (b'"signature":"', b'"signature":"A'),
    (b"{", b""),
]


@pytest.fixture(scope="module")
def many() -> bytes:
    return b"".join([header_line(), *many_accounts(7, ENTRIES // 7)])


@pytest.fixture(scope="module")
def one() -> bytes:
    return b"".join([header_line(), *one_account(ENTRIES)])


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Large exports are those beyond some kilobytes."""
    monkeypatch.setattr("shared.ledger.verify.command.crew.SMALL_BYTES", 1 << 14)
    monkeypatch.setattr("shared.ledger.verify.command.units.UNIT_BYTES", 1 << 13)
    monkeypatch.setattr("shared.ledger.verify.command.units.PART_BYTES", 1 << 15)


def reports(content: bytes, tmp_path, capsys, *arguments: str) -> list[dict]:
    """The reports of one process and of two."""
    (tmp_path / "export").write_bytes(content)
    found = []
    for jobs in ("1", "2"):
        main([str(tmp_path / "export"), "--json", "--jobs", jobs, *arguments])
        found.append(orjson.loads(capsys.readouterr().out))
    return found


@pytest.mark.parametrize("kind", ["many", "one"])
@pytest.mark.parametrize("mode", [(), ("--full",)])
def test_processes_find_a_sound_export_sound(kind, mode, request, tmp_path, capsys):
    alone, together = reports(request.getfixturevalue(kind), tmp_path, capsys, *mode)

    assert alone["exit_code"] == SOUND
    assert alone["files"][0]["entries"] >= ENTRIES
    assert together == alone


@pytest.mark.parametrize("kind", ["many", "one"])
@pytest.mark.parametrize("first", range(4))
def test_processes_find_what_one_process_finds(kind, first, request, tmp_path, capsys):
    """Every fourth edit, each of another entry."""
    lines = request.getfixturevalue(kind).splitlines(keepends=True)
    for number, (old, new) in enumerate(EDITS[first::4]):
        place = 50 + number * 117
        assert old in lines[place]
        lines[place] = lines[place].replace(old, new, 1)

    alone, together = reports(b"".join(lines), tmp_path, capsys, "--full")

    assert (alone["exit_code"], together["exit_code"]) == (BROKEN, BROKEN)
    assert together == alone


def test_processes_find_a_missing_line_and_a_doubled_account(many, tmp_path, capsys):
    lines = many.splitlines(keepends=True)
    cut = [*lines[:300], *lines[301:]]
    twice = [*lines, *lines[1 : lines.index(next(line for line in lines if b'"type":"account"' in line)) + 1]]

    for content, rule in ((cut, "sequence"), (twice, "grammar")):
        alone, together = reports(b"".join(content), tmp_path, capsys)
        assert rule in {each["rule"] for each in alone["files"][0]["findings"]}
        assert together == alone


def test_processes_read_nothing_behind_a_line_without_an_end(many, tmp_path, capsys):
    alone, together = reports(many + b"x" * (9 << 20), tmp_path, capsys)

    assert together["files"][0]["findings"][-1]["rule"] == "grammar"
    assert together == alone


def test_a_flood_of_lines_ends_each_unit_early(one, tmp_path, capsys):
    parts, lines_of_a_part = 4, 1 << 15

    alone, together = reports(one + b"\n" * (parts * lines_of_a_part), tmp_path, capsys)

    (file,) = alone["files"]
    unread = next(int(each.split()[0]) for each in file["not_checked"] if "too many lines" in each)
    read = parts * lines_of_a_part - unread
    assert (alone["exit_code"], file["findings"][0]["rule"]) == (BROKEN, "grammar")
    assert REFUSED_MAX < read <= (parts + 1) * (REFUSED_MAX + 1)
    assert together == alone


def test_a_killed_worker_fails_the_verification_and_not_the_caller():
    job = UnitJob(name="open", options={"keys": [], "is_full": False, "now": 0}, data=header_line(), lane=0)

    def work() -> None:
        with workers:
            workers.kill(0)
            workers.submit(job)
            workers.rest()

    workers = WorkerProcesses(2)

    with pytest.raises(WorkerLost, match="by signal 9"):
        work()
    assert workers.are_ended


def test_a_verification_that_is_interrupted_ends_without_a_trace(many):
    process = subprocess.Popen([*COMMAND, "-", "--jobs", "2"], stdin=-1, stdout=-1, stderr=-1)
    assert process.stdin is not None
    process.stdin.write(many)
    process.stdin.flush()

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (NOT_CHECKED, b"", b"NOT CHECKED: stopped before the end.\n")


@pytest.mark.parametrize("mode", [[], ["--json"]])
def test_a_report_that_nobody_reads_ends_without_a_trace(many, mode, tmp_path):
    (tmp_path / "export").write_bytes(many)
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        [*COMMAND, str(tmp_path / "export"), *mode], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (NOT_CHECKED, b"")


def test_findings_beyond_the_first_are_counted_and_not_kept(one, tmp_path, capsys):
    (found, _) = reversed(reports(one + b"\n" * 50_000, tmp_path, capsys))

    (file,) = found["files"]
    assert len(file["findings"]) < 1_000
    assert len(file["findings"]) + file["findings_left_out"] >= REFUSED_MAX
