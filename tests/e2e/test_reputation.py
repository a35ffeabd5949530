"""Reputation on a real chain: a Sybil ring rises and falls, a newcomer rises by its work, lies cost a bond.

The rounds of the run are made up, report by report; everything else is the real thing, commands and keepers included.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ports.harness import Anvil, Stage, rows

from gradmint.ports.devnet import Devnet
from gradmint.ports.recorded_chain import RecordedChain, record
from gradmint.ports.reputation import Reputation
from gradmint.ports.reputation_calls import Deposit, Vouch
from gradmint.ports.web3_chain import Web3Chain
from gradmint.roles.follower import BookFollower, Follower
from gradmint.roles.journal import Journal, identity
from gradmint.roles.reputation import Keeper
from gradmint.roles.reputation_auditor import ReputationAudit, audit_reputation
from gradmint.spec.book import Book
from gradmint.spec.endorsements import RatingChallenged, RatingProposed, RatingProven, ReputationEvent
from gradmint.spec.events import Rated
from gradmint.spec.reputation_params import ReputationParams
from gradmint.spec.types import ONE_Q32, Report, Role, Row, Verdict

from .conftest import gradmint

pytestmark = pytest.mark.xdist_group("reputation")

RULES = ReputationParams(epoch_blocks=120, challenge_blocks=20, proof_blocks=40)
RATED = {"pay_least_bps": 5_000, "pay_most_bps": 15_000}
LEAST_Q32 = ONE_Q32 // 2
HONEST = (10, 20, 30)  # gains of trainers 0 to 2
BOND_WEI = RULES.bond_wei
PATIENCE_S = 60.0
BAD = Row(Verdict.MALFORMED, 0, -(2**31))


@dataclass
class Town:
    """A run with three honest trainers (accounts 1 to 3) and the deployment's seeds as its verifiers."""

    world: Anvil
    home: Path
    stage: Stage = field(init=False)
    gains: list[int] = field(default_factory=lambda: [*HONEST])
    bad: set[int] = field(default_factory=set)  # trainers whose updates are malformed
    keepers: dict[int, Keeper] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stage = Stage(self.world).open(max_rounds=60, max_trainers=8, **RATED)
        self.stage.enrol()
        self.world.deployment.write(self.home / "deployment.json")

    @property
    def chain(self) -> Web3Chain:
        chain = self.world.connect(0)
        assert isinstance(chain, Web3Chain)
        return chain

    @property
    def book(self) -> Book:
        return BookFollower(Reputation(self.chain)).book

    def account(self, number: int) -> bytes:
        return self.world.connect(number).account

    def join(self, gain: int) -> int:
        """The next trainer's number; from the next round on its updates are worth ``gain``."""
        self.stage.join(Role.TRAINER)
        self.gains.append(gain)
        return len(self.gains)

    def play(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            here = self.stage.ledger().round.trainers
            said = [BAD if t in self.bad else row for t, row in enumerate(rows(self.gains[:here]))]
            report = {v: Report(1_000_000 + v, (0,), tuple(said)).pack() for v in range(3)}
            self.stage.play(report)

    def mine(self, blocks: int) -> None:
        self.chain.rpc.call("anvil_mine", hex(blocks))

    def next_epoch(self) -> None:
        self.mine(RULES.epoch_blocks - self.chain.block() % RULES.epoch_blocks)

    def keeper(self, number: int, **options: Any) -> Keeper:
        if number not in self.keepers:
            chain = self.world.connect(number)
            journal = Journal(self.home / f"{number}.sqlite", identity(chain))
            port = Reputation(chain)  # type: ignore[arg-type]  # of Anvil it is a Web3Chain
            self.keepers[number] = Keeper(chain, port, journal, bonds=1, patient=False, **options)
        return self.keepers[number]

    def look(self, *numbers: int) -> None:
        for number in numbers:
            self.keeper(number).look()

    def rate(self, *numbers: int) -> None:
        """Propose at the end of an epoch, make final, bring into the run, and play on until the seats go by it."""
        self.next_epoch()
        self.look(*numbers)
        self.mine(RULES.challenge_blocks)
        self.look(*numbers)
        self.play(2)

    def vouch(self, voucher: int, other: int, rounds: int = 1) -> int:
        """The stake."""
        chain, stake_wei = self.world.connect(voucher), rounds * RULES.vouch_round_wei
        chain.send(Deposit(token=self.world.token, amount_wei=stake_wei))
        chain.send(Vouch(account=self.account(other), stake_wei=stake_wei))
        return stake_wei

    def multiplier_q32(self, number: int) -> int:
        """In the standings that are final."""
        account = self.account(number)
        return next(one.reputation_q32 for one in self.stage.ledger().final.standings if one.account == account)

    def rating_q32(self, number: int) -> int:
        return self.chain.rating_q32(self.account(number))

    def purse_wei(self, number: int) -> int:
        return self.book.purses_wei.get(self.account(number), 0)

    def audit(self) -> ReputationAudit:
        return audit_reputation(Reputation(self.chain), self.chain, [Follower(self.chain, self.stage.run).ledger])

    # Processes

    def environment(self, number: int) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "GRADMINT_RPC": self.world.devnet.rpc_url,
            "GRADMINT_DEPLOYMENT": str(self.home / "deployment.json"),
            "GRADMINT_HOME": str(self.home / f"home-{number}"),
            "GRADMINT_PRIVATE_KEY": self.world.account(number).key.hex(),
        }

    def command(self, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``gradmint reputation``, as account ``number`` types it."""
        return subprocess.run(
            [sys.executable, "-m", "gradmint", "reputation", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.home,
            env=self.environment(number),
        )

    def told(self, number: int, *arguments: str) -> dict[str, Any]:
        """The object of a command that succeeds."""
        done = self.command(number, *arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def start_keeper(self, number: int) -> subprocess.Popen[bytes]:
        with (self.home / f"keeper-{number}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "gradmint", "-v", "reputation", "keep", "--bonds", "1"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env=self.environment(number),
            )

    def until(self, is_it: Callable[[ReputationEvent], bool]) -> ReputationEvent:
        """The first such row; blocks are mined meanwhile, one at a time."""
        reader = Reputation(self.chain)
        for _ in range(int(PATIENCE_S)):
            found = [event for event in reader.events() if is_it(event)]
            if found:
                return found[0]
            block = self.chain.block()
            if self.chain.await_block(block + 1, 1.0) == block:
                self.mine(1)
        raise AssertionError((self.home / "keeper-1.log").read_text())


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Devnet() as devnet:
        yield Town(Anvil(devnet, seeds=(101, 102, 103), rules=RULES), tmp_path)


def test_a_ring_behind_a_bought_vouch_and_a_newcomer_who_works(town: Town) -> None:
    ring = [town.join(gain=0) for _ in range(3)]
    newcomer = town.join(gain=25)
    town.play(2)
    assert {town.multiplier_q32(number) for number in (1, 2, 3, *ring, newcomer)} == {LEAST_Q32}
    town.look(1)  # harvests

    bought = town.vouch(3, ring[0], rounds=4)
    for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
        town.vouch(a, b, rounds=50)
    town.rate(1, 2, 3, newcomer, *ring)
    for number in (1, 2, 3, newcomer, *ring):
        multiplier = LEAST_Q32 + town.rating_q32(number)  # from a half to one and a half
        assert LEAST_Q32 < town.multiplier_q32(number) == multiplier < 3 * LEAST_Q32
    # What they say of each other moved what the bought vouch hands on, and made none of it.
    bought_q32 = town.multiplier_q32(ring[0])
    assert bought_q32 > town.multiplier_q32(ring[1]) > town.multiplier_q32(ring[2])
    assert min(town.multiplier_q32(3), town.multiplier_q32(newcomer)) > bought_q32

    town.told(3, "unvouch", "0x" + town.account(ring[0]).hex())
    for _ in range(4):  # until every rating by older cuts has lapsed; those who work renew theirs
        town.rate(1, 2, 3, newcomer, *ring)
    assert {town.multiplier_q32(number) for number in ring} == {LEAST_Q32}
    assert all(town.multiplier_q32(number) > LEAST_Q32 for number in (1, 2, 3, newcomer))
    before = town.purse_wei(3)
    assert town.told(3, "reclaim", "0x" + town.account(ring[0]).hex())["on_chain"]["vouches"] == {}
    assert town.purse_wei(3) == before + bought

    found = town.audit()
    assert found.divergence is None, found.divergence
    assert found.harvests >= 4 and found.rated >= 10 and len(found.ratings) >= 10 and not found.unchecked
    assert found.held_wei == found.owed_wei


def test_lapsed_seats_are_lowered_by_others(town: Town) -> None:
    """Nobody lowers oneself: a watcher does."""
    town.play(1)
    town.look(1)
    town.rate(3)
    assert town.multiplier_q32(3) > LEAST_Q32
    for _ in range(4):
        town.next_epoch()
    assert town.rating_q32(3) == 0 and town.multiplier_q32(3) > LEAST_Q32
    town.keeper(2, for_all=True).look()
    town.play(2)
    assert town.multiplier_q32(3) == LEAST_Q32


def test_the_stake_behind_who_is_banned_is_lost(town: Town) -> None:
    sybil = town.join(gain=0)
    town.play(1)
    town.look(1)
    stake_wei = town.vouch(3, sybil, rounds=10)
    town.rate(1, 2, 3, sybil)
    assert town.multiplier_q32(sybil) > LEAST_Q32
    refused = town.command(2, "slash", "0x" + town.account(3).hex(), "0x" + town.account(sybil).hex())
    assert refused.returncode == 2 and "NotBanned" in refused.stderr

    town.bad = {sybil - 1}
    town.play(4)
    before, burned = town.purse_wei(2), town.audit().burned_wei
    told = town.told(2, "slash", "0x" + town.account(3).hex(), "0x" + town.account(sybil).hex())
    reward_wei = stake_wei * RULES.challenger_bps // 10_000
    assert told["on_chain"]["purse_wei"] == str(before + reward_wei)
    assert town.audit().burned_wei == burned + stake_wei - reward_wei
    town.bad = set()
    for _ in range(4):
        town.rate(1, 2, 3, sybil)
    assert town.multiplier_q32(sybil) == LEAST_Q32
    assert town.audit().divergence is None


def test_a_false_rating_is_refuted(town: Town) -> None:
    town.play(2)
    town.look(1)
    town.next_epoch()
    town.command(3, "deposit")
    lie = town.told(3, "propose", "--hits", str(1 << 55), "--paths", "4")["on_chain"]["proposed"]
    assert lie["hits"] == str(1 << 55) and lie["rating"] > 0.5

    watcher = town.keeper(2, for_all=True)
    watcher.look()
    challenge = town.book.proposals[town.account(3)].challenge
    assert challenge is not None and challenge.challenger == town.account(2)
    unshown = town.command(3, "prove")
    assert unshown.returncode == 2 and "nothing shows" in unshown.stderr
    town.look(3)  # its own keeper has nothing to show either
    town.mine(RULES.proof_blocks)
    assert town.purse_wei(2) == 0
    watcher.look()
    assert town.account(2) in town.book.proposals  # the bond that came back is behind its own rating now
    assert town.purse_wei(2) == BOND_WEI * RULES.challenger_bps // 10_000
    assert town.account(3) not in town.book.ratings and town.rating_q32(3) == 0

    # What is true is not challenged, unless somebody wants to lose a bond.
    town.next_epoch()
    town.look(3)
    true = town.command(2, "challenge", "0x" + town.account(3).hex())
    assert true.returncode == 2 and "can be shown" in true.stderr
    watcher.look()
    assert town.book.proposals[town.account(3)].challenge is None
    found = town.audit()
    assert found.divergence is None and found.owed_wei == found.held_wei


def test_a_second_path_lifts_the_penalty(town: Town) -> None:
    penalised = town.join(gain=0)
    town.play(1)
    town.look(1)
    town.vouch(1, penalised, rounds=2)
    town.rate(1, 2, 3, penalised)
    once_q32, once = town.multiplier_q32(penalised), town.book.ratings[town.account(penalised)]
    assert once.paths == 1 and once_q32 > LEAST_Q32
    town.vouch(2, penalised, rounds=2)
    town.rate(1, 2, 3, penalised)
    twice = town.book.ratings[town.account(penalised)]
    assert twice.paths == 2 and twice.hits > once.hits
    assert town.multiplier_q32(penalised) > once_q32
    # Shown to whoever asks: final at once.
    town.next_epoch()
    town.told(penalised, "propose")
    shown = town.told(penalised, "prove")["on_chain"]
    assert shown["proposed"] is None and shown["until_epoch"] == town.chain.block() // RULES.epoch_blocks + 2
    assert town.audit().divergence is None


def test_a_keeper_is_killed_between_proposal_and_proof(town: Town) -> None:
    """Processes: one proposes and is killed, another doubts what is true, the first comes again and shows it."""
    town.play(2)
    town.look(2)
    town.next_epoch()
    own = town.account(1)
    keeper = town.start_keeper(1)
    try:
        said = town.until(lambda event: isinstance(event, RatingProposed) and event.account == own)
        keeper.send_signal(signal.SIGKILL)
        keeper.wait()
        town.command(2, "deposit", "--amount", str(BOND_WEI))
        town.told(2, "challenge", "0x" + own.hex(), "--anyway")
        keeper = town.start_keeper(1)
        proven = town.until(lambda event: isinstance(event, RatingProven) and event.account == own)
    finally:
        keeper.kill()
        keeper.wait()
    assert isinstance(said, RatingProposed) and isinstance(proven, RatingProven)
    assert proven.reward_wei == BOND_WEI * RULES.challenger_bps // 10_000
    book = town.book
    assert book.ratings[own] == said and own not in book.proposals
    events = Reputation(town.chain).events()
    assert [event for event in events if isinstance(event, RatingProposed) and event.account == own] == [said]
    assert len([event for event in events if isinstance(event, RatingChallenged)]) == 1
    assert "Traceback" not in (town.home / "keeper-1.log").read_text()
    assert town.audit().divergence is None


FORGERIES: Sequence[tuple[str, str, Callable[[Any], Any]]] = (
    ("Harvested", "rows", lambda rows: [[rows[0][0], rows[0][1] - 1], *rows[1:]]),
    ("Harvested", "endorsers", lambda endorsers: endorsers[:-1]),
    ("Harvested", "new_rounds", lambda rounds: rounds + 1),
    ("Vouched", "weight", lambda weight: weight + 1),
    ("RatingProposed", "hits", lambda hits: hits + 1),
    ("RatingFinal", "rating_q32", lambda rating: rating + 1),
    ("Deposited", "amount_wei", lambda wei: wei + 1),
)


def test_an_audit_of_what_is_left(town: Town) -> None:
    """Clean; and any one forged row is named."""
    town.play(2)
    town.look(1)
    town.vouch(3, 2, rounds=2)
    town.rate(1, 2, 3)
    clean = town.home / "clean"
    clean.mkdir()
    record(town.chain, town.stage.run, clean / "chain.json", reputation=Reputation(town.chain))
    assert town.told(0, "audit", "--out", str(clean))["ok"]
    listed = town.told(0, "list", "--out", str(clean))["accounts"]
    assert {row["account"] for row in listed if row["rating_q32"]} == {"0x" + town.account(n).hex() for n in (1, 2, 3)}
    shown = town.told(0, "show", "0x" + town.account(2).hex(), "--out", str(clean))
    assert shown["connectivity"] == RULES.max_paths and shown["on_chain"]["rating_q32"] == town.rating_q32(2)

    content = json.loads((clean / "chain.json").read_text())
    for kind, name, change in FORGERIES:
        forged = json.loads(json.dumps(content))
        row = next(row for row in forged["reputation"]["events"] if row["event"] == kind)
        row[name] = change(row[name])
        path = town.home / "forged.json"
        path.write_text(json.dumps(forged))
        chain = RecordedChain(path)
        assert chain.reputation is not None
        found = audit_reputation(chain.reputation, chain, [Follower(chain, chain.run).ledger])
        assert found.divergence is not None, f"{kind}.{name}"
    # A roster row that fits its hash is caught by what the contract said at that block.
    chain = RecordedChain(clean / "chain.json")
    ledger, rated = Follower(chain, chain.run).ledger, chain.events
    assert chain.reputation is not None
    chain.events = lambda run, after=None: [  # type: ignore[method-assign]
        replace(event, rating_q32=event.rating_q32 + 1) if isinstance(event, Rated) else event
        for event in rated(run, after)
    ]
    lied = audit_reputation(chain.reputation, chain, [ledger]).divergence
    assert lied is not None and lied.row.startswith("Rated") and "at that block" in lied.why
    (clean / "chain.json").write_text(json.dumps(forged))
    done = town.command(0, "audit", "--out", str(clean), "--json")
    assert done.returncode == 1 and not json.loads(done.stdout)["ok"]


def test_a_rating_that_nobody_doubted_is_found(town: Town) -> None:
    """The contract took it; the audit does not."""
    town.play(2)
    town.look(1)
    town.next_epoch()
    town.command(3, "deposit")
    town.told(3, "propose", "--hits", str(1 << 55))
    assert "nobody has challenged it" in str(town.audit().divergence)
    town.mine(RULES.challenge_blocks)
    town.told(3, "finalise")
    found = town.audit()
    assert found.divergence is not None and "at most" in str(found.divergence)


def test_a_demo_with_ratings(tmp_path: Path) -> None:
    """Processes throughout: ten rounds, a keeper for each trainer; audited with nothing running, and forged."""
    out = tmp_path / "out"
    done = gradmint(
        *("demo", "--with-reputation", "--task", "digits", "--out", str(out), "--json"),
        *("--rounds", "10", "--trainers", "5", "--adversaries", "poisoner"),
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["audit"]["ok"]
    logs = [path.read_text() for path in (out / "logs").glob("*-rating.log")]
    assert len(logs) == 5 and not any("Traceback" in log for log in logs)

    assert "multiplied by" in (out / "report.html").read_text()

    said = json.loads(gradmint("audit", "--out", str(out), "--json").stdout)
    assert said["ok"] and said["reputation"]["ok"]
    assert said["reputation"]["harvests"] >= 2 and said["reputation"]["rated"] >= 4
    recorded = json.loads((out / "chain.json").read_text())
    row = next(row for row in recorded["reputation"]["events"] if row["event"] == "Harvested")
    row["rows"][0][1] -= 1
    (out / "chain.json").write_text(json.dumps(recorded))
    done = gradmint("audit", "--out", str(out), "--json")
    assert done.returncode == 1
    [divergence] = json.loads(done.stdout)["divergences"]
    assert divergence["row"].startswith("Harvested") and "standings" in divergence["why"]
