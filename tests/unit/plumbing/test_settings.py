"""Settings from an environment."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr, ValidationError

from services.plumbing.failures import SettingsWrong
from services.plumbing.settings import Settings


class Pop3(Settings):
    process: ClassVar[str] = "pop3"

    port: int = Field(default=2110, ge=0, le=65535, description="Port with STLS.")
    pepper: SecretStr = Field(default=SecretStr(""), description="A secret.")


def test_every_default_runs() -> None:
    """No environment at all."""
    settings = Pop3.read({"PATH": "/bin", "IMAP_PORT": "tcp://10.0.0.1:143"})
    assert settings.port == 2110
    assert settings.tls_key == settings.home / "tls" / "key.pem"


def test_shared_and_own_names_are_read_and_paths_follow_home() -> None:
    """RESTANTE_<FIELD> and RESTANTE_<PROCESS>_<FIELD>."""
    settings = Pop3.read(
        {"RESTANTE_HOME": "/srv/mail", "RESTANTE_POP3_PORT": "110", "RESTANTE_POP3_ADMIN_PORT": "9"}
    )
    assert (settings.port, settings.admin_port) == (110, 9)
    assert settings.token_file == Path("/srv/mail/keys/token")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("RESTANTE_POP3_PROT", "RESTANTE_POP3_PORT"),
        ("RESTANTE_HOEM", "RESTANTE_HOME"),
        ("RESTANTE_SMPT_PORT", "RESTANTE_SMTP_PORT"),
        ("RESTANTE_POP3_HOME", "RESTANTE_HOME"),
    ],
)
def test_an_unknown_name_stops_the_start_with_its_nearest_right_spelling(name: str, nearest: str) -> None:
    """A misspelt setting is never a silent default."""
    with pytest.raises(SettingsWrong, match=f"{name} is not a setting: did you mean {nearest}\\?"):
        Pop3.read({name: "1"})


def test_names_of_other_processes_are_theirs_to_check() -> None:
    """Several processes read one environment."""
    Pop3.read({"RESTANTE_SMTP_PORT": "25", "RESTANTE_READY_FD": "3", "RESTANTE_STORAGE_PORT": "1"})


def test_a_value_that_does_not_fit_is_named_once_and_not_shown() -> None:
    """A secret in the wrong place must not reach the log."""
    with pytest.raises(SettingsWrong) as wrong:
        Pop3.read({"RESTANTE_POP3_PORT": "hunter2", "RESTANTE_LOG_LEVEL": "loud", "RESTANTE_HOME": "/x"})
    assert str(wrong.value).count("RESTANTE_") == 2
    assert "RESTANTE_POP3_PORT: " in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize(
    ("name", "value"), [("DATABASE_URL", "mysql://mail:hunter2@host/mail"), ("RPC_KEY", "/hunter2")]
)
def test_what_no_process_can_use_is_refused_by_all(name: str, value: str) -> None:
    """Another kind of database; a part of what mutual TLS takes."""
    with pytest.raises(SettingsWrong, match=f"RESTANTE_{name[:4]}") as wrong:
        Pop3.read({f"RESTANTE_{name}": value})
    assert "hunter2" not in str(wrong.value)


def test_the_manual_tells_value_default_and_meaning_but_no_secret() -> None:
    """What --settings prints."""
    manual = Pop3.read({"RESTANTE_POP3_PORT": "110", "RESTANTE_POP3_PEPPER": "hunter2"}).manual()
    assert "RESTANTE_POP3_PORT=110  (default 2110)\n    Port with STLS." in manual
    assert "hunter2" not in manual
    assert all(info.description for info in Pop3.model_fields.values())


def test_settings_do_not_change() -> None:
    """Frozen."""
    settings = Pop3.read({})
    with pytest.raises(ValidationError):
        settings.port = 1
