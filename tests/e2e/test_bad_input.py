"""Every bad input there is a name for: a typed error that says what to do, nothing lost, nobody else blocked.

The first table is what a user meets at the command line, the second what a peer may do to a run on a real chain;
after each of the latter the round goes on and settles. Hostile blobs: the decoder itself is fuzzed in
tests/learn/test_codec.py, and tests/roles/test_round.py sends such blobs through whole rounds.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from eth_account import Account
from ports.harness import Anvil, Stage

from gradmint.cli import main
from gradmint.cli.settings import seal_key
from gradmint.learn.checks import Expected, check
from gradmint.learn.codec import Header, encode, quantise
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.proof import blank_marks
from gradmint.learn.state import digest, initial_state, layout_of
from gradmint.learn.tolerances import TOLERANCES
from gradmint.ports.chain import Commit, Open, Reveal
from gradmint.ports.devnet import Devnet
from gradmint.ports.local_store import LocalStore
from gradmint.ports.rpc import Rpc
from gradmint.roles.follower import Follower
from gradmint.roles.journal import Journal, identity
from gradmint.roles.sponsor import open_run
from gradmint.spec.errors import NotAToken, Reverted, Unfunded
from gradmint.spec.params import Params
from gradmint.spec.transcript import commitment
from gradmint.spec.types import Phase, Report, Role, Verdict
from gradmint.study.calibration import Calibration

pytestmark = pytest.mark.xdist_group("bad input")


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Devnet() as devnet:
        yield Anvil(devnet)


@pytest.fixture
def stage(anvil: Anvil) -> Stage:
    return Stage(anvil).open().enrol()


# At the command line


class Shell:
    """A user's folder with a funded key, a deployment file and an open run of the digits task."""

    def __init__(self, anvil: Anvil, folder: Path) -> None:
        self.anvil, self.folder = anvil, folder
        anvil.deployment.write(folder / "deployment.json")
        sponsor = anvil.connect(0)
        journal = Journal(folder / "sponsor.sqlite", identity(sponsor))
        stage = Stage(anvil)
        store = LocalStore(folder / "blobs")
        self.run = open_run(sponsor, store, journal, preset("digits"), stage.params, anvil.token, 10**18)
        journal.close()
        self.key = folder / "key.json"
        seal_key(anvil.account(7), self.key, "secret", rounds=1024)
        anvil.connect(7)

    def type(self, *words: str, **environment: str) -> tuple[int, str]:
        """Exit code and what was said."""
        ours = {
            "GRADMINT_RPC": self.anvil.devnet.rpc_url,
            "GRADMINT_DEPLOYMENT": str(self.folder / "deployment.json"),
            "GRADMINT_STORE": str(self.folder / "blobs"),
            "GRADMINT_KEYSTORE": str(self.key),
            "GRADMINT_HOME": str(self.folder / "home"),
            "GRADMINT_RUN": str(self.run),
            "GRADMINT_PASSWORD": "secret",
        }
        done = CliRunner().invoke(main, list(words), env={**ours, **environment})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def rewrite_deployment(self, **fields: object) -> str:
        path = self.folder / "deployment.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        return str(path)


@pytest.fixture
def shell(anvil: Anvil, tmp_path: Path) -> Shell:
    return Shell(anvil, tmp_path)


def wrong_chain_id(shell: Shell) -> tuple[int, str]:
    return shell.type("run", "show", GRADMINT_DEPLOYMENT=shell.rewrite_deployment(chain_id=1))


def no_chain(shell: Shell) -> tuple[int, str]:
    return shell.type("join", "--role", "trainer", "--rpc", "http://127.0.0.1:1")


def no_store(shell: Shell) -> tuple[int, str]:
    shell.type("join", "--role", "trainer")
    return shell.type("trainer", "--store", "/ip4/127.0.0.1/tcp/1")


def a_store_without_the_manifest(shell: Shell) -> tuple[int, str]:
    shell.type("join", "--role", "trainer")
    return shell.type("trainer", "--store", str(shell.folder / "empty"))


