"""Runs that propose, for real: a proposer lies twice and is refuted twice; a verifier is killed while it refutes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradmint.cli.demo import Demo, Participant, Plan
from gradmint.ports.recorded_chain import RecordedChain
from gradmint.roles.follower import Follower
from gradmint.spec.docket import split_bond
from gradmint.spec.events import Challenged, Event, Proposed
from gradmint.spec.ledger import Ledger
from gradmint.spec.types import Role

from .conftest import Played, gradmint

pytestmark = pytest.mark.xdist_group("propose")

ROUNDS = 12


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Four verifiers, one of whom proposes two false settlements; a trainer that copies, and is banned for it."""
    out = tmp_path_factory.mktemp("propose") / "out"
    done = gradmint(
        *("demo", "--propose", "--task", "digits", "--rounds", str(ROUNDS), "--trainers", "4", "--out", str(out)),
        *("--adversaries", "copycat", "--bad-verifiers", "", "--json"),
        timeout=300,
    )
    assert done.stdout, done.stderr
    return Played(out, json.loads(done.stdout), done.returncode, done.stderr)


def ledger_of(out: Path) -> Ledger:
    chain = RecordedChain(out / "chain.json")
    return Follower(chain, chain.run).ledger


def account(played: Played, strategy: str) -> bytes:
    [person] = [person for person in played.summary["participants"] if person["strategy"] == strategy]
    return bytes.fromhex(person["account"][2:])


def test_it_succeeds(proposed: Played) -> None:
    assert proposed.code == 0, proposed.stderr
    assert proposed.summary["audit"] == {"ok": True, "divergences": []}
    assert [row["final"] for row in proposed.summary["rounds"]] == [True] * ROUNDS


def test_both_lies_are_refuted_and_cost_a_bond_each(proposed: Played) -> None:
    ledger, liar = ledger_of(proposed.out), account(proposed, "embezzler")
    assert [event.proposer for event, _ in ledger.refuted] == [liar, liar]
    terms = ledger.terms
    parts = split_bond(terms.proposal_bond_wei, terms.challenger_bps, terms.burn_bps)
    assert [(lost.account, lost.reward_wei, lost.burn_wei, lost.pool_wei) for lost in ledger.forfeited] == [
        (liar, *parts),
        (liar, *parts),
    ]
    assert [lost.beneficiary for lost in ledger.forfeited] == [event.challenger for event, _ in ledger.refuted]
    assert ledger.pooled_wei == 2 * parts[2]
    assert ledger.deposited_wei == 1_000 * 10**18 + 2 * parts[2]
    told = proposed.summary["refutations"]
    assert [(row["round"], row["what"]) for row in told] == [(event.round, "root") for event, _ in ledger.refuted]
    assert all(row["proposed"] != row["executed"] for row in told)


def test_what_was_refuted_is_proposed_anew_by_somebody_else(proposed: Played) -> None:
    chain = RecordedChain(proposed.out / "chain.json")
    liar = account(proposed, "embezzler")
    last = {event.round: event for event in chain.events(chain.run) if isinstance(event, Proposed)}
    ledger = ledger_of(proposed.out)
    for event, _ in ledger.refuted:
        assert last[event.round].proposer != liar
    assert sorted(last) == list(range(1, ROUNDS + 1))
    for round_ in ledger.rounds:
        assert round_.settled is not None and round_.execution is not None
        assert round_.settled.outcome == round_.execution.outcome == last[round_.number].outcome
    assert ledger.pending == [] and chain.caught_up(chain.run)


def test_the_lies_took_nothing_from_anybody(proposed: Played) -> None:
    people = proposed.summary["participants"]
    # The liar assessed like the others, and is paid like those that compute in its number format, to the Wei.
    stage = {
        person["name"]: person["numerics"] for person in json.loads((proposed.out / "participants.json").read_text())
    }
    earned: dict[str, set[int]] = {}
    for p in people:
        if p["role"] == "verifier":
            earned.setdefault(stage[p["name"]], set()).add(int(p["earned_wei"]))
    assert [len(alike) for alike in earned.values()] == [1, 1]
    assert all(wei > 0 for alike in earned.values() for wei in alike)
    assert {int(p["earned_wei"]) > 0 for p in people if p["role"] == "trainer" and p["strategy"] == "honest"} == {True}


