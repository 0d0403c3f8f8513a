"""`calculator`: exact, bounded, and nothing but arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sagas.agents.tools.calculator import BITS_MAX, Calculator, evaluate, shown
from shared.sagas.agents.tools.tool import ToolFailed, parse_arguments

EXACT = {
    "1 + 2 * 3": "7",
    "(1 + 2) * 3": "9",
    "2 ^ 3 ^ 2": "512",
    "-2 ^ 2": "-4",
    "(-2) ** 2": "4",
    "2 ** -2": "0.25",
    "7 // 2": "3",
    "-7 % 3": "2",
    "0.1 + 0.2": "0.3",
    "1e3 - 1": "999",
    "19.99 * 3": "59.97",
    "2^64 - 1": "18446744073709551615",
    "1/3": "1/3 (about 0.33333333333333333333333333333333333333333333333333)",
    "max(1/3, 0.3) * 3": "1",
    "round(2/3, 4)": "0.6667",
    "round(-2.5)": "-3",
    "floor(-0.5) + ceil(0.5)": "0",
    "gcd(12, 18) + lcm(4, 6)": "18",
    "factorial(20)": "2432902008176640000",
    "abs(-1) - - 1": "2",
    "1 - 2 - 3": "-4",
    "8 / 4 / 2": "1",
}
REFUSED = {
    "": "not_arithmetic",
    "1 +": "not_arithmetic",
    "1 2": "not_arithmetic",
    "(1": "not_arithmetic",
    "__import__('os')": "not_arithmetic",
    "x": "not_arithmetic",
    "max": "not_arithmetic",
    "max()": "not_arithmetic",
    "abs(1, 2)": "not_arithmetic",
    "1; 2": "not_arithmetic",
    "gcd(1/2, 1)": "not_arithmetic",
    "٣ + 1": "not_arithmetic",
    "1 / 0": "division_by_zero",
    "1 % 0": "division_by_zero",
    "0 ^ -1": "division_by_zero",
    "9 ^ 9 ^ 9": "too_large",
    "2 ^ 100000": "too_large",
    "9 ^ 9999": "too_large",
    "2 ^ 0.5": "too_large",
    "1e9999": "too_large",
    "factorial(100000)": "too_large",
    "round(1, 1000000)": "too_large",
    "(" * 60 + "1" + ")" * 60: "too_large",
    "2^" * 60 + "1": "too_large",
    "1" * 400: "too_large",
    "+".join(["1"] * 1_000): "too_large",
}


@pytest.mark.parametrize(("expression", "result"), EXACT.items())
def test_a_value_is_exact(expression, result):
    assert shown(evaluate(expression)) == result


@pytest.mark.parametrize(("expression", "code"), REFUSED.items())
def test_what_is_no_arithmetic_or_too_large_is_named(expression, code):
    with pytest.raises(ToolFailed) as failed:
        evaluate(expression)

    assert failed.value.code == code


@given(st.lists(st.sampled_from("0123456789.+-*/%^()e ,maxingcdro"), max_size=60).map("".join))
def test_no_text_makes_it_do_anything_but_answer_or_refuse(expression):
    try:
        value = evaluate(expression)
    except ToolFailed:
        return

    assert max(abs(value.numerator).bit_length(), value.denominator.bit_length()) <= BITS_MAX
    assert shown(value)


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_it_agrees_with_fractions(a, b):
    def told(value: Fraction) -> str:
        return f"({value.numerator})/{value.denominator}"

    assert evaluate(f"{told(a)} + ({told(b)}) * ({told(a)})") == a + b * a


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "{",
        '{"expression": 1}',
        '{"expression": ""}',
        '{"expression": "1", "eval": "2"}',
        '{"expression": NaN}',
        '{"expression": "\\ud800"}',
        '{"expression": "1\\u0000"}',
        '{"expression": "' + "1" * 300_000 + '"}',
        '{"expression":' + "[" * 100_000,
    ],
)
def test_arguments_that_do_not_fit_the_schema_never_reach_a_tool(text):
    with pytest.raises(ToolFailed) as failed:
        parse_arguments(Calculator.parameters, text)

    assert failed.value.code == "bad_arguments"
