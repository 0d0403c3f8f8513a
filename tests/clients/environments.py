"""Environments of Python clients: each with pinned requirements of its own, outside the project's.

They stay in `emulator/.run/clients` between runs and are made again when their requirements change.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from emulator.tools import ROOT
from tests.clients.table import PROJECT

REQUIREMENTS = Path(__file__).parent / "requirements"
HOME = ROOT / "emulator" / ".run" / "clients"
INSTALL_SECONDS_MAX = 1_800
PINNED = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def requirements_of(environment: str) -> Path:
    """Return the file that pins the environment's packages."""
    return ROOT / "requirements-dev.txt" if environment == PROJECT else REQUIREMENTS / f"{environment}.txt"


def pinned_version(environment: str, package: str) -> str:
    """Return the version of a package in an environment. Raises KeyError if it is not pinned there."""
    text = requirements_of(environment).read_text()
    if environment == PROJECT:
        text += (ROOT / "requirements.txt").read_text()
    return dict(PINNED.findall(text))[package]


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment, which is installed if it is missing or out of date."""
    if environment == PROJECT:
        return Path(sys.executable)
    requirements = requirements_of(environment)
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    venv, stamp = HOME / environment, HOME / environment / ".stamp"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{environment}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two sessions may begin at the same time
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=INSTALL_SECONDS_MAX)
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(requirements)], check=True, timeout=INSTALL_SECONDS_MAX)
            stamp.write_text(wanted)
    return venv / "bin" / "python"
