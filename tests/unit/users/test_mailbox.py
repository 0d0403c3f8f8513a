import pytest

from shared.users.mailbox import derived_key, marks, normalised
from tests.support.people import settings, signing_key


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("ann@example.com", "ann@example.com"),
        ("Ann@Example.COM", "ann@example.com"),
        ("  ann@example.com\n", "ann@example.com"),
        ("ann+promo@example.com", "ann@example.com"),
        ("ann+a+b@example.com", "ann@example.com"),
        ("+tag@example.com", "+tag@example.com"),
        ("an.n@example.com", "an.n@example.com"),
        ("a.n.n@gmail.com", "ann@gmail.com"),
        ("A.N.N+x@GoogleMail.com", "ann@gmail.com"),
        ("...@gmail.com", "...@gmail.com"),
        ("ann@example.com.", "ann@example.com"),
        ("ａｎｎ@ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com"),
        ("ann＋x@example.com", "ann@example.com"),
        ("ann@ｇｍａｉｌ.com", "ann@gmail.com"),
        ("ﬁona@example.com", "fiona@example.com"),
        ("STRAßE@example.com", "strasse@example.com"),
        ("JOS\u00c9@example.com", "jos\u00e9@example.com"),
        ("Jose\u0301@example.com", "jos\u00e9@example.com"),
        ("a\u200bn\u00adn@example.com", "ann@example.com"),
        ("\ufeffann@example.com", "ann@example.com"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("a@b@example.com", "a@b@example.com"),
        ("nobody", "@nobody"),
        (f"ann@{'x' * 70}.example", f"ann@{'x' * 70}.example"),
    ],
)
def test_every_spelling_of_a_mailbox_is_one_mailbox(address: str, mailbox: str):
    found = normalised(address)

    assert found == mailbox


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "ann@example.org"),
        ("ann@example.com", "anne@example.com"),
        ("an.n@example.com", "ann@example.com"),
        ("аnn@example.com", "ann@example.com"),  # Cyrillic а is another letter, and another mailbox
    ],
)
def test_different_mailboxes_stay_different(one: str, other: str):
    assert normalised(one) != normalised(other)


def test_normalising_twice_changes_nothing():
    once = normalised("A.ﬁ+x@GoogleMail.com")

    assert normalised(once) == once


def test_the_key_is_derived_as_rfc_5869_says():
    seed, salt, info = bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA))

    key = derived_key(seed, info, salt)

    assert key.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_a_mark_tells_nobody_the_mailbox_without_the_key():
    one = settings().ledger_signing_keys
    other = settings(LEDGER_SIGNING_KEY=signing_key("k1", 2)).ledger_signing_keys

    mine, theirs = marks(one, "mailto:ann@example.com"), marks(other, "mailto:ann@example.com")

    assert mine != theirs
    assert "ann" not in mine[0]


def test_every_key_makes_its_own_mark():
    keys = settings(LEDGER_SIGNING_KEY=f"{signing_key('k2', 2)},{signing_key('k1', 1)}").ledger_signing_keys

    both = marks(keys, "mailto:ann@example.com")

    assert both == [*marks(keys[:1], "mailto:ann@example.com"), *marks(keys[1:], "mailto:ann@example.com")]
    assert len(set(both)) == 2
