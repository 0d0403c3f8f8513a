"""Parts for images."""

from typing import TYPE_CHECKING

from shared.bootstrap.models import ModelParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.ai.images.links import ImageLinks
    from shared.ai.images.store import Images
    from shared.ai.images.task_store import ImageTasks
    from shared.sagas.images.estimates import PictureEstimates
    from shared.sagas.images.job import ImageJob
    from shared.sagas.images.start import ImageStart


class ImageParts(ModelParts):
    """Parts that start, make, store and show images."""

    @part
    def image_start(self) -> "ImageStart":
        """Build the saga that starts an image task."""
        from shared.kernel.clock import SECOND
        from shared.ledger.commands import RateLimit
        from shared.sagas.images.start import HOLD_LIFETIME_MIN, ImageStart

        settings = self.settings
        return ImageStart(
            documents=self.documents,
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            preferences=self.preferences,
            publisher=self.publisher,
            clock=self.clock,
            default_model=settings.default_image_model,
            hold_lifetime=max(settings.hold_lifetime_seconds * SECOND, HOLD_LIFETIME_MIN),
            rate=RateLimit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
        )

    @part
    def image_job(self) -> "ImageJob":
        """Build the worker that runs an image task."""
        from shared.kernel.clock import SECOND
        from shared.sagas.images.job import ImageJob
        from shared.sagas.images.start import HOLD_LIFETIME_MIN

        return ImageJob(
            documents=self.documents,
            objects=self.objects,
            ledger=self.ledger,
            image_model=self.image_model,
            calls=self.image_start,
            authority=self.authority,
            end_users=self.end_users,
            alerts=self.alerts,
            clock=self.clock,
            hold_lifetime=max(self.settings.hold_lifetime_seconds * SECOND, HOLD_LIFETIME_MIN),
            losses=self.losses,
        )

    @part
    def image_tasks(self) -> "ImageTasks":
        """Build the store of image tasks."""
        from shared.ai.images.task_store import ImageTasks

        return ImageTasks(self.documents)

    @part
    def images(self) -> "Images":
        """Build the store of finished images."""
        from shared.ai.images.store import Images

        return Images(self.documents, self.objects)

    @part
    def image_links(self) -> "ImageLinks":
        """Build the links that each show one image for a short time."""
        from shared.ai.images.links import KEY_INFO, ImageLinks
        from shared.users.mailbox import derived_key

        return ImageLinks([derived_key(key.seed, KEY_INFO) for key in self.settings.ledger_signing_keys])

    @part
    def picture_estimates(self) -> "PictureEstimates":
        """Build the estimates of costs of pictures."""
        from shared.sagas.images.estimates import PictureEstimates

        return PictureEstimates(
            self.catalogue, self.tariff, self.preferences, default_painter=self.settings.default_image_model
        )
