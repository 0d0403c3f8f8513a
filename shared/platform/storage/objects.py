"""Objects on Google Cloud Storage: one private bucket, one atomic upload per object, every call bounded."""

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY

from shared.kernel.objects import NAMES_MAX, OBJECT_BYTES_MAX, ObjectInfo, ObjectNotFound, StorageUnavailable

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
"""Time limit of one attempt, enough for a large object on a slow day."""
RETRY_SECONDS = 60.0
"""Retry for every call. Uploads have a precondition and other calls are idempotent, so that each may be repeated."""
EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
SHA256 = "sha256"
FAILED = (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException, OSError)


class CloudObjects:
    """Bucket on Cloud Storage, whose client is made at its first use. Safe to share between threads."""

    def __init__(
        self,
        project: str,
        bucket: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._limits = {"timeout": timeout_seconds, "retry": DEFAULT_RETRY.with_timeout(retry_seconds)}
        self._project = project
        self._name = bucket
        self._is_emulated = bool(os.environ.get(EMULATOR_VARIABLE))
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._bucket: Any = None

    def put(self, name: str, content: bytes, content_type: str) -> bool:
        """Write an object, and return True; False if the name is taken already. See `Objects.put`.

        One request uploads the object, on the precondition that the object does not exist.
        """
        assert len(content) <= OBJECT_BYTES_MAX, "who makes an object bounds it"
        try:
            self._call_storage(lambda: self._upload(name, content, content_type))
        except exceptions.PreconditionFailed:
            return False
        return True

    def find(self, name: str) -> ObjectInfo | None:
        """Return the metadata of the object with this name, or None; see `Objects.find`."""
        blob = self._call_storage(lambda: self._opened().get_blob(name, **self._limits))
        if blob is None:
            return None
        return ObjectInfo(
            name=name,
            size=int(blob.size),
            content_type=str(blob.content_type),
            sha256=str((blob.metadata or {}).get(SHA256, "")),
        )

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Return the bytes from `first` to `last`, both included; None: to the end.

        See `Objects.read`.
        """
        blob = self._opened().blob(name)
        try:
            content: bytes = self._call_storage(
                lambda: blob.download_as_bytes(start=first or None, end=last, raw_download=True, **self._limits)
            )
        except exceptions.NotFound:
            raise ObjectNotFound from None
        return content

    def delete(self, name: str) -> None:
        """Remove an object if there is one; see `Objects.delete`."""
        try:
            self._call_storage(lambda: self._opened().delete_blob(name, **self._limits))
        except exceptions.NotFound:
            return

    def names(self, prefix: str, limit: int = NAMES_MAX) -> list[str]:
        """Return the names that begin with `prefix`, in order, at most `limit`; see `Objects.names`."""
        try:
            return self._call_storage(lambda: self._listed(prefix, limit))
        except exceptions.NotFound:
            if not self._is_emulated:
                raise StorageUnavailable(f"There is no bucket {self._name}.") from None
            return []

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = self._bucket = None

    def _upload(self, name: str, content: bytes, content_type: str) -> None:
        try:
            self._upload_once(name, content, content_type)
        except exceptions.NotFound:
            if not self._is_emulated:
                raise StorageUnavailable(f"There is no bucket {self._name}.") from None
            self._create_bucket()
            self._upload_once(name, content, content_type)

    def _upload_once(self, name: str, content: bytes, content_type: str) -> None:
        blob = self._opened().blob(name)
        blob.metadata = {SHA256: hashlib.sha256(content).hexdigest()}
        blob.cache_control = "private, no-store"
        blob.upload_from_string(content, content_type=content_type, if_generation_match=0, **self._limits)

    def _listed(self, prefix: str, limit: int) -> list[str]:
        blobs = self._opened().list_blobs(prefix=prefix, max_results=limit, **self._limits)
        return sorted(blob.name for blob in blobs)[:limit]

    def _create_bucket(self) -> None:
        """Create the bucket on the emulator. In production the deployment creates the bucket."""
        try:
            self._opened().create(**self._limits)
        except exceptions.Conflict:
            return

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = Client(project=self._project)
                self._bucket = self._client.bucket(self._name)
            return self._bucket

    def _call_storage(self, call: Callable[[], T]) -> T:
        """Run a call and return its result.

        Raises the SDK's NotFound and PreconditionFailed as they are, and StorageUnavailable for every other failure.
        """
        try:
            return call()
        except (exceptions.NotFound, exceptions.PreconditionFailed):
            raise
        except FAILED as error:
            raise StorageUnavailable(f"The file storage gave no answer ({type(error).__name__}).") from error
