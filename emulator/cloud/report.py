"""The doctor's findings as text for a terminal: mistakes with their remedies, or one screen for a sound project."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from emulator.cloud.checks.check import Check, Finding

WIDTH = 110
SHOWN_PER_NAME_MAX = 3
"""Findings of one name that are shown in full; a project without any index would fill screens."""
MARKS: Mapping[str, str] = {"wrong": "✗", "unread": "?", "hint": "·"}


def report(project: str, findings: Sequence[Finding], areas: Mapping[str, Sequence[Check]]) -> str:
    """Return the findings as text. Each has its name, a sentence, and the change that removes the mistake."""
    counts = Counter(finding.severity for finding in findings)
    total = sum(len(checks) for checks in areas.values())
    if counts["wrong"] or counts["unread"]:
        head = f"{project}: {_number(counts['wrong'], 'mistake')}"
        head += f", {_number(counts['unread'], 'thing')} that could not be looked at" if counts["unread"] else ""
        return "\n".join([f"{head} ({total} checks).", "", *_lines(findings)])
    looked = [f"  {area:26}{_number(len(checks), 'check')}" for area, checks in areas.items()]
    return "\n".join([f"{project} is sound: {total} checks found no mistake.", *looked, *_lines(findings)])


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.name] += 1
        if seen[finding.name] <= SHOWN_PER_NAME_MAX:
            yield from _entry(finding)
    for name, number in seen.items():
        if number > SHOWN_PER_NAME_MAX:
            yield f"… and {number - SHOWN_PER_NAME_MAX} more {name}."


def _entry(finding: Finding) -> Iterator[str]:
    text = f"{MARKS[finding.severity]} {finding.name}: {finding.sentence}"
    yield from textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    yield from textwrap.wrap(
        f"→ {finding.remedy}",
        WIDTH,
        initial_indent="    ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
