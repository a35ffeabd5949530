"""The update blob: a header and a body, which a kind of compression makes.

In reading order: update (what one is), topk (making one; the other kinds beside it), kinds (their names), blob (bytes).
"""

from .blob import Header, Limits, Mark, decode, decode_header, encode
from .kinds import KINDS, approximate, approximate_each
from .topk import SparseUpdate, quantise
from .update import Table, Update

__all__ = [
    "KINDS",
    "Header",
    "Limits",
    "Mark",
    "SparseUpdate",
    "Table",
    "Update",
    "approximate",
    "approximate_each",
    "decode",
    "decode_header",
    "encode",
    "quantise",
]
