"""Where the contracts are: the one file that clients share."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ..spec.errors import SettingsError

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MAX_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Addresses have 20 bytes. ``block``: no event of these contracts is older."""

    chain_id: int
    block: int
    runs: bytes
    stakes: bytes
    rounds: bytes
    settlement: bytes
    reputation: bytes  # what it follows and its token: ask it
    token: bytes | None = None  # reward token of local chains; real runs name theirs when they open
    certificates: bytes | None = None  # deployments from before there were certificates have none
    seeds: tuple[bytes, ...] = ()  # of reputation: the contract knows who is one, and lists them to nobody

    def to_json(self) -> str:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return json.dumps({k: _shown(v) for k, v in values.items() if v is not None}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "deployment") -> Deployment:
        """Inverse of :meth:`to_json`. Raises SettingsError for anything else: unknown, missing or malformed fields."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{source}: {str(error)[:200]}: expected what 'gradmint deploy' writes") from error
        names = [item.name for item in fields(cls)]
        required = {item.name for item in fields(cls) if item.default is MISSING}
        if not isinstance(found, dict) or not required <= found.keys() <= set(names):
            keys = sorted(found)[:20] if isinstance(found, dict) else type(found).__name__
            raise SettingsError(f"{source}: expected fields {names}, found {keys}: write it with 'gradmint deploy'")
        values: dict[str, Any] = {name: _value(name, found[name], source) for name in names if name in found}
        return cls(**values)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Deployment:
        """Raises SettingsError."""
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(_MAX_BYTES + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"deployment file {path}: {error}: write one with 'gradmint deploy'") from error
        if len(text) > _MAX_BYTES:
            raise SettingsError(f"deployment file {path} has over {_MAX_BYTES} characters: this is another file")
        return cls.from_json(text, str(path))

    def write(self, path: str | os.PathLike[str]) -> None:
        """All or nothing. Raises SettingsError."""
        write_atomically(Path(path), self.to_json().encode())


def _shown(value: int | bytes | tuple[bytes, ...]) -> object:
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    return f"0x{value.hex()}" if isinstance(value, bytes) else value


def _value(name: str, value: Any, source: str) -> int | bytes | tuple[bytes, ...]:
    if name == "seeds":
        if isinstance(value, list):
            return tuple(_address(name, item, source) for item in value)
        raise SettingsError(f"{source}: seeds is {value!r:.80}, expected a list of addresses")
    if name in ("chain_id", "block"):
        if type(value) is int and 0 <= value < 1 << 64:
            return value
        raise SettingsError(f"{source}: {name} is {value!r:.80}, expected a whole number")
    return _address(name, value, source)


def _address(name: str, value: Any, source: str) -> bytes:
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise SettingsError(f"{source}: {name} is {value!r:.80}, expected an address of 20 bytes in hex, 0x...")


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one, also after a crash. Raises SettingsError."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise SettingsError(f"{path} could not be written: {error}: choose another place") from error
