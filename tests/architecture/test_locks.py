"""The locks agree with the `.in` files, by their own words and by the metadata of the installed packages."""

import itertools
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from emulator.dependencies.lock import (
    DEPLOYED,
    DEVELOPMENT,
    Locked,
    LockProblem,
    locked_packages,
    named_packages,
    normal,
)
from emulator.dependencies.relock import upgrade_options
from emulator.setup import VERSIONS, install_command

ROOT = Path(__file__).parents[2]
STEMS = (DEPLOYED, DEVELOPMENT)
OWNERS = {
    "functions-framework", "firebase-admin", "google-cloud-firestore", "google-cloud-pubsub", "flask", "stripe",
    "paypalrestsdk", "web3", "openai", "cryptography", "marshmallow",
}  # fmt: skip
NEVER_DEPLOYED = {
    "pytest",
    "hypothesis",
    "mypy",
    "ruff",
    "gcp-storage-emulator",
    "pip-audit",
    "uv",
    "schemathesis",
    "x402",
}
PLATFORMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
)
LOCK = """\
# A comment of the lock
here==1.0 ; sys_platform == 'linux' \\
    --hash=sha256:{0} \\
    --hash=sha256:{0}
    # via
    #   -r requirements.in
    #   other
other==2 \\
    --hash=sha256:{0}
    # via -r requirements.in
""".format("a" * 64)


