"""Rotation of the signing key: announced, used, ended, everything sealed again, retired, and the seed destroyed."""

import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.documents import Patch, Query, StoreUnavailable
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.kernel.settings import parse_signing_keys
from shared.ledger.errors import IntegrityFailed, NoSigningKey, RegistryBroken
from shared.ledger.key_acts import KeyStillNeeded, SigningKeyNotFound
from shared.ledger.key_ring import KeyRing
from shared.ledger.key_store import END_NOTICE, FRESH, KEYS_PATH, LOOK_AGAIN, STALE
from shared.ledger.store import AccountStore
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.accounts.key_rotation import LOOK_EVERY
from shared.sagas.engine.jobs import JobRun
from tests.support.books import capture, charge, grant, hold, reverse
from tests.support.rotations import NEW, OLD, Fleet, kids_in, sealers, signing_key, statuses

ADA, BOB = Uid("ada"), Uid("bob")


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def rotated(fleet, before=lambda services: None):
    """An instance after a whole rotation from the old key to the new one, that still holds the old seed."""
    first = fleet.deploy(OLD)
    fleet.minute(first)
    before(first)
    both = fleet.deploy(NEW, OLD)
    fleet.minute(both)
    fleet.until_all_know()
    fleet.retire(both, "old")
    return both


# ── the registry begins ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_minute_writes_the_registry_from_the_settings(fleet):
    services = fleet.deploy(NEW, OLD)

    assert fleet.minute(services).done == 2
    assert fleet.minute(services).done == 0
    assert [(key.kid, key.since) for key in services.credits.key_acts.registry.keys] == [("new", 0), ("old", 0)]


def test_a_ledger_is_used_before_it_has_a_registry(fleet):
    services = fleet.deploy(OLD)

    services.credits.ledger.execute(ADA, grant("gift", 100))
    fleet.minute(services)
    services.credits.ledger.execute(ADA, charge(1))

    assert fleet.deploy(OLD).credits.ledger.verify(ADA) == []


def test_an_added_key_is_in_force_from_its_announcement_on(fleet):
    fleet.minute(fleet.deploy(OLD))
    fleet.clock.advance(MINUTE)
    services = fleet.deploy(OLD, NEW)

    fleet.minute(services)

    assert [key.since for key in services.credits.key_acts.registry.keys] == [0, fleet.clock.now()]
    assert [(key["kid"], key["status"]) for key in services.credits.ledger.keys()] == [  # noqa: SIM118  # no mapping
        ("old", "signing"),
        ("new", "verifying"),
    ]


def test_a_preferred_key_signs_only_once_it_is_announced(fleet):
    fleet.minute(fleet.deploy(OLD))
    services = fleet.deploy(NEW, OLD)

    services.credits.ledger.execute(ADA, grant("gift", 100))
    fleet.minute(services)
    services.credits.ledger.execute(ADA, charge(1))

    assert kids_in(services, ADA) == ["old", "new"]


def test_an_instance_without_the_new_seed_verifies_what_it_signed(fleet):
    old = fleet.deploy(OLD)
    fleet.minute(old)
    new = fleet.deploy(NEW, OLD)
    fleet.minute(new)
    new.credits.ledger.execute(ADA, grant("gift", 100))
    fleet.clock.advance(LOOK_AGAIN)

    old.credits.ledger.execute(ADA, charge(1))

    assert kids_in(old, ADA) == ["new", "old"]
    assert fleet.alarms == []


def test_an_idle_instance_looks_at_the_registry_seldom(fleet):
    services = fleet.deploy(OLD)
    run = fleet.minute(services)
    reads = counted(fleet, services)

    for _ in range(9):
        fleet.clock.advance(MINUTE)
        again = JobRun(run.cursor, fleet.clock, 60)
        services.credits.key_rotation.keys(again)

    assert reads == []
    fleet.clock.advance(LOOK_EVERY)
    services.credits.key_rotation.keys(JobRun(run.cursor, fleet.clock, 60))
    assert len(reads) > 0


def counted(fleet, services):
    """Reads of the registry from now on."""
    reads: list[str] = []
    read = services.credits.key_store.read

    def counting():
        reads.append("read")
        return read()

    services.credits.key_store.read = counting
    return reads


def test_forged_key_ids_cause_few_reads(fleet):
    services = fleet.deploy(OLD)
    fleet.minute(services)
    fleet.clock.advance(LOOK_AGAIN)
    reads = counted(fleet, services)

    known = [services.credits.known_keys.look_for(f"forged-{number}") for number in range(100)]

    assert len(reads) == 1
    assert {registry.seq for registry in known} == {1}


