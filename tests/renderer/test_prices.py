"""Which deployments have a price, and the command that says so."""

from __future__ import annotations

import pytest

from renderer.prices import PricedDeployment, all_prices, pricing_of_deployments
from tests.renderer.support import load

TWO = "gpt-4o,ours=gpt-5,secret"


def test_a_deployment_is_priced_by_its_name_or_by_the_backends_name_for_it() -> None:
    settings = load(AZURE_OPENAI_DEPLOYMENTS_0=TWO)
    priced = {row.deployment: row.price for row in pricing_of_deployments(settings)}
    assert priced == {"gpt-4o": "gpt-4o", "ours": "gpt-5", "secret": None}


def test_a_price_of_the_settings_counts() -> None:
    settings = load(AZURE_OPENAI_DEPLOYMENTS_0="secret", MODEL_PRICING='{"secret": {"prompt": 1}}')
    [row] = pricing_of_deployments(settings)
    assert row == PricedDeployment(str(settings.backends[0].name), "secret", "secret")


def test_provisioned_throughput_is_paid_by_the_hour() -> None:
    settings = load(AZURE_OPENAI_DEPLOYMENTS_0="secret", AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_0="45.5")
    assert [row.price for row in pricing_of_deployments(settings)] == ["by the hour"]


@pytest.mark.parametrize("cost", ["-1", "much"])
def test_a_cost_per_hour_is_a_number(cost: str) -> None:
    from renderer.problems import ConfigurationError

    with pytest.raises(ConfigurationError):
        load(AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_0=cost)


def test_tools_cost_the_same_with_every_model_that_writes_text() -> None:
    own = (
        '{"mine": {"prompt": 1, "completion": 2}, "cheap": {"prompt": 1, "completion": 2, "web_search": 10}}'
    )
    prices = all_prices(load(MODEL_PRICING=own).telemetry)
    searching = {name: price.get("web_search") for name, price in prices.items()}
    chosen = {
        name: searching[name] for name in ("mine", "cheap", "gpt-5.4", "text-embedding-3-small", "whisper")
    }
    assert chosen == {
        "mine": 14,
        "cheap": 10,
        "gpt-5.4": 14,
        "text-embedding-3-small": None,
        "whisper": None,
    }


def test_the_list_of_deployments_says_what_else_has_a_price() -> None:
    [row] = pricing_of_deployments(load(AZURE_OPENAI_DEPLOYMENTS_0="gpt-6-sol"))
    assert {"cache_write", "long_cache_write", "web_search"} <= set(row.kinds)
