"""Classes of edits of an export's accounts, also by the holder of a stolen key."""

from collections.abc import Callable
from random import Random
from typing import Any

from shared.kernel.canonical import canonical
from tests.tamper.edits import Make, changed_field, edit_at, other_character, other_digit, some_line, tampers
from tests.tamper.exports import ANN, BOB, CAL, Edit, Export, Record, body_of, file_of, sealed


def _account(name: str, *rules: str, field: str, change: Callable[[Any, Random], Any]) -> None:
    tampers(name, *rules)(changed_field("account", field, change))


def _other_plain(plain: Record, random: Random) -> Record:
    name = random.choice(sorted(plain))
    value = plain[name]
    return {**plain, name: value + 1 if isinstance(value, int) else f"{value}0"}


def _less(plain: Record, random: Random) -> Record:
    gone = random.choice(sorted(plain))
    return {name: value for name, value in plain.items() if name != gone}


def _as_text(plain: Record, random: Random) -> Record:
    name = random.choice([name for name, value in sorted(plain.items()) if isinstance(value, int)])
    return {**plain, name: str(plain[name])}


_account("a state is another", "seal", field="state", change=other_digit)
_account(
    "a state is none",
    "state",
    field="state",
    change=lambda text, random: random.choice(["", "{}", "[]", "7", '{"v":2}']),
)
_account(
    "a seal is another",
    "seal",
    field="seal",
    change=lambda text, random: text[:5] + other_character(text[5:-3], random, "ABCDEFGabcdefg0123") + text[-3:],
)
_account(
    "a seal has bits in its padding",
    "seal",
    field="seal",
    change=lambda text, random: text[:-3] + chr(ord(text[-3]) + 1) + "==",
)
_account("a seal names no key", "seal", field="seal", change=lambda text, random: text[5:])
_account("a seal names an unknown key", "unknown_key", field="seal", change=lambda text, random: "none:" + text[5:])
_account(
    "a number of commits is another",
    "seal",
    field="version",
    change=lambda number, random: number + random.choice([1, -1, 2**40]),
)
_account("a nonce is another", "seal", field="nonce", change=other_character)
_account("a plain field is another", "plain_balance", field="plain", change=_other_plain)
_account("a plain field is missing", "plain_balance", field="plain", change=_less)
_account(
    "a plain field is unknown",
    "plain_balance",
    field="plain",
    change=lambda plain, random: {**plain, f"x{random.random()}": 1},
)
_account("a plain number is a text", "plain_balance", field="plain", change=_as_text)
_account("an account is of another user", "identity", field="uid", change=lambda uid, random: uid + "x")


def _resealed(change: Callable[[Record, Random], None], kid: str = "live") -> Make:
    """Return the edit of a state by the holder of a key, who seals the state again."""

    def make(export: Export, random: Random) -> Edit | None:
        index, records = some_line(export, random, "account"), export.records()
        assert index is not None
        state = body_of({"body": records[index]["state"]})
        before = canonical(state)
        change(state, random)
        if canonical(state) == before and kid == "live":
            return None
        records[index] = sealed({**records[index], "state": canonical(state).decode()}, kid=kid)
        return edit_at(records, index, 0)

    return make


def _richer(state: Record, random: Random) -> None:
    if state["lots"]:
        random.choice(state["lots"])["granted"] += random.randrange(1, 1_000)


def _other_budget(state: Record, random: Random) -> None:
    for budget in state["budgets"]:
        budget[random.choice(["used", "limit"])] += random.randrange(1, 1_000)


def _fewer_holds(state: Record, random: Random) -> None:
    del random
    state["holds"] = []


tampers("a lot is richer by a stolen key", "state")(_resealed(_richer))
tampers("a budget is another by a stolen key", "state")(_resealed(_other_budget))
tampers("open holds are gone by a stolen key", "state")(_resealed(_fewer_holds))
tampers("a status is another by a stolen key", "state")(
    _resealed(lambda state, random: state.update(status=random.choice(["closed", "frozen"])))
)
tampers("a state is sealed by a retired key", "retired_key")(_resealed(lambda state, random: None, kid="old"))


@tampers("an account counts fewer entries by a stolen key", "sequence")
def _rolled_back(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "account"), export.records()
    assert index is not None
    state = body_of({"body": records[index]["state"]})
    state["seq"] = random.randrange(state["seq"])
    records[index] = sealed({**records[index], "state": canonical(state).decode()})
    return edit_at(records, index, state["seq"] + 1)


@tampers("an account counts more entries by a stolen key", "sequence")
def _counts_more(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "account"), export.records()
    assert index is not None
    state = body_of({"body": records[index]["state"]})
    missing = state["seq"] + 1
    state["seq"] += random.choice([1, 7, 2**50])
    records[index] = sealed({**records[index], "state": canonical(state).decode()})
    return edit_at(records, index, missing)


@tampers("an account is that of another user", "identity", "seal")
def _anothers_account(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "account"), export.records()
    assert index is not None
    uid = records[index]["uid"]
    other = export.others[random.choice([name for name in (ANN, BOB, CAL) if name != uid])].records()
    records[index] = other[-1]
    return Edit(data=file_of(records), uid=uid, seq=0)
