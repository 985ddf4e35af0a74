"""The processes that there are, and the settings of each, so that a wrong one is noticed before anything starts.

The rule: a process is known here by its name alone, as it is started by it; nothing of it is used but its settings.
"""

from collections.abc import Iterable, Mapping
from pkgutil import resolve_name
from typing import Final

from services.plumbing.failures import SettingsWrong
from services.plumbing.settings import SharedSettings

POSTGRES: Final = "postgres"
STORAGE: Final = "storage"
DOORS: Final = ("smtp", "imap", "pop3")

SETTINGS: Final = {
    "up": "services.cli.up.settings:UpSettings",
    POSTGRES: "services.storage.embedded.settings:PostgresSettings",
    STORAGE: "services.storage.settings:Settings",
    "smtp": "services.smtp.settings:Settings",
    "imap": "services.imap.settings:Settings",
    "pop3": "services.pop3.settings:Pop3Settings",
}


def settings_class(process: str) -> type[SharedSettings]:
    """The class of a process's settings."""
    found: type[SharedSettings] = resolve_name(SETTINGS[process])
    return found


def check_settings(environment: Mapping[str, str], processes: Iterable[str]) -> None:
    """Reads the settings of each. Raises SettingsWrong with all that is wrong, each said once."""
    wrong: dict[str, None] = {}
    for process in processes:
        try:
            settings_class(process).read(environment)
        except SettingsWrong as reason:
            wrong |= dict.fromkeys(str(reason).split("; "))
    if wrong:
        raise SettingsWrong("; ".join(wrong))


def manual(environment: Mapping[str, str], processes: Iterable[str]) -> str:
    """Every setting of these: those that all share, then what is each one's own."""
    shared = SharedSettings.model_fields
    parts = ["# Every process\n" + settings_class("up").read(environment).manual(shared)]
    for process in processes:
        settings = settings_class(process).read(environment)
        own = settings.manual(type(settings).model_fields.keys() - shared.keys())
        parts.append(f"# {process}\n{own}")
    return "\n\n".join(parts)
