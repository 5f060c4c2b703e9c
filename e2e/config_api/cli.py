"""`python -m e2e.config_api`: serves the config API beside one gateway."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from e2e.config_api.app import create_app
from e2e.config_api.follower import Follower
from e2e.config_api.preferences import InProcess, InRedis, Preferences
from e2e.config_api.publisher import Publisher
from renderer.loader import load_settings
from renderer.model import Settings
from renderer.model.gateway import EndToEnd
from renderer.names import variable
from renderer.problems import ConfigurationError, KeyVaultError, Problem
from renderer.render import DEFAULT_BUNDLE_ROOT
from renderer.settings_file import read_settings_file

_STOP_SECONDS = 5


def main() -> None:
    """Run the command and exit with its code: those of render-config."""
    try:
        typer.run(serve)
    except ConfigurationError as error:
        for problem in error.problems:
            print(
                f"{problem.setting}{problem.place} {problem.message}\n  → {problem.remedy_sentence}",
                file=sys.stderr,
            )
        sys.exit(error.exit_code)
    except KeyVaultError as error:
        print(f"Key Vault {error.vault_url}: {error.message}\n  → {error.remedy}.", file=sys.stderr)
        sys.exit(error.exit_code)


def serve(
    output_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory of the gateway's apisix.yaml and config.yaml.")
    ],
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            "--env-file",
            metavar="FILE",
            help="A file of settings, as for render-config: YAML or NAME=value lines. For local use.",
        ),
    ] = None,
    bundle_root: Annotated[
        str, typer.Option(metavar="DIR", help="As for render-config.")
    ] = DEFAULT_BUNDLE_ROOT,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen there: a platform's probes come from outside.")
    ] = "127.0.0.1",
    refresh: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1, help="Read all settings again this often, too."),
    ] = None,
) -> None:
    """Set preferred backends of a gateway in end-to-end test mode."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s config-api %(levelname)s %(message)s")

    def read_file() -> Mapping[str, str] | None:
        return read_settings_file(settings_file) if settings_file else None

    settings = load_settings(os.environ, env_file=read_file())
    token = settings.end_to_end.config_api_token
    if token is None:
        raise ConfigurationError([_missing_token()])
    preferences = _preferences(settings)
    publisher = Publisher(settings, os.environ, read_file, output_dir, bundle_root)
    app = create_app(token.get_secret_value(), preferences, Follower(preferences, publisher, refresh))
    uvicorn.run(
        app,
        host=host,
        port=settings.end_to_end.config_api_port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


def _missing_token() -> Problem:
    return Problem(
        variable(EndToEnd, "config_api_token"),
        "is missing",
        "Set it to a random token of at least 16 characters, here and for the gateway",
    )


def _preferences(settings: Settings) -> Preferences:
    return InRedis(settings.redis) if settings.redis.host else InProcess()