def half_deployed(shell: Shell) -> tuple[int, str]:
    return shell.type("run", "list", GRADMINT_DEPLOYMENT=shell.rewrite_deployment(stakes="0x" + "ab" * 20))


def unfunded_gas(shell: Shell) -> tuple[int, str]:
    pauper = shell.folder / "pauper.json"
    seal_key(Account.create(), pauper, "secret", rounds=1024)
    return shell.type("join", "--role", "trainer", "--keystore", str(pauper))


def wrong_token(shell: Shell) -> tuple[int, str]:
    return shell.type("run", "open", "--budget", "1", "--token", "0x" + "cd" * 20)


def wrong_password(shell: Shell) -> tuple[int, str]:
    return shell.type("join", "--role", "trainer", GRADMINT_PASSWORD="guess")


def a_price_above_ones_limit(shell: Shell) -> tuple[int, str]:
    return shell.type("join", "--role", "trainer", "--max-price", "1")


def numerics_that_the_run_does_not_admit(shell: Shell) -> tuple[int, str]:
    return unpaid(shell, "join", "--role", "trainer", "--numerics", "float32/micro=7")


def a_seat_with_numerics_that_the_run_does_not_admit(shell: Shell) -> tuple[int, str]:
    return unpaid(shell, "verifier", "--join", GRADMINT_NUMERICS="bfloat16/kernel=plain")


def no_such_numerics(shell: Shell) -> tuple[int, str]:
    return unpaid(shell, "join", "--role", "trainer", "--numerics", "float16")


def naming(params: Params, manifest: Manifest, digest_: bytes) -> Params:
    """Terms of a run for one trainer that name a manifest and its numbers."""
    spec = manifest.assessment
    return replace(params, manifest=digest_, min_trainers=1, words=spec.words, assigned_trainers=spec.assigned_trainers)


def another_torch(shell: Shell) -> tuple[int, str]:
    manifest = preset("digits")
    older = replace(manifest, numerics=replace(manifest.numerics, torch="1.0.0"))
    digest_ = LocalStore(shell.folder / "blobs").put(older.encode())
    terms = naming(Stage(shell.anvil).params, manifest, digest_)
    opened = shell.anvil.connect(0).send(Open(params=terms, token=shell.anvil.token, budget_wei=10**18))
    return unpaid(shell, "join", "--role", "verifier", GRADMINT_RUN=str(opened.events[0].run))


def a_calibration_of_another_task(shell: Shell) -> tuple[int, str]:
    measured = calibration(shell)
    return shell.type("run", "open", "--budget", "1", "--task", "bytes", "--calibration", str(measured))


def a_calibration_of_too_few_scenes(shell: Shell) -> tuple[int, str]:
    measured = calibration(shell, beacons="2")
    return shell.type("run", "open", "--budget", "1", "--task", "digits", "--calibration", str(measured))


def a_calibration_and_a_threshold(shell: Shell) -> tuple[int, str]:
    measured = calibration(shell)
    return shell.type("run", "open", "--budget", "1", "--calibration", str(measured), "--set", "accept_bits=9")


def no_calibration(shell: Shell) -> tuple[int, str]:
    return shell.type("run", "open", "--budget", "1", "--calibration", str(shell.folder / "deployment.json"))


def calibration(shell: Shell, beacons: str = "6") -> Path:
    """A small one of digits."""
    out = shell.folder / "calibration"
    words = ("--task", "digits", "--rounds", "1", "--beacons", beacons, "--out", str(out), "--quiet")
    code, said = shell.type("calibrate", *words, "--admit", "float32", "--admit", "bfloat16")
    assert code == 0, said
    return out / "calibration.json"


