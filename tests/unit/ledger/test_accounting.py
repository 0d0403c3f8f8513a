"""Books for hledger and beancount: both accept a month of every kind of entry, and refuse one changed digit."""

import random
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import orjson
import pytest

from shared.kernel.errors import DomainError
from shared.ledger.accounting.__main__ import main
from shared.ledger.accounting.beancount import beancount_lines
from shared.ledger.accounting.hledger import hledger_lines
from shared.ledger.accounting.names import account_name
from shared.ledger.accounting.transactions import transactions
from tests.support import books
from tests.support.books import Books

STEPS = 300
STEP = 144 * 60_000
"""Time between two commands (ms): all of them take a month."""
CHECKS = {
    "hledger": (hledger_lines, ("hledger", "check", "--strict", "--file")),
    "beancount": (beancount_lines, ("bean-check",)),
}
KINDS = {"grant", "refund", "charge", "expiry", "reversal", "adjustment", "hold", "extension", "release", "status"}
SOURCES = ("world:stripe", "world:paypal", "promo:welcome", "refund:chat")
DIGIT = re.compile(r"\d+\.\d{6}")


def month(seed: int, uid: str = "ada") -> list[dict]:
    """The bodies of a user's entries in a month of random commands."""
    kept, dice = Books(), random.Random(seed)
    for number in range(STEPS):
        kept.now += STEP
        try:
            decision = kept.rush(command(kept, dice, number))
        except DomainError:
            continue
        kept.bodies += [orjson.loads(entry.body) for entry in decision.entries]
    return [{**body, "uid": uid} for body in kept.bodies]


def command(kept: Books, dice: random.Random, number: int):
    lots, holds = [*kept.account.lots, *kept.archive.lots], [*kept.account.holds]
    amount = dice.randrange(1, 10**7)
    source = dice.choice(SOURCES)
    given = books.grant(f"lot{number}", amount, source=source, expires_at=kept.now + 40 * STEP)
    choices = [given, books.hold(f"hold{number}", amount), books.charge(amount), books.expire(), books.adjust(amount)]
    if holds:
        hold = dice.choice(holds)
        choices += [books.capture(hold, amount), books.release(hold), books.extend(hold, amount)]
    if lots:
        lot = dice.choice(lots)
        choices += [books.reverse(lot, amount), books.restore(lot, amount // 9), books.suspend(f"s{number}", lot)]
    choices += [books.freeze()] if number % 40 == 0 else [books.unfreeze()]
    return dice.choice(choices)


def checked(tmp_path: Path, program: str, lines: list[str]) -> int:
    if shutil.which(CHECKS[program][1][0]) is None:
        pytest.skip(f"{program} is not installed: see tests/debian.txt")
    file = tmp_path / f"books.{program}"
    file.write_text("\n".join(lines) + "\n")
    return subprocess.run([*CHECKS[program][1], file], capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
def bodies() -> list[dict]:
    return [*month(1), *month(2, "auth0|Zoë: 7"), *month(3, "Ada")]


@pytest.mark.parametrize("program", CHECKS)
def test_programs_accept_a_month_of_every_kind(tmp_path, bodies, program):
    assert {body["kind"] for body in bodies} == KINDS

    lines = list(CHECKS[program][0](transactions(bodies)))

    assert checked(tmp_path, program, lines) == 0


@pytest.mark.parametrize("program", CHECKS)
@pytest.mark.parametrize("place", [0.2, 0.9])
def test_programs_refuse_books_with_one_changed_digit(tmp_path, bodies, program, place):
    text = "\n".join(CHECKS[program][0](transactions(bodies)))
    amounts = list(DIGIT.finditer(text))
    at = amounts[int(place * len(amounts))].end() - 1
    changed = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]

    assert checked(tmp_path, program, changed.split("\n")) != 0


@pytest.mark.parametrize("name", ["posted", "held", "debt"])
def test_programs_refuse_entries_that_state_a_wrong_balance(tmp_path, bodies, name):
    place = max(number for number, body in enumerate(bodies) if moves(body, name))
    wrong = [*bodies[:place], {**bodies[place], name: bodies[place][name] + 1}, *bodies[place + 1 :]]

    assert checked(tmp_path, "hledger", list(hledger_lines(transactions(wrong)))) != 0


def moves(body: dict, name: str) -> bool:
    moved = {"posted": "available"}.get(name, name)
    return any(moved in (posting["from"], posting["to"]) for posting in body["postings"])


def test_sums_of_all_accounts_are_zero(bodies):
    sums: Counter[str] = Counter()
    for each in transactions(bodies):
        for leg in each.legs:
            sums[leg.account] += leg.amount
            assert sums[leg.account] == leg.balance
    assert sum(sums.values()) == 0


def test_different_users_and_sources_have_different_accounts():
    uids = ["ada", "Ada", "a-da", "a:da", "a da", "é", "-61", "a", "auth0|1", "\ud800"]
    names = ["available", "held", "debt", "world:stripe", "world:Stripe", "revenue:chat", "revenue:1", "breakage"]

    made = {account_name(name, uid) for name in names for uid in uids}

    assert len(made) == len(names) * len(uids)
    assert all(re.fullmatch(r"(?:[A-Z][A-Za-z0-9-]*:)+User-[A-Za-z0-9-]*", name) for name in made)


def test_command_prints_the_books_of_an_export(tmp_path, bodies, capsys):
    entries = [{"type": "entry", "body": orjson.dumps(body).decode()} for body in bodies]
    lines = [{"type": "header", "format": "ics-export"}, *entries, {"type": "account"}]
    file = tmp_path / "export.ndjson"
    file.write_bytes(b"\n".join(map(orjson.dumps, lines)))

    assert main(["hledger", str(file)]) == 0

    assert capsys.readouterr().out.splitlines() == list(hledger_lines(transactions(bodies)))


@pytest.mark.parametrize("content", ['{"type":"header"}', "[]", "no JSON", '{"type":"header","format":"other"}'])
def test_command_refuses_a_file_that_is_no_export(tmp_path, content, capsys):
    file = tmp_path / "export.ndjson"
    file.write_text(content)

    assert main(["beancount", str(file)]) == 2

    assert "The books end here" in capsys.readouterr().err


def test_command_refuses_a_file_that_is_missing(tmp_path, capsys):
    assert main(["hledger", str(tmp_path / "none")]) == 2

    assert "The books end here" in capsys.readouterr().err
