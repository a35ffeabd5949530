"""What trainers may send instead of their update: pure functions from what a coalition knows to the rows it publishes.

The coalition is omniscient where the literature's is: it sees this round's honest updates before it sends its own,
which commitments deny to everybody else. Rows are pseudo-gradients (start minus trained), so the model moves along
their negative. With mu and sigma the honest updates' mean and deviation in each coordinate, H honest, f attackers and
n = H + f peers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

DISGUISE = 0.35  # part of the coordinates that each of several copies leaves out: below the duplicates' threshold
ALIE_LEAST = 1.5  # deviations, ByzFL's default; the formula gives less, down to none, where attackers are few
STEALTHY, REVERSING = 0.5, 4.0  # of the inner product attack: within the honest spread; turns the mean of n round
NOISE = 10.0  # times the honest norm
EXPLOSION = 100.0
TRACE = 1e-6  # what a free-rider sends for nothing, so that it is no copy of another's nothing
FAINT, COPY_NOISE = 0.2, 0.5  # of a copy's own root mean square: where it has nothing; where it has something
OLD = 2  # rounds: the youngest replay that no check for duplicates compares
MARGINS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)  # parts of the honest value that a gated flip keeps: the first that passes
SEARCHED = tuple(0.5 * k for k in range(1, 9))  # deviations that the optimised attack tries


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the coalition knows when it has to send. All rows are float32 [., d]."""

    round: int  # from 0
    rounds: int  # in all
    honest: Tensor  # this round's honest updates as published
    own: Tensor  # the members' honest pseudo-gradients on their own shards
    past: Sequence[Tensor]  # what all n peers published in each earlier round, by seat
    seats: Sequence[int]  # the members'
    best: Sequence[int]  # the best-valued peer of each earlier round
    models: Sequence[Tensor]  # the global models up to this round's, [d] each
    draws: torch.Generator
    publish: Callable[[Tensor], Tensor]  # rows as the codec leaves them
    combine: Callable[[Tensor], Tensor]  # the run's rule: all published rows to the model's step
    slope: Callable[[], Tensor]  # gradient [d] of all data's loss at the honest updates' midpoint

    @property
    def members(self) -> int:
        return len(self.own)


