"""Documents on Google Cloud Firestore: one attempt per commit, typed outcomes."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.api_core import exceptions as api
from google.api_core.retry import Retry

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
    Upsert,
    Version,
    Write,
    check_writes,
)
from shared.kernel.listings import InvalidToken, ListedPage
from shared.kernel.watching import Listener
from shared.platform.firestore.calls import (
    FirestoreCalls,
    RawBatchGet,
    RawCommit,
    RawGet,
    RawList,
    emulator_channel,
    production_channel,
)
from shared.platform.firestore.queries import run_query_request
from shared.platform.firestore.values import decode_fields, decode_version, encode_fields, encode_value, encode_version
from shared.platform.firestore.watching import FirestoreWatch

T = TypeVar("T")
Status = grpc.StatusCode

READ_AGAIN = frozenset({Status.UNAVAILABLE, Status.INTERNAL, Status.ABORTED})
NOT_APPLIED = frozenset({Status.ALREADY_EXISTS, Status.FAILED_PRECONDITION, Status.NOT_FOUND})
TOKEN_UNKNOWN = frozenset({Status.INVALID_ARGUMENT, Status.UNKNOWN})
"""Answers to a listing's token that the store does not know: Firestore's, and the emulator's."""
REFUSED_FOR_NOW = frozenset(
    {Status.ABORTED, Status.RESOURCE_EXHAUSTED, Status.PERMISSION_DENIED, Status.UNAUTHENTICATED}
)


class FirestoreDocuments:
    """Firestore database; see `connect`. Safe to share between threads."""

    def __init__(self, calls: FirestoreCalls, database: str) -> None:
        self._calls = calls
        self._database = database
        self._root = f"{database}/documents"

    def get(self, path: str) -> Document | None:
        """Return the document, strongly consistent, or None; see `Documents.get`."""
        request = RawGet(name=self._name(path))
        return _read(lambda: self._gotten(request))

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents in the order of `paths`, None for each that is missing; see `Documents.get_all`."""
        request = RawBatchGet(database=self._database, documents=[self._name(path) for path in dict.fromkeys(paths)])
        found = {document.path: document for document in _read(lambda: self._found(request))}
        return [found.get(path) for path in paths]

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents, at most `query.limit`; see `Documents.query`."""
        request = run_query_request(self._root, query)
        return _read(lambda: self._matching(request))

    def listed(self, collection: str, limit: int, token: str = "") -> ListedPage:
        """Return the next page of a collection with its missing documents; see `Listings.listed`."""
        parent, _, name = collection.rpartition("/")
        request = RawList(
            parent=f"{self._root}/{parent}" if parent else self._root,
            collection_id=name,
            page_size=limit,
            page_token=token,
            show_missing=True,
        )
        return _read(lambda: self._page(request))

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none, and return the new version of each, in order; see `Documents.commit`."""
        check_writes(writes)
        request = RawCommit(database=self._database)
        for write in writes:
            self._encode(request.writes.add(), write)
        try:
            response = self._calls.commit(request, timeout_seconds)
        except grpc.RpcError as error:
            raise _what_became_of_it(error) from error
        return [decode_version(result.update_time) for result in response.write_results]

    def watch(self, query: Query, listener: Listener) -> FirestoreWatch:
        """Start to report every match of `query`, without its limit, to `listener`; see `Watches.watch`.

        The listener is called on the watch's own thread.
        """
        watch = FirestoreWatch(self._calls, self._database, run_query_request(self._root, query), self._decoded)
        watch.begin(listener)
        return watch

    def _gotten(self, request: Any) -> Document | None:
        try:
            return self._decoded(self._calls.get(request, READ_TIMEOUT_SECONDS))
        except grpc.RpcError as error:
            if _status(error) is Status.NOT_FOUND:
                return None
            raise

    def _page(self, request: Any) -> ListedPage:
        try:
            answer = self._calls.list_documents(request, READ_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            if request.page_token and _status(error) in TOKEN_UNKNOWN:
                raise InvalidToken from error
            raise
        there = [each for each in answer.documents if each.HasField("create_time")]
        missing = [each.name[len(self._root) + 1 :] for each in answer.documents if not each.HasField("create_time")]
        return ListedPage(documents=list(map(self._decoded, there)), missing=missing, token=answer.next_page_token)

    def _found(self, request: Any) -> list[Document]:
        answers = self._calls.batch_get(request, READ_TIMEOUT_SECONDS)
        return [self._decoded(answer.found) for answer in answers if answer.HasField("found")]

    def _matching(self, request: Any) -> list[Document]:
        answers = self._calls.run_query(request, READ_TIMEOUT_SECONDS)
        return [self._decoded(answer.document) for answer in answers if answer.HasField("document")]

    def _decoded(self, raw: Any) -> Document:
        return Document(
            path=raw.name[len(self._root) + 1 :],
            data=decode_fields(raw.fields),
            version=decode_version(raw.update_time),
        )

    def _encode(self, message: Any, write: Write) -> None:
        """Fill one write of a commit, with the write's precondition. Raises InvalidWrite."""
        if isinstance(write, Delete):
            message.delete = self._name(write.path)
        else:
            message.update.name = self._name(write.path)
            encode_fields(message.update.fields, write.data)
        if isinstance(write, Create):
            message.current_document.exists = False
        elif isinstance(write, Upsert):
            _encode_minima(message, write.minima)
        elif write.version is not None:
            encode_version(message.current_document.update_time, write.version)
        elif isinstance(write, Patch):
            message.current_document.exists = True
        if isinstance(write, Patch | Upsert):
            message.update_mask.field_paths.extend(f"`{name}`" for name in write.data)

    def _name(self, path: str) -> str:
        return f"{self._root}/{path}"


