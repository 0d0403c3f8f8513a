"""A store before or after one of whose commits the worker is killed."""

from collections.abc import Sequence
from typing import Any

from shared.kernel.documents import Document, Documents, Query, Version, Write


class Killed(BaseException):
    """The worker is killed: nothing that it would still do happens."""


class KillingDocuments:
    """Store of a worker that is killed at a moment: `2n` is before its n-th commit, `2n + 1` after; None: never."""

    def __init__(self, documents: Documents, moment: int | None) -> None:
        self._documents = documents
        self._moment = moment
        self.commits = 0

    def commit(self, writes: Sequence[Write], **options: Any) -> list[Version]:
        number, self.commits = self.commits, self.commits + 1
        if self._moment == 2 * number:
            raise Killed
        versions = self._documents.commit(writes, **options)
        if self._moment == 2 * number + 1:
            raise Killed
        return versions

    def get(self, path: str, **options: Any) -> Document | None:
        return self._documents.get(path, **options)

    def get_all(self, paths: Sequence[str], **options: Any) -> list[Document | None]:
        return self._documents.get_all(paths, **options)

    def query(self, query: Query, **options: Any) -> Any:
        return self._documents.query(query, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)