def test_a_run_opens_with_a_calibration(shell: Shell) -> None:
    """Thresholds and policy are the file's, the manifest pins its digest, and the store has it for everyone."""
    measured = calibration(shell)
    found = Calibration.decode(measured.read_bytes())
    seal_key(shell.anvil.account(0), shell.folder / "sponsor.json", "secret", rounds=1024)
    opening = ("run", "open", "--budget", "1000", "--seed", "3", "--json", "--calibration", str(measured))
    code, said = shell.type(*opening, "--keystore", str(shell.folder / "sponsor.json"))
    assert code == 0, said
    run = json.loads(said)["run"]
    terms = Follower(shell.anvil.connect(0), run).params
    store = LocalStore(shell.folder / "blobs")
    manifest = Manifest.decode(store.get(terms.manifest, 1 << 20))
    assert manifest.numerics.calibration == found.digest()
    assert manifest.numerics.admitted == ("bfloat16", "float32")
    assert (terms.words, terms.accept_bits, terms.slash_bits) == (
        found.words,
        found.report.accept_bits,
        found.report.slash_bits,
    )
    assert {name: getattr(manifest.assessment, name) for name in TOLERANCES} == found.training.by_name
    assert store.get(bytes.fromhex(manifest.numerics.calibration), 1 << 20) == measured.read_bytes()
    code, said = unpaid(shell, "join", "--role", "trainer", "--numerics", "float32/micro=16", GRADMINT_RUN=str(run))
    assert code == 2 and "NumericsRefused" in said


def unpaid(shell: Shell, *words: str, **environment: str) -> tuple[int, str]:
    """What is said, and that neither stake nor price nor gas was paid before it."""
    chain = shell.anvil.connect(7)
    account = f"0x{chain.account.hex()}"

    def purse() -> tuple[int, str]:
        return chain.token_balance_wei(shell.anvil.token, chain.account), rpc.call("eth_getBalance", account, "latest")

    rpc = Rpc(shell.anvil.devnet.rpc_url)
    before = purse()
    said = shell.type(*words, **environment)
    assert purse() == before
    rpc.close()
    return said


def a_bond_where_nothing_is_proposed(shell: Shell) -> tuple[int, str]:
    return shell.type("bond")


def a_payer_of_nothing(shell: Shell) -> tuple[int, str]:
    return shell.type("claim", "--payer", str(shell.key))


def nothing_to_redirect(shell: Shell) -> tuple[int, str]:
    return shell.type("claim", "--to", "0x" + "12" * 20)


def no_seat(shell: Shell) -> tuple[int, str]:
    return shell.type("verifier")


def no_such_run(shell: Shell) -> tuple[int, str]:
    return shell.type("run", "show", "--run", "999")


def a_strangers_code(shell: Shell) -> tuple[int, str]:
    manifest = preset("digits")
    foreign = replace(manifest, task=replace(manifest.task, factory="evil.package:factory"))
    digest_ = LocalStore(shell.folder / "blobs").put(foreign.encode())
    terms = naming(Stage(shell.anvil).params, foreign, digest_)
    opened = shell.anvil.connect(0).send(Open(params=terms, token=shell.anvil.token, budget_wei=10**18))
    run = str(opened.events[0].run)
    shell.type("join", "--role", "trainer", GRADMINT_RUN=run)
    return shell.type("trainer", GRADMINT_RUN=run)


def a_setting_that_nobody_knows(shell: Shell) -> tuple[int, str]:
    (shell.folder / "gradmint.toml").write_text('rcp = "http://127.0.0.1:8545"\n')
    return shell.type("--settings", str(shell.folder / "gradmint.toml"), "run", "list")


