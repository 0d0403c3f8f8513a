"""The registry of public keys: what its entries change, and which chains are refused."""

from dataclasses import replace

import pytest

from shared.kernel.settings import SigningKey
from shared.ledger.errors import NoSigningKey, RegistryBroken, UnknownKey
from shared.ledger.key_registry import KeyChange, KeyEntry, KeyRegistry, key_body, registry_of
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, KEY_CONTEXT, SEAL_CONTEXT, PublicKey, Verifier
from tests.support.key_chains import KeyChain

OLD, NEW = SigningKey(kid="old", seed=bytes(range(32))), SigningKey(kid="new", seed=bytes(32))
LEDGER = "demo-test"


@pytest.fixture
def chain() -> KeyChain:
    """The old key, and the new one added by it."""
    chain = KeyChain(LEDGER, (OLD, NEW))
    chain.add(OLD, by=OLD, at=1_000, since=0)
    chain.add(NEW, by=OLD, at=2_000)
    return chain


def test_keys_are_in_force_from_their_entry_on(chain):
    registry = registry_of(chain.entries, LEDGER)

    assert [(key.kid, key.status, key.since, key.until) for key in registry.keys] == [
        ("old", "verifying", 0, None),
        ("new", "verifying", 2_000, None),
    ]


def test_a_key_that_ends_has_no_end_for_others_until_it_is_retired(chain):
    chain.change("ending", "old", by=NEW, at=3_000, until=4_000)
    ending = registry_of(chain.entries, LEDGER)
    chain.change("retired", "old", by=NEW, at=9_000)
    retired = registry_of(chain.entries, LEDGER)

    assert (ending.keys[0].status, ending.keys[0].until, ending.end_of("old")) == ("ending", None, 4_000)
    assert (retired.keys[0].status, retired.keys[0].until) == ("retired", 4_000)


def test_an_end_can_be_taken_back_before_it_is_in_force(chain):
    chain.change("ending", "old", by=NEW, at=3_000, until=4_000)
    chain.change("kept", "old", by=NEW, at=3_500)

    registry = registry_of(chain.entries, LEDGER)

    assert (registry.keys[0].status, registry.end_of("old")) == ("verifying", None)


IMPOSSIBLE = {
    "a key twice": ("added", "old", {"public_key": "", "since": 0}),
    "an end of no key": ("ending", "other", {"until": 5_000}),
    "an end without a time": ("ending", "old", {"until": "soon"}),
    "a retirement without an end": ("retired", "old", {}),
    "a way back without an end": ("kept", "old", {}),
    "another kind": ("revived", "old", {}),
}


