"""``gradmint devnet``, ``deploy`` and ``run open|show|list``."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..spec.errors import SettingsError
from ..spec.params import ETHER_WEI, LARGE, LOCAL, RATED, STANDARD, Params
from ..spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from .settings import (
    codec_option,
    deployment_option,
    home_option,
    json_option,
    keystore_option,
    load_account,
    rpc_option,
    run_option,
    store_option,
    task_path_option,
)

if TYPE_CHECKING:
    from ..learn.manifest import Manifest

_Terms = TypeVar("_Terms", Params, ReputationParams)

PRESETS = {"large": LARGE, "local": LOCAL, "standard": STANDARD}


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8545, show_default=True, help="0 takes a free one.")
@click.option("--state", type=click.Path(path_type=Path), help="Folder to keep the chain in, for going on later.")
def devnet(port: int, state: Path | None) -> None:
    """Run a local Anvil chain until interrupted.

    \b
    Example:
      gradmint devnet --port 8545 --state chain
    """
    from ..ports.devnet import Devnet

    with Devnet(port=port, state=state) as chain:
        click.echo(f"chain {chain.chain_id} at {chain.rpc_url}; Ctrl-C stops it")
        threading.Event().wait()


@click.command()
@rpc_option
@deployment_option
@keystore_option
@click.argument("accounts", nargs=-1, required=True)
@click.option("--ether", type=click.IntRange(min=0), default=10 * ETHER_WEI, show_default=True, help="In wei, for gas.")
@click.option("--tokens", type=click.IntRange(min=0), default=1_000 * ETHER_WEI, show_default=True, help="In wei.")
def faucet(
    rpc: str, deployment: Path, keystore: Path | None, accounts: tuple[str, ...], ether: int, tokens: int
) -> None:
    """Give ACCOUNTS play money on a local chain: ether for gas, and the deployment's own token for stakes and budgets.

    Before 'gradmint deploy' there is no token yet: --tokens 0 gives ether alone.

    \b
    Examples:
      gradmint faucet --tokens 0 0x1234...
      gradmint faucet --keystore sponsor.json 0x1234... 0xabcd...
    """
    from ..ports.deployment import Deployment
    from ..ports.devnet import give_ether
    from ..ports.web3_chain import Web3Chain

    addresses = [token_address(account, None) for account in accounts]
    give_ether(rpc, addresses, ether)
    if tokens:
        deployed = Deployment.read(deployment)
        chain = Web3Chain(rpc, deployed, load_account(keystore))
        for address in addresses:
            chain.mint(token_address(None, deployed.token), address, tokens)
    click.echo(f"{len(addresses)} accounts have {ether} wei of ether and {tokens} wei of the token more")


@click.command()
@rpc_option
@keystore_option
@click.option("--token/--no-token", default=False, help="Also deploy a token that anyone may mint, for local chains.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("deployment.json"),
    show_default=True,
    help="Where the addresses go.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    metavar="ADDRESS",
    help="An account that ratings start from, trusted by everyone. May be repeated; for good.",
)
@click.option(
    "--reputation",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any parameter of ratings, e.g. --reputation epoch_blocks=600. May be repeated; for good.",
)
@click.option(
    "--reputation-token",
    metavar="ADDRESS",
    help="Token of vouches and of bonds behind ratings; by default that of --token, else none, and no ratings.",
)
def deploy(
    rpc: str,
    keystore: Path | None,
    token: bool,
    out: Path,
    seeds: tuple[str, ...],
    reputation: tuple[str, ...],
    reputation_token: str | None,
) -> None:
    """Deploy the contracts; prints and writes their addresses.

    \b
    Example:
      GRADMINT_PASSWORD=... gradmint deploy --keystore sponsor.json --token
      gradmint deploy --keystore sponsor.json --seed 0x1234... --reputation-token 0xabcd...
    """
    from ..ports.deploy import deploy as deploy_contracts

    if out.exists():
        raise SettingsError(f"{out} exists already: it may be the only record of a deployment; move it, or give --out")
    money = None if reputation_token is None else token_address(reputation_token, None)
    deployed = deploy_contracts(
        rpc,
        load_account(keystore),
        with_token=token,
        seeds=[token_address(seed, None) for seed in seeds],
        reputation=override(STANDARD_REPUTATION, reputation, "--reputation"),
        reputation_token=money,
    )
    deployed.write(out)
    click.echo(out.read_text())


@click.group("run")
def run_group() -> None:
    """Open a run, or look at what is there."""


@run_group.command("open")
@rpc_option
@deployment_option
@store_option
@keystore_option
@home_option
@click.option(
    "--task",
    envvar="GRADMINT_TASK",
    default="digits",
    show_default=True,
    help="bytes, bytes-large, digits, folder, or one's own as package.module:factory.",
)
@task_path_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the initial model.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of 'gradmint calibrate': words, thresholds and numeric policy come from it, the manifest pins "
    "its digest, and the store keeps it.",
)
@codec_option
@click.option("--token", help="Reward and stake token; the deployment's own by default.")
@click.option("--budget", type=click.IntRange(min=1), required=True, help="In wei, escrowed until the run's end.")
@click.option(
    "--preset",
    type=click.Choice(sorted(PRESETS)),
    default="local",
    show_default=True,
    help="Run parameters to start from; rounds of 'large' are proposed instead of re-executed on chain.",
)
@click.option("--with-reputation", is_flag=True, help="Let ratings weigh in pay, committees and stakes; see --set.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any parameter of the preset, e.g. --set max_rounds=20. May be repeated.",
)
@click.option(
    "--learn",
    "learning",
    multiple=True,
    metavar="PART.NAME=VALUE",
    help="Any number or name of the task's manifest, e.g. --learn outer.optimiser=fedyogi or "
    "--learn aggregation.pre=norm-bound,nnm --learn aggregation.rule=geometric-median. May be repeated.",
)
@json_option
def open_(
    rpc: str,
    deployment: Path,
    store: str,
    keystore: Path | None,
    home: Path,
    task: str,
    seed: int,
    calibration: Path | None,
    codec: str | None,
    token: str | None,
    budget: int,
    preset: str,
    with_reputation: bool,
    overrides: tuple[str, ...],
    learning: tuple[str, ...],
    as_json: bool,
) -> None:
    """Open and fund a run. Parameters are immutable, and the budget stays in escrow until the end.

    \b
    Example:
      gradmint run open --task digits --budget 1000000000000000000000 --set max_rounds=8 --keystore sponsor.json
      gradmint run open --task digits --budget 1000 --calibration calibration/calibration.json --keystore sponsor.json
    """
    from ..learn.manifest import preset as task_preset
    from ..learn.manifest import with_codec
    from ..ports.deployment import Deployment
    from ..ports.open_store import open_store
    from ..ports.web3_chain import Web3Chain
    from ..roles.journal import Journal, identity
    from ..roles.sponsor import open_run

    terms = override(replace(PRESETS[preset], **(RATED if with_reputation else {})), overrides)
    manifest = task_preset(task, seed)
    if codec is not None:
        manifest = with_codec(manifest, codec)
    manifest = relearn(manifest, learning)
    blobs = open_store(store)
    if calibration is not None:
        from .study_commands import calibrated, read_calibration

        if strange := [item for item in overrides if item.partition("=")[0] in ("accept_bits", "slash_bits")]:
            raise SettingsError(f"--set {strange[0]}: the thresholds come from --calibration {calibration}")
        measured = read_calibration(calibration)
        manifest = calibrated(manifest, measured)
        terms = replace(terms, accept_bits=measured.report.accept_bits, slash_bits=measured.report.slash_bits)
        blobs.put(measured.encode())
    deployed = Deployment.read(deployment)
    reward = token_address(token, deployed.token)
    chain = Web3Chain(rpc, deployed, load_account(keystore))
    journal = Journal(home / "sponsor.sqlite", identity(chain))
    number = open_run(chain, blobs, journal, manifest, terms, reward, budget)
    click.echo(json.dumps({"run": number}) if as_json else f"run {number} is open")


def relearn(manifest: Manifest, changes: tuple[str, ...]) -> Manifest:
    """``manifest`` with PART.NAME=VALUE settings applied. Raises SettingsError, ManifestError."""
    known = {
        f"{part.name}.{field.name}": field
        for part in fields(manifest)
        if part.name not in ("task", "numerics")  # said by --task, --seed and --calibration
        for field in fields(getattr(manifest, part.name))
    }
    read: dict[str, Callable[[str], object]] = {
        "int": int,
        "float": float,
        "str": str,
        "tuple[str, ...]": lambda text: tuple(text.split(",")) if text else (),
    }
    for item in changes:
        path, _, text = item.partition("=")
        if path not in known:
            raise SettingsError(f"--learn {item}: expected PART.NAME=VALUE, one of {', '.join(sorted(known))}")
        field = known[path]
        part = path.partition(".")[0]
        try:
            value = read[str(field.type)](text)
        except ValueError as error:
            raise SettingsError(f"--learn {item}: {error}, expected a value of type {field.type}") from error
        manifest = replace(manifest, **{part: replace(getattr(manifest, part), **{field.name: value})})
    return manifest.check()


def override(params: _Terms, overrides: tuple[str, ...], option: str = "--set") -> _Terms:
    """``params`` with NAME=VALUE settings applied. Raises SettingsError."""
    own = {"manifest", "model", "words", "assigned_trainers"}  # the manifest's
    known = {field.name for field in fields(params)} - own - {"penalty_bps"}
    changes: dict[str, Any] = {}
    for item in overrides:
        name, _, value = item.partition("=")
        if name not in known or not re.fullmatch("-?[0-9]+", value):
            raise SettingsError(f"{option} {item}: expected NAME=INTEGER with a name of {', '.join(sorted(known))}")
        changes[name] = int(value)
    return replace(params, **changes)


def token_address(given: str | None, default: bytes | None) -> bytes:
    """20 bytes. Raises SettingsError."""
    if given is None:
        if default is None:
            raise SettingsError("the deployment names no token; give --token 0x...")
        return default
    try:
        address = bytes.fromhex(given.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise SettingsError(f"{given} is no address of 20 bytes in hex")
    return address


@run_group.command("show")
@rpc_option
@deployment_option
@run_option
@json_option
def show(rpc: str, deployment: Path, run_: int, as_json: bool) -> None:
    """A run's phase, participants, standings and money.

    \b
    Example:
      gradmint run show --run 1
    """
    from ..ports.deployment import Deployment
    from ..ports.web3_chain import Web3Chain
    from ..roles.follower import Follower
    from .render import run_summary, show_run

    ledger = Follower(Web3Chain(rpc, Deployment.read(deployment)), run_).ledger
    if as_json:
        click.echo(json.dumps(run_summary(ledger)))
    else:
        show_run(ledger)


@run_group.command("list")
@rpc_option
@deployment_option
@json_option
def list_(rpc: str, deployment: Path, as_json: bool) -> None:
    """Every run of the deployment, one line each."""
    from ..ports.deployment import Deployment
    from ..ports.web3_chain import Web3Chain
    from ..roles.follower import Follower
    from .render import run_summary, show_runs

    chain = Web3Chain(rpc, Deployment.read(deployment))
    ledgers = [Follower(chain, number).ledger for number in range(1, chain.run_count() + 1)]
    if as_json:
        click.echo(json.dumps([run_summary(ledger) for ledger in ledgers]))
    else:
        show_runs(ledgers)
