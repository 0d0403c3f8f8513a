"""The files of requirements: names with their reasons in `.in`, versions with their hashes in `.txt`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.problems import LaptopProblem
from emulator.tools import ROOT

DEPLOYED = "requirements"
DEVELOPMENT = "requirements-dev"
"""Stem of the development's files. The lock `requirements-dev.txt` holds the deployed packages too."""
NAMED = re.compile(r"^(?P<name>[a-z0-9][\w.-]*)(?:\[(?P<extras>[\w,-]+)\])?(?:  # (?P<reason>.+))?$")
LOCKED = re.compile(r"^(?P<name>[a-z0-9][\w.-]*)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:(?P<hash>[0-9a-f]{64})(?: \\)?$")
VIA = re.compile(r"^    #(?: via|  )(?: +(?P<needed_by>\S.*))?$")
OPTION = re.compile(r"^-[rc] ")
SEPARATORS = re.compile(r"[-_.]+")


class LockProblem(LaptopProblem):
    """Error in a file of requirements. The message names the file and the line, and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A package that a `.in` file asks for. `reason` is empty if the file gives none."""

    name: str
    extras: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A version in a lock.

    `marker` is the condition of the machine, empty if all machines install the package. `hashes` are SHA-256 digests in
    hex, one per published file. `needed_by` holds names of packages, and `-r FILE` for a package that FILE names.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def normal(name: str) -> str:
    """Return the name of a package as the index compares names: `Boolean.Py` is `boolean-py`."""
    return SEPARATORS.sub("-", name).lower()


def named_packages(stem: str, root: Path = ROOT) -> list[Named]:
    """Return the packages that `{stem}.in` names. Raises LockProblem for a line that is none."""
    file = f"{stem}.in"
    return list(_named(file, (root / file).read_text()))


def locked_packages(stem: str, root: Path = ROOT) -> list[Locked]:
    """Return the packages of the lock `{stem}.txt`. Raises LockProblem for a line that `make lock` does not write."""
    file = f"{stem}.txt"
    return list(_locked(file, (root / file).read_text()))


def development_packages(root: Path = ROOT) -> list[Locked]:
    """Return the packages of the development's lock that are not deployed."""
    deployed = {package.name for package in locked_packages(DEPLOYED, root)}
    return [package for package in locked_packages(DEVELOPMENT, root) if package.name not in deployed]


def _named(file: str, text: str) -> Iterator[Named]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#") or OPTION.match(line):
            continue
        found = NAMED.match(line)
        if found is None:
            raise LockProblem(f"{file}, line {number}: write a name, two blanks, # and the reason, without a version.")
        extras = found["extras"]
        yield Named(
            name=normal(found["name"]), extras=tuple(extras.split(",")) if extras else (), reason=found["reason"] or ""
        )


def _locked(file: str, text: str) -> Iterator[Locked]:
    lines = list(enumerate(text.splitlines(), start=1))
    starts = [index for index, (_, line) in enumerate(lines) if line and not line.startswith((" ", "#"))]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield _locked_package(file, lines[start:end])


def _locked_package(file: str, lines: list[tuple[int, str]]) -> Locked:
    number, first = lines[0]
    opening = LOCKED.match(first)
    if opening is None:
        raise _not_ours(file, number)
    hashes, needed_by = [], []
    for line_number, line in lines[1:]:
        if found := HASH.match(line):
            hashes.append(found["hash"])
        elif found := VIA.match(line):
            needed_by.append(found["needed_by"])
        else:
            raise _not_ours(file, line_number)
    return Locked(
        name=opening["name"],
        version=opening["version"],
        marker=opening["marker"] or "",
        hashes=tuple(hashes),
        needed_by=tuple(each for each in needed_by if each),
    )


def _not_ours(file: str, number: int) -> LockProblem:
    return LockProblem(f"{file}, line {number} is not as `make lock` writes lines: run `make lock`.")
