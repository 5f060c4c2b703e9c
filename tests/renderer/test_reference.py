"""The reference page names every setting."""

from __future__ import annotations

from renderer import names
from renderer.model import Settings
from renderer.model.group import extra_of, is_secret
from renderer.reference import reference_page


def test_every_variable_is_on_the_page() -> None:
    page = reference_page()
    for name in names.scalar_names():
        assert f"| `{name}` |" in page
    for group in names.NUMBERED_GROUPS:
        for field in group.model_fields:
            assert f"| `{names.variable(group, field)}` |" in page


def test_every_setting_says_what_it_means_and_every_duration_its_unit() -> None:
    for group in (*names.NUMBERED_GROUPS, *names.scalar_groups().values()):
        for field, info in group.model_fields.items():
            assert info.description, field
            if field.endswith(("_seconds", "_ms")):
                assert extra_of(info)["unit"] in ("s", "ms"), field


def test_no_two_settings_share_a_variable() -> None:
    groups = names.scalar_groups().values()
    variables = [extra_of(info)["env"] for group in groups for info in group.model_fields.values()]
    assert len(variables) == len(set(variables))


def test_no_default_of_a_secret_is_on_the_page() -> None:
    for group in (*names.NUMBERED_GROUPS, *names.scalar_groups().values()):
        secrets = [info for info in group.model_fields.values() if is_secret(info)]
        assert all(info.default is None or info.is_required() for info in secrets)
    assert Settings.model_fields
