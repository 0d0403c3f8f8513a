"""Everything that an error says to a user is a sentence: a capital, a full stop, and words of people."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.reference.errors import every_error
from shared.kernel.errors import InvalidValue
from shared.payments.problems import PROBLEMS

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = re.compile(r"[A-Z9].* .*[.]", re.DOTALL)
PREDICATE = re.compile(r"(must|is|has|cannot|may|needs|names|takes) ")
"""How the problem of an InvalidValue begins, so that it reads on behind the field's name."""
KINDS = {"Rejected", "NotFound", "Conflict", "Unavailable", "Forbidden"}
ERRORS = {cls.__name__ for cls in every_error()}
TREES = {
    file.relative_to(ROOT): ast.parse(file.read_text())
    for folder in ("shared", "functions")
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be, as far as the source says; `9` where a value is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(each.value) if isinstance(each, ast.Constant) else "9" for each in node.values)
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def told_by_classes() -> Iterator[tuple[str, str]]:
    for file, tree in TREES.items():
        for cls in (each for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and each.name in ERRORS):
            for call in (each for each in ast.walk(cls) if isinstance(each, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__" and call.args:
                    yield from ((f"{file}:{call.lineno}", text) for text in texts(call.args[0]))
            for function in (each for each in ast.walk(cls) if isinstance(each, ast.FunctionDef)):
                if function.name == "__init__" and any(each.arg == "detail" for each in function.args.args):
                    defaults = function.args.defaults
                    yield from ((f"{file}:{function.lineno}", text) for each in defaults for text in texts(each))


def told_by_calls(names: set[str], place: int) -> Iterator[tuple[str, str]]:
    for file, tree in TREES.items():
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in names and len(call.args) > place:
                yield from ((f"{file}:{call.lineno}", text) for text in texts(call.args[place]))


def test_every_error_tells_a_sentence():
    told = [*told_by_classes(), *told_by_calls(KINDS | {"MalformedRequest"}, 0)]

    assert len(told) > 80
    assert [(where, text) for where, text in told if not SENTENCE.fullmatch(text)] == []


def test_every_wrong_value_reads_on_behind_its_name():
    told = list(told_by_calls({"InvalidValue"}, 1))

    assert len(told) > 60
    assert [(where, text) for where, text in told if not PREDICATE.match(text)] == []


def test_a_wrong_value_is_told_in_a_sentence():
    assert InvalidValue("amount", "must be more than zero").detail == 'The value of "amount" must be more than zero.'
    assert InvalidValue("tools", "must be few; one is enough.").detail.endswith("enough.")


@pytest.mark.parametrize("sentence", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_every_problem_of_a_payment_is_told_in_sentences(sentence):
    assert SENTENCE.fullmatch(sentence)


def test_no_error_speaks_of_minor_units():
    told = [*told_by_classes(), *told_by_calls({"InvalidValue"}, 1)]

    assert [(where, text) for where, text in told if "minor" in text or "µcr" in text] == []
