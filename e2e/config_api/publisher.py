"""Renders the preferred backends into the gateway's configuration, by the renderer's model and templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from renderer.loader import load_settings
from renderer.model import Settings
from renderer.model.gateway import EndToEnd
from renderer.names import variable
from renderer.output import read_text
from renderer.problems import ConfigurationError, KeyVaultError
from renderer.render import render_files
from renderer.watch import LIVE_FILE, put_in_place

_VARIABLE = variable(EndToEnd, "preferred_backends")


class PublishError(Exception):
    """The configuration stays as it was; the text says why, without secrets."""


class Publisher:
    """Writes apisix.yaml into the directory of a running gateway."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        read_file: Callable[[], Mapping[str, str] | None],
        directory: Path,
        bundle_root: str,
    ) -> None:
        """`read_file` reads the file of settings, if there is one: its values may change."""
        self._backends = {backend.name for backend in settings.backends}
        self._environment = environment
        self._read_file = read_file
        self._directory = directory
        self._bundle_root = bundle_root

    def publish(self, names: tuple[str, ...]) -> bool:
        """Render with these backends preferred; returns whether apisix.yaml changed. Raises `PublishError`.

        Names that are no backends are ignored. Without any name the settings' own preference holds.
        """
        preferred = ",".join(name for name in names if name in self._backends)
        environment = {**self._environment, _VARIABLE: preferred} if preferred else self._environment
        try:
            settings = load_settings(environment, env_file=self._read_file())
            self._backends = {backend.name for backend in settings.backends}
            files = render_files(settings, self._bundle_root)
            has_changed = put_in_place(files, self._directory)
        except ConfigurationError as error:
            problems = "; ".join(f"{problem.setting} {problem.message}" for problem in error.problems)
            raise PublishError(f"the settings are not valid: {problems}") from error
        except KeyVaultError as error:
            raise PublishError(f"Key Vault cannot be read: {error.message}") from error
        except OSError as error:
            raise PublishError(f"the configuration cannot be written: {error.strerror}") from error
        if read_text(self._directory / LIVE_FILE) != files[LIVE_FILE]:
            raise PublishError("the gateway here runs without some of the plugins; restart it")
        return has_changed
