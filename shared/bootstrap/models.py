"""The parts that know models and their prices."""

from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.bootstrap.users import UserParts

if TYPE_CHECKING:
    from shared.ai.health import Health
    from shared.ai.models import Catalogue
    from shared.ai.preferences import Preferences
    from shared.ai.profiles import UpstreamProfiles
    from shared.ai.tariff import Tariff
    from shared.sagas.models_sync import ModelsSync


class ModelParts(UserParts):
    """Which models there are, what they cost, who prefers which."""

    @part
    def catalogue(self) -> "Catalogue":
        """The models."""
        from shared.ai.models import Catalogue

        return Catalogue(self.documents, self.clock)

    @part
    def models_sync(self) -> "ModelsSync":
        """Models and prices from a provider's listing."""
        from shared.sagas.models_sync import ModelsSync

        return ModelsSync(self.catalogue, self.model_listing, self.audit)

    @part
    def tariff(self) -> "Tariff":
        """What usage costs."""
        from shared.ai.tariff import Tariff

        return Tariff(credits_per_usd=self.settings.credits_per_usd, markup_percent=self.settings.markup_percent)

    @part
    def preferences(self) -> "Preferences":
        """What a user chose."""
        from shared.ai.preferences import Preferences

        return Preferences(self.documents)

    @part
    def health(self) -> "Health":
        """Which models failed just now."""
        from shared.ai.health import Health

        return Health(self.clock)

    @part
    def upstream_profiles(self) -> "UpstreamProfiles":
        """How each upstream behaves."""
        from shared.ai.profiles import upstream_profiles_of

        return upstream_profiles_of(self.settings)
