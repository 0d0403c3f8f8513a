"""Runs Node scripts of the tests: JSON in on stdin, JSON out on stdout."""

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator import tools

STOP_SECONDS_MAX = 60


class ScriptFailed(AssertionError):
    """The script ended with an error; the message is what it wrote to stderr."""


def run_script(script: Path, given: object, *, timeout_seconds: float, node: Sequence[str] = ()) -> Any:
    """What the script prints, run by this `node` if one is named.

    Raises ScriptFailed, or subprocess.TimeoutExpired with the script ended.
    """
    done = subprocess.run(
        [*(node or [tools.node()]), str(script)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    if done.returncode != 0:
        raise ScriptFailed(f"{script.name} ended with {done.returncode}:\n{done.stderr[-4000:]}{done.stdout[-1000:]}")
    return json.loads(done.stdout)


class RunningScript:
    """A script that goes on talking, one JSON value per line, until it is left."""

    def __init__(self, script: Path, given: object) -> None:
        self._name = script.name
        self._process = subprocess.Popen(
            [tools.node(), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None, "opened as a pipe"
        with self._process.stdin as stdin:
            stdin.write(json.dumps(given))

    def next(self, *, timeout_seconds: float) -> Any:
        """What it says next. Raises ScriptFailed if it says nothing in time, or has ended."""
        try:
            line = self._lines.get(timeout=timeout_seconds)
        except queue.Empty:
            raise ScriptFailed(f"{self._name} said nothing for {timeout_seconds} s") from None
        if not line:
            raise ScriptFailed(f"{self._name} ended with {self._process.wait(STOP_SECONDS_MAX)}")
        return json.loads(line)

    def _read(self) -> None:
        assert self._process.stdout is not None, "opened as a pipe"
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(STOP_SECONDS_MAX)
        self._reader.join(STOP_SECONDS_MAX)
