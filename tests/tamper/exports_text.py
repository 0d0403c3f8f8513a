"""Classes of edits of an export's text: each spoils one line, and is found by rule `grammar` at that line."""

import re
from collections.abc import Callable, Iterator
from random import Random

from shared.ledger.verify.grammar import LINE_BYTES_MAX
from tests.tamper.exports import Edit, Export, TamperClass

Spoil = Callable[[bytes, Random], bytes]
"""Function that spoils one line. An unchanged line has no place for this edit."""

INTEGER = re.compile(rb'(?<=[a-z]":)(\d+)(?=[,}])')
MEMBER = re.compile(rb'"([a-z_]+)":("[^"\\]*"|\d+)')
STRING = re.compile(rb'(?<=:")([a-zA-Z0-9 .]+)')
TRIES = 200
HUGE = "a huge line"


def _at(pattern: re.Pattern[bytes], text: Callable[[re.Match[bytes]], bytes]) -> Spoil:
    """Return the edit that replaces a random match of a pattern."""

    def spoil(line: bytes, random: Random) -> bytes:
        found = list(pattern.finditer(line))
        if not found:
            return line
        match = random.choice(found)
        return line[: match.start()] + text(match) + line[match.end() :]

    return spoil


def _inserted(text: bytes) -> Spoil:
    """Return the edit that inserts a text at a random place of the line, before the line feed."""

    def spoil(line: bytes, random: Random) -> bytes:
        at = random.randrange(len(line) - 1)
        return line[:at] + text + line[at:]

    return spoil


def _escaped(line: bytes, random: Random) -> bytes:
    """Spell one character of a string, of any script, as an escape."""
    found = [match for match in re.finditer(r'[a-zA-Z0-9äé–](?=[^"\\]*")', line.decode()) if match.start() > 2]
    match = random.choice(found)
    text = line.decode()
    return (text[: match.start()] + f"\\u{ord(match[0]):04x}" + text[match.end() :]).encode()


def _unsorted(line: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb'("[a-z_]+":(?:"[^"\\]*"|\d+)),("[a-z_]+":(?:"[^"\\]*"|\d+))', line))
    if not found:
        return line
    match = random.choice(found)
    return line[: match.start()] + match[2] + b"," + match[1] + line[match.end() :]


def _without_member(line: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb'"[a-z_]+":(?:"[^"\\]*"|\d+),(?=")', line))
    if not found:
        return line
    match = random.choice(found)
    rest = line[: match.start()] + line[match.end() :]
    return line if b'"plain":{' in line and b'"plain":{' in line[: match.start()] else rest


_as_text = _at(INTEGER, lambda match: b'"' + match[0] + b'"')


