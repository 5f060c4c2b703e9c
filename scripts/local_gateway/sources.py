"""Where the settings of a local gateway come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from renderer import Problem, Settings, load, read_settings_file
from renderer.model.gateway import Gateway, LivePage
from renderer.names import variable

# What this command sets unless the settings say otherwise: its gateway listens on this machine only, and each
# request's record is there at once.
DEFAULTS = {variable(LivePage, "access"): "local", variable(Gateway, "log_mode"): "test"}


Stamp = tuple[int, int, int]
"""What changes when a file is written: modification time, size, number."""


@dataclass(frozen=True)
class Loaded:
    """The settings, and the texts that they were read from."""

    settings: Settings
    env: Mapping[str, str]
    """The variables of the environment and of the file; the environment wins."""
    from_file: Mapping[str, str]
    """Those of the file alone."""
    stamp: Stamp | None
    """That of the file before it was read."""
    warnings: tuple[Problem, ...] = ()
    """Values that are valid and cannot work."""
    ignored: tuple[str, ...] = ()
    """Variables of other tools that look like the gateway's."""


@dataclass(frozen=True)
class Sources:
    """The environment of this process, and perhaps a file of settings."""

    environment: Mapping[str, str]
    env_file: Path | None

    def load(self) -> Loaded:
        """Reads them. Raises `ConfigurationError` or `KeyVaultError`."""
        stamp = self.stamp()
        from_file = read_settings_file(self.env_file) if self.env_file is not None else {}
        values = {**DEFAULTS, **from_file}
        loaded = load(self.environment, env_file=values)
        env = {**values, **self.environment}
        return Loaded(loaded.settings, env, from_file, stamp, loaded.warnings, loaded.ignored)

    def stamp(self) -> Stamp | None:
        """The stamp of the file as it is now; None where there is none."""
        if self.env_file is None:
            return None
        try:
            status = self.env_file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
