"""A directory of packages with exactly the deployed ones, linked from the environment in which the tests run.

It stands for `pip install --require-hashes -r requirements.txt` into a new place, which takes a minute. `make archive`
does that instead.
"""

import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

from packaging.markers import Marker

from emulator.dependencies.lock import DEPLOYED, locked_packages, normal

INSTALL_SECONDS_MAX = 900


def install_locked_site(site: Path, requirements: Path) -> None:
    """Install the locked packages with pip, each by its hash. Raises CalledProcessError."""
    asked = ("--require-hashes", "--no-input", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *asked, "-r", str(requirements), "--target", str(site)]
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS_MAX)


def build_locked_site(site: Path) -> None:
    """Link every file of every locked package into `site`, in folders where only such files stand.

    Raises AssertionError for a package that is not installed in its locked version.
    """
    installed = {normal(each.name): each for each in distributions()}
    locked = [each for each in locked_packages(DEPLOYED) if not each.marker or Marker(each.marker).evaluate()]
    for each in locked:
        found = installed.get(normal(each.name))
        assert found is not None, f"{each.name} is locked, but not installed: run `make setup`"
        assert found.version == each.version, f"{each.name} {found.version} is installed, {each.version} is locked"
    wanted = {normal(each.name) for each in locked}
    owners = _owners(installed)
    for name in wanted:
        for path in _files(installed[name]):
            _link(path, Path(str(installed[name].locate_file(""))), site, owners)


def _files(distribution: Distribution) -> list[PurePosixPath]:
    files = [PurePosixPath(str(each)) for each in distribution.files or []]
    return [each for each in files if ".." not in each.parts]


def _owners(installed: dict[str, Distribution]) -> dict[PurePosixPath, set[str]]:
    """The packages with files below each folder, so that only a folder of one package is linked whole."""
    owners: dict[PurePosixPath, set[str]] = {}
    for name, distribution in installed.items():
        for folder in {parent for path in _files(distribution) for parent in path.parents}:
            owners.setdefault(folder, set()).add(name)
    return owners


def _link(path: PurePosixPath, source: Path, site: Path, owners: dict[PurePosixPath, set[str]]) -> None:
    """Link the file, or the highest folder above it that belongs to one package alone."""
    chain = [*reversed(path.parents), path]
    place = next(each for each in chain[1:] if each == path or len(owners[each]) == 1)
    if not (site / place).is_symlink():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).symlink_to(source / place)
