"""Repository of generated images: documents `images/{id}` with the owner's `uid`, and bytes as objects below
`images/{uid}/`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from shared.ai.images.documents import job_path_of, shown, task_of, work_data
from shared.ai.images.tasks import ImageFacts, ImageTask
from shared.ai.pictures import Picture
from shared.kernel.clock import Millis
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Patch,
    PreconditionFailed,
    Query,
    Where,
    Write,
)
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.errors import NotFound
from shared.kernel.ids import Uid, derived_id, is_safe_id, name_of
from shared.kernel.money import Micro
from shared.kernel.objects import ObjectNotFound, Objects
from shared.kernel.pages import Page, owner_query, page_of
from shared.kernel.side_by_side import side_by_side

COLLECTION = "images"
OBJECTS_PAGE = 200
DELETE_ATTEMPTS_MAX = 8


class ImageNotFound(NotFound):
    """Refusal: the image does not exist or belongs to another user."""

    code = "image_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such image.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Stored image. `recency` sorts a user's images, newest last. `cost` is the price in µcr; sizes are in bytes and
    pixels.
    """

    id: str
    uid: Uid
    task_id: str
    prompt: str
    model: str
    size: str
    content_type: str
    bytes: int
    width: int
    height: int
    sha256: str
    cost: Micro
    created_at: Millis
    recency: str


class Images:
    """Repository of the documents, and of the objects with the bytes."""

    def __init__(self, documents: Documents, objects: Objects) -> None:
        self._documents = documents
        self._objects = objects

    def get(self, uid: Uid, image_id: str) -> Image:
        """Return the user's image. Raises ImageNotFound, also for another user's image."""
        image = self.by_id(image_id)
        if image.uid != uid:
            raise ImageNotFound
        return image

    def by_id(self, image_id: str) -> Image:
        """Return the image of any user, for links that carry the proof of access. Raises ImageNotFound."""
        found = self._documents.get(path_of(image_id)) if is_safe_id(image_id) else None
        if found is None:
            raise ImageNotFound
        return image_in(found)

    def of(self, image_ids: Sequence[str]) -> list[Image]:
        """Return the images that still exist, in the order of `image_ids`."""
        found = self._documents.get_all([path_of(image_id) for image_id in image_ids]) if image_ids else []
        return [image_in(document) for document in found if document is not None]

    def list(self, uid: Uid, *, cursor: str | None = None, limit: int = 20) -> Page[Image]:
        """Return a page of the user's images, newest first."""
        found = self._documents.query(owner_query(COLLECTION, uid, "recency", cursor=cursor, limit=limit))
        return page_of([*map(image_in, found)], limit, lambda each: each.recency)

    def content(self, image: Image, first: int = 0, last: int | None = None) -> bytes:
        """Return the image's bytes from `first` to `last`, both included. `last` is None for the end.

        Raises ImageNotFound if the image was deleted meanwhile.
        """
        try:
            return self._objects.read(object_name(image.uid, image.id), first, last)
        except ObjectNotFound:
            raise ImageNotFound from None

    def delete(self, uid: Uid, image_id: str) -> None:
        """Delete the image, the bytes first, so that the deletion can be repeated after a failure or crash.

        Raises ImageNotFound, PreconditionFailed.
        """
        image = self.get(uid, image_id)
        self._objects.delete(object_name(uid, image.id))
        for attempt in range(1, DELETE_ATTEMPTS_MAX + 1):
            try:
                self._documents.commit([Delete(path_of(image.id)), *self._untold(image)])
                return
            except PreconditionFailed:
                if attempt == DELETE_ATTEMPTS_MAX:
                    raise

    def _untold(self, image: Image) -> Sequence[Write]:
        """Build the writes that take the image out of what its image task shows; none for an agent's image."""
        found = self._documents.get(job_path_of(image.task_id))
        if found is None:
            return ()
        task = task_of(found)
        task = replace(task, facts={key: facts for key, facts in task.facts.items() if key != image.id})
        return [Patch(found.path, work_data(task), found.version), shown(task)]

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all images of a user who leaves, including bytes that no document names."""
        query = Query(collection=COLLECTION, where=(Where("uid", "==", uid),), limit=ERASE_PAGE)
        if not delete_matching(self._documents, query, deadline):
            return False
        while True:
            names = self._objects.names(object_name(uid, ""), OBJECTS_PAGE)
            side_by_side(self._objects.delete, names)
            if len(names) < OBJECTS_PAGE:
                return True
            if deadline.is_over():
                return False


def path_of(image_id: str) -> str:
    """Return the path of an image's document."""
    return f"{COLLECTION}/{image_id}"


def object_name(uid: Uid, image_id: str) -> str:
    """Return the name of the object with an image's bytes.

    The name contains the encoded uid, as object names take fewer characters than uids.
    """
    return f"images/{name_of(uid)}/{image_id}"


def image_id_of(task_id: str, index: int) -> str:
    """Return the id of a task's image number `index`. A repeated start gives the same id."""
    return derived_id("img", task_id, str(index))


def image_of(picture: Picture, task: ImageTask, index: int, at: Millis) -> Image:
    """Return the image for a picture: image number `index` of the task."""
    image_id = image_id_of(task.id, index)
    return Image(
        id=image_id,
        uid=task.uid,
        task_id=task.id,
        prompt=task.prompt,
        model=task.model,
        size=task.size,
        content_type=picture.content_type,
        bytes=len(picture.content),
        width=picture.width,
        height=picture.height,
        sha256=hashlib.sha256(picture.content).hexdigest(),
        cost=task.price,
        created_at=at,
        recency=f"{at:015d}:{image_id}",
    )


def recorded(image: Image) -> Write:
    """Build the write that records an image, once."""
    data: Data = {
        "uid": image.uid,
        "task_id": image.task_id,
        "prompt": image.prompt,
        "model": image.model,
        "size": image.size,
        "content_type": image.content_type,
        "bytes": image.bytes,
        "width": image.width,
        "height": image.height,
        "sha256": image.sha256,
        "cost": image.cost,
        "created_at": image.created_at,
        "recency": image.recency,
    }
    return Create(path_of(image.id), data)


def facts_of(image: Image) -> ImageFacts:
    """Return the file facts of an image, for the task that made the image."""
    return ImageFacts(
        content_type=image.content_type,
        bytes=image.bytes,
        width=image.width,
        height=image.height,
        created_at=image.created_at,
    )


def image_in(document: Document) -> Image:
    """Return the image that a document holds."""
    # Written by us alone: every field is there and of its type.
    data, numbers = cast("Mapping[str, str]", document.data), cast("Mapping[str, int]", document.data)
    return Image(
        id=document.id,
        uid=Uid(data["uid"]),
        task_id=data["task_id"],
        prompt=data["prompt"],
        model=data["model"],
        size=data["size"],
        content_type=data["content_type"],
        bytes=numbers["bytes"],
        width=numbers["width"],
        height=numbers["height"],
        sha256=data["sha256"],
        cost=Micro(numbers["cost"]),
        created_at=numbers["created_at"],
        recency=data["recency"],
    )
