"""`/v1/openai/images/generations`: an image task, run to its end by the request that begins or finds the task."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from flask import Response
from marshmallow import INCLUDE

from functions.http.credits import SPENDING_ERRORS
from functions.http.fields import Passing, Request, Text, Whole
from functions.http.model_ids import NamedModel
from functions.http.openai import BODY_BYTES_MAX, JSON, PassedOut
from functions.http.openai_fields import IMAGES_PATH, sifted, warn
from functions.http.routes import IMAGES, MEMBER, PREFIX, Call, Routes
from shared.ai.images.store import Image, ImageNotFound
from shared.ai.images.tasks import IMAGES_MAX, PROMPT_BYTES_MAX, ImageTask
from shared.ai.models.catalogue import ModelNotFound, ModelUnpriced
from shared.ai.models.prices import QUALITY_CHARACTERS_MAX
from shared.ai.models.tariff import UNPRICED_QUALITIES, QualityNotOffered, SizeNotOffered
from shared.ai.openai.dialect import refuse
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.pictures import NoPicture
from shared.ai.ports import UpstreamBusy, UpstreamMisconfigured, UpstreamRejected, UpstreamUnavailable
from shared.kernel.clock import SECOND
from shared.kernel.errors import InvalidValue, StillRunning
from shared.kernel.money import format_credits
from shared.kernel.objects import StorageUnavailable
from shared.ledger.errors import BudgetExceeded
from shared.sagas.images.start import ImageAsked

WAIT_SECONDS_MAX = 480.0
"""A waiting function is ended at 540 s. An unfinished task is continued, and the same key finds the task."""
PAUSE_SECONDS = 1.0
PICTURES_BYTES_MAX = 28 * 1024 * 1024
"""Base64 in one answer: Cloud Run sends at most 32 MB."""
SIZE_CHARACTERS_MAX = 16
WORD_CHARACTERS_MAX = 256
SIZES = frozenset({"1024x1024", "1024x1536", "1536x1024"})
"""Sizes that an answer may name, as OpenAI publishes it. Models of others paint other sizes, too."""
ONLY = {
    "response_format": frozenset({"b64_json"}),
    "background": frozenset({"auto"}),
    "output_format": frozenset({"png"}),
    "moderation": frozenset({"auto"}),
}
"""Values that these fields may have. Any other value would have another price or another answer."""
REFUSED = {"stream": "is not offered here", "partial_images": "is not offered here", "style": "is not offered here"}

routes = Routes("openai", is_openai=True)


class ImagesIn(Request):
    """Images as OpenAI's clients ask for them. They are also kept, and stand in `/v1/images`."""

    class Meta:
        unknown = INCLUDE

    prompt = Text(required=True, length_min=1, bytes_max=PROMPT_BYTES_MAX)
    model = NamedModel(load_default=None, allow_none=True)
    size = Text(length_min=1, length_max=SIZE_CHARACTERS_MAX, load_default=None, allow_none=True)
    n = Whole(1, IMAGES_MAX, load_default=1, allow_none=True)
    user = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    response_format = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    quality = Text(length_min=1, length_max=QUALITY_CHARACTERS_MAX, load_default=None, allow_none=True)
    background = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    output_format = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    moderation = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    stream = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    partial_images = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)
    style = Passing(load_default=None, length_max=WORD_CHARACTERS_MAX)


