"""``gradmint certificate`` from keys to verdicts, on a real chain: what it makes, and what it will not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from eth_account import Account
from eth_account.signers.local import LocalAccount

from gradmint.cli import main
from gradmint.cli.settings import seal_key
from gradmint.learn.manifest import preset
from gradmint.ports import ecdsa
from gradmint.ports.certificates import Certificates
from gradmint.ports.chain import Exit
from gradmint.ports.deploy import deploy
from gradmint.ports.deployment import Deployment
from gradmint.ports.devnet import Devnet
from gradmint.ports.open_store import open_store
from gradmint.ports.recorded_chain import record
from gradmint.ports.web3_chain import Web3Chain
from gradmint.roles import certifier
from gradmint.roles.desk import take_seat
from gradmint.roles.follower import Follower
from gradmint.roles.journal import Journal, identity
from gradmint.roles.sponsor import open_run
from gradmint.spec.certificate import Checkpoint
from gradmint.spec.params import ETHER_WEI, LOCAL
from gradmint.spec.types import Role

pytestmark = pytest.mark.xdist_group("certificates")

TRAINERS = 16
PASSWORD = "correct horse"
QUICK = 2  # scrypt rounds of throwaway keys


@dataclass
class Town:
    """A run with 16 trainers and a verifier, all but the last trainer with a registered BLS key; one folder for all."""

    folder: Path
    rpc: str
    deployment: Deployment
    accounts: list[LocalAccount]
    run: int
    model: bytes

    def chain(self, i: int) -> Web3Chain:
        return Web3Chain(self.rpc, self.deployment, self.accounts[i])

    def says(self, *words: str | Path, code: int = 0, **environment: str) -> str:
        given = {
            "GRADMINT_RPC": self.rpc,
            "GRADMINT_DEPLOYMENT": str(self.folder / "deployment.json"),
            "GRADMINT_STORE": str(self.folder / "blobs"),
            "GRADMINT_PASSWORD": PASSWORD,
        }
        done = CliRunner().invoke(main, ["certificate", *map(str, words)], env={**given, **environment})
        assert done.exit_code == code, done.output
        return done.output

    def keystore(self, i: int) -> Path:
        return self.folder / f"{i}.json"

    def checkpoint(self, contract: Certificates) -> Checkpoint:
        return Checkpoint(contract.domain, self.run, 0, self.model)

    def parts(self, *members: int, bls: bool = True) -> list[Path]:
        """As 'sign' would write them, without its price of opening key files."""
        checkpoint, paths = self.checkpoint(Certificates(self.chain(0))), []
        for i in members:
            account, secret = self.accounts[i], 5_000 + i if bls else None
            part = certifier.sign(
                checkpoint, bytes.fromhex(account.address[2:]), lambda signed, a=account: ecdsa.sign(a, signed), secret
            )
            paths.append(self.folder / f"{i}{'' if bls else '-without'}.part.json")
            paths[-1].write_text(json.dumps(part.to_fields()))
        return paths


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with Devnet() as devnet:
        accounts: list[LocalAccount] = [Account.from_key((31_000 + i).to_bytes(32, "big")) for i in range(TRAINERS + 1)]
        devnet.give_ether([account.address for account in accounts], 100 * ETHER_WEI)
        deployment = deploy(devnet.rpc_url, accounts[0], with_token=True)
        deployment.write(folder / "deployment.json")
        assert deployment.token is not None
        sponsor = Web3Chain(devnet.rpc_url, deployment, accounts[0])
        for account in accounts:
            sponsor.mint(deployment.token, bytes.fromhex(account.address[2:]), 10**6 * ETHER_WEI)
        terms = replace(LOCAL, max_trainers=20, min_trainers=20)
        journal = Journal(folder / "sponsor.sqlite", identity(sponsor))
        store = open_store(str(folder / "blobs"))
        run = open_run(sponsor, store, journal, preset("digits", 0), terms, deployment.token, ETHER_WEI)
        model = certifier.history(sponsor, run).terms.model
        found = Town(folder, devnet.rpc_url, deployment, accounts, run, model)
        for i, account in enumerate(accounts):
            chain, contract = found.chain(i), Certificates(found.chain(i))
            role = Role.TRAINER if i < TRAINERS else Role.VERIFIER
            take_seat(chain, Follower(chain, run), role)
            if i != TRAINERS - 1:
                contract.register(*certifier.possession(contract.domain, chain.account, 5_000 + i))
            seal_key(account, found.keystore(i), PASSWORD, rounds=QUICK)
        secret = Account.from_key((5_000).to_bytes(32, "big"))
        seal_key(secret, folder / "0.bls.json", PASSWORD, rounds=QUICK)
        yield found


def changed(path: Path, into: Path, **fields: Any) -> Path:
    into.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return into


def test_a_key_is_registered_once_and_from_its_own_file(town: Town) -> None:
    path = town.folder / "0.bls.json"
    assert "registered before" in town.says("register", "--keystore", town.keystore(0))
    own = town.keystore(0)
    assert "two curves" in town.says("register", "--keystore", own, "--bls-key", own, code=2)
    stranger = town.keystore(1)  # has registered 5,001, whose file is not here
    assert "--bls-key" in town.says("register", "--keystore", stranger, code=2)
    assert "another key" in town.says("register", "--keystore", stranger, "--bls-key", path, code=2)
    assert "wrong password" in town.says("register", "--keystore", stranger, code=2, GRADMINT_PASSWORD="battery staple")


def test_a_new_key_file_is_encrypted_and_private(town: Town) -> None:
    last = TRAINERS - 1
    found = json.loads(town.says("register", "--keystore", town.keystore(last), "--json"))
    path = Path(found["file"])
    assert path == town.folder / f"{last}.bls.json"
    assert (found["gas"] > 0, path.stat().st_mode & 0o777) == (True, 0o600)
    assert json.loads(path.read_text())["crypto"]["kdf"] == "scrypt"
    assert Certificates(town.chain(0)).keys()[bytes.fromhex(found["account"][2:])].hex() == found["key"][2:]


def test_sign_rebuilds_the_model_and_refuses_another(town: Town, tmp_path: Path) -> None:
    out = tmp_path / "part.json"
    common = ("--run", str(town.run), "--keystore", str(town.keystore(0)), "--out", str(out))
    part = json.loads(town.says("sign", "--round", "0", *common, "--json"))
    assert part == json.loads(out.read_text()) and part["digest"] == f"0x{town.model.hex()}"
    assert part["bls"] is not None
    contradicted = town.says("sign", "--round", "0", "--digest", "0x" + "ab" * 32, *common, code=1)
    assert town.model.hex() in contradicted and "ab" * 32 in contradicted
    assert "is not over" in town.says("sign", "--round", "1", "--digest", "0x" + "ab" * 32, *common, code=1)
    assert "32 bytes" in town.says("sign", "--round", "0", "--digest", "0xab", *common, code=2)


def test_few_signers_make_a_list_of_ecdsa_signatures(town: Town, tmp_path: Path) -> None:
    out, on_run = tmp_path / "small.json", ("--run", str(town.run))
    made = json.loads(town.says("make", *on_run, *town.parts(0, TRAINERS, 2), "--out", out, "--json"))
    assert (made["scheme"], len(made["signers"]), made["quorum"]) == ("ecdsa", 3, False)
    assert "2/3" in town.says("verify", out, code=1)
    said = json.loads(town.says("verify", out, "--on-chain", "--minority", "--json"))
    assert said["on_chain"] == {"stake_wei": made["stake_wei"], "signers": 3}
    refused = json.loads(town.says("verify", out, "--json", code=1))
    assert (refused["ok"], refused["error"]) == (False, "CertificateRefused")
    assert "without a group" in town.says("assemble", out, "--keystore", town.keystore(0), code=2)
    town.says("make", *on_run, *town.parts(*range(15), bls=False), "--out", out, "--json")
    assert json.loads(out.read_text())["scheme"] == "ecdsa"


def test_many_signers_make_one_bls_signature(town: Town, tmp_path: Path) -> None:
    out, on_run = tmp_path / "large.json", ("--run", str(town.run))
    members = (*range(TRAINERS - 1), TRAINERS)
    made = json.loads(town.says("make", *on_run, *town.parts(*members), "--out", out, "--json"))
    assert (made["scheme"], len(made["signers"]), made["quorum"]) == ("bls", 16, True)
    assert "more than 2/3" in town.says("verify", out)
    assert "gradmint certificate assemble" in town.says("verify", out, "--on-chain", code=1)
    assembled = json.loads(town.says("assemble", out, "--keystore", town.keystore(3), "--json"))
    assert (assembled["signers"], assembled["stake_wei"]) == (16, made["stake_wei"])
    assert (
        assembled["gas"] > 0 == json.loads(town.says("assemble", out, "--keystore", town.keystore(3), "--json"))["gas"]
    )
    assert "the contract agrees: 16 signers" in town.says("verify", out, "--on-chain")

    # When the chain is gone: the same verdict from files.
    record(town.chain(0), town.run, tmp_path / "chain.json")
    assert "certificates.json" in town.says("verify", out, "--out", tmp_path, code=2)
    town.says("record", "--out", tmp_path / "certificates.json")
    assert town.says("verify", out, "--out", tmp_path, GRADMINT_RPC="http://127.0.0.1:9").startswith("model 0x")

    # One bit of anything else, and it does not hold.
    for name, value, why, code in (
        ("signature", "0x" + "00" * 128, "infinity", 2),
        ("round", 1, "not over", 1),
        ("chain_id", 5, "on chain 5", 1),
        ("run", town.run + 1, "not on this chain", 2),
        ("digest", "0x" + "ab" * 32, "not from 0xabab", 1),
    ):
        assert why in town.says("verify", changed(out, tmp_path / "lie.json", **{name: value}), code=code)
    bitmap = json.loads(out.read_text())["bitmap"]
    lie = changed(out, tmp_path / "lie.json", bitmap=[bitmap[0], f"0x{2**16 - 1:064x}"])
    assert "registered" in town.says("verify", lie, code=1)
    lie = changed(out, tmp_path / "lie.json", bitmap=[bitmap[0], f"0x{2**17 - 2:064x}"])
    assert "no trainer 16" in town.says("verify", lie, code=1)


def test_make_names_whom_to_leave_out(town: Town, tmp_path: Path) -> None:
    out, on_run = tmp_path / "made.json", ("--run", str(town.run))

    def refused(*parts: Path, code: int = 1) -> str:
        said = town.says("make", *on_run, *parts, "--out", out, code=code)
        assert not out.exists()
        return said

    one, two = town.parts(1, 2)
    name = town.accounts[1].address.lower()
    assert "signs twice" in refused(one, one, code=2)
    forged = json.loads(two.read_text())["ecdsa"]
    assert name in refused(changed(one, tmp_path / "x.json", ecdsa=forged), two)
    assert name in refused(two, changed(one, tmp_path / "x.json", round=1))
    many = town.parts(*range(2, TRAINERS - 1), TRAINERS)
    (without,) = town.parts(1, bls=False)
    assert "without a BLS key" in refused(without, *town.parts(0), *many)
    for wrong in (json.loads(two.read_text())["bls"], "0x" + "00" * 128):
        assert name in refused(changed(one, tmp_path / "x.json", bls=wrong), *town.parts(0), *many)
    (other,) = town.parts(3)
    assert "out" in refused(changed(one, tmp_path / "x.json", account=json.loads(other.read_text())["account"]), two)
    (tmp_path / "huge.json").write_text(" " * (1 << 20) + "{}")
    assert "1048576 bytes" in refused(tmp_path / "huge.json", code=2)
    (tmp_path / "twice.json").write_text('{"format": 1, "format": 2}')
    assert "comes twice" in refused(tmp_path / "twice.json", code=2)


def test_who_has_left_is_not_counted(town: Town, tmp_path: Path) -> None:
    """Last in this file: the verifier leaves."""
    out, on_run = tmp_path / "made.json", ("--run", str(town.run))
    parts = town.parts(1, TRAINERS)
    town.says("make", *on_run, *parts, "--out", out)
    chain = town.chain(TRAINERS)
    chain.send(Exit(run=town.run))
    assert "has left run" in town.says("verify", out, "--minority", code=1)
    assert "has left run" in town.says("make", *on_run, *parts, "--out", out, code=1)


def test_a_deployment_from_before_says_so(town: Town, tmp_path: Path) -> None:
    replace(town.deployment, certificates=None).write(tmp_path / "old.json")
    said = town.says("record", "--deployment", tmp_path / "old.json", code=2)
    assert "NoCertificates" in said and "gradmint deploy" in said
    replace(town.deployment, certificates=town.deployment.runs).write(tmp_path / "wrong.json")
    assert "HalfDeployed" in town.says("record", "--deployment", tmp_path / "wrong.json", code=2)


def test_every_command_has_an_example() -> None:
    for command in ("register", "sign", "make", "assemble", "record", "verify"):
        said = CliRunner().invoke(main, ["certificate", command, "--help"]).output
        assert f"gradmint certificate {command} " in said
