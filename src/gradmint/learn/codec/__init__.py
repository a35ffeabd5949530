"""The update blob. In reading order: update (what one is), quantise (making one), rice (bits), blob (bytes)."""

from .blob import CODEC, Header, Limits, Mark, decode, decode_header, encode
from .quantise import quantise
from .update import SparseUpdate, Table

__all__ = [
    "CODEC",
    "Header",
    "Limits",
    "Mark",
    "SparseUpdate",
    "Table",
    "decode",
    "decode_header",
    "encode",
    "quantise",
]
