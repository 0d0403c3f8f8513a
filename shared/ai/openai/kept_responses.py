"""Stored responses that later requests may refer to: for 30 days, for one user each, and erased with the user.

`responses/{id}` holds the input and the answer of a call, compressed. `response_items/{id}` names the response that
contains an item. Both ids derive from the user and OpenAI's own id, so that no user can name another user's documents.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from shared.ai.openai.passthrough import Json
from shared.kernel.clock import DAY, Clock, from_datetime, to_datetime
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Data, Delete, Document, Documents, Patch, Put, Query, Where, Write
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.errors import InvalidValue, NotFound, Rejected
from shared.kernel.ids import Uid, derived_id

RESPONSES, ITEMS = "responses", "response_items"
KEPT_FOR = 30 * DAY
CONTENT_BYTES_MAX = 900_000
"""Most bytes of a compressed response; a document holds 1 MiB."""
UNPACKED_BYTES_MAX = 16 * 1024 * 1024
ITEMS_MAX = 100
"""Most items of one response that requests can refer to."""
ID_CHARACTERS_MAX = 256
CHAIN_MAX = 100
"""Most earlier responses that one request leads back through."""
REFERENCES_MAX = 1_000
"""Most items of one request that refer to stored items."""
RESOLVED_BYTES_MAX = 4 * 1024 * 1024
"""Most bytes that a request may refer to in all, as JSON. A request itself may be as large."""
READS_AT_ONCE = 100
ENCRYPTED = "reasoning.encrypted_content"


class ResponseNotFound(NotFound):
    """Refusal: no such response is stored for this user."""

    code = "response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(f"Response with id '{response_id[:ID_CHARACTERS_MAX]}' not found.")


class PreviousResponseNotFound(Rejected):
    """Refusal of a request that continues a response that is not stored for this user."""

    code = "previous_response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(
            f"Previous response with id '{response_id[:ID_CHARACTERS_MAX]}' not found. Send the conversation itself."
        )


class ItemNotFound(NotFound):
    """Refusal of a request that refers to an item that is not stored for this user."""

    code = "item_not_found"

    def __init__(self, item_id: str) -> None:
        super().__init__(f"Item with id '{item_id[:ID_CHARACTERS_MAX]}' not found. Send the item itself.")


class ResponseNotCancellable(Rejected):
    """Refusal to cancel a response that was not begun in the background."""

    code = "response_not_cancellable"

    def __init__(self) -> None:
        super().__init__("Cannot cancel a synchronous response.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResponse:
    """Input and answer of a call. `previous_id` is OpenAI's id of the response before; None if there is none.

    `input` holds the items of the request alone, without the items of earlier responses.
    """

    input: Sequence[Any]
    answer: Json
    previous_id: str | None = None

    @property
    def output(self) -> Sequence[Json]:
        """Items of the answer."""
        found = self.answer.get("output")
        return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


class KeptResponses:
    """Repository of the stored responses."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def kept(self, uid: Uid, response: KeptResponse) -> Sequence[Write]:
        """Build the writes that store a response; none if the response has no id or is too large for a document."""
        response_id = response.answer.get("id")
        content = _packed(response)
        if not _is_id(response_id) or content is None:
            return ()
        until = to_datetime(self._clock.now() + KEPT_FOR)
        head: Data = {"uid": uid, "expires_at": until}
        path = _path_of(uid, str(response_id))
        places = {_item_path(uid, str(item["id"])): at for at, item in _named_items(response)}
        items = [Put(item, {**head, "response": path, "at": at}) for item, at in places.items()]
        return [Put(path, {**head, "content": content}), *items]

    def corrected(self, uid: Uid, response: KeptResponse) -> Sequence[Write]:
        """Build the writes that replace a stored response; none if the response could not be stored.

        The document must exist, and the expiry and the items do not change.
        """
        response_id, content = response.answer.get("id"), _packed(response)
        if not _is_id(response_id) or content is None:
            return ()
        return [Patch(_path_of(uid, str(response_id)), {"content": content})]

    def get(self, uid: Uid, response_id: str) -> KeptResponse:
        """Return the user's stored response. Raises ResponseNotFound."""
        document = self._documents.get(_path_of(uid, response_id))
        if document is None or not self._is_valid(uid, document):
            raise ResponseNotFound(response_id)
        return _unpacked(document)

    def delete(self, uid: Uid, response_id: str) -> None:
        """Delete a response and the response's items. Raises ResponseNotFound."""
        response = self.get(uid, response_id)
        paths = {_item_path(uid, str(item["id"])) for _, item in _named_items(response)}
        self._documents.commit([Delete(_path_of(uid, response_id)), *map(Delete, sorted(paths))])

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all stored responses and items of a user."""
        where = (Where("uid", "==", uid),)
        return all(
            delete_matching(self._documents, Query(collection=collection, where=where, limit=ERASE_PAGE), deadline)
            for collection in (RESPONSES, ITEMS)
        )

    def resolved(self, uid: Uid, body: Json) -> Json:
        """Return the request with all references replaced by the stored items.

        Raises PreviousResponseNotFound, ItemNotFound, and InvalidValue if the request refers to too much.
        """
        given = _items_of(body.get("input"))
        previous = body.get("previous_response_id")
        if not previous and not any(map(_is_reference, given)):
            return {name: value for name, value in body.items() if name != "previous_response_id"}
        before = self._before(uid, previous) if previous else []
        items = [*before, *self._with_items(uid, given)]
        if len(json.dumps(items)) > RESOLVED_BYTES_MAX:
            raise InvalidValue("input", f"must refer to at most {RESOLVED_BYTES_MAX} bytes; send a part of them")
        return {**{name: value for name, value in body.items() if name != "previous_response_id"}, "input": items}

    def _before(self, uid: Uid, response_id: object) -> list[Json]:
        """Return the items of a response and of all responses before, the oldest first. Raises InvalidValue for too
        many.
        """
        chain = list[KeptResponse]()
        size = 0
        while response_id is not None:
            if len(chain) == CHAIN_MAX:
                problem = f"leads back through more than {CHAIN_MAX} responses: send the conversation itself"
                raise InvalidValue("previous_response_id", problem)
            response = self._previous(uid, response_id)
            size += sum(len(json.dumps(item)) for item in (*response.input, *response.output))
            if size > RESOLVED_BYTES_MAX:
                raise InvalidValue("previous_response_id", f"must lead back to at most {RESOLVED_BYTES_MAX} bytes")
            chain.append(response)
            response_id = response.previous_id
        return [
            item
            for response in reversed(chain)
            for item in (*self._with_items(uid, response.input), *map(as_input, response.output))
            if item is not None
        ]

    def _previous(self, uid: Uid, response_id: object) -> KeptResponse:
        if not _is_id(response_id):
            raise InvalidValue("previous_response_id", "must be the id of a response")
        try:
            return self.get(uid, str(response_id))
        except ResponseNotFound:
            raise PreviousResponseNotFound(str(response_id)) from None

    def _with_items(self, uid: Uid, given: Sequence[Any]) -> list[Any]:
        """Return the items, with each reference replaced by the named item. Raises InvalidValue, ItemNotFound."""
        wanted = list(dict.fromkeys(str(item.get("id")) for item in given if _is_reference(item)))
        if not wanted:
            return list(given)
        if len(wanted) > REFERENCES_MAX:
            raise InvalidValue("input", f"may refer to at most {REFERENCES_MAX} items")
        found = self._items(uid, wanted)
        items = [found[str(item.get("id"))] if _is_reference(item) else item for item in given]
        return [item for item in items if item is not None]

    def _items(self, uid: Uid, ids: Sequence[str]) -> Mapping[str, Json | None]:
        """Return the items of these ids as input; None for an item that no provider can read. Raises ItemNotFound."""
        places = dict[str, tuple[str, int]]()
        for item_id, document in zip(ids, self._read([_item_path(uid, each) for each in ids]), strict=True):
            if document is None or not self._is_valid(uid, document):
                raise ItemNotFound(item_id)
            places[item_id] = (str(document.data["response"]), cast("int", document.data["at"]))
        paths = list(dict.fromkeys(path for path, _ in places.values()))
        kept = dict(zip(paths, self._read(paths), strict=True))
        outputs = {
            path: _unpacked(document).output
            for path, document in kept.items()
            if document is not None and self._is_valid(uid, document)
        }
        found = dict[str, Json | None]()
        for item_id, (path, at) in places.items():
            output = outputs.get(path, ())
            if at >= len(output) or output[at].get("id") != item_id:
                raise ItemNotFound(item_id)
            found[item_id] = as_input(output[at])
        return found

    def _read(self, paths: Sequence[str]) -> list[Document | None]:
        starts = range(0, len(paths), READS_AT_ONCE)
        return [each for start in starts for each in self._documents.get_all(paths[start : start + READS_AT_ONCE])]

    def _is_valid(self, uid: Uid, document: Document) -> bool:
        """Return True if the document belongs to this user and has not expired."""
        until = from_datetime(cast("datetime", document.data["expires_at"]))
        return document.data["uid"] == uid and until > self._clock.now()


INPUT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "message": ("type", "role", "content", "phase"),
    "function_call": ("type", "call_id", "name", "namespace", "arguments"),
    "custom_tool_call": ("type", "call_id", "name", "namespace", "input"),
    "reasoning": ("type", "id", "summary", "content", "encrypted_content"),
}
"""Members of an answer's items that go back to a provider, by type of item."""
PART_FIELDS = ("type", "text", "refusal")


