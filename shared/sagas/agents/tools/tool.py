"""The contract of a tool: a name, a schema and one method, and the values that go in and come out.

A model calls a tool, and a web page may have instructed the model: the arguments are hostile. So a tool sees the task
only through `ToolUse`: no user, no other task, no budget but the task's own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from shared.ai.models.catalogue import Model
from shared.ai.tokens import Usage
from shared.kernel.documents import Write
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim
from shared.sagas.metering.call_cost import CallCost

OBSERVATION_CHARACTERS_MAX = 16_000
"""Most characters of one answer that a model reads. A tool with a longer answer says how to get the rest."""
ARGUMENTS_BYTES_MAX = 200_000
ARGUMENTS_DEPTH_MAX = 8
TYPES: Mapping[str, type] = {"string": str, "integer": int, "array": list, "object": dict}


NOTHING = Usage(input_tokens=0, output_tokens=0)


class ToolFailed(Exception):
    """A tool did not work. The model reads the reason, and the task continues."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """A file of a task."""

    name: str
    content: str
    content_type: str = "text/plain"
    is_artifact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The answer of a tool. `files` and other `writes` are committed with the step that records the answer.

    `is_private`: the text holds the user's own data, so from then on `web_fetch` asks named hosts only. `cost`: the
    amount (µcr) to capture from the tool's hold. `charged`: the amount (µcr) that the tool's own saga has already
    charged. `plan` is a new plan; None: the old plan stays. `failure` is an error's code; None: the tool worked.
    """

    text: str
    sources: tuple[str, ...] = ()
    files: tuple[TaskFile, ...] = ()
    images: tuple[str, ...] = ()
    is_private: bool = False
    cost: Micro | None = None
    usage: Usage = NOTHING
    charged: Micro | None = None
    plan: tuple[Mapping[str, str], ...] | None = None
    writes: tuple[Write, ...] = ()
    failure: str | None = None


class ToolUse(Protocol):
    """One call of a tool, as the tool sees the call: the task's own files, budget, and operation id."""

    @property
    def uid(self) -> Uid:
        """The user who owns the task and pays."""
        ...

    @property
    def task_id(self) -> str:
        """The id of the task."""
        ...

    @property
    def operation(self) -> OperationId:
        """The operation id, the same for every attempt at this call. A tool's own saga uses this id as the key."""
        ...

    @property
    def budgets(self) -> tuple[BudgetClaim, ...]:
        """The caps that the tool's spending counts against."""
        ...

    @property
    def default_model(self) -> str:
        """The task's own model."""
        ...

    @property
    def end_user(self) -> str:
        """The user's pseudonym for model providers."""
        ...

    @property
    def hosts(self) -> frozenset[str] | None:
        """The hosts that may be asked for pages; None for every public host."""
        ...

    def hold(self, model: Model, cost: CallCost) -> Micro:
        """Set credits aside for this model under the task's budget, and return the held amount (µcr).

        The amount is the most the call may cost, or as much as is available. Call once per use. Raises the ledger's
        refusals; the caller of the tool then pauses the task.
        """
        ...

    def file(self, name: str) -> TaskFile | None:
        """Return the file of this task with this name, or None."""
        ...

    def file_names(self) -> Sequence[str]:
        """Return the names of this task's files."""
        ...


class Tool(Protocol):
    """An action that a model may use."""

    @property
    def name(self) -> str:
        """The name by which a model calls the tool."""
        ...

    @property
    def description(self) -> str:
        """The description of the tool for the model."""
        ...

    @property
    def parameters(self) -> Mapping[str, object]:
        """The JSON Schema of the arguments: an object of strings, integers and lists. No other field is allowed."""
        ...

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation. `arguments` fit the schema.

        Raises ToolFailed, and the ledger's refusals.
        """
        ...


@runtime_checkable
class LeavesThings(Protocol):
    """A tool that stores data before the use is recorded."""

    def forget_use(self, use: ToolUse) -> None:
        """Remove the data that this use has stored, unless a step records the use. Call only for an abandoned use."""
        ...


def text_field(description: str, length_max: int) -> Mapping[str, object]:
    """Return the schema of a text that is not empty."""
    return {"type": "string", "minLength": 1, "maxLength": length_max, "description": description}


def whole_field(description: str, low: int, high: int) -> Mapping[str, object]:
    """Return the schema of a whole number."""
    return {"type": "integer", "minimum": low, "maximum": high, "description": description}


def parse_arguments(schema: Mapping[str, object], text: str) -> Mapping[str, Any]:
    """Return the model's arguments if they fit the schema.

    Raises ToolFailed with the first misfit, so the model can correct.
    """
    if len(text.encode("utf-8", "replace")) > ARGUMENTS_BYTES_MAX:
        raise ToolFailed("bad_arguments", "The arguments are too long.")
    try:
        value = json.loads(text or "{}", parse_constant=_refuse)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise ToolFailed("bad_arguments", "The arguments are not valid JSON.") from error
    _check(schema, value, "arguments", 0)
    arguments: Mapping[str, Any] = value
    return arguments


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _check(schema: Mapping[str, Any], value: Any, name: str, depth: int) -> None:
    """Check one argument against the tool's schema, and all parts of that argument.

    Raises ToolFailed with a sentence that the model can act on. `name` is the path of the argument, such as `urls[2]`.
    """
    kind = TYPES[schema["type"]]
    if not isinstance(value, kind) or isinstance(value, bool) or depth > ARGUMENTS_DEPTH_MAX:
        raise ToolFailed("bad_arguments", f"{name} must be of type {schema['type']}.")
    if "enum" in schema and value not in schema["enum"]:
        raise ToolFailed("bad_arguments", f"{name} must be one of {', '.join(schema['enum'])}.")
    if isinstance(value, str):
        _check_size(len(value), schema.get("minLength", 0), schema["maxLength"], f"the length of {name}")
        if "\0" in value or not _is_unicode(value):
            raise ToolFailed("bad_arguments", f"{name} must be Unicode text without NUL.")
    elif isinstance(value, int):
        _check_size(value, schema["minimum"], schema["maximum"], name)
    elif isinstance(value, list):
        _check_size(len(value), schema.get("minItems", 0), schema["maxItems"], f"the length of {name}")
        for number, item in enumerate(value):
            _check(schema["items"], item, f"{name}[{number}]", depth + 1)
    elif isinstance(value, dict):
        _check_object(schema, value, name, depth)


def _check_object(schema: Mapping[str, Any], value: Mapping[str, Any], name: str, depth: int) -> None:
    if missing := [key for key in schema.get("required", ()) if key not in value]:
        raise ToolFailed("bad_arguments", f"{name} must have {missing[0]}.")
    for key, item in value.items():
        if key not in schema["properties"]:
            raise ToolFailed("bad_arguments", f"{name} has no field {key[:40]!r}.")
        _check(schema["properties"][key], item, key, depth + 1)


def _check_size(size: int, low: int, high: int, what: str) -> None:
    if not low <= size <= high:
        raise ToolFailed("bad_arguments", f"{what} must be from {low} to {high}.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
