"""Public keys of wallets, as settings hold them: an account's extended key, or an output descriptor (BIP 380).

Only the standard library is used, so that a start reads keys without a vendor. The texts of the errors continue after
the setting's name, and never hold any part of the key.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from shared.kernel.account_keys import AccountKey, Script
from shared.kernel.extended_keys import HARDENED, TYPING_ERROR, ExtendedKey, extended_key, require_account

SETTING_CHARS_MAX = 4_000
SEED_WORDS_MIN = 12
WORDS = re.compile(r"[^\W\d_]+([\s,]+[^\W\d_]+)*")
PRIVATE_KEY = re.compile(
    r"\b[xyztuvYZUV]prv"
    r"|(?<![0-9A-Za-z])(0x)?[0-9a-fA-F]{64}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])[59KLc][1-9A-HJ-NP-Za-km-z]{50,51}(?![0-9A-Za-z])"
)
"""An extended private key, 32 bytes in hex, or a single private key in wallets' import format."""
DESCRIPTOR = re.compile(r"(?P<script>\w*)\((?P<key>.*)\)", re.ASCII)
KEY_EXPRESSION = re.compile(r"(\[(?P<origin>[^\]]*)\])?(?P<key>[0-9A-Za-z]+)(?P<path>(/.*)?)", re.ASCII)
ORIGIN = re.compile(r"[0-9a-fA-F]{8}/(\d+)['hH]/(\d+)['hH]/(\d+)['hH]", re.ASCII)
RECEIVING_PATHS = frozenset({"/0/*", "/<0;1>/*"})
"""Endings of descriptors whose receiving addresses are at 0/i. The second ending names the change branch as well."""
PURPOSES: Mapping[Script, int] = {"wpkh": 84, "tr": 86}

DESCRIPTOR_SYMBOLS = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
CHECKSUM_SYMBOLS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_CHARS = 8
GENERATORS = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)

EXPECTED_EVM = "must be the account's extended public key: an xpub of depth 3, at the path m/44'/60'/0'"
EXPECTED_BITCOIN = (
    "must be the account's zpub (vpub for a test network), or the wallet's output descriptor with its checksum, "
    "such as wpkh([…/84h/0h/0h]xpub…/0/*)#… or tr([…/86h/0h/0h]xpub…/0/*)#…"
)
_WANTED = f"BITCOIN_KEY {EXPECTED_BITCOIN}"
NO_PRIVATE_KEY = (
    "holds a private key or a seed phrase, and no server may ever hold one: with it, anyone can spend all coins. "
    "Delete it here, move the coins to a new wallet, and set the new account's public key"
)


def parse_evm_keys(text: str) -> tuple[AccountKey, ...]:
    """Parse the setting EVM_XPUB: account keys, comma-separated. A blank text has no keys. Raises ValueError."""
    return _keys(text, _evm_key)


def parse_bitcoin_keys(text: str) -> tuple[AccountKey, ...]:
    """Parse the setting BITCOIN_KEY: zpub, vpub or descriptors, comma-separated. Raises ValueError."""
    return _keys(text, _bitcoin_key)


def _keys(text: str, parse: Callable[[str], AccountKey]) -> tuple[AccountKey, ...]:
    if len(text) > SETTING_CHARS_MAX:
        raise ValueError(f"is longer than {SETTING_CHARS_MAX} characters")
    if PRIVATE_KEY.search(text) or _is_seed_phrase(text.strip()):
        raise ValueError(NO_PRIVATE_KEY)
    keys = tuple(parse(part) for part in _outside_brackets(text))
    if len(set(keys)) != len(keys):
        raise ValueError("names the same key twice")
    return keys


def _is_seed_phrase(text: str) -> bool:
    return WORDS.fullmatch(text) is not None and len(re.split(r"[\s,]+", text)) >= SEED_WORDS_MIN


def _outside_brackets(text: str) -> Iterator[str]:
    """Yield the parts of a comma-separated text. Commas inside of brackets part nothing."""
    start = depth = 0
    for place, character in enumerate(f"{text},"):
        depth += (character in "([{") - (character in ")]}")
        is_end = place == len(text) or (character == "," and depth == 0)
        if is_end and (part := text[start:place].strip()):
            yield part
        start = place + 1 if is_end else start


def _evm_key(text: str) -> AccountKey:
    key = extended_key(text, EXPECTED_EVM)
    if key.kind not in {"xpub", "tpub"}:
        raise ValueError(f"is a {key.kind}, a key for Bitcoin. EVM_XPUB {EXPECTED_EVM}")
    require_account(key, "m/44'/60'/0'")
    is_live = None if key.is_live else False  # wallets export the same xpub for every EVM chain
    return AccountKey(script="evm", is_live=is_live, public_key=key.public_key, chain_code=key.chain_code)


