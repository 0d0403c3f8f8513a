"""Redacted entries in a file: the verifier demands the log's word for each, and says what it could not check."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.kernel.canonical import canonical
from shared.ledger.accounting.__main__ import main as accounting
from shared.ledger.log_export import LogExport
from shared.ledger.verify.command.crew import Crew
from shared.ledger.verify.command.demands import CheckDemand
from shared.ledger.verify.command.files import verify_file
from shared.ledger.verify.command.report import FileReport
from shared.ledger.verify.command.trust import Trust
from tests.support.redactions import EVE, RedactingLedger

Line = dict[str, Any]
SEQ = 5


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    """Export of an account without the bodies of the entries 4 and 5, of which 5 ended a hold."""
    world = RedactingLedger()
    world.redact(EVE, SEQ)
    world.redact(EVE, SEQ - 1)
    return [json.loads(line) for line in world.export(EVE)]


def checked(lines: list[Line], *, is_full: bool = True, jobs: int = 1) -> FileReport:
    data = b"".join(canonical(line) + b"\n" for line in lines)
    demand = CheckDemand(
        trust=Trust(), now=1_800_000_000_000, is_full=is_full, is_policy_required=False, ledger=None, uids=()
    )
    with Crew(jobs) as crew:
        return verify_file("export", io.BytesIO(data), demand, crew, lambda size: None)


@pytest.mark.parametrize("is_full", [True, False])
def test_an_export_with_redacted_entries_is_sound_and_says_so(lines: list[Line], is_full: bool) -> None:
    report = checked(lines, is_full=is_full)
    assert report.findings == ()
    told = "the laws of 2 entries whose bodies were deleted: the account continues from the snapshot that the log names"
    assert told in report.not_checked


def edited(lines: list[Line], **fields: Any) -> list[Line]:
    return [{**line, **fields} if _is_redacted(line) else line for line in lines]


def _is_redacted(line: Line) -> bool:
    return line["type"] == "redacted" and line["seq"] == SEQ


def _of_the_other(lines: list[Line], *names: str) -> list[Line]:
    [other] = [line for line in lines if line["type"] == "redacted" and line["seq"] != SEQ]
    return edited(lines, **{name: other[name] for name in names})


def _wrong(lines: list[Line], name: str, change: Callable[[Any], Any]) -> list[Line]:
    return [{**line, name: change(line[name])} if _is_redacted(line) else line for line in lines]


EDITS: dict[str, Callable[[list[Line]], list[Line]]] = {
    "hash": lambda lines: edited(lines, hash="0" * 64),
    "hash of another": lambda lines: _of_the_other(lines, "hash", "signature"),
    "index": lambda lines: _wrong(lines, "index", lambda index: index + 1),
    "negative index": lambda lines: edited(lines, index=-1, hashes=[]),
    "proof": lambda lines: _wrong(lines, "hashes", lambda hashes: hashes[1:]),
    "kind": lambda lines: edited(lines, kind="grant"),
    "schema": lambda lines: edited(lines, schema=2),
    "seal": lambda lines: _of_the_other(lines, "seal"),
    "seal without key": lambda lines: edited(lines, seal="x"),
    "signature": lambda lines: _wrong(lines, "signature", lambda text: f"A{text[1:]}"),
    "signature that is none": lambda lines: edited(lines, signature="x"),
    "snapshot": lambda lines: _of_the_other(lines, "snapshot"),
    "snapshot of one credit more": lambda lines: _wrong(
        lines, "snapshot", lambda text: text.replace('"granted":5000', '"granted":5001')
    ),
    "no snapshot": lambda lines: edited(lines, snapshot=""),
    "deep snapshot": lambda lines: edited(lines, snapshot="[" * 10_000),
    "place of the snapshot": lambda lines: _of_the_other(lines, "snapshot_index", "snapshot_hashes"),
    "statement": lambda lines: _wrong(lines, "statement", lambda text: text.replace('"at":1', '"at":2')),
    "statement of another": lambda lines: _of_the_other(
        lines, "statement", "seal", "snapshot", "snapshot_index", "snapshot_hashes"
    ),
    "no statement": lambda lines: edited(lines, statement="{}"),
    "a redaction of another in its place": lambda lines: _of_the_other(lines, *lines[5].keys()),
    "no line": lambda lines: [line for line in lines if not _is_redacted(line)],
}


@pytest.mark.parametrize("is_full", [True, False])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_redacted_line_is_found_at_the_entry(lines: list[Line], edit: str, is_full: bool) -> None:
    report = checked(EDITS[edit](lines), is_full=is_full)
    assert SEQ in {each.seq for each in report.findings}


def _log_less(lines: list[Line]) -> list[Line]:
    header, *others = lines
    return [{name: value for name, value in header.items() if name not in {"checkpoint", "log"}}, *others]


def test_a_redaction_in_an_export_without_a_log_is_a_finding(lines: list[Line]) -> None:
    found = {(each.seq, each.rule) for each in checked(_log_less(lines)).findings}
    assert {(SEQ - 1, "redaction"), (SEQ, "redaction")} <= found


def _entries_only(lines: list[Line]) -> Iterator[str]:
    return (canonical(line).decode() + "\n" for line in lines)


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_books_have_a_transaction_for_a_redacted_entry(
    lines: list[Line], form: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "export"
    file.write_text("".join(_entries_only(lines)), encoding="utf-8")
    assert accounting([form, str(file)]) == 0
    assert "redacted" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_export_of_the_log_with_redacted_entries_is_sound(jobs: int) -> None:
    world = RedactingLedger()
    for seq in (2, SEQ):
        world.redact(EVE, seq)
    export = LogExport(world.documents, world.services.credits.keys, "demo-test")
    header = json.loads(export.header())
    size = int(header["checkpoint"].split("\n")[1])
    lines = [header, *(json.loads(line) for line in export.lines(size))]
    report = checked(lines, jobs=jobs)
    assert report.findings == ()
    assert any("2 entries whose bodies were deleted" in told for told in report.not_checked)
    assert SEQ in {each.seq for each in checked(_of_the_other(lines, "snapshot"), jobs=jobs).findings}
