"""Pseudonyms: one for each user, the same everywhere, and nothing to be read from them."""

import re

import pytest

from shared.kernel.ids import Uid
from shared.users.end_users import EndUsers

KEY = b"1" * 32


def test_a_pseudonym_is_the_same_on_every_instance():
    assert EndUsers(KEY).of(Uid("ann")) == EndUsers(KEY).of(Uid("ann"))


def test_each_user_and_each_key_has_its_own_pseudonym():
    made = {EndUsers(key).of(Uid(uid)) for key in (KEY, b"2" * 32) for uid in ("ann", "eve", "Ann", "ann ")}

    assert len(made) == 8


@pytest.mark.parametrize("uid", ["ann", "auth0|5f7c8ec7c33c6c004bbafe82", "ann@example.com", "Ä" * 128, "a" * 128])
def test_a_pseudonym_has_a_form_that_providers_take(uid):
    pseudonym = EndUsers(KEY).of(Uid(uid))

    assert re.fullmatch(r"user_[0-9a-f]{40}", pseudonym)
    assert uid not in pseudonym
