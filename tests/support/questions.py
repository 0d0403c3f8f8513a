"""Questions that differ from each other, in text that the product and the stand-in provider count alike.

Neither counts the random letters of an id exactly: the product charges up to nearly twice the input tokens that the
stand-in bills. So a test that compares a charge without a report with a bill asks in words and digits.
"""

import itertools

_numbers = itertools.count(1)


def numbered(text: str) -> str:
    """Return `text` with the next number of this process. No question is the beginning of another."""
    return f"{text}, question {next(_numbers):06}"
