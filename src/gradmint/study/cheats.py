"""What a verifier signs who did not do the work, or did other work: one function per cheat, words out.

Each gets what its cheat would have in hand: public data, the revealed seeds, the models of earlier rounds, another's
report of an earlier round. Nobody has another's report of the same round: commitments hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..learn.assess import Drawn, Evidence, draw, observe
from ..learn.numerics import Numerics
from ..learn.state import Network
from ..spec.seeds import derive, draw_below
from .evidence import Scene, Words

WORD_BITS = 256
GUESSES = 8  # cheap estimates that the forger takes the majority of
INT8_LEVELS = 127
BF16 = Numerics(dtype="bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheat:
    """One way to sign something else. ``honest`` are the words of a verifier that did the work in float32."""

    name: str
    what: str
    sign: Callable[[Scene, Words], Words]
    numerics: str = ""  # the configuration that it is, where it is one: no cheat in a run that admits it


# Verifiers that ran something


def _bf16(scene: Scene, _: Words) -> Words:
    return scene.sign(scene.evidence(BF16))


def _observed(scene: Scene, network: Network, start: Tensor, midpoint: Tensor, drawn: Drawn | None = None) -> Words:
    return scene.sign(observe(network, start, midpoint, drawn or scene.drawn))


def _stale_steps(steps: int) -> Callable[[Scene, Words], Words]:
    def sign(scene: Scene, _: Words) -> Words:
        return _observed(scene, scene.network(), scene.moment.state.theta, scene.moment.early[steps])

    return sign


def _stale_round(scene: Scene, _: Words) -> Words:
    before, moment = _previous(scene), scene.moment
    return _observed(scene, scene.network(), before, before + (moment.midpoint - moment.state.theta))


def _previous(scene: Scene) -> Tensor:
    assert scene.moment.previous is not None
    return scene.moment.previous.state.theta


def _layer_skipped(scene: Scene, _: Words) -> Words:
    network = scene.network()
    _last_layer(network.module).register_forward_hook(_skip)
    return _observed(scene, network, scene.moment.state.theta, scene.moment.midpoint)


def _last_layer(module: nn.Module) -> nn.Module:
    """The last of the last list of layers; of a model without lists its last linear layer."""
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    return lists[-1][-1] if lists else [part for part in module.modules() if isinstance(part, nn.Linear)][-1]


def _skip(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
    return given[0] if given[0].shape == made.shape else made * 0


def _int8(scene: Scene, _: Words) -> Words:
    """Dynamic quantisation: linear layers' weights by row, their inputs by tensor; sums are exact, gradients pass."""
    network = scene.network()
    for part in network.module.modules():
        if isinstance(part, nn.Linear):
            part.forward = partial(_linear_int8, part)  # type: ignore[method-assign]
    return _observed(scene, network, scene.moment.state.theta, scene.moment.midpoint)


def _linear_int8(layer: nn.Linear, given: Tensor) -> Tensor:
    weight = _rounded(layer.weight, layer.weight.detach().abs().amax(1, keepdim=True))
    return F.linear(_rounded(given, given.detach().abs().max()), weight, layer.bias)


def _rounded(values: Tensor, greatest: Tensor) -> Tensor:
    step = greatest.clamp_min(1e-12) / INT8_LEVELS
    return values + (torch.round(values.detach() / step) * step - values.detach())


def _part_of_batch(kept: float) -> Callable[[Scene, Words], Words]:
    def sign(scene: Scene, _: Words) -> Words:
        one, other = (half[: max(1, int(kept * len(half)))] for half in scene.drawn.halves)
        drawn = replace(scene.drawn, halves=(one, other))
        return _observed(scene, scene.network(), scene.moment.state.theta, scene.moment.midpoint, drawn)

    return sign


def _other_draw(scene: Scene) -> Drawn:
    return draw(scene.task, scene.manifest.assessment, derive(scene.beacon, "another beacon"))


def _other_batch(scene: Scene, _: Words) -> Words:
    drawn = replace(scene.drawn, halves=_other_draw(scene).halves)
    return _observed(scene, scene.network(), scene.moment.state.theta, scene.moment.midpoint, drawn)


def _wrong_data(scene: Scene, _: Words) -> Words:
    return _observed(scene, scene.network(), scene.moment.state.theta, scene.moment.midpoint, _other_draw(scene))


