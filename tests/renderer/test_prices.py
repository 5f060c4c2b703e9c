"""Which deployments have a price, and the command that says so."""

from __future__ import annotations

import pytest

from renderer.prices import PricedDeployment, pricing_of_deployments
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
