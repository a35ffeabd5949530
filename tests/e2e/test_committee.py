"""On Anvil: drawn committees without a quorum, everyone called in, verifiers killed (SIGKILL) in the second attempt."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gradmint.cli.demo import Demo, Participant, Plan
from gradmint.ports.recorded_chain import RecordedChain
from gradmint.roles.follower import Follower
from gradmint.spec.events import Event, Expanded, PhaseOpened
from gradmint.spec.params import Params
from gradmint.spec.types import Phase, Role, Verdict

pytestmark = pytest.mark.xdist_group("committee")

TRAINERS, VERIFIERS, COMMITTEE = 3, 5, 3
#: The phase of the second attempt at whose opening two verifiers die, by round: one who was drawn, one who was not.
DEATHS = {1: Phase.COMMIT, 2: Phase.REVEAL, 3: Phase.SETTLE}
ROUNDS = max(DEATHS)


class Divided(Demo):
    """No drawn committee agrees; when everyone is called in, a verifier of each kind dies and comes back."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.expanded: dict[int, int] = {}
        self.drawn: dict[int, set[int]] = {}
        self.deaths: list[tuple[int, Phase, int]] = []

    def _params(self) -> Params:
        return replace(super()._params(), committee=COMMITTEE)

    def _saw(self, event: Event) -> None:
        if isinstance(event, Expanded):
            self.expanded[event.round] = event.active
            if DEATHS[event.round] is Phase.COMMIT:
                self._kill(event.round, Phase.COMMIT)
        elif isinstance(event, PhaseOpened) and event.round in self.expanded and DEATHS[event.round] is event.phase:
            self._kill(event.round, event.phase)

    def _kill(self, number: int, phase: Phase) -> None:
        for verifier in (number % VERIFIERS, (number + 2) % VERIFIERS):
            person = self._verifier(verifier)
            assert person.process is not None
            person.process.kill()
            person.process.wait()
            self._start(person)
            self.deaths.append((number, phase, verifier))

    def _verifier(self, number: int) -> Participant:
        return next(person for person in self.cast if person.role is Role.VERIFIER and person.number == number)


def test_everyone_is_called_in_and_survives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.syspath_prepend(here)
    demo = Divided(
        Plan(
            task="digits",
            rounds=ROUNDS,
            trainers=TRAINERS,
            verifiers=VERIFIERS,
            adversaries=(),
            bad_verifiers=("own_attacks:Wavering",) * VERIFIERS,
            seed=0,
            out=tmp_path / "out",
            quiet=True,
        )
    )
    result = demo.play()
    assert not result.failures
    assert len(demo.deaths) == 2 * len(DEATHS)
    assert demo.expanded == dict.fromkeys(range(1, ROUNDS + 1), (1 << VERIFIERS) - 1)
    assert result.audit.ok and [round_.attempts for round_ in result.audit.rounds] == [2] * ROUNDS

    chain = RecordedChain(tmp_path / "out" / "chain.json")
    ledger = Follower(chain, chain.run).ledger
    for round_ in ledger.rounds:
        first = round_.first
        assert first is not None and first.active.bit_count() == COMMITTEE
        assert first.settlement is not None and first.settlement.consensus is None
        assert round_.commits.keys() == round_.reveals.keys() == set(range(VERIFIERS))
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert set(round_.settlement.consensus.cluster) == set(range(VERIFIERS))
        assert all(row.verdict is Verdict.OK for row in round_.settlement.consensus.rows)
    assert ledger.slashed_wei == {}
    assert "everyone called in" in result.report.read_text()
    logs = "".join(path.read_text() for path in (tmp_path / "out" / "logs").iterdir())
    assert "AlreadyActed" not in logs
    assert "Traceback" not in logs
