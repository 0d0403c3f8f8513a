import pytest

from shared.kernel.ids import NAME_CHARS_MAX, Uid, is_safe_id, is_uid, name_of
from tests.support.uids import SUPPORTED, UNSUPPORTED


@pytest.mark.parametrize("uid", SUPPORTED)
def test_a_uid_is_taken_when_firestore_can_name_it(uid: str):
    assert is_uid(uid)


@pytest.mark.parametrize("uid", [*UNSUPPORTED, "", "x" * 129, "\ud800"])
def test_a_uid_is_refused_when_no_document_can_have_it(uid: str):
    assert not is_uid(uid)


def test_no_two_uids_have_the_same_name():
    uids = [*SUPPORTED, "auth0%7C5f7c", "%sha256-x", "auth0_5f7c", "ü", "u\u0308"]

    names = {name_of(Uid(uid)) for uid in uids}

    assert len(names) == len(uids)


@pytest.mark.parametrize("uid", SUPPORTED)
def test_the_name_of_a_uid_fits_an_object(uid: str):
    name = name_of(Uid(uid))

    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= NAME_CHARS_MAX
    assert name == uid or not is_safe_id(uid)