def _momentum_replay(scene: Scene, _: Words) -> Words:
    """The last round's move and the last round's gradients again, from the model of this round."""
    moment, network = scene.moment, scene.network()
    assert moment.previous is not None
    move = moment.previous.midpoint - moment.previous.state.theta
    outputs = observe(network, moment.state.theta, moment.state.theta + move, scene.drawn)
    slopes = observe(network, moment.previous.state.theta, moment.previous.midpoint, _other_draw(scene)).slopes
    return scene.sign(Evidence(moved=outputs.moved, slopes=slopes))


def _outputs_only(scene: Scene, honest: Words) -> Words:
    """Forward passes only: what depends on gradients is made up."""
    outputs = scene.manifest.assessment.output_words
    return honest[:outputs] + _made_up(scene, honest)[outputs:]


def _forged(scene: Scene, _: Words) -> Words:
    """Bits chosen one by one, as optimising any vector against the known projections would end: each is the majority's
    of several cheap estimates, made with the model of the round before and an eighth of the data each."""
    before, moment, network = _previous(scene), scene.moment, scene.network()
    halves = scene.drawn.halves
    estimates = []
    for i in range(GUESSES):
        few = replace(scene.drawn, halves=(halves[0][i::GUESSES] or halves[0], halves[1][i::GUESSES] or halves[1]))
        guess = observe(network, before, before + (moment.midpoint - moment.state.theta), few)
        estimates.append(scene.sign(guess))
    return tuple(_majority([words[i] for words in estimates]) for i in range(len(estimates[0])))


def _majority(words: Sequence[int]) -> int:
    return sum(1 << bit for bit in range(WORD_BITS) if 2 * sum(word >> bit & 1 for word in words) > len(words))


# Verifiers that ran nothing


def _filled(value: int) -> Callable[[Scene, Words], Words]:
    return lambda _, honest: (value,) * len(honest)


def _made_up(scene: Scene, honest: Words) -> Words:
    limbs = draw_below(derive(scene.beacon, "made up"), 8 * len(honest), 1 << 32)
    return tuple(sum(limb << 32 * i for i, limb in enumerate(limbs[at : at + 8])) for at in range(0, len(limbs), 8))


def _complement(_: Scene, honest: Words) -> Words:
    return tuple(word ^ (1 << WORD_BITS) - 1 for word in honest)


def _work_flipped(scene: Scene, honest: Words) -> Words:
    """The two halves of the batch in the wrong order: the work's sign."""
    outputs = scene.manifest.assessment.output_words
    return honest[:outputs] + _complement(scene, honest)[outputs:]


def _last_report(scene: Scene, _: Words) -> Words:
    """A report revealed in the round before, word for word."""
    previous = scene.moment.previous
    assert previous is not None
    before = replace(scene, moment=previous)
    return before.sign(before.evidence())


REPORTS = (
    Cheat(name="bf16", what="bfloat16 where the policy admits float32 alone", sign=_bf16, numerics=str(BF16)),
    Cheat(name="int8", what="linear layers dynamically quantised to int8", sign=_int8),
    Cheat(name="stale by 1 step", what="updates as they were one local step before the end", sign=_stale_steps(1)),
    Cheat(name="stale by 10 steps", what="updates as they were ten local steps before the end", sign=_stale_steps(10)),
    Cheat(name="stale by a round", what="the model of the round before under this round's updates", sign=_stale_round),
    Cheat(
        name="last layer skipped",
        what="the last block is the identity; without blocks, the last layer is zero",
        sign=_layer_skipped,
    ),
    Cheat(name="9/10 of the batch", what="gradients of nine tenths of each half", sign=_part_of_batch(0.9)),
    Cheat(name="half of the batch", what="gradients of half of each half", sign=_part_of_batch(0.5)),
    Cheat(name="another batch", what="the right probes, gradients of other samples", sign=_other_batch),
    Cheat(name="wrong data", what="other probes and other samples", sign=_wrong_data),
    Cheat(name="momentum replay", what="the last round's move and gradients again", sign=_momentum_replay),
    Cheat(name="forward only", what="outputs honest, gradients made up", sign=_outputs_only),
    Cheat(name="forged", what="bits optimised against the known projections from cheap estimates", sign=_forged),
    Cheat(name="last round's report", what="words that were revealed a round ago", sign=_last_report),
    Cheat(name="sign flip", what="the work's half negated", sign=_work_flipped),
    Cheat(name="complement", what="every bit of an honest report flipped", sign=_complement),
    Cheat(name="constant", what="every word 0x55...55", sign=_filled(int("55" * 32, 16))),
    Cheat(name="zero", what="every word zero", sign=_filled(0)),
    Cheat(name="made up", what="random words", sign=_made_up),
)
