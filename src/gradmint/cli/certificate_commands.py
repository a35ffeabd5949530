"""``gradmint certificate``: who stands behind the model that a run had after a round."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from eth_account import Account

from ..spec.errors import CertificateRefused, GradmintError, SettingsError
from .settings import (
    PASSWORD,
    deployment_option,
    json_option,
    keystore_option,
    load_account,
    rpc_option,
    run_option,
    seal_key,
    store_option,
    task_option,
)

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ..ports.certificates import Certificates
    from ..ports.web3_chain import Web3Chain
    from ..roles.certifier import Verdict
    from ..spec.certificate import Certificate

_FILE = click.Path(path_type=Path)
_bls_key_option = click.option(
    "--bls-key",
    envvar="GRADMINT_BLS_KEY",
    type=_FILE,
    help=f"Encrypted BLS key file, password in ${PASSWORD} as well. By default NAME.bls.json beside the keystore.",
)


@click.group("certificate")
def certificate_group() -> None:
    """Sign the model you rebuilt, combine signatures, verify them.

    \b
    Example:
      gradmint certificate register --keystore alice.json
      gradmint certificate sign --round 8 --keystore alice.json --out alice.part.json
      gradmint certificate make *.part.json --out round-8.json
      gradmint certificate assemble round-8.json --keystore anyone.json
      gradmint certificate verify round-8.json --on-chain
    """


@certificate_group.command("register")
@rpc_option
@deployment_option
@keystore_option
@_bls_key_option
@json_option
def register(rpc: str, deployment: Path, keystore: Path | None, bls_key: Path | None, as_json: bool) -> None:
    """Register a BLS key for the account, once for all runs; make the key first if the file does not exist.

    Certificates of 16 signers and more need one of each signer. Keep the file: a key cannot be replaced.

    \b
    Example:
      gradmint certificate register --keystore alice.json
    """
    from ..ports import bls
    from ..roles.certifier import possession

    account = load_account(keystore)
    chain, contract = _connect(rpc, deployment, account)
    path = _bls_path(keystore, bls_key)
    registered = contract.keys().get(chain.account)
    if not path.exists():
        if registered is not None:
            raise SettingsError(
                f"{account.address} has registered a key, and there is no {path}: name its file with --bls-key"
            )
        secret = bls.new_secret()
        seal_key(Account.from_key(secret.to_bytes(32, "big")), path, _new_password(path))
    else:
        secret = _bls_secret(path, account)
    key, proof = possession(contract.domain, chain.account, secret)
    gas = 0
    if registered is None:
        gas = contract.register(key, proof).gas_used
    elif registered != key:
        raise SettingsError(f"{account.address} has registered another key than {path}: name its file with --bls-key")
    found = {"account": account.address, "key": f"0x{key.hex()}", "file": str(path), "gas": gas}
    said = f"{gas} gas" if gas else "it was registered before"
    click.echo(json.dumps(found) if as_json else f"{account.address} signs with the key in {path}; {said}")


@certificate_group.command("sign")
@rpc_option
@deployment_option
@store_option
@run_option
@task_option
@keystore_option
@_bls_key_option
@click.option(
    "--round", "round_", type=click.IntRange(min=0), required=True, help="The round that the model came out of."
)
@click.option("--digest", help="Of the model, 0x...; by default it is rebuilt here, from the chain and the store.")
@click.option("--out", type=_FILE, required=True, help="Where the part goes.")
@json_option
def sign(
    rpc: str,
    deployment: Path,
    store: str,
    run_: int,
    task: str | None,
    keystore: Path | None,
    bls_key: Path | None,
    round_: int,
    digest: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Sign the model after a round, for whoever makes the certificate. Refuses what the committee contradicts.

    \b
    Examples:
      gradmint certificate sign --round 8 --keystore alice.json --out alice.part.json
      gradmint certificate sign --round 8 --digest 0x... --keystore alice.json --out alice.part.json
    """
    from ..ports import ecdsa
    from ..ports.certificates import write_document
    from ..ports.open_store import open_store
    from ..roles import certifier
    from ..spec.certificate import Checkpoint

    account = load_account(keystore)
    chain, contract = _connect(rpc, deployment, account)
    ledger = certifier.history(chain, run_)
    model = certifier.rebuild(ledger, open_store(store), round_, task) if digest is None else _digest(digest)
    checkpoint = Checkpoint(contract.domain, run_, round_, model)
    certifier.require_attested(ledger, checkpoint)

    secret, registered = None, contract.keys().get(chain.account)
    if registered is not None:
        secret = _bls_secret(_bls_path(keystore, bls_key), account)
        if certifier.possession(contract.domain, chain.account, secret)[0] != registered:
            raise SettingsError(
                "the BLS key file holds another key than the registered one: name its file with --bls-key"
            )
    part = certifier.sign(checkpoint, chain.account, lambda signed: ecdsa.sign(account, signed), secret)
    write_document(out, part.to_fields())
    kinds = "ECDSA and BLS" if secret is not None else "ECDSA alone; 'gradmint certificate register' makes a BLS key"
    told = f"{account.address} signed model 0x{model.hex()} after round {round_}, by {kinds}"
    click.echo(json.dumps(part.to_fields()) if as_json else told)


