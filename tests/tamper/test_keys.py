"""Everything that a holder of a retired key could write, and each edit of the registry: found, and by whom."""

from collections.abc import Mapping
from typing import Any

import pytest

from shared.bootstrap import Services
from shared.kernel.documents import Data, Delete, Patch, Put
from shared.kernel.ids import Uid
from shared.kernel.settings import parse_signing_keys
from shared.ledger.committer import Committer
from shared.ledger.document_paths import entry_id
from shared.ledger.errors import IntegrityFailed, RegistryBroken
from shared.ledger.key_ring import KeyRing
from shared.ledger.key_store import KEYS_PATH
from shared.ledger.marks import MarkRing
from shared.ledger.store import AccountStore
from shared.sagas.engine.jobs import JobRun
from tests.support.books import charge, grant
from tests.support.rotations import MARKS, NEW, OLD, Fleet

ADA = Uid("ada")
RETIRED = "retired_key"


@pytest.fixture
def fleet() -> Fleet:
    """A project whose old key is retired, with an account of two entries by that key."""
    fleet = Fleet()
    first = fleet.deploy(OLD)
    fleet.minute(first)
    first.credits.ledger.execute(ADA, grant("gift", 100, operation="gift"))
    first.credits.ledger.execute(ADA, charge(1, operation="spent"))
    first.credits.relay.relay(ADA)
    both = fleet.deploy(NEW, OLD)
    fleet.minute(both)
    fleet.retire(both, "old")
    return fleet


def thief(fleet: Fleet) -> Committer:
    """Whoever holds the retired seed, the secret of the marks and the database, and believes the key to be in force."""
    seeds = parse_signing_keys(OLD)
    known = KeyRing(parse_signing_keys(f"{OLD},{NEW}"), MarkRing([MARKS], seeds))
    return Committer(AccountStore(fleet.documents, known, "demo-test"), fleet.clock)


def append(fleet: Fleet) -> Services:
    """The thief gives the account credits. Nobody has looked yet."""
    thief(fleet).execute(ADA, grant("stolen", 1_000_000, operation="stolen"))
    return fleet.deploy(NEW)


def test_an_append_by_a_retired_key_is_refused_by_the_next_operation(fleet):
    services = append(fleet)

    with pytest.raises(IntegrityFailed) as refused:
        services.credits.ledger.execute(ADA, charge(1))

    assert refused.value.params["rule"] == RETIRED


def test_an_append_by_a_retired_key_is_never_published(fleet):
    services = append(fleet)

    services.credits.watch.relay(ADA)

    told = [each.fields for each in fleet.alerts.raised if each.event == "ledger_tampered"]
    assert {(each["uid"], each["seq"], each["rule"]) for each in told} == {(ADA, 3, RETIRED)}


def test_an_append_by_a_retired_key_is_found_by_the_audit(fleet):
    services = append(fleet)

    services.jobs.run_schedule("every_day")

    assert RETIRED in {each.fields.get("rule") for each in fleet.alerts.raised}


def test_an_append_by_a_retired_key_is_found_by_the_verifier(fleet):
    services = append(fleet)

    findings = services.credits.ledger.verify(ADA)

    assert {(each.seq, each.rule) for each in findings} == {(0, RETIRED), (3, RETIRED)}


def test_a_backdated_append_by_a_retired_key_has_no_seal_that_counts(fleet):
    fleet.clock.advance(-60 * 60_000)
    thief(fleet).execute(ADA, grant("stolen", 1_000_000, operation="stolen"))
    fleet.clock.advance(60 * 60_000)

    with pytest.raises(IntegrityFailed) as refused:
        fleet.deploy(NEW).credits.ledger.execute(ADA, charge(1))

    assert refused.value.params["rule"] == RETIRED


def test_a_rewrite_by_a_retired_key_is_refused(fleet):
    for path in [path for path in fleet.documents._documents if path.startswith(f"accounts/{ADA}")]:
        fleet.documents.commit([Delete(path)])
    thief(fleet).execute(ADA, grant("stolen", 1_000_000, operation="stolen"))

    with pytest.raises(IntegrityFailed) as refused:
        fleet.deploy(NEW).credits.ledger.execute(ADA, charge(1))

    assert refused.value.params["rule"] == RETIRED


# ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────────

WRONG: Mapping[str, Any] = {
    "gone": None,
    "a number": 7,
    "empty": "",
    "a list": [],
    "a map": {},
    "other text": "x",
    "huge": "x" * 100_000,
    "bytes": b"x",
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("field", ["chain", "seal"])
def test_an_edited_registry_is_refused_by_a_new_instance(fleet, field, value):
    data: Data = dict(stored(fleet))
    fleet.documents.commit([Put(KEYS_PATH, {name: each for name, each in data.items() if name != field})])
    if value is not None:
        fleet.documents.commit([Patch(KEYS_PATH, {field: value})])

    with pytest.raises((RegistryBroken, IntegrityFailed)):
        fleet.deploy(NEW).credits.ledger.execute(ADA, charge(1))

    assert {each.fields["uid"] for each in fleet.alerts.raised} == {KEYS_PATH}


@pytest.mark.parametrize("place", range(5))
def test_one_changed_character_of_the_registry_is_refused(fleet, place):
    chain = str(stored(fleet)["chain"])
    at = place * len(chain) // 5
    other = "y" if chain[at] == "x" else "x"
    fleet.documents.commit([Patch(KEYS_PATH, {"chain": chain[:at] + other + chain[at + 1 :]})])

    with pytest.raises(RegistryBroken):
        fleet.deploy(NEW).credits.keys.kid_at(fleet.clock.now())


@pytest.mark.parametrize("seq", range(1, 5))
def test_an_edited_or_lost_entry_of_the_registry_is_found_by_the_day(fleet, seq):
    services = fleet.deploy(NEW)
    path = f"{KEYS_PATH}/entries/{entry_id(seq)}"
    fleet.documents.commit([Patch(path, {"body": "{}"})] if seq % 2 else [Delete(path)])

    services.credits.key_rotation.check(JobRun("", fleet.clock, 60))

    assert [(each.fields["uid"], each.fields["seq"]) for each in fleet.alerts.raised] == [(KEYS_PATH, seq)]


def test_a_lost_registry_is_found_by_the_day_and_by_who_knows_it(fleet):
    services = fleet.deploy(NEW)
    services.credits.known_keys.current()
    fleet.documents.commit([Delete(KEYS_PATH)])

    services.credits.key_rotation.check(JobRun("", fleet.clock, 60))

    assert [each.fields["rule"] for each in fleet.alerts.raised] == ["key_registry"]


def stored(fleet: Fleet) -> Data:
    found = fleet.documents.get(KEYS_PATH)
    assert found is not None
    return found.data
