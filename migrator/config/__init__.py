"""
Settings from options, environment, `.env` and the credentials file, in this order of precedence.

Owns python-dotenv and `~/.leadgenius_auth.json`. All problems are reported together. It never
changes the environment, makes no request, and puts no value of a setting into a message: people
paste secrets into the wrong variable.
"""

from migrator.config.auth_file import AuthFile
from migrator.config.secret import Secret
from migrator.config.settings import (
    SettingProblem,
    Settings,
    SettingsReport,
    dotenv_names,
    ledger_path,
    load,
    survey,
)
from migrator.config.validation import problem

__all__ = [
    "AuthFile",
    "Secret",
    "SettingProblem",
    "Settings",
    "SettingsReport",
    "dotenv_names",
    "ledger_path",
    "load",
    "problem",
    "survey",
]
