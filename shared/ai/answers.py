"""Answers that a client may ask for again: kept for a day, beside nothing, erased with the user.

`answers/{id}` holds one answer, compressed; what is larger than a document is not kept, and only its record remains.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast

from shared.ai.passthrough import Json
from shared.ai.tokens import Usage
from shared.kernel.clock import DAY, Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Delete, Documents, Patch, Query, Where
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid

ANSWER_VERSION = 1
COLLECTION = "answers"
KEPT_FOR: Millis = DAY
CONTENT_BYTES_MAX = 900_000
ERASE_BATCH = 200


class AnswerNotKept(Conflict):
    """The first request with this idempotency key was answered, and the answer is not kept any more: it was too large,
    or a day has passed. It was charged once, and is not asked again.
    """

    code = "answer_not_kept"

    def __init__(self) -> None:
        super().__init__("This request was answered before, and its answer is not kept any more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer with what the client is told beside it: why it ended, and whether its usage is our own count."""

    answer: Json
    finish_reason: str
    is_estimated: bool
    input_tokens: int
    output_tokens: int
    model: str
    choice: str | None = None
    """Why this model, where it was ours to choose."""

    @property
    def usage(self) -> Usage:
        """What was charged for."""
        return Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)


class Answers:
    """The repository."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def kept(self, uid: Uid, answer_id: str, stored: StoredAnswer) -> Create:
        """The write that keeps it. `expires_at` is what the database's own time to live goes by."""
        data: Data = {
            "v": ANSWER_VERSION,
            "uid": uid,
            "expires_at": to_datetime(self._clock.now() + KEPT_FOR),
            "content": _packed(stored),
        }
        return Create(f"{COLLECTION}/{answer_id}", data)

    def corrected(self, answer_id: str, stored: StoredAnswer) -> Patch:
        """The write that replaces a kept answer, which must be there; its time goes on."""
        return Patch(f"{COLLECTION}/{answer_id}", {"content": _packed(stored)})

    def get(self, uid: Uid, answer_id: str) -> StoredAnswer:
        """The answer. Raises AnswerNotKept."""
        document = self._documents.get(f"{COLLECTION}/{answer_id}")
        if document is None or document.data["uid"] != uid or document.data["content"] is None:
            raise AnswerNotKept
        if from_datetime(cast("datetime", document.data["expires_at"])) <= self._clock.now():
            raise AnswerNotKept
        told: Mapping[str, Any] = json.loads(zlib.decompress(cast("bytes", document.data["content"])))
        return StoredAnswer(**told)

    def erase(self, uid: Uid) -> None:
        """Forget them all: the user leaves."""
        query = Query(collection=COLLECTION, where=(Where("uid", "==", uid),), limit=ERASE_BATCH)
        while found := self._documents.query(query):
            self._documents.commit([Delete(document.path) for document in found])


def _packed(stored: StoredAnswer) -> bytes | None:
    """The answer as it is stored, or None if it is too large."""
    content = zlib.compress(json.dumps(asdict(stored)).encode())
    return content if len(content) <= CONTENT_BYTES_MAX else None
