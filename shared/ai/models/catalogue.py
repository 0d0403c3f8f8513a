"""Models, their upstream prices, and the catalogue that operators edit."""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

from shared.ai.models.image_tokens import ImageFormula, formula_named, formula_of
from shared.ai.models.prices import (
    BY_QUALITY,
    BY_SIZE,
    PRICE_RULE,
    REQUEST,
    SIZE_DEFAULT,
    TIERS,
    TOKEN_PRICES,
    ContextTier,
    ModelFields,
    context_tiers,
    price_in,
    quality_prices,
    size_prices,
)
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put, Query, Value
from shared.kernel.errors import InvalidValue, NotFound, Rejected
from shared.kernel.events import log
from shared.kernel.expected import ExpectedVersions
from shared.kernel.ids import ID_CHARACTERS_MAX, is_safe_id

Kind = Literal["chat", "image", "embedding"]

COLLECTION = "models"
CATALOGUE_SECONDS = 30.0
MISSED_SECONDS = 1.0
"""Least time between two reads of the catalogue for models that are missing from the cache."""
MODELS_MAX = 500
VERSIONS = "prices"
VERSIONS_MAX = 1_000
"""Most versions of a model's prices that are shown."""
NAME_CHARACTERS_MAX = 200
CAPABILITIES_MAX = 32
TOKENS_MAX = 100_000_000
EXPECTED_OUTPUT_TOKENS = 400
PUT_ATTEMPTS_MAX = 5

REASONING = "reasoning"
"""Capability of models that think in hidden tokens, for which the caller pays."""
VISION = "vision"
"""Capability of models that take images in a prompt."""
ASKED_FOR_BASE64 = "b64_json"
"""Capability of image models that send an address unless the request demands the picture itself."""