def machines() -> list[dict[str, str]]:
    """The Pythons and platforms that we support."""
    return [
        {
            **platform,
            "python_version": f"{major}.{minor}",
            "python_full_version": f"{major}.{minor}.9",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        for (major, minor), platform in itertools.product(VERSIONS, PLATFORMS)
    ]


def names_in(stem: str) -> set[str]:
    parents = [DEPLOYED] if stem == DEVELOPMENT else []
    return {package.name for each in (stem, *parents) for package in named_packages(each)}


def reached(roots: set[str], edges: dict[str, set[str]]) -> set[str]:
    found, waiting = set(), list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges.get(name, ())
    return found


def needs_of(name: str, extras: tuple[str, ...], machine: dict[str, str]) -> list[Requirement]:
    wanted = [Requirement(line) for line in distribution(name).requires or ()]
    return [
        each
        for each in wanted
        if each.marker is None or any(each.marker.evaluate({**machine, "extra": extra}) for extra in ("", *extras))
    ]


def needed_by_metadata(stem: str, machine: dict[str, str]) -> dict[str, list[Requirement]]:
    """All packages that one machine installs for the named ones, with the demands that others make."""
    parents = [DEPLOYED] if stem == DEVELOPMENT else []
    waiting = [(each.name, each.extras) for file in (stem, *parents) for each in named_packages(file)]
    demands: dict[str, list[Requirement]] = {name: [] for name, _ in waiting}
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for demand in needs_of(name, extras, machine):
            demands.setdefault(normal(demand.name), []).append(demand)
            waiting.append((normal(demand.name), tuple(sorted(demand.extras))))
    return demands


@pytest.mark.parametrize("stem", STEMS)
def test_every_named_package_is_locked_and_gives_a_reason(stem):
    locked = {package.name for package in locked_packages(stem)}

    assert names_in(stem) - locked == set()
    assert [package.name for package in named_packages(stem) if not package.reason] == []


@pytest.mark.parametrize("stem", STEMS)
def test_the_roots_of_a_lock_are_the_named_packages(stem):
    roots = {each.name for each in locked_packages(stem) if any(by.startswith("-r ") for by in each.needed_by)}

    assert roots == names_in(stem)


@pytest.mark.parametrize("stem", STEMS)
def test_every_locked_package_has_hashes_and_says_its_users(stem):
    packages = locked_packages(stem)

    assert len(packages) > 50
    assert [package.name for package in packages if not package.hashes or not package.needed_by] == []
    assert len({package.name for package in packages}) == len(packages)


@pytest.mark.parametrize("stem", STEMS)
def test_every_locked_package_is_reached_from_a_named_one(stem):
    packages = locked_packages(stem)
    edges: dict[str, set[str]] = {}
    for package in packages:
        for by in package.needed_by:
            edges.setdefault(by, set()).add(package.name)

    assert reached(names_in(stem), edges) == {package.name for package in packages}


@pytest.mark.parametrize("stem", STEMS)
def test_a_lock_holds_exactly_the_packages_that_installed_ones_need(stem):
    """Versions are compared as well: the installed ones are the locked ones, or the set-up has to run."""
    locked = {package.name: package for package in locked_packages(stem)}
    stale = {name for name, package in locked.items() if not package.marker and version_of(name) != package.version}
    assert stale == set(), "run `make setup`"

    needed: set[str] = set()
    for machine in machines():
        demands = needed_by_metadata(stem, machine)
        needed |= set(demands)
        assert {name for name in demands if name not in locked} == set()
        assert unmet(demands, locked) == []

    assert {name for name in set(locked) - needed if not locked[name].marker} == set()


def version_of(name: str) -> str:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return ""


def unmet(demands: dict[str, list[Requirement]], locked: dict[str, Locked]) -> list[str]:
    return [
        f"{name}: {each}"
        for name, asked in demands.items()
        for each in asked
        if not each.specifier.contains(locked[name].version, prereleases=True)
    ]


def test_both_locks_hold_the_same_versions():
    development = {package.name: package.version for package in locked_packages(DEVELOPMENT)}

    assert {package.name: development.get(package.name) for package in locked_packages(DEPLOYED)} == {
        package.name: package.version for package in locked_packages(DEPLOYED)
    }


def test_the_owners_packages_are_deployed_and_the_tools_are_not():
    locked = {package.name for package in locked_packages(DEPLOYED)}

    assert names_in(DEPLOYED) >= OWNERS
    assert locked & NEVER_DEPLOYED == set()


def test_no_file_of_requirements_names_a_host():
    files = [ROOT / f"{stem}.{kind}" for stem in STEMS for kind in ("in", "txt")]

    assert [file.name for file in files if re.search(r"://|--(extra-)?index|--find-links", file.read_text())] == []


def test_the_set_up_installs_the_lock_by_its_hashes():
    command = install_command("python")

    assert "--require-hashes" in command
    assert command[-2:] == ["-r", str(ROOT / "requirements-dev.txt")]


def test_a_lock_is_read_with_markers_hashes_and_users(tmp_path: Path):
    (tmp_path / "requirements.txt").write_text(LOCK)

    assert locked_packages(DEPLOYED, tmp_path) == [
        Locked(
            name="here",
            version="1.0",
            marker="sys_platform == 'linux'",
            hashes=("a" * 64, "a" * 64),
            needed_by=("-r requirements.in", "other"),
        ),
        Locked(name="other", version="2", marker="", hashes=("a" * 64,), needed_by=("-r requirements.in",)),
    ]


@pytest.mark.parametrize(
    "line", ["here>=1.0", "here", "--index-url somewhere", "here==1.0 \\\n    --hash=md5:1", "here @ file:///tmp/here"]
)
def test_a_lock_with_a_foreign_line_is_refused(tmp_path: Path, line: str):
    (tmp_path / "requirements.txt").write_text(LOCK + line + "\n")

    with pytest.raises(LockProblem, match=r"^requirements\.txt, line 1"):
        locked_packages(DEPLOYED, tmp_path)


def test_a_version_beside_a_name_is_refused(tmp_path: Path):
    (tmp_path / "requirements.in").write_text("here==1.0  # to be here\n")

    with pytest.raises(LockProblem, match="line 1"):
        named_packages(DEPLOYED, tmp_path)


@pytest.mark.parametrize(
    ("upgrade", "options"),
    [
        (None, []),
        ([], ["--upgrade"]),
        (["flask", "six"], ["--upgrade-package", "flask", "--upgrade-package", "six"]),
    ],
)
def test_locking_upgrades_only_the_packages_that_are_named(upgrade, options):
    assert upgrade_options(upgrade) == options
