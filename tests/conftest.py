"""Options and fixtures that every part of the suite shares."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.inputs import choose_suite, many
from tests.support.tls_contexts import share_tls_contexts

# Terraform ends within a second, so it need not collect its garbage so often: a sixth of its time.
os.environ.setdefault("GOGC", "400")
# Collected tests stay until the end, so Python need not look for garbage among them again and again.
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        default="embedded",
        choices=["embedded", "apisix", "docker"],
        help="the engine that the behaviour suite runs on (default: embedded)",
    )
    parser.addoption("--long", action="store_true", help="run the tests marked as long too (make test-long)")


def pytest_configure(config: pytest.Config) -> None:
    choose_suite(config.getoption("--long"))
    share_tls_contexts()
    # The same input in every run and no failure for being slow, as hypothesis does by itself where CI is set.
    # One gateway or simulator serves all the input of a test.
    settings.register_profile(
        "suite",
        settings.get_profile("ci"),
        max_examples=many(100),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    # Costly to start, so all of its tests share one: with --dist loadgroup they run in one process.
    for item in items:
        if "lowkey_vault" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("lowkey_vault"))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
