"""Parts that start, make, store and show images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.models import ModelServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.ai.images.links import ImageLinks
    from shared.ai.images.store import Images
    from shared.ai.images.task_store import ImageTasks
    from shared.sagas.images.estimates import PictureEstimates
    from shared.sagas.images.job import ImageJob
    from shared.sagas.images.start import ImageStart


@dataclass(eq=False)
class ImageServices:
    """Parts that start, make, store and show images."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices
    users: UserServices
    models: ModelServices

    @part
    def start(self) -> "ImageStart":
        """Build the saga that starts an image task."""
        from shared.kernel.clock import SECOND
        from shared.ledger.commands import RateLimit
        from shared.sagas.images.start import HOLD_LIFETIME_MIN, ImageStart

        settings = self.settings
        return ImageStart(
            documents=self.ports.documents(),
            ledger=self.credits.ledger,
            catalogue=self.models.catalogue,
            tariff=self.models.tariff,
            preferences=self.models.preferences,
            publisher=self.ports.publisher(),
            clock=self.clock,
            default_model=settings.default_image_model,
            hold_lifetime=max(settings.hold_lifetime_seconds * SECOND, HOLD_LIFETIME_MIN),
            rate=RateLimit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
        )

    @part
    def job(self) -> "ImageJob":
        """Build the worker that runs an image task."""
        from shared.kernel.clock import SECOND
        from shared.sagas.images.job import ImageJob
        from shared.sagas.images.start import HOLD_LIFETIME_MIN

        return ImageJob(
            documents=self.ports.documents(),
            objects=self.ports.objects(),
            ledger=self.credits.ledger,
            image_model=self.ports.image_model(),
            calls=self.start,
            authority=self.users.authority,
            end_users=self.users.end_users,
            alerts=self.ports.alerts(),
            clock=self.clock,
            hold_lifetime=max(self.settings.hold_lifetime_seconds * SECOND, HOLD_LIFETIME_MIN),
            losses=self.credits.losses,
        )

    @part
    def tasks(self) -> "ImageTasks":
        """Build the store of image tasks."""
        from shared.ai.images.task_store import ImageTasks

        return ImageTasks(self.ports.documents())

    @part
    def store(self) -> "Images":
        """Build the store of finished images."""
        from shared.ai.images.store import Images

        return Images(self.ports.documents(), self.ports.objects())

    @part
    def links(self) -> "ImageLinks":
        """Build the links that each show one image for a short time."""
        from shared.ai.images.links import KEY_INFO, ImageLinks
        from shared.kernel.derived_keys import derived_key

        seeds = [key.seed for key in self.settings.ledger_signing_keys]
        secrets = [*(secret.encode() for secret in self.settings.marks_secrets), *seeds]
        return ImageLinks([derived_key(secret, KEY_INFO) for secret in secrets])

    @part
    def estimates(self) -> "PictureEstimates":
        """Build the estimates of costs of pictures."""
        from shared.sagas.images.estimates import PictureEstimates

        return PictureEstimates(
            self.models.catalogue,
            self.models.tariff,
            self.models.preferences,
            default_painter=self.settings.default_image_model,
        )
