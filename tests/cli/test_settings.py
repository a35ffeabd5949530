"""Flag, then environment, then file; and keys that stay where they belong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from eth_account import Account

from gradmint.cli import main
from gradmint.cli.settings import load_account, read_settings, rpc_option, run_option, seal_key
from gradmint.spec.errors import SettingsError


@click.group()
def group() -> None:
    pass


@group.command()
@rpc_option
@run_option
def show(rpc: str, run_: int) -> None:
    click.echo(f"{rpc} {run_}")


def said(arguments: list[str], settings: Path, **environment: str) -> str:
    done = CliRunner().invoke(group, ["show", *arguments], env=environment, default_map=read_settings(group, settings))
    assert done.exit_code == 0, done.output
    return done.output.strip()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "gradmint.toml"
    path.write_text('rpc = "http://file"\nrun = 3\n')
    return path


def test_the_file_is_below_environment_and_flag(settings: Path) -> None:
    assert said([], settings) == "http://file 3"
    assert said([], settings, GRADMINT_RPC="http://env", GRADMINT_RUN="4") == "http://env 4"
    assert said(["--rpc", "http://flag", "--run", "5"], settings, GRADMINT_RPC="http://env") == "http://flag 5"


def test_a_commands_own_table_is_above_the_common_keys(settings: Path) -> None:
    settings.write_text("run = 3\n[show]\nrun = 9\n")
    assert said([], settings) == "http://127.0.0.1:8545 9"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('rcp = "x"', "rcp"),
        ("[shwo]\nrun = 1", "shwo"),
        ("[show]\nruns = 1", "runs"),
        ("run = ", "gradmint.toml"),
        ("#" * 70_000, "70000"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(settings: Path, text: str, says: str) -> None:
    settings.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_settings(group, settings)


def test_every_commands_options_can_be_set_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gradmint.toml"
    path.write_text('store = "s"\n[run.open]\nbudget = 5\n[trainer]\nhome = "h"\n[audit]\njson = true\n')
    defaults = read_settings(main, path)  # type: ignore[arg-type]
    assert defaults["run"]["open"] == {"store": "s", "budget": 5}
    assert defaults["trainer"] == {"store": "s", "home": "h"}
    assert defaults["audit"] == {"store": "s", "as_json": True}


def commands(node: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(node, click.Group):
        return [leaf for name, child in node.commands.items() for leaf in commands(child, (*path, name))]
    return [path]


@pytest.mark.parametrize("path", commands(main), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 5
    assert "key" not in [word.strip("-") for word in done.output.split() if word.startswith("--")]


def test_a_keystore_opens_with_its_password_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account, path = Account.create(), tmp_path / "key.json"
    seal_key(account, path, "right", rounds=1024)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert account.key.hex() not in path.read_text()
    monkeypatch.setenv("GRADMINT_PASSWORD", "right")
    assert load_account(path).address == account.address
    monkeypatch.setenv("GRADMINT_PASSWORD", "wrong")
    with pytest.raises(SettingsError, match="password"):
        load_account(path)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    seal_key(Account.create(), path, "x", rounds=1024)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="never overwritten"):
        seal_key(Account.create(), path, "x", rounds=1024)
    assert path.read_bytes() == before


def test_a_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account.create()
    monkeypatch.setenv("GRADMINT_PRIVATE_KEY", account.key.hex())
    assert load_account(None).address == account.address
    monkeypatch.setenv("GRADMINT_PRIVATE_KEY", "0x1234not-a-key")
    with pytest.raises(SettingsError) as refused:
        load_account(None)
    assert "1234not" not in str(refused.value)
    monkeypatch.delenv("GRADMINT_PRIVATE_KEY")
    with pytest.raises(SettingsError, match="gradmint key new"):
        load_account(None)


def test_only_honest_trainers_plant(tmp_path: Path) -> None:
    """Refused before anything is connected to."""
    files = ("--home", str(tmp_path), "--deployment", str(tmp_path / "none.json"), "--store", str(tmp_path))
    refused = CliRunner().invoke(main, ["trainer", *files, "--strategy", "mute", "--plant", "0.5"])
    assert refused.exit_code != 0 and "--plant is for honest trainers" in refused.output
    beyond = CliRunner().invoke(main, ["trainer", *files, "--plant", "1.5"])
    assert beyond.exit_code == 2 and "0<=x<=1" in beyond.output
