"""Output of `make run`: calm lines, colour on a terminal only, and nothing that a log file could not hold."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping

WIDTH = 16
INDENT = " " * (WIDTH + 4)
PARAGRAPH_WIDTH = 100
TICK_SECONDS = 0.5
QUIET_TICK_SECONDS = 20.0
BOLD, DIM, GREEN, RED, YELLOW, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


class Screen:
    """Standard output, for a person or for a log."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._is_typing = False
        self._column = 0

    def line(self, text: str = "") -> None:
        self._end_typing()
        self._write(f"{text}\n")

    def title(self, text: str) -> None:
        self.line()
        self.line(self._in(BOLD, text))

    def step(self, name: str, what: str) -> None:
        self.line(f"  {self._in(GREEN, '✓')} {name:<{WIDTH}}{what}")

    def type_out(self, text: str) -> None:
        """Print words that arrive in pieces as one indented paragraph. The last piece ends with a line end."""
        if text == "\n":
            self._end_typing()
            return
        if not self._is_typing or self._column + len(text) > PARAGRAPH_WIDTH:
            self._end_typing()
            self._write(INDENT)
            text = text.lstrip()
            self._column = len(INDENT)
            self._is_typing = True
        self._write(text)
        self._column += len(text)

    def _end_typing(self) -> None:
        if self._is_typing:
            self._write("\n")
        self._is_typing = False

    def warning(self, text: str) -> None:
        self.line(f"  {self._in(YELLOW, '!')} {text}")

    def problem(self, text: str) -> None:
        self.line()
        self.line(f"{self._in(RED, '✗')} {text}")

    def addresses(self, addresses: Mapping[str, str], *, is_walked: bool) -> None:
        self.title("Ready." if is_walked else "Up, but the walk above did not succeed.")
        for name, address in addresses.items():
            self.line(f"    {name:<{WIDTH}}{address}")
        for name, path in (("playground", "/v1/docs/playground"), ("swagger", "/v1/docs/swagger")):
            self.line(f"    {name:<{WIDTH}}{addresses['api']}{path}")

    def sign_ins(self, user: str, operator: str, password: str) -> None:
        """Print how to sign in as the example user or operator, and how to end everything."""
        self.line(f"    {'sign in':<{WIDTH}}{user} (owns what the examples name) or {operator} (operator)")
        self.line(f"    {'password':<{WIDTH}}{password}")
        self.line()
        self.line(self._in(DIM, "Ctrl-C ends everything. `make logs` follows the functions."))

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that a long step is running, and its time at the end."""
        began = time.monotonic()
        finished = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(what, began, finished), daemon=True)
        ticker.start()
        is_done = False
        try:
            yield
            is_done = True
        finally:
            finished.set()
            ticker.join()
            self._clear()
            self.line(f"  {what}: {'done in' if is_done else 'stopped after'} {time.monotonic() - began:.0f} s")

    def _tick(self, what: str, began: float, finished: threading.Event) -> None:
        while not finished.wait(TICK_SECONDS if self._is_terminal else QUIET_TICK_SECONDS):
            self._clear()
            ending = "" if self._is_terminal else "\n"
            self._write(f"  {what} … {time.monotonic() - began:.0f} s{ending}")

    def _clear(self) -> None:
        if self._is_terminal:
            self._write("\r\x1b[2K")

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._is_terminal else text

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
