"""Writing the files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from renderer.masking import masked_diff
from renderer.output import write_all_changed, write_changed


def test_a_new_file_is_for_owner_and_group_only(tmp_path: Path) -> None:
    assert write_changed(tmp_path, "a.yaml", "x: 1\n")
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o640


def test_a_file_that_says_the_same_is_not_touched(tmp_path: Path) -> None:
    write_changed(tmp_path, "a.yaml", "x: 1\n")
    os.utime(tmp_path / "a.yaml", (1, 1))
    before = (tmp_path / "a.yaml").stat()
    assert not write_changed(tmp_path, "a.yaml", "x: 1\n")
    after = (tmp_path / "a.yaml").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_the_mode_is_put_right_even_when_the_text_is(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\n")
    (tmp_path / "a.yaml").chmod(0o666)
    write_changed(tmp_path, "a.yaml", "x: 1\n")
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o640


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path: Path) -> None:
    write_changed(tmp_path, "a.yaml", "old\n")
    with (tmp_path / "a.yaml").open() as reader:
        write_changed(tmp_path, "a.yaml", "new\n")
        assert reader.read() == "old\n"
    assert (tmp_path / "a.yaml").read_text() == "new\n"


def test_two_changes_within_a_second_differ_in_the_second_that_apisix_looks_at(tmp_path: Path) -> None:
    seconds = []
    for text in ("1\n", "2\n", "3\n"):
        write_changed(tmp_path, "a.yaml", text)
        seconds.append((tmp_path / "a.yaml").stat().st_mtime_ns // 1_000_000_000)
    assert len(set(seconds)) == 3


def test_a_failure_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_changed(tmp_path, "a.yaml", "old\n")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_changed(tmp_path, "a.yaml", "secret\n")
    assert [each.name for each in tmp_path.iterdir()] == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_text() == "old\n"


def test_a_disk_that_fills_up_at_the_last_file_changes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all_changed(tmp_path, {"a.yaml": "old\n", "b.yaml": "old\n"})
    synced: list[int] = []

    def full_at_the_second(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_at_the_second)
    with pytest.raises(OSError, match="No space"):
        write_all_changed(tmp_path, {"a.yaml": "new\n", "b.yaml": "new\n"})
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "a.yaml": "old\n",
        "b.yaml": "old\n",
    }


def test_a_symbolic_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs\n")
    (tmp_path / "a.yaml").symlink_to(tmp_path / "elsewhere")
    write_changed(tmp_path, "a.yaml", "ours\n")
    assert ((tmp_path / "a.yaml").is_symlink(), (tmp_path / "elsewhere").read_text()) == (False, "theirs\n")


OLD = """
plugin_metadata:
  - id: azure-openai-gateway
    backends: [{name: eastus, key: old-secret}, {name: westus, key: same-secret}]
    balancer: {algorithm: chash, key: x-session-id}
    redis: {host: redis, password: old-password, tls: true}
  - id: azure-openai-auth
    clients: [{name: team-a, key_sha256: [aaaa]}]
endpoint: "InstrumentationKey=old-insights;IngestionEndpoint=https://x"
"""


def test_a_diff_shows_that_a_secret_changed_and_not_what_it_is() -> None:
    diff = masked_diff("apisix.yaml", OLD, OLD.replace("old-", "new-").replace("aaaa", "bbbb"))
    lines = [line.strip(" +-") for line in diff.splitlines() if line[:1] in "+-"]
    assert sum(line.startswith("key: <secret ") for line in lines) == 2
    assert sum(line.startswith("password: <secret ") for line in lines) == 2
    assert sum("InstrumentationKey=<secret " in line for line in lines) == 2
    for secret in ("old-", "new-", "aaaa", "bbbb", "same-secret"):
        assert secret not in diff


def test_a_diff_shows_what_is_no_secret() -> None:
    diff = masked_diff(
        "apisix.yaml", OLD, OLD.replace("x-session-id", "x-user").replace("host: redis", "host: r2")
    )
    assert "key: x-user" in diff
    assert "host: r2" in diff


def test_a_diff_of_equal_meaning_is_empty() -> None:
    assert masked_diff("a", "a: 1\n", "# comment\na:   1\n") == ""


def test_stand_ins_for_secrets_cannot_be_compared_between_runs() -> None:
    assert masked_diff("a", None, "key: secret\n") != masked_diff("a", None, "key: secret\n")


@pytest.mark.parametrize("unreadable", ["key: [secret", "key: &secret [*secret]", "secret: [[" + "[" * 5000])
def test_nothing_of_an_unreadable_file_is_shown(unreadable: str) -> None:
    diff = masked_diff("a", unreadable, "a: 1\n")
    assert ("secret" in diff, "-<not valid YAML>" in diff) == (False, True)


@pytest.mark.parametrize("secret", ["a", "key", "true", "eastus", "127.0.0.1"])
def test_a_secret_that_is_short_or_part_of_something_else_is_masked_where_it_stands(secret: str) -> None:
    text = f"backends: [{{name: eastus, endpoint: 'http://127.0.0.1', key: '{secret}'}}]\n"
    (line,) = [line for line in masked_diff("a", None, text).splitlines() if " key: " in line]
    assert re.fullmatch(r"\+ +key: <secret [0-9a-f]{8}>", line)
