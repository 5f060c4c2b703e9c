"""Renders the gateway's configuration: settings -> typed model -> templates -> validated files."""

from renderer.errors import ConfigurationError, KeyVaultError, Problem
from renderer.loader import load_settings
from renderer.render import render_files
from renderer.settings import Settings
from renderer.sources import read_env_file

__all__ = [
    "ConfigurationError",
    "KeyVaultError",
    "Problem",
    "Settings",
    "load_settings",
    "read_env_file",
    "render_files",
]
