"""`make logs`: the functions' log of a running `make run`, followed, one readable line per event."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emulator.tools import ROOT

LOG = ROOT / "emulator" / ".run" / "suite" / "suite.log"
POLL_SECONDS = 0.2
SHOWN_APART = ("severity", "event", "message", "time", "timestamp", "httpRequest", "stack_trace")
IN_THE_REQUEST = ("route", "status", "ms")
"""Fields of the line of a request that its message tells already."""
FOR_GOOGLE = ("logging.googleapis.com/", "@type", "serviceContext")
"""Beginnings of fields that only Google's tools read."""
NOISE = re.compile(r"^i +functions: (Beginning|Finished)|^\s*$|^[┌├└│]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def readable(line: str) -> str | None:
    """Return a log line in a form for a person; None for a line that is only the emulator's chatter."""
    text = COLOUR.sub("", line.rstrip())
    if NOISE.match(text):
        return None
    said = text.removeprefix(">").strip()
    try:
        fields = json.loads(said)
    except ValueError:
        return said
    return _event(fields) if isinstance(fields, dict) else said


def _event(fields: dict[str, Any]) -> str:
    """`{"severity": …, "event": …, …}` as `SEVERITY event name=value …`, with the stack of an error below."""
    shown = {
        name: value for name, value in fields.items() if name not in SHOWN_APART and not name.startswith(FOR_GOOGLE)
    }
    if "httpRequest" in fields:
        shown = {name: value for name, value in shown.items() if name not in IN_THE_REQUEST}
    rest = " ".join(f"{name}={value}" for name, value in shown.items())
    name = fields.get("event") or fields.get("message") or ""
    if "httpRequest" in fields:
        name = f"{fields.get('message')} in {fields['httpRequest'].get('latency')}"
    stack = "".join(f"\n         {line}" for line in str(fields.get("stack_trace", "")).splitlines())
    return f"{fields.get('severity', 'INFO'):<8} {name} {rest}".rstrip() + stack


def follow(file: Path) -> Iterator[str]:
    pause = threading.Event()
    with file.open(errors="replace") as log:
        while True:
            if line := log.readline():
                yield line
            else:
                pause.wait(POLL_SECONDS)


def main() -> int:
    if not LOG.exists():
        print("There is no log yet: start the backend with `make run`.")
        return 1
    try:
        for line in follow(LOG):
            if (text := readable(line)) is not None:
                print(text, flush=True)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
