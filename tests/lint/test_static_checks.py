"""The static checks, as a test: so they run beside the other tests."""

from __future__ import annotations

import subprocess

import pytest

from scripts.deploy.layout import REPOSITORY


def test_every_static_check_passes() -> None:
    done = subprocess.run([REPOSITORY / "scripts" / "lint.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.xdist_group("together")
def test_tests_of_one_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """With a pytest that pytest-xdist does not know, groups are ignored without a word."""
    if not request.config.getoption("loadgroup", False):
        pytest.skip("this run has no groups")
    assert request.node.nodeid.endswith("@together")
