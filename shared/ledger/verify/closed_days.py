"""Check of an account against a closed day: up to that day nothing is missing, and nothing was written again.

A closed day has the number and the hash of each account's last entry, and the state after that entry.
"""

from hashlib import sha256

from shared.kernel.ids import Uid
from shared.ledger.codec import encode_account
from shared.ledger.fold import FOLD_VERSION
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.keys import from_base64
from shared.ledger.log.days import DayAccount, DayStatement
from shared.ledger.verify.grammar import DayLine
from shared.ledger.verify.log_evidence import DAY_RULE, end_of_day

NEVER = -1
MISSING = "sequence"
"""Rule for an entry that the closed day counts and the export lacks, as for any other missing entry."""


class ClosedDayAudit:
    """Audit of one account against its place in a closed day.

    `meet` is to be called behind entry `seq`. `is_complete`: the export has the account's last entry of that day, and
    the state after that entry, as the day has them.
    """

    def __init__(self, day: DayStatement | None, journal: JournalAudit) -> None:
        """Take the closed day of the header, None without one, and the journal before the first entry."""
        self._day = day
        self._journal = journal
        self._place: DayAccount | None = None
        self.seq = NEVER if day is None else 1
        self._is_met = False
        self._is_broken = False

    @property
    def is_complete(self) -> bool:
        """True if the journal met the account's place, and the place is part of the closed day."""
        return self._is_met and not self._is_broken

    def begin(self, line: DayLine) -> None:
        """Take the account's place in the closed day, and check that the day's tree has this place."""
        place = DayAccount(
            uid=Uid(line.uid),
            seq=line.seq,
            head=line.head,
            state=line.state,
            posted=line.posted,
            held=line.held,
            debt=line.debt,
        )
        self._place, self.seq = place, line.seq
        if self._day is None:
            self._report(0, DAY_RULE, "the header has no closed day for this place")
            return
        hashes = tuple(from_base64(each) for each in line.hashes)
        if not self._day.has(place, line.index, hashes):
            self._report(0, DAY_RULE, f"the closed day {self._day.day} does not have the account at this place")
        if line.seq == 0:
            self.meet()

    def meet(self) -> None:
        """Compare the journal with the account's place. Without a place, the journal may not be older than the day."""
        if self._day is None or self._journal.seq != self.seq or self._is_met:
            return
        if self._place is None:
            if self._journal.at < end_of_day(self._day.day):
                self._report(0, DAY_RULE, f"the account is older than {self._day.day}, and has no place in that day")
            return
        self._is_met = True
        if self._journal.head != self._place.head:
            self._report(self.seq, DAY_RULE, f"the closed day {self._day.day} has another last entry")
        elif not self._is_state(self._place, self._day):
            self._report(self.seq, DAY_RULE, f"the closed day {self._day.day} has another state after this entry")

    def finish(self) -> None:
        """Report the first entry that the closed day counts and the export lacks."""
        if self._place is None or self._day is None or self._is_met:
            return
        first, last = self._journal.seq + 1, self._place.seq
        if first <= last:
            told = f"entry {first} is missing: the closed day {self._day.day} counts {last} entries"
            self._report(first, MISSING, told)
        else:
            self._report(max(last, 0), DAY_RULE, f"the last entry of the closed day {self._day.day} is missing")

    def _is_state(self, place: DayAccount, day: DayStatement) -> bool:
        """Return True if the fold has the balances and the state of the place. A fold that ended has findings."""
        account = self._journal.account
        if account is None:
            return True
        if (account.available + account.held, account.held, account.debt) != (place.posted, place.held, place.debt):
            return False
        if day.fold != FOLD_VERSION or place.seq == 0:
            return True
        return sha256(encode_account(account.account()).encode()).hexdigest() == place.state

    def _report(self, seq: int, rule: str, detail: str) -> None:
        self._is_broken = True
        self._journal.findings.report(seq, rule, detail)