@pytest.mark.parametrize(("kind", "kid", "facts"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_change_that_is_not_allowed_breaks_the_chain(chain, kind, kid, facts):
    chain.change(kind, kid, by=NEW, at=3_000, **facts)

    with pytest.raises(RegistryBroken) as broken:
        registry_of(chain.entries, LEDGER)

    assert broken.value.params == {"seq": 3, "rule": "kind"}


def test_a_low_order_key_cannot_be_added(chain):
    weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    chain.change("added", "weak", by=NEW, at=3_000, public_key=weak, since=3_000)

    with pytest.raises(RegistryBroken):
        registry_of(chain.entries, LEDGER)


def test_a_retired_key_changes_nothing_any_more(chain):
    chain.change("ending", "old", by=NEW, at=3_000, until=4_000)
    chain.change("retired", "old", by=NEW, at=5_000)
    chain.change("ending", "new", by=OLD, at=6_000, until=7_000)

    with pytest.raises(RegistryBroken) as broken:
        registry_of(chain.entries, LEDGER)

    assert broken.value.params == {"seq": 5, "rule": "signature"}


def test_a_key_whose_end_is_announced_adds_no_key():
    third = SigningKey(kid="third", seed=b"3" * 32)
    chain = KeyChain(LEDGER, (OLD, NEW, third))
    chain.add(OLD, by=OLD, at=1_000, since=0)
    chain.add(NEW, by=OLD, at=2_000)
    chain.change("ending", "old", by=NEW, at=3_000, until=4_000)
    chain.add(third, by=OLD, at=3_500)

    with pytest.raises(RegistryBroken) as broken:
        registry_of(chain.entries, LEDGER)

    assert broken.value.params == {"seq": 4, "rule": "signature"}


def test_a_stranger_begins_no_chain_for_another():
    chain = KeyChain(LEDGER, (OLD, NEW))
    chain.add(OLD, by=NEW, at=1_000, since=0)

    with pytest.raises(RegistryBroken):
        registry_of(chain.entries, LEDGER)


@pytest.mark.parametrize("at", range(2))
def test_an_edited_entry_breaks_the_chain_there(chain, at):
    entries = list(chain.entries)
    entries[at] = replace(entries[at], body=entries[at].body.replace('"kid":"', '"kid":"x'))

    with pytest.raises(RegistryBroken) as broken:
        registry_of(entries, LEDGER)

    assert broken.value.params["seq"] == at + 1


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", '{"v":1}', '{"v": 1}', "{"])
def test_what_is_no_entry_breaks_the_chain(body):
    with pytest.raises(RegistryBroken):
        registry_of([KeyEntry(body=body, signature="")], LEDGER)


def test_a_chain_of_another_ledger_is_refused(chain):
    with pytest.raises(RegistryBroken):
        registry_of(chain.entries, "another")


def test_entries_cannot_change_places(chain):
    with pytest.raises(RegistryBroken):
        registry_of(reversed(chain.entries), LEDGER)


# ── what the keys cover ──────────────────────────────────────────────────────────────────────────────────────────────


def signed(key: SigningKey, context: bytes) -> str:
    return KeyRing((key,)).sign(context, b"hash")


def retired_keys() -> Verifier:
    old, new = KeyRing((OLD, NEW)).registry
    return Verifier([replace(old, since=1_000, until=4_000), replace(new, since=2_000)])


@pytest.mark.parametrize(
    ("at", "rule"), [(999, "early_key"), (1_000, None), (4_000, None), (4_001, "retired_key"), (2**60, "retired_key")]
)
def test_an_entry_is_valid_within_the_time_of_its_key(at, rule):
    told = retired_keys().entry_rule("hash", kid="old", signature=signed(OLD, ENTRY_CONTEXT), at=at)

    assert told == rule


def test_a_seal_of_a_retired_key_is_refused_whatever_its_time():
    verifier = retired_keys()
    old, new = signed(OLD, SEAL_CONTEXT), signed(NEW, SEAL_CONTEXT)

    assert verifier.seal_rule(SEAL_CONTEXT, b"hash", kid="old", signature=old) == "retired_key"
    assert verifier.seal_rule(SEAL_CONTEXT, b"hash", kid="new", signature=new) is None
    assert verifier.seal_rule(SEAL_CONTEXT, b"hash", kid="new", signature=old) == "seal"


def test_a_key_survives_its_published_form():
    key = PublicKey(kid="k", public_key="p", status="retired", since=1_234, until=5_678)

    assert PublicKey.from_json(key.to_json()) == PublicKey.from_json(key.exported()) == key


def test_an_older_answer_without_a_time_is_still_read():
    told = {"kid": "k", "alg": "Ed25519", "public_key": "p", "status": "signing"}

    assert PublicKey.from_json(told) == PublicKey(kid="k", public_key="p")


# ── what an instance signs with ──────────────────────────────────────────────────────────────────────────────────────


class Known:
    """A registry that never changes."""

    def __init__(self, registry: KeyRegistry) -> None:
        self.registry = registry

    def current(self) -> KeyRegistry:
        return self.registry

    def for_signing(self) -> KeyRegistry:
        return self.registry

    def look_for(self, kid: str) -> KeyRegistry:
        return self.registry


def ring(chain: KeyChain, *keys: SigningKey) -> KeyRing:
    return KeyRing(keys, known=Known(registry_of(chain.entries, LEDGER)))


def test_the_first_held_key_that_is_in_force_signs(chain):
    both = ring(chain, OLD, NEW)
    chain.change("ending", "old", by=NEW, at=3_000, until=4_000)

    assert both.kid_at(5_000) == "old"
    assert ring(chain, OLD, NEW).kid_at(5_000) == "new"


def test_a_key_does_not_sign_before_its_time(chain):
    assert ring(chain, NEW, OLD).kid_at(1_999) == "old"
    assert ring(chain, NEW, OLD).kid_at(2_000) == "new"


def test_an_instance_whose_only_key_has_ended_signs_nothing(chain):
    chain.change("ending", "old", by=NEW, at=3_000, until=4_000)

    with pytest.raises(NoSigningKey):
        ring(chain, OLD).kid_at(3_500)


def test_a_key_that_the_registry_does_not_name_does_not_sign(chain):
    stranger = SigningKey(kid="stranger", seed=bytes([7] * 32))
    impostor = SigningKey(kid="new", seed=bytes([7] * 32))

    assert ring(chain, stranger, impostor, OLD).kid_at(3_000) == "old"


def test_no_seed_is_needed_to_verify(chain):
    signature = KeyRing((OLD,)).sign(KEY_CONTEXT, b"message")

    assert ring(chain, NEW).is_signed(KEY_CONTEXT, b"message", kid="old", signature=signature)
    with pytest.raises(UnknownKey):
        ring(chain, NEW).is_signed(KEY_CONTEXT, b"message", kid="other", signature=signature)


def test_an_entry_is_never_older_than_the_one_before_it(chain):
    registry = registry_of(chain.entries, LEDGER)

    body = key_body(registry, LEDGER, KeyChange(kind="ending", kid="old", facts={"until": 1}), "new", at=5)

    assert '"at":2000' in body
