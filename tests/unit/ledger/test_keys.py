"""Keys: who signs and who only verifies, signatures, and the marks of records that nobody but us checks."""

import pytest

from shared.kernel.settings import SigningKey
from shared.ledger.errors import UnknownKey
from shared.ledger.key_ring import KeyRing

OLD, NEW = SigningKey(kid="old", seed=bytes(range(32))), SigningKey(kid="new", seed=bytes(32))


def test_a_mark_names_its_key_and_fits_its_message_only():
    ring = KeyRing((NEW,))

    mark = ring.mark(b"a record")

    assert mark.startswith("new:")
    assert ring.is_marked(b"a record", mark)
    assert not ring.is_marked(b"another record", mark)


def test_a_mark_of_an_older_key_still_fits_once_a_newer_one_signs():
    mark = KeyRing((OLD,)).mark(b"a record")

    assert KeyRing((NEW, OLD)).is_marked(b"a record", mark)


def test_a_mark_of_a_key_that_is_not_known_yet_is_asked_about_again():
    mark = KeyRing((NEW,)).mark(b"a record")

    with pytest.raises(UnknownKey):
        KeyRing((OLD,)).is_marked(b"a record", mark)


def test_another_key_of_the_same_name_makes_another_mark():
    impostor = KeyRing((SigningKey(kid="new", seed=bytes(range(32))),))

    assert not KeyRing((NEW,)).is_marked(b"a record", impostor.mark(b"a record"))


@pytest.mark.parametrize("mark", ["", "new", "new:", "new:é", "new:\ud800", ":"])
def test_what_is_no_mark_fits_nothing(mark):
    ring = KeyRing((NEW, SigningKey(kid="", seed=bytes(32))))

    assert not ring.is_marked(b"a record", mark)


def test_a_signature_is_no_mark():
    ring = KeyRing((NEW,))

    assert not ring.is_marked(b"a record", f"new:{ring.sign(b'', b'a record')}")


def test_the_first_key_signs_and_the_others_only_verify():
    registry = KeyRing((NEW, OLD)).registry

    assert [(key.kid, key.status) for key in registry] == [("new", "signing"), ("old", "verifying")]


LOOSE = {"a line's end": "{}==\n", "a space": " {}==", "no padding": "{}"}


@pytest.mark.parametrize("loose", LOOSE.values(), ids=LOOSE)
def test_a_signature_is_written_in_one_way_only(loose):
    ring = KeyRing((NEW,))
    signature = ring.sign(b"", b"a record")

    assert ring.is_signed(b"", b"a record", kid="new", signature=signature)
    assert not ring.is_signed(b"", b"a record", kid="new", signature=loose.format(signature.rstrip("=")))
