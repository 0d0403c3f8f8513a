"""Object storage in memory."""

import hashlib
import threading

from shared.kernel.objects import NAMES_MAX, ObjectInfo, ObjectNotFound, StorageUnavailable


class MemoryObjects:
    """Objects that are stored until deleted. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[bytes, str]] = {}

    def put(self, name: str, content: bytes, content_type: str) -> bool:
        """Write an object, and return True; False if the name is taken already. See `Objects.put`."""
        with self._lock:
            if name in self._objects:
                return False
            self._objects[name] = (bytes(content), content_type)
            return True

    def find(self, name: str) -> ObjectInfo | None:
        """Return the metadata of the object with this name, or None; see `Objects.find`."""
        with self._lock:
            found = self._objects.get(name)
        if found is None:
            return None
        content, content_type = found
        digest = hashlib.sha256(content).hexdigest()
        return ObjectInfo(name=name, size=len(content), content_type=content_type, sha256=digest)

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Return the bytes from `first` to `last`, both included; None: to the end.

        See `Objects.read`.
        """
        with self._lock:
            found = self._objects.get(name)
        if found is None:
            raise ObjectNotFound
        return found[0][first : None if last is None else last + 1]

    def delete(self, name: str) -> None:
        """Remove an object if there is one; see `Objects.delete`."""
        with self._lock:
            self._objects.pop(name, None)

    def names(self, prefix: str, limit: int = NAMES_MAX) -> list[str]:
        """Return the names that begin with `prefix`, in order, at most `limit`; see `Objects.names`."""
        with self._lock:
            return sorted(name for name in self._objects if name.startswith(prefix))[:limit]


class MemoryAnchors(MemoryObjects):
    """Bucket with a locked retention policy: an object that was written can never be deleted."""

    def delete(self, name: str) -> None:
        """Raise StorageUnavailable if there is such an object: the retention never ends."""
        if self.find(name) is not None:
            raise StorageUnavailable("The object is subject to the bucket's retention policy.")
