"""numba without Python objects: compiled once, kept on disk, and free of the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Integers only: 64-bit arithmetic wraps as in C, and a division by zero is the caller's fault."""
    kernel: Callable[..., Any] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return kernel


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of kernels, without a call: handing over arrays costs more than what a short function does with them."""
    kernel: Callable[..., Any] = numba.njit(forceinline=True, nogil=True, error_model="numpy")(function)
    return kernel
