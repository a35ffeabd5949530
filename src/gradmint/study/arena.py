"""One run of honest trainers and a coalition of attackers, through the real codec, checks, values and settlement.

Everything but the training's order of additions is the protocol's own code: updates are quantised, checked, compared
for duplicates, valued at the midpoint and on a sample of the trainer's shard, audited at the manifest's rate, settled
by :func:`gradmint.spec.mechanism.settle` from one honest verifier's report (its medians are it), and averaged by the
outer step. Where the data are skewed a trainer's shard is drawn from its own part of them instead of from all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import count

import torch
from torch import Tensor

from ..learn import outer, proof
from ..learn.aggregate import AggregationSpec, Dense, aggregate
from ..learn.assess import draw, midpoint_of, sampled_trainers, scales_of
from ..learn.checks import Checked, mark_duplicates
from ..learn.codec import Update, approximate_each
from ..learn.manifest import Manifest, preset
from ..learn.shards import assigned_indices
from ..learn.state import Network, State, initial_state
from ..learn.tasks import Batch
from ..learn.tasks.digits import DigitsTask, read_scans
from ..learn.train import compress_each
from ..learn.units import loss_micronats, micronats
from ..spec.agreement import accepted
from ..spec.errors import NotFinite
from ..spec.mechanism import is_banned, round_budget_wei, settle
from ..spec.params import STANDARD
from ..spec.seeds import derive, draw_distinct
from ..spec.types import ABSENT_ROW, BPS, UNSAMPLED, Report, Role, Row, Standing, Verdict
from .attacks import ATTACKS, Attack, View
from .held import Held
from .partition import dirichlet
from .peers import Peers

ROOT = b"gradmint attack table".ljust(32, b"\0")
TASK = "digits"
DEFAULT = "default"
#: What may make one step of the round's updates: the rule, and what happens to them before it.
RULES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    DEFAULT: ("mean", ("norm-bound", "score-gate")),
    "score gate": ("mean", ("score-gate",)),
    "norm bound": ("mean", ("norm-bound",)),
    "mean": ("mean", ()),
    "trimmed mean": ("trimmed-mean", ()),
    "median": ("median", ()),
    "geometric median": ("geometric-median", ()),
    "Krum": ("krum", ()),
    "Multi-Krum": ("multi-krum", ()),
    "CenteredClip": ("centered-clip", ()),
    "MoNNA": ("monna", ()),
    "Flag": ("flag", ()),
    "GAS": ("gas", ()),
    "sign majority": ("sign-majority", ()),
    "NNM, trimmed mean": ("trimmed-mean", ("nnm",)),
    "NNM, geometric median": ("geometric-median", ("nnm",)),
    "gate, NNM, geo. median": ("geometric-median", ("norm-bound", "score-gate", "nnm")),
}
DECLARING = {"trimmed-mean", "krum", "multi-krum", "monna", "gas", "nnm"}
IID, DIRICHLET = "iid", "dirichlet"
ALPHA = 0.3  # of the Dirichlet distribution: most peers see two or three of the ten digits
BUDGET_WEI = 10**24
STAKE_WEI = 10**18
LAST_ROUNDS = 4  # whose models' accuracies are averaged


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One run. ``attack`` is a name of ATTACKS, or empty for nobody's; ``rule`` one of RULES, told of ``attackers``."""

    attack: str = ""
    rule: str = DEFAULT
    attackers: int = 0
    skew: str = IID
    seed: int = 0
    peers: int = 16
    rounds: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run, by round and by seat."""

    accuracies: tuple[float, ...]  # of the model after each round, on held-out digits
    paid_wei: tuple[int, ...]  # each trainer's, in all
    passed: tuple[tuple[int, ...], ...]  # whose updates had positive value: those that a gate lets into the model
    verdicts: tuple[tuple[Verdict, ...], ...]
    proof: tuple[float, ...]  # at the end

    @property
    def accuracy(self) -> float:
        """Mean over the last rounds' models."""
        return sum(self.accuracies[-LAST_ROUNDS:]) / len(self.accuracies[-LAST_ROUNDS:])


def seats_of(setting: Setting) -> tuple[int, ...]:
    """The coalition's seats, drawn by the seed; a smaller one's are the first of a larger one's."""
    draws = draw_distinct(_beacon(setting.seed, "seats"), setting.peers, setting.peers)
    return tuple(draws[: setting.attackers])


@lru_cache(maxsize=1)
def task() -> DigitsTask:
    return DigitsTask(read_scans())


