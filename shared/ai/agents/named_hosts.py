"""Hosts that a user's text names, as addresses (`https://example.com/a`) or bare (`example.com`). Pure.

Once a task has read a document of the user's, the task may fetch pages from these hosts only. So a doubtful word names
no host: an e-mail address, a file name, a host behind a user name (`https://good.example@evil.example`).
"""

import re
from collections.abc import Collection

from shared.ai.agents.web import FetchFailed, checked_url

ENDS = r"\s\"'<>(){}\[\]|,;`“”‘’«»„、。，；：！？「」『』（）【】《》"
"""Characters that end an address, as a class of a regular expression."""
ADDRESS = re.compile(rf"(?<![A-Za-z0-9])https?://(\[[0-9a-f:.]+\][^{ENDS}]*|[^{ENDS}]+)", re.IGNORECASE)
END_OF_HOST = re.compile(r"[/?#\\]")
PORT = re.compile(r":\d*$", re.ASCII)
BARE = re.compile(r"(?<![\w@/=&?%.:+~#\\-])[\w-]+(?:\.[\w-]+)+(?![\w@])")
AFTER_A_SENTENCE = ".:!?*_~…"
QUAD = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
FILE_ENDINGS = frozenset({"cc", "md", "mk", "mov", "ps", "py", "rs", "sh", "zip"})
"""File endings that are top-level domains, too. A bare name with such an ending means the file."""
TOP_LEVEL_CHARACTERS_MIN = 2


def named_hosts(text: str, files: Collection[str] = ()) -> frozenset[str]:
    """Return the hosts that the text names, in the form of `Target.host`. `files` are names that mean a file."""
    addresses = [_host_of(found) for found in ADDRESS.findall(text)]
    words = BARE.findall(ADDRESS.sub(" ", text))
    known = {name.lower() for name in files}
    bare = [_normal(word) for word in words if word.lower() not in known and _may_be_a_host(word)]
    return frozenset(host for host in (*addresses, *bare) if host is not None)


def _host_of(address: str) -> str | None:
    """Return the host of an address without a scheme; None if the address has no host, or a user name before."""
    authority = END_OF_HOST.split(address, maxsplit=1)[0].rstrip(AFTER_A_SENTENCE)
    return None if "@" in authority else _normal(PORT.sub("", authority))


def _may_be_a_host(word: str) -> bool:
    """Tell a bare host from a file name, a number, and two sentences without a space (`done.Then`)."""
    top = word.rpartition(".")[2]
    if QUAD.fullmatch(word):
        return True
    is_sentence_end = top not in {top.lower(), top.upper()}
    is_long_enough = len(top) >= TOP_LEVEL_CHARACTERS_MIN
    return is_long_enough and not top.isdigit() and not is_sentence_end and top.lower() not in FILE_ENDINGS


def _normal(host: str) -> str | None:
    try:
        return checked_url(f"http://{host}/").host
    except FetchFailed:
        return None
