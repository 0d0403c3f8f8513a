"""Export of the log: all entries up to one size, whose leaves give the root that the log has signed."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from functions.operating.log_files import export_log
from shared.kernel.documents import Delete, Patch
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.accounting.__main__ import main as books
from shared.ledger.document_paths import entry_path
from shared.ledger.log.position import position_path
from shared.ledger.log.releases import release_account
from shared.ledger.log.signed_heads import CHECKPOINT_PATH
from shared.ledger.log.typed_leaves import typed_leaf_path
from shared.ledger.log_export import CoveredLeaves, ExportedAccountGone, LogExport, NoCheckpoint
from shared.ledger.verify.command import crew, units
from shared.ledger.verify.command.main import main
from shared.ledger.verify.command.report import BROKEN, SOUND
from tests.support.ledgers import charge, grant
from tests.support.logged_exports import ANN, BOB, POLICY, LoggedLedger
from tests.tamper.exports import line_of, sealed_header

ROUNDS = 20


@pytest.fixture
def ledger() -> LoggedLedger:
    """Ledger that a test may change."""
    return ledger_of_runs(rounds=5)


@pytest.fixture(scope="module")
def honest() -> LoggedLedger:
    """Ledger that no test changes."""
    return ledger_of_runs(ROUNDS)


def ledger_of_runs(rounds: int) -> LoggedLedger:
    """Ledger whose log has the entries of four accounts in many runs."""
    ledger, random = LoggedLedger(), Random(17)
    for name in ("cy", "dee"):
        ledger.run(ledger.services, Uid(name), grant(name, 10_000))
    for number in range(rounds):
        uid = random.choice([ANN, BOB, Uid("cy"), Uid("dee")])
        ledger.run(ledger.services, uid, *(charge(f"{number}-{each}", 1) for each in range(random.randrange(1, 4))))
        ledger.append()
    ledger.sign()
    return ledger


@pytest.fixture
def checked(tmp_path, capsys) -> Callable[..., tuple[int, str]]:
    def check(lines: list[str], *options: str) -> tuple[int, str]:
        (tmp_path / "log").write_text("".join(lines))
        (tmp_path / "policy").write_text(POLICY)
        code = main(["--policy", str(tmp_path / "policy"), "--require-policy", *options, str(tmp_path / "log")])
        told = capsys.readouterr()
        return code, (told.out + told.err).replace(f"{tmp_path / 'log'}: ", "")

    return check


def exporter(ledger: LoggedLedger) -> LogExport:
    return LogExport(ledger.documents, ledger.services.credits.keys, "demo-test")


def exported(ledger: LoggedLedger) -> list[str]:
    header = exporter(ledger).header()
    return [header, *exporter(ledger).lines(size_in(header))]


def size_in(header: str) -> int:
    return int(orjson.loads(header)["checkpoint"].split("\n")[1])


def command(ledger: LoggedLedger, file: Path) -> None:
    export_log(SimpleNamespace(file=file), ledger.services)  # type: ignore[arg-type]


def records(lines: list[str]) -> list[Any]:
    return [orjson.loads(line) for line in lines]


@pytest.mark.parametrize("options", [(), ("--full",)])
def test_export_of_the_log_has_the_root_of_the_checkpoint(honest, checked, options):
    lines = exported(honest)

    code, told = checked(lines, *options)

    assert code == SOUND
    assert f"the root of all {size_in(lines[0])} leaves of the log ledger.example.com/prod-1" in told
    assert "The policy vouches for the keys." in told


def test_export_of_the_log_stays_the_same_while_others_write(ledger):
    header = exporter(ledger).header()
    before = list(exporter(ledger).lines(size_in(header)))

    ledger.run(ledger.services, ANN, charge("later", 1))
    ledger.run(ledger.services, Uid("eve"), grant("e", 1))
    ledger.sign()

    assert list(exporter(ledger).lines(size_in(header))) == before


def test_export_of_a_smaller_log_leaves_out_later_entries(honest):
    for size in (1, 7, 11, 30):
        some = records(list(exporter(honest).lines(size)))
        entries = [each for each in some if each["type"] == "entry"]
        others = [each for each in some if each["type"] == "leaf"]
        assert len(entries) + len(others) == size
        assert [each["last"] for each in some if each["type"] == "logged"] == seqs_of(entries)


def seqs_of(entries: list[Any]) -> list[int]:
    """Number of entries of each account, whose entries follow one another from 1 on."""
    seqs = [each["seq"] for each in entries]
    ends = [at for at, seq in enumerate(seqs, 1) if at == len(seqs) or seqs[at] == 1]
    return [seqs[end - 1] for end in ends]


def test_export_of_the_log_is_the_same_on_many_workers(honest, checked, monkeypatch):
    monkeypatch.setattr(crew, "SMALL_BYTES", 1)
    monkeypatch.setattr(units, "UNIT_BYTES", 2_000)
    monkeypatch.setattr(units, "PART_BYTES", 3_000)
    lines = exported(honest)

    assert checked(lines, "--jobs", "2")[0] == SOUND
    assert checked(lines, "--jobs", "1")[0] == SOUND
    left = [line for line in lines[1:] if '"index":3,' not in line]
    code, told = checked([lines[0], *left], "--jobs", "2")
    assert (code, "- 0 root leaf 3 of the log is missing" in told) == (BROKEN, True)


def test_lost_entries_of_an_accepted_fork_are_told_as_hashes_alone(ledger, checked):
    last = records([line for line in exported(ledger) if '"uid":"bob"' in line])[-1]["last"]
    ledger.documents.commit([Delete(entry_path(BOB, last))])
    ledger.documents.commit([Patch(position_path(BOB), {"state": parked(ledger, last)})])
    release_account(ledger.documents, BOB, ledger.fleet.clock.now(), is_fork_accepted=True)

    code, told = checked(exported(ledger))

    assert code == SOUND
    assert "not checked: the entries of 1 leaves, of which the file has the hash alone" in told


def parked(ledger: LoggedLedger, seq: int) -> Any:
    document = ledger.documents.get(position_path(BOB))
    assert document is not None
    state: Any = document.data["state"]
    return {**state, "parked": {"seq": seq, "rule": "sequence"}}


@pytest.mark.parametrize(
    ("path", "rule"),
    [(entry_path(BOB, 3), "bob 3 sequence"), (typed_leaf_path("2026-09-21"), "")],
)
def test_document_that_is_missing_is_located_or_a_hash_alone(ledger, checked, path, rule):
    ledger.documents.commit([Delete(path)])

    code, told = checked(exported(ledger))

    assert (code, rule in told) == ((BROKEN if rule else SOUND), True)


def test_entry_with_another_signature_gives_another_root(honest, checked):
    lines = exported(honest)
    at = next(number for number, line in enumerate(lines) if '"type":"entry"' in line)
    entry = orjson.loads(lines[at])
    entry["signature"] = "A" * 85 + "Q" + "=="

    code, told = checked([*lines[:at], line_of(entry).decode(), *lines[at + 1 :]])

    assert code == BROKEN
    assert "- 0 root the" in told


def test_header_that_leaves_out_the_end_of_a_key_is_found(honest, checked):
    lines = exported(honest)
    header = orjson.loads(lines[0])
    header["log"]["keys"] = header["log"]["keys"][:3]
    del next(each for each in header["keys"] if "until" in each)["until"]
    forged = line_of(sealed_header(header, honest.services.credits.keys)).decode()

    code, told = checked([forged, *lines[1:]])

    assert code == BROKEN
    assert "- 0 registry the log has 4 entries of the registry of keys, the header 3" in told


EDITS: dict[str, Callable[[Any], Any]] = {
    "runs are of another leaf": lambda runs: [[seq, index + 1] for seq, index in runs],
    "runs begin later": lambda runs: [[seq + 1, index] for seq, index in runs],
    "runs are doubled": lambda runs: runs + runs,
    "runs are huge": lambda runs: [*runs, [2**53 - 1, 2**53 - 1]],
    "runs are texts": lambda runs: [["1", "2"]],
    "runs are negative": lambda runs: [[1, -1]],
    "runs are empty": lambda runs: [],
    "runs are true": lambda runs: [[True, 1]],
    "runs are triples": lambda runs: [[1, 2, 3]],
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_places_in_the_log_are_found(honest, checked, name):
    lines = exported(honest)
    first = orjson.loads(lines[1])

    code, _ = checked([lines[0], line_of({**first, "runs": EDITS[name](first["runs"])}).decode(), *lines[2:]])

    assert code == BROKEN


@pytest.mark.parametrize("kind", ["runs", "logged", "leaf", "entry"])
@pytest.mark.parametrize("act", ["missing", "twice", "last", "other"])
def test_line_of_each_kind_is_found_missing_doubled_moved_and_edited(honest, checked, kind, act):
    lines = exported(honest)
    at = [number for number, line in enumerate(lines) if f'"type":"{kind}"' in line][1]
    line, rest = lines[at], [*lines[:at], *lines[at + 1 :]]
    other = {**orjson.loads(line), "uid": "x", "last": -1} if kind == "logged" else orjson.loads(line) | {"x": 1}
    edits = {
        "missing": rest,
        "twice": [*lines[:at], line, *lines[at:]],
        "last": [*rest, line],
        "other": [*lines[:at], line_of(other).decode(), *lines[at + 1 :]],
    }
    is_order_of_leaves = (kind, act) == ("leaf", "last")

    assert checked(edits[act])[0] == (SOUND if is_order_of_leaves else BROKEN)


def test_log_without_a_checkpoint_is_not_exported(ledger, tmp_path):
    ledger.documents.commit([Delete(CHECKPOINT_PATH)])

    with pytest.raises(NoCheckpoint):
        command(ledger, tmp_path / "log")


def test_interrupted_file_goes_on_to_the_same_bytes(ledger, tmp_path, capsys):
    whole, begun = tmp_path / "whole", tmp_path / "begun"
    command(ledger, whole)
    content = whole.read_bytes()
    ledger.run(ledger.services, ANN, charge("later", 1))
    ledger.sign()

    for cut in [0, 10, *Random(3).sample(range(len(content)), 12), len(content)]:
        begun.write_bytes(content[:cut])
        command(ledger, begun)
        is_new = cut < content.index(b"\n") + 1
        assert is_new or begun.read_bytes() == content, cut

    assert whole.stat().st_mode & 0o777 == 0o600
    assert "continues behind" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"a letter to my mother\n", b"{}\n", b"\n", b"no line feed"])
def test_file_that_is_no_export_of_the_log_is_left_alone(honest, tmp_path, content):
    (tmp_path / "log").write_bytes(content)

    with pytest.raises(InvalidValue):
        command(honest, tmp_path / "log")

    assert (tmp_path / "log").read_bytes() == content


def test_export_of_an_account_is_no_file_to_go_on_with(honest, tmp_path):
    (tmp_path / "log").write_text("".join(honest.export()))

    with pytest.raises(InvalidValue):
        command(honest, tmp_path / "log")


def test_export_does_not_go_on_behind_an_account_that_is_gone(honest):
    with pytest.raises(ExportedAccountGone):
        list(exporter(honest).lines(20, Uid("nobody")))


def test_accounts_and_the_log_are_not_mixed(honest, checked):
    log, account = exported(honest), honest.export()

    assert checked([log[0], *account[1:]])[0] == BROKEN
    assert checked([account[0], *log[1:]])[0] == BROKEN
    assert checked(log[:1])[0] == BROKEN


def test_export_of_the_log_becomes_the_books_of_the_whole_ledger(honest, tmp_path, capsys):
    (tmp_path / "log").write_text("".join(exported(honest)))

    assert books(["hledger", str(tmp_path / "log")]) == 0

    told = capsys.readouterr().out
    assert all(f":User-{name}" in told for name in ("ann", "bob", "cy", "dee"))


def test_gaps_are_ranges_within_one_tile():
    covered = CoveredLeaves(600)
    for first, end in ((0, 5), (7, 100), (300, 300), (599, 700)):
        covered.add(first, end)

    assert list(covered.gaps()) == [range(5, 7), range(100, 256), range(256, 512), range(512, 599)]
