"""Order of the lines of an export: the header, then account by account; see `shared.ledger.export_format`."""

from typing import TypeGuard

from shared.ledger.verify.grammar import (
    AccountLine,
    DayLine,
    EntryLine,
    HeaderLine,
    HoldLine,
    Line,
    LotLine,
    NotGrammatical,
)

_DAY, _ENTRIES, _LOTS, _HOLDS, _DONE = range(5)
"""Stages of an account's lines, in order."""


class LineOrder:
    """Order of the lines of an export: the header, then account by account."""

    def __init__(self) -> None:
        self._has_header = False
        self._stage = _DONE
        self._last: str | int = ""
        self._uid: str | None = None
        self._accounts: set[str] = set()

    @property
    def is_open(self) -> bool:
        """True if the lines so far end within an account."""
        return self._stage != _DONE

    def begins_account(self, line: Line) -> bool:
        """Return True if the line begins an account although the account before has no line."""
        if type(line) is DayLine:
            return self.is_open
        return type(line) is EntryLine and line.seq == 1 and self._stage not in {_DAY, _DONE}

    def is_next_entry(self, line: Line) -> TypeGuard[EntryLine]:
        """Return True for an entry behind an entry of the same account. Such a line needs not be taken."""
        return self._stage == _ENTRIES and type(line) is EntryLine and line.seq != 1

    def take(self, line: Line) -> None:
        """Add the next line. Raises NotGrammatical if the line may not follow the lines before.

        An entry 1 begins an account, even if the account before has no line.
        """
        is_first, is_header = not self._has_header, type(line) is HeaderLine
        self._has_header = True
        if is_first != is_header:
            raise NotGrammatical("no header stands before the line" if is_first else "a second header")
        if type(line) is EntryLine:
            self._take_entry(line)
        elif type(line) is DayLine:
            self._take_day(line)
        elif type(line) is LotLine:
            self._take_part(_LOTS, line.uid, line.id)
        elif type(line) is HoldLine:
            self._take_part(_HOLDS, line.uid, line.seq)
        elif type(line) is AccountLine:
            self._take_account(line)
        elif not is_header:
            raise NotGrammatical("the line is no line of an export of accounts")

    def end(self) -> None:
        """Raise NotGrammatical if the lines end too early."""
        if not self._has_header:
            raise NotGrammatical("the export is empty")
        if self.is_open:
            raise NotGrammatical("the account's line is missing")

    def _take_day(self, line: DayLine) -> None:
        before, self._stage, self._uid = self._stage, _DAY, line.uid
        if before != _DONE:
            raise NotGrammatical("the account before the place in a closed day has no line")

    def _take_entry(self, line: EntryLine) -> None:
        before, self._stage = self._stage, _ENTRIES
        if before == _DAY:
            return
        if before == _DONE:
            self._uid = None
        elif line.seq == 1:
            self._uid = None
            raise NotGrammatical("the account before entry 1 has no line")
        elif before != _ENTRIES:
            raise NotGrammatical("an entry stands behind an archived lot or hold")

    def _take_part(self, stage: int, uid: str, place: str | int) -> None:
        before, self._stage = self._stage, max(stage, self._stage)
        if stage < before < _DONE:
            raise NotGrammatical("a lot stands behind a hold")
        last, self._last = self._last, place
        if before in {_DAY, _DONE}:
            self._stage = stage
            raise NotGrammatical("an archived lot or hold stands before the entries")
        if before == stage and not last < place:  # type: ignore[operator]  # both of one stage
            raise NotGrammatical("archived lots or holds are out of order")
        self._check_uid(uid)

    def _take_account(self, line: AccountLine) -> None:
        self._stage = _DONE
        if line.uid in self._accounts:
            raise NotGrammatical("the account stands twice")
        self._accounts.add(line.uid)
        try:
            self._check_uid(line.uid)
        finally:
            self._uid = None

    def _check_uid(self, uid: str) -> None:
        if self._uid not in (None, uid):
            raise NotGrammatical("the line is of another account than the lines before")
        self._uid = uid
