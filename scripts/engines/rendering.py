"""The renderer, as the engines use it."""

from collections.abc import Mapping

from renderer import load_settings, render_files


def render(
    env: Mapping[str, str], bundle_root: str, env_file: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Rendered files by name.

    Args:
        env: the environment's variables, which win over those of `env_file`.
        bundle_root: the directory that holds apisix/plugins, as the engine sees it.

    Raises:
        renderer.ConfigurationError: the settings are wrong.
    """
    return render_files(load_settings(env, env_file=env_file), bundle_root)