COMMAND_LINE: list[tuple[Callable[[Shell], tuple[int, str]], str, str]] = [
    (wrong_chain_id, "WrongChain", r"31337.*\b1\b|\b1\b.*31337"),
    (no_chain, "ChainUnreachable", "gradmint devnet"),
    (no_store, "StoreUnreachable", "127.0.0.1"),
    (a_store_without_the_manifest, "BlobMissing", "bafkrei|store"),
    (half_deployed, "HalfDeployed", "ab" * 20),
    (unfunded_gas, "Unfunded", "wei"),
    (wrong_token, "NotAToken", "cd" * 20),
    (wrong_password, "SettingsError", "password"),
    (a_price_above_ones_limit, "Reverted", "PriceAboveLimit"),
    (numerics_that_the_run_does_not_admit, "NumericsRefused", r"float32/micro=7.*choose one of them by --numerics"),
    (a_seat_with_numerics_that_the_run_does_not_admit, "NumericsRefused", r"bfloat16/kernel=plain.*GRADMINT_NUMERICS"),
    (no_such_numerics, "SettingsError", "float16.*float32, bfloat16"),
    (a_calibration_of_another_task, "ManifestError", "gradmint calibrate --task bytes"),
    (a_calibration_of_too_few_scenes, "ManifestError", "2 scenes are too few"),
    (a_calibration_and_a_threshold, "SettingsError", "accept_bits=9: the thresholds come from"),
    (no_calibration, "ManifestError", "calibration has keys"),
    (another_torch, "NumericsRefused", r"pip install torch==1\.0\.0"),
    (a_bond_where_nothing_is_proposed, "ChainError", "re-executes every round"),
    (a_payer_of_nothing, "SettingsError", "--to"),
    (nothing_to_redirect, "ChainError", "owes"),
    (no_seat, "ChainError", "gradmint join"),
    (no_such_run, "ChainError", "gradmint run list"),
    (a_strangers_code, "ManifestError", "--task evil.package:factory"),
    (a_setting_that_nobody_knows, "SettingsError", "rcp"),
]


@pytest.mark.parametrize(("bad", "error", "says"), COMMAND_LINE, ids=[case[0].__name__ for case in COMMAND_LINE])
def test_at_the_command_line(shell: Shell, bad: Callable[[Shell], tuple[int, str]], error: str, says: str) -> None:
    code, said = bad(shell)
    assert code == 2
    assert f"gradmint: {error}: " in said
    assert re.search(says, said, re.IGNORECASE), said
    assert "Traceback" not in said
    assert "secret" not in said


# From a peer, on chain


def reveals_something_else(stage: Stage) -> None:
    """A verifier reveals what it did not commit."""
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    honest = {v: stage.report(v) for v in range(3)}
    stage.commit(honest)
    other = stage.report(0, gains=[9_999, 1, 1])
    stage.verifiers[0].send(Reveal(run=stage.run, report=other, salt=b"\4" * 32))


def reveals_a_short_report(stage: Stage) -> None:
    reveals_cut(stage, stage_report_length=-1)


def reveals_a_long_report(stage: Stage) -> None:
    reveals_cut(stage, stage_report_length=+9)


def reveals_cut(stage: Stage, stage_report_length: int) -> None:
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    report = stage.report(0)
    bent = report[:stage_report_length] if stage_report_length < 0 else report + bytes(stage_report_length)
    stage.commit({0: bent, 1: stage.report(1), 2: stage.report(2)})
    stage.verifiers[0].send(Reveal(run=stage.run, report=bent, salt=b"\4" * 32))


def settles_with_reordered_reports(stage: Stage) -> None:
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    call = stage.settlement()
    stage.sponsor.send(replace(call, reports=call.reports[::-1]))


def copies_a_commitment(stage: Stage) -> None:
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    first = stage.verifiers[0]
    report = stage.report(0)
    number, report_hash = stage.ledger().round.number, Report.hash(report, stage.params.words)
    bound = commitment(first.chain_id, first.rounds_address, stage.run, number, first.account, report_hash, b"\4" * 32)
    for chain in stage.verifiers:
        chain.send(Commit(run=stage.run, commitment=bound))
    stage.verifiers[1].send(Reveal(run=stage.run, report=report, salt=b"\4" * 32))


ON_CHAIN: list[tuple[Callable[[Stage], None], str]] = [
    (reveals_something_else, "RevealMismatch"),
    (reveals_a_short_report, "ReportLength"),
    (reveals_a_long_report, "ReportLength"),
    (settles_with_reordered_reports, "ReportMismatch"),
    (copies_a_commitment, "RevealMismatch"),
]