def _bitcoin_key(text: str) -> AccountKey:
    if "(" in text or "#" in text:
        return _descriptor_key(text)
    key = extended_key(text, EXPECTED_BITCOIN)
    if key.kind in {"xpub", "tpub"}:
        raise ValueError(f"is a bare {key.kind}, which does not say which addresses its wallet shows. {_WANTED}")
    if key.kind not in {"zpub", "vpub"}:
        raise ValueError(f"is a {key.kind}, a key of nested or multi-signature addresses. {_WANTED}")
    return _account_key(key, "wpkh")


def _descriptor_key(text: str) -> AccountKey:
    """Return the only key of a descriptor, `wpkh` or `tr`, whose path ends in 0/*. Raises ValueError."""
    body, _, checksum = text.partition("#")
    if checksum and checksum != descriptor_checksum(body):
        raise ValueError(TYPING_ERROR)
    script, inner = _script_and_key(body)
    if not checksum:
        raise ValueError(
            "is a descriptor without its checksum, the # and eight characters at its end. Copy the whole descriptor; "
            "in a settings file, put it in quotes, since # begins a comment there"
        )
    found = KEY_EXPRESSION.fullmatch(inner)
    if found is None:
        raise ValueError(EXPECTED_BITCOIN)
    key = extended_key(found["key"], EXPECTED_BITCOIN)
    if key.kind not in {"xpub", "tpub"}:
        raise ValueError(f"is a descriptor with a {key.kind}. A descriptor holds an xpub, or a tpub for a test network")
    _require_receiving(found["path"])
    account = _account_key(key, script)
    if found["origin"] is not None:
        _require_origin(found["origin"], script, key)
    return account


def _script_and_key(body: str) -> tuple[Script, str]:
    """Return the kind of address and the key's text. Raises ValueError for other scripts, and for several keys."""
    found = DESCRIPTOR.fullmatch(body)
    if found is None:
        raise ValueError(EXPECTED_BITCOIN)
    if "multi" in body or "," in body:
        raise ValueError("is a descriptor with several keys or conditions. Take a wallet of one key: wpkh(…) or tr(…)")
    match found["script"]:
        case "wpkh" | "tr" as script:
            return script, found["key"]
        case _:
            raise ValueError("is a descriptor of another kind. Take a wallet whose descriptor is wpkh(…) or tr(…)")


def _require_receiving(path: str) -> None:
    if re.search(r"['hH]", path):
        raise ValueError(
            "asks for hardened steps behind the key, which no public key can take. The key must be the account's, "
            "and its path must end in /0/*"
        )
    if path not in RECEIVING_PATHS:
        raise ValueError(
            "is a descriptor whose path is not /0/*, the account's receiving addresses. "
            "Take the wallet's descriptor for receiving, whose key is the account's"
        )


def _require_origin(origin: str, script: Script, key: ExtendedKey) -> None:
    """Raise ValueError if the path in square brackets is not that of this key and this kind of address."""
    found = ORIGIN.fullmatch(origin)
    wanted = (PURPOSES[script], _coin(key), key.child - HARDENED)
    if found is None or tuple(map(int, found.groups())) != wanted:
        path = "/".join(f"{step}h" for step in wanted)
        raise ValueError(f"names an odd path in square brackets. With this key, the path for {script}(…) is {path}")


def _account_key(key: ExtendedKey, script: Script) -> AccountKey:
    require_account(key, f"m/{PURPOSES[script]}'/{_coin(key)}'/0'")
    return AccountKey(script=script, is_live=key.is_live, public_key=key.public_key, chain_code=key.chain_code)


def _coin(key: ExtendedKey) -> int:
    return 0 if key.is_live else 1


def descriptor_checksum(body: str) -> str:
    """Return the checksum that belongs behind a descriptor; BIP 380. Raises ValueError for foreign characters."""
    places = [DESCRIPTOR_SYMBOLS.find(character) for character in body]
    if -1 in places:
        raise ValueError(TYPING_ERROR)
    state = 1
    for symbol in [*_symbols(places), *[0] * CHECKSUM_CHARS]:
        state = _mixed(state, symbol)
    return "".join(CHECKSUM_SYMBOLS[((state ^ 1) >> 5 * place) & 31] for place in reversed(range(CHECKSUM_CHARS)))


def _symbols(places: list[int]) -> Iterator[int]:
    """Yield each character's place in a group of 32, and after each three characters the number of the groups."""
    for start in range(0, len(places), 3):
        groups = 0
        for place in places[start : start + 3]:
            yield place & 31
            groups = groups * 3 + (place >> 5)
        yield groups


def _mixed(state: int, symbol: int) -> int:
    top = state >> 35
    state = (state & (1 << 35) - 1) << 5 ^ symbol
    for bit, generator in enumerate(GENERATORS):
        state ^= generator if top >> bit & 1 else 0
    return state
