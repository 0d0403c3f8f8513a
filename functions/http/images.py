"""`/v1/images`: pictures are asked for, made elsewhere, listed, shown and removed."""

from collections.abc import Sequence
from typing import Any

from flask import Response
from marshmallow import fields

from functions.http import image_content
from functions.http.chat_schemas import ModelId
from functions.http.credits import SPENDING_ERRORS
from functions.http.fields import (
    Answer,
    Choice,
    Credits,
    Cursor,
    Limit,
    NextCursor,
    Request,
    Text,
    Time,
    Whole,
    page_answer,
)
from functions.http.image_content import RangeNotSatisfiable
from functions.http.routes import ANYBODY, IMAGES, IMAGES_OR_READ, MEMBER, PREFIX, Call, Reply, Routes
from shared.ai.images.links import LinkInvalid
from shared.ai.images.store import Image, ImageNotFound
from shared.ai.images.tasks import IMAGES_MAX, PROMPT_BYTES_MAX, ImageTask, ImageTaskNotFound
from shared.ai.models.catalogue import ModelNotFound, ModelUnpriced
from shared.ai.models.prices import QUALITY_CHARACTERS_MAX
from shared.ai.models.tariff import QualityNotOffered, SizeNotOffered
from shared.kernel.clock import SECOND
from shared.kernel.documents import PreconditionFailed
from shared.kernel.objects import StorageUnavailable
from shared.sagas.images.start import ImageAsked

SIZE_CHARACTERS_MAX = 16
FRESH_SECONDS = 3_600
PICTURE = "image/*"
STATUSES = ("queued", "running", "done", "failed")

routes = Routes("images")


class GenerateIn(Request):
    """Images to paint.

    Without `model`, the caller's preference, else the platform's model. Without `size`, the model's default size.
    """

    prompt = Text(required=True, length_min=1, bytes_max=PROMPT_BYTES_MAX)
    model = ModelId(load_default=None, allow_none=True)
    size = Text(length_min=1, length_max=SIZE_CHARACTERS_MAX, load_default=None, allow_none=True)
    quality = Text(length_min=1, length_max=QUALITY_CHARACTERS_MAX, load_default=None, allow_none=True)
    n = Whole(1, IMAGES_MAX, load_default=1)


class TaskBegun(Answer):
    """Image task at its beginning.

    `ceiling` is set aside for all images. The part for images that are not made comes back.
    """

    task_id = fields.String(required=True)
    status = Choice("queued", required=True)
    model = fields.String(required=True)
    size = fields.String(required=True)
    n = fields.Integer(required=True)
    ceiling = Credits(required=True)
    created_at = Time(required=True)


class ImageOut(Answer):
    """Image.

    `link` is a path below this API that shows the image without a token, until `link_expires_at`. `task_id` names the
    image task or the agent task that made the image.
    """

    id = fields.String(required=True)
    task_id = fields.String(required=True)
    prompt = fields.String(required=True)
    model = fields.String(required=True)
    size = fields.String(required=True)
    content_type = fields.String(required=True)
    bytes = fields.Integer(required=True)
    width = fields.Integer(required=True)
    height = fields.Integer(required=True)
    cost = Credits(required=True)
    created_at = Time(required=True)
    link = fields.String(required=True)
    link_expires_at = Time(required=True)


class FailureOut(Answer):
    """Image that was not made, with the reason: an error's code, `timed_out` or `given_up`.

    A failed image costs nothing, unless our time limit has cut the call. Then the provider may bill the call: see the
    task's cost.
    """

    index = fields.Integer(required=True)
    code = fields.String(required=True)


class TaskOut(Answer):
    """Image task, with the result of each image so far. `done` means that at least one image was made."""

    task_id = fields.String(required=True)
    status = Choice(*STATUSES, required=True)
    prompt = fields.String(required=True)
    model = fields.String(required=True)
    size = fields.String(required=True)
    n = fields.Integer(required=True)
    images = fields.List(fields.Nested(ImageOut), required=True)
    failures = fields.List(fields.Nested(FailureOut), required=True)
    cost = Credits(required=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)
    finished_at = Time(required=True, allow_none=True)


class ImagesOut(Answer):
    """A page of images, newest first."""

    items = fields.List(fields.Nested(ImageOut), required=True)
    next_cursor = NextCursor()


