"""`python -m shared.ledger.accounting FORMAT FILE…`: print the entries of exports as books of another program."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import orjson

from shared.ledger.accounting.beancount import beancount_lines
from shared.ledger.accounting.hledger import hledger_lines
from shared.ledger.accounting.transactions import Transaction, transactions
from shared.ledger.export_format import FORMAT

FORMATS: Mapping[str, Callable[[Iterable[Transaction]], Iterator[str]]] = {
    "hledger": hledger_lines,
    "beancount": beancount_lines,
}
DONE, NOT_WRITTEN = 0, 2


class NotAnExport(Exception):
    """Failure to read a file as an export of this ledger."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the books of all named exports. Returns 2 if a file cannot be read; then the printed books end early."""
    asked = _parser().parse_args(arguments)
    try:
        for line in FORMATS[asked.format](transactions(_bodies(asked.files))):
            print(line)
    except (OSError, UnicodeDecodeError, NotAnExport) as failure:
        print(f"The books end here: {failure}", file=sys.stderr)
        return NOT_WRITTEN
    return DONE


def _bodies(names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for name in names:
        if name == "-":
            yield from _bodies_in(sys.stdin, "standard input")
            continue
        with Path(name).open(encoding="utf-8", newline="\n") as file:
            yield from _bodies_in(file, name)


def _bodies_in(file: TextIO, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the bodies of the entries in a file. Raises NotAnExport."""
    for number, line in enumerate(file, 1):
        try:
            record = orjson.loads(line)
            if number == 1 and record["format"] != FORMAT:
                raise NotAnExport(f"{name} is not an export")
            if record["type"] == "entry":
                yield orjson.loads(record["body"])
            if record["type"] == "redacted":
                yield orjson.loads(record["statement"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotAnExport(f"line {number} of {name} cannot be read as a line of an export") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shared.ledger.accounting", description=__doc__)
    parser.add_argument("format", choices=sorted(FORMATS))
    parser.add_argument("files", nargs="+", metavar="FILE", help="a verified export, or - for standard input")
    return parser


if __name__ == "__main__":
    sys.exit(main())
