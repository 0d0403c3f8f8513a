"""Pictures and embeddings of the stand-in provider: answers of one piece, whose use is known before they are made."""

import base64
import hashlib
import struct
import time
from typing import Any

from emulator.provider.call import Call
from emulator.provider.journal import Bill
from emulator.provider.painting import painted
from emulator.provider.tokens import text_tokens

Json = dict[str, Any]

EMBEDDING_DIMENSIONS = 256
IMAGE_CHUNKS = 24
"""Chunks of text that take as long as one image."""


def answer_images(call: Call) -> None:
    """Paint `n` pictures. The pictures are billed once they are begun, also if the client leaves."""
    count = int(call.body.get("n") or 1)
    call.seen.whole = Bill(input_tokens=text_tokens(str(call.body.get("prompt", ""))), images=count)
    call.begin()
    call.pause(IMAGE_CHUNKS)
    call.wait()
    if call.script.get("fail_after", -1) >= 0:
        call.cut()
        return
    answer: Json = {"created": int(time.time()), "data": [_picture(call, number) for number in range(count)]}
    if call.script.get("usage"):
        answer["usage"] = call.seen.usage = call.script["usage"]
    call.deliver(answer)


def _picture(call: Call, number: int) -> Json:
    if call.script.get("url") == "own":
        return {"url": f"http://{call.wire.headers['Host']}/__/pictures/{number}.png"}
    told: Json = {name: call.script[name] for name in ("b64_json", "url") if name in call.script}
    if told:
        return told
    prompt = call.body.get("prompt")
    picture = painted(f"{prompt}:{next(call.state.numbers)}", str(call.body.get("size")))
    return {"b64_json": base64.b64encode(picture).decode(), "revised_prompt": prompt}


def answer_embeddings(call: Call) -> None:
    """Return a vector of each text, made from the text's digest."""
    body = call.body
    texts = body["input"] if isinstance(body.get("input"), list) else [str(body.get("input", ""))]
    size = int(body.get("dimensions") or EMBEDDING_DIMENSIONS)
    data: list[Json] = [
        {"object": "embedding", "index": n, "embedding": _vector(str(t), size)} for n, t in enumerate(texts)
    ]
    if body.get("encoding_format") == "base64":
        for row in data:
            row["embedding"] = base64.b64encode(struct.pack(f"<{size}f", *row["embedding"])).decode()
    tokens = sum(len(text) if isinstance(text, list) else text_tokens(str(text)) for text in texts)
    call.seen.whole = Bill(input_tokens=tokens)
    call.seen.usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    call.begin()
    call.deliver({"object": "list", "data": data, "model": body.get("model"), "usage": call.seen.usage})


def _vector(text: str, size: int) -> list[float]:
    digest = hashlib.shake_256(text.encode()).digest(size)
    return [byte / 127.5 - 1 for byte in digest]
