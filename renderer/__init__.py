"""Renders the gateway's configuration. Data flows one way: sources → settings → model → templates → files.

Sources: one text for each variable
    env_file          the format of the file given with `--env-file`
    found_env_file    which file that is, when none is given
    key_vault         secrets of Azure Key Vault, by variable
    sources           merges both with the environment
Settings: texts that hold together
    model/            every setting: name, default, meaning, unit
    parsers/          text to value
    names             from a variable's name to its place in the model and back
    draft             parses each group by itself, so all mistakes are found at once
    wording           pydantic's complaints in plain words
    cross_rules/      rules between settings
    unknown_names     variables that were meant for the gateway, but are unknown to it
    loader            all of the above: from the sources to `Settings`, or to a list of problems
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
    problems          what can go wrong; known to all of the above, as are the paths in `resources`
"""

from renderer.env_file import read_env_file
from renderer.loader import load_settings
from renderer.model import Settings
from renderer.problems import ConfigurationError, KeyVaultError, Problem
from renderer.render import render_files

__all__ = [
    "ConfigurationError",
    "KeyVaultError",
    "Problem",
    "Settings",
    "load_settings",
    "read_env_file",
    "render_files",
]
