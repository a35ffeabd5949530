"""Non-IID parts of a data set, for studies: each sample belongs to one peer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def dirichlet_labels(labels: NDArray[np.int64], peers: int, alpha: float, seed: int) -> list[Indices]:
    """Parts by label skew (Hsu, Qi and Brown, 2019): of each label, peers get shares drawn from Dirichlet(alpha).

    Ascending sample indices for each peer, every sample once; nobody's part is empty. Deterministic in ``seed``.
    """
    draws = np.random.Generator(np.random.Philox(seed))
    pieces: list[list[Indices]] = [[] for _ in range(peers)]
    for label in np.unique(labels):
        members = draws.permutation(np.flatnonzero(labels == label))
        ends = np.rint(np.cumsum(draws.dirichlet(np.full(peers, alpha))) * len(members)).astype(np.int64)
        for part, piece in zip(pieces, np.split(members, ends[:-1]), strict=True):
            part.append(piece)
    whole = [np.sort(np.concatenate(part)) for part in pieces]
    for place, part in enumerate(whole):
        if not len(part):
            richest = max(range(peers), key=lambda i: len(whole[i]))
            whole[place], whole[richest] = whole[richest][:1], whole[richest][1:]
    return whole
