"""Field of money in answers."""

from typing import Any

from marshmallow import fields

from shared.payments.fiat import Fiat


class Money(fields.Field[Any]):
    """Money in an answer: decimal text and currency. Inside a Fiat, or a stored object in the form of answers."""

    def __init__(self, **kwargs: Any) -> None:
        properties = {"amount": {"type": "string"}, "currency": {"type": "string"}}
        metadata = {"type": "object", "properties": properties, "required": ["amount", "currency"]}
        super().__init__(metadata=metadata, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return {"amount": value.decimal, "currency": value.currency} if isinstance(value, Fiat) else value