@lru_cache(maxsize=64)
def plain(seed: int) -> Manifest:
    """The preset, without exact checks: they touch no report."""
    manifest = preset(TASK, seed)
    return replace(manifest, assessment=replace(manifest.assessment, exact_votes=0))


@lru_cache(maxsize=256)
def recipe(rule: str, attackers: int, peers: int, seed: int) -> Manifest:
    """The preset with a rule that is told how many of so many peers attack."""
    name, pre = RULES[rule]
    byzantine_bps = -(-attackers * BPS // peers)
    return replace(plain(seed), aggregation=AggregationSpec(rule=name, pre=pre, byzantine_bps=byzantine_bps)).check()


def declares(rule: str) -> bool:
    """Whether the rule is told how many attackers to expect."""
    name, pre = RULES[rule]
    return name in DECLARING or bool(DECLARING.intersection(pre))


@lru_cache(maxsize=8)
def _parts(seed: int, peers: int) -> tuple[tuple[int, ...], ...]:
    """Every peer's part of skewed data: the first deal that leaves nobody with less than an eighth of an even share."""
    _, labels = task().batch(range(task().samples))
    for deal in count():
        parts = dirichlet(labels.numpy(), peers, ALPHA, seed + (deal << 32))
        if min(map(len, parts)) * peers * 8 >= task().samples:
            return tuple(tuple(part.tolist()) for part in parts)
    raise AssertionError


@lru_cache(maxsize=1_024)
def _beacon(seed: int, purpose: str, round_: int = 0) -> bytes:
    return derive(derive(ROOT, "seed", seed), purpose, round_)


@lru_cache(maxsize=4_096)
def shard(seed: int, skew: str, peers: int, round_: int, trainer: int) -> tuple[int, ...]:
    """Sample indices in training order: the protocol's where data are alike, else a draw from the trainer's part."""
    manifest, beacon = plain(seed), _beacon(seed, "training", round_)
    if skew == IID:
        return tuple(assigned_indices(task(), manifest, beacon, trainer))
    part = _parts(seed, peers)[trainer]
    return tuple(part[i] for i in draw_distinct(derive(beacon, "shard", trainer), manifest.training.shard, len(part)))


@lru_cache(maxsize=256)
def _walks(seed: int, skew: str, peers: int, round_: int) -> Tensor:
    return Peers(task(), plain(seed)).walks([shard(seed, skew, peers, round_, i) for i in range(peers)])


@lru_cache(maxsize=4_096)
def _assigned_sample(seed: int, skew: str, peers: int, round_: int, trainer: int) -> tuple[int, ...]:
    own = shard(seed, skew, peers, round_, trainer)
    drawn = derive(_beacon(seed, "assessment", round_), "assigned sample", trainer)
    return tuple(own[i] for i in draw_distinct(drawn, plain(seed).assessment.assigned_samples, len(own)))


@lru_cache(maxsize=32)
def _common(seed: int, round_: int) -> Batch:
    one, other = draw(task(), plain(seed).assessment, _beacon(seed, "assessment", round_)).halves
    return task().batch((*one, *other))


@lru_cache(maxsize=256)
def _sampled(seed: int, peers: int, round_: int) -> tuple[int, ...]:
    return tuple(sampled_trainers(plain(seed), _beacon(seed, "assessment", round_), peers))


@lru_cache(maxsize=8)
def _first(seed: int, skew: str, peers: int) -> tuple[Tensor, tuple[Held, ...], Tensor]:
    """The first round's training where everyone is honest: the same whatever the rule. Pseudo-gradients float32 [n, d],
    updates, and residuals float32 [n, d]."""
    manifest = plain(seed)
    deltas = Peers(task(), manifest).train(initial_state(task(), manifest).theta, _walks(seed, skew, peers, 0))
    updates, residuals = compress_each(deltas, None, manifest)
    return deltas, tuple(map(Held, updates)), residuals


class Arena:
    """A run that can be played round by round."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.manifest = recipe(setting.rule, setting.attackers, setting.peers, setting.seed)
        self.peers = Peers(task(), self.manifest)
        self.network = Network(task(), self.manifest.task.seed)
        self.state: State = initial_state(task(), self.manifest)
        self.loss_nats, self.accuracy = self.peers.validate(self.state.theta)  # of the model on held-out digits
        self.attack: Attack | None = ATTACKS[setting.attack] if setting.attack else None
        self.members = seats_of(setting) if self.attack else ()
        self.honest = [i for i in range(setting.peers) if i not in self.members]
        self.draws = torch.Generator().manual_seed(setting.seed)
        self.residuals: Tensor | None = None  # of the honest, a row each
        self.previous: dict[int, Update] = {}
        self.past: list[Tensor] = []
        self.best: list[int] = []
        self.models = [self.state.theta]
        self.trainers: Sequence[Standing] = [
            Standing(i.to_bytes(20, "big"), Role.TRAINER) for i in range(setting.peers)
        ]
        self.verifiers: Sequence[Standing] = [Standing(bytes(19) + b"\xff", Role.VERIFIER)]
        self.unpaid_wei = BUDGET_WEI

    def play(self, round_: int) -> tuple[Report, tuple[int, ...]]:
        """Round ``round_``, from 0: the report it is settled by, and whose updates a gate lets into the model."""
        setting, manifest = self.setting, self.manifest
        barred = {i for i, standing in enumerate(self.trainers) if is_banned(standing, round_ + 1)}
        updates = self.updates(round_)
        self.past.append(torch.stack([updates[i].dense() for i in range(setting.peers)]))
        # Honest updates first: who copies one of the same round has to wait for it.
        order = [i for i in (*self.honest, *self.members) if i not in barred]
        checked = mark_duplicates({i: inspected(updates[i], manifest) for i in order}, order, self.previous, manifest)
        valid = {i: item.update for i, item in sorted(checked.items()) if item.update is not None}
        report = self.report(round_, checked, valid, self.unproven(round_, order))
        budget_wei = round_budget_wei(self.unpaid_wei, round_ + 1, setting.rounds)
        settlement = settle(STANDARD, round_ + 1, budget_wei, self.trainers, self.verifiers, [STAKE_WEI], [report])
        steps = tuple(i for i in accepted(settlement.consensus, barred) if i in valid)
        self.best.append(max(range(setting.peers), key=lambda i: report.rows[i].gain_micronats))
        self.trainers, self.verifiers = settlement.trainers, settlement.verifiers
        self.unpaid_wei -= settlement.paid_wei
        self.previous = valid
        self.state = outer.advance(manifest, self.state, valid, steps)
        self.loss_nats, self.accuracy = self.peers.validate(self.state.theta)
        self.models.append(self.state.theta)
        return report, steps

    def updates(self, round_: int) -> list[Update]:
        """What each seat publishes."""
        deltas, honest = self.work(round_)
        updates: dict[int, Update] = dict(zip(self.honest, honest, strict=True))
        if self.attack:
            rows = self.attack.forge(self.view(round_, updates, deltas))
            updates |= zip(self.members, self.published(rows), strict=True)
        return [updates[i] for i in range(self.setting.peers)]

    def work(self, round_: int) -> tuple[Tensor, Sequence[Update]]:
        """Each seat's pseudo-gradient, float32 [n, d], zeros of who does not train; and the honest seats' updates."""
        setting, attack = self.setting, self.attack
        flipped = self.members if attack and attack.flips else ()
        thin = self.members if attack and attack.thin else ()
        if round_ == 0 and not flipped and not thin:
            deltas, updates, residuals = _first(setting.seed, setting.skew, setting.peers)
            self.residuals = residuals[self.honest]
            return deltas, [updates[i] for i in self.honest]
        places = _walks(setting.seed, setting.skew, setting.peers, round_)
        idle = () if thin else self.idle(round_)
        if idle:
            busy = [i for i in range(setting.peers) if i not in idle]
            deltas = torch.zeros(setting.peers, len(self.state.theta))
            deltas[busy] = self.peers.train(self.state.theta, places[busy])
        else:
            deltas = self.peers.train(self.state.theta, places, flipped, thin)
        found, self.residuals = compress_each(deltas[self.honest], self.residuals, self.manifest)
        return deltas, [Held(update) for update in found]

    def published(self, rows: Tensor) -> list[Held]:
        """What the codec makes of float32 rows [n, d]."""
        return [Held(update) for update in approximate_each(rows, self.manifest.codec.table(rows.shape[1]))]

    def view(self, round_: int, honest: Mapping[int, Update], deltas: Tensor) -> View:
        rate = outer.outer_rate(self.manifest, self.state.round)
        rows = torch.stack([honest[i].dense() for i in self.honest])

        @cache
        def slope() -> Tensor:
            middle = self.state.theta - rows.mean(0) * (rate / 2)
            return self.peers.slopes(middle, [range(task().samples)])[0]

        return View(
            round=round_,
            rounds=self.setting.rounds,
            honest=rows,
            own=deltas[list(self.members)],
            past=self.past,
            seats=self.members,
            best=self.best,
            models=self.models,
            draws=self.draws,
            publish=lambda given: torch.stack([update.dense() for update in self.published(given)]),
            combine=lambda given: self.combine(given, slope()),
            slope=slope,
        )

    def combine(self, rows: Tensor, slope: Tensor) -> Tensor:
        """What the rule makes of dense rows [n, d], as well as a coalition can tell before the round is valued."""
        spec = self.manifest.aggregation
        valued = torch.nonzero(rows @ slope > 0)[:, 0].tolist()
        given, kept = Dense.of(rows)
        assert given is not None and len(kept) == len(rows)
        return torch.from_numpy(aggregate(given, spec, valued).vector)

    def idle(self, round_: int) -> Sequence[int]:
        """Seats that have no training of their own shard to show."""
        attack = self.attack
        if attack is None or attack.idle_from is None or round_ < attack.idle_from:
            return ()
        return self.members[1:] if attack.one_machine and not attack.thin else self.members

    def unproven(self, round_: int, submitted: Collection[int]) -> list[int]:
        """Of those whom the beacon audits, the idle ones."""
        idle, spec = self.idle(round_), self.manifest
        if not idle:
            return []
        beacon = _beacon(self.setting.seed, "hold", round_)
        audited = proof.audits(beacon, submitted, spec.assessment.audited_trainers, spec.training.intervals)
        return [i for i in idle if i in audited]

    def report(
        self, round_: int, checked: Mapping[int, Checked], valid: Mapping[int, Update], unproven: Collection[int]
    ) -> Report:
        """The rows of :func:`gradmint.learn.assess.assess`, with all shards' gradients in one batch; no words."""
        setting, manifest = self.setting, self.manifest
        common: dict[int, float] = {}
        assigned: dict[int, float] = {}
        if valid:
            scales = scales_of(manifest, self.state, valid)
            midpoint = midpoint_of(manifest, self.state, valid)
            self.network.theta.copy_(midpoint)
            slope = self.network.gradient(_common(setting.seed, round_))
            common = {i: update.inner(slope) * scales[i] for i, update in valid.items()}
            sampled = [i for i in _sampled(setting.seed, setting.peers, round_) if i in valid]
            samples = [
                _assigned_sample(setting.seed, setting.skew, setting.peers, round_, trainer) for trainer in sampled
            ]
            slopes = self.peers.slopes(midpoint, samples)
            assigned = {i: valid[i].inner(own) * scales[i] for i, own in zip(sampled, slopes, strict=True)}
        rows = []
        for i in range(setting.peers):
            found = checked.get(i)
            if found is None:
                rows.append(ABSENT_ROW)
            elif i not in valid:
                rows.append(Row(found.verdict, 0, UNSAMPLED))
            elif i in unproven:
                rows.append(Row(Verdict.UNPROVEN, 0, UNSAMPLED))
            else:
                own = micronats(assigned[i]) if i in assigned else UNSAMPLED
                rows.append(Row(Verdict.OK, micronats(common[i]), own))
        return Report(
            loss_micronats=loss_micronats(self.loss_nats), words=(0,) * manifest.assessment.words, rows=tuple(rows)
        )


def inspected(update: Update, manifest: Manifest) -> Checked:
    """What :func:`gradmint.learn.checks.check` says of an update whose bytes are in order."""
    try:
        norm = update.norm()
    except NotFinite as error:
        return Checked(verdict=Verdict.NOT_FINITE, reason=str(error), update=None, header=None)
    if norm > manifest.codec.max_norm:
        return Checked(verdict=Verdict.OVER_NORM, reason=f"norm {norm:.6g}", update=None, header=None)
    return Checked(verdict=Verdict.OK, reason="", update=update, header=None)


def play(setting: Setting) -> Outcome:
    """A whole run; a function of its setting alone."""
    arena = Arena(setting)
    accuracies, steps, verdicts = [], [], []
    for round_ in range(setting.rounds):
        report, positive = arena.play(round_)
        accuracies.append(arena.accuracy)
        steps.append(positive)
        verdicts.append(tuple(row.verdict for row in report.rows))
    return Outcome(
        accuracies=tuple(accuracies),
        paid_wei=tuple(standing.paid_wei for standing in arena.trainers),
        passed=tuple(steps),
        verdicts=tuple(verdicts),
        proof=tuple(standing.proof_q32 / 2**32 for standing in arena.trainers),
    )