def test_who_is_banned_sits_out_and_holds_nobody_up(proposed: Played) -> None:
    ledger, copycat = ledger_of(proposed.out), account(proposed, "copycat")
    seat = ledger.seat(copycat)
    assert seat is not None
    out = [round_ for round_ in ledger.rounds if seat.index in round_.barred]
    assert [round_.number for round_ in out] == list(range(4, ROUNDS + 1))  # two copies, in rounds 2 and 3
    assert not any(seat.index in round_.first_submissions for round_ in out)
    [person] = [p for p in proposed.summary["participants"] if p["strategy"] == "copycat"]
    assert person["verdicts"] == {"OK": 1, "DUPLICATE": 2, "BANNED": ROUNDS - 3}
    [log] = [path.read_text() for path in (proposed.out / "logs").iterdir() if path.name == "trainer-3.log"]
    assert "banned up to round 23: it sits round 4 out" in log


def test_rounds_do_not_wait_for_settlements(proposed: Played) -> None:
    chain = RecordedChain(proposed.out / "chain.json")
    order = [type(event).__name__ for event in chain.events(chain.run)]
    assert order.index("Settled") > [i for i, name in enumerate(order) if name == "Recorded"][1]


def test_the_audit_says_it_again_with_nothing_running(proposed: Played, tmp_path: Path) -> None:
    done = gradmint("audit", "--out", str(proposed.out), "--html", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"audit clean: {ROUNDS} rounds settled;" in done.stdout
    assert done.stdout.count("refuted round") == 2
    assert "What was refuted" in (tmp_path / "report.html").read_text()


def test_a_tampered_proposal_or_bond_is_found(proposed: Played, tmp_path: Path) -> None:
    recorded = json.loads((proposed.out / "chain.json").read_text())
    for kind, change in (
        ("Proposed", {"final_s": 5}),
        ("Forfeited", {"reward_wei": 1}),
        ("Bonded", {"amount_wei": 1}),
        ("Recorded", {"record_hash": "0x" + "11" * 30}),
        ("Joined", {"price_wei": 1}),
    ):
        copy = json.loads(json.dumps(recorded))
        next(row for row in copy["events"] if row["event"] == kind).update(change)
        out = tmp_path / kind
        out.mkdir()
        (out / "blobs").symlink_to(proposed.out / "blobs")
        (out / "chain.json").write_text(json.dumps(copy))
        done = gradmint("audit", "--out", str(out), "--json")
        # Once final, a proposal's own deadline is in no hash any more.
        assert done.returncode == (0 if kind == "Proposed" else 1), kind + done.stdout + done.stderr


class Calamity(Demo):
    """Every honest verifier refutes in slices; the first to challenge dies right after."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.victims: list[Participant] = []
        for person in self.cast:
            if person.role is Role.VERIFIER and person.strategy == "honest":
                person.strategy = "own_attacks:Thorough"

    def _saw(self, event: Event) -> None:
        if isinstance(event, Challenged) and not self.victims:
            [victim] = [p for p in self.cast if bytes.fromhex(p.account.address[2:]) == event.challenger]
            assert victim.process is not None
            victim.process.kill()
            victim.process.wait()
            self.victims.append(victim)
            self._start(victim)


def test_killed_while_refuting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nobody else to do it: the process goes on where it was, and the round settles as it should."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    plan = Plan(
        task="digits",
        rounds=4,
        trainers=2,
        verifiers=2,
        adversaries=(),
        bad_verifiers=(),
        seed=0,
        out=tmp_path / "out",
        quiet=True,
        propose=True,
    )
    demo = Calamity(plan.check())
    result = demo.play()
    assert not result.failures
    [victim] = demo.victims
    ledger = ledger_of(tmp_path / "out")
    caught = [event.challenger for event, _ in ledger.refuted]
    assert caught and set(caught) == {bytes.fromhex(victim.account.address[2:])}
    chain = RecordedChain(tmp_path / "out" / "chain.json")
    challenges = [event for event in chain.events(chain.run) if isinstance(event, Challenged)]
    assert len(challenges) == len(ledger.refuted)  # none twice
    assert all(round_.settled for round_ in ledger.rounds)
    log = (tmp_path / "out" / "logs" / f"{victim.slug}.log").read_text()
    assert "Traceback" not in log and "Refute" in log
