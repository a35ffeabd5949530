"""For every test: the interpreter as a user's process has it."""

from __future__ import annotations

from gradmint.ports import bls

# Tests import py-ecc by itself, too. Its first import, wherever it is, would raise the recursion limit for good.
bls.Reference()
