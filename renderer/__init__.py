"""Renders the gateway's configuration. Data flows one way: sources → settings → model → templates → files.

Sources: one text for each variable
    settings_file     the file given with `--settings`, by its name in one of two formats:
    env_file          NAME=value lines, and
    yaml_file         YAML, with the names of the model; file_text reads the text of both
    found_settings    which file is read when none is given
    origins           where each text was written
    key_vault         secrets of Azure Key Vault, by variable
    sources           merges both with the environment
Settings: texts that hold together
    model/            every setting: name, default, meaning, unit
    parsers/          text to value
    names             from a variable's name to its place in the model and back
    draft             parses each group by itself, so all mistakes are found at once
    wording           pydantic's complaints in plain words
    cross_rules/      rules between settings
    warning_rules     values that are valid and cannot work
    unknown_names     variables that were meant for the gateway, but are unknown to it
    loader            all of the above: from the sources to `Settings` and warnings, or to a list of problems
Files: what APISIX and the collector read
    sizing            shared dictionaries, workers
    render            from `Settings` to the text of the three files, through apisix/templates/
    schema_check      checks the texts with the schemas of APISIX and of the plugins
    variable_of_path  from a place in a file back to its variable, for the problems of the check
    output            puts the files in place
    masking           a diff of two files without their secrets
Command
    cli               `render-config`
    watch             renders again and again
    progress          says what takes long
    reference         the reference page of all settings
    report            problems and warnings on a terminal
    problems          what can go wrong; known to all of the above, as are the paths in `resources`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renderer.env_file import read_env_file
    from renderer.loader import Loaded, load, load_settings
    from renderer.model import Settings
    from renderer.problems import ConfigurationError, KeyVaultError, Problem
    from renderer.render import render_files
    from renderer.settings_file import read_settings_file

__all__ = [
    "ConfigurationError",
    "KeyVaultError",
    "Loaded",
    "Problem",
    "Settings",
    "load",
    "load_settings",
    "read_env_file",
    "read_settings_file",
    "render_files",
]

_HOMES = {
    "ConfigurationError": "renderer.problems",
    "KeyVaultError": "renderer.problems",
    "Loaded": "renderer.loader",
    "Problem": "renderer.problems",
    "Settings": "renderer.model",
    "load": "renderer.loader",
    "load_settings": "renderer.loader",
    "read_env_file": "renderer.env_file",
    "read_settings_file": "renderer.settings_file",
    "render_files": "renderer.render",
}


def __getattr__(name: str) -> Any:
    # When it is asked for: the model takes half of the time in which a command starts that does not need it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
