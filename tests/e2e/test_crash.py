"""Each role is killed (SIGKILL) at each phase and started again: no salt lost, nothing said twice, rounds settle."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradmint.cli.demo import Demo, Participant, Plan
from gradmint.ports.recorded_chain import RecordedChain
from gradmint.roles.follower import Follower
from gradmint.spec.events import Event, PhaseOpened
from gradmint.spec.types import Phase, Role, Verdict

pytestmark = pytest.mark.xdist_group("crash")

TRAINERS, VERIFIERS = 3, 4
#: The phase at whose opening participants die, by round. In SETTLE the verifier whose turn it is to settle dies.
DEATHS = {2: Phase.TRAIN, 3: Phase.HOLD, 4: Phase.COMMIT, 5: Phase.REVEAL, 6: Phase.SETTLE}
ROUNDS = max(DEATHS)


class Calamity(Demo):
    """A demo in which a trainer and a verifier die at a phase of every round, and come back."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.deaths: list[tuple[int, Phase, str]] = []

    def _saw(self, event: Event) -> None:
        if isinstance(event, PhaseOpened) and DEATHS.get(event.round) is event.phase:
            for person in (self._find(Role.TRAINER, 0), self._find(Role.VERIFIER, event.round % VERIFIERS)):
                assert person.process is not None
                person.process.kill()
                person.process.wait()
                self._start(person)
                self.deaths.append((event.round, event.phase, person.name))

    def _find(self, role: Role, number: int) -> Participant:
        return next(person for person in self.cast if person.role is role and person.number == number)


def test_every_role_survives_every_phase(tmp_path: Path) -> None:
    demo = Calamity(
        Plan(
            task="digits",
            rounds=ROUNDS,
            trainers=TRAINERS,
            verifiers=VERIFIERS,
            adversaries=(),
            bad_verifiers=(),
            seed=0,
            out=tmp_path / "out",
            quiet=True,
        ).check()
    )
    result = demo.play()
    assert not result.failures
    assert len(demo.deaths) == 2 * len(DEATHS)

    chain = RecordedChain(tmp_path / "out" / "chain.json")
    ledger = Follower(chain, chain.run).ledger
    assert len(ledger.rounds) == ROUNDS
    for round_ in ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None, f"round {round_.number}"
        assert [submission.trainer for submission in round_.submissions].count(0) == 1
        assert round_.commits.keys() == round_.reveals.keys() == set(range(VERIFIERS))
        assert all(row.verdict is Verdict.OK for row in round_.settlement.consensus.rows)
        assert set(round_.settlement.consensus.cluster) == set(range(VERIFIERS))
    logs = "".join(path.read_text() for path in (tmp_path / "out" / "logs").iterdir())
    assert "AlreadyActed" not in logs
    assert "Traceback" not in logs
