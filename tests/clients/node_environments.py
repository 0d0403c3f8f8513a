"""Environments of Node clients: the npm packages that a lock file names, under the Node of the emulators.

They stay in `emulator/.run/clients` between runs and are made again when their lock file changes.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from emulator import tools
from tests.clients.environments import HOME, INSTALL_SECONDS_MAX
from tests.clients.table import PROJECT

HERE = Path(__file__).parent
PACKAGES = HERE / "packages"
AS_LINKED = ("--preserve-symlinks", "--preserve-symlinks-main")
"""Imports of a script are looked for beside the link to the script, so in the environment."""


def folder_of(environment: str) -> Path:
    """Return the folder with the package.json and the lock file of an environment."""
    return tools.ROOT / "emulator" if environment == PROJECT else PACKAGES / environment


def locked_version(environment: str, package: str) -> str:
    """Return the version of a package in an environment. Raises KeyError if it is not locked there."""
    lock = json.loads((folder_of(environment) / "package-lock.json").read_text())
    return str(lock["packages"][f"node_modules/{package}"]["version"])


def node_command(environment: str) -> list[str]:
    """Return the command that plays a script in an environment, which is installed if missing or out of date."""
    HOME.mkdir(parents=True, exist_ok=True)
    home = HOME / f"node-{environment}"
    with (HOME / f"node-{environment}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two sessions may begin at the same time
        if environment == PROJECT:
            home.mkdir(exist_ok=True)
            _link(home / "node_modules", tools.ROOT / "emulator" / "node_modules")
        else:
            _install(environment, home)
        _link(home / "clients", HERE)
    return [tools.node(), *AS_LINKED, str(home / "clients" / "play.mjs")]


def _link(place: Path, target: Path) -> None:
    if not place.is_symlink():
        place.symlink_to(target, target_is_directory=True)


def _install(environment: str, home: Path) -> None:
    """Install the locked packages. Only the install scripts that `npm run installed` names are run."""
    made_from = [folder_of(environment) / name for name in ("package.json", "package-lock.json")]
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in made_from)).hexdigest()
    stamp = home / ".stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for file in made_from:
        shutil.copy(file, home)
    # `npm ci` would refuse a lock file that lacks the packages of other platforms, which not every registry mirror has.
    install = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    for arguments in (install, ["run", "--if-present", "installed"]):
        npm = [*tools.npm(), "--loglevel=error", *arguments]
        environ = {**os.environ, "PATH": f"{Path(tools.node()).parent}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run(npm, cwd=home, env=environ, check=True, timeout=INSTALL_SECONDS_MAX)
    stamp.write_text(wanted)
