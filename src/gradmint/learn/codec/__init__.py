"""The update blob. To read: :mod:`.update` (what an update is), :mod:`.quantise` (making one), :mod:`.rice`, :mod:`.blob`."""

from .blob import CODEC, Header, Limits, decode, encode
from .quantise import quantise
from .update import SparseUpdate, Table

__all__ = ["CODEC", "Header", "Limits", "SparseUpdate", "Table", "decode", "encode", "quantise"]
