"""Sum of the answers about one file, and the report that they make together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from shared.ledger.findings import Finding
from shared.ledger.verify.command.checker import Answer
from shared.ledger.verify.command.demands import CheckDemand
from shared.ledger.verify.command.report import FileReport
from shared.ledger.verify.command.trust import BY_POLICY, VouchedKey
from shared.ledger.verify.grammar import RULE as GRAMMAR
from shared.ledger.verify.grammar import HeaderLine

SEQ_LAST = 2**63
FINDINGS_TOLD_MAX = 1_000
"""Largest number of findings that a report tells of one file. The others are counted."""
ACCOUNTS_TOLD_MAX = 10_000
"""Largest number of accounts that a report tells of one file. All are counted."""
KEYS_UNVOUCHED = "whether these keys are the ledger's: only the file itself names them (--keys)"
SIGNATURES_UNCHECKED = (
    "the signature of each entry by itself: the seal of the account covers its entries through their hashes (--full)"
)
POLICY_UNUSED = "anything by the policy: the export has no checkpoint of a log"
LOG_UNCHECKED = "whether the ledger shows everybody the same history, and has added nothing since: only its log tells"


@dataclass(slots=True)
class Tally:
    """Sum of the answers about one file. Answers come in the order of their lines."""

    uids: tuple[str, ...]
    accounts: list[tuple[str, int]] = field(default_factory=list)
    account_count: int = 0
    entry_count: int = 0
    findings: list[tuple[int, Finding]] = field(default_factory=list)
    left_out: int = 0
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
            self.entry_count += answer.get("entries", 0)
            self.left_out += answer.get("left_out", 0)

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

    def report(self, name: str, header: HeaderLine, keys: tuple[VouchedKey, ...], demand: CheckDemand) -> FileReport:
        """Return the report of the file, with the findings in the order of the file."""
        return FileReport(
            name=name,
            problem=self._problem(keys, demand),
            ledger=header.ledger,
            keys=keys,
            accounts=tuple((uid, entries) for uid, entries in self.accounts),
            account_count=self.account_count,
            entry_count=self.entry_count,
            findings=tuple(_in_order(self.findings)),
            findings_left_out=self.left_out,
            not_checked=tuple(_never_checked(header, keys, demand)),
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


def _never_checked(header: HeaderLine, keys: tuple[VouchedKey, ...], demand: CheckDemand) -> Iterator[str]:
    if any(key.vouched_by is None for key in keys):
        yield KEYS_UNVOUCHED
    if demand.trust.policy is not None and header.checkpoint is None:
        yield POLICY_UNUSED
    if not demand.is_full:
        yield SIGNATURES_UNCHECKED
    yield LOG_UNCHECKED


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
