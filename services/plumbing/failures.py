"""Why a process cannot start: an outside reason that one clear line explains, so no traceback is shown for it."""


class CannotStart(Exception):
    """Something outside the program is missing or in the way; the text says what to do."""


class PortInUse(CannotStart):
    """Somebody else listens on the port."""

    def __init__(self, address: str, port: int, setting: str = "") -> None:
        self.address = address
        self.port = port
        change = f"set {setting}" if setting else "choose another port"
        super().__init__(f"port {port} on {address} is in use: stop what uses it or {change}")


class SettingsWrong(CannotStart):
    """A setting has an unknown name or a value that does not fit."""
