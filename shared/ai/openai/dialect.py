"""Interface of the OpenAI routes: how a route measures and sends a request, and reads and streams the answer.

A dialect is pure: shapes and counts only. Other modules handle money and storage.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.ai.models.catalogue import TOKENS_MAX, VISION, Kind, Model
from shared.ai.models.choice import Needs
from shared.ai.models.image_tokens import WINDOW_TOKENS, PromptImage
from shared.ai.models.prompt import ContextTooLong, Prompt
from shared.ai.models.usage_report import UsageForm
from shared.ai.openai.image_sizes import is_other_than_image, size_in
from shared.ai.openai.passthrough import Json
from shared.ai.openai.prompt_files import FILES, PAGE_TEXT_TOKENS, ModelWithoutFiles, PromptFile
from shared.ai.ports import ChatEvent
from shared.ai.tokens import Usage, at_most_tokens, expected_tokens, prompt_at_most, prompt_expected
from shared.kernel.errors import InvalidValue, Rejected

IMAGES_MAX = 100
DETAIL_CHARACTERS_MAX = 16
CHOICES_MAX = 16
PAGE_IMAGE = PromptImage(size=None, detail="high")
"""Image of one page of a file."""
TOOLS = frozenset({"function", "custom"})
SEARCH = "is not offered here: searches have no price in tokens"
OTHER_PRICES = {
    "web_search_options": SEARCH,
    "search_parameters": SEARCH,
    "enable_search": SEARCH,
    "models": "is not offered here: another model has another price; send 'auto' as the model",
    "fallbacks": "is not offered here: another model has another price; send 'auto' as the model",
    "provider": "is not offered here: another provider has another price",
    "plugins": "is not offered here: plugins have no price in tokens",
}
"""Refused fields: each makes a provider search, or makes a gateway ask another model or several models."""
THINKING: Mapping[str, tuple[str, ...]] = {"reasoning": ("effort", "max_tokens", "enabled"), "thinking": ("type",)}
"""Objects that make a provider reason, each with the members that say so."""
NOT_THINKING = (None, False, "none", "disabled")
UNCOUNTED = ("audio", "images", "videos", "video", "files", "file_ids", "attachments", "input_audio")
"""Members of a message by which some providers take more than the text."""


class ModelWithoutVision(Rejected):
    """Refusal: the model takes no images, so no image is sent."""

    code = "model_without_vision"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model} cannot see images: choose one whose capabilities name vision.", model=model
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Measure of a request: texts that become tokens, images, files, and the number of answers.

    `limit` is the most tokens of one answer; None if the request sets no limit.
    """

    texts: tuple[str, ...]
    images: tuple[PromptImage, ...] = ()
    choices: int = 1
    limit: int | None = None
    files: tuple[PromptFile, ...] = ()
    uses_tools: bool = False
    is_apart: bool = False
    """True if each text has the model's whole window."""
    has_hidden_output: bool = False
    """See `Prompt.has_hidden_output`."""

    @property
    def needs(self) -> Needs:
        """Requirements on a model. The whole request has to fit, as nothing is cut here."""
        tokens = prompt_expected(self.texts) + len(self.images) * WINDOW_TOKENS
        wanted = {VISION: bool(self.images), "tools": self.uses_tools, FILES: bool(self.files)}
        capabilities = frozenset(name for name, is_wanted in wanted.items() if is_wanted)
        return Needs(least_tokens=tokens, whole_tokens=tokens, capabilities=capabilities, images=self.images)

    def prompt(self, model: Model) -> Prompt:
        """Return the expected and the largest token counts of the request and its answers on `model`.

        Raises ContextTooLong, ModelWithoutVision, ModelWithoutFiles.

        An image may be billed as more tokens than the image takes of the window. So the window does not bound the
        billed tokens of images.
        """
        if self.images and not model.sees:
            raise ModelWithoutVision(model.id)
        if self.files and FILES not in model.capabilities:
            raise ModelWithoutFiles(model.id)
        expected, at_most = prompt_expected(self.texts), prompt_at_most(self.texts)
        images = [model.image_formula.expected(image) for image in self.images]
        images_at_most = [model.image_formula.at_most(image) for image in self.images]
        windows, room = 1, model.context_window - 1
        if self.files:
            pages = sum(each.pages for each in self.files)
            pages_at_most = sum(each.pages_at_most for each in self.files)
            expected += pages * PAGE_TEXT_TOKENS
            at_most = model.context_window
            images += [model.image_formula.expected(PAGE_IMAGE)] * pages
            images_at_most += [model.image_formula.at_most(PAGE_IMAGE)] * pages_at_most
        fullest = expected + sum(min(tokens, WINDOW_TOKENS) for tokens in images)
        if self.is_apart:
            longest = max(self.texts, key=at_most_tokens)
            windows, fullest, room = len(self.texts), expected_tokens(longest), model.context_window
        if fullest > room:
            raise ContextTooLong(tokens=fullest, limit=model.context_window)
        asked = min(self.limit or model.max_output_tokens, model.max_output_tokens)
        return Prompt(
            messages=(),
            input_expected=expected + sum(images),
            input_at_most=min(at_most, windows * model.context_window) + sum(images_at_most),
            is_input_counted=images == images_at_most and not self.files,
            has_hidden_output=self.has_hidden_output,
            output_at_most=self.choices * min(asked, model.context_window - fullest),
        )


