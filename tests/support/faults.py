"""A store that fails where a test says: before or after any commit, as a crash or as an error."""

import threading
from collections.abc import Callable, Sequence
from typing import Literal

from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Document, Documents, Query, Version, Write


class Crash(BaseException):
    """The process ends here: nothing behind it runs, no handler catches it."""


class FaultyDocuments:
    """Passes everything on, and fails at the given commit (from 1), once; counts calls and commits."""

    def __init__(
        self,
        inner: Documents,
        *,
        at: int = 0,
        when: Literal["before", "after"] = "before",
        error: BaseException | None = None,
    ) -> None:
        self.inner = inner
        self.commits = 0
        self.calls = 0
        self._at = at
        self._when = when
        self._error = error or Crash()
        self._lock = threading.Lock()

    def get(self, path: str) -> Document | None:
        self.calls += 1
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        self.calls += 1
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        self.calls += 1
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        with self._lock:
            self.calls += 1
            self.commits += 1
            is_here = self.commits == self._at
        if is_here and self._when == "before":
            raise self._error
        try:
            return self.inner.commit(writes, timeout_seconds=timeout_seconds)
        finally:
            if is_here:
                raise self._error


class Dying(FaultyDocuments):
    """Once it has crashed nothing works any more: the process is gone."""

    is_dead = False

    def _live(self):
        if self.is_dead:
            raise Crash

    def get(self, path):
        self._live()
        return super().get(path)

    def query(self, query):
        self._live()
        return super().query(query)

    def get_all(self, paths):
        self._live()
        return super().get_all(paths)

    def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
        self._live()
        try:
            return super().commit(writes, timeout_seconds=timeout_seconds)
        except Crash:
            self.is_dead = True
            raise


class Interrupted:
    """A store under which, once, before or after the given commit, something else happens first."""

    def __init__(self, inner: Documents, at: int, when: str, happens: Callable[[], None]) -> None:
        self.inner, self.at, self.when, self.happens = inner, at, when, happens
        self.commits = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        self.commits += 1
        is_here = self.commits == self.at
        if is_here and self.when == "before":
            self.happens()
        versions = self.inner.commit(writes, timeout_seconds=timeout_seconds)
        if is_here and self.when == "after":
            self.happens()
        return versions
