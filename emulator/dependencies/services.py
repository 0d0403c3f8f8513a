"""Questions to the vulnerability services: pip-audit asks OSV, npm asks the registry that npm uses."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.dependencies.findings import Answer, AuditProblem, Canary, Finding
from emulator.dependencies.lock import normal
from emulator.tools import npm

AUDIT_SECONDS_MAX = 600
ANSWER_SECONDS_MAX = "30"
WORDS_SHOWN_MAX = 300
UNREACHABLE = re.compile(r"ConnectionError|NewConnectionError|NameResolutionError|ReadTimeout|Could not connect")
OSV_URL = "AUDIT_OSV_URL"
"""Variable with another address of the OSV service, for a mirror and for tests."""
PYTHON_CANARY = Canary(name="django", version="3.2", id="CVE-2021-35042")
NPM_CANARY = Canary(name="node-serialize", version="0.0.4", id=None)
NO_HASH = "--hash=sha256:" + "0" * 64
"""Hash for lines that are asked about and never installed. pip-audit wants one for exact lines."""


def ask_pip_audit(versions: Mapping[str, str]) -> Answer:
    """Ask OSV about Python packages, as versions by name, and about the canary.

    Raises AuditProblem if no readable answer comes back.
    """
    asked = {**versions, PYTHON_CANARY.name: PYTHON_CANARY.version}
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "asked.txt"
        lines.write_text("".join(f"{name}=={version} {NO_HASH}\n" for name, version in asked.items()))
        command = [sys.executable, "-m", "pip_audit", "-r", str(lines), "--require-hashes", "--disable-pip"]
        options = ["-s", "osv", "-f", "json", "--progress-spinner", "off", "--timeout", ANSWER_SECONDS_MAX]
        url = os.environ.get(OSV_URL)
        answer = _answer("pip-audit", [*command, *options, *(["--osv-url", url] if url else [])], Path(folder))
    with _known_shape():
        packages = answer["dependencies"]
        return Answer(
            looked_at=frozenset(normal(str(each["name"])) for each in packages if "vulns" in each),
            findings=tuple(finding for each in packages for finding in _of_pip_audit(each)),
        )


def _of_pip_audit(package: Mapping[str, Any]) -> list[Finding]:
    return [
        Finding(
            package=normal(str(package["name"])),
            version=str(package["version"]),
            ids=(str(each["id"]), *map(str, each.get("aliases", ()))),
            summary=str(each.get("description") or "no description")[:WORDS_SHOWN_MAX],
            fixed_in=tuple(map(str, each.get("fix_versions", ()))),
        )
        for each in package.get("vulns", ())
    ]


def npm_versions(lock: Path) -> dict[str, str]:
    """Return the versions of the packages in `package-lock.json` by true name, not by alias; several with commas."""
    packages = json.loads((lock / "package-lock.json").read_text())["packages"]
    versions: dict[str, list[str]] = {}
    for path, package in sorted(packages.items()):
        if path and "version" in package:
            name = package.get("name", path.rpartition("node_modules/")[2])
            versions.setdefault(name, []).append(package["version"])
    return {name: ", ".join(dict.fromkeys(each)) for name, each in versions.items()}


def ask_npm(folder: Path) -> Answer:
    """Ask npm's registry about the packages that the lock in a folder names, and about the canary.

    Raises AuditProblem if no readable answer comes back.
    """
    versions = npm_versions(folder)
    with tempfile.TemporaryDirectory() as copy:
        _copy_with_canary(folder, Path(copy))
        answer = _answer("npm", [*npm(), "audit", "--json", "--package-lock-only", "--fetch-retries=0"], Path(copy))
    named = {**versions, NPM_CANARY.name: NPM_CANARY.version}
    with _known_shape():
        looked_at = answer["metadata"]["dependencies"]["total"]
        advisories = [via for each in answer["vulnerabilities"].values() for via in each["via"]]
        return Answer(
            looked_at=frozenset(versions) if looked_at else frozenset(),
            findings=tuple(_of_npm(each, named) for each in advisories if isinstance(each, dict)),
        )


def _of_npm(advisory: Mapping[str, Any], versions: Mapping[str, str]) -> Finding:
    return Finding(
        package=advisory["name"],
        version=versions.get(advisory["name"], ""),
        ids=(str(advisory["url"]).rpartition("/")[2],),
        summary=f"{advisory['severity']}: {advisory['title']}"[:WORDS_SHOWN_MAX],
    )


def _copy_with_canary(folder: Path, copy: Path) -> None:
    package = json.loads((folder / "package.json").read_text())
    lock = json.loads((folder / "package-lock.json").read_text())
    package.setdefault("dependencies", {})[NPM_CANARY.name] = NPM_CANARY.version
    lock["packages"][""].setdefault("dependencies", {})[NPM_CANARY.name] = NPM_CANARY.version
    lock["packages"][f"node_modules/{NPM_CANARY.name}"] = {"version": NPM_CANARY.version}
    (copy / "package.json").write_text(json.dumps(package))
    (copy / "package-lock.json").write_text(json.dumps(lock))


def _answer(tool: str, command: Sequence[str], folder: Path) -> dict[str, Any]:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=AUDIT_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        raise AuditProblem(f"Nothing was audited: {tool} did not end within {AUDIT_SECONDS_MAX} seconds.") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise AuditProblem(f"Nothing was audited: {tool} had no answer. {_last_words(done.stderr)}") from None
    if not isinstance(answer, dict) or "error" in answer or "message" in answer:
        said = answer.get("message") if isinstance(answer, dict) else answer
        raise AuditProblem(f"Nothing was audited: {tool} was refused. {str(said)[:WORDS_SHOWN_MAX]}")
    return answer


@contextlib.contextmanager
def _known_shape() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError):
        raise AuditProblem("Nothing was audited: the answer has an unknown shape.") from None


def _last_words(text: str) -> str:
    if UNREACHABLE.search(text):
        return "The service could not be reached."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:WORDS_SHOWN_MAX] if lines else ""
