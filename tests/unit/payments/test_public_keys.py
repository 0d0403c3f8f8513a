"""A wallet's key is read at start: the right ones are taken, every other is refused with what to do."""

import pytest

from shared.kernel.extended_keys import HARDENED, extended_key
from shared.kernel.public_keys import NO_PRIVATE_KEY, descriptor_checksum, parse_bitcoin_keys, parse_evm_keys
from shared.kernel.settings import SettingsError, parse_settings
from tests.support.keys import EVM, SEGWIT_TPUB, SEGWIT_XPUB, TAPROOT_XPUB, VECTORS, VPUB, ZPUB, summed

ZPRV = "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE"
XPRV = VECTORS["bip32"][0]["private"]
WIF = "KyZpNDKnfs94vbrwhJneDi77V6jF64PWPF8x5cdJb8ifgg2DUc9d"
SINGLE_KEY = "0260b2003c386519fc9eadf2b5cf124dd8eea4c4e68d5e154050a9346ea98ce600"
REQUIRED = {"GCLOUD_PROJECT": "p", "LEDGER_SIGNING_KEY": "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}


def described(key: str, *, origin: str = "", script: str = "wpkh", path: str = "/0/*") -> str:
    return summed(f"{script}({origin}{key}{path})")


@pytest.mark.parametrize("vector", VECTORS["bip32"], ids=lambda vector: f"{vector['vector']}:{vector['path']}")
def test_extended_key_is_read_as_published(vector):
    steps = vector["path"].split("/")[1:]
    last = steps[-1] if steps else "0"

    key = extended_key(vector["public"], "must be a key")

    assert (key.kind, key.depth) == ("xpub", len(steps))
    assert key.child == int(last.rstrip("'")) + (HARDENED if last.endswith("'") else 0)


@pytest.mark.parametrize(
    ("text", "fault"), VECTORS["bip32_invalid"], ids=[fault for _, fault in VECTORS["bip32_invalid"]]
)
def test_published_invalid_key_is_refused(text, fault):
    for parse in (parse_evm_keys, parse_bitcoin_keys):
        with pytest.raises(ValueError, match=r"\w"):
            parse(text)
    if text.startswith("xpub"):
        with pytest.raises(ValueError, match="no valid xpub" if "pubkey" in fault else "depth 0|must be"):
            parse_evm_keys(text)


def test_descriptor_checksum_is_as_published():
    assert descriptor_checksum("raw(deadbeef)") == "89f8spxm"


@pytest.mark.parametrize(
    "text",
    [
        "raw(deadbeef)", "raw(deadbeef)#", "raw(deadbeef)#89f8spxmx", "raw(deadbeef)#89f8spx", "raw(deedbeef)#89f8spxm",
        "raw(deedbeef)##9f8spxm", "raw(Ü)#00000000",
    ],
)  # fmt: skip
def test_published_invalid_descriptor_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_bitcoin_keys(text)


@pytest.mark.parametrize(
    ("text", "script", "is_live"),
    [
        (ZPUB, "wpkh", True),
        (VPUB, "wpkh", False),
        (f"  {ZPUB}\n", "wpkh", True),
        (described(SEGWIT_XPUB), "wpkh", True),
        (described(SEGWIT_TPUB), "wpkh", False),
        (described(SEGWIT_XPUB, origin="[73c5da0a/84h/0h/0h]"), "wpkh", True),
        (described(SEGWIT_XPUB, origin="[73C5DA0A/84'/0h/0H]"), "wpkh", True),
        (described(SEGWIT_TPUB, origin="[73c5da0a/84h/1h/0h]", path="/<0;1>/*"), "wpkh", False),
        (described(TAPROOT_XPUB, script="tr", origin="[73c5da0a/86'/0'/0']"), "tr", True),
    ],
)
def test_bitcoin_key_is_taken_in_each_form(text, script, is_live):
    (key,) = parse_bitcoin_keys(text)

    assert (key.script, key.is_live) == (script, is_live)


def test_zpub_and_its_descriptor_are_the_same_key():
    assert parse_bitcoin_keys(ZPUB) == parse_bitcoin_keys(described(SEGWIT_XPUB))


def test_blank_setting_has_no_keys():
    assert parse_evm_keys("  ") == parse_bitcoin_keys(" , ") == ()


def test_keys_of_an_old_wallet_follow_behind_a_comma():
    keys = parse_bitcoin_keys(f"{described(TAPROOT_XPUB, script='tr')},{ZPUB}")

    assert [key.script for key in keys] == ["tr", "wpkh"]


@pytest.mark.parametrize(
    "text",
    [
        XPRV,
        XPRV[:-1],
        "xprv",
        ZPRV,
        f"{EVM},{ZPRV}",
        WIF,
        "5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss",
        "1e" * 32,
        "0x" + "1E" * 32,
        " ".join(["abandon"] * 11 + ["about"]),
        ", ".join(["Abandon"] * 23 + ["art"]),
        "ábaco " * 12,
        f"wpkh({WIF})",
        described(XPRV, origin="[73c5da0a/84h/0h/0h]"),
        f"wpkh([73c5da0a/84h/0h/0h]{ZPRV}/0/*)",
        f"multi(1,{SEGWIT_XPUB}/0/*,{XPRV}/0/*)",
    ],
)
def test_private_key_is_refused_in_every_form(text):
    for parse in (parse_evm_keys, parse_bitcoin_keys):
        with pytest.raises(ValueError, match="no server may ever hold one") as refused:
            parse(text)
        assert str(refused.value) == NO_PRIVATE_KEY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VECTORS["bip32"][0]["public"], "depth 0"),
        (VECTORS["bip32"][2]["public"], "depth 2"),
        (VECTORS["bip32"][4]["public"], "depth 4"),
        (VECTORS["bip32"][9]["public"], "not hardened"),
        (ZPUB, "a zpub, a key for Bitcoin"),
        (VPUB, "a vpub, a key for Bitcoin"),
        (f"{EVM[:-1]}u", "typing error"),
        (EVM.replace("C", "D", 1), "typing error"),
        (EVM[:-4], "typing error"),
        (f"{EVM},{EVM}", "twice"),
        ("0x9858EfFD232B4033E47d90003D41EC34EcaEda94", "must be the account's extended public key"),
        ("xpub…", "must be the account's extended public key"),
        (f"[73c5da0a/44'/60'/0']{EVM}", "must be the account's extended public key"),
        (EVM * 40, "longer than"),
    ],
)
def test_wrong_evm_key_is_refused_with_its_fault(text, said):
    with pytest.raises(ValueError, match=said):
        parse_evm_keys(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SEGWIT_XPUB, "bare xpub, which does not say"),
        (SEGWIT_TPUB, "bare tpub, which does not say"),
        (f"{ZPUB[:-1]}b", "typing error"),
        (f"wpkh({SEGWIT_XPUB}/0/*)", "without its checksum"),
        (f"wpkh({SEGWIT_XPUB}/0/*)#", "without its checksum"),
        (described(SEGWIT_XPUB).replace("6Cat", "6Cab"), "typing error"),
        (described(SEGWIT_XPUB)[:-1] + "q", "typing error"),
        (described(ZPUB), "descriptor with a zpub"),
        (described(SEGWIT_XPUB, path="/0'/*"), "hardened steps"),
        (described(SEGWIT_XPUB, path="/0/*h"), "hardened steps"),
        (described(SEGWIT_XPUB, path="/1/*"), "receiving addresses"),
        (described(SEGWIT_XPUB, path="/<1;0>/*"), "receiving addresses"),
        (described(SEGWIT_XPUB, path="/*"), "receiving addresses"),
        (described(SEGWIT_XPUB, path="/0/0"), "receiving addresses"),
        (described(SEGWIT_XPUB, path=""), "receiving addresses"),
        (described(SEGWIT_XPUB, path="/84/0/0/0/*"), "receiving addresses"),
        (described(VECTORS["bip32"][0]["public"]), "depth 0"),
        (described(VECTORS["bip32"][9]["public"]), "not hardened"),
        (described(SEGWIT_XPUB, origin="[73c5da0a/49h/0h/0h]"), "path for wpkh(…) with this key|84h/0h/0h"),
        (described(SEGWIT_XPUB, origin="[73c5da0a/84h/1h/0h]"), "84h/0h/0h"),
        (described(SEGWIT_XPUB, origin="[73c5da0a/84/0/0]"), "84h/0h/0h"),
        (described(SEGWIT_XPUB, origin="[73c5da0a/84h/0h/1h]"), "84h/0h/0h"),
        (described(SEGWIT_XPUB, origin="[73c5da0a]"), "84h/0h/0h"),
        (described(TAPROOT_XPUB, script="tr", origin="[73c5da0a/84h/0h/0h]"), "86h/0h/0h"),
        (described(SEGWIT_XPUB, script="pkh"), "another kind"),
        (described(SEGWIT_XPUB, script="wsh"), "another kind"),
        (summed(f"sh(wpkh({SEGWIT_XPUB}/0/*))"), "another kind"),
        (summed(f"wsh(sortedmulti(1,{SEGWIT_XPUB}/0/*,{TAPROOT_XPUB}/0/*))"), "several keys"),
        (f"wsh(multi(1,{SEGWIT_XPUB}/0/*,{TAPROOT_XPUB}/0/*))", "several keys"),
        (summed(f"tr({TAPROOT_XPUB}/0/*,pk({SEGWIT_XPUB}/0/*))"), "several keys"),
        (summed(f"wpkh(wpkh({SEGWIT_XPUB}/0/*))"), "must be the account's zpub"),
        (described(SINGLE_KEY, path=""), "must be the account's"),
        (f"{described(SEGWIT_XPUB)},{ZPUB}", "twice"),
    ],
)  # fmt: skip
def test_wrong_bitcoin_key_is_refused_with_its_fault(text, said):
    with pytest.raises(ValueError, match=said):
        parse_bitcoin_keys(text)


def test_start_names_every_wrong_key_and_shows_none():
    with pytest.raises(SettingsError) as refused:
        parse_settings({**REQUIRED, "EVM_XPUB": XPRV, "BITCOIN_KEY": SEGWIT_XPUB})

    told = str(refused.value)
    assert "EVM_XPUB holds a private key" in told
    assert "BITCOIN_KEY is a bare xpub" in told
    assert XPRV[4:12] not in told
    assert SEGWIT_XPUB[4:12] not in told


def test_settings_do_not_show_a_key():
    settings = parse_settings({**REQUIRED, "EVM_XPUB": EVM, "BITCOIN_KEY": ZPUB})

    assert settings.evm_xpub[0].chain_code.hex() not in repr(settings).replace("\\x", "")
    assert "chain_code" not in repr(settings)
