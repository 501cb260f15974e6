"""Settings: everything a deployment may choose, read from the environment in one place.

`settings` declares them, each with its variable, default and meaning; `readers` says what the
variables that are more than a number may hold; `variables` is what a declaration is made of.
docs/settings.md is made of the declarations (`python -m infra.settings_page`).
"""

from core.config.readers import DEV_KEY_ID, LOCAL_HOST, WEBHOOK_HOST, jwt_keys, webhook_secrets
from core.config.settings import WORKER_MARGIN_SECONDS, Oidc, QStash, Settings
from core.config.variables import SettingsError, given

__all__ = [
    "DEV_KEY_ID",
    "LOCAL_HOST",
    "WEBHOOK_HOST",
    "WORKER_MARGIN_SECONDS",
    "Oidc",
    "QStash",
    "Settings",
    "SettingsError",
    "given",
    "jwt_keys",
    "webhook_secrets",
]
