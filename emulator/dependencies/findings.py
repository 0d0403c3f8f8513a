"""Judgement of an audit: an answer counts only if it shows that the service looked."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

ACCEPTED_DAYS_MAX = 180
NAMES_SHOWN_MAX = 10


class AuditProblem(Exception):
    """Error because of which an audit proves nothing. The message is a sentence that says the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A known vulnerability of a package. `ids` are all names of the same advisory, the first is shown."""

    package: str
    version: str
    ids: tuple[str, ...]
    summary: str
    fixed_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        repaired = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no fixed version is known"
        return f"{self.package} {self.version}: {self.ids[0]}, {self.summary} ({repaired})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer of a vulnerability service: names of the packages that it looked at, and what it knows of them."""

    looked_at: frozenset[str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A package outside our locks with a vulnerability that every true service knows.

    `id` is a name of that vulnerability. None means that any finding will do.
    """

    name: str
    version: str
    id: str | None

    def is_found_in(self, findings: Iterable[Finding]) -> bool:
        return any(each.package == self.name and (self.id is None or self.id in each.ids) for each in findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A finding that does not count until a day, with the reason."""

    package: str
    id: str
    reason: str
    until: date

    def covers(self, finding: Finding) -> bool:
        return self.package == finding.package and self.id in finding.ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """Result for one set of packages. `problem` says why nothing, or not everything, was audited; None if all was."""

    title: str
    count: int = 0
    findings: tuple[Finding, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    expired: tuple[Accepted, ...] = field(default=())
    problem: str | None = None

    def sentences(self) -> Iterator[str]:
        if self.problem is not None:
            yield f"{self.title}: {self.problem}"
        else:
            yield f"{self.title}: {self.count} packages audited, {len(self.findings)} with findings that count."
        yield from (f"  {finding}" for finding in self.findings)
        for each in self.accepted:
            yield f"  accepted until {each.until}: {each.package}, {each.id}. {each.reason}"
        for each in self.expired:
            yield f"  no longer accepted since {each.until}: {each.package}, {each.id}"


def judge(
    title: str, asked: Mapping[str, str], canary: Canary, answer: Answer, accepted: Sequence[Accepted], today: date
) -> Audited:
    """Return the result for the packages that were asked for, as versions by name.

    Findings about other packages are left out. Raises AuditProblem if the canary was not found, or if there was no
    package to ask for: then the answer proves nothing.
    """
    if not asked:
        raise AuditProblem("Nothing was audited: no package was named.")
    if not canary.is_found_in(answer.findings):
        raise AuditProblem(
            f"Nothing was audited: the service does not know the vulnerability of {canary.name} {canary.version}, "
            "which every true answer names."
        )
    missed = sorted(set(asked) - answer.looked_at)
    ours = [each for each in answer.findings if each.package in asked]
    valid = [each for each in accepted if each.until >= today]
    return Audited(
        title=title,
        count=len(set(asked) & answer.looked_at),
        findings=tuple(each for each in ours if not any(one.covers(each) for one in valid)),
        accepted=tuple(one for one in valid if any(one.covers(each) for each in ours)),
        expired=tuple(one for one in accepted if one.until < today and any(one.covers(each) for each in ours)),
        problem=_missed(missed, len(asked)) if missed else None,
    )


def _missed(names: list[str], asked: int) -> str:
    shown = ", ".join(names[:NAMES_SHOWN_MAX]) + (", …" if len(names) > NAMES_SHOWN_MAX else "")
    how_many = "Nothing was audited" if len(names) == asked else f"{len(names)} of {asked} packages were not audited"
    return f"{how_many}: the service did not look at {shown}."


def read_accepted(text: str, today: date) -> tuple[Accepted, ...]:
    """Read the accepted findings. Raises AuditProblem for an entry that lacks a reason or a day within the limit."""
    try:
        entries = tomllib.loads(text).get("accepted", [])
    except tomllib.TOMLDecodeError as error:
        raise AuditProblem(f"Nothing was audited: accepted.toml cannot be read ({error}).") from None
    if not isinstance(entries, list):
        raise AuditProblem("Nothing was audited: write `[[accepted]]`, with two brackets, in accepted.toml.")
    return tuple(_accepted(entry, today) for entry in entries)


def _accepted(entry: object, today: date) -> Accepted:
    fields = entry if isinstance(entry, dict) else {}
    texts = [fields.get(name) for name in ("package", "id", "reason")]
    until = fields.get("until")
    if set(fields) != {"package", "id", "reason", "until"} or not all(isinstance(text, str) and text for text in texts):
        raise AuditProblem(
            "Nothing was audited: each entry of accepted.toml needs package, id, reason and until, and nothing else."
        )
    if type(until) is not date or until > today + timedelta(days=ACCEPTED_DAYS_MAX):
        raise AuditProblem(
            f"Nothing was audited: `until` of {fields['id']} must be a day, at most {ACCEPTED_DAYS_MAX} days ahead."
        )
    package, identifier, reason = map(str, texts)
    return Accepted(package=package, id=identifier, reason=reason, until=until)