def test_the_registry_is_read_beside_calls_before_it_is_stale(fleet):
    services = fleet.deploy(OLD)
    fleet.minute(services)
    begun: list[object] = []
    services.credits.known_keys._begin_reading = begun.append
    reads = counted(fleet, services)
    fleet.clock.advance(FRESH)

    for _ in range(10):
        services.credits.ledger.execute(ADA, grant("gift", 100, operation="same"))

    assert (len(begun), reads) == (1, [])


def test_nothing_is_signed_by_a_stale_registry(fleet):
    services = fleet.deploy(OLD)
    fleet.minute(services)
    fleet.clock.advance(STALE)

    def down():
        raise StoreUnavailable

    services.credits.key_store.read = down

    with pytest.raises(StoreUnavailable):
        services.credits.keys.kid_at(fleet.clock.now())


# ── ending and retiring ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_ended_key_signs_nothing_once_every_instance_knows(fleet):
    both = fleet.deploy(OLD, NEW)
    other = fleet.deploy(OLD, NEW)
    fleet.minute(both)
    other.credits.ledger.execute(ADA, grant("gift", 100))

    both.credits.key_acts.end("old")
    fleet.until_all_know()
    other.credits.ledger.execute(ADA, charge(1))

    assert kids_in(both, ADA) == ["old", "new"]
    assert statuses(both) == {"old": "ending", "new": "verifying"}


def test_an_ending_key_stays_valid_until_everything_is_sealed_again(fleet):
    both = fleet.deploy(OLD, NEW)
    fleet.minute(both)
    both.credits.ledger.execute(ADA, grant("gift", 100))
    both.credits.key_acts.end("old")
    fleet.clock.advance(END_NOTICE)

    fleet.minute(both)

    assert statuses(both)["old"] == "ending"
    assert both.credits.ledger.verify(ADA) == []
    fleet.clock.advance(1)
    fleet.minute(both)
    assert statuses(both)["old"] == "retired"


def test_retirement_seals_dormant_accounts_again_and_changes_nothing_else(fleet):
    before = {}

    def live(services):
        services.credits.ledger.execute(ADA, grant("gift", 100))
        services.credits.ledger.execute(BOB, grant("gift", 50))
        services.credits.ledger.execute(BOB, charge(7))
        before.update({uid: services.credits.ledger.balance(uid) for uid in (ADA, BOB)})

    services = rotated(fleet, live)

    assert sealers(fleet.documents, [ADA, BOB]) == {"new"}
    assert {uid: services.credits.ledger.balance(uid) for uid in (ADA, BOB)} == before
    assert kids_in(services, BOB) == ["old", "old"]
    assert services.credits.ledger.verify(BOB) == []
    assert fleet.alarms == []


def test_the_old_seed_is_not_needed_for_anything_old(fleet):
    def live(services):
        ledger = services.credits.ledger
        ledger.execute(ADA, grant("gift", 100, operation="gift"))
        ledger.execute(ADA, hold("h", 100, operation="held"))
        ledger.execute(ADA, capture("h", 100, operation="taken"))

    rotated(fleet, live)
    alone = fleet.deploy(NEW)
    ledger = alone.credits.ledger

    assert ledger.execute(ADA, grant("gift", 100, operation="gift")).is_replay
    assert ledger.execute(ADA, capture("h", 100, operation="taken")).is_replay
    assert ledger.hold(ADA, HoldId("h")).status == "captured"
    ledger.execute(ADA, reverse("gift", 40))
    assert ledger.balance(ADA).debt == 40
    assert ledger.verify(ADA) == []
    assert fleet.alarms == []


def marked_by_seed(fleet):
    """A project of an earlier release: the seed makes the marks of its records."""
    earlier = fleet.deploy(OLD, marks="")
    earlier.credits.ledger.execute(ADA, grant("gift", 100, operation="gift"))
    earlier.credits.ledger.execute(ADA, hold("h", 100, operation="held"))
    earlier.credits.ledger.execute(ADA, capture("h", 100, operation="taken"))


def marks_of(fleet):
    names = ("operations", "lots", "holds")
    found = [each for name in names for each in fleet.documents.query(Query(collection=name, group=True, limit=100))]
    return {str(each.data["seal"]).partition(":")[0] for each in found}


