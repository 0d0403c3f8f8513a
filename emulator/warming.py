"""Workers of the Functions emulator, started in advance.

The emulator gives a worker one request at a time. A stop comes while its call still streams, and so needs a second
worker. A worker that started only then would answer after the call has ended.
"""

import contextlib
import threading
import urllib.request
from collections.abc import Iterator

WORKERS = 3
"""A call that streams, a stop, and a page that reads meanwhile."""
SECONDS_MAX = 120


@contextlib.contextmanager
def warmed(api: str) -> Iterator[None]:
    """Start workers of the API beside the block, with as many requests at once. Failures are left to later callers."""
    asking = [threading.Thread(target=_ask, args=(f"{api}/v1/monitoring/health",), daemon=True) for _ in range(WORKERS)]
    for each in asking:
        each.start()
    yield
    for each in asking:
        each.join(SECONDS_MAX)


def _ask(url: str) -> None:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=SECONDS_MAX):
        pass
