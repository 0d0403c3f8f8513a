"""Files of users as our code sees them: whole objects by name in one private bucket, never changed once written.

Names are paths such as `images/{uid}/{id}`, so that everything of one user stands below one prefix. Nothing here is
public: who may see an object is decided by whoever serves it.
"""

from dataclasses import dataclass
from typing import Protocol

from shared.kernel.errors import NotFound, Unavailable

OBJECT_BYTES_MAX = 8 * 1024 * 1024
"""What Cloud Storage takes in one request: an object is uploaded whole, so that its absence is a precondition of it."""
NAMES_MAX = 500
"""How many names one listing answers at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What is known of an object without reading it. `sha256` is of its bytes, in hex."""

    name: str
    size: int
    content_type: str
    sha256: str


class Objects(Protocol):
    """The bucket. Every call has its own timeout, and may be made again after any failure."""

    def put(self, name: str, content: bytes, content_type: str) -> bool:
        """Write an object that must not exist yet, whole or not at all. False: there is one, and it stays as it is.

        After an unclear answer that was a yes, asking again says False: `find` tells whose bytes they are. Raises
        StorageUnavailable.
        """
        ...

    def find(self, name: str) -> ObjectInfo | None:
        """What is there under this name, or None. Raises StorageUnavailable."""
        ...

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """The bytes from `first` to `last`, both included, or to the end. Raises ObjectNotFound, StorageUnavailable."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object, there or not. Raises StorageUnavailable."""
        ...

    def names(self, prefix: str, limit: int = NAMES_MAX) -> list[str]:
        """The names that begin with `prefix`, in order, at most `limit`. Raises StorageUnavailable."""
        ...


class ObjectNotFound(NotFound):
    """There is no file of this name."""

    code = "object_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such file.")


class StorageUnavailable(Unavailable):
    """The file storage could not be reached or refused for now."""

    code = "storage_unavailable"

    def __init__(self, detail: str = "The file storage is unavailable.") -> None:
        super().__init__(detail)
