import pytest

from shared.kernel.derived_keys import derived_key
from shared.users.mailbox import mark_key_of, mark_keys, marks, normalised, normalised_v1, spellings


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
        ("Ann.B-c_d+x@PM.me", "annbcd@proton.me"),
        ("annbcd@protonmail.com", "annbcd@proton.me"),
        ("annbcd@protonmail.ch", "annbcd@proton.me"),
        ("ann+x@me.com", "ann@icloud.com"),
        ("ann@mac.com", "ann@icloud.com"),
        ("an.n@icloud.com", "an.n@icloud.com"),
        ("a.nn@ya.ru", "a-nn@yandex.ru"),
        ("a-nn+x@yandex.com.tr", "a-nn@yandex.ru"),
        ("a.nn@narod.ru", "a-nn@yandex.ru"),
        ("shop@ann.fastmail.com", "ann@fastmail.com"),
        ("ann+x@fastmail.com", "ann@fastmail.com"),
        ("x@ann.fastmail.fm", "ann@fastmail.fm"),
        ("x@ann.sent.com", "ann@sent.com"),
        ("ann-shop@yahoo.com", "ann@yahoo.com"),
        ("ann-a-b@yahoo.co.jp", "ann@yahoo.co.jp"),
        ("ann-shop@ymail.com", "ann@ymail.com"),
        ("ann+x@outlook.com", "ann@outlook.com"),
        ("ann+x@hotmail.co.uk", "ann@hotmail.co.uk"),
        ("an-n@outlook.com", "an-n@outlook.com"),
        ("ann+x@tuta.com", "ann+x@tuta.com"),
        ("ann@hanmail.net", "ann@daum.net"),
        ("ann@fa\u00df.example", "ann@fass.example"),
        ("ann@FASS.example", "ann@fass.example"),
        ("ann@xn--fa-hia.example", "ann@fass.example"),
        ("ann@b\u00fccher\u3002example", "ann@xn--bcher-kva.example"),
        ("ann@\u03b2\u03cc\u03bb\u03bf\u03c2.example", "ann@xn--nxasmq6b.example"),
        ("ann@xn--nxasmm1c.example", "ann@xn--nxasmq6b.example"),
        ("ann@\U0001f98a.example", "ann@xn--9s9h.example"),
        ("ann@xn--9s9h.example", "ann@xn--9s9h.example"),
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
    one, other = mark_keys(["one"], []), mark_keys(["other"], [])

    mine, theirs = marks(one, "mailto:ann@example.com"), marks(other, "mailto:ann@example.com")

    assert mine != theirs
    assert "ann" not in mine[0]


def test_every_key_makes_its_own_mark():
    keys = mark_keys(["secret"], [bytes([1]) * 32])

    both = marks(keys, "mailto:ann@example.com")

    assert both == [*marks(keys[:1], "mailto:ann@example.com"), *marks(keys[1:], "mailto:ann@example.com")]
    assert len(set(both)) == 2


def test_a_derived_key_can_be_named_itself_when_its_seed_is_gone():
    seed = bytes([1]) * 32

    assert mark_keys([f"hex:{mark_key_of(seed).hex()}"], []) == mark_keys([], [seed])


def test_earlier_spellings_are_looked_up_beside_the_one_spelling():
    found = spellings("Ann.B@me.com")

    assert found[0] == normalised("Ann.B@me.com") == "ann.b@icloud.com"
    assert {normalised_v1("Ann.B@me.com"), "ann.b@mac.com", "ann.b@me.com"} <= set(found)