PRICES = ("input_usd_per_mtok", "output_usd_per_mtok", "image_usd")
PRICES_NEEDED: Mapping[str, tuple[str, ...]] = {"chat": PRICES[:2], "image": PRICES[2:], "embedding": PRICES[:1]}
IMAGE_TOKENS = "image_tokens"
PRICE_FIELDS = (*PRICES, BY_SIZE, BY_QUALITY, *TOKEN_PRICES[2:], REQUEST, TIERS)
"""Fields that may make a call dearer. A change of any field here gives the model a new `price_version`."""
FIELDS = frozenset(
    {
        "kind",
        "display_name",
        *PRICE_FIELDS,
        "context_window",
        "max_output_tokens",
        "expected_output_tokens",
        "capabilities",
        IMAGE_TOKENS,
        "is_enabled",
        "upstream",
        "upstream_model",
        "quality",
        "speed",
    }
)
AUTO = "auto"
"""Value that a request may give instead of a model's id. No model has this id."""
UPSTREAM = re.compile(r"(?=.{1,32}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
RANK_MAX = 10
RANK_DEFAULT = 5


class ModelNotFound(NotFound):
    """No enabled model has this id."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__("There is no such model.", model=model[:NAME_CHARACTERS_MAX])


class ModelUnpriced(Rejected):
    """The model's price is absent, or is not a decimal string of zero or more USD. The call is refused."""

    code = "model_unpriced"

    def __init__(self, model: str) -> None:
        super().__init__("This model has no valid price and cannot be used.", model=model[:NAME_CHARACTERS_MAX])


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Catalogue entry of one model. Prices are exact USD: per million tokens, or per image.

    The prices that the model's kind needs are never None.
    """

    id: str
    kind: Kind
    display_name: str
    input_usd_per_mtok: Fraction | None
    output_usd_per_mtok: Fraction | None
    image_usd: Fraction | None
    image_usd_by_size: Mapping[str, Fraction]
    """Price of each size that the model paints.

    Without prices by size in the document, `image_usd` is for SIZE_DEFAULT.
    """
    image_usd_by_quality: Mapping[str, Mapping[str, Fraction]]
    """Price of each size by quality. If empty, a request cannot choose a quality."""
    context_tiers: tuple[ContextTier, ...]
    """Prices of tokens by context length, the shortest first; empty without a price for input."""
    request_usd: Fraction
    """Price of each call beside the price of the tokens."""
    context_window: int
    max_output_tokens: int
    expected_output_tokens: int
    capabilities: tuple[str, ...]
    image_formula: ImageFormula
    """Formula for the tokens of an image in a prompt.

    If the document has none, the formula of `upstream_model` applies.
    """
    is_enabled: bool
    upstream: str
    """Name, in the settings, of the upstream that has the model."""
    upstream_model: str
    quality: int
    """Rank from 1 to RANK_MAX, as operators judge the model, like `speed`. The choice by `auto` weighs both."""
    speed: int
    price_version: int

    @property
    def default_size(self) -> str:
        """Return the size to paint if a request names none."""
        return SIZE_DEFAULT if SIZE_DEFAULT in self.image_usd_by_size else min(self.image_usd_by_size)

    @property
    def is_reasoning(self) -> bool:
        """Return True if the model generates tokens that the caller never sees."""
        return REASONING in self.capabilities

    @property
    def sees(self) -> bool:
        """Return True if the model takes images in a prompt."""
        return VISION in self.capabilities

    def as_wire(self) -> dict[str, object]:
        """Return the model as clients see the model in lists, without prices: see `shared.ai.models.offer`."""
        return {
            "id": self.id,
            "kind": self.kind,
            "display_name": self.display_name,
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "expected_output_tokens": self.expected_output_tokens,
            "capabilities": list(self.capabilities),
            "quality": self.quality,
            "speed": self.speed,
            "price_version": self.price_version,
        }


def parse_model(model_id: str, fields: ModelFields) -> Model:
    """Parse the model that a document describes. Raises InvalidValue naming the first wrong field."""
    kind = fields.get("kind")
    if kind not in PRICES_NEEDED:
        raise InvalidValue("kind", "must be chat, image or embedding")
    kind = cast("Kind", kind)
    prices = {name: _price(fields, name, is_needed=name in PRICES_NEEDED[kind]) for name in PRICES}
    sizes = size_prices(fields) if kind == "image" else {}
    by_size = {size: Fraction(text) for size, text in sizes.items()}
    window = _count(fields, "context_window", default=0 if kind == "image" else None)
    most = _count(fields, "max_output_tokens", default=None if kind == "chat" else 0)
    if kind == "chat" and not 1 <= most <= window:
        raise InvalidValue("max_output_tokens", "must be from 1 to context_window")
    return Model(
        id=model_id,
        kind=kind,
        display_name=_text(fields, "display_name", default=model_id),
        **prices,
        image_usd_by_size=by_size,
        image_usd_by_quality=quality_prices(fields, by_size) if kind == "image" else {},
        context_tiers=context_tiers(fields),
        request_usd=price_in(fields, REQUEST) or Fraction(0),
        context_window=window,
        max_output_tokens=most,
        expected_output_tokens=min(_count(fields, "expected_output_tokens", default=EXPECTED_OUTPUT_TOKENS), most),
        capabilities=_capabilities(fields),
        image_formula=_image_formula(fields, model_id),
        is_enabled=_flag(fields, "is_enabled", default=True),
        upstream=_upstream(fields, kind),
        upstream_model=_text(fields, "upstream_model", default=model_id),
        quality=_rank(fields, "quality"),
        speed=_rank(fields, "speed"),
        price_version=_count(fields, "price_version", default=1),
    )


def _price(fields: ModelFields, name: str, *, is_needed: bool) -> Fraction | None:
    price = price_in(fields, name)
    if price is None and is_needed:
        raise InvalidValue(name, PRICE_RULE)
    return price


def _count(fields: ModelFields, name: str, *, default: int | None) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        raise InvalidValue(name, f"must be a whole number from 0 to {TOKENS_MAX}")
    return value


def _rank(fields: ModelFields, name: str) -> int:
    value = _count(fields, name, default=RANK_DEFAULT)
    if not 1 <= value <= RANK_MAX:
        raise InvalidValue(name, f"must be from 1 to {RANK_MAX}")
    return value


def _upstream(fields: ModelFields, kind: Kind) -> str:
    name = _text(fields, "upstream", default=DEFAULT_UPSTREAM)
    if not UPSTREAM.fullmatch(name):
        raise InvalidValue("upstream", "must be the name of an upstream: lower-case letters, digits, hyphens")
    if kind == "image" and name != DEFAULT_UPSTREAM:
        raise InvalidValue("upstream", f"must be {DEFAULT_UPSTREAM} for a model that paints")
    return name


def _text(fields: ModelFields, name: str, *, default: str) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARACTERS_MAX:
        raise InvalidValue(name, f"must be text of 1 to {NAME_CHARACTERS_MAX} characters")
    return value


def _flag(fields: ModelFields, name: str, *, default: bool) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise InvalidValue(name, "must be true or false")
    return value


def _image_formula(fields: ModelFields, model_id: str) -> ImageFormula:
    numbers = fields.get(IMAGE_TOKENS)
    if numbers is None:
        return formula_named(_text(fields, "upstream_model", default=model_id))
    formula = formula_of(numbers) if isinstance(numbers, Mapping) else None
    if formula is None:
        raise InvalidValue(
            IMAGE_TOKENS,
            "must have the numbers of one formula: base and tile; patch_percent and patches; "
            "pixels_per_token and most; square; or tokens and tokens_most",
        )
    return formula


def _capabilities(fields: ModelFields) -> tuple[str, ...]:
    value = fields.get("capabilities", ())
    if not isinstance(value, list | tuple) or len(value) > CAPABILITIES_MAX:
        raise InvalidValue("capabilities", f"must be a list of at most {CAPABILITIES_MAX} names")
    if not all(isinstance(name, str) and 1 <= len(name) <= NAME_CHARACTERS_MAX for name in value):
        raise InvalidValue("capabilities", "must be a list of names")
    return tuple(value)


class Catalogue:
    """Cache of the models, for up to CATALOGUE_SECONDS.

    After that time a changed price or switch holds on every instance. A new model is found sooner: a model that is
    missing from the cache is looked up in the store, at most once in MISSED_SECONDS.
    """

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[str, Model | InvalidValue] = {}
        self._known_until = self._read_at = float("-inf")

    def enabled(self) -> list[Model]:
        """Return all models that can be used, by id."""
        return [model for model in self._all().values() if isinstance(model, Model) and model.is_enabled]

    def get(self, model_id: str) -> Model:
        """Return the model if enabled and valid. Raises ModelNotFound, ModelUnpriced."""
        model = self._all().get(model_id) or self._missed(model_id)
        if isinstance(model, InvalidValue) and model.params["field"] in PRICE_FIELDS:
            raise ModelUnpriced(model_id)
        if not isinstance(model, Model) or not model.is_enabled:
            raise ModelNotFound(model_id)
        return model

    def of_kind(self, kind: Kind, model_id: str) -> Model:
        """Return the model if the model is of this kind. Raises ModelNotFound, ModelUnpriced."""
        model = self.get(model_id)
        if model.kind != kind:
            raise ModelNotFound(model_id)
        return model

    def chat(self, model_id: str) -> Model:
        """Return the model if the model is for chat. Raises ModelNotFound, ModelUnpriced."""
        return self.of_kind("chat", model_id)

    def image(self, model_id: str) -> Model:
        """Return the model if the model paints. Raises ModelNotFound, ModelUnpriced."""
        return self.of_kind("image", model_id)

    def read(self, model_id: str) -> Data | None:
        """Return the model's document as operators see documents, also if broken or disabled; None if absent."""
        document = self._documents.get(f"{COLLECTION}/{_checked_id(model_id)}")
        return document.data if document else None

    def stored(self) -> Mapping[str, Data]:
        """Return every model's document by id, broken and disabled models included."""
        return {document.id: document.data for document in self._query()}

    def put(
        self, model_id: str, fields: ModelFields, expected: ExpectedVersions | None = None
    ) -> tuple[Data | None, Data]:
        """Write the whole model. Return the documents before and after; the first is None for a new model.

        A changed price gives a new `price_version`. Raises InvalidValue naming the wrong field. Raises VersionChanged
        if the stored model is not as `expected`.
        """
        path = f"{COLLECTION}/{_checked_id(model_id)}"
        if unknown := sorted(fields.keys() - FIELDS):
            raise InvalidValue(unknown[0], "is not a field of a model")
        parse_model(model_id, fields)
        for attempt in range(PUT_ATTEMPTS_MAX):
            before = self._documents.get(path)
            if expected is not None:
                expected.require(before.data if before else None)
            after: dict[str, Value] = {
                "is_enabled": True,
                **_storable(fields),
                "price_version": _price_version(before, fields),
            }
            write = Put(path, after, before.version) if before else Create(path, after)
            try:
                self._documents.commit([write, *self._version_writes(path, before, after)])
            except PreconditionFailed:
                if attempt == PUT_ATTEMPTS_MAX - 1:
                    raise
                continue
            self._known_until = float("-inf")
            return (before.data if before else None), after
        raise AssertionError("the loop returns or raises")

    def _version_writes(self, path: str, before: Document | None, after: Data) -> list[Put]:
        """Return the write that keeps the prices of a new version for ever."""
        version = cast("int", after["price_version"])
        if before is not None and before.data.get("price_version") == version:
            return []
        return [Put(f"{path}/{VERSIONS}/{version}", {**_prices(after), "stored_at": to_datetime(self._clock.now())})]

    def versions(self, model_id: str) -> Sequence[Data]:
        """Return the prices of all versions of a model, the newest first; none for an unknown model.

        A version from before prices were kept is missing, but for the present one, which has no time of storage. Raises
        InvalidValue for an id that no model has.
        """
        present = self.read(model_id)
        query = Query(collection=f"{COLLECTION}/{model_id}/{VERSIONS}", limit=VERSIONS_MAX)
        kept = {int(document.id): document.data for document in self._documents.query(query)}
        if present is not None and isinstance(present.get("price_version"), int):
            kept.setdefault(cast("int", present["price_version"]), {**_prices(present), "stored_at": None})
        return [kept[version] for version in sorted(kept, reverse=True)]

    def _query(self) -> Sequence[Document]:
        return self._documents.query(Query(collection=COLLECTION, limit=MODELS_MAX))

    def _all(self) -> Mapping[str, Model | InvalidValue]:
        with self._lock:
            if self._clock.monotonic() >= self._known_until:
                self._read()
            return self._known

    def _missed(self, model_id: str) -> Model | InvalidValue | None:
        """Return the model if an operator has added the model since the cache was filled."""
        with self._lock:
            if self._clock.monotonic() >= self._read_at + MISSED_SECONDS:
                self._read()
            return self._known.get(model_id)

    def _read(self) -> None:
        self._known = _parsed(self._query())
        self._read_at = self._clock.monotonic()
        self._known_until = self._read_at + CATALOGUE_SECONDS


def _parsed(documents: Iterable[Document]) -> Mapping[str, Model | InvalidValue]:
    models: dict[str, Model | InvalidValue] = {}
    for document in documents:
        try:
            models[document.id] = parse_model(document.id, document.data)
        except InvalidValue as error:
            models[document.id] = error
            log("model_refused", "ERROR", model=document.id, field=str(error.params["field"]))
    return models


def _prices(model: Data) -> dict[str, Value]:
    """Return the version and the prices of a model."""
    return {name: model[name] for name in ("price_version", *PRICE_FIELDS) if model.get(name) is not None}


def _price_version(before: Document | None, fields: ModelFields) -> int:
    if before is None:
        return 1
    version = before.data.get("price_version")
    version = version if isinstance(version, int) and version > 0 else 1
    return version + any(before.data.get(name) != fields.get(name) for name in PRICE_FIELDS)


def _storable(fields: ModelFields) -> Mapping[str, Value]:
    # Parsed before: every field is text, a whole number, a flag, a list of names or texts by name.
    return {name: cast("Value", list(value) if isinstance(value, tuple) else value) for name, value in fields.items()}


def _checked_id(model_id: str) -> str:
    if not is_safe_id(model_id) or model_id == AUTO:
        raise InvalidValue("id", f"must be 1 to {ID_CHARACTERS_MAX} letters, digits or any of _~.:@=+-, and not auto")
    return model_id
