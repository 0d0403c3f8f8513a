"""Parts for the models on offer, their prices, and users' preferences."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.ai.models.catalogue import Catalogue
    from shared.ai.models.health import ModelHealth
    from shared.ai.models.preferences import Preferences
    from shared.ai.models.profiles import UpstreamProfiles
    from shared.ai.models.tariff import Tariff
    from shared.sagas.metering.models_sync import ModelsSync


@dataclass(eq=False)
class ModelServices:
    """Parts for the models on offer, their prices, and users' preferences."""

    settings: Settings
    clock: Clock
    ports: Ports
    users: UserServices

    @part
    def catalogue(self) -> "Catalogue":
        """Build the catalogue of models."""
        from shared.ai.models.catalogue import Catalogue

        return Catalogue(self.ports.documents(), self.clock)

    @part
    def sync(self) -> "ModelsSync":
        """Build the update of models and prices from a provider's listing."""
        from shared.sagas.metering.models_sync import ModelsSync

        return ModelsSync(self.catalogue, self.ports.model_listing(), self.users.audit)

    @part
    def tariff(self) -> "Tariff":
        """Build the tariff that turns usage into credits."""
        from shared.ai.models.tariff import Tariff

        return Tariff(credits_per_usd=self.settings.credits_per_usd, markup_percent=self.settings.markup_percent)

    @part
    def preferences(self) -> "Preferences":
        """Build the store of users' preferences."""
        from shared.ai.models.preferences import Preferences

        return Preferences(self.ports.documents())

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
