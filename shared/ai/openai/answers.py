"""Answers for clients that repeat a request: stored for one day, and erased with the user.

`answers/{id}` holds one answer, compressed. If an answer is larger than a document, only the record without the answer
remains.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast

from shared.ai.openai.passthrough import Json
from shared.ai.tokens import Usage
from shared.kernel.clock import DAY, Clock, Millis, from_datetime, to_datetime
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Create, Data, Documents, Patch, Query, Where
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid

COLLECTION = "answers"
KEPT_FOR: Millis = DAY
CONTENT_BYTES_MAX = 900_000


class AnswerNotKept(Conflict):
    """Refusal of a repeated request: the answer to this idempotency key is no longer stored.

    The answer was too large, or a day has passed. The request was charged once and is not sent to a provider again.
    """

    code = "answer_not_kept"

    def __init__(self) -> None:
        super().__init__("This request was answered before, and its answer is not kept any more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """Record of an answer, with the finish reason and the token counts for the client.

    `is_estimated`: the tokens are our own count, not the provider's report.
    """

    answer: Json
    finish_reason: str
    is_estimated: bool
    input_tokens: int
    output_tokens: int
    model: str
    choice: str | None = None
    """Reason for the model if this system chose the model, else None."""

    @property
    def usage(self) -> Usage:
        """Charged input and output tokens."""
        return Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)


class Answers:
    """Repository of the stored answers of calls in OpenAI's protocol, for repeated requests."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def kept(self, uid: Uid, answer_id: str, stored: StoredAnswer) -> Create:
        """Build the write that stores the answer.

        `expires_at` is the time to live that the database enforces.
        """
        data: Data = {
            "uid": uid,
            "expires_at": to_datetime(self._clock.now() + KEPT_FOR),
            "content": _packed(stored),
        }
        return Create(f"{COLLECTION}/{answer_id}", data)

    def corrected(self, answer_id: str, stored: StoredAnswer) -> Patch:
        """Build the write that replaces a stored answer. The document must exist, and the expiry does not change."""
        return Patch(f"{COLLECTION}/{answer_id}", {"content": _packed(stored)})

    def get(self, uid: Uid, answer_id: str) -> StoredAnswer:
        """Return the user's stored answer. Raises AnswerNotKept if the answer is absent, expired, too large or another
        user's.
        """
        document = self._documents.get(f"{COLLECTION}/{answer_id}")
        if document is None or document.data["uid"] != uid or document.data["content"] is None:
            raise AnswerNotKept
        if from_datetime(cast("datetime", document.data["expires_at"])) <= self._clock.now():
            raise AnswerNotKept
        told: Mapping[str, Any] = json.loads(zlib.decompress(cast("bytes", document.data["content"])))
        return StoredAnswer(**told)

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all stored answers of a user who leaves."""
        query = Query(collection=COLLECTION, where=(Where("uid", "==", uid),), limit=ERASE_PAGE)
        return delete_matching(self._documents, query, deadline)


def _packed(stored: StoredAnswer) -> bytes | None:
    """Return the answer as compressed JSON; None if the result exceeds CONTENT_BYTES_MAX."""
    content = zlib.compress(json.dumps(asdict(stored)).encode())
    return content if len(content) <= CONTENT_BYTES_MAX else None
