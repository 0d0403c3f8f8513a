"""`make audit`: known vulnerabilities of the deployed packages, and of those for development.

    python -m emulator.dependencies.audit

Exit code 0: all packages were audited, and no deployed one has a finding that counts. 1: packages were not audited, so
the run proves nothing about them. 3: a deployed package has a finding. Findings of other packages are only shown.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from emulator.dependencies.findings import Accepted, Answer, Audited, AuditProblem, Canary, judge, read_accepted
from emulator.dependencies.lock import DEPLOYED, development_packages, locked_packages
from emulator.dependencies.services import NPM_CANARY, PYTHON_CANARY, ask_npm, ask_pip_audit, npm_versions
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

ACCEPTED = Path(__file__).with_name("accepted.toml")
NPM_FOLDER = ROOT / "emulator"
SOUND, NOT_AUDITED, VULNERABLE = 0, 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A set of packages, as versions by name, and the way to ask about them."""

    title: str
    asked: Mapping[str, str]
    canary: Canary
    ask: Callable[[], Answer]


def audit(today: date) -> tuple[Audited, list[Audited]]:
    """Audit the deployed packages, and each set of development's. Raises AuditProblem for a faulty `accepted.toml`."""
    accepted = read_accepted(ACCEPTED.read_text(), today)
    deployed = {each.name: each.version for each in locked_packages(DEPLOYED)}
    tools = {each.name: each.version for each in development_packages()}
    parts = [
        _python("Deployed", deployed),
        _python("Development only, Python", tools),
        Part(
            title="Development only, npm",
            asked=npm_versions(NPM_FOLDER),
            canary=NPM_CANARY,
            ask=partial(ask_npm, NPM_FOLDER),
        ),
    ]
    with ThreadPoolExecutor(len(parts)) as threads:
        first, *others = threads.map(lambda part: _audited(part, accepted, today), parts)
    return first, others


def exit_code(deployed: Audited, others: Sequence[Audited]) -> int:
    """Return the exit code of a run. A vulnerability outweighs a part that was not audited."""
    if deployed.findings:
        return VULNERABLE
    return NOT_AUDITED if any(each.problem for each in (deployed, *others)) else SOUND


def _python(title: str, versions: Mapping[str, str]) -> Part:
    return Part(title=title, asked=versions, canary=PYTHON_CANARY, ask=partial(ask_pip_audit, versions))


def _audited(part: Part, accepted: Sequence[Accepted], today: date) -> Audited:
    try:
        return judge(part.title, part.asked, part.canary, part.ask(), accepted, today)
    except (AuditProblem, LaptopProblem) as problem:
        return Audited(title=part.title, problem=str(problem))


def main() -> int:
    try:
        deployed, others = audit(datetime.now(UTC).date())
    except (AuditProblem, LaptopProblem) as problem:
        print(problem)
        return NOT_AUDITED
    for part in (deployed, *others):
        print("\n".join(part.sentences()))
    code = exit_code(deployed, others)
    if code == NOT_AUDITED:
        print("The run proves nothing about the parts that were not audited. Run it where the services can be reached.")
    return code


if __name__ == "__main__":
    sys.exit(main())
