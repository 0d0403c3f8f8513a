"""Pages of an audit: bytes that only grow, in documents that the position of the audit names by size and SHA-256.

Bytes behind the named size do not count. So a page that was written before a position of an earlier time was restored
still fits that position.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from shared.kernel.documents import Documents, Put, Write

PAGE_BYTES_MAX = 262_144


class PositionUnusable(Exception):
    """Position of an audit that cannot be used. The reason is one of `forged`, `damaged`, `outdated`, `unknown_key`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PageMark:
    """Size of a page in bytes, and the SHA-256 of these bytes in hex."""

    size: int
    digest: str


class AppendedPages:
    """Pages of one kind below `accounts/{uid}/audited`. `marks` are the marks that the next position must hold."""

    def __init__(self, documents: Documents, path: str, marks: tuple[PageMark, ...]) -> None:
        self.marks = marks
        self._documents = documents
        self._path = path
        self._last: bytes | None = None
        self._changed: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        """Number of bytes in all pages."""
        return sum(mark.size for mark in self.marks)

    def append(self, content: bytes) -> None:
        """Add bytes behind the last page. A part is never split over two pages. Raises PositionUnusable."""
        if not content:
            return
        last = self._last_page()
        if not self.marks or len(last) + len(content) > PAGE_BYTES_MAX:
            self.marks, last = (*self.marks, PageMark(0, "")), b""
        last += content
        number = len(self.marks) - 1
        self.marks = (*self.marks[:-1], PageMark(len(last), _digest(last)))
        self._last = self._changed[number] = last

    def writes(self) -> list[Write]:
        """Return the writes of the changed pages, which belong into the commit of the position that names them."""
        writes: list[Write] = [Put(self._page_path(each), {"content": self._changed[each]}) for each in self._changed]
        self._changed = {}
        return writes

    def read(self, first: int = 0) -> Iterator[bytes]:
        """Yield the bytes from position `first` on, page by page. Raises PositionUnusable."""
        start = 0
        for number, mark in enumerate(self.marks):
            if start + mark.size > first:
                yield self._page(number, mark)[max(0, first - start) :]
            start += mark.size

    def _last_page(self) -> bytes:
        if self._last is None:
            self._last = self._page(len(self.marks) - 1, self.marks[-1]) if self.marks else b""
        return self._last

    def _page(self, number: int, mark: PageMark) -> bytes:
        if number in self._changed:
            return self._changed[number]
        document = self._documents.get(self._page_path(number))
        content = b"" if document is None else document.data.get("content")
        page = content[: mark.size] if isinstance(content, bytes) else b""
        if _digest(page) != mark.digest:
            raise PositionUnusable("damaged")
        return page

    def _page_path(self, number: int) -> str:
        return f"{self._path}-{number:06d}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
