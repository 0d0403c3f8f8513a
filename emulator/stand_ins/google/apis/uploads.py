"""Signed upload addresses and media uploads of Cloud Storage, which no discovery document describes."""

import re
from urllib.parse import unquote

from emulator.stand_ins.google.apis.storage import object_json
from emulator.stand_ins.google.state import State
from emulator.stand_ins.wire import Answer, Request, json_answer

SIGNED = re.compile(r"/(gcf-v2-[a-z0-9.-]+|[a-z0-9][a-z0-9._-]+)/(.+)")
MEDIA = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
SOURCE_BYTES_MAX = 100 << 20
TOO_LARGE = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>EntityTooLarge</Code><Message>Your proposed upload is larger "
    "than the maximum object size specified in your Policy Document.</Message></Error>"
)
DENIED = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>"
)


def plain(state: State, request: Request, path: str) -> Answer | None:
    """Store an upload. Return None if the request is none."""
    if request.method == "POST" and (media := MEDIA.fullmatch(path)):
        bucket, name = unquote(media[1]), request.asked().get("name", "")
        state.objects[bucket, name] = request.body
        return json_answer(object_json(bucket, name, request.body))
    signed = SIGNED.fullmatch(path)
    if request.method != "PUT" or signed is None or path.startswith("/storage/v1/"):
        return None
    if "GoogleAccessId" not in request.asked():
        return Answer(status=403, body=DENIED.encode(), kind="application/xml")
    if len(request.body) > SOURCE_BYTES_MAX:
        return Answer(status=400, body=TOO_LARGE.encode(), kind="application/xml")
    state.objects[unquote(signed[1]), unquote(signed[2])] = request.body
    return Answer(kind="text/html", headers={"x-goog-generation": "1"})
