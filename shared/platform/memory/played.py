"""Stream that plays a script, for scripted upstreams."""

import threading
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from shared.ai.ports import UpstreamUnavailable

T = TypeVar("T")


class PlayedAnswer(Generic[T]):
    """Answer that is played from a script: items, failures, silences in seconds.

    `is_aborted`: closed before its end.
    """

    is_done = False
    """Always False: a script states its end itself, or is cut."""

    def __init__(self, script: Sequence[T | Exception | float]) -> None:
        self._script = iter(script)
        self._closed = threading.Event()
        self.is_finished = False
        self.is_aborted = False

    def __iter__(self) -> Iterator[T]:
        """Return the stream, which plays once."""
        return self

    def __next__(self) -> T:
        """Return the next item of the script.

        Raises the script's failures, UpstreamUnavailable if the stream was closed, StopIteration at the end.
        """
        for item in self._script:
            if isinstance(item, float):
                self._closed.wait(item)
            if self._closed.is_set():
                raise UpstreamUnavailable
            if isinstance(item, Exception):
                raise item
            if not isinstance(item, float):
                return item
        self.is_finished = True
        raise StopIteration

    def close(self) -> None:
        """End the stream, from any thread."""
        self.is_aborted = self.is_aborted or not self.is_finished
        self._closed.set()
