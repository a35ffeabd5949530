"""The demo's stage directions. Everything on stage is the ordinary thing: Anvil, contracts, processes, blobs, keys."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from ..adversary import trainer_strategy, verifier_strategy
from ..learn.manifest import Manifest, load_task, preset, with_codec
from ..learn.numerics import Numerics
from ..learn.tasks import Task, reference_of
from ..ports.chain import Join, Pool, Refund
from ..ports.deploy import deploy
from ..ports.deployment import Deployment
from ..ports.devnet import Devnet, die_with_parent
from ..ports.local_store import LocalStore
from ..ports.recorded_chain import RecordedChain, record
from ..ports.reputation import Reputation
from ..ports.web3_chain import Web3Chain
from ..roles.auditor import Audit, audit
from ..roles.claimant import claim
from ..roles.follower import Follower
from ..roles.journal import Journal, identity
from ..roles.sponsor import open_run
from ..roles.trace import Trace
from ..spec.errors import GradmintError, SettingsError
from ..spec.events import Event, PhaseOpened
from ..spec.ledger import Ledger
from ..spec.params import ETHER_WEI, LOCAL, RATED, Params
from ..spec.reputation_params import STANDARD_REPUTATION
from ..spec.types import Phase, Role
from .promises import CULPRIT, LYING_ROUNDS, broken_promises
from .render import DemoDisplay, Outcome, demo_json, outcomes
from .report import write_report
from .settings import PASSWORD, seal_key
from .timing import measure

BUDGET_WEI = 1_000 * ETHER_WEI
GAS_MONEY_WEI = 10 * ETHER_WEI
KEYSTORE_ROUNDS = 4_096  # scrypt's cost: these keys guard play money for minutes
FAREWELL_S = 60.0  # time for children to notice the end, one that has just been started again included
MARKER = "participants.json"
MOST_ROUNDS = 30  # without --rounds, for a task with a mark to beat; it ends when the mark is beaten
ROUNDS = 8  # without --rounds, for others
BOND_WEI = 10 * ETHER_WEI
BONDS = 4  # that each verifier may have out at once
CHALLENGE_S, EXTENSION_S = 6, 3
PROPOSING = replace(
    LOCAL,
    challenge_s=CHALLENGE_S,
    extension_s=EXTENSION_S,
    proposal_bond_wei=BOND_WEI,
    exit_s=LOCAL.exit_s + CHALLENGE_S + EXTENSION_S,
)
#: Epochs of some two rounds, so that a short run sees several.
RATING = replace(STANDARD_REPUTATION, epoch_blocks=60, challenge_blocks=8, proof_blocks=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the command line asked for."""

    task: str
    rounds: int | None
    trainers: int
    verifiers: int
    adversaries: tuple[str, ...]
    bad_verifiers: tuple[str, ...]
    seed: int
    out: Path
    quiet: bool
    numerics: tuple[str, ...] = ("float32",)  # configurations that the verifiers compute in, in turn
    propose: bool = False  # rounds are proposed, and a verifier lies about two of them
    codec: str | None = None  # the task's own
    reputation: bool = False  # trainers are paid by ratings, which a process of each keeps

    def manifest(self) -> Manifest:
        manifest = preset(self.task, self.seed)
        return manifest if self.codec is None else with_codec(manifest, self.codec)

    def check(self) -> Plan:
        """Raises SettingsError, NumericsRefused, before anything is started."""
        if not self.numerics:
            raise SettingsError("--numerics names no configuration; float32 is one")
        policy = self.manifest().numerics
        for text in self.numerics:
            policy.admit(Numerics.parse(text))
        for name in self.adversaries:
            trainer_strategy(name)
        for name in self.bad_verifiers:
            verifier_strategy(name)
        if len(self.adversaries) >= self.trainers:
            raise SettingsError(f"{len(self.adversaries)} adversaries among {self.trainers} trainers leave none honest")
        if 3 * (self.verifiers - len(self.bad_verifiers)) <= 2 * self.verifiers:
            raise SettingsError(
                f"{len(self.bad_verifiers)} bad verifiers of {self.verifiers}: a quorum takes more than 2/3 honest ones"
            )
        if self.propose and self.verifiers - len(self.bad_verifiers) < 2:
            raise SettingsError(
                "--propose has a verifier lie about settlements: it takes another, honest one to refute"
            )
        return self


