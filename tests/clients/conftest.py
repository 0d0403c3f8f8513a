"""Clients that others wrote, against our API as production serves it: functions-framework, emulators, a stand-in model.

Those whose dependencies clash with ours live in a virtual environment of their own, `emulator/.run/clients`, made when
it is first needed and made again when `requirements.txt` here changes.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.suite import Suite
from emulator.tools import ROOT
from emulator.upstream import Upstream
from tests.clients.stage import Counter
from tests.fire.stage import Server, Stage
from tests.support.emulators import environment

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
HOME = ROOT / "emulator" / ".run"
INSTALL_SECONDS_MAX = 1_200


@pytest.fixture(scope="package")
def client_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="package")
def stage(emulators: Suite, client_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with environment(emulators.environment()):
        yield Stage(emulators, client_upstream, tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="package")
def server(stage: Stage) -> Iterator[Server]:
    with Server(stage) as running:
        yield running


@pytest.fixture
def counter(stage: Stage, server: Server, client_upstream: Upstream) -> Counter:
    """A customer with credits and an API key."""
    client_upstream.reset()
    return Counter(stage, server)


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """The interpreter of the clients' own virtual environment."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    venv, stamp = HOME / "clients", HOME / "clients" / ".stamp"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two sessions may begin at the same time
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=INSTALL_SECONDS_MAX)
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True, timeout=INSTALL_SECONDS_MAX)
            stamp.write_text(wanted)
    return venv / "bin" / "python"