Forge = Callable[[View], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """``idle_from``: from this round on the members do not train on their shards, which an audit finds; None: never."""

    name: str
    forge: Forge
    idle_from: int | None = None
    flips: bool = False  # ``own`` is trained on labels turned round
    one_machine: bool = False  # does the work of the coalition's first seat, and there is no other
    thin: bool = False  # each learns from its part of every batch only, so that all together do one machine's work
    helps: bool = False  # no harm and no fraud: shown for what it earns, and nothing is required of it

    @property
    def source(self) -> str:
        return " ".join((self.forge.__doc__ or "").split())


def disguised(row: Tensor, view: View) -> Tensor:
    """One row for all members, or one each, a part of the coordinates left out of each and the rest made longer: no two
    of them keep so many positions in common that they count as copies."""
    kept = torch.rand(view.members, row.shape[-1], generator=view.draws) >= DISGUISE
    rows: Tensor = row * kept / (1 - DISGUISE)
    return rows


def filled(rows: Tensor, view: View) -> Tensor:
    """Faint noise wherever a row has nothing: a part of what somebody published is a copy of it, unless the places it
    leaves free are taken by something else."""
    return rows + (rows == 0) * FAINT * _size(rows) * torch.randn(rows.shape, generator=view.draws)


def _size(rows: Tensor) -> float:
    """Root mean square of the values that are not zero."""
    return float(rows[rows != 0].square().mean().sqrt())


def _repeated(row: Tensor, view: View) -> Tensor:
    return row.expand(view.members, -1)


def _nothing(view: View) -> Tensor:
    return TRACE * torch.randn(view.own.shape, generator=view.draws)


def _spread(view: View) -> tuple[Tensor, Tensor]:
    return view.honest.mean(0), view.honest.std(0, correction=0)


def sign_flip(view: View) -> Tensor:
    """-u, each its own (Li et al., 2019)."""
    return -view.own


def alie(view: View) -> Tensor:
    """mu - z sigma, z = max(1.5, quantile((n - f - s) / (n - f))), s = floor(n / 2 + 1) - f (Baruch et al., 2019)."""
    mu, sigma = _spread(view)
    honest, members = len(view.honest), view.members
    supporters = (honest + members) // 2 + 1 - members
    part = min(max((honest - supporters) / honest, 1e-3), 1 - 1e-3)
    return disguised(mu - max(ALIE_LEAST, NormalDist().inv_cdf(part)) * sigma, view)


def ipm(view: View) -> Tensor:
    """-0.5 mu (inner product manipulation, Xie et al., 2020)."""
    return disguised(-STEALTHY * view.honest.mean(0), view)


def foe(view: View) -> Tensor:
    """-4 mu (fall of empires, Xie et al., 2020)."""
    return disguised(-REVERSING * view.honest.mean(0), view)


def optimised_alie(view: View) -> Tensor:
    """mu - z sigma with the z of 0.5 .. 4 that moves the rule's outcome furthest from mu (Shejwalkar and Houmansadr,
    2021)."""
    mu, sigma = _spread(view)

    def harm(z: float) -> float:
        rows = torch.cat([view.honest, _repeated(mu - z * sigma, view)])
        return float((view.combine(rows) - mu).norm())

    return disguised(mu - max(SEARCHED, key=harm) * sigma, view)


def label_flip(view: View) -> Tensor:
    """Training on 9 - digit (Tolpegin et al., 2020)."""
    return view.own


def mimic(view: View) -> Tensor:
    """The first honest update, so that it counts for many (Karimireddy et al., 2022), disguised."""
    return filled(disguised(view.honest[0], view), view)


def noise(view: View) -> Tensor:
    """Normal noise of ten times the honest norm."""
    scale = NOISE * float(view.honest.norm(dim=1).mean()) / math.sqrt(view.own.shape[1])
    return scale * torch.randn(view.own.shape, generator=view.draws)


def dmpa(view: View) -> Tensor:
    """-(U - v v'U), averaged: the members' updates U without what they have in common, v the top eigenvector of their
    correlations, turned round (DMPA, as its authors' code has it)."""
    rows = view.own.double()
    correlations = torch.corrcoef(rows).nan_to_num(0.0).view(len(rows), len(rows))
    common = torch.linalg.eigh(correlations).eigenvectors[:, -1]
    left = rows - torch.outer(common, common @ rows)
    return disguised(-left.mean(0).float(), view)


def gated_flip(view: View) -> Tensor:
    """-mu, bent along the gradient g until its value is positive: ((1 + m) <mu, g> / |g|^2) g - mu with the least m
    for which it is so behind the codec as well. Adaptive: against gates by value, with all of the data in hand."""
    mu, slope = view.honest.mean(0), view.slope()
    need = float(mu @ slope) / float(slope @ slope)
    rows = view.own
    for margin in MARGINS:
        rows = disguised(need * (1 + margin) * slope - mu, view)
        if bool((view.publish(rows) @ slope > 0).all()):
            break
    return rows


def sleeper(view: View) -> Tensor:
    """Honest for half of the rounds, then -u: how long a good standing pays for harm."""
    return view.own if view.round < view.rounds // 2 else -view.own


def zero(view: View) -> Tensor:
    """Nothing: noise of length a millionth."""
    return _nothing(view)


def replay(view: View) -> Tensor:
    """Two rounds of work, then what one published two rounds ago, for ever."""
    return view.own if view.round < OLD else view.past[-OLD][list(view.seats)]


def difference(view: View) -> Tensor:
    """The difference of the last two global models (Lin et al., 2019), disguised."""
    if len(view.models) < 2:
        return _nothing(view)
    return disguised(view.models[-2] - view.models[-1], view)


def _loot(view: View) -> Tensor | None:
    return view.past[-1][view.best[-1]] if view.past else None


def copy(view: View) -> Tensor:
    """The last round's most valuable update, as it is."""
    loot = _loot(view)
    return _nothing(view) if loot is None else _repeated(loot, view)


def noisy_copy(view: View) -> Tensor:
    """The last round's most valuable update, disguised, with noise of half its size at the positions it keeps."""
    loot = _loot(view)
    if loot is None:
        return _nothing(view)
    noise = COPY_NOISE * _size(loot) * (loot != 0) * torch.randn(view.own.shape, generator=view.draws)
    return filled(disguised(loot + noise, view), view)


def permuted_copy(view: View) -> Tensor:
    """The last round's most valuable update, its values in other places."""
    loot = _loot(view)
    if loot is None:
        return _nothing(view)
    return torch.stack([loot[torch.randperm(len(loot), generator=view.draws)] for _ in range(view.members)])


def split(view: View) -> Tensor:
    """One machine's update under every identity."""
    return _repeated(view.own[0], view)


def disguised_split(view: View) -> Tensor:
    """One machine's update under the first identity, and disguised under the others."""
    rows = disguised(view.own[0], view)
    rows[0] = view.own[0]
    return rows


def thin_split(view: View) -> Tensor:
    """One machine under every identity, each with its part of the batch on its own shard."""
    return view.own


def pooled(view: View) -> Tensor:
    """u plus the members' mean: colleagues who share what they found before they publish."""
    return view.own + view.own.mean(0)


def explosion(view: View) -> Tensor:
    """-100 u, for rules that bound no norm."""
    return -EXPLOSION * view.own


def not_a_number(view: View) -> Tensor:
    """u with one coordinate that is no number."""
    rows = view.own.clone()
    rows[:, 0] = math.nan
    return rows


ATTACKS: Mapping[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack(name="sign flip", forge=sign_flip),
        Attack(name="ALIE", forge=alie),
        Attack(name="IPM", forge=ipm),
        Attack(name="FOE", forge=foe),
        Attack(name="optimised ALIE", forge=optimised_alie),
        Attack(name="label flip", forge=label_flip, flips=True),
        Attack(name="mimic", forge=mimic),
        Attack(name="noise", forge=noise),
        Attack(name="DMPA", forge=dmpa),
        Attack(name="gated flip", forge=gated_flip),
        Attack(name="sleeper", forge=sleeper),
        Attack(name="zero", forge=zero, idle_from=0),
        Attack(name="replay", forge=replay, idle_from=OLD),
        Attack(name="model difference", forge=difference, idle_from=0),
        Attack(name="copy", forge=copy, idle_from=0),
        Attack(name="noisy copy", forge=noisy_copy, idle_from=0),
        Attack(name="permuted copy", forge=permuted_copy, idle_from=0),
        Attack(name="Sybil split", forge=split, idle_from=0, one_machine=True),
        Attack(name="disguised split", forge=disguised_split, idle_from=0, one_machine=True),
        Attack(name="thin split", forge=thin_split, idle_from=0, one_machine=True, thin=True),
        Attack(name="explosion", forge=explosion),
        Attack(name="NaN", forge=not_a_number),
        Attack(name="pooled", forge=pooled, helps=True),
    )
}
