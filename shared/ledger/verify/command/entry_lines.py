"""Checks of entries by themselves, in any order: the line, the hash, the form of the body and the signature.

A worker does these checks for a part of a large account, while another worker folds the account's entries.
"""

from contextlib import suppress
from typing import Any

import orjson

from shared.ledger.findings import FINDINGS_MAX, Finding
from shared.ledger.journal_audit import check_signature, checked_body
from shared.ledger.keys import Verifier
from shared.ledger.verify.grammar import RULE, EntryLine, NotGrammatical, parse_line


class EntryLines:
    """Checker of lines, one after the other, of which the first is line `first_line`. Other lines are not checked.

    `left_out` is the number of findings beyond the first `FINDINGS_MAX`, which are kept. `refused` counts ungrammatical
    lines.
    """

    def __init__(self, verifier: Verifier, *, is_full: bool, first_line: int) -> None:
        self.findings: list[Finding] = []
        self.left_out = 0
        self.refused = 0
        self._verifier = verifier
        self._is_full = is_full
        self._number = first_line - 1

    def check(self, line: bytes) -> None:
        """Check the next line if it is an entry with a body. The fold checks an entry without one."""
        self._number += 1
        try:
            record = parse_line(line)
        except NotGrammatical as error:
            self.refused += 1
            self._report(line, RULE, f"line {self._number}: {error}")
            return
        if type(record) is EntryLine and record.redaction is None:
            self._check_entry(line, record)

    def _check_entry(self, line: bytes, entry: EntryLine) -> None:
        def report(rule: str, detail: str) -> None:
            self._report(line, rule, detail)

        body = checked_body(entry, report)
        if body is not None:
            # The fold reports a body that lacks a name of every entry.
            with suppress(KeyError, TypeError):
                check_signature(self._verifier, entry, body, report, is_full=self._is_full)

    def _report(self, line: bytes, rule: str, detail: str) -> None:
        if len(self.findings) == FINDINGS_MAX:
            self.left_out += 1
            return
        uid, seq = _place(line)
        self.findings.append(Finding(uid=uid, seq=seq, rule=rule, detail=detail))


def _place(line: bytes) -> tuple[str, int]:
    """Return the user and the seq that a broken line names; "" and 0 where the line names none."""
    try:
        record: Any = orjson.loads(line)
        seq = record["seq"]
        uid = orjson.loads(record["body"])["uid"]
    except (ValueError, TypeError, KeyError):
        return "", 0
    return (uid, seq) if type(uid) is str and type(seq) is int else ("", 0)