class ImagesQuery(Request):
    """Page of the caller's images."""

    limit = Limit()
    cursor = Cursor(str)


@routes.post(
    "/images/generate",
    access=MEMBER,
    scopes=IMAGES,
    status=202,
    body=GenerateIn,
    answer=TaskBegun,
    spends=True,
    errors=(*SPENDING_ERRORS, ModelNotFound, ModelUnpriced, SizeNotOffered, QualityNotOffered),
)
def generate(call: Call) -> Any:
    """Request images. Their price is set aside at once, and the images are made one after the other.

    To see the images arrive, listen to `image_tasks/{task_id}`, or read the task.
    """
    asked = ImageAsked(
        uid=call.uid,
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        principal=call.principal.spender,
        budgets=call.budgets,
        **call.body,
    )
    begun = call.services.images.start.start(asked)
    return Reply(value=_begun(begun.task), available=begun.available)


@routes.get("/images/generate/{task_id}", scopes=IMAGES_OR_READ, answer=TaskOut, errors=(ImageTaskNotFound,))
def task(call: Call) -> Any:
    """Show an image task, with the images made so far."""
    found = call.services.images.tasks.get(call.uid, call.path["task_id"])
    made = call.services.images.store.of(found.images)
    names = ("status", "prompt", "model", "size", "n", "failures", "cost", "created_at", "updated_at", "finished_at")
    told = {name: getattr(found, name) for name in names}
    return {"task_id": found.id, "images": _shown(call, made), **told}


@routes.get("/images", scopes=IMAGES_OR_READ, query=ImagesQuery, answer=ImagesOut)
def images(call: Call) -> Any:
    """List the caller's images, newest first."""
    page = call.services.images.store.list(call.uid, cursor=call.query["cursor"], limit=call.query["limit"])
    return page_answer(_shown(call, page.items), page.next_cursor)


@routes.get("/images/{id}", scopes=IMAGES_OR_READ, answer=ImageOut, errors=(ImageNotFound,))
def image(call: Call) -> Any:
    """Show one image, with a link to the picture that lasts some minutes."""
    (shown,) = _shown(call, [call.services.images.store.get(call.uid, call.path["id"])])
    return shown


@routes.get(
    "/images/{id}/content",
    scopes=IMAGES_OR_READ,
    answer=PICTURE,
    errors=(ImageNotFound, RangeNotSatisfiable, StorageUnavailable),
)
def content(call: Call) -> Response:
    """Download the picture. `Range` and `If-None-Match` are honoured."""
    found = call.services.images.store.get(call.uid, call.path["id"])
    return image_content.answer(call, found, fresh_seconds=FRESH_SECONDS)


@routes.get(
    "/images/links/{link}",
    access=ANYBODY,
    answer=PICTURE,
    errors=(LinkInvalid, ImageNotFound, RangeNotSatisfiable, StorageUnavailable),
)
def linked(call: Call) -> Response:
    """Download the picture of a link. Anybody who has the link may, until the link's time is up."""
    now = call.services.clock.now()
    link = call.services.images.links.read(call.path["link"], now)
    found = call.services.images.store.by_id(link.image_id)
    return image_content.answer(call, found, fresh_seconds=(link.expires_at - now) // SECOND)


@routes.delete("/images/{id}", scopes=IMAGES, errors=(ImageNotFound, StorageUnavailable, PreconditionFailed))
def delete(call: Call) -> None:
    """Delete an image for good."""
    call.services.images.store.delete(call.uid, call.path["id"])


def _begun(begun: ImageTask) -> dict[str, Any]:
    """Return the task as at its beginning, so that the same key has the same answer after later changes."""
    told = {name: getattr(begun, name) for name in ("model", "size", "n", "created_at")}
    return {"task_id": begun.id, "status": "queued", "ceiling": begun.price * begun.n, **told}


def _shown(call: Call, items: Sequence[Image]) -> list[dict[str, Any]]:
    """Images with a fresh link each."""
    return [_with_link(call, item) for item in items]


def _with_link(call: Call, item: Image) -> dict[str, Any]:
    link = call.services.images.links.to(item.id, call.services.clock.now())
    names = set(ImageOut().fields) - {"link", "link_expires_at"}
    told = {name: getattr(item, name) for name in names}
    return {**told, "link": f"{PREFIX}/images/links/{link.text}", "link_expires_at": link.expires_at}