@certificate_group.command("make")
@rpc_option
@deployment_option
@run_option
@click.argument("parts", nargs=-1, required=True, type=_FILE)
@click.option("--out", type=_FILE, required=True, help="Where the certificate goes.")
@json_option
def make(rpc: str, deployment: Path, run_: int, parts: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Combine PARTS into one certificate: ECDSA up to 15 signers, one BLS signature from 16 on.

    \b
    Example:
      gradmint certificate make *.part.json --out round-8.json
    """
    from ..ports.certificates import read_document, write_document
    from ..roles import certifier
    from ..spec.certificate import Part

    chain, contract = _connect(rpc, deployment)
    found = [Part.from_fields(read_document(path)) for path in parts]
    ledger = certifier.history(chain, run_)
    made = certifier.combine(found, contract.domain, ledger, contract.keys())
    write_document(out, made.to_fields())
    _tell(certifier.check(made, contract.domain, ledger, contract.keys()), None, as_json)


@certificate_group.command("assemble")
@rpc_option
@deployment_option
@keystore_option
@click.argument("certificate", type=_FILE)
@json_option
def assemble(rpc: str, deployment: Path, keystore: Path | None, certificate: Path, as_json: bool) -> None:
    """Let the contract add up the keys of a BLS CERTIFICATE's signers, which it needs to verify it. Anyone can.

    \b
    Example:
      gradmint certificate assemble round-8.json --keystore anyone.json
    """
    from ..roles import certifier
    from ..spec.certificate import BlsCertificate

    given = _read(certificate)
    if not isinstance(given, BlsCertificate):
        raise SettingsError(f"{certificate} is a list of ECDSA signatures, which the contract checks without a group")
    chain, contract = _connect(rpc, deployment, load_account(keystore))
    group, gas = certifier.assemble(given, contract, certifier.history(chain, given.checkpoint.run))
    row = {"signers": group.signers, "stake_wei": str(group.stake_wei), "expires_s": group.expires_s, "gas": gas}
    click.echo(json.dumps(row) if as_json else "{signers} signers with {stake_wei} wei, {gas} gas".format(**row))


@certificate_group.command("record")
@rpc_option
@deployment_option
@click.option("--out", type=_FILE, default=Path("certificates.json"), show_default=True, help="Where they go.")
def record(rpc: str, deployment: Path, out: Path) -> None:
    """Write all registered keys, so that certificates can be verified when the chain is gone.

    \b
    Example:
      gradmint certificate record --out demo-out/certificates.json
    """
    from ..ports.certificates import record_keys

    click.echo(f"{record_keys(_connect(rpc, deployment)[1], out)} keys in {out}")


@certificate_group.command("verify")
@rpc_option
@deployment_option
@click.argument("certificate", type=_FILE)
@click.option("--out", type=_FILE, help="A folder with chain.json and certificates.json instead of a running chain.")
@click.option("--on-chain", is_flag=True, help="Ask the contract as well.")
@click.option("--minority", is_flag=True, help="Be content with signers of 2/3 of the stake or less.")
@json_option
def verify(
    rpc: str, deployment: Path, certificate: Path, out: Path | None, on_chain: bool, minority: bool, as_json: bool
) -> None:
    """Check signatures, seats and digest against the run's history; exit code 1 unless more than 2/3 of stake signed.

    Seats and stakes are those of now, or of the run's end.

    \b
    Examples:
      gradmint certificate verify round-8.json --on-chain
      gradmint certificate verify round-8.json --out demo-out
    """
    from ..roles import certifier

    if on_chain and out is not None:
        raise SettingsError("--on-chain asks a running chain, --out reads a recorded one: give one of them")
    given = _read(certificate)
    try:
        said = None
        verdict = verdict_on(certificate, rpc, deployment, out)
        if on_chain:
            said = certifier.check_on_chain(given, _connect(rpc, deployment)[1])
        if not verdict.has_quorum and not minority:
            raise CertificateRefused(
                f"the signatures are good, but their {len(verdict.signers)} signers hold {verdict.stake_wei} of "
                f"{verdict.total_wei} wei, not more than 2/3: collect more, or accept that with --minority"
            )
    except GradmintError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"ok": False, "error": type(error).__name__, "why": str(error)}))
        sys.exit(1)
    _tell(verdict, said, as_json)


def verdict_on(path: Path, rpc: str, deployment: Path, folder: Path | None) -> Verdict:
    """What the running chain's history makes of a certificate, or the recorded one's in ``folder``. Raises
    CertificateRefused, MalformedCertificate, MalformedPoint."""
    from ..roles import certifier

    given = _read(path)
    if folder is not None:
        return _verify_recorded(given, folder)
    chain, contract = _connect(rpc, deployment)
    return certifier.check(given, contract.domain, certifier.history(chain, given.checkpoint.run), contract.keys())


def _verify_recorded(given: Certificate, folder: Path) -> Verdict:
    from ..ports.certificates import RecordedKeys
    from ..ports.recorded_chain import RecordedChain
    from ..roles import certifier

    chain, keys = RecordedChain(folder / "chain.json"), RecordedKeys(folder / "certificates.json")
    if keys.domain.chain_id != chain.chain_id:
        raise SettingsError(f"{folder} records chain {chain.chain_id}, its keys are of chain {keys.domain.chain_id}")
    return certifier.check(given, keys.domain, certifier.history(chain, given.checkpoint.run), keys.keys())


def _tell(verdict: Verdict, on_chain: tuple[int, int] | None, as_json: bool) -> None:
    point = verdict.checkpoint
    row: dict[str, Any] = {
        "ok": True,
        "scheme": verdict.scheme,
        "run": point.run,
        "round": point.round,
        "digest": f"0x{point.digest.hex()}",
        "signers": [f"0x{account.hex()}" for account in verdict.signers],
        "stake_wei": str(verdict.stake_wei),
        "total_wei": str(verdict.total_wei),
        "quorum": verdict.has_quorum,
        "attested": verdict.attested is not None,
        "on_chain": None if on_chain is None else {"stake_wei": str(on_chain[0]), "signers": on_chain[1]},
    }
    if as_json:
        click.echo(json.dumps(row))
        return
    share = "more than 2/3" if verdict.has_quorum else "not more than 2/3"
    known = "the committee attests it" if verdict.attested else "no committee has attested it yet"
    click.echo(f"model {row['digest']} after round {point.round} of run {point.run}: {known}")
    stakes = f"{verdict.stake_wei} of {verdict.total_wei} wei"
    click.echo(f"{len(verdict.signers)} signers ({verdict.scheme}) hold {stakes}: {share}")
    if on_chain is not None:
        click.echo(f"the contract agrees: {on_chain[1]} signers, {on_chain[0]} wei")


def _connect(rpc: str, deployment: Path, account: LocalAccount | None = None) -> tuple[Web3Chain, Certificates]:
    from ..ports.certificates import Certificates, address_in
    from ..ports.deployment import Deployment
    from ..ports.web3_chain import Web3Chain

    deployed = Deployment.read(deployment)
    address_in(deployed)
    chain = Web3Chain(rpc, deployed, account)
    return chain, Certificates(chain)


def _read(path: Path) -> Certificate:
    from ..ports.certificates import read_document
    from ..spec.certificate import certificate_from_fields

    return certificate_from_fields(read_document(path))


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise SettingsError(f"--digest {text:.80} is not 32 bytes in hex")
    return found


def _bls_path(keystore: Path | None, bls_key: Path | None) -> Path:
    if bls_key is not None:
        return bls_key
    if keystore is None:
        raise SettingsError("no BLS key file: give --bls-key FILE, or --keystore FILE to have it beside that")
    return keystore.with_suffix(".bls.json")


def _bls_secret(path: Path, account: LocalAccount) -> int:
    from ..ports import bls

    opened = bytes(load_account(path).key)
    if opened == bytes(account.key):
        raise SettingsError(f"{path} is the account's own key file: one secret must not serve two curves")
    return bls.secret_of(opened)


def _new_password(path: Path) -> str:
    password = os.environ.get(PASSWORD)
    if password is None:
        password = click.prompt(f"Password of the new {path}", hide_input=True, confirmation_prompt=True, err=True)
    return str(password)
