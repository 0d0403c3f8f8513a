"""What hostile callers do, by seed: calls made to cost more than they pay."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Literal

from emulator.provider.painting import painted

Json = dict[str, Any]
Route = Literal["door", "responses", "conversation", "agent"]
Ending = Literal["read", "plain", "leave", "leave at once", "stop", "ask again", "twice at once", "cut", "no usage"]

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-nano", "o4-mini")
SEES, THINKS = "gpt-4o", "o4-mini"
ROUTES: tuple[Route, ...] = ("door", "door", "door", "responses", "conversation", "agent")
ENDINGS: Mapping[Ending, int] = {
    "read": 2,
    "plain": 2,
    "leave": 5,
    "leave at once": 3,
    "stop": 3,
    "ask again": 3,
    "twice at once": 2,
    "cut": 1,
    "no usage": 1,
}
"""How often callers do so. The last two are the provider's doing, and so are rare."""
LIMITS = (None, None, 1, 16, 200, 2_000)
DELAYS_MS = (0.5, 1, 4)
"""A provider that generates faster is ahead of its client by what fits into sockets."""
SIZES = ("64x64", "512x512", "1024x1024", "1024x1536", "2048x768")
ALPHABETS = {
    "random letters": "abcdefghijklmnopqrstuvwxyz  ",
    "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "white space": " \t\n\r\f\v",
    "spaces": " ",
    "amharic": "ሀለሐመሠረሰሸቀበተቸኀነኘአከኸወዐዘዠየደጀገጠጨጰጸፀፈፐ ",
    "emoji": "😀🚀🎉🧪🦊",
    "ideographs": "今日は天気がいい的一是不了人我在有他这",
    "digits": "0123456789",
    "signs": "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~",
    "phonetic": "".join(map(chr, range(0x250, 0x2B0))),
    "accents": "àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ ",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "control": "\x00\x01\x02\x1f\x7f\x85",
}
SYLLABLES = ("the", "and", "ing", "tion", "er", "est")
PROSE = "The ship sailed slowly into the harbour before the evening storm. "
BURST_MAX, BURSTS_MAX, WORDS_MAX = 4, 4, 1_500
SECONDS_MAX = 0.75
"""No answer takes longer to generate."""
SIZE_LEAST, SIZE_MOST = 10, 20_000
CREDITS_LEAST, CREDITS_MOST = 0.002, 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call: what is asked, how its provider answers, how its caller ends it. `at` is the chunk of the ending."""

    route: Route
    model: str
    text_kind: str
    text: str
    pictures: tuple[str, ...]
    limit: int | None
    ending: Ending
    at: int
    script: Json
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One user: credits, perhaps a key with a cap, and bursts of calls that run side by side."""

    credits: float
    cap: float | None
    bursts: tuple[tuple[Ask, ...], ...]


def caller(seed: int, number: int) -> Caller:
    """The caller of this number; the same for the same seed."""
    random = Random(f"{seed}:{number}")
    bursts = tuple(
        tuple(_ask(random, f"[{number}.{burst}.{at}]") for at in range(_burst_size(random)))
        for burst in range(random.randint(1, BURSTS_MAX))
    )
    cap = _between(random, CREDITS_LEAST / 10, CREDITS_MOST) if random.random() < 0.5 else None
    return Caller(credits=_between(random, CREDITS_LEAST, CREDITS_MOST), cap=cap, bursts=bursts)


def _burst_size(random: Random) -> int:
    return random.choice((1, 1, 2, BURST_MAX))


def _ask(random: Random, marker: str) -> Ask:
    route = random.choice(ROUTES)
    model = random.choice(MODELS)
    text_kind = random.choice((*ALPHABETS, "run-on", "prose"))
    pictures: tuple[str, ...] = ()
    if route == "door" and random.random() < 0.25:
        model, pictures = SEES, tuple(random.choice(SIZES) for _ in range(random.choice((1, 1, 4))))
    words = int(_between(random, 1, WORDS_MAX))
    return Ask(
        route=route,
        model=model if route != "agent" else random.choice(("gpt-4o-mini", THINKS)),
        text_kind=text_kind,
        text=_text(random, text_kind),
        pictures=pictures,
        limit=random.choice(LIMITS),
        ending=random.choices(list(ENDINGS), list(ENDINGS.values()))[0],
        at=int(_between(random, 1, words)),
        script=_script(random, words),
        marker=marker,
    )


def _script(random: Random, words: int) -> Json:
    script: Json = {"reply": " ".join(random.choice(("ab", "word", "xq", "harbour")) for _ in range(words))}
    script["delay_ms"] = min(random.choice(DELAYS_MS), 1_000 * SECONDS_MAX / words)
    if random.random() < 0.2:
        script["chunk_tokens"] = random.choice((2, 3))
        script["reply"] = " ".join("harbourevening" for _ in range(words))
    if random.random() < 0.2:
        script["usage_delay_ms"] = 50
    return script


def _text(random: Random, kind: str) -> str:
    size = int(_between(random, SIZE_LEAST, SIZE_MOST))
    if kind == "run-on":
        return "".join(random.choices(SYLLABLES, k=size // 3))
    if kind == "prose":
        return (PROSE * (size // len(PROSE) + 1))[:size]
    return "".join(random.choices(ALPHABETS[kind], k=size))


def _between(random: Random, least: float, most: float) -> float:
    """Any size is as likely as any other: log-uniform."""
    return float(least * (most / least) ** random.random())


@cache
def picture(size: str) -> str:
    """A picture of this size as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(painted('a trap', size)).decode()}"
