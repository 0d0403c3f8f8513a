"""Check of an export's header: the seal, the demanded ledger, the log's leaves, and who vouches for the keys."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.ledger.findings import Finding
from shared.ledger.keys import PublicKey, Verifier
from shared.ledger.log.notes import MalformedNote, parse_note
from shared.ledger.log.policy import PolicyVerdict
from shared.ledger.verify.command.demands import CheckDemand
from shared.ledger.verify.command.trust import BY_KEYS_FILE, BY_POLICY, VouchedKey, exported_keys
from shared.ledger.verify.exports import ExportAudit
from shared.ledger.verify.grammar import HeaderLine
from shared.ledger.verify.log_evidence import LogEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderCheck:
    """Header with its findings and keys. `evidence` is None if the header has no leaves of a log, or false ones.

    `verdict` is the policy's about the checkpoint; None without a policy, and without a checkpoint that can be read.
    """

    header: HeaderLine
    findings: tuple[Finding, ...]
    keys: tuple[VouchedKey, ...]
    evidence: LogEvidence | None = None
    verdict: PolicyVerdict | None = None

    @property
    def is_log_vouched(self) -> bool:
        """True if a policy accepts the checkpoint."""
        return self.verdict is not None and self.verdict.is_accepted


def check_header(line: bytes, header: HeaderLine, demand: CheckDemand) -> HeaderCheck:
    """Check the first line of an export. Raises UnsoundKeys if it names no keys, or keys that nothing can sign with."""
    exported = exported_keys(header.fields["keys"])
    trusted = demand.trust.keys or exported
    audit = ExportAudit(verifier=Verifier(trusted), now=demand.now)
    audit.read(line)
    findings = [*audit.findings, *_of_another_ledger(header, demand)]
    verdict, problem = _judged(header, demand)
    if problem is not None:
        findings.append(_finding("checkpoint", problem))
    is_accepted = verdict is not None and verdict.is_accepted
    return HeaderCheck(
        header=header,
        findings=tuple(findings),
        keys=_vouched(trusted, audit.evidence if is_accepted else None, demand),
        evidence=audit.evidence,
        verdict=verdict,
    )


def _of_another_ledger(header: HeaderLine, demand: CheckDemand) -> Iterable[Finding]:
    named = {"caller": demand.ledger, "keys file": demand.trust.keys_ledger}
    for by, ledger in named.items():
        if ledger is not None and ledger != header.ledger:
            yield _finding("identity", f"the export is of ledger {header.ledger}, the {by} names {ledger}")


def _judged(header: HeaderLine, demand: CheckDemand) -> tuple[PolicyVerdict | None, str | None]:
    """Return the policy's verdict about the checkpoint, and the sentence against it; None for each if there is none."""
    if demand.trust.policy is None or header.checkpoint is None:
        return None, None
    try:
        verdict = demand.trust.policy.verdict(parse_note(header.checkpoint))
    except MalformedNote as error:
        return None, str(error)
    return verdict, verdict.problem


def _vouched(keys: tuple[PublicKey, ...], accepted: LogEvidence | None, demand: CheckDemand) -> tuple[VouchedKey, ...]:
    """Return the keys with the one who vouches for each. `accepted` is the evidence that the policy accepts."""
    by = None if demand.trust.keys is None else BY_KEYS_FILE
    return tuple(
        VouchedKey(key=key, vouched_by=BY_POLICY if accepted is not None and accepted.names(key) else by)
        for key in keys
    )


def _finding(rule: str, detail: str) -> Finding:
    return Finding(uid="", seq=0, rule=rule, detail=detail)