SPOILS: dict[str, Spoil] = {
    "a member twice": _at(MEMBER, lambda match: match[0] + b"," + match[0]),
    "a member twice, the first one false": _at(MEMBER, lambda match: b'"' + match[1] + b'":0,' + match[0]),
    "an integer as a decimal": _at(INTEGER, lambda match: match[0] + b".0"),
    "an integer with an exponent": _at(INTEGER, lambda match: match[0] + b"e0"),
    "an integer as a negative exponent": _at(INTEGER, lambda match: match[0] + b"0E-1"),
    "an integer with a leading zero": _at(INTEGER, lambda match: b"0" + match[0]),
    "an integer with a sign": _at(INTEGER, lambda match: b"+" + match[0]),
    "an integer as minus zero": _at(INTEGER, lambda match: b"-0"),
    "an integer as true": _at(INTEGER, lambda match: b"true"),
    "an integer as a text": lambda line, random: line if b'"plain":' in line else _as_text(line, random),
    "an integer as null": _at(INTEGER, lambda match: b"null"),
    "an integer beyond 53 bits": _at(INTEGER, lambda match: b"9007199254740993"),
    "an integer beyond 64 bits": _at(INTEGER, lambda match: match[0] + b"0" * 25),
    "an integer of many digits": _at(INTEGER, lambda match: b"1" + b"0" * 5_000),
    "a number that is none": _at(INTEGER, lambda match: b"NaN"),
    "an infinite number": _at(INTEGER, lambda match: b"1e999"),
    "a text as a list": _at(STRING, lambda match: b'"],["' + match[0]),
    "an escaped character": _escaped,
    "an escaped slash": _at(STRING, lambda match: match[0] + b"\\/"),
    "half a surrogate": _at(STRING, lambda match: match[0] + b"\\ud83d"),
    "a surrogate pair": _at(STRING, lambda match: match[0] + b"\\ud83d\\ude00"),
    "a byte that is no UTF-8": _at(STRING, lambda match: match[0] + b"\xff"),
    "an overlong UTF-8 form": _at(STRING, lambda match: match[0] + b"\xc0\x80"),
    "a raw control character": _at(STRING, lambda match: match[0] + b"\x01"),
    "a NUL": _inserted(b"\x00"),
    "a line feed within a line": _inserted(b"\n"),
    "a byte order mark": lambda line, random: b"\xef\xbb\xbf" + line,
    "a carriage return": lambda line, random: line[:-1] + b"\r\n",
    "a blank before the line": lambda line, random: b" " + line,
    "a blank behind the line": lambda line, random: line[:-1] + b" \n",
    "a blank behind a colon": _at(re.compile(rb'(?<=[a-z]":)(?=["\d\[{])'), lambda match: b" "),
    "a tab behind a comma": _at(re.compile(rb'(?<=,)(?="[a-z_]+":)'), lambda match: b"\t"),
    "a blank line before": lambda line, random: b"\n" + line,
    "a comment": lambda line, random: line[:-1] + b"//\n",
    "a second value behind the line": lambda line, random: line[:-1] + b"{}\n",
    "a comma behind the line": lambda line, random: line[:-1] + b",\n",
    "a comma behind the last member": lambda line, random: line[:-2] + b",}\n",
    "an open object": lambda line, random: line[:-2] + b"\n",
    "a line in brackets": lambda line, random: b"[" + line[:-1] + b"]\n",
    "an unknown member": lambda line, random: line[:-2] + b',"z":1}\n',
    "a missing member": _without_member,
    "members out of order": _unsorted,
    "an unknown type": _at(re.compile(rb'"type":"[a-z]+"'), lambda match: b'"type":"poem"'),
    "the type of another line": _at(
        re.compile(rb'"type":"([a-z]+)"'), lambda match: b'"type":"%s"' % (b"lot" if match[1] != b"lot" else b"hold")
    ),
    "a deep nesting": _at(INTEGER, lambda match: b"[" * 5_000 + b"]" * 5_000),
    "an endless opening": _at(INTEGER, lambda match: b'{"a":' * 5_000),
    HUGE: lambda line, random: line[:-1] + b" " * LINE_BYTES_MAX + b"\n",
    "a line of garbage": lambda line, random: random.randbytes(40).replace(b"\n", b"") + b"\n",
}


def text_classes() -> Iterator[TamperClass]:
    """Yield the classes of edits of one line's text."""
    for name, spoil in SPOILS.items():
        yield TamperClass(name=name, rules=frozenset({"grammar"}), make=_edit(spoil), is_slow=name == HUGE)
    yield TamperClass(name="no line feed at the end", rules=frozenset({"grammar"}), make=_without_last_feed)
    yield TamperClass(name="carriage returns everywhere", rules=frozenset({"grammar"}), make=_with_returns)
    yield TamperClass(name="garbage behind the end", rules=frozenset({"grammar"}), make=_with_more)
    yield TamperClass(name="cut within a line", rules=frozenset({"grammar"}), make=_cut)


def _edit(spoil: Spoil) -> Callable[[Export, Random], Edit | None]:
    def make(export: Export, random: Random) -> Edit | None:
        for _ in range(TRIES):
            index = random.randrange(len(export.lines))
            line = spoil(export.lines[index], random)
            if line != export.lines[index]:
                data = b"".join([*export.lines[:index], line, *export.lines[index + 1 :]])
                return Edit(data=data, line=index + 1)
        return None

    return make


def _without_last_feed(export: Export, random: Random) -> Edit:
    return Edit(data=export.data[:-1], line=len(export.lines))


def _with_returns(export: Export, random: Random) -> Edit:
    return Edit(data=export.data.replace(b"\n", b"\r\n"), line=random.randrange(len(export.lines)) + 1)


def _with_more(export: Export, random: Random) -> Edit:
    return Edit(data=export.data + random.randbytes(20).replace(b"\n", b"") + b"\n", line=len(export.lines) + 1)


def _cut(export: Export, random: Random) -> Edit:
    index = random.randrange(1, len(export.lines))
    line = export.lines[index]
    cut = line[: random.randrange(1, len(line) - 1)]
    return Edit(data=b"".join([*export.lines[:index], cut]), line=index + 1)
