"""`calculator`: exact arithmetic on fractions, in bounded size. Only numbers, operators and a few functions work."""

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import Observation, Tool, ToolFailed, ToolUse, text_field

EXPRESSION_CHARACTERS_MAX = 1_000
NESTING_MAX = 50
EXPONENT_MAX = 10_000
BITS_MAX = 12_000
"""Most bits of a numerator or denominator in any step: about 3 600 digits."""
DIGITS_SHOWN = 50
NUMBER_DIGITS_MAX = 300
NUMBER_BEGINS = frozenset("0123456789.")
SCALE_MAX = 1_000

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?)|(?P<name>[a-z]+)|(?P<sign>\*\*|//|[-+*/%^(),]))",
    re.ASCII,
)
PRECEDENCE: Mapping[str, int] = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}


class Calculator:
    """The tool `calculator`: `10 / 4`, `2^64 - 1`, `max(1/3, 0.3)`, `round(2/3, 4)`."""

    name = "calculator"
    description = (
        "Exact arithmetic. Operators + - * / // % ^ (or **) and parentheses; functions abs, min, max, floor, ceil, "
        "round(x, digits), gcd, lcm, factorial. Fractions stay exact."
    )
    parameters: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "expression": text_field("What to compute, such as (19.99 * 3) / 1.2", EXPRESSION_CHARACTERS_MAX)
        },
        "required": ["expression"],
        "additionalProperties": False,
    }

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation; see `Tool.use`."""
        del use
        return Observation(text=shown(evaluate(arguments["expression"])))


def build_tool(parts: ToolParts) -> Tool:
    """Build the tool."""
    del parts
    return Calculator()


def evaluate(expression: str) -> Fraction:
    """Return the exact value. Raises ToolFailed if the expression is not arithmetic, or is too large."""
    if len(expression) > EXPRESSION_CHARACTERS_MAX:
        raise ToolFailed("too_large", f"An expression has at most {EXPRESSION_CHARACTERS_MAX} characters.")
    parser = _Parser(_tokens(expression))
    value = parser.sum_of_terms(0)
    parser.expect("")
    return value


def shown(value: Fraction) -> str:
    """Return the value as exact text. If the exact text is a fraction, add an approximate decimal."""
    if value.denominator == 1:
        return str(value.numerator)
    with localcontext() as context:
        context.prec = DIGITS_SHOWN
        decimal = Decimal(value.numerator) / Decimal(value.denominator)
    is_exact = Fraction(decimal) == value
    return f"{decimal}" if is_exact else f"{value.numerator}/{value.denominator} (about {decimal})"


class _Parser:
    """A parser by precedence climbing. Powers bind tighter than a sign, and group to the right."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._next
        self._at += 1
        return token

    def expect(self, token: str) -> None:
        if self._next != token:
            raise ToolFailed("not_arithmetic", f"Expected {token or 'the end'}, found {self._next or 'the end'}.")
        self._at += 1

    def sum_of_terms(self, above: int) -> Fraction:
        """Parse and return the value of all operators that bind tighter than `above`."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise ToolFailed("too_large", f"An expression is nested at most {NESTING_MAX} deep.")
        value = self._signed()
        while (precedence := PRECEDENCE.get(self._next, 0)) > above:
            operator = self._take()
            value = _bounded(OPERATORS[operator](value, self.sum_of_terms(precedence)))
        self._depth -= 1
        return value

    def _signed(self) -> Fraction:
        sign = 1
        while self._next in {"+", "-"}:
            sign = -sign if self._take() == "-" else sign
        return sign * self._power()

    def _power(self) -> Fraction:
        base = self._atom()
        if self._next not in {"^", "**"}:
            return base
        self._take()
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise ToolFailed("too_large", f"An expression is nested at most {NESTING_MAX} deep.")
        exponent = self._signed()
        self._depth -= 1
        return power(base, exponent)

    def _atom(self) -> Fraction:
        piece = self._take()
        if piece == "(":
            value = self.sum_of_terms(0)
            self.expect(")")
            return value
        if piece in FUNCTIONS:
            return self._called(piece)
        if piece[:1] in NUMBER_BEGINS:
            return _number(piece)
        raise ToolFailed("not_arithmetic", f"A number was expected, not {piece or 'the end'}.")

    def _called(self, name: str) -> Fraction:
        self.expect("(")
        values = [self.sum_of_terms(0)]
        while self._next == ",":
            self._take()
            values.append(self.sum_of_terms(0))
        self.expect(")")
        try:
            return _bounded(Fraction(FUNCTIONS[name](*values)))
        except TypeError as error:
            raise ToolFailed("not_arithmetic", f"{name} does not take {len(values)} values.") from error


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """Return `base` to a whole exponent. Check the size before computing. Raises ToolFailed."""
    if exponent.denominator != 1 or abs(exponent) > EXPONENT_MAX:
        raise ToolFailed("too_large", f"An exponent is a whole number of at most {EXPONENT_MAX}.")
    if base == 0 and exponent < 0:
        raise ToolFailed("division_by_zero", "Zero has no negative power.")
    longest = max(abs(base.numerator).bit_length(), base.denominator.bit_length())
    if longest > 1 and longest * abs(int(exponent)) > 2 * BITS_MAX:
        raise ToolFailed("too_large", "The result has too many digits.")
    return _bounded(base ** int(exponent))


def _tokens(expression: str) -> list[str]:
    found, at, text = [], 0, expression.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ToolFailed("not_arithmetic", f"It cannot be read from {text[at : at + 20]!r} on.")
        found.append(match.group().strip())
        at = match.end()
    return found


def _number(token: str) -> Fraction:
    digits, _, scale = token.lower().partition("e")
    if len(digits) > NUMBER_DIGITS_MAX or abs(int(scale or "0")) > SCALE_MAX:
        raise ToolFailed("too_large", "A number is too long.")
    return _bounded(Fraction(token))


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator).bit_length(), value.denominator.bit_length()) > BITS_MAX:
        raise ToolFailed("too_large", "The result has too many digits.")
    return value


def _divided(a: Fraction, b: Fraction) -> Fraction:
    return a / _not_zero(b)


def _not_zero(value: Fraction) -> Fraction:
    if value == 0:
        raise ToolFailed("division_by_zero", "Nothing can be divided by zero.")
    return value


def _whole(value: Fraction) -> int:
    if value.denominator != 1:
        raise ToolFailed("not_arithmetic", "Whole numbers are needed here.")
    return value.numerator


def _rounded(value: Fraction, digits: Fraction = Fraction(0)) -> Fraction:
    """Round half away from zero, as people round."""
    places = _whole(digits)
    if abs(places) > SCALE_MAX:
        raise ToolFailed("too_large", f"Rounding goes to at most {SCALE_MAX} digits.")
    scale = Fraction(10) ** places
    return Fraction(math.floor(abs(value) * scale + Fraction(1, 2))) / scale * (1 if value >= 0 else -1)


def _factorial(value: Fraction) -> int:
    number = _whole(value)
    if not 0 <= number <= EXPONENT_MAX // 10:
        raise ToolFailed("too_large", f"A factorial is of 0 to {EXPONENT_MAX // 10}.")
    return math.factorial(number)


OPERATORS: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divided,
    "//": lambda a, b: Fraction(a // _not_zero(b)),
    "%": lambda a, b: a % _not_zero(b),
}
FUNCTIONS: Mapping[str, Callable[..., Fraction | int]] = {
    "abs": abs,
    "min": lambda *values: min(values),
    "max": lambda *values: max(values),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": _rounded,
    "gcd": lambda *values: math.gcd(*map(_whole, values)),
    "lcm": lambda *values: math.lcm(*map(_whole, values)),
    "factorial": _factorial,
}
