"""Port to users' files: whole objects by name in one private bucket, never changed once written.

Names are paths such as `images/{uid}/{id}`, so that all objects of one user are below one prefix. No object is public:
the code that serves an object decides who may see it.
"""

from dataclasses import dataclass
from typing import Protocol

from shared.kernel.errors import NotFound, Unavailable

OBJECT_BYTES_MAX = 8 * 1024 * 1024
"""Most bytes of an object, as Cloud Storage accepts in one request.

An object is uploaded whole, so that its absence can be a precondition.
"""
NAMES_MAX = 500
"""Most names in one listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """Metadata of an object. `sha256` is the hash of the object's bytes, in hex."""

    name: str
    size: int
    content_type: str
    sha256: str


class Objects(Protocol):
    """Bucket of users' files. Every call has its own timeout, and may be repeated after any failure."""

    def put(self, name: str, content: bytes, content_type: str) -> bool:
        """Write an object that must not exist yet, whole or not at all. Return False if the name is taken.

        An existing object stays as it is. If the answer to a successful write is lost, a second call returns False.
        Then `find` shows whose bytes are stored. Raises StorageUnavailable.
        """
        ...

    def find(self, name: str) -> ObjectInfo | None:
        """Return the metadata of the object with this name, or None. Raises StorageUnavailable."""
        ...

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Return the bytes from `first` to `last`, both included; None: to the end.

        Raises ObjectNotFound, StorageUnavailable.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object if there is one. Raises StorageUnavailable."""
        ...

    def names(self, prefix: str, limit: int = NAMES_MAX) -> list[str]:
        """Return the names that begin with `prefix`, in order, at most `limit`. Raises StorageUnavailable."""
        ...


class ObjectNotFound(NotFound):
    """Error for a name without a file."""

    code = "object_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such file.")


class StorageUnavailable(Unavailable):
    """Error for a file storage that could not be reached or refused for now."""

    code = "storage_unavailable"

    def __init__(self, detail: str = "The file storage is unavailable.") -> None:
        super().__init__(detail)
