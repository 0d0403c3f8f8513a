"""Protection of the interpreter's recursion limit from libraries that raise the limit when they are imported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_recursion_limit() -> Iterator[None]:
    """Restore the recursion limit at the end.

    With a limit of 100,000, a deeply nested body from a stranger overflows the stack and kills the process. With
    Python's own limit, the parser of JSON raises RecursionError.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
