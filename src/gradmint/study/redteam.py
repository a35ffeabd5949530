"""Every attack against what decides: one verifier, two of three, and the protocol's committee.

A report is called wrong by lying beyond ``accept_bits``, and by being left out of the cluster; a trainer by UNPROVEN,
in a verifier's row and in the committee's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..learn.manifest import Manifest
from ..learn.numerics import Numerics
from ..learn.signature import distance_bits
from ..spec.agreement import agree
from ..spec.transcript import commitment
from ..spec.types import UNSAMPLED, Consensus, Report, Row, Verdict
from .audits import Audit
from .calibration import Calibration, calibrate, narrowed
from .evidence import Words
from .findings import Rate
from .samples import Collected, Plan, Sample, collect
from .tolerances import cheats_of, narrowed_audits

TRIO = 3
STAKE_WEI = 10**18
FLOAT32_WIDTH = 1e-4  # radians: a hundred times float32's own noise, a hundredth of bfloat16's


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """How often a suspect was called wrong: by one honest verifier; by two of three independent ones; by the
    protocol's own agreement, of those three and the suspect on a report, of all the audit's verifiers on a trainer."""

    one: Rate
    three: Rate
    quorum: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack(Decisions):
    """One cheat, over all scenes. Decisions of one scene share their evidence: ``scenes`` counts each once, as caught
    if every two of three catch it."""

    name: str
    scenes: Rate

    @property
    def caught(self) -> bool:
        """In every decision of two of three, of which there was one: a policy of few configurations may have none."""
        return self.three.hits == self.three.trials > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An attack whose outcome follows from the rules alone."""

    name: str
    outcome: str
    caught: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RedTeam:
    """All attacks under one policy and its thresholds."""

    policy: str
    limits: Mapping[str, int]  # by name
    alarms: Decisions  # honest suspects called wrong
    alarm_scenes: Rate  # scenes in which two of three did so; of audits those in which anybody did
    attacks: tuple[Attack, ...]
    rules: tuple[Rule, ...]

    def as_object(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def caught(self) -> list[str]:
        """Attacks that were caught, and rules that hold."""
        found = [attack.name for attack in self.attacks if attack.caught]
        return sorted(found + [rule.name for rule in self.rules if rule.caught])


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One policy: its thresholds, and the attacks on reports and on trainers' work."""

    policy: str
    calibration: Calibration
    teams: tuple[RedTeam, ...]


def strict(manifest: Manifest) -> Manifest:
    """The same number of words for float32 alone, the last of them a precision word: how far from honest rounding."""
    assessment = replace(manifest.assessment, precision_words=1, precision_width=FLOAT32_WIDTH)
    numerics = replace(manifest.numerics, admitted=float32_alone(manifest.numerics.admitted))
    return replace(manifest, assessment=assessment, numerics=numerics).check()


def play(
    manifest: Manifest, calibrating: Plan, attacking: Plan, path: Path, tick: Callable[[str], None] = lambda _: None
) -> list[Played]:
    """Thresholds from the scenes of one plan, attacks on those of another, samples of both in ``path``: under the
    manifest's policy, and as :func:`strict` has it, which needs a policy without precision words that admits float32.
    Raises what ``collect`` does.
    """
    words = manifest.assessment.words
    policies = [("as admitted", manifest, tuple(range(words)))]
    if not manifest.assessment.precision_words and float32_alone(manifest.numerics.admitted):
        # Fewer words are the first of more: signed once, with a word more, and read as either policy has them.
        policies.append(("float32 alone", strict(manifest), (*range(words - 1), words)))
        longer = replace(strict(manifest).assessment, words=words + 1)
        manifest = replace(manifest, assessment=longer)
    measured, tested = collect(manifest, (calibrating, attacking), path, tick)
    played = []
    for policy, own, places in policies:
        known, fresh = (_as(whole, own, places) for whole in (measured, tested))
        calibration = calibrate(own, known)
        report, tolerances = calibration.report, calibration.training.by_name
        played.append(
            Played(
                policy=policy,
                calibration=calibration,
                teams=(
                    attack(
                        f"report, {policy}",
                        fresh.reports,
                        {"accept_bits": report.accept_bits, "slash_bits": report.slash_bits},
                        fresh.honest_reports,
                    ),
                    audited(f"training, {policy}", fresh.audits, tolerances, fresh.honest_audits),
                ),
            )
        )
    return played


def _as(whole: Collected, manifest: Manifest, places: Sequence[int]) -> Collected:
    admitted = manifest.numerics.admitted
    return Collected(
        reports=tuple(narrowed(whole.reports, admitted, places)),
        audits=tuple(narrowed_audits(whole.audits, admitted)),
        honest_reports=tuple(narrowed(whole.honest_reports, admitted, places)),
        honest_audits=tuple(narrowed_audits(whole.honest_audits, admitted)),
    )


def attack(
    policy: str, samples: Sequence[Sample], limits: Mapping[str, int], more_honest: Sequence[Sample] = ()
) -> RedTeam:
    """Reports, others than the limits were made from, with four honest configurations each.

    ``more_honest`` are samples without cheats, for false alarms alone.
    """
    accept = limits["accept_bits"]
    honest = [list(_honest_trials(sample, accept)) for sample in (*samples, *more_honest)]
    rows = []
    for name in samples[0].cheats:
        tried = [list(_trials(list(sample.honest.values()), sample.cheats[name], accept)) for sample in samples]
        decided = _decisions(tried)
        rows.append(
            Attack(name=name, **decided, scenes=Rate.of(all(three for _, three, _ in scene) for scene in tried))
        )
    return RedTeam(
        policy=policy,
        limits=limits,
        alarms=Decisions(**_decisions(honest)),
        alarm_scenes=Rate.of(any(three for _, three, _ in scene) for scene in honest),
        attacks=tuple(rows),
        rules=rules(samples[0], accept),
    )


def audited(
    policy: str, audits: Sequence[Audit], tolerances: Mapping[str, int], more_honest: Sequence[Audit] = ()
) -> RedTeam:
    """Audits, others than the tolerances were made from. Honest trainers are those of ``more_honest`` as well, of which
    a verifier compares every interval; whom fewer than three compared, no three decided on, and no scene counts."""
    rows = []
    for name in cheats_of(audits):
        said = [[one.ratio(tolerances) > 1 for one in audit.cheats[name]] for audit in audits if name in audit.cheats]
        scenes = Rate.of(all(decided) for decided in map(_trios, said) if decided)
        rows.append(Attack(name=name, **_verdicts(said), scenes=scenes))
    honest = [[one.ratio(tolerances) > 1 for one in audit.honest] for audit in (*audits, *more_honest) if audit.honest]
    together = [_by_verifier(audit, tolerances) for audit in audits]
    return RedTeam(
        policy=policy,
        limits=tolerances,
        alarms=Decisions(**{**_verdicts(together), "one": Rate.of(vote for votes in honest for vote in votes)}),
        alarm_scenes=Rate.of(any(votes) for votes in honest),
        attacks=tuple(rows),
        rules=(),
    )


def _by_verifier(audit: Audit, tolerances: Mapping[str, int]) -> list[bool]:
    """Whom the honest trainer failed to convince, of its interval or of its claims."""
    verifiers = list(dict.fromkeys(one.checked for one in audit.honest))
    return [any(one.ratio(tolerances) > 1 for one in audit.honest if one.checked == name) for name in verifiers]


def _verdicts(audits: Sequence[Sequence[bool]]) -> dict[str, Rate]:
    return {
        "one": Rate.of(vote for votes in audits for vote in votes),
        "three": Rate.of(three for votes in audits for three in _trios(votes)),
        "quorum": Rate.of(_unproven(votes) for votes in audits if votes),
    }


def _trios(votes: Sequence[bool]) -> list[bool]:
    """Each verifier with the two after it."""
    if len(votes) < TRIO:
        return []
    return [2 * sum(votes[(place + i) % len(votes)] for i in range(TRIO)) > TRIO for place in range(len(votes))]


def _unproven(votes: Sequence[bool]) -> bool:
    """The committee's verdict on a trainer of whom its members say UNPROVEN or OK, and agree on all else."""
    rows = [Row(Verdict.UNPROVEN, 0, UNSAMPLED) if vote else Row(Verdict.OK, 1, UNSAMPLED) for vote in votes]
    reports = [Report(loss_micronats=0, words=(0,), rows=(row,)) for row in rows]
    consensus = agree([STAKE_WEI] * len(votes), reports, 0)
    return consensus is not None and consensus.rows[0].verdict is Verdict.UNPROVEN


Trial = tuple[tuple[bool, ...], bool, bool]  # each of three verifiers, two of them, out of the cluster: called wrong


def _decisions(scenes: Sequence[Sequence[Trial]]) -> dict[str, Rate]:
    trials = [trial for scene in scenes for trial in scene]
    return {
        "one": Rate.of(vote for votes, _, _ in trials for vote in votes),
        "three": Rate.of(three for _, three, _ in trials),
        "quorum": Rate.of(out for _, _, out in trials),
    }


def _honest_trials(sample: Sample, accept: int) -> Iterator[Trial]:
    """Each honest configuration as the suspect of the three that follow it."""
    words = list(sample.honest.values())
    for place, suspect in enumerate(words):
        yield _trial([words[(place + 1 + i) % len(words)] for i in range(TRIO)], suspect, accept)


def _trials(honest: Sequence[Words], suspect: Words, accept: int) -> Iterator[Trial]:
    for place in range(len(honest)):
        yield _trial([honest[(place + i) % len(honest)] for i in range(TRIO)], suspect, accept)


def _trial(judges: Sequence[Words], suspect: Words, accept: int) -> Trial:
    votes = tuple(distance_bits(judge, suspect) > accept for judge in judges)
    consensus = committee([*judges, suspect], accept)
    return votes, 2 * sum(votes) > len(votes), consensus is not None and TRIO not in consensus.cluster


def committee(signed: Sequence[Words], accept: int) -> Consensus | None:
    """What verifiers of equal stake agree on, by the function that the contract re-executes."""
    reports = [Report(loss_micronats=0, words=words, rows=()) for words in signed]
    return agree([STAKE_WEI] * len(signed), reports, accept)


def rules(sample: Sample, accept: int) -> tuple[Rule, ...]:
    """Collusion, chaining and copies, on one scene's words."""
    honest = list(sample.honest.values())
    bent = sample.cheats["made up"]
    return (
        _collusion("colluding pair of 7", honest, bent, 2, accept, "honest cluster", "the pair is out and unpaid"),
        _collusion("colluding pair of 8", honest, bent, 2, accept, "honest cluster", "the pair is out and slashed"),
        _collusion("colluding 3 of 7", honest, bent, 3, accept, "void", "no quorum: nobody is paid"),
        _collusion("colluding 5 of 7, above quorum", honest, bent, 5, accept, "honest cluster", ""),
        _chaining(honest[0], accept),
        *_commitments(honest[0], bent),
    )


def _collusion(
    name: str, honest: Sequence[Words], bent: Words, colluders: int, accept: int, wanted: str, said: str
) -> Rule:
    size = int(name.split(" of ")[1].split(",")[0])
    signed = [honest[i % len(honest)] for i in range(size - colluders)] + [bent] * colluders
    consensus = committee(signed, accept)
    if consensus is None:
        found = "void"
    else:
        found = "honest cluster" if max(consensus.cluster) < size - colluders else "colluders' cluster"
    caught = found == wanted and ("slashed" not in said or (consensus is not None and consensus.unanimous))
    return Rule(name=name, outcome=said if caught else f"{found}: they decide", caught=caught)


def _chaining(honest: Words, accept: int) -> Rule:
    """A pair in line: the first within reach of the honest, the second within reach of the first alone."""
    near, far = (_flipped(honest, min(bits, 256 * len(honest))) for bits in (accept, 2 * accept + 1))
    consensus = committee([honest] * 5 + [near, far], accept)
    caught = consensus is not None and 6 not in consensus.cluster
    return Rule(name="colluding pair in a chain", outcome="neighbours of neighbours do not count", caught=caught)


def _flipped(words: Words, bits: int) -> Words:
    flipped = list(words)
    for bit in range(bits):
        flipped[bit // 256] ^= 1 << bit % 256
    return tuple(flipped)


def _commitments(honest: Words, bent: Words) -> tuple[Rule, ...]:
    """A commitment names its sender and its report: another's does not open, nor does another report."""
    salt, rounds, (victim, thief) = b"\x05" * 32, b"\x52" * 20, (b"\xa1" * 20, b"\xb2" * 20)

    def seal(words: Words, account: bytes, round_: int = 1) -> bytes:
        report = Report(loss_micronats=0, words=words, rows=()).pack()
        return commitment(1, rounds, 1, round_, account, Report.hash(report, len(words)), salt)

    theirs = seal(honest, victim)
    return (
        Rule(
            name="copied commitment",
            outcome="does not open under the thief's account",
            caught=seal(honest, thief) != theirs,
        ),
        Rule(
            name="report copied after its reveal",
            outcome="is not what was committed",
            caught=seal(honest, thief) != seal(bent, thief),
        ),
        Rule(
            name="commitment of the round before",
            outcome="does not open in this round",
            caught=seal(honest, thief, 2) != seal(honest, thief),
        ),
    )


def float32_alone(admitted: Sequence[str]) -> tuple[str, ...]:
    """The part of a policy that computes in float32."""
    return tuple(name for name in admitted if Numerics.parse(name).dtype == "float32")