def test_marks_that_a_seed_made_are_made_again_by_a_secret(fleet):
    marked_by_seed(fleet)
    assert marks_of(fleet) == {"old"}

    rotated(fleet)

    (name,) = marks_of(fleet)
    assert name.startswith("made.")
    ledger = fleet.deploy(NEW).credits.ledger
    assert ledger.execute(ADA, grant("gift", 100, operation="gift")).is_replay
    assert ledger.hold(ADA, HoldId("h")).status == "captured"
    ledger.execute(ADA, reverse("gift", 100))
    assert ledger.verify(ADA) == []


def test_a_key_is_not_ended_while_seeds_make_the_marks(fleet):
    services = fleet.deploy(OLD, NEW, marks="")
    fleet.minute(services)

    with pytest.raises(KeyStillNeeded, match="MARKS_SECRET"):
        services.credits.key_acts.end("old")


def test_the_only_key_is_not_ended(fleet):
    services = fleet.deploy(OLD)
    fleet.minute(services)

    with pytest.raises(KeyStillNeeded, match="only key"):
        services.credits.key_acts.end("old")
    with pytest.raises(SigningKeyNotFound):
        services.credits.key_acts.end("other")


def test_an_end_that_was_taken_back_needs_a_new_pass_later(fleet):
    both = fleet.deploy(OLD, NEW)
    fleet.minute(both)
    acts = both.credits.key_acts
    acts.end("old")
    fleet.clock.advance(END_NOTICE + 1)
    acts.keep("old")
    fleet.minute(both)
    assert statuses(both)["old"] == "verifying"
    fleet.until_all_know()
    both.credits.ledger.execute(ADA, grant("gift", 100))

    fleet.retire(both, "old")

    assert sealers(fleet.documents, [ADA]) == {"new"}
    with pytest.raises(KeyStillNeeded, match="for ever"):
        acts.keep("old")


def test_a_pass_goes_on_where_a_killed_run_stopped(fleet):
    first = fleet.deploy(OLD)
    uids = [Uid(f"user-{number:03d}") for number in range(250)]
    for uid in uids:
        first.credits.ledger.execute(uid, grant("gift", 100))
    both = fleet.deploy(NEW, OLD)
    fleet.minute(both)
    both.credits.key_acts.end("old")
    fleet.clock.advance(END_NOTICE + 1)
    killed = KilledAfter(both.credits.key_rotation, 2)

    with pytest.raises(KilledError):
        fleet.minute(both)
    progress = both.credits.key_rotation.progress()
    killed.lives = True
    fleet.minute(fleet.deploy(NEW, OLD))

    assert progress is not None
    assert (progress.stage, progress.moved, progress.is_over) == ("accounts", 200, False)
    done = both.credits.key_rotation.progress()
    assert done is not None
    assert (done.moved, done.is_over, statuses(both)["old"]) == (250, True, "retired")
    assert sealers(fleet.documents, uids) == {"new"}


class KilledError(Exception):
    pass


class KilledAfter:
    """Ends a run after so many stored pages."""

    def __init__(self, rotation, pages):
        self.lives, self._pages, self._page = False, pages, rotation._page
        rotation._page = self

    def __call__(self, run, place):
        self._pages -= 1
        if self._pages < 0 and not self.lives:
            raise KilledError
        return self._page(run, place)


def test_a_broken_account_holds_up_no_retirement(fleet):
    def live(services):
        services.credits.ledger.execute(ADA, grant("gift", 100))
        services.credits.ledger.execute(BOB, grant("gift", 100))
        fleet.documents.commit([Patch(f"accounts/{ADA}", {"available": "7"})])

    both = rotated(fleet, live)

    assert sealers(fleet.documents, [BOB]) == {"new"}
    assert statuses(both)["old"] == "retired"
    assert any("ada" in alarm for alarm in fleet.alarms)
    progress = both.credits.key_rotation.progress()
    assert progress is not None
    assert (progress.refused, progress.moved) == (1, 1)


def test_an_instance_without_a_key_in_force_asks_for_a_retry(fleet):
    old = fleet.deploy(OLD)
    old.credits.ledger.execute(ADA, grant("gift", 100))
    rotated(fleet)
    fleet.until_all_know()

    with pytest.raises(NoSigningKey):
        old.credits.ledger.execute(ADA, charge(1, operation="again"))
    fleet.deploy(NEW).credits.ledger.execute(ADA, charge(1, operation="again"))

    assert old.credits.ledger.balance(ADA).available == 99
    assert fleet.alarms == []


# ── what a retired key signs ─────────────────────────────────────────────────────────────────────────────────────────


