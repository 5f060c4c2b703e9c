"""tfvars are read exactly as Terraform reads them, and never written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderer.warning_rules.placeholders import is_mark
from scripts.deploy.declarations import (
    backend_type,
    missing_names,
    read_declarations,
    shape_of,
    undeclared,
    unknown_attributes,
    unknown_names,
)
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.example import example_of
from scripts.deploy.layout import REPOSITORY, STACKS
from scripts.deploy.tfvars import is_placeholder, lines_of, read_tfvars, texts

STACKS_DIRECTORY = REPOSITORY / "infra" / "terraform" / "stacks"

TRICKY = r"""
# a comment with "quotes" and a } brace
plain      = "text"
number     = 42
fraction   = 1.5
negative   = -3
yes        = true
nothing    = null
list       = ["a", "b", 1]
empty_map  = {}
/* block
   comment */
map = {
  KEY_0            = "with # hash"   # comment
  "dashed-key"     = "a = b"
  URL              = "https://example.com/a?b=c&d={e}"
  ESCAPES          = "tab\tnewline\nquote\"backslash\\ end"
  UNICODE          = "\u00e9\U0001F600 ü"
  DOLLARS          = "$ $$ 100% $${literal} %%{literal}"
  TRAILING         = "backslash\\"
  A = "1", B = "2"
}
heredoc = <<EOT
first "line"
  second \n not an escape
EOT
indented = <<-EOT
    four
      six
    EOT
