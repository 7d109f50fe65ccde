"""
What a run was told: options, environment, `.env` and the credentials file, in that order.

Owns python-dotenv and `~/.leadgenius_auth.json`. Every fault is reported at once, so that a person
repairs them in one go. It must never change the process's environment, talk to a service, or put
the value of any setting into a message: people paste secrets into the wrong variable.
"""

from migrator.config.auth_file import AuthFile
from migrator.config.secret import Secret
from migrator.config.settings import SettingProblem, Settings, SettingsReport, load, survey
from migrator.config.validation import problem

__all__ = [
    "AuthFile",
    "Secret",
    "SettingProblem",
    "Settings",
    "SettingsReport",
    "load",
    "problem",
    "survey",
]
