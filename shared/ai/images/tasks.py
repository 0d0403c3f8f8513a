"""Image tasks: the request, the outcome of each image so far, and the time of the next check.

A task is decided image by image, in order. `images` holds the images that were made, `failures` the images that were
not; the rest is still to come. See `documents` for the documents of a task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.errors import NotFound
from shared.kernel.ids import HoldId, Uid
from shared.kernel.money import Micro

IMAGES_MAX = 10
PROMPT_BYTES_MAX = 32_000
TASK_LIFETIME: Millis = 60 * MINUTE
"""Time after which no more images of a task are made."""

Status = Literal["queued", "running", "done", "failed"]
OPEN: frozenset[Status] = frozenset({"queued", "running"})


class ImageTaskNotFound(NotFound):
    """Refusal: the image task does not exist or belongs to another user."""

    code = "image_task_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such image task.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Image that was not made, with the code of the reason.

    `is_charged`: the image is paid for all the same, as the provider can have billed the attempt. `words` are the
    provider's own, for a refused prompt; empty for any other failure.
    """

    index: int
    code: str
    is_charged: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """File facts of an image that was made: sizes in bytes and pixels."""

    content_type: str
    bytes: int
    width: int
    height: int
    created_at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTask:
    """Stored task. `price` is the price of one image, `cost` the whole charge; both in µcr.

    `spender` is the principal of the request: the user, or one of the user's API keys.

    `tries` counts the runs since the last decision, `wakes` how often the sweep has called for a run.
    """

    id: str
    uid: Uid
    spender: str
    status: Status
    prompt: str
    model: str
    upstream_model: str
    """Upstream's name of the model. Empty in a task of the old form, which is read without `image_asks/{id}`."""
    wants_base64: bool
    size: str
    n: int
    price: Micro
    price_snapshot: Mapping[str, str]
    hold: HoldId
    hold_until: Millis
    fingerprint: str
    images: tuple[str, ...]
    failures: tuple[Failure, ...]
    tries: int
    wakes: int
    cost: Micro
    created_at: Millis
    updated_at: Millis
    deadline_at: Millis
    finished_at: Millis | None
    facts: Mapping[str, ImageFacts] = field(default_factory=dict)
    """File facts by image id: of each image that was made and not deleted. Empty in a task of the old form."""
    quality: str | None = None
    """Requested and priced quality; None leaves the quality to the provider."""

    @property
    def decided(self) -> int:
        """Number of images that were made or given up; also the index of the next image."""
        return len(self.images) + len(self.failures)

    @property
    def due(self) -> Micro:
        """Price so far (µcr): of images that were made, and of failures that the provider can have billed."""
        charged = sum(failure.is_charged for failure in self.failures)
        return Micro(self.price * (len(self.images) + charged))

    @property
    def is_open(self) -> bool:
        """True if something is still to be done."""
        return self.status in OPEN
