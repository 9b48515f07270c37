"""Secrets come from files, commands and the environment, and are never shown."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.credentials.login import find_login, read_secret, run_for_secret
from campaign.errors import ConfigError


def secret(folder: Path, text: str, name: str = "secret", mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


async def password(folder: Path, environment: dict[str, str] | None = None, position: int = 1, **keys: object) -> str:
    settings = DeliverySection.model_validate({"relay": "smtps://u@smtp.example.com", **keys})
    login = await find_login("u", "smtp.example.com", position, settings, folder, environment or {})
    assert "geheim" not in repr(login)
    return await login.fetch()


async def test_a_password_comes_from_where_it_lies(tmp_path: Path) -> None:
    secret(tmp_path, "geheim\nsecond line\n")
    secret(tmp_path, "geheim2", "relay-password")
    print_it = f"'{sys.executable}' -c \"print('geheim3')\""
    assert await password(tmp_path, password_file="secret") == "geheim"
    assert await password(tmp_path, password_command=print_it) == "geheim3"
    assert await password(tmp_path, {"CAMPAIGN_RELAY_PASSWORD": "geheim4"}) == "geheim4"
    assert (
        await password(tmp_path, {"CAMPAIGN_RELAY_PASSWORD": " geheim4\n"}) == " geheim4"
    )  # a file of a cluster's secret
    assert await password(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "geheim2"
    assert (
        await password(tmp_path, password_files={"smtp.example.com": "relay-password"}, password_file="x") == "geheim2"
    )
    both = {"CAMPAIGN_RELAY_PASSWORD": "geheim4", "CAMPAIGN_RELAY_PASSWORD_2": "geheim5"}
    assert [await password(tmp_path, both, position) for position in (1, 2)] == ["geheim4", "geheim5"]


async def test_no_password_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CAMPAIGN_RELAY_PASSWORD"):
        await password(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret(secret(tmp_path, "geheim", mode=mode))


@pytest.mark.parametrize("content", ["", "\n", "a\0b\n"])
def test_a_file_without_a_usable_secret_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError):
        read_secret(secret(tmp_path, content))


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(ConfigError):
            read_secret(path)


def test_a_file_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)No such file.*Next: put the password there"):
        read_secret(tmp_path / "missing")


@pytest.mark.parametrize("key", ["password", "token"])
async def test_a_missing_file_is_called_by_what_it_should_hold(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"The {key} file .*missing cannot be read"):
        await password(tmp_path, **{f"{key}_file": "missing"})


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = secret(tmp_path, "x")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_secret(path)


@pytest.mark.parametrize("script", ["print('geheim'); raise SystemExit(3)", "pass"])
async def test_a_failing_command_does_not_show_what_it_printed(tmp_path: Path, script: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await run_for_secret(f'"{sys.executable}" -c "{script}"', tmp_path)
    assert "geheim" not in str(caught.value)


async def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await run_for_secret("no-such-program-here; echo geheim", tmp_path)
    assert await run_for_secret("echo $HOME", tmp_path) == "$HOME"


async def test_a_command_sees_no_secret_of_ours_and_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "CAMPAIGN_SECRET": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "LD_PRELOAD": "",
        "VAULT_ADDR": "c",
        "GNUPGHOME": "d",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PASSWORD_STORE_DIR", "e")
    script = "import os; print(*sorted(os.environ.keys() - {'LC_CTYPE'}))"
    show = f'"{sys.executable}" -c "{script}"'
    seen = (await password(tmp_path, password_command=show)).split()
    assert {"GNUPGHOME", "HOME", "PASSWORD_STORE_DIR", "PATH"} <= set(seen)
    assert not {"CAMPAIGN_SECRET", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "VAULT_ADDR"} & set(seen)
    more = (await password(tmp_path, password_command=show, command_environment=["VAULT_ADDR", "NOT_SET"])).split()
    assert set(more) == {*seen, "VAULT_ADDR"}
    settings = DeliverySection(relay="smtps://u@x.example", token_command=show, command_environment=["VAULT_ADDR"])
    assert set((await (await find_login("u", "x", 1, settings, tmp_path, {})).fetch()).split()) == set(more)


@pytest.mark.parametrize("name", ["CAMPAIGN_SECRET", "CAMPAIGN__DELIVERY__RATE", "A=B", ""])
def test_no_variable_of_our_own_is_given_to_a_command_whatever_is_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="command_environment"):
        DeliverySection.model_validate({"relay": "smtps://u@smtp.example.com", "command_environment": [name]})


async def test_connections_that_log_in_at_once_run_the_command_for_a_token_once(tmp_path: Path) -> None:
    (tmp_path / "token.sh").write_text("echo run >> runs; echo t0ken\n", encoding="utf-8")
    settings = DeliverySection.model_validate({"relay": "smtps://u@smtp.example.com", "token_command": "sh token.sh"})
    login = await find_login("u", "smtp.example.com", 1, settings, tmp_path, {})
    assert await asyncio.gather(*(login.fetch() for _ in range(4))) == ["t0ken"] * 4
    assert (tmp_path / "runs").read_text(encoding="utf-8").split() == ["run"]


async def test_a_token_takes_the_place_of_a_password(tmp_path: Path) -> None:
    secret(tmp_path, "t0ken", "token")
    settings = DeliverySection.model_validate({"relay": "smtps://u@smtp.example.com", "token_file": "token"})
    login = await find_login("u", "smtp.example.com", 1, settings, tmp_path, {})
    assert (login.kind, await login.fetch()) == ("token", "t0ken")
