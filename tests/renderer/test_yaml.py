"""Settings in YAML: the names of the model, and the same files as from variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from renderer import ConfigurationError, Problem, load, names, read_env_file, read_settings_file, render_files
from renderer.loader import Loaded
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.group import is_secret
from renderer.origins import origin_of
from tests.renderer.support import env
from tests.renderer.test_guardrails import EVERYTHING as GUARDRAILS

REPOSITORY = Path(__file__).resolve().parents[2]


def write(directory: Path, text: str) -> Path:
    file = directory / "gateway.yaml"
    file.write_text(text)
    return file


def read(directory: Path, text: str) -> dict[str, str]:
    return read_settings_file(write(directory, text))


def refused(directory: Path, text: str) -> list[Problem]:
    """The problems of a file, in whichever step they are found."""
    try:
        load({}, env_file=read(directory, text))
    except ConfigurationError as error:
        return error.problems
    return []


VALID = """\
backends:
  - endpoint: https://real.openai.azure.com
    key: backend-key-0123456789
clients:
  - name: team-a
    key: client-key-0123456789
"""


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("redis: {host: a, port: 6380}", {"REDIS_HOST": "a", "REDIS_PORT": "6380"}),
        ("redis: {tls: yes}", {"REDIS_TLS": "yes"}),
        ("gateway: {log_mode: }", {"GATEWAY_LOG_MODE": ""}),
        ("backends: [{weight: 0x10}]", {"AZURE_OPENAI_WEIGHT_0": "0x10"}),
        ("backends: [{deployments: [a, b=c]}]", {"AZURE_OPENAI_DEPLOYMENTS_0": "a,b=c"}),
        ("backends: [{deployments: {a: b, c: }}]", {"AZURE_OPENAI_DEPLOYMENTS_0": "a=b,c"}),
        ("backends: [{tokens_per_minute: {a: 5}}]", {"AZURE_OPENAI_TOKENS_PER_MINUTE_0": "a=5"}),
        ("gateway: {deployment_fallbacks: {a: [b, c]}}", {"DEPLOYMENT_FALLBACKS": "a=b|c"}),
        ("backends: [{name: a}, {name: b}]", {"AZURE_OPENAI_NAME_0": "a", "AZURE_OPENAI_NAME_1": "b"}),
        ("clients:\n- lane: low\n", {"GATEWAY_CLIENT_LANE_0": "low"}),
        ('prompt_guard: {deny_patterns: ["a{1,3}", b]}', {"PROMPT_DENY_PATTERNS": '["a{1,3}", "b"]'}),
        ("telemetry: {model_pricing: {m: {prompt: 2}}}", {"MODEL_PRICING": '{"m": {"prompt": 2.0}}'}),
        ("redis:\n  password: >-\n    a\n    b\n", {"REDIS_PASSWORD": "a b"}),
        ("redis:\nclients: []\n", {}),
        ("", {}),
    ],
)
def test_a_value_becomes_the_text_of_its_variable(
    text: str, variables: dict[str, str], tmp_path: Path
) -> None:
    assert read(tmp_path, text) == variables


@pytest.mark.parametrize("extension", [".yaml", ".yml", ".YAML"])
def test_the_name_of_the_file_tells_its_format(extension: str, tmp_path: Path) -> None:
    file = tmp_path / f"x{extension}"
    file.write_text("redis: {host: a}")
    assert read_settings_file(file) == {"REDIS_HOST": "a"}


def test_any_other_file_is_an_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_HOST=a")
    assert read_settings_file(tmp_path / ".env") == {"REDIS_HOST": "a"}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = read(tmp_path, VALID + "redis: {host: of-the-file, port: 1}\n")
    loaded = load({"REDIS_HOST": "of-the-environment"}, env_file=file)
    assert (loaded.settings.redis.host, loaded.settings.redis.port) == ("of-the-environment", 1)


def test_each_text_knows_its_path_and_line(tmp_path: Path) -> None:
    texts = read(tmp_path, VALID)
    origin = str(origin_of(texts["GATEWAY_CLIENT_KEY_0"]))
    assert origin == f"clients[0].key in {tmp_path}/gateway.yaml, line 6"


def test_an_error_names_variable_path_and_line(tmp_path: Path) -> None:
    (found,) = refused(tmp_path, VALID + "redis:\n  port: many\n")
    assert str(found).startswith(f"REDIS_PORT (redis.port in {tmp_path}/gateway.yaml, line 8) is not a whole")


def test_a_missing_value_is_sought_where_its_item_begins(tmp_path: Path) -> None:
    (found,) = refused(tmp_path, VALID + "  - lane: low\n    key: another-key-0123456789\n")
    assert (found.setting, found.origin) == (
        "GATEWAY_CLIENT_NAME_1",
        f"clients[1].name in {tmp_path}/gateway.yaml, line 7",
    )


@pytest.mark.parametrize(
    ("text", "setting", "meant"),
    [
        ("redis: {hots: a}", "redis.hots", "redis.host"),
        ("gatway: {log_mode: prod}", "gatway", "gateway"),
        ("backends: [{wieght: 1}]", "backends[0].wieght", "backends[0].weight"),
        (
            "backends: [{tokens-per-minute: 1}]",
            "backends[0].tokens-per-minute",
            "backends[0].tokens_per_minute",
        ),
        ("REDIS_HOST: a", "REDIS_HOST", "redis.host"),
        ("AZURE_OPENAI_KEY_0: a", "AZURE_OPENAI_KEY_0", "backends[0].key"),
        ("log_mode: prod", "log_mode", "gateway.log_mode"),
        ("gateway: {algorithm: latency}", "gateway.algorithm", "balancing.algorithm"),
        ("ENABLE_IP_ALLOWLIST: true", "ENABLE_IP_ALLOWLIST", "ip_restriction.enabled"),
        ("nonsense: 1", "nonsense", None),
    ],
)
def test_an_unknown_name_is_answered_with_the_path_that_was_meant(
    text: str, setting: str, meant: str | None, tmp_path: Path
) -> None:
    found = {problem.setting: problem for problem in refused(tmp_path, text)}[setting]
    expected = f"Did you mean {meant}?" if meant else "Remove it, or look its name up in the reference"
    assert (found.remedy, found.origin) == (expected, f"{tmp_path}/gateway.yaml, line 1")


@pytest.mark.parametrize(
    ("text", "setting", "what"),
    [
        ("backends: {0: {key: a}}", "backends", "is not a list"),
        ("backends: [{}]", "backends[0]", "has no settings"),
        ("backends: [~]", "backends[0]", "has no settings"),
        ("backends: [text]", "backends[0]", "is not a mapping"),
        ("redis: [a]", "redis", "is not a mapping"),
        ("redis: {host: [a]}", "REDIS_HOST", "is a list"),
        ("redis: {host: {a: b}}", "REDIS_HOST", "is a mapping"),
        ("redis: {host: my-cache, host: other}", "redis.host", "is there a second time, after line 1"),
        ("redis: {}\nredis: {}", "redis", "is there a second time, after line 1"),
        ("cors: {allow_origins: [[a]]}", "CORS_ALLOW_ORIGINS", "has an item that is itself"),
        ('live_page: {operators: ["a, b"]}', "GATEWAY_LIVE_OPERATORS", "has an item with a comma"),
        ("backends: [{deployments: {a: 'b,c'}}]", "AZURE_OPENAI_DEPLOYMENTS_0", "has an item with a comma"),
        ("telemetry: {model_pricing: {m: 2}}", "MODEL_PRICING", "has an entry that is not a mapping"),
        ("telemetry: {model_pricing: {m: {}, m: {}}}", "MODEL_PRICING", "has an entry twice"),
        ("redis: {[a]: b}", "redis", "has a name that is not a word"),
    ],
)
def test_a_value_of_the_wrong_shape_is_a_problem(text: str, setting: str, what: str, tmp_path: Path) -> None:
    (found,) = refused(tmp_path, text)
    assert (found.setting, what in found.message, "line" in found.origin) == (setting, True, True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("redis:\n  host: *secret-text\n", 2),
        ("redis:\n\thost: secret-text\n", 2),
        ("redis: {host: secret-text\n", 2),
        ("redis: {}\n---\nredis: {host: secret-text}\n", 2),
        ("redis: 'secret-text\n", 2),
    ],
)
def test_what_is_no_yaml_is_a_problem_with_its_line_and_not_its_text(
    text: str, line: int, tmp_path: Path
) -> None:
    (found,) = refused(tmp_path, text)
    assert (found.setting, "secret-text" in str(found)) == (f"{tmp_path}/gateway.yaml, line {line},", False)


def test_an_indenting_tab_is_told_as_one(tmp_path: Path) -> None:
    (found,) = refused(tmp_path, "redis:\n\thost: a\n")
    assert (found.message.split(",")[0], found.remedy) == ("is indented with a tab", "Indent with spaces")


@pytest.mark.parametrize(
    ("text", "line"),
    [("REDIS_HOST=secret-text\n", 1), ("# mine\n\nexport REDIS_HOST=secret-text\n# more\nA=b\n", 3)],
)
def test_an_env_file_with_the_name_of_a_yaml_file_is_told_as_one(
    text: str, line: int, tmp_path: Path
) -> None:
    (found,) = refused(tmp_path, text)
    assert (found.setting, "env file" in found.message) == (f"{tmp_path}/gateway.yaml, line {line},", True)
    assert "does not end in .yaml" in found.remedy


@pytest.mark.parametrize("text", ["just a text", "[a, b]"])
def test_a_file_without_sections_is_a_problem(text: str, tmp_path: Path) -> None:
    (found,) = refused(tmp_path, text)
    assert "has no sections" in found.message


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "a: &a [*a]", "redis: &r {host: *r}", "x: " + "{a: " * 5000],
    ids=["deep", "itself", "of itself", "mappings"],
)
def test_a_file_that_never_ends_is_a_list_of_problems(text: str, tmp_path: Path) -> None:
    assert refused(tmp_path, text)


# --- The same files as from variables ---

GUID = "00000000-0000-0000-0000-00000000000"
# Valid texts of settings that not every text fits, by variable without its number.
FITTING: dict[str, list[str]] = {
    "AZURE_OPENAI_DEPLOYMENTS": ["gpt-4o", "gpt-4o,embeddings=emb-3", "a=b, c"],
    "AZURE_OPENAI_SURFACES": ["openai", "openai,anthropic,inference"],
    "AZURE_OPENAI_TOKENS_PER_MINUTE": ["gpt-4o=1000"],
    "AZURE_OPENAI_WEIGHT": ["1", "7"],
    "AZURE_OPENAI_PRIORITY": ["-5", "10"],
    "AZURE_OPENAI_REGION": ["eastus", "West US: 2 #1"],
    "AZURE_OPENAI_PROVISIONED_USD_PER_HOUR": ["2.50", "1e2"],
    "GATEWAY_CLIENT_DEPLOYMENTS": ["gpt-4o", "gpt-4o, a"],
    "GATEWAY_CLIENT_KEY_SECONDARY": ["second-key-0123456789-'\"{}"],
    "GATEWAY_CLIENT_TOKENS_PER_MINUTE": ["100"],
    "GATEWAY_CLIENT_LANE": ["low", "high"],
    "GATEWAY_CLIENT_GROUP": ["research", "null", "yes", "- a"],
    "GATEWAY_LOG_MODE": ["prod", "test", "dev"],
    "GATEWAY_EXPOSE_BACKEND_HEADERS": ["no", "True", "1"],
    "GATEWAY_TRUSTED_PROXIES": ["10.0.0.0/8", "10.0.0.0/8, 2001:db8::/32"],
    "DEPLOYMENT_FALLBACKS": ["gpt-5=gpt-4o", "gpt-5=gpt-4o|a,x=gpt-4o"],
    "LB_ALG": ["roundrobin", "latency"],
    "COOLDOWN_DEFAULT_SECONDS": ["7"],
    "CORS_ALLOW_ORIGINS": ["*", "https://a.example.org,https://b.example.org"],
    "CORS_MAX_AGE": ["-1", "5"],
    "IP_ALLOWLIST": ["203.0.113.0/24", "203.0.113.0/24,10.0.0.7"],
    "RATE_LIMIT_RATE": ["0.5", "50"],
    "PROMPT_DENY_PATTERNS": ["secret", r"a,\bkey", '["a{1,3}","b"]'],
    "REDIS_HOST": ["redis"],
    "REDIS_PASSWORD": ["p: {a}, #b 'c' \"d\" é", "~", "0123"],
    "REDIS_TLS": ["on"],
    "OTEL_SAMPLE_RATE": ["0.25", "1"],
    "OTEL_SERVICE_NAME": ["gateway", "true"],
    "MODEL_PRICING": ['{"gpt-4o":{"prompt":2.5,"cached":1.25,"completion":10},"a":{"image":0.04}}'],
    "MAX_REQUEST_BODY_MB": ["8"],
    "AI_RATE_LIMIT_REJECT_MESSAGE": ["slow down: please", "off"],
}


def stem_of(variable: str) -> str:
    return re.sub(r"_\d+$", "", variable)


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    """Valid variables of one to three backends and clients, and of anything else."""
    found: dict[str, str] = {}
    for index in range(draw(st.integers(1, 3))):
        found |= {
            f"AZURE_OPENAI_ENDPOINT_{index}": f"https://real-{index}.openai.azure.com",
            f"AZURE_OPENAI_KEY_{index}": f"backend-key-{index}",
        }
    for index in range(draw(st.integers(1, 3))):
        found |= {
            f"GATEWAY_CLIENT_NAME_{index}": f"team {index}",
            f"GATEWAY_CLIENT_KEY_{index}": f"client-key-0123456789-{index}",
        }
    numbered = [name for name in found if name.startswith(("AZURE_OPENAI_ENDPOINT", "GATEWAY_CLIENT_NAME"))]
    indices = {name.rsplit("_", 2)[0]: name.rpartition("_")[2] for name in numbered}
    for stem in draw(st.sets(st.sampled_from(sorted(FITTING)))):
        prefix = next((each for each in indices if stem.startswith(f"{each}_")), None)
        name = f"{stem}_{draw(st.integers(0, int(indices[prefix])))}" if prefix else stem
        found[name] = draw(st.sampled_from(FITTING[stem]))
    return {**GUARDRAILS, "GATEWAY_WORKER_PROCESSES": "2", **found}


def as_yaml(loaded: Loaded, *, native: bool) -> str:
    """The settings that were set, as a user would write them: `native` with lists and mappings of YAML."""
    document: dict[str, Any] = {}
    sections = {group: name for name, group in names.sections().items()}
    for variable, text in loaded.texts.items():
        place = names.place_of(variable)
        assert place is not None
        section = sections[place.group]
        if place.index is None:
            members = document.setdefault(section, {})
            group = getattr(loaded.settings, section)
        else:
            rows = document.setdefault(section, [])
            rows += [{} for _ in range(place.index + 1 - len(rows))]
            members, group = rows[place.index], getattr(loaded.settings, section)[place.index]
        value = getattr(group, place.field)
        is_plain = is_secret(place.group.model_fields[place.field]) or not native
        members[place.field] = str(text) if is_plain else plain(value)
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False)


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(variables=environments(), native=st.booleans())
def test_c1_any_valid_settings_give_the_same_files_from_yaml(
    variables: dict[str, str], native: bool, tmp_path: Path
) -> None:
    try:
        loaded = load(variables)
    except ConfigurationError:
        assume(False)
    file = write(tmp_path, as_yaml(loaded, native=native))
    again = load({}, env_file=read_settings_file(file))
    assert render_files(again.settings) == render_files(loaded.settings)


def test_the_property_covers_both_kinds_of_groups_and_every_shape_of_value() -> None:
    kinds = {names.place_of(f"{stem}_0") or names.place_of(stem) for stem in FITTING}
    assert None not in kinds
    assert {Backend, Client} < {place.group for place in kinds if place}


# --- The example ---

KEYS = {
    "AZURE_OPENAI_KEY_0": "backend-key",
    "GATEWAY_CLIENT_KEY_0": "client-key-0123456789-0",
    "GATEWAY_CLIENT_KEY_SECONDARY_0": "client-key-0123456789-1",
    "GATEWAY_CLIENT_KEY_1": "client-key-0123456789-2",
    "GATEWAY_CLIENT_APP_ID_2": f"{GUID}2",
    "GATEWAY_LIVE_OPERATORS": "my-app",
    "REDIS_PASSWORD": "password",
    "ENTRA_TENANT_ID": f"{GUID}3",
    "ENTRA_AUDIENCE": "api://gateway",
    "ENTRA_ALLOWED_APP_IDS": f"{GUID}4",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=1",
    "AZURE_MONITOR_METRICS_ENDPOINT": "https://metrics.example.org/write",
    "GATEWAY_WORKER_PROCESSES": "2",
}


def whole_examples(directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Both examples with every setting that they leave out."""
    lines = (REPOSITORY / "examples/gateway.env").read_text().splitlines()
    (directory / "x.env").write_text("\n".join(re.sub(r"^#(?=[A-Z_0-9]+=)", "", line) for line in lines))
    text = (REPOSITORY / "examples/gateway.yaml").read_text()
    shown = re.sub(r"^( *)#(?=(?:  )*(?:- )?[a-z_]+:)", r"\1", text, flags=re.MULTILINE)
    return read_env_file(directory / "x.env"), read(directory, shown)


