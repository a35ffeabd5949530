"""Integers that end where Solidity's do: what a formula passes on the way to its result has to fit as well."""

from __future__ import annotations

from collections.abc import Callable


class Word(int):
    """An integer whose every sum, product and shift must fit 256 bits: signed, or unsigned where it is positive."""

    def __new__(cls, value: int) -> Word:
        assert -(2**255) <= value < 2**256, f"{int(value).bit_length()} bits"
        return super().__new__(cls, value)


def _checked(name: str) -> Callable[..., int]:
    plain = getattr(int, name)

    def operate(self: Word, *others: int) -> int:
        result = plain(self, *others)
        return result if result is NotImplemented else Word(result)

    return operate


for _name in ("add", "sub", "mul", "floordiv", "mod", "lshift", "rshift", "pow"):
    setattr(Word, f"__{_name}__", _checked(f"__{_name}__"))
    setattr(Word, f"__r{_name}__", _checked(f"__r{_name}__"))
for _name in ("neg", "abs"):
    setattr(Word, f"__{_name}__", _checked(f"__{_name}__"))
