"""`generate_image`: paint one picture under a hold, and record the picture among the user's images with the step.

The bytes are stored under a name that is fixed for this call. So a worker after a crash finds the picture that was
painted before. The worker records that picture, and asks no model a second time.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from shared.ai.images.store import Image, ImageNotFound, Images, object_name, recorded
from shared.ai.models.catalogue import ASKED_FOR_BASE64, Catalogue, Model, ModelNotFound, ModelUnpriced
from shared.ai.models.preferences import Preferences
from shared.ai.models.prices import QUALITY_CHARACTERS_MAX
from shared.ai.models.tariff import UNPRICED_QUALITIES, QualityNotOffered, SizeNotOffered, Tariff
from shared.ai.pictures import NoPicture, Picture, picture_of
from shared.ai.ports import ImageModel, ImageRequest, UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.clock import Clock
from shared.kernel.errors import DomainError
from shared.kernel.ids import ID_CHARACTERS_MAX, derived_id
from shared.kernel.money import Micro
from shared.kernel.objects import ObjectNotFound, Objects
from shared.ledger.losses import Losses
from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import Observation, Tool, ToolFailed, ToolUse, text_field
from shared.sagas.metering.call_cost import CallCost
from shared.sagas.metering.call_losses import CallLosses

PROMPT_CHARACTERS_MAX = 4_000
SIZE_CHARACTERS_MAX = 20


class GenerateImage:
    """The tool `generate_image`."""

    name = "generate_image"
    description = (
        "Paint one image for the user from a description; it appears among their images. Costs credits of this task's "
        "budget. You cannot see it."
    )
    parameters: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "prompt": text_field("What to paint", PROMPT_CHARACTERS_MAX),
            "size": text_field("Its size, such as 1024x1024", SIZE_CHARACTERS_MAX),
            "quality": text_field(
                "Its quality, such as low or high; by default the model's choice", QUALITY_CHARACTERS_MAX
            ),
            "model": text_field("Which image model; by default the user's", ID_CHARACTERS_MAX),
        },
        "required": ["prompt"],
        "additionalProperties": False,
    }

    def __init__(  # noqa: PLR0913  # a tool asks for its parts by name
        self,
        *,
        catalogue: Catalogue,
        tariff: Tariff,
        preferences: Preferences,
        image_model: ImageModel,
        images: Images,
        objects: Objects,
        clock: Clock,
        default_model: str,
        losses: Losses | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._tariff = tariff
        self._preferences = preferences
        self._image_model = image_model
        self._images = images
        self._objects = objects
        self._clock = clock
        self._default_model = default_model
        self._losses = CallLosses(losses)

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation; see `Tool.use`."""
        model, size, quality, price = self._chosen(arguments, use)
        held = use.hold(model, CallCost.exactly(price))
        assert held == price, "all of a price is held, or nothing"
        image_id = _image_id(use)
        name = object_name(use.uid, image_id)
        try:
            picture = self._stored(name) or self._painted(use, model, arguments["prompt"], size, quality)
        except (UpstreamRejected, UpstreamUnavailable, NoPicture) as error:
            if not self._is_charged(use, model, price, error):
                raise ToolFailed(error.code, error.detail) from error
            return Observation(text=f"{error.code}: {error.detail}", cost=price, failure=error.code)
        at = self._clock.now()
        image = Image(
            id=image_id,
            uid=use.uid,
            task_id=use.task_id,
            prompt=arguments["prompt"],
            model=model.id,
            size=size,
            content_type=picture.content_type,
            bytes=len(picture.content),
            width=picture.width,
            height=picture.height,
            sha256=hashlib.sha256(picture.content).hexdigest(),
            cost=price,
            created_at=at,
            recency=f"{at:015d}:{image_id}",
        )
        text = f"Painted: image {image_id}, {picture.width} × {picture.height} pixels, among the user's images."
        return Observation(text=text, images=(image_id,), cost=price, writes=(recorded(image),))

    def forget_use(self, use: ToolUse) -> None:
        """Delete the picture of a use that no step records; see `LeavesThings.forget_use`."""
        try:
            self._images.by_id(_image_id(use))
        except ImageNotFound:
            self._objects.delete(object_name(use.uid, _image_id(use)))

    def _chosen(self, arguments: Mapping[str, Any], use: ToolUse) -> tuple[Model, str, str | None, Micro]:
        """Return the model, the size, the quality and the price (µcr). A quality of None is the provider's choice.

        Raises ToolFailed.
        """
        wanted = arguments.get("model") or self._preferences.get(use.uid)["image_model"] or self._default_model
        try:
            model = self._catalogue.image(wanted)
            size, named = arguments.get("size", model.default_size), arguments.get("quality")
            quality = None if named in UNPRICED_QUALITIES else named
            return model, size, quality, self._tariff.image_price(model, size, quality, prompt=arguments["prompt"])
        except (ModelNotFound, ModelUnpriced, SizeNotOffered, QualityNotOffered) as error:
            names = ", ".join(model.id for model in self._catalogue.enabled() if model.kind == "image") or "none"
            raise ToolFailed(error.code, f"{error.detail} Image models: {names}.") from error

    def _stored(self, name: str) -> Picture | None:
        """Return the picture that an earlier worker painted for this call but did not record. None if there is none."""
        try:
            return picture_of(self._objects.read(name))
        except (ObjectNotFound, NoPicture):
            return None

    def _is_charged(self, use: ToolUse, model: Model, price: Micro, error: DomainError) -> bool:
        """Return True if a missing picture is charged: our time limit cut the call, or too many calls failed."""
        if isinstance(error, UpstreamTimedOut):
            return True
        told = UpstreamUnavailable(has_begun=True) if isinstance(error, NoPicture) else error
        return self._losses.is_failure_charged(
            use.uid, told, call=use.operation, model=model.id, principal=use.uid, amount=price
        )

    def _painted(self, use: ToolUse, model: Model, prompt: str, size: str, quality: str | None) -> Picture:
        """Paint and store a new picture. If another worker has stored a picture meanwhile, return that picture."""
        name = object_name(use.uid, _image_id(use))
        request = ImageRequest(
            model=model.upstream_model,
            prompt=prompt,
            size=size,
            quality=quality,
            wants_base64=ASKED_FOR_BASE64 in model.capabilities,
            end_user=use.end_user,
        )
        picture = self._image_model.generate(request)
        if self._objects.put(name, picture.content, picture.content_type):
            return picture
        return picture_of(self._objects.read(name))


def build_tool(parts: ToolParts) -> Tool:
    """Build the tool."""
    return GenerateImage(
        catalogue=parts.catalogue,
        tariff=parts.tariff,
        preferences=parts.preferences,
        image_model=parts.image_model,
        images=parts.images,
        objects=parts.objects,
        clock=parts.clock,
        default_model=parts.default_image_model,
        losses=parts.losses,
    )


def _image_id(use: ToolUse) -> str:
    """Return the image id, the same for every attempt at this use."""
    return derived_id("img", use.operation)
