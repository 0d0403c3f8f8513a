"""Walk over all accounts: finds entries that no marker tells of, and accounts that are behind the log.

Accounts from before the log have no marker of their entries. An instance of an older release writes none for the log.
A walk a day takes in the former and heals the latter. Behind the accounts come the positions of the log, for accounts
that are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from shared.kernel.clock import DAY, Millis
from shared.kernel.documents import Document, Documents
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path, uid_of
from shared.ledger.log.rounds import Visit
from shared.ledger.log.waiting import Place, account_visits, accounts_behind, is_position, positions_behind

WALK_EVERY: Millis = DAY
ACCOUNTS, POSITIONS, RESTING = "accounts", "positions", "resting"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCursor:
    """Cursor of the job `log`. `place` is where the last pass over the waiting documents ended early, None if not.

    The walk that began at `began` (ms) is in the phase `phase`, behind the path `after`. The accounts `rest` were
    passed, and have entries that the log lacks.
    """

    place: Place | None = None
    began: Millis = 0
    phase: str = RESTING
    after: str = ""
    rest: tuple[Uid, ...] = ()

    def text(self) -> str:
        """Return the cursor as stored."""
        rest, place = list(self.rest), None if self.place is None else list(self.place)
        stored = {"place": place, "began": self.began, "phase": self.phase, "after": self.after, "rest": rest}
        return orjson.dumps(stored).decode()

    def is_walking(self, now: Millis) -> bool:
        """Return True while a walk is under way, or if the next one is due."""
        return self.phase != RESTING or bool(self.rest) or now - self.began >= WALK_EVERY


def read_cursor(text: str) -> LogCursor:
    """Return the cursor in a stored text, the first cursor for any other text."""
    try:
        stored: Mapping[str, Any] = orjson.loads(text)
        place = None if stored["place"] is None else (int(stored["place"][0]), str(stored["place"][1]))
        rest = tuple(Uid(str(uid)) for uid in stored["rest"])
        began, phase, after = int(stored["began"]), str(stored["phase"]), str(stored["after"])
    except (ValueError, TypeError, KeyError, IndexError):
        return LogCursor()
    return LogCursor(place=place, began=began, phase=phase, after=after, rest=rest)


class LogWalk:
    """Walk from a cursor on: a few accounts at a time, beside those that wait."""

    def __init__(self, documents: Documents, cursor: LogCursor, now: Millis) -> None:
        self._documents = documents
        self._now = now
        self.cursor = cursor
        if cursor.phase == RESTING and now - cursor.began >= WALK_EVERY:
            self.cursor = replace(cursor, began=now, phase=ACCOUNTS, after="")
        self._rest = self._read_again(self.cursor.rest)

    def is_over(self) -> bool:
        """Return True if nothing is left to visit until the next walk."""
        return self.cursor.phase == RESTING and not self._rest

    def next(self, limit: int) -> list[Visit]:
        """Return the next visits, at most `limit`: unfinished accounts first, then the next of the walk."""
        visits, room = list(self._rest[:limit]), limit - len(self._rest)
        if room > 0 and self.cursor.phase == ACCOUNTS:
            visits += self._accounts(room)
        elif room > 0 and self.cursor.phase == POSITIONS:
            visits += self._positions(room)
        self._rest = [*self._rest[limit:], *visits]
        return visits

    def done(self, visited: Sequence[Visit], rest: Sequence[Visit]) -> None:
        """Take note of the visits of a round, and of those with entries left."""
        left = {visit.uid for visit in rest}
        ended = {visit.uid for visit in visited} - left
        self._rest = [visit for visit in self._rest if visit.uid not in ended]
        self.cursor = replace(self.cursor, rest=tuple(visit.uid for visit in self._rest))

    def _accounts(self, limit: int) -> list[Visit]:
        found = accounts_behind(self._documents, self.cursor.after, limit)
        self._move(found, limit, POSITIONS)
        return account_visits(found)

    def _positions(self, limit: int) -> list[Visit]:
        """Return the visits of accounts that are gone. Such a visit finds that the log is ahead of the account."""
        found = positions_behind(self._documents, self.cursor.after, limit)
        self._move(found, limit, RESTING)
        uids = [uid_of(document.path) for document in found if is_position(document)]
        accounts = self._documents.get_all([account_path(uid) for uid in uids]) if uids else []
        return [Visit(uid=uid, seq=0) for uid, account in zip(uids, accounts, strict=True) if account is None]

    def _move(self, found: Sequence[Document], limit: int, next_phase: str) -> None:
        if len(found) < limit:
            self.cursor = replace(self.cursor, phase=next_phase, after="")
        else:
            self.cursor = replace(self.cursor, after=found[-1].path)

    def _read_again(self, uids: Sequence[Uid]) -> list[Visit]:
        found = self._documents.get_all([account_path(uid) for uid in uids]) if uids else []
        return account_visits([account for account in found if account is not None])
