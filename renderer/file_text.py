"""The text of a file of settings, or why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from renderer.problems import ConfigurationError, Problem


def text_of_file(file: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark. Raises `ConfigurationError`."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = Problem(str(file), "does not exist", "Correct the path of the file of settings")
    except UnicodeDecodeError:
        remedy = "Save it as UTF-8 (PowerShell: Set-Content -Encoding utf8)"
        problem = Problem(str(file), "is not UTF-8 text", remedy)
    except OSError as error:
        reason = (error.strerror or "read error").lower()
        problem = Problem(str(file), f"cannot be read ({reason})", "Check the path and its permissions")
    raise ConfigurationError([problem])