@pytest.mark.parametrize(("bad", "error"), ON_CHAIN, ids=[case[0].__name__ for case in ON_CHAIN])
def test_on_chain(stage: Stage, bad: Callable[[Stage], None], error: str) -> None:
    with pytest.raises(Reverted) as refused:
        bad(stage)
    assert refused.value.name == error
    assert len(refused.value.operands) >= 2  # both values
    # Nobody else is blocked: the round goes on with whoever is left, and the next one is an ordinary one.
    while stage.ledger().round.number == 1 and stage.phase is not Phase.SETTLE:
        ledger = stage.ledger()
        missing = ledger.round.commits.keys() - ledger.round.reveals.keys()
        honest = {v: stage.report(v) for v in missing if _opens(stage, v)}
        stage.reveal(honest)
        if stage.phase is not Phase.SETTLE:
            stage.poke()
    if stage.ledger().round.number == 1:
        stage.settle()
    assert stage.ledger().round.number == 2
    stage.play()
    settlement = stage.ledger().rounds[1].settlement
    assert settlement is not None and settlement.consensus is not None


def _opens(stage: Stage, verifier: int) -> bool:
    ledger = stage.ledger()
    chain = stage.verifiers[verifier]
    ours = commitment(
        chain.chain_id,
        chain.rounds_address,
        stage.run,
        ledger.round.number,
        chain.account,
        Report.hash(stage.report(verifier), stage.params.words),
        b"\4" * 32,
    )
    return ledger.round.commits[verifier].commitment == ours


def test_a_stake_that_is_not_there(anvil: Anvil) -> None:
    stage = Stage(anvil).open()
    with pytest.raises(Unfunded, match="wei"):
        stage.join(Role.TRAINER, stake_wei=10**40)


def test_a_token_that_is_none(anvil: Anvil) -> None:
    stage = Stage(anvil)
    with pytest.raises(NotAToken):
        stage.sponsor.send(Open(params=stage.params, token=b"\xee" * 20, budget_wei=1))


# From a trainer, in bytes: each gets its verdict, and the reason names what is wrong


def _blobs() -> Iterator[tuple[str, bytes | None, Verdict]]:
    manifest = preset("digits")
    task = load_task(manifest)
    state, layout = initial_state(task, manifest), layout_of(task, manifest)
    header = Header(
        run=1,
        round=1,
        author=b"\7" * 20,
        base=digest(state, layout),
        layout=layout.digest,
        claimed_gain_micronats=5,
        words=(0,) * manifest.assessment.words,
        marks=blank_marks(manifest),
    )
    update = quantise(state.theta, manifest.codec.chunk, manifest.codec.keep)
    good = encode(header, update)
    bent = bytearray(good)
    bent[3] ^= 0x10
    yield "good", good, Verdict.OK
    yield "missing", None, Verdict.MISSING
    yield "truncated", good[:-1], Verdict.MALFORMED
    yield "empty", b"", Verdict.MALFORMED
    yield "bit-flipped", bytes(bent), Verdict.MALFORMED
    yield "trailing", good + b"\0", Verdict.MALFORMED
    yield "oversized", good + bytes(manifest.codec.max_bytes), Verdict.OVERSIZE
    yield "noise", os.urandom(len(good)), Verdict.MALFORMED
    yield "wrong base", encode(replace(header, base=b"\1" * 32), update), Verdict.WRONG_BASE
    yield "another author", encode(replace(header, author=b"\1" * 20), update), Verdict.MALFORMED
    yield "another round", encode(replace(header, round=2), update), Verdict.MALFORMED
    yield (
        "too long a step",
        encode(header, quantise(1e6 * state.theta, update.table.chunk, update.table.keep)),
        Verdict.OVER_NORM,
    )
    infinite = quantise(state.theta * float("inf"), update.table.chunk, update.table.keep)
    yield "not finite", encode(header, infinite), Verdict.NOT_FINITE


@pytest.mark.parametrize(("name", "blob", "verdict"), list(_blobs()), ids=[case[0] for case in _blobs()])
def test_in_bytes(name: str, blob: bytes | None, verdict: Verdict) -> None:
    manifest = preset("digits")
    task = load_task(manifest)
    layout = layout_of(task, manifest)
    base = digest(initial_state(task, manifest), layout)
    found = check(blob, Expected(run=1, round=1, author=b"\7" * 20, base=base), manifest, layout)
    assert found.verdict is verdict, f"{name}: {found.reason}"
    assert bool(found.reason) == (verdict is not Verdict.OK)
