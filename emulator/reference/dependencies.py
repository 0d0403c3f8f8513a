"""Reference page of the dependencies: each named package with its locked version and its reason."""

import json

from emulator.dependencies.lock import DEPLOYED, DEVELOPMENT, locked_packages, named_packages
from emulator.reference.markdown import ROOT, page, table

OPENING = """\
Ledger, money paths and metering are written here. Everything else is a well-kept library, named with its reason in
`requirements.in`, `requirements-dev.in` or `emulator/package.json`. `make lock` locks all versions with their hashes,
also of packages that others need ([decision 0059](../decisions/0059-locked-audited-listed.md));
[NOTICES](../../NOTICES.md) has the licences."""
TITLES = {
    DEPLOYED: "Deployed with the functions",
    DEVELOPMENT: "On a laptop and in CI, for tests and checks",
}


class ReasonMissing(Exception):
    """A pinned package without a reason; the message names the package and the place for the reason."""


def dependencies_page() -> str:
    """Return the page. Raises ReasonMissing for a package without a reason."""
    parts = [_part(title, python_packages(stem)) for stem, title in TITLES.items()]
    return page("Dependencies", OPENING, *parts, _part("On a laptop, from npm", npm_packages()))


def python_packages(stem: str) -> list[tuple[str, str, str]]:
    """Return name, locked version and reason of each package that a `.in` file names."""
    versions = {package.name: package.version for package in locked_packages(stem)}
    return [
        _reasoned(package.name, versions[package.name], package.reason, f"{stem}.in")
        for package in named_packages(stem)
    ]


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
