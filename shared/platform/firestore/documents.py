"""Documents on Google Cloud Firestore, through its generated client: one attempt per commit, typed outcomes."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from google.cloud.firestore_v1.types import BatchGetDocumentsRequest, CommitRequest, CommitResponse
from google.cloud.firestore_v1.types import Write as WriteType

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    Create,
    Delete,
    Document,
    InvalidWrite,
    OutcomeUnknown,
    Patch,
    PreconditionFailed,
    Query,
    StoreUnavailable,
    Version,
    Write,
    check_writes,
)
from shared.platform.firestore.queries import run_query_request
from shared.platform.firestore.values import decode_fields, decode_version, encode_fields, encode_version

T = TypeVar("T")
RawWrite = type(WriteType.pb(WriteType()))
RawCommitRequest = type(CommitRequest.pb(CommitRequest()))

READ_RETRY = Retry(
    predicate=if_exception_type(api.ServiceUnavailable, api.InternalServerError, api.Aborted),
    initial=0.05,
    maximum=1.0,
    timeout=READ_TIMEOUT_SECONDS,
)
"""Reads have no effect, so the client may repeat them; a commit is never repeated behind the caller's back."""

NOT_APPLIED = (api.AlreadyExists, api.FailedPrecondition, api.NotFound)
REFUSED_FOR_NOW = (api.Aborted, api.ResourceExhausted, api.PermissionDenied, api.Unauthenticated)


class FirestoreDocuments:
    """One database. `client` and `metadata` as `connect` makes them; safe to share between threads."""

    def __init__(self, client: FirestoreClient, database: str, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self._client = client
        self._database = database
        self._root = f"{database}/documents"
        self._metadata = (("google-cloud-resource-prefix", database), *metadata)

    def get(self, path: str) -> Document | None:
        """See `Documents.get`."""
        return self.get_all([path])[0]

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """See `Documents.get_all`."""
        request = BatchGetDocumentsRequest(
            database=self._database, documents=[self._name(path) for path in dict.fromkeys(paths)]
        )
        found = self._read(lambda: self._found(request))
        return [found.get(path) for path in paths]

    def query(self, query: Query) -> list[Document]:
        """See `Documents.query`."""
        request = run_query_request(self._root, query)
        return self._read(lambda: self._matching(request))

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """See `Documents.commit`."""
        check_writes(writes)
        request = RawCommitRequest(database=self._database)
        for write in writes:
            self._encode(request.writes.add(), write)
        response = _committed(
            lambda: self._client.commit(
                CommitRequest.wrap(request), retry=None, timeout=timeout_seconds, metadata=self._metadata
            )
        )
        raw = CommitResponse.pb(response)
        return [decode_version(result.update_time) for result in raw.write_results]

    def _found(self, request: BatchGetDocumentsRequest) -> Mapping[str, Document]:
        stream = self._client.batch_get_documents(
            request, retry=READ_RETRY, timeout=READ_TIMEOUT_SECONDS, metadata=self._metadata
        )
        documents = (self._decoded(type(item).pb(item).found) for item in stream if "found" in item)
        return {document.path: document for document in documents}

    def _matching(self, request: Any) -> list[Document]:
        stream = self._client.run_query(
            request, retry=READ_RETRY, timeout=READ_TIMEOUT_SECONDS, metadata=self._metadata
        )
        return [self._decoded(type(item).pb(item).document) for item in stream if item.document.name]

    def _read(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (api.GoogleAPIError, grpc.RpcError) as error:
            raise StoreUnavailable(f"The store could not be read ({type(error).__name__}).") from error

    def _decoded(self, raw: Any) -> Document:
        return Document(
            path=raw.name[len(self._root) + 1 :],
            data=decode_fields(raw.fields),
            version=decode_version(raw.update_time),
        )

    def _encode(self, message: Any, write: Write) -> None:
        if isinstance(write, Delete):
            message.delete = self._name(write.path)
        else:
            message.update.name = self._name(write.path)
            encode_fields(message.update.fields, write.data)
        if isinstance(write, Create):
            message.current_document.exists = False
        elif write.version is not None:
            encode_version(message.current_document.update_time, write.version)
        elif isinstance(write, Patch):
            message.current_document.exists = True
        if isinstance(write, Patch):
            message.update_mask.field_paths.extend(f"`{name}`" for name in write.data)

    def _name(self, path: str) -> str:
        return f"{self._root}/{path}"


def connect(project: str) -> FirestoreDocuments:
    """The default database of `project`, or of the emulator that FIRESTORE_EMULATOR_HOST names."""
    database = f"projects/{project}/databases/(default)"
    emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if not emulator:
        return FirestoreDocuments(FirestoreClient(), database)
    transport = FirestoreGrpcTransport(channel=grpc.insecure_channel(emulator))
    return FirestoreDocuments(FirestoreClient(transport=transport), database, (("authorization", "Bearer owner"),))


def _committed(call: Callable[[], T]) -> T:
    """One attempt. What it raises says whether the commit happened: no, never, not now, or nobody knows."""
    try:
        return call()
    except NOT_APPLIED as error:
        raise PreconditionFailed(f"The documents changed in the meantime ({type(error).__name__}).") from error
    except api.InvalidArgument as error:
        raise InvalidWrite(error.message) from error
    except REFUSED_FOR_NOW as error:
        raise StoreUnavailable(f"The store refused for now ({type(error).__name__}).") from error
    except (api.GoogleAPIError, grpc.RpcError) as error:
        raise OutcomeUnknown(f"The store gave no clear answer ({type(error).__name__}).") from error
