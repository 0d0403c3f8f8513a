"""The servers that a bench asks: the stand-in provider and `api`, each in a process of its own."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from emulator.ports import LOOPBACK, free_ports
from emulator.settings import laptop_settings
from emulator.tools import ROOT

START_SECONDS_MAX = 120


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """The stand-in provider, without a delay: its address."""
    port = free_ports(["upstream"])["upstream"]
    command = [sys.executable, "-m", "emulator.upstream", "--port", str(port)]
    with running(command, os.environ, f"http://{LOOPBACK}:{port}/v1/models"):
        yield f"http://{LOOPBACK}:{port}"


@contextlib.contextmanager
def api(upstream_url: str) -> Iterator[str]:
    """The function as production starts it, functions-framework and its gunicorn: its address."""
    port = free_ports(["api"])["api"]
    environment = {
        **os.environ,
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
    with running([program], environment, f"{url}/v1/monitoring/health"):
        yield url


@contextlib.contextmanager
def running(command: list[str], environment: Mapping[str, str], health: str) -> Iterator[None]:
    """A server of its own, once it answers; it is ended behind the block."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=quiet, stderr=quiet)
    try:
        _await(health, process)
        yield
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
