"""Findings of an audit: the laws that the documents of one account break."""

from dataclasses import dataclass, field

FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Broken law: the account, the entry (0: the account itself), the rule, and the detail."""

    uid: str
    seq: int
    rule: str
    detail: str


@dataclass(slots=True, eq=False, repr=False)
class Findings:
    """List of the findings of one account, with at most `FINDINGS_MAX` of them."""

    uid: str = ""
    items: list[Finding] = field(default_factory=list)

    def report(self, seq: int, rule: str, detail: str) -> None:
        """Add a finding about entry `seq`, 0 for the account itself."""
        if len(self.items) < FINDINGS_MAX:
            self.items.append(Finding(uid=self.uid, seq=seq, rule=rule, detail=detail))
