"""Parts for models and their prices."""

from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.bootstrap.users import UserParts

if TYPE_CHECKING:
    from shared.ai.models.catalogue import Catalogue
    from shared.ai.models.health import ModelHealth
    from shared.ai.models.preferences import Preferences
    from shared.ai.models.profiles import UpstreamProfiles
    from shared.ai.models.tariff import Tariff
    from shared.sagas.metering.models_sync import ModelsSync


class ModelParts(UserParts):
    """Parts for the models on offer, their prices, and users' preferences."""

    @part
    def catalogue(self) -> "Catalogue":
        """Build the catalogue of models."""
        from shared.ai.models.catalogue import Catalogue

        return Catalogue(self.documents, self.clock)

    @part
    def models_sync(self) -> "ModelsSync":
        """Build the update of models and prices from a provider's listing."""
        from shared.sagas.metering.models_sync import ModelsSync

        return ModelsSync(self.catalogue, self.model_listing, self.audit)

    @part
    def tariff(self) -> "Tariff":
        """Build the tariff that turns usage into credits."""
        from shared.ai.models.tariff import Tariff

        return Tariff(credits_per_usd=self.settings.credits_per_usd, markup_percent=self.settings.markup_percent)

    @part
    def preferences(self) -> "Preferences":
        """Build the store of users' preferences."""
        from shared.ai.models.preferences import Preferences

        return Preferences(self.documents)

    @part
    def health(self) -> "ModelHealth":
        """Build the record of upstreams that failed recently on this instance, by model."""
        from shared.ai.models.health import ModelHealth

        return ModelHealth(self.clock)

    @part
    def upstream_profiles(self) -> "UpstreamProfiles":
        """Build the profiles of the upstreams' behaviour."""
        from shared.ai.models.profiles import upstream_profiles_of

        return upstream_profiles_of(self.settings)
