"""Reference page of the dependencies: each pinned package with the reason in its requirements file."""

import json
import re

from emulator.reference.markdown import ROOT, page, table

OPENING = """\
Ledger, money paths and metering are written here. Everything else is a well-kept library, pinned. The reasons stand
beside the pins in `requirements.txt`, `requirements-dev.txt` and `emulator/package.json`; [NOTICES](../../NOTICES.md)
has the licences."""
PINNED = re.compile(r"^([a-z][\w-]*)==(\S+)(?:  # (.+))?$", re.MULTILINE)
REQUIREMENTS = {
    "requirements.txt": "Deployed with the functions",
    "requirements-dev.txt": "On a laptop and in CI, for tests and checks",
}


class ReasonMissing(Exception):
    """A pinned package without a reason; the message names the package and the place for the reason."""


def dependencies_page() -> str:
    """Return the page. Raises ReasonMissing for a package without a reason."""
    parts = [_part(title, python_packages(file)) for file, title in REQUIREMENTS.items()]
    return page("Dependencies", OPENING, *parts, _part("On a laptop, from npm", npm_packages()))


def python_packages(file: str) -> list[tuple[str, str, str]]:
    """Return name, version and reason of each pinned package of a requirements file."""
    pins = PINNED.findall((ROOT / file).read_text())
    return [_reasoned(name, pin, reason, file) for name, pin, reason in pins]


def npm_packages() -> list[tuple[str, str, str]]:
    """Return name, version and reason of each npm package; the reasons stand under `why` in `package.json`."""
    file = "emulator/package.json"
    package = json.loads((ROOT / file).read_text())
    return [_reasoned(name, pin, package["why"].get(name, ""), file) for name, pin in package["dependencies"].items()]


def _part(title: str, packages: list[tuple[str, str, str]]) -> str:
    return f"## {title}\n\n" + table(("Package", "Version", "Why"), [(f"`{a}`", b, c) for a, b, c in packages])


def _reasoned(name: str, pin: str, reason: str, file: str) -> tuple[str, str, str]:
    if not reason:
        raise ReasonMissing(f"{file} does not say why {name} is needed.")
    return name, pin, reason
