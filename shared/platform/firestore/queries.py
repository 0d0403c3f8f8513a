"""Our bounded queries as Firestore's structured queries."""

from collections.abc import Mapping
from typing import Any

from google.cloud.firestore_v1.types import Cursor, RunQueryRequest, StructuredQuery
from google.cloud.firestore_v1.types import Value as ValueType

from shared.kernel.documents import Query, Value, Where
from shared.platform.firestore.values import RawValue, encode_value

NAME = "__name__"
OPERATORS: Mapping[str, Any] = {
    "==": StructuredQuery.FieldFilter.Operator.EQUAL,
    "<": StructuredQuery.FieldFilter.Operator.LESS_THAN,
    "<=": StructuredQuery.FieldFilter.Operator.LESS_THAN_OR_EQUAL,
    ">": StructuredQuery.FieldFilter.Operator.GREATER_THAN,
    ">=": StructuredQuery.FieldFilter.Operator.GREATER_THAN_OR_EQUAL,
    "in": StructuredQuery.FieldFilter.Operator.IN,
    "array_contains": StructuredQuery.FieldFilter.Operator.ARRAY_CONTAINS,
}


def run_query_request(root: str, query: Query) -> RunQueryRequest:
    """The request for `query`; `root` is `projects/…/databases/…/documents`."""
    parent, _, collection = query.collection.rpartition("/")
    full_parent = f"{root}/{parent}" if parent else root
    filters = [_field_filter(where) for where in query.where] + _id_filters(full_parent, collection, query)
    structured = StructuredQuery(
        from_=[StructuredQuery.CollectionSelector(collection_id=collection, all_descendants=query.group)],
        where=_all_of(filters),
        order_by=_orders(query),
        limit={"value": query.limit},
    )
    if query.after is not None:
        values = [_bound(root, query, value) for value in query.after]
        structured.start_at = Cursor(values=values, before=False)
    return RunQueryRequest(parent=full_parent, structured_query=structured)


def _field_filter(where: Where) -> Any:
    field = StructuredQuery.FieldReference(field_path=where.field)
    return StructuredQuery.FieldFilter(field=field, op=OPERATORS[where.operator], value=_value(where.value))


def _id_filters(parent: str, collection: str, query: Query) -> list[Any]:
    bounds = ((">=", query.id_from), ("<=", query.id_to))
    return [
        StructuredQuery.FieldFilter(
            field=StructuredQuery.FieldReference(field_path=NAME),
            op=OPERATORS[operator],
            value=ValueType(reference_value=f"{parent}/{collection}/{bound}"),
        )
        for operator, bound in bounds
        if bound is not None
    ]


def _all_of(filters: list[Any]) -> Any:
    wrapped = [StructuredQuery.Filter(field_filter=item) for item in filters]
    if len(wrapped) <= 1:
        return wrapped[0] if wrapped else None
    both = StructuredQuery.CompositeFilter(op=StructuredQuery.CompositeFilter.Operator.AND, filters=wrapped)
    return StructuredQuery.Filter(composite_filter=both)


def _orders(query: Query) -> list[Any]:
    directions = StructuredQuery.Direction
    named = [(order.field, order.descending) for order in query.order_by]
    if not named and query.after is not None:
        named = [(NAME, False)]
    return [
        StructuredQuery.Order(
            field=StructuredQuery.FieldReference(field_path=field),
            direction=directions.DESCENDING if descending else directions.ASCENDING,
        )
        for field, descending in named
    ]


def _bound(root: str, query: Query, value: Value) -> Any:
    return _value(value) if query.order_by else ValueType(reference_value=f"{root}/{value!s}")


def _value(value: Value) -> Any:
    message = RawValue()
    encode_value(message, value)
    return ValueType.wrap(message)
