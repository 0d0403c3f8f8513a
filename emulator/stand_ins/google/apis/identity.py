"""Identity Toolkit: the sign-in settings of a project. Without a first set-up there are none."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import not_found
from emulator.stand_ins.wire import Json, copied

SETTING = "identity"
NO_CONFIG = "CONFIGURATION_NOT_FOUND"


def _config(call: Call) -> Json:
    if SETTING not in call.project.settings:
        raise not_found(NO_CONFIG)
    return call.project.settings[SETTING]


@serves("identitytoolkit.v2 projects.identityPlatform.initializeAuth", needs="firebaseauth.configs.create")
def initialize(call: Call) -> Json:
    call.project.settings.setdefault(
        SETTING,
        {
            "name": f"projects/{call.project.number}/config",
            "signIn": {"email": {"enabled": False}, "anonymous": {"enabled": False}},
            "authorizedDomains": ["localhost", f"{call.project.id}.firebaseapp.com", f"{call.project.id}.web.app"],
            "subtype": "IDENTITY_PLATFORM",
        },
    )
    return {}


@serves("identitytoolkit.v2 projects.getConfig", needs="firebaseauth.configs.get")
def get_config(call: Call) -> Json:
    return copied(_config(call))


@serves("identitytoolkit.v2 projects.updateConfig", needs="firebaseauth.configs.update")
def update_config(call: Call) -> Json:
    return copied(call.patched(_config(call)))
