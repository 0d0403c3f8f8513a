"""The servers that a bench asks: the stand-in provider and `api`, each in a process of its own."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.ports import LOOPBACK, free_ports
from emulator.settings import laptop_settings
from emulator.tools import ROOT

START_SECONDS_MAX = 120


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """Start the stand-in provider without a delay, and yield the address."""
    port = free_ports(["upstream"])["upstream"]
    command = [sys.executable, "-m", "emulator.upstream", "--port", str(port)]
    with running(command, os.environ, f"http://{LOOPBACK}:{port}/v1/models"):
        yield f"http://{LOOPBACK}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server in its own process: the address, and the process that started the workers."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return the seconds of CPU time that the process and its descendants have taken until now."""
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,time="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listing.stdout.splitlines()]
        parents = {int(pid): int(parent) for pid, parent, _ in rows}
        family, grew = {self.pid}, {self.pid}
        while grew:
            grew = {pid for pid, parent in parents.items() if parent in grew}
            family |= grew
        told = {int(pid): taken for pid, _, taken in rows}
        return sum(_cpu_seconds(pid, told[pid]) for pid in family if pid in told)


def _cpu_seconds(pid: int, told: str) -> float:
    """Return a process's CPU time: from /proc in ticks, else from `ps`, whose hundredths only macOS prints."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return sum(float(part) * 60.0**power for power, part in enumerate(reversed(re.split("[:-]", told))))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def api(upstream_url: str) -> Iterator[str]:
    """Start `api` as production does, under functions-framework and gunicorn, and yield the address."""
    with server(upstream_url, root=ROOT, environment=os.environ) as started:
        yield started.url


@contextlib.contextmanager
def server(upstream_url: str, *, root: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Start `api` from the source in `root`, and yield the server's address and process."""
    port = free_ports(["api"])["api"]
    whole = {
        **environment,
        **laptop_settings(),
        "AI_PLATFORM_API_KEY": "sk-laptop",
        "AI_PLATFORM_BASE_URL": upstream_url,
        "RATE_LIMIT_PER_MINUTE": "60000",
        "RATE_LIMIT_BURST": "60000",
        "FUNCTION_TARGET": "api",
        "HOST": LOOPBACK,
        "PORT": str(port),
    }
    program = str(Path(sys.executable).parent / "functions-framework")
    url = f"http://{LOOPBACK}:{port}"
    with running([program], whole, f"{url}/v1/monitoring/health", root=root) as pid:
        yield Server(url=url, pid=pid)


@contextlib.contextmanager
def running(command: list[str], environment: Mapping[str, str], health: str, *, root: Path = ROOT) -> Iterator[int]:
    """Start a server and yield the process id once the server answers. End the server behind the block."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=root, env=dict(environment), stdout=quiet, stderr=quiet)
    try:
        _await(health, process)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except urllib.error.HTTPError:
            return  # it listens, and has no page there
        except OSError:
            pause.wait(0.2)
    raise TimeoutError(f"nothing answers at {url}")
