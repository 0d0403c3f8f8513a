"""Sum of the answers about one file, and the report that they make together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from shared.ledger.findings import Finding
from shared.ledger.verify.command.checker import Answer
from shared.ledger.verify.command.demands import CheckDemand
from shared.ledger.verify.command.headers import HeaderCheck
from shared.ledger.verify.command.log_roots import LogLeaves
from shared.ledger.verify.command.report import FileReport, LogFacts
from shared.ledger.verify.command.trust import BY_POLICY, VouchedKey
from shared.ledger.verify.grammar import RULE as GRAMMAR
from shared.ledger.verify.log_evidence import LogEvidence

SEQ_LAST = 2**63
FINDINGS_TOLD_MAX = 1_000
"""Largest number of findings that a report tells of one file. The others are counted."""
ACCOUNTS_TOLD_MAX = 10_000
"""Largest number of accounts that a report tells of one file. All are counted."""
KEYS_UNVOUCHED = "whether these keys are the ledger's: only the file itself names them (--policy, --keys)"
SIGNATURES_UNCHECKED = (
    "the signature of each entry by itself: the seal of the account covers its entries through their hashes (--full)"
)
POLICY_UNUSED = "anything by the policy: the export has no checkpoint of a log"
LEAVES_UNCHECKED = (
    "the signature of each entry by itself: the root of the log covers the entries with their signatures (--full)"
)
STATES_UNCHECKED = "the states of accounts, and archived lots and holds: this is an export of the log's entries"
END_UNCHECKED = "whether anything is missing at the end: the export has no closed day of a log"
LOG_UNCHECKED = "whether the ledger shows everybody the same history, and has added nothing since: only its log tells"


@dataclass(slots=True)
class Tally:
    """Sum of the answers about one file. Answers come in the order of their lines."""

    uids: tuple[str, ...]
    accounts: list[tuple[str, int]] = field(default_factory=list)
    account_count: int = 0
    complete_count: int = 0
    bare_count: int = 0
    key_count: int = 0
    leaves: LogLeaves | None = None
    """Leaves of an export of the log; None for accounts."""
    redacted_count: int = 0
    entry_count: int = 0
    findings: list[tuple[int, Finding]] = field(default_factory=list)
    left_out: int = 0
    unread_count: int = 0
    """Number of lines that were not read, since too many lines before them were no lines of an export."""
    _known: set[int] = field(default_factory=set)

    def report_all(self, line: int, findings: Iterable[Finding]) -> None:
        """Add findings of one line."""
        for each in findings:
            if len(self.findings) < FINDINGS_TOLD_MAX:
                self.findings.append((line, each))
            else:
                self.left_out += 1

    def add_all(self, answers: Sequence[Answer]) -> None:
        """Add answers, in the order of their units."""
        for answer in answers:
            line = answer.get("line", 0)
            for uid, seq, rule, detail in answer.get("findings", ()):
                self.report_all(line, [Finding(uid=uid, seq=seq, rule=rule, detail=detail)])
            self._add_accounts(line, answer.get("accounts", ()))
            self.complete_count += answer.get("complete", 0)
            self.redacted_count += answer.get("redacted", 0)
            self.entry_count += answer.get("entries", 0)
            self.bare_count += answer.get("bare", 0)
            self.key_count += answer.get("key_leaves", 0)
            if self.leaves is not None:
                self.leaves.add_all(answer.get("leaves", ()))
            self.left_out += answer.get("left_out", 0)
            self.unread_count += answer.get("unread", 0)

    def compare_leaves(self, evidence: LogEvidence) -> None:
        """Report leaves of an export of the log that the checkpoint or the header has not. Accounts have none."""
        problem = None if self.leaves is None else self.leaves.problem(evidence.checkpoint)
        if problem is not None:
            self.report_all(SEQ_LAST, [Finding(uid="", seq=0, rule="root", detail=problem)])
        if self.key_count > evidence.registry.seq:
            told = f"the log has {self.key_count} entries of the registry of keys, the header {evidence.registry.seq}"
            self.report_all(SEQ_LAST, [Finding(uid="", seq=0, rule="registry", detail=told)])

    def _add_accounts(self, line: int, accounts: Sequence[tuple[str, int]]) -> None:
        """Add the accounts of one unit. The unit's own checker has found an account that stands twice in the unit."""
        self.account_count += len(accounts)
        self.accounts += accounts[: max(0, ACCOUNTS_TOLD_MAX - len(self.accounts))]
        for uid, _ in accounts:
            if hash(uid) in self._known:
                self.report_all(line, [Finding(uid=uid, seq=0, rule=GRAMMAR, detail=f"the account {uid} stands twice")])
            if self.uids and uid not in self.uids:
                told = f"the account is of {uid}, the caller names {', '.join(self.uids)}"
                self.report_all(line, [Finding(uid=uid, seq=0, rule="identity", detail=told)])
        self._known.update(hash(uid) for uid, _ in accounts)

    def report(self, name: str, check: HeaderCheck, demand: CheckDemand) -> FileReport:
        """Return the report of the file, with the findings in the order of the file."""
        return FileReport(
            name=name,
            problem=self._problem(check.keys, demand),
            ledger=check.header.ledger,
            keys=check.keys,
            accounts=tuple((uid, entries) for uid, entries in self.accounts),
            account_count=self.account_count,
            entry_count=self.entry_count,
            findings=tuple(_in_order(self.findings)),
            findings_left_out=self.left_out,
            not_checked=tuple(self._never_checked(check, demand)),
            log=_log_facts(check, self.complete_count),
        )

    def _problem(self, keys: tuple[VouchedKey, ...], demand: CheckDemand) -> str | None:
        """Return the reason why a file without a finding is not sound; None if there is no such reason."""
        if not self.account_count and not self.entry_count:
            return "It holds no account."
        missing = [uid for uid in demand.uids if hash(uid) not in self._known]
        if missing:
            return f"It holds no account of {', '.join(missing)}."
        unvouched = [key for key in keys if key.vouched_by != BY_POLICY]
        if demand.is_policy_required and unvouched:
            told = ", ".join(f"{key.key.kid} {key.fingerprint}" for key in unvouched)
            return f"It is consistent in itself, but no policy vouches for its keys: {told}."
        return None

    def _never_checked(self, check: HeaderCheck, demand: CheckDemand) -> Iterator[str]:
        """Yield a sentence for each part that was not checked, or that no export can show."""
        if any(key.vouched_by is None for key in check.keys):
            yield KEYS_UNVOUCHED
        if demand.trust.policy is not None and check.header.checkpoint is None:
            yield POLICY_UNUSED
        if not demand.is_full:
            yield SIGNATURES_UNCHECKED if check.header.scope is None else LEAVES_UNCHECKED
        if self.unread_count:
            yield f"{self.unread_count} lines that stand behind too many lines of no export"
        if self.redacted_count:
            yield _bodies_unchecked(self.redacted_count)
        if check.evidence is None:
            yield END_UNCHECKED
            yield LOG_UNCHECKED
            return
        yield from self._unseen_in_log(check, check.evidence)

    def _unseen_in_log(self, check: HeaderCheck, evidence: LogEvidence) -> Iterator[str]:
        """Yield a sentence for each part that the leaves of the log in this file do not show."""
        size, newer = evidence.checkpoint.size, self.account_count - self.complete_count
        if check.header.scope is not None:
            yield STATES_UNCHECKED
            if self.bare_count:
                yield f"the entries of {self.bare_count} leaves, of which the file has the hash alone"
        elif evidence.day is None:
            yield END_UNCHECKED
        elif newer > 0:
            counted = "1 account" if newer == 1 else f"{newer} accounts"
            yield f"whether anything is missing at the end of {counted} without a place in the closed day"
        if any(key.vouched_by == BY_POLICY for key in check.keys) and check.header.scope is None:
            entry = f"entry {evidence.registry.seq} of the registry of keys"
            yield f"whether a key has ended since {entry if evidence.day is None else f'day {evidence.day.day}'}"
        if check.verdict is None or not check.verdict.witnesses:
            yield f"whether others are shown the same log: no witness of a policy has signed its {size} leaves"
        yield "whether the ledger has added anything since: only its log tells"


