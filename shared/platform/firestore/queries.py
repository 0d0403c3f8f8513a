"""Conversion of our bounded queries to Firestore's structured queries, in raw messages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.cloud.firestore_v1.types import StructuredQuery

from shared.kernel.documents import Query, Value, Where
from shared.platform.firestore.calls import RawRunQuery
from shared.platform.firestore.values import encode_value

NAME = "__name__"
OPERATORS: Mapping[str, int] = {
    "==": StructuredQuery.FieldFilter.Operator.EQUAL,
    "<": StructuredQuery.FieldFilter.Operator.LESS_THAN,
    "<=": StructuredQuery.FieldFilter.Operator.LESS_THAN_OR_EQUAL,
    ">": StructuredQuery.FieldFilter.Operator.GREATER_THAN,
    ">=": StructuredQuery.FieldFilter.Operator.GREATER_THAN_OR_EQUAL,
    "in": StructuredQuery.FieldFilter.Operator.IN,
    "array_contains": StructuredQuery.FieldFilter.Operator.ARRAY_CONTAINS,
}
ALL_OF = int(StructuredQuery.CompositeFilter.Operator.AND)
ASCENDING, DESCENDING = int(StructuredQuery.Direction.ASCENDING), int(StructuredQuery.Direction.DESCENDING)


def run_query_request(root: str, query: Query) -> Any:
    """Build the request for `query`; `root` is `projects/…/databases/…/documents`."""
    parent, _, collection = query.collection.rpartition("/")
    request = RawRunQuery(parent=f"{root}/{parent}" if parent else root)
    structured = request.structured_query
    source = structured.from_.add()
    source.collection_id, source.all_descendants = collection, query.group
    structured.limit.value = query.limit
    if query.is_paths_only:
        structured.select.fields.add().field_path = NAME
    _add_filters(structured, query.where, list(_id_bounds(request.parent, collection, query)))
    for field, is_descending in _orders(query):
        order = structured.order_by.add()
        order.field.field_path, order.direction = field, DESCENDING if is_descending else ASCENDING
    if query.after is not None:
        _start_after(structured.start_at, root, query, query.after)
    return request


def _id_bounds(parent: str, collection: str, query: Query) -> Iterable[tuple[str, str]]:
    if query.id_from is not None:
        yield ">=", f"{parent}/{collection}/{query.id_from}"
    if query.id_to is not None:
        yield "<=", f"{parent}/{collection}/{query.id_to}"


def _add_filters(structured: Any, conditions: Sequence[Where], bounds: Sequence[tuple[str, str]]) -> None:
    """Add the conditions: a single condition as such, several as a conjunction."""
    is_one = len(conditions) + len(bounds) == 1
    if not is_one and (conditions or bounds):
        structured.where.composite_filter.op = ALL_OF

    def added(field: str, operator: str) -> Any:
        inside = structured.where if is_one else structured.where.composite_filter.filters.add()
        inside.field_filter.field.field_path, inside.field_filter.op = field, OPERATORS[operator]
        return inside.field_filter.value

    for where in conditions:
        encode_value(added(where.field, where.operator), where.value)
    for operator, name in bounds:
        added(NAME, operator).reference_value = name


def _orders(query: Query) -> list[tuple[str, bool]]:
    if not query.order_by and (query.is_newest_first or query.after is not None):
        return [(NAME, query.is_newest_first)]
    orders = [(order.field, order.descending) for order in query.order_by]
    is_by_name = query.after is not None and len(query.after) > len(orders)
    return [*orders, (NAME, orders[-1][1])] if is_by_name else orders


def _start_after(cursor: Any, root: str, query: Query, after: Iterable[Value]) -> None:
    cursor.before = False
    for number, value in enumerate(after):
        if number < len(query.order_by):
            encode_value(cursor.values.add(), value)
        else:
            cursor.values.add().reference_value = f"{root}/{value!s}"
