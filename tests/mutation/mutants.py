"""Mutants of one module: its functions, each with one small change that the tests are to notice."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).parents[2]
LAWS = ("shared.ledger.account",)
"""Modules whose assertions are laws on what was read, and not notes to a reader: to drop one is a lie as well."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """One change: in which function of which module, at which line, what was there and what is there now."""

    module: str
    function: str
    line: int
    before: str
    after: str
    code: CodeType

    @property
    def name(self) -> str:
        """What it is called in the document that explains survivors; lines move, so they are no part of it."""
        return f"{self.module.rpartition('.')[2]}.{self.function}: `{self.before}` → `{self.after}`"

    def apply(self) -> None:
        """From now on this process runs the mutant: every reference to the function sees it."""
        function_of(self.module, self.function).__code__ = self.code


def mutants_of(module: str) -> list[Mutant]:
    """All of them, in the order of their lines."""
    path = ROOT / (module.replace(".", "/") + ".py")
    tree = ast.parse(path.read_text())
    found: list[Mutant] = []
    for name, function in _functions(tree):
        for number in range(len(list(_changes(function, module)))):
            mutated = copy.deepcopy(function)
            line, before, after = _change(mutated, module, number)
            code = _compiled(tree, function, mutated, path, name)
            if code is not None:
                found.append(Mutant(module, name, line, before, after, code))
    return found


def function_of(module: str, name: str) -> FunctionType:
    """The function of that qualified name, whatever wraps it."""
    owner: Any = import_module(module)
    for part in name.split("."):
        owner = vars(owner)[part]
    for attribute in ("fget", "__func__", "__wrapped__"):
        owner = getattr(owner, attribute, None) or owner
    assert isinstance(owner, FunctionType), name
    return owner


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Outermost functions and methods; what is defined inside of one belongs to it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")


def _compiled(
    tree: ast.Module, function: ast.FunctionDef, mutated: ast.FunctionDef, path: Path, name: str
) -> CodeType | None:
    """The mutated function's code, compiled in its place, so that it closes over what the original does."""
    whole = _Replacing(function, mutated).visit(copy.copy(tree))
    code = _code_of(compile(ast.fix_missing_locations(whole), str(path), "exec"), name)
    original = function_of(f"{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}.{path.stem}", name)
    return code if code is not None and code.co_freevars == original.__code__.co_freevars else None


def _code_of(code: CodeType, name: str) -> CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                return constant
            if (found := _code_of(constant, name)) is not None:
                return found
    return None


class _Replacing(ast.NodeTransformer):
    """Puts one function into the place of another, and copies what is around it only."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> Any:
        if node is self._old:
            return self._new
        if isinstance(node, ast.Module | ast.ClassDef):
            node = copy.copy(node)
            node.body = [self.visit(child) for child in node.body]
        return node


Change = tuple[int, str, Callable[[], str]]
"""At which line, what is there, and how to change it in place, which tells what is there then."""


def _change(function: ast.FunctionDef, module: str, number: int) -> tuple[int, str, str]:
    line, before, change = list(_changes(function, module))[number]
    return line, before, change()


def _changes(function: ast.FunctionDef, module: str) -> Iterator[Change]:
    for parent in _within(function):
        if isinstance(parent, ast.Compare):
            yield from _of_comparison(parent)
        elif isinstance(parent, ast.BinOp | ast.AugAssign) and type(parent.op) in ARITHMETIC:
            yield _replaced(parent, "op", ARITHMETIC[type(parent.op)]())
        elif isinstance(parent, ast.BoolOp):
            yield _replaced(parent, "op", ast.Or() if isinstance(parent.op, ast.And) else ast.And())
        elif isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in SWAPPED:
            yield _replaced(parent, "func", ast.Name(SWAPPED[parent.func.id], ast.Load()))
        elif isinstance(parent, ast.Constant) and isinstance(parent.value, int | float):
            value = not parent.value if isinstance(parent.value, bool) else parent.value + 1
            yield _replaced(parent, "value", value)
        if isinstance(parent, ast.If | ast.IfExp | ast.While) and not isinstance(parent.test, ast.Compare):
            yield _replaced(parent, "test", _negated(parent.test), shown="test")
        yield from _of_statements(parent, module)


def _within(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """All that is run when the function is called; annotations, defaults and decorators are not."""
    waiting: list[ast.AST] = list(function.body)
    for node in waiting:
        yield node
        kept = [child for child in ast.iter_child_nodes(node) if child is not getattr(node, "annotation", None)]
        waiting.extend(kept)


def _negated(test: ast.expr) -> ast.expr:
    is_not = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    return test.operand if is_not else ast.UnaryOp(ast.Not(), test)  # type: ignore[attr-defined]  # it is an UnaryOp


def _of_comparison(node: ast.Compare) -> Iterator[Change]:
    for place, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            yield _replaced(node, "ops", [*node.ops[:place], other(), *node.ops[place + 1 :]])


def _of_statements(parent: ast.AST, module: str) -> Iterator[Change]:
    """A statement that has an effect, left out."""
    for name in ("body", "orelse", "finalbody"):
        statements: Any = getattr(parent, name, ())
        for place, statement in enumerate(statements if isinstance(statements, list) else ()):
            if _has_effect(statement, module):
                yield _left_out(statements, place)


def _has_effect(statement: ast.AST, module: str) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call | ast.Yield | ast.YieldFrom) and not _is_log(statement.value)
    if isinstance(statement, ast.Assign):
        return not isinstance(statement.targets[0], ast.Name | ast.Tuple)
    if isinstance(statement, ast.Assert):
        return module in LAWS
    return isinstance(statement, ast.Raise | ast.Delete | ast.AugAssign | ast.Continue | ast.Break)


def _is_log(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "log"


def _replaced(node: Any, field: str, new: Any, *, shown: str = "") -> Change:
    def change() -> str:
        setattr(node, field, new)
        return _text(getattr(node, shown) if shown else node)

    return node.lineno, _text(getattr(node, shown) if shown else node), change


def _left_out(statements: list[ast.AST], place: int) -> Change:
    def change() -> str:
        statements[place] = ast.copy_location(ast.Pass(), statements[place])
        return "pass"

    return getattr(statements[place], "lineno", 0), _text(statements[place]), change


def _text(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).replace("\n", " ")