"""


def test_values_are_those_that_terraform_reads(tmp_path: Path, terraform_binary: str) -> None:
    path = tmp_path / "sample.tfvars"
    path.write_text(TRICKY)
    mine = read_tfvars(path)
    declared = "".join(f'variable "{name}" {{\n  type = any\n}}\n' for name in mine)
    (tmp_path / "main.tf").write_text(declared)
    everything = "{" + ", ".join(f"{name} = var.{name}" for name in mine) + "}"
    result = subprocess.run(
        [terraform_binary, "console", f"-var-file={path}"],
        cwd=tmp_path,
        input=f"jsonencode({everything})\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert mine == json.loads(json.loads(result.stdout))


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40))
def test_any_text_survives_quoting(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("tfvars") / "x.tfvars"
    quoted = json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    path.write_text(f"value = {quoted}\n", encoding="utf-8")
    assert read_tfvars(path)["value"] == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('a = "unclosed\n', "not valid tfvars"),
        ("a = var.other\n", "a is an expression"),
        ('a = "${var.other}"\n', "Terraform would try to evaluate"),
        ('a = { B = "${file("x")}" }\n', "Terraform would try to evaluate"),
    ],
)
def test_what_is_no_plain_value_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "x.tfvars"
    path.write_text(text)
    with pytest.raises(InvalidSettingsError, match=complaint):
        read_tfvars(path)


def test_a_syntax_error_never_quotes_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "x.tfvars"
    path.write_text('secrets = {\n  KEY = "canary-3f9a" oops\n}\n')
    with pytest.raises(InvalidSettingsError) as caught:
        read_tfvars(path)
    assert "canary" not in str(caught.value)


def test_a_syntax_error_has_no_cause_that_could_print_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "x.tfvars"
    path.write_text('KEY = "canary-3f9a" oops\n')
    with pytest.raises(InvalidSettingsError) as caught:
        read_tfvars(path)
    assert caught.value.__suppress_context__


def test_unknown_names_come_with_a_suggestion() -> None:
    assert unknown_names(["loction"], ["location", "tags"]) == [
        "loction is not a setting of this stack. Did you mean location?"
    ]


def test_an_unknown_attribute_at_any_depth_comes_with_a_suggestion() -> None:
    accounts = {"sweden": {"priorty": 10, "deployments": {"gpt-4o": {"model": "gpt-4o", "capasity": 5}}}}
    declared = read_declarations(STACKS_DIRECTORY / STACKS["foundry"].directory)
    assert unknown_attributes({"accounts": accounts, "tags": {"any": "thing"}}, declared) == [
        "accounts.sweden.priorty is not a setting of this stack. Did you mean priority?",
        "accounts.sweden.deployments.gpt-4o.capasity is not a setting of this stack. Did you mean capacity?",
    ]


@pytest.mark.parametrize(
    ("constraint", "value", "wrong"),
    [
        ("object({ a = optional(string) })", {"a": "1", "b": "2"}, ["v.b"]),
        ("list(object({ a = string }))", [{"a": "1"}, {"c": "2"}], ["v[1].c"]),
        ("set(object({ a = optional(object({ b = bool }), {}) }))", [{"a": {"d": True}}], ["v[0].a.d"]),
        ("map(string)", {"anything": "1"}, []),
        ("any", {"anything": {"at": "all"}}, []),
        ("object({ a = string })", "not an object", []),  # what Terraform itself refuses
    ],
)
def test_attributes_are_looked_for_where_the_type_has_objects(
    constraint: str, value: object, wrong: list[str]
) -> None:
    found = undeclared("v", value, shape_of(constraint))
    assert [f"{place}.{name}" for place, name, _ in found] == wrong


def test_all_missing_names_are_listed_at_once() -> None:
    assert missing_names(["a", "b", "c"], ["a"], []) == ["b is missing.", "c is missing."]


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ('name = "a"\nname = "b"\n', ["name is given twice."]),
        ('secrets = {\n KEY_0 = "a"\n "KEY_0" = "b"\n}\n', ["secrets.KEY_0 is given twice."]),
        ("a = { b = { c = 1, c = 2 } }\n", ["a.b.c is given twice."]),
        ("a = [{ b = 1, b = 2 }]\n", ["a.b is given twice."]),
        ("x = 1\nx = 2\ny = { z = 1, z = 2 }\n", ["x is given twice.", "y.z is given twice."]),
    ],
)
def test_what_is_given_twice_is_refused(tmp_path: Path, text: str, complaints: list[str]) -> None:
    path = tmp_path / "x.tfvars"
    path.write_text(text)
    with pytest.raises(InvalidSettingsError) as caught:
        read_tfvars(path)
    assert caught.value.details == complaints


def test_the_same_name_in_two_maps_is_not_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.tfvars"
    path.write_text("a = { k = 1 }\nb = { k = 1, c = { k = 1 } }\nd = [{ k = 1 }, { k = 2 }]\n")
    assert set(read_tfvars(path)) == {"a", "b", "d"}


def test_a_file_of_another_editor_is_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.tfvars"
    path.write_bytes(b'\xef\xbb\xbfname = "aigw"\r\nmap = {\r\n  A = "1"\r\n}\r\n')
    assert read_tfvars(path) == {"name": "aigw", "map": {"A": "1"}}


@pytest.mark.parametrize(
    "value", ["<your key>", "change-me", "CHANGEME", "...", "…", "xxx", "your-key", "", "  "]
)
def test_placeholders_are_recognised(value: str) -> None:
    assert is_placeholder(value)
    assert not value.strip() or is_mark(value)  # the renderer warns of the same texts


@pytest.mark.parametrize("value", ["a9f3", "sk-<not>", "example-key-1234567890", "<", "changed-me-already"])
def test_real_values_are_no_placeholders(value: str) -> None:
    assert not is_placeholder(value)


def test_each_setting_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tfvars"
    path.write_text('name = "aigw"\n# mine\nsecrets = {\n  "A" = "1" # a\n\n  B = <<EOT\nx\nEOT\n}\n')
    assert lines_of(path) == {"name": 1, "secrets": 3, "secrets.A": 4, "secrets.B": 6}


@pytest.mark.parametrize("text", ["name = \n", None])
def test_a_file_that_cannot_be_read_has_no_lines(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "x.tfvars"
    if text is not None:
        path.write_text(text)
    assert lines_of(path) == {}


def test_booleans_and_numbers_in_a_map_become_what_the_gateway_reads() -> None:
    given = {"A": True, "B": 3, "C": "x", "D": None}
    assert texts("app_settings", given) == ({"A": "true", "B": "3", "C": "x"}, [])


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_every_setting_that_is_the_users_is_in_the_example(stack) -> None:  # type: ignore[no-untyped-def]
    directory = STACKS_DIRECTORY / stack.directory
    text = example_of("prod", None)
    internal = {
        *("gateway_image", "renderer_image", "simulator_image", "secret_versions", "e2e_secret_versions"),
        *("environment", "deploy_e2e", "collector_image", "redis_image", "private_dns_zone_id"),
        *(
            "container_app_environment_id",
            "environment_default_domain",
            "key_vault_uri",
            "gateway_identity_id",
            "gateway_identity_client_id",
        ),
        *("registry_login_server", "metrics_remote_write_url", "action_group_id"),
        *("gateway_identity_principal_id", "endpoints_subnet_id"),
        *("log_analytics_workspace_id", "metrics_data_collection_rule_id", "application_insights_id"),
        "virtual_network_id",
    }
    missing = {name for name in read_declarations(directory).all - internal if name not in text}
    assert missing == set()


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_every_stack_keeps_its_state_in_azure(stack) -> None:  # type: ignore[no-untyped-def]
    assert backend_type(STACKS_DIRECTORY / stack.directory) == "azurerm"