def as_input(item: Json) -> Json | None:
    """Return an item of an answer as input for a provider; None for an item that a provider could not read.

    The provider stores nothing. So reasoning goes back in encrypted form or not at all. Other items go back without the
    ids by which the provider would look for them.
    """
    names = INPUT_FIELDS.get(str(item.get("type")))
    if names is None or (item.get("type") == "reasoning" and not item.get("encrypted_content")):
        return None
    told = {name: item[name] for name in names if item.get(name) is not None}
    for name in ("content", "summary"):
        if isinstance(parts := told.get(name), list):
            told[name] = [{n: part[n] for n in PART_FIELDS if n in part} for part in parts if isinstance(part, Mapping)]
    return told


def _items_of(given: object) -> list[Any]:
    """Return an input as items."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(given) if isinstance(given, list) else []


def request_items(body: Json) -> list[Any]:
    """Return the items of a request as they are kept."""
    return _items_of(body.get("input"))


def _is_reference(item: Any) -> bool:
    """Return True for a reference to an item. OpenAI's clients may leave out the type."""
    if not isinstance(item, Mapping) or not _is_id(item.get("id")):
        return False
    return item.get("type") == "item_reference" or (item.get("type") is None and item.keys() <= {"id", "type"})


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= ID_CHARACTERS_MAX


def _named_items(response: KeptResponse) -> list[tuple[int, Json]]:
    return [(at, item) for at, item in enumerate(response.output) if _is_id(item.get("id"))][:ITEMS_MAX]


def _path_of(uid: Uid, response_id: str) -> str:
    return f"{RESPONSES}/{derived_id('resp', uid, response_id)}"


def _item_path(uid: Uid, item_id: str) -> str:
    return f"{ITEMS}/{derived_id('item', uid, item_id)}"


def _packed(response: KeptResponse) -> bytes | None:
    told = {"input": list(response.input), "answer": response.answer, "previous_id": response.previous_id}
    text = json.dumps(told).encode()
    content = zlib.compress(text) if len(text) <= UNPACKED_BYTES_MAX else None
    return content if content is not None and len(content) <= CONTENT_BYTES_MAX else None


def _unpacked(document: Document) -> KeptResponse:
    told: Mapping[str, Any] = json.loads(zlib.decompress(cast("bytes", document.data["content"])))
    return KeptResponse(input=told["input"], answer=told["answer"], previous_id=told["previous_id"])
