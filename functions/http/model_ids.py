"""Ids of models as OpenAI's clients write them, with their maker's name before a slash."""

from collections.abc import Mapping
from typing import Any

from functions.http.chat_schemas import ModelId


def model_id(text: str) -> str:
    """Return the id in the catalogue, which has a colon for each slash: `meta/llama` → `meta:llama`."""
    return text.strip("/").replace("/", ":")


class NamedModel(ModelId):
    """The id of a model in a request of OpenAI's protocol."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return model_id(super()._deserialize(value, attr, data, **kwargs))
