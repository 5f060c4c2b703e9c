"""The renderer, as the engines use it."""

from collections.abc import Mapping

from renderer import load_settings, render_files


def render(env: Mapping[str, str], bundle_root: str) -> dict[str, str]:
    """Rendered files by name; raises renderer.errors.ConfigurationError when the settings are wrong."""
    return dict(render_files(load_settings(env), bundle_root))
