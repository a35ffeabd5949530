"""Updates decoded and measured once: for studies that look at many small ones often."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ..learn.codec import Update
from ..learn.codec.update import Floats, Index


class Held(Update):
    """An update in its decoded form, dense as well. Everything has the bits of the update's own."""

    def __init__(self, update: Update) -> None:
        self.table = update.table
        self._update = update
        self._blocks = list(update.blocks())
        self._dense = super().dense()
        # Not before they are asked for: an update that is not finite has neither.
        self._norm: float | None = None
        self._telling: list[tuple[Index, Floats]] | None = None

    @property
    def finite(self) -> bool:
        return self._update.finite

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        return iter(self._blocks)

    def telling(self) -> Iterator[tuple[Index, Floats]]:
        if self._telling is None:
            self._telling = list(self._update.telling())
        return iter(self._telling)

    def pack(self) -> bytes:
        return self._update.pack()

    def norm(self) -> float:
        if self._norm is None:
            self._norm = self._update.norm()
        return self._norm

    def dense(self) -> Tensor:
        """The flat vector, float32 [dimension]: the same storage at every call."""
        return self._dense