class Transcript(Protocol):
    """Answer under assembly. `told` is the number of objects that the client got."""

    told: int

    def take(self, raw: Json) -> Json | None:
        """Add a delivered object. Return the object for the client; None if the client gets nothing now."""
        ...

    def end(self, reason: str, counted: Usage | None) -> Json:
        """Return the whole answer.

        `reason` is used if the upstream gave no finish reason. `counted` is the usage counted here; None if the
        upstream's report stands.
        """
        ...


class AnswerReader(Protocol):
    """Translator of one answer into events, object by object."""

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """Yield the events of one object of the answer. Raises UpstreamUnavailable if the answer failed."""
        ...

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """Yield the events of the end of the answer. `is_done`: the upstream has said that the answer is complete."""
        ...


class Dialect(Protocol):
    """Interface of one OpenAI endpoint."""

    path: str
    kind: Kind

    def demand(self, body: Json) -> Demand:
        """Return the measure of a body.

        Raises InvalidValue for a field that has no price in tokens, or that could refer to another user's data at the
        provider.
        """
        ...

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """Return the body for the upstream: the upstream's model name, and an output of at most `output_cap` tokens.

        `is_whole`: the answer comes in one piece, else as a stream.
        """
        ...

    def reader(self, body: Json, form: UsageForm) -> AnswerReader:
        """Return a reader of the answer to `body`. `form` says where the provider counts reasoning."""
        ...

    def transcript(self, body: Json) -> Transcript:
        """Return an empty transcript of the answer to `body`."""
        ...

    def pieces(self, answer: Json) -> Iterator[Json]:
        """Yield a whole answer as the objects of a stream, without the end."""
        ...

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """Return the last objects of the stream, after `told` objects. The very last says the cost."""
        ...


def items(body: Json, name: str) -> list[Any]:
    """Return the list in the body's field `name`; empty if the field is absent or null. Raises InvalidValue."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidValue(name, "must be a list")
    return value


def count(body: Json, name: str, *, most: int = TOKENS_MAX) -> int | None:
    """Return the whole number, 1 to `most`, in the body's field `name`; None if absent or null. Raises InvalidValue."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidValue(name, f"must be a whole number from 1 to {most}")
    return value


def refuse(body: Json, reasons: Mapping[str, str]) -> None:
    """Raise InvalidValue for the first of these fields that is set. Even an object of defaults counts as set."""
    for name, reason in reasons.items():
        if body.get(name) not in (None, False, []):
            raise InvalidValue(name, reason)


def refuse_other_prices(body: Json) -> None:
    """Raise InvalidValue for a field that would cost more than the named model's tariff."""
    refuse(body, OTHER_PRICES)
    if body.get("service_tier") not in {None, "auto", "default", "flex"}:
        raise InvalidValue("service_tier", "is not offered here")


def asks_to_think(body: Json) -> bool:
    """Return True if the body requests reasoning in any provider's spelling. Clients do not see reasoning tokens."""
    asked: list[object] = [body.get(name) for name in ("reasoning_effort", "enable_thinking")]
    for name, told in THINKING.items():
        given = body.get(name)
        asked += [given.get(each) for each in told] if isinstance(given, Mapping) else []
    return any(each not in NOT_THINKING for each in asked)


def function_tools(body: Json) -> list[Any]:
    """Return the tools of the body. Raises InvalidValue for a tool that the provider would run at a separate price."""
    tools = items(body, "tools")
    for at, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or tool.get("type", "function") not in TOOLS:
            raise InvalidValue(f"tools.{at}", "must be a function: hosted tools have no price in tokens here")
    return tools


def prompt_image(url: object, detail: object, field: str) -> PromptImage:
    """Return the image that a part names by an address or a data URL. Raises InvalidValue."""
    if not isinstance(url, str) or not url:
        raise InvalidValue(field, "must name an image by its address or as a data URL")
    if is_other_than_image(url):
        raise InvalidValue(field, "must be an image: files of other types have no price in tokens here")
    is_named = isinstance(detail, str) and len(detail) <= DETAIL_CHARACTERS_MAX
    return PromptImage(size=size_in(url), detail=str(detail) if is_named else "auto")


def bounded_images(images: Sequence[PromptImage], field: str) -> tuple[PromptImage, ...]:
    """Return the images of a request. Raises InvalidValue if there are more than IMAGES_MAX."""
    if len(images) > IMAGES_MAX:
        raise InvalidValue(field, f"may have at most {IMAGES_MAX} images")
    return tuple(images)


def refuse_uncounted(message: Mapping[str, Any], field: str) -> None:
    """Raise InvalidValue for a member that brings images, sound or files in beside the content."""
    for name in UNCOUNTED:
        if message.get(name) not in (None, [], {}, ""):
            raise InvalidValue(f"{field}.{name}", "has no price in tokens here: send images as parts of the content")


def as_text(value: object) -> str:
    """Return the value as text. A model sees at most this text of the value."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
