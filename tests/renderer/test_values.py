"""Flags, numbers and choices, and the rules between settings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from renderer import render_files
from renderer.parsers.prices import shipped_prices
from renderer.resources import DATA
from tests.renderer.support import load, problem, problems


@pytest.mark.parametrize("word", ["true", "TRUE", "1", "yes", "Yes", "on"])
def test_words_for_yes(word: str) -> None:
    assert load(GATEWAY_EXPOSE_BACKEND_HEADERS=word).gateway.expose_backend_headers is True


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "off", "OFF"])
def test_words_for_no(word: str) -> None:
    assert load(GATEWAY_EXPOSE_BACKEND_HEADERS=word).gateway.expose_backend_headers is False


@pytest.mark.parametrize("word", ["t", "2", "enabled", "none", "ja"])
def test_any_other_word_is_an_error_never_a_yes(word: str) -> None:
    assert "true or false" in problem("GATEWAY_REQUIRE_AUTH", GATEWAY_REQUIRE_AUTH=word).remedy


@pytest.mark.parametrize("text", ["ten", "1.5", "1e3", "0x10", "9" * 5000])
def test_a_number_that_is_not_whole_is_wrong(text: str) -> None:
    assert problem("AZURE_OPENAI_WEIGHT_0", AZURE_OPENAI_WEIGHT_0=text)


def test_a_short_wrong_value_is_repeated() -> None:
    assert "(it is 'ten')" in problem("BREAKER_FAILURES", BREAKER_FAILURES="ten").message


def test_a_long_wrong_value_is_not_repeated_because_it_may_be_a_key() -> None:
    key = "0123456789abcdef-secret"
    assert key not in str(problem("BREAKER_FAILURES", BREAKER_FAILURES=key))


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("AI_PROXY_CONNECT_TIMEOUT_MS", "0", "at least 1"),
        ("REDIS_PORT", "65536", "at most 65,535"),
        ("OTEL_SAMPLE_RATE", "1.1", "at most 1"),
        ("OTEL_SAMPLE_RATE", "nan", "a number such as"),
        ("LOW_LANE_RESERVE_PERCENT", "100", "at most 99"),
        ("AI_RATE_LIMIT_REJECT_CODE", "200", "at least 400"),
    ],
)
def test_a_number_out_of_range_is_wrong_and_the_bound_is_told(name: str, value: str, remedy: str) -> None:
    assert remedy in problem(name, ENABLE_AI_RATE_LIMIT="false", **{name: value}).remedy


def test_a_wrong_choice_is_answered_with_the_choices_and_the_nearest() -> None:
    found = problem("GATEWAY_LOG_MODE", GATEWAY_LOG_MODE="production")
    assert found.remedy.startswith("Write prod, test or dev")
    assert "did you mean chash?" in problem("LB_ALG", LB_ALG="chas").remedy


@pytest.mark.parametrize(
    ("least", "most"),
    [
        ("COOLDOWN_DEFAULT_SECONDS", "COOLDOWN_MAX_SECONDS"),
        ("BREAKER_OPEN_SECONDS", "BREAKER_MAX_OPEN_SECONDS"),
    ],
)
def test_a_default_above_its_maximum_is_wrong(least: str, most: str) -> None:
    found = problem(least, **{least: "30", most: "20"})
    assert f"(30 s) is more than {most} (20 s)" in found.message


def test_consistent_hashing_needs_a_key() -> None:
    assert problem("LB_HASH_KEY", LB_ALG="chash")
    assert not problems(LB_ALG="chash", LB_HASH_KEY="x-session-id")
    assert not problems(LB_ALG="chash", LB_HASH_ON="consumer")


def test_speed_needs_no_hash_key() -> None:
    assert not problems(LB_ALG="latency")


def test_redis_settings_without_a_host_are_wrong() -> None:
    assert problem("REDIS_PASSWORD", REDIS_PASSWORD="hunter2")


@pytest.mark.parametrize(("mode", "rate"), [("prod", 0.1), ("test", 0.5), ("dev", 1.0)])
def test_the_sample_rate_follows_the_log_mode(mode: str, rate: float) -> None:
    assert load(GATEWAY_LOG_MODE=mode).sample_rate == rate


@pytest.mark.parametrize(("name", "value"), [("OTEL_SAMPLE_RATE", "0.00001"), ("RATE_LIMIT_RATE", "0.001")])
def test_a_small_number_stays_a_number(name: str, value: str) -> None:
    switches = {"OTEL_COLLECTOR_ENDPOINT": "http://127.0.0.1:4318", "ENABLE_RATE_LIMIT": "true"}
    render_files(load(**{**switches, "RATE_LIMIT_RATE": "1", name: value}))


def test_a_configured_sample_rate_wins() -> None:
    assert load(GATEWAY_LOG_MODE="dev", OTEL_SAMPLE_RATE="0").sample_rate == 0


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0/33", "example.com", "1.2.3", ",", "10.0.0.0/255.0.0.0", "fe80::1%eth0", "10.0.0.0/8;deny all"],
)
def test_ranges_that_do_not_parse_are_wrong(text: str) -> None:
    assert problem("GATEWAY_TRUSTED_PROXIES", GATEWAY_TRUSTED_PROXIES=text)


def test_a_range_that_begins_in_its_middle_is_wrong_and_its_beginning_is_told() -> None:
    assert (
        "Write 10.0.0.0/8" in problem("GATEWAY_TRUSTED_PROXIES", GATEWAY_TRUSTED_PROXIES="10.0.0.1/8").remedy
    )


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "10.0.0.0/8,::/0"])
def test_trusting_everybodys_forwarded_address_is_wrong(everybody: str) -> None:
    assert problem("GATEWAY_TRUSTED_PROXIES", GATEWAY_TRUSTED_PROXIES=everybody)


@pytest.mark.parametrize("value", ["a\x00b", "a\x1bb", "\udcff"])
def test_a_value_that_is_no_text_is_one_problem(value: str) -> None:
    assert problem("OTEL_SERVICE_NAME", OTEL_SERVICE_NAME=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_OPENAI_KEY_0", '"backend-key-0123456789"'),
        ("AZURE_OPENAI_ENDPOINT_0", "'https://my-eastus.openai.azure.com'"),
        ("GATEWAY_CLIENT_NAME_0", '"team-a"'),
        ("GATEWAY_REQUIRE_AUTH", "'true'"),
    ],
)
def test_quotation_marks_that_arrived_with_the_value_are_one_problem(name: str, value: str) -> None:
    assert problem(name, **{name: value}).remedy == "Write it without them"


def test_a_number_with_a_unit_is_answered_with_the_unit_that_is_meant() -> None:
    assert "(in ms)" in problem("AI_PROXY_CONNECT_TIMEOUT_MS", AI_PROXY_CONNECT_TIMEOUT_MS="5s").remedy


@pytest.mark.parametrize("key", ["x session id", "x-session-id:", "{{key}}"])
def test_a_hash_key_that_no_header_cookie_or_variable_has_is_wrong(key: str) -> None:
    assert problem("LB_HASH_KEY", LB_ALG="chash", LB_HASH_KEY=key)


@pytest.mark.parametrize("text", ["11111111-2222-3333-4444-555555555555", "IngestionEndpoint=https://x"])
def test_a_connection_string_that_the_collector_would_refuse_is_wrong(text: str) -> None:
    name = "APPLICATIONINSIGHTS_CONNECTION_STRING"
    found = problem(name, **{name: text})
    assert (found.message, text in str(found)) == ("has no InstrumentationKey", False)


def test_every_problem_is_reported_at_once() -> None:
    found = problems(
        AZURE_OPENAI_ENDPOINT_0="nonsense",
        AZURE_OPENAI_WEIGHT_0="x",
        GATEWAY_CLIENT_KEY_0="short",
        GATEWAY_LOG_MODE="loud",
        COOLDOWN_DEFAULT_SECONDS="999",
        ENABLE_CORS="yes",
        GATEWAY_CLEINT_KEY_1="whatever",
    )
    assert [each.setting for each in found] == [
        "AZURE_OPENAI_ENDPOINT_0",
        "AZURE_OPENAI_WEIGHT_0",
        "COOLDOWN_DEFAULT_SECONDS",
        "CORS_ALLOW_ORIGINS",
        "GATEWAY_CLEINT_KEY_1",
        "GATEWAY_CLIENT_KEY_0",
        "GATEWAY_LOG_MODE",
    ]


def test_problems_are_sorted_by_number_not_by_letter() -> None:
    many = {f"AZURE_OPENAI_ENDPOINT_{n}": "nonsense" for n in range(12)}
    keys = {f"AZURE_OPENAI_KEY_{n}": f"backend-key-{n}" for n in range(12)}
    settings = [each.setting for each in problems(**many, **keys)]
    assert settings == [f"AZURE_OPENAI_ENDPOINT_{n}" for n in range(12)]


def test_model_pricing_is_json_or_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("prices") / "prices.json"
    file.write_text('{"my-model": {"prompt": 1, "completion": 2}}')
    for text in (str(file), file.read_text()):
        prices = load(MODEL_PRICING=text).telemetry.model_pricing
        assert prices == {"my-model": {"prompt": 1, "cached": 1, "completion": 2}}


@pytest.mark.parametrize(
    "text",
    [
        "/no/such/file.json",
        "{",
        '{"m": 1}',
        '{"m": {"completion": 1}}',
        '{"m": {"prompt": -1}}',
        '{"m": {"prompt": NaN}}',
        '{"m": {"prompt": true}}',
        '{"m": {"prompt": 1, "output": 2}}',
        '{"m": {"prompt": "1"}}',
        '{"bad name!": {"prompt": 1}}',
        "a" * 5000,
        "[]",
        '{"a-price-per-token": {"prompt": 0.0000025}}',
        '{"beside-nothing": {"minute": 1, "cache_write": 1}}',
        '{"beside-nothing": {"characters": 1, "web_search": 1}}',
        '{"beside-nothing": {"prompt": 1, "large_video": 1}}',
        '{"beside-nothing": {"prompt": 1, "long_cache_write": 1}}',
        '{"half-of-the-prices-of-long-prompts": {"prompt": 1, "long_prompt": 2}}',
    ],
)
def test_model_pricing_that_is_no_table_of_prices_is_wrong(text: str) -> None:
    assert problem("MODEL_PRICING", MODEL_PRICING=text)


@pytest.mark.parametrize(
    "price",
    [
        {"prompt": 1, "cache_write": 1.25, "completion": 4, "web_search": 10},
        {"video": 0.1},
        {"video": 0.3, "large_video": 0.5},
        {"prompt": 1, "long_from": 9, "long_prompt": 2, "long_cached": 2, "long_completion": 2}
        | {"long_cache_write": 3},
    ],
)
def test_model_pricing_knows_cache_writes_searches_and_videos(price: dict[str, float]) -> None:
    prices = load(MODEL_PRICING=json.dumps({"mine": price})).telemetry.model_pricing
    assert price.items() <= (prices or {})["mine"].items()


def test_the_wrong_price_of_a_table_is_told_by_its_number() -> None:
    found = problem("MODEL_PRICING", MODEL_PRICING='{"a": {"prompt": 1}, "b": {"input": 1}}')
    assert "(number 2)" in found.message


def test_a_file_of_prices_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text('{"m": {"prompt": 1}}', encoding="utf-8-sig")
    assert not problems(MODEL_PRICING=str(tmp_path / "prices.json"))


def test_of_shipped_prices_writing_to_a_cache_costs_a_quarter_more_than_reading_a_prompt() -> None:
    """Of the models that have a price for it. A mistyped one would differ."""
    written = {model: price for model, price in shipped_prices().items() if "cache_write" in price}
    assert len(written) >= 9
    for price in written.values():
        assert price["cache_write"] == pytest.approx(1.25 * price["prompt"])
        if "long_prompt" in price:
            assert price["long_cache_write"] == pytest.approx(1.25 * price["long_prompt"])


def test_of_shipped_prices_completions_cost_more_than_prompts() -> None:
    prices = shipped_prices()
    chat = {model: price for model, price in prices.items() if re.match(r"gpt-\d|o\d", model)}
    assert len(chat) > 40
    assert {m: p for m, p in chat.items() if not 0 < p["cached"] <= p["prompt"] < p["completion"]} == {}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gpt-6.1-sol", "long_completion"),
        ("gpt-realtime", "audio_completion"),
        ("gpt-image-1", "image_completion"),
        ("gpt-4o-transcribe", "audio_prompt"),
        ("whisper", "minute"),
        ("tts-1", "characters"),
        ("dall-e-3", "image"),
    ],
)
def test_shipped_prices_are_of_every_kind_of_model(model: str, kind: str) -> None:
    assert shipped_prices()[model][kind] > 0


def test_shipped_prices_say_where_they_come_from_and_when() -> None:
    table = json.loads((DATA / "model-pricing.json").read_text())
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", table["date"])
    assert table["sources"]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_log_level_at_which_apisix_logs_requests_and_passwords_is_wrong(level: str) -> None:
    assert "notice, warn" in problem("APISIX_LOG_LEVEL", APISIX_LOG_LEVEL=level).remedy
