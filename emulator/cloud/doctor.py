"""`make doctor PROJECT=…`: find the mistakes in a Google project and its settings, and say how to correct each.

Exit code: 0 if the project is sound, 1 if mistakes were found, 2 if something could not be looked at.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulator.cloud.checks.check import UNREAD, Fact, Finding, examine, known
from emulator.cloud.checks.needs import needs_of
from emulator.cloud.checks.project import ProjectFacts, Secret, SecretVersion
from emulator.cloud.checks.settings import settings_of
from emulator.cloud.checks.table import AREAS, BEFORE_DEPLOYMENT, CHECKS
from emulator.cloud.google import Google, google_of
from emulator.cloud.problems import CloudProblem, GoogleRefused
from emulator.cloud.readings.cloud import PROJECTS
from emulator.cloud.readings.files import read_files
from emulator.cloud.readings.gather import gather
from emulator.cloud.readings.reading import http_of, look
from emulator.cloud.report import report
from emulator.tools import ROOT

EXIT_SOUND, EXIT_WRONG, EXIT_UNREAD = 0, 1, 2
USAGE = """\
make doctor PROJECT=<project id> looks at a Google project: its settings (.env.<project id>), secrets, roles, APIs,
topics, database, functions, schedules, payment providers, e-mails, prices, and the way to the deployed API.
It changes nothing. It calls Google with your own credentials: gcloud auth application-default login.
The laptop needs no doctor: `make run` names what is wrong there."""


def before_deploy(project: str, *, root: Path = ROOT, secrets: Mapping[str, str | None] | None = None) -> list[Finding]:
    """Return the mistakes that are known before a deployment: in the files with settings, and in the secrets.

    `secrets` maps the secrets that exist to the value of their newest version, None for a version that is not enabled.
    Without `secrets`, only the files are looked at.
    """
    stored = None if secrets is None else {name: _secret(name, value) for name, value in secrets.items()}
    files = look("the files with settings", lambda: read_files(project, root))
    values = {name: value for name, value in (secrets or {}).items() if value}
    facts: dict[str, Any] = {each.name: Fact(each.name) for each in fields(ProjectFacts)}
    facts |= {
        "name": project,
        "now": datetime.now(UTC),
        "needs": needs_of(root),
        "files": files,
        "settings": look("the settings", lambda: settings_of(project, {**values, **files.value.values})),
        "secrets": Fact("the secrets") if stored is None else known("the secrets", stored),
        "sealing_keys": known("the keys of stored entries", frozenset()),
    }
    found = examine(ProjectFacts(**facts), BEFORE_DEPLOYMENT)
    return [finding for finding in found if finding.name != UNREAD or files.subject in finding.sentence]


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if a mistake was found, else 2 if something could not be looked at, else 0."""
    severities = {finding.severity for finding in findings}
    if "wrong" in severities:
        return EXIT_WRONG
    return EXIT_UNREAD if "unread" in severities else EXIT_SOUND


def main(arguments: Sequence[str]) -> int:
    """Look at a project, print the report, and return the exit code."""
    project = arguments[0].strip() if arguments else ""
    if not project:
        print(USAGE)
        return EXIT_UNREAD
    try:
        google = google_of(project)
        _require_project(google)
        with closing(http_of()) as http:
            findings = examine(gather(google, http), CHECKS)
    except CloudProblem as problem:
        print(problem, file=sys.stderr)
        return EXIT_UNREAD
    print(report(project, findings, AREAS))
    return exit_code(findings)


def _require_project(google: Google) -> None:
    """Check that there is something to look at. Raises CloudProblem for an unknown project or useless credentials."""
    try:
        google.get(f"{PROJECTS}/{google.project}")
    except GoogleRefused as error:
        if not error.is_api_off:
            raise CloudProblem(
                f"There is no project {google.project}, or your account may not see the project ({error.message}): "
                "check the id, and the account of `gcloud auth application-default login`."
            ) from error


def _secret(name: str, value: str | None) -> Secret:
    state = "DISABLED" if value is None else "ENABLED"
    return Secret(name=name, versions=(SecretVersion(number=1, state=state, value=value),))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