def thief(fleet):
    """Somebody with the retired seed and the whole database, who takes the registry for the one of before."""
    keys = KeyRing(parse_signing_keys(OLD))
    return AccountStore(fleet.documents, keys, "demo-test")


def test_a_seal_of_a_retired_key_is_refused_by_the_next_operation(fleet):
    services = rotated(fleet, lambda services: services.credits.ledger.execute(ADA, grant("gift", 100)))
    head = AccountStore(fleet.documents, services.credits.keys, "demo-test").read(ADA).head
    fleet.documents.commit(thief(fleet).account_writes(head, head.account, "nonce"))

    with pytest.raises(IntegrityFailed) as refused:
        fleet.deploy(NEW).credits.ledger.execute(ADA, charge(1))

    assert refused.value.params["rule"] == "retired_key"
    assert [finding.rule for finding in services.credits.ledger.verify(ADA)] == ["retired_key"]


def test_the_registry_cannot_be_edited_by_who_has_no_secret(fleet):
    rotated(fleet)
    document = fleet.documents.get(KEYS_PATH)
    assert document is not None
    edited = str(document.data["chain"]).replace("retired", "kept")
    fleet.documents.commit([Patch(KEYS_PATH, {"chain": edited})])

    with pytest.raises(RegistryBroken):
        fleet.deploy(NEW).credits.ledger.execute(ADA, charge(1))
    assert any(KEYS_PATH in alarm for alarm in fleet.alarms)


def test_a_registry_that_was_rolled_back_changes_nothing_for_who_knows_more(fleet):
    both = fleet.deploy(OLD, NEW)
    fleet.minute(both)
    document = fleet.documents.get(KEYS_PATH)
    assert document is not None
    fleet.retire(both, "old")
    fleet.documents.commit([Patch(KEYS_PATH, dict(document.data))])
    fleet.clock.advance(FRESH)

    both.credits.known_keys.look_for("other")

    assert both.credits.known_keys.current().keys[0].status == "retired"
    assert {each.fields["rule"] for each in fleet.alerts.raised} == {"rollback"}


def test_the_daily_check_finds_a_registry_that_was_rolled_back(fleet):
    both = fleet.deploy(OLD, NEW)
    fleet.minute(both)
    document = fleet.documents.get(KEYS_PATH)
    assert document is not None
    fleet.retire(both, "old")
    sound = JobRun("", fleet.clock, 60)
    both.credits.key_rotation.check(sound)
    assert fleet.alarms == []
    fleet.documents.commit([Patch(KEYS_PATH, dict(document.data))])

    fleet.deploy(NEW, OLD).credits.key_rotation.check(JobRun("", fleet.clock, 60))

    assert [(each.event, each.fields["seq"]) for each in fleet.alerts.raised] == [("integrity_failed", 3)]


def test_a_registry_marked_by_a_seed_is_marked_again_by_a_secret(fleet):
    fleet.minute(fleet.deploy(OLD, marks=""))

    fleet.minute(fleet.deploy(OLD))

    stored = fleet.deploy(signing_key("other", 9)).credits.key_store.read()
    assert stored.is_marked_today


def test_two_instances_that_begin_at_once_write_one_registry():
    fleet = Fleet(documents=MemoryDocuments())
    one, other = fleet.deploy(OLD), fleet.deploy(OLD)
    read = other.credits.key_store.read
    stale = read()
    told = [stale]
    other.credits.key_store.read = lambda: told.pop() if told else read()  # type: ignore[method-assign]

    fleet.minute(one)
    fleet.minute(other)

    assert one.credits.key_acts.registry.seq == 1


def test_image_links_and_pseudonyms_outlive_the_seed(fleet):
    old, new = fleet.deploy(OLD), fleet.deploy(NEW)

    link = old.images.links.to("image-1", fleet.clock.now())

    assert new.images.links.read(link.text, fleet.clock.now()).image_id == "image-1"
    assert new.users.end_users.of(ADA) == old.users.end_users.of(ADA)


def test_a_lot_that_was_archived_under_the_old_key_takes_a_refund(fleet):
    def live(services):
        services.credits.ledger.execute(ADA, grant("bought", 100, source="world:stripe"))
        services.credits.ledger.execute(ADA, charge(100))

    rotated(fleet, live)
    ledger = fleet.deploy(NEW).credits.ledger

    ledger.execute(ADA, reverse("bought", 60))

    assert ledger.covered(ADA, [LotId("bought")]) == {LotId("bought"): 60}
    assert ledger.is_done(ADA, OperationId("no-such")) is False
