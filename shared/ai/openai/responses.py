"""Dialect of `POST /responses`, OpenAI's protocol: requests are measured, answers are read and assembled.

Shapes: https://platform.openai.com/docs/api-reference/responses. Nothing is kept with the provider, since all users
share the provider's key. A request that names something kept there is refused. Otherwise one user could continue
another user's conversation. Responses that a request refers to are kept here (`kept_responses`). Their content stands
in the request before the request reaches this module.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.ai.models.catalogue import Kind, Model
from shared.ai.models.image_tokens import PromptImage
from shared.ai.models.usage_report import UsageForm
from shared.ai.openai.dialect import (
    Demand,
    as_text,
    asks_to_think,
    bounded_images,
    count,
    function_tools,
    prompt_image,
    refuse,
    refuse_other_prices,
    refuse_uncounted,
)
from shared.ai.openai.kept_responses import ENCRYPTED
from shared.ai.openai.passthrough import Json
from shared.ai.openai.prompt_files import files_of, is_file
from shared.ai.openai.response_events import ResponseEvents
from shared.ai.openai.response_head import UNNAMED, ResponseHead
from shared.ai.openai.response_pieces import CREATED, ENDED_AS, STARTED, item_events
from shared.ai.openai.response_shape import PublishedEvents
from shared.ai.openai.response_tools import ToolNames
from shared.ai.openai.response_transcript import ResponseTranscript
from shared.kernel.errors import InvalidValue

LIMIT = "max_output_tokens"
LIMIT_MIN = 16
"""Least limit that the provider accepts, in tokens."""
REFUSED = {
    "previous_response_id": "must be resolved before the provider is asked",
    "conversation": "is not offered here: nothing is kept, send the conversation",
    "prompt": "is not offered here: nothing is kept, send the prompt",
    "background": "is not offered here",
}
ABOUT_THE_PROMPT = ("instructions", "tools", "text", "tool_choice")
PARTS = frozenset({"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"})
ITEMS = frozenset(
    {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}
)
"""Items that consist of their text only. Items of hosted tools bring images and files with a price of their own."""
NOT_TEXT = frozenset({"type", "role", "status"})


class Responses:
    """Dialect of `POST /responses`; see `Dialect`. Each request has an instance.

    `names` are the names of functions in namespaces. `is_kept`: the response is kept here for the user. `previous_id`
    is the response that the request continues, None if there is none. `fallback_id` is the id of an answer without one.
    """

    path = "/responses"
    kind: Kind = "chat"

    def __init__(
        self,
        *,
        names: ToolNames | None = None,
        is_kept: bool = False,
        previous_id: str | None = None,
        fallback_id: str = UNNAMED,
    ) -> None:
        self._names = names or ToolNames()
        self._is_kept = is_kept
        self._previous_id = previous_id
        self._fallback_id = fallback_id

    def demand(self, body: Json) -> Demand:
        """Return the measure of a body; see `Dialect.demand`."""
        refuse(body, REFUSED)
        refuse_other_prices(body)
        tools = function_tools(body)
        texts, images = _input(body.get("input"))
        texts += [as_text(body[name]) for name in ABOUT_THE_PROMPT if body.get(name) is not None]
        return Demand(
            texts=tuple(texts),
            images=images,
            files=files_of(body.get("input")),
            limit=count(body, LIMIT),
            uses_tools=bool(tools),
            has_hidden_output=asks_to_think(body),
        )

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """Return the body for the upstream: the upstream's model name, and an output of at most `output_cap` tokens.

        The provider keeps nothing. If the response is kept here, reasoning comes encrypted. See `Dialect.sent`.
        """
        include = body.get("include")
        asked = include if isinstance(include, list) else []
        wants_reasoning = self._is_kept and model.is_reasoning and ENCRYPTED not in asked
        return {
            **body,
            **({"include": [*asked, ENCRYPTED]} if wants_reasoning else {}),
            "model": model.upstream_model,
            LIMIT: output_cap if body.get(LIMIT) else max(LIMIT_MIN, output_cap),
            "stream": not is_whole,
            "store": False,
        }

    def reader(self, body: Json, form: UsageForm) -> ResponseEvents:
        """Return a reader of the answer to `body`; see `Dialect.reader`."""
        return ResponseEvents(PublishedEvents(self._head(body), form), self._names)

    def transcript(self, body: Json) -> ResponseTranscript:
        """Return an empty transcript of the answer to `body`; see `Dialect.transcript`."""
        return ResponseTranscript(self._head(body))

    def _head(self, body: Json) -> ResponseHead:
        return ResponseHead(
            body,
            self._names,
            fallback_id=self._fallback_id,
            is_kept=self._is_kept,
            previous_id=self._previous_id,
        )

    def pieces(self, answer: Json) -> Iterator[Json]:
        """Yield a whole answer as the objects of a stream, without the end; see `Dialect.pieces`.

        Each item in one piece, with the events that clients expect.
        """
        kept = {name: value for name, value in answer.items() if name not in {"usage", "credits"}}
        begun = {**kept, "status": "in_progress", "incomplete_details": None, "output": []}
        events: list[Json] = [{"type": kind, "response": begun} for kind in (CREATED, STARTED)]
        for at, item in enumerate(answer.get("output") or ()):
            events += item_events(at, item)
        for number, event in enumerate(events):
            yield {**event, "sequence_number": number}

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """Return the last objects of the stream, after `told` objects; see `Dialect.tail`."""
        kind = ENDED_AS.get(str(answer.get("status")), ENDED_AS["completed"])
        return [{"type": kind, "sequence_number": told, "response": answer, "credits": answer["credits"]}]


def _input(given: Any) -> tuple[list[str], tuple[PromptImage, ...]]:
    """Return the texts of an input, and the images in the input. Raises InvalidValue."""
    if isinstance(given, str) and given:
        return [given], ()
    if not isinstance(given, list) or not given:
        raise InvalidValue("input", "must be a text, or a list of items")
    texts, images = list[str](), list[PromptImage]()
    for at, item in enumerate(given):
        field = f"input.{at}"
        if not isinstance(item, Mapping) or item.get("type") == "item_reference":
            raise InvalidValue(field, "must be an item: nothing is kept here that could be referred to")
        if item.get("type", "message") not in ITEMS:
            raise InvalidValue(field, "must be a message, a call of a function, its output, or reasoning")
        refuse_uncounted(item, field)
        parts: list[Any] = next((item[name] for name in ("content", "output") if isinstance(item.get(name), list)), [])
        found = [_part(part, f"{field}.content.{number}") for number, part in enumerate(parts)]
        images += [part for part in found if isinstance(part, PromptImage)]
        rest = {n: v for n, v in item.items() if n not in NOT_TEXT and v is not None and not (v is parts and parts)}
        texts.append("\n".join([*(part for part in found if isinstance(part, str)), as_text(rest)]))
    return texts, bounded_images(images, "input")


def _part(part: Any, field: str) -> str | PromptImage:
    """Return the text or the image of a part. Raises InvalidValue."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in PARTS:
        return as_text(part.get("text") or part.get("refusal") or "")
    if is_file(part):
        return ""
    if kind == "input_image" and not part.get("file_id"):
        return prompt_image(part.get("image_url"), part.get("detail"), field)
    raise InvalidValue(field, "must be a text or an image_url: nothing else has a price in tokens here")