def _bodies_unchecked(count: int) -> str:
    entries = "1 entry" if count == 1 else f"{count} entries"
    bodies = "body was" if count == 1 else "bodies were"
    return f"the laws of {entries} whose {bodies} deleted: the account continues from the snapshot that the log names"


def _log_facts(check: HeaderCheck, complete: int) -> LogFacts | None:
    """Return the facts about the log that the header's leaves come from; None without such leaves."""
    if check.evidence is None:
        return None
    checkpoint, day = check.evidence.checkpoint, check.evidence.day
    return LogFacts(
        origin=checkpoint.origin,
        size=checkpoint.size,
        is_vouched=check.is_log_vouched,
        witnesses=() if check.verdict is None else check.verdict.witnesses,
        day=None if day is None else day.day,
        complete_count=complete,
        is_whole=check.header.scope is not None,
    )


def _in_order(found: Iterable[tuple[int, Finding]]) -> list[Finding]:
    """Return the findings by unit, within one by entry, those of the account itself last, each only once.

    For a large account two workers report a line that is no line of an export. Only one of them knows the account.
    """
    placed = sorted(found, key=lambda each: (each[0], each[1].seq or SEQ_LAST))
    once: dict[object, Finding] = {}
    for _, each in placed:
        key = each.detail if each.rule == GRAMMAR else each
        if key not in once or not once[key].uid:
            once[key] = each
    return list(once.values())