def test_the_example_has_every_setting_of_the_example_in_variables(tmp_path: Path) -> None:
    of_variables, of_yaml = whole_examples(tmp_path)
    assert (len(of_variables) > 40, list(of_yaml)) == (True, list(of_variables))


def test_the_example_gives_the_same_files_as_the_example_in_variables(tmp_path: Path) -> None:
    of_variables, of_yaml = (load(KEYS, env_file=example) for example in whole_examples(tmp_path))
    assert render_files(of_yaml.settings) == render_files(of_variables.settings)


def test_the_example_as_it_stands_lacks_only_its_keys() -> None:
    file = read_settings_file(REPOSITORY / "examples/gateway.yaml")
    keys = {name: KEYS[name] for name in ("AZURE_OPENAI_KEY_0", "GATEWAY_CLIENT_KEY_0")}
    assert len(load(keys, env_file=file).settings.backends) == 2


def test_a_small_file_gives_the_files_of_its_variables(tmp_path: Path) -> None:
    from_yaml = load({"GATEWAY_WORKER_PROCESSES": "2"}, env_file=read(tmp_path, VALID))
    variables = env(AZURE_OPENAI_ENDPOINT_0="https://real.openai.azure.com")
    assert render_files(from_yaml.settings) == render_files(load(variables).settings)
