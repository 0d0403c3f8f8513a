"""Every schema that reads what a client sent is bounded, in each of its fields, before its elements are looked at."""

from collections.abc import Iterator

import pytest
from marshmallow import Schema, ValidationError, fields

from functions.http.fields import ERRORS_MAX, FIELDS_MAX, Items, Passing, Table
from functions.http.openai import BODY_BYTES_MAX
from functions.http.table import ROUTES

MANY = 1_000_000
CROWDED = dict.fromkeys(range(MANY))
LONG = "x" * (BODY_BYTES_MAX + 1)
SCHEMAS = sorted(
    {each for route in ROUTES for each in (route.body, route.query) if each}, key=lambda each: each.__name__
)


def fields_of(schema: Schema, path: str = "") -> Iterator[tuple[str, fields.Field]]:
    for name, field in schema.fields.items():
        yield from parts_of(f"{path}{name}", field)


def parts_of(name: str, field: fields.Field) -> Iterator[tuple[str, fields.Field]]:
    yield name, field
    if isinstance(field, fields.List):
        yield from parts_of(f"{name}.0", field.inner)
    if isinstance(field, fields.Nested):
        yield from fields_of(field.schema, f"{name}.")
    if isinstance(field, fields.Dict) and field.value_field is not None:
        yield from parts_of(f"{name}.*", field.value_field)


FIELDS = [
    pytest.param(field, id=f"{schema.__name__}.{name}") for schema in SCHEMAS for name, field in fields_of(schema())
]


class Untouched(list):
    """A list that fails a test when its elements are looked at."""

    def __iter__(self):
        raise AssertionError("a list that is too long was looked at")


UNTOUCHED = Untouched([1] * MANY)


@pytest.mark.parametrize("field", FIELDS)
def test_field_of_a_request_refuses_what_is_too_large(field):
    for value in (LONG, UNTOUCHED, CROWDED):
        with pytest.raises(ValidationError):
            field.deserialize(value)


@pytest.mark.parametrize("field", FIELDS)
def test_field_of_a_request_is_of_a_bounded_class(field):
    assert not isinstance(field, fields.List) or isinstance(field, Items)
    assert not isinstance(field, fields.Dict) or isinstance(field, Table)
    assert type(field) is not fields.Raw
    assert type(field) is not fields.String
    assert not isinstance(field, Items | Table | Passing) or field.length_max < MANY


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schema_refuses_too_many_fields_with_one_message(schema):
    with pytest.raises(ValidationError) as refused:
        schema().load({f"field_{number}": 1 for number in range(FIELDS_MAX + 1)})

    assert refused.value.messages == {"_schema": [f"Must have at most {FIELDS_MAX} fields."]}


def test_list_stops_looking_after_the_first_errors():
    looked_at = []

    def fail(value):
        looked_at.append(value)
        raise ValidationError("wrong")

    with pytest.raises(ValidationError) as refused:
        Items(fields.Raw(validate=fail), length_max=10_000).deserialize(list(range(10_000)))

    assert len(looked_at) == len(refused.value.messages) == ERRORS_MAX