@routes.post(
    "/openai/images/generations",
    status=200,
    access=MEMBER,
    scopes=IMAGES,
    query=None,
    body=ImagesIn,
    answer=PassedOut,
    spends=True,
    body_bytes_max=BODY_BYTES_MAX,
    errors=(
        *SPENDING_ERRORS,
        BudgetExceeded,
        ModelNotFound,
        ModelUnpriced,
        SizeNotOffered,
        QualityNotOffered,
        InvalidValue,
        ImageNotFound,
        StorageUnavailable,
        UpstreamUnavailable,
        UpstreamBusy,
        UpstreamMisconfigured,
        UpstreamRejected,
        RequestRefused,
        NoPicture,
        StillRunning,
    ),
)
def generations(call: Call) -> Any:
    """Create images, in OpenAI's own shapes, while the caller waits. The images are stored like all others."""
    dropped = sifted(call, IMAGES_PATH).dropped
    _check(call.body)
    asked = ImageAsked(
        uid=call.uid,
        prompt=call.body["prompt"],
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        model=call.body["model"],
        size=None if call.body["size"] == "auto" else call.body["size"],
        quality=None if call.body["quality"] in UNPRICED_QUALITIES else call.body["quality"],
        n=call.body["n"] or 1,
        principal=call.principal.spender,
        budgets=call.budgets,
    )
    task = _finished(call, call.services.images.start.start(asked, is_queued=False).task)
    if not task.images:
        raise _failure(task)
    return warn(_answered(call, task), dropped)


def _check(body: Mapping[str, Any]) -> None:
    refuse(body, REFUSED)
    for name, allowed in ONLY.items():
        if body[name] is not None and (not isinstance(body[name], str) or body[name] not in allowed):
            raise InvalidValue(name, f"must be {' or '.join(sorted(allowed))}")


def _finished(call: Call, task: ImageTask) -> ImageTask:
    """Run it here; if another worker has it, wait for that one, where there is room to wait. Raises StillRunning."""
    clock, has_place = call.services.clock, False
    deadline = clock.monotonic() + WAIT_SECONDS_MAX
    with ExitStack() as waiting:
        while task.is_open:
            if clock.monotonic() >= deadline:
                call.services.images.start.publish(task)
                raise StillRunning
            if call.services.images.job.run(task.id) is None:
                has_place = has_place or waiting.enter_context(call.services.metering.waiting_room.place(call.uid))
                if not has_place:
                    raise StillRunning
                clock.wait(PAUSE_SECONDS)
            task = call.services.images.tasks.get(call.uid, task.id)
    return task


def _failure(task: ImageTask) -> UpstreamUnavailable | UpstreamRejected | NoPicture:
    """Return why none was made; that has cost nothing. What the provider says of the prompt is told in its words."""
    codes = {failure.code: failure.words for failure in task.failures}
    if RequestRefused.code in codes:
        return RequestRefused({"message": codes[RequestRefused.code]})
    if NoPicture.code in codes:
        return NoPicture("it cannot be read, and asking again would paint another")
    kinds = (UpstreamBusy, UpstreamMisconfigured)
    known = next((kind() for kind in kinds if kind.code in codes), None)
    return known or (UpstreamRejected() if UpstreamRejected.code in codes else UpstreamUnavailable())


def _pictures(call: Call, made: Sequence[Image]) -> Iterator[Mapping[str, str]]:
    """Yield each picture in base64; those that an answer has no room for by a link that shows them for a while."""
    room = PICTURES_BYTES_MAX
    for image in made:
        room -= image.bytes * 4 // 3
        if room >= 0:
            yield {"b64_json": base64.b64encode(call.services.images.store.content(image)).decode()}
        else:
            link = call.services.images.links.to(image.id, call.services.clock.now())
            yield {"url": f"{PREFIX}/images/links/{link.text}"}


def _answered(call: Call, task: ImageTask) -> Response:
    made = call.services.images.store.of(task.images)
    if not made:
        raise ImageNotFound
    pictures = list(_pictures(call, made))
    available = call.services.credits.ledger.balance(call.uid).available
    cost, left = format_credits(task.cost), format_credits(available)
    told = {"cost": cost, "available": left, "estimated": False}
    size = {"size": task.size} if task.size in SIZES else {}
    answer = {"created": task.created_at // SECOND, "data": pictures, **size, "credits": told}
    response = Response(json.dumps(answer), mimetype=JSON)
    response.headers["X-Credits-Cost"] = cost
    response.headers["X-Credits-Available"] = left
    return response
