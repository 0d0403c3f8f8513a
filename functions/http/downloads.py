"""Writing answers to real connections: clients that do not read theirs hold few of the threads."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, Self

from functions.http.slow import SOCKET, BodyTransfer, DeadlineWatch

PIECE_BYTES = 16 * 1024
PATIENCE_SECONDS = 0.2
"""Seconds for one piece of an answer, if too many clients are slow. Slower clients are cut off."""
WRITE_SECONDS_MAX = 60.0
"""Most seconds for one piece of an answer, if few clients are slow."""

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


class Downloads:
    """WSGI application around another one.

    If a client reads an answer too slowly, and too many do, the answer is cut.
    """

    def __init__(self, application: Application, threads: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._application = application
        self._writing_max = max(1, threads // 5)
        self._monotonic = monotonic
        self._writing: set[BodyTransfer] = set()
        self._watch = DeadlineWatch(monotonic, self._look)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer, in pieces that are each watched where there is a real connection."""
        connection = environ.get(SOCKET)
        if connection is None:
            return self._application(environ, start_response)
        connection.settimeout(WRITE_SECONDS_MAX)
        place = BodyTransfer(connection, "", float("inf"), self._monotonic())
        return WatchedAnswer(self._application(environ, start_response), place, self)

    def begin(self, place: BodyTransfer) -> None:
        """Note that the server begins to write a piece of this answer."""
        place.since = self._monotonic()
        self._writing.add(place)
        if place.due == 0.0:
            self._watch.expect(place, place.since + PATIENCE_SECONDS)

    def end(self, place: BodyTransfer) -> None:
        """Note that the client has taken the piece."""
        self._writing.discard(place)

    def _look(self, place: BodyTransfer, now: float) -> float | None:
        """Return when to look again; None to leave this client."""
        is_late = place in self._writing and now - place.since >= PATIENCE_SECONDS
        if is_late and len(self._writing) > self._writing_max and _unread_bytes(place) >= PIECE_BYTES:
            self._writing.discard(place)
            return None
        return now + PATIENCE_SECONDS


class WatchedAnswer:
    """The parts of an answer, cut into pieces. Between two pieces the server writes the first."""

    def __init__(self, parts: Iterable[bytes], place: BodyTransfer, downloads: Downloads) -> None:
        self._parts = parts
        self._pieces = _pieces(parts)
        self._place = place
        self._downloads = downloads

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece: the one before it was written."""
        self._downloads.end(self._place)
        piece = next(self._pieces)
        self._downloads.begin(self._place)
        return piece

    def close(self) -> None:
        """End the answer, whole or not."""
        self._place.is_over = True
        self._downloads.end(self._place)
        if (close := getattr(self._parts, "close", None)) is not None:
            close()


def _unread_bytes(place: BodyTransfer) -> int:
    """Return how much was sent that the client has not taken. A busy server is late, too, but leaves none."""
    try:
        told = ioctl(place.connection.fileno(), TIOCOUTQ, bytes(4)) if place.connection is not None else bytes(4)
    except OSError:
        return 0
    return int.from_bytes(told, sys.byteorder)


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        if len(part) <= PIECE_BYTES:
            yield part
        else:
            yield from (part[at : at + PIECE_BYTES] for at in range(0, len(part), PIECE_BYTES))
