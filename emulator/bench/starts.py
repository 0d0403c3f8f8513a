"""Cold start and memory of each function, beside an empty one; the import time of the ledger's core."""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from emulator.ports import LOOPBACK, free_ports
from emulator.settings import laptop_settings
from emulator.tools import ROOT

ROUNDS = 5
START_SECONDS_MAX = 60
PROBE_SECONDS = 0.01
KIB_PER_MIB = 1024
EMPTY = "def empty(request):\n    return 'ok'\n"
CORE = "shared.ledger.decide, shared.ledger.verify.exports, shared.ledger.committer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One cold start: seconds until the first answer, and the worker's memory then."""

    seconds: float
    mebibytes: float


def main() -> None:
    """Measure and print. Needs nothing running."""
    endpoints = yaml.safe_load((ROOT / "functions.yaml").read_text())["endpoints"]
    signatures = {name: "cloudevent" if "eventTrigger" in endpoint else "http" for name, endpoint in endpoints.items()}
    print(f"cold start, median of {ROUNDS} (until it is loaded and answers)\n")
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "main.py").write_text(EMPTY)
        report("(empty function)", [start(Path(scratch), "empty", "http") for _ in range(ROUNDS)])
    for name, signature in signatures.items():
        report(name, [start(ROOT, name, signature) for _ in range(ROUNDS)])
    print(f"\nimport of the ledger's core beside a bare interpreter: {core_import_ms():.0f} ms")


def report(name: str, starts: list[Start]) -> None:
    seconds = statistics.median(each.seconds for each in starts)
    mebibytes = statistics.median(each.mebibytes for each in starts)
    print(f"  {name:<20}{seconds * 1000:>6.0f} ms {mebibytes:>6.0f} MiB", flush=True)


def start(source: Path, target: str, signature: str) -> Start:
    """Start one function as Cloud Run does, stop the function after the first answer, and return the time and
    memory.
    """
    port = free_ports(["function"])["function"]
    began = time.perf_counter()
    with _running(source, target, signature, port) as process:
        _await_answer(port, process)
        return Start(seconds=time.perf_counter() - began, mebibytes=_worker_mebibytes(process.pid))


@contextlib.contextmanager
def _running(source: Path, target: str, signature: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        **laptop_settings(),
        "AI_PLATFORM_API_KEY": "sk-laptop",
        "FUNCTION_TARGET": target,
        "FUNCTION_SIGNATURE_TYPE": signature,
        "GCLOUD_PROJECT": "demo-bench",
        "FIRESTORE_EMULATOR_HOST": f"{LOOPBACK}:1",
        "FIREBASE_AUTH_EMULATOR_HOST": f"{LOOPBACK}:1",
        "PUBSUB_EMULATOR_HOST": f"{LOOPBACK}:1",
        "HOST": LOOPBACK,
        "PORT": str(port),
    }
    program = Path(sys.executable).parent / "functions-framework"
    process = subprocess.Popen(
        [str(program)], cwd=source, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _await_answer(port: int, process: subprocess.Popen[bytes]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/favicon.ico", timeout=START_SECONDS_MAX):
                return
        except urllib.error.HTTPError:
            return  # answered by functions-framework itself: the function is loaded, and not run
        except OSError:
            pause.wait(PROBE_SECONDS)
    raise TimeoutError("the function did not start")


def _worker_mebibytes(master: int) -> float:
    """The resident memory of gunicorn's worker, the largest child of its master."""
    listing = subprocess.run(["ps", "-A", "-o", "ppid=,rss="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listing.stdout.splitlines())
    return max((int(rss) for parent, rss in rows if int(parent) == master), default=0) / KIB_PER_MIB


def core_import_ms() -> float:
    return 1000 * (_import_seconds(f"import {CORE}") - _import_seconds("pass"))


def _import_seconds(statement: str) -> float:
    compiled = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], cwd=ROOT, env=compiled, check=True)
        return time.perf_counter() - began

    once()  # compiles what is not compiled yet, as a deployment does

    return statistics.median(once() for _ in range(2 * ROUNDS))


if __name__ == "__main__":
    main()
