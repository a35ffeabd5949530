"""The update blob. In reading order: update (what one is), quantise (making one), rice (bits), blob (bytes)."""

from .blob import CODEC, Header, Limits, decode, encode
from .quantise import quantise
from .update import SparseUpdate, Table

__all__ = ["CODEC", "Header", "Limits", "SparseUpdate", "Table", "decode", "encode", "quantise"]