def connect(project: str) -> FirestoreDocuments:
    """Open the default database of `project`, or of the emulator that FIRESTORE_EMULATOR_HOST names."""
    database = f"projects/{project}/databases/(default)"
    emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if not emulator:
        return FirestoreDocuments(FirestoreCalls(production_channel(), database), database)
    owner = (("authorization", "Bearer owner"),)
    return FirestoreDocuments(FirestoreCalls(emulator_channel(emulator), database, owner), database)


def _encode_minima(message: Any, minima: Mapping[str, int]) -> None:
    for name, least in minima.items():
        transform = message.update_transforms.add(field_path=f"`{name}`")
        encode_value(transform.minimum, least)


def _status(error: BaseException) -> Any:
    """Return the gRPC status of a failed call; None if the error carries no status."""
    return error.code() if isinstance(error, grpc.Call) else None


READ_RETRY = Retry(
    predicate=lambda error: _status(error) in READ_AGAIN, initial=0.05, maximum=1.0, timeout=READ_TIMEOUT_SECONDS
)
"""Retry for reads, which have no effect. A commit is never repeated behind the caller's back."""


def _read(call: Callable[[], T]) -> T:
    try:
        return READ_RETRY(call)()
    except (api.RetryError, grpc.RpcError) as error:
        raise StoreUnavailable(f"The store could not be read ({type(error).__name__}).") from error


def _what_became_of_it(error: grpc.RpcError) -> Exception:
    """Return our error for a failed commit.

    PreconditionFailed and InvalidWrite: the commit was refused. StoreUnavailable: the commit was refused for now.
    OutcomeUnknown: nobody knows if the commit happened.
    """
    status = _status(error)
    name = status.name if isinstance(status, Status) else type(error).__name__
    if status in NOT_APPLIED:
        return PreconditionFailed(f"The documents changed in the meantime ({name}).")
    if status is Status.INVALID_ARGUMENT:
        return InvalidWrite(_details(error))
    if status in REFUSED_FOR_NOW:
        return StoreUnavailable(f"The store refused for now ({name}).")
    return OutcomeUnknown(f"The store gave no clear answer ({name}).")


def _details(error: Any) -> str:
    return str(error.details())
