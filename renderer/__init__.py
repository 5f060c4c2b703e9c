"""Renders the gateway's configuration: settings -> typed model -> templates -> validated files."""

from renderer.loader import load_settings
from renderer.model import Settings
from renderer.problems import ConfigurationError, KeyVaultError, Problem
from renderer.render import render_files
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
