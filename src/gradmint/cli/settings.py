"""Where settings come from: flag, then environment, then ``gradmint.toml``. Keys never come from a flag."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from eth_account import Account
from eth_account.signers.local import LocalAccount

from ..spec.errors import SettingsError

SETTINGS_FILE = "gradmint.toml"
PRIVATE_KEY = "GRADMINT_PRIVATE_KEY"
PASSWORD = "GRADMINT_PASSWORD"
TASK_PATH = "GRADMINT_TASK_PATH"
MAX_SETTINGS_BYTES = 64 * 1024

F = TypeVar("F", bound=Callable[..., Any])


def read_settings(group: click.Group, path: Path) -> dict[str, Any]:
    """``gradmint.toml`` as click's default map: top-level keys hold for every command, [trainer] for that one alone.

    Keys are the long options without their dashes. Raises SettingsError for one that no command knows.
    """
    if not path.exists():
        return {}
    if path.stat().st_size > MAX_SETTINGS_BYTES:
        raise SettingsError(f"{path} has {path.stat().st_size} bytes, at most {MAX_SETTINGS_BYTES} are read")
    try:
        found = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    common = {key: value for key, value in found.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in found.items() if isinstance(value, dict)}
    used: set[str] = set()
    defaults = _defaults(group, common, tables, used, path)
    if unknown := sorted(common.keys() - used):
        raise SettingsError(f"{path}: no command has a setting {', '.join(unknown)}; see 'gradmint --help'")
    return defaults


def _defaults(
    group: click.Group, common: dict[str, Any], tables: dict[str, Any], used: set[str], path: Path
) -> dict[str, Any]:
    """The default map of a group; notes in ``used`` which common keys some command takes."""
    if strange := sorted(tables.keys() - group.commands.keys()):
        raise SettingsError(f"{path}: [{strange[0]}] is no command; there are {', '.join(sorted(group.commands))}")
    defaults: dict[str, Any] = {}
    for name, command in group.commands.items():
        own = tables.get(name, {})
        if isinstance(command, click.Group):
            defaults[name] = _defaults(command, common, own, used, path)
            continue
        names = {
            option.removeprefix("--"): parameter.name
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--")
        }
        if strange := sorted(own.keys() - names.keys()):
            raise SettingsError(f"{path}: [{name}] has no setting {strange[0]}; see 'gradmint {name} --help'")
        used |= names.keys() & common.keys()
        defaults[name] = {names[key]: value for key, value in {**common, **own}.items() if key in names}
    return defaults


def rpc_option(command: F) -> F:
    return click.option(
        "--rpc", envvar="GRADMINT_RPC", default="http://127.0.0.1:8545", show_default=True, help="The node's URL."
    )(command)


def codec_option(command: F) -> F:
    return click.option(
        "--codec",
        metavar="KIND",
        help="How updates are compressed, where not as the task does: topk, sign, int8, bfloat16, clustered, seeded or "
        "private.",
    )(command)


def deployment_option(command: F) -> F:
    return click.option(
        "--deployment",
        envvar="GRADMINT_DEPLOYMENT",
        type=click.Path(path_type=Path),
        default=Path("deployment.json"),
        show_default=True,
        help="Addresses of the contracts, as written by 'gradmint deploy'.",
    )(command)


def store_option(command: F) -> F:
    return click.option(
        "--store",
        envvar="GRADMINT_STORE",
        default="blobs",
        show_default=True,
        help="A folder, or the address of a Kubo RPC such as /ip4/127.0.0.1/tcp/5001.",
    )(command)


def run_option(command: F) -> F:
    return click.option(
        "--run",
        "run_",
        envvar="GRADMINT_RUN",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="The run.",
    )(command)


def keystore_option(command: F) -> F:
    return click.option(
        "--keystore",
        envvar="GRADMINT_KEYSTORE",
        type=click.Path(path_type=Path),
        help=f"Encrypted key file; its password in ${PASSWORD}, or asked for. Without: a key in ${PRIVATE_KEY}.",
    )(command)


def home_option(command: F) -> F:
    return click.option(
        "--home",
        envvar="GRADMINT_HOME",
        type=click.Path(path_type=Path),
        default=Path(".gradmint"),
        show_default=True,
        help="Journal and cached model, one folder per participant. Keep it: it holds what is not revealed yet.",
    )(command)


def task_option(command: F) -> F:
    """--task for whoever joins or checks a run, and --task-path."""
    return click.option(
        "--task",
        envvar="GRADMINT_TASK",
        help="For a run on somebody's own task: package.module:factory, once you have read that code.",
    )(task_path_option(command))


def task_path_option(command: F) -> F:
    """Passed on in the environment: tasks are made wherever a model is needed, also by the processes of a demo."""
    return click.option(
        "--task-path",
        envvar=TASK_PATH,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        expose_value=False,
        callback=_note_task_path,
        help="For the task 'folder': where text and model lie on this machine (docs/writing-a-task.md).",
    )(command)


def _note_task_path(_: click.Context, __: click.Parameter, path: Path | None) -> None:
    if path is not None:
        os.environ[TASK_PATH] = str(path.resolve())


def numerics_option(command: F) -> F:
    return click.option(
        "--numerics",
        envvar="GRADMINT_NUMERICS",
        default="float32",
        show_default=True,
        help="How this machine computes, such as bfloat16/micro=16/kernel=math/threads=2; the run says what it admits.",
    )(command)


def max_price_option(command: F) -> F:
    return click.option(
        "--max-price",
        type=click.IntRange(min=0),
        help="Most to burn for a seat, in wei; by default a quarter more than it costs now.",
    )(command)


def bonds_option(command: F) -> F:
    return click.option(
        "--bonds",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="In a proposing run: deposit up to so many proposal bonds as they are needed; 0 uses what 'gradmint bond' "
        "put there.",
    )(command)


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")(command)


def address_of(text: str) -> bytes:
    """20 bytes. Raises SettingsError."""
    try:
        account = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        account = b""
    if len(account) != 20:
        raise SettingsError(f"{text} is no address: expected 0x and 40 hex digits")
    return account


def load_account(keystore: Path | None) -> LocalAccount:
    """The signing account, from an encrypted keystore file or the environment. Raises SettingsError."""
    if keystore is None:
        secret = os.environ.get(PRIVATE_KEY)
        if not secret:
            raise SettingsError(
                f"no key: give --keystore FILE (make one with 'gradmint key new FILE'), or set ${PRIVATE_KEY}"
            )
        try:
            account: LocalAccount = Account.from_key(secret)
        except Exception as error:  # whatever the library raises would carry the key in its text
            raise SettingsError(f"${PRIVATE_KEY} is no private key ({type(error).__name__})") from None
        return account
    try:
        sealed = json.loads(keystore.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"keystore {keystore}: {error}; make one with 'gradmint key new {keystore}'") from error
    password = os.environ.get(PASSWORD)
    if password is None:
        password = click.prompt(f"Password of {keystore}", hide_input=True, err=True)
    try:
        opened: LocalAccount = Account.from_key(Account.decrypt(sealed, password))
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"keystore {keystore} does not open ({type(error).__name__}): wrong password in ${PASSWORD}?"
        ) from None
    return opened


def seal_key(account: LocalAccount, path: Path, password: str, *, rounds: int | None = None) -> None:
    """Write the account as an encrypted keystore, readable by its owner only; never over an existing file.

    ``rounds`` is scrypt's cost (a power of two); the library's own default unless it is a throwaway key.
    """
    sealed = json.dumps(account.encrypt(password, kdf="scrypt", iterations=rounds))
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError as error:
        raise SettingsError(f"{path} exists already; a key is never overwritten") from error
    with os.fdopen(handle, "w") as file:
        file.write(sealed)