@dataclass(slots=True)
class Participant:
    """One process on stage."""

    role: Role
    strategy: str
    number: int  # seat among its role
    account: LocalAccount
    numerics: str = "float32"
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"{self.role.name.lower()} {self.number}"

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out; ``failures`` is empty when everything held that the demo promises."""

    summary: dict[str, Any]
    outcomes: list[Outcome]
    audit: Audit
    report: Path
    failures: list[str] = field(default_factory=list)


class Demo:
    """One performance."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.out = plan.out
        self.password = secrets.token_hex(16)
        self.environment: dict[str, str] = {}
        self.sponsor: LocalAccount = Account.create()
        self.cast = [
            Participant(Role.TRAINER, strategy, number, Account.create())
            for number, strategy in enumerate(_fill(plan.trainers, plan.adversaries))
        ] + [
            Participant(
                *(Role.VERIFIER, strategy, number, Account.create()),
                numerics=plan.numerics[number % len(plan.numerics)],
            )
            for number, strategy in enumerate(_verifiers(plan))
        ]

    def play(self) -> Result:
        """From an empty folder to an audited run. Children are stopped whatever happens."""
        self._set_stage()
        with ExitStack() as stack:
            devnet = stack.enter_context(Devnet(port=0, state=self.out / "chain"))
            deployed = self._deploy(devnet)
            sponsor = Web3Chain(devnet.rpc_url, deployed, self.sponsor)
            run = self._open(sponsor, deployed)
            self._join(devnet.rpc_url, deployed, run)
            stack.enter_context(self._children(devnet.rpc_url, run))
            watcher = Follower(sponsor, run)
            with self._keepers():
                self._watch(sponsor, watcher)
                failures = self._await_children()
            watcher.refresh()
            for _ in claim(sponsor, [watcher.ledger]):
                pass
            sponsor.send(Refund(run=run))
            record(sponsor, run, self.out / "chain.json", reputation=Reputation(sponsor))
        return self._judge(run, failures)

    def _set_stage(self) -> None:
        if self.out.exists() and any(self.out.iterdir()):
            if not (self.out / MARKER).exists():
                raise SettingsError(f"{self.out} holds something else than an earlier demo; give --out another folder")
            shutil.rmtree(self.out)
        for folder in ("keys", "logs", "homes", "blobs"):
            (self.out / folder).mkdir(parents=True)
        rows = [
            {
                "account": person.account.address.lower(),
                "name": person.name,
                "role": person.role.name.lower(),
                "strategy": person.strategy,
                "numerics": person.numerics,
            }
            for person in self.cast
        ]
        (self.out / MARKER).write_text(json.dumps(rows, indent=1))
        password_file = self.out / "keys" / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        seal_key(self.sponsor, self.out / "keys" / "sponsor.json", self.password, rounds=KEYSTORE_ROUNDS)
        for person in self.cast:
            path = self.out / "keys" / f"{person.slug}.json"
            seal_key(person.account, path, self.password, rounds=KEYSTORE_ROUNDS)

    def _deploy(self, devnet: Devnet) -> Deployment:
        devnet.give_ether([self.sponsor.address, *(person.account.address for person in self.cast)], GAS_MONEY_WEI)
        seeds = [bytes.fromhex(person.account.address[2:]) for person in self.cast if person.role is Role.VERIFIER]
        rules = RATING if self.plan.reputation else STANDARD_REPUTATION
        deployed = deploy(devnet.rpc_url, self.sponsor, with_token=True, seeds=seeds, reputation=rules)
        deployed.write(self.out / "deployment.json")
        return deployed

    def _params(self) -> Params:
        target = self._target_nats() if self.plan.rounds is None else None
        least = LYING_ROUNDS if self.plan.propose else ROUNDS
        rounds = self.plan.rounds or (least if target is None else MOST_ROUNDS)
        return replace(
            PROPOSING if self.plan.propose else LOCAL,
            max_rounds=rounds,
            target_loss_micronats=0 if target is None else math.floor(target * 1e6),
            min_trainers=self.plan.trainers,
            max_trainers=self.plan.trainers,
            min_verifiers=self.plan.verifiers,
            max_verifiers=self.plan.verifiers,
            committee=self.plan.verifiers,
            **(RATED if self.plan.reputation else {}),
        )

    def _target_nats(self) -> float | None:
        """The mark that the task wants to beat, such as gzip's; a task without one runs its rounds."""
        known = reference_of(self._task())
        return None if known is None else known[0]

    def _open(self, sponsor: Web3Chain, deployed: Deployment) -> int:
        assert deployed.token is not None
        params = self._params()
        sponsor.mint(deployed.token, bytes.fromhex(self.sponsor.address[2:]), BUDGET_WEI)
        for person in self.cast:
            bonds_wei = (BONDS + 2) * params.proposal_bond_wei if person.role is Role.VERIFIER else 0  # two are lost
            if self.plan.reputation:
                bonds_wei += RATING.bond_wei
            purse_wei = self._stake_wei(params, person.role) + params.join_price_wei + bonds_wei
            sponsor.mint(deployed.token, bytes.fromhex(person.account.address[2:]), purse_wei)
        manifest = self.plan.manifest()
        journal = Journal(self.out / "homes" / "sponsor.sqlite", identity(sponsor))
        return open_run(sponsor, LocalStore(self.out / "blobs"), journal, manifest, params, deployed.token, BUDGET_WEI)

    @staticmethod
    def _stake_wei(params: Params, role: Role) -> int:
        return params.trainer_stake_wei if role is Role.TRAINER else params.verifier_stake_wei

    def _join(self, rpc_url: str, deployed: Deployment, run: int) -> None:
        """All but the last, whose process joins when it is ready: round 1 opens then, with everyone on stage."""
        for person in self.cast[:-1]:
            chain = Web3Chain(rpc_url, deployed, person.account)
            stake_wei = self._stake_wei(LOCAL, person.role)
            chain.send(Join(run=run, role=person.role, stake_wei=stake_wei, max_price_wei=LOCAL.join_price_wei))

    @contextmanager
    def _children(self, rpc_url: str, run: int) -> Iterator[None]:
        self.environment = {
            **os.environ,
            "GRADMINT_RPC": rpc_url,
            "GRADMINT_DEPLOYMENT": str(self.out / "deployment.json"),
            "GRADMINT_STORE": str(self.out / "blobs"),
            "GRADMINT_RUN": str(run),
            PASSWORD: self.password,
            "OMP_NUM_THREADS": "1",
        }
        try:
            for person in self.cast:
                self._start(person)
            yield
        finally:
            _stop([person.process for person in self.cast if person.process])

    @contextmanager
    def _keepers(self) -> Iterator[None]:
        """One for each trainer's rating, by the command that its user would type; none where ratings do nothing."""
        started = []
        try:
            for person in self.cast if self.plan.reputation else ():
                if person.role is Role.TRAINER:
                    home = ["--home", str(self.out / "homes" / f"{person.slug}-rating")]
                    started.append(self._run(person, "reputation", ["keep", "--bonds", "1", *home], "-rating"))
            yield
        finally:
            _stop(started)

    def _start(self, person: Participant) -> None:
        """The participant's own process, by the command that its user would type."""
        own_task = ["--task", self.plan.task] if ":" in self.plan.task else []
        arguments = [
            *("--home", str(self.out / "homes" / person.slug)),
            *("--strategy", person.strategy),
            *("--numerics", person.numerics),
            *own_task,
            *(["--join"] if person is self.cast[-1] else []),
            *(["--bonds", str(BONDS)] if self.plan.propose and person.role is Role.VERIFIER else []),
        ]
        person.process = self._run(person, person.role.name.lower(), arguments)

    def _run(self, person: Participant, command: str, arguments: list[str], part: str = "") -> subprocess.Popen[bytes]:
        with (self.out / "logs" / f"{person.slug}{part}.log").open("ab") as file:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "gradmint", "-v", command, *arguments),
                    *("--keystore", str(self.out / "keys" / f"{person.slug}.json")),
                ],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                preexec_fn=die_with_parent,
            )

    def _watch(self, chain: Web3Chain, watcher: Follower) -> None:
        """Show the run until it ends and its last round is final; note when each phase was seen to open, for the
        breakdown of overhead."""
        trace = Trace(self.out / "demo.jsonl")
        names = {bytes.fromhex(person.account.address[2:]): (person.name, person.strategy) for person in self.cast}
        opened, opened_s = (0, Phase.ENROL), time.time()
        with DemoDisplay(
            names=names, metric=self._task().metric, gas_used=chain.gas_used, quiet=self.plan.quiet
        ) as display:
            display.update(watcher.ledger)
            while watcher.ledger.phase is not Phase.ENDED or (self.plan.propose and watcher.ledger.unsettled()):
                chain.wait(watcher.run, 0.5)
                for event in watcher.refresh():
                    self._saw(event)
                    display.note(event)
                    if isinstance(event, PhaseOpened):
                        now_s = time.time()
                        trace.note(opened[0], f"phase {opened[1].name}", opened_s, now_s)
                        opened, opened_s = (event.round, event.phase), now_s
                display.update(watcher.ledger)
                self._pool(chain, watcher.ledger)
                self._check_alive(watcher)

    def _pool(self, chain: Web3Chain, ledger: Ledger) -> None:
        """Anyone may move the budget's part of lost bonds to where it belongs."""
        if ledger.poolable_wei > 0:
            chain.send(Pool(run=ledger.run))

    def _saw(self, event: Event) -> None:
        """For those who want to interfere: tests kill processes here."""

    def _task(self) -> Task:
        return load_task(preset(self.plan.task, self.plan.seed))

    def _check_alive(self, watcher: Follower) -> None:
        """A participant that dies is shown, and the run goes on; when nobody is left, the demo does not."""
        running = [person for person in self.cast if person.process and person.process.poll() is None]
        if not running:
            number = len(watcher.ledger.rounds)
            raise GradmintError(f"every participant has stopped in round {number}; see the logs in {self.out / 'logs'}")

    def _await_children(self) -> list[str]:
        """Participants leave by themselves when the run has ended. Returns what went wrong."""
        failures = []
        deadline_s = time.monotonic() + FAREWELL_S
        for person in self.cast:
            assert person.process is not None
            try:
                code: int | None = person.process.wait(timeout=max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = None
            if code != 0:
                how = "did not stop" if code is None else f"exited with code {code}"
                failures.append(f"{person.name} ({person.strategy}) {how}; see {self.out / 'logs' / person.slug}.log")
        return failures

    def _judge(self, run: int, failures: list[str]) -> Result:
        own_task = self.plan.task if ":" in self.plan.task else None
        chain, store = RecordedChain(self.out / "chain.json"), LocalStore(self.out / "blobs")
        found = audit(chain, store, run, own_task=own_task, reputation=chain.reputation)
        report = self.out / "report.html"
        write_report(found, report, self.out)
        people = json.loads((self.out / MARKER).read_text())
        rows = outcomes(found, people)
        return Result(
            summary=demo_json(found, people, measure(self.out)),
            outcomes=rows,
            audit=found,
            report=report,
            failures=failures + broken_promises(self.plan, self.cast, found, rows),
        )


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    alive = [process for process in processes if process.poll() is None]
    for process in alive:
        process.terminate()
    for process in alive:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _verifiers(plan: Plan) -> list[str]:
    """Strategies of the verifiers; the one that lies about settlements assesses honestly."""
    strategies = _fill(plan.verifiers, plan.bad_verifiers)
    if plan.propose:
        strategies[plan.verifiers - len(plan.bad_verifiers) - 1] = CULPRIT
    return strategies


def _fill(count: int, cheats: tuple[str, ...]) -> list[str]:
    """Strategies of ``count`` seats: honest ones first."""
    return ["honest"] * (count - len(cheats)) + list(cheats)
