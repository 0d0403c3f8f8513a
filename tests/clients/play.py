"""Plays the cases of one client's script, under the client's own interpreter: JSON in on stdin, JSON out on stdout.

In: what `tests/clients/cases.py` tells, with `script`, `cases` and `package`. Out: {"version": …, "cases": {case:
{"got": …} or {"error": …}}}. A client may print: its output goes to stderr.
"""

import asyncio
import importlib.metadata
import inspect
import json
import runpy
import sys
import traceback
from typing import Any


def main() -> None:
    told = json.load(sys.stdin)
    out, sys.stdout = sys.stdout, sys.stderr
    script = runpy.run_path(told["script"])
    cases = {case: played(script[case], told) for case in told["cases"]}
    out.write(json.dumps({"version": importlib.metadata.version(told["package"]), "cases": cases}))


def played(case: Any, told: Any) -> dict[str, Any]:
    """Return what one case gave, or how it failed."""
    try:
        got = case(told)
        return {"got": asyncio.run(got) if inspect.iscoroutine(got) else got}
    except Exception as error:  # noqa: BLE001  # a client's failure is an answer
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
