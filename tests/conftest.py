"""Options and fixtures that every part of the suite shares."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        default="embedded",
        choices=["embedded", "apisix", "docker"],
        help="the engine that the behaviour suite runs on (default: embedded)",
    )
