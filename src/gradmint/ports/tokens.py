"""ERC-20 tokens as far as Gradmint needs them."""

from __future__ import annotations

from collections.abc import Callable

from ..spec.errors import ChainError, NotAToken
from .codec import Function, function
from .rpc import as_bytes, to_hex

#: Runs a view call at an address and gives its raw answer.
View = Callable[[bytes, bytes], bytes]


class Token:
    """One token, through the ``view`` of a chain."""

    def __init__(self, view: View, address: bytes) -> None:
        self.address = address
        self._view = view

    def balance_wei(self, account: bytes) -> int:
        """Raises NotAToken."""
        return self._number(function("DevToken", "balanceOf"), account)

    def allowance_wei(self, owner: bytes, spender: bytes) -> int:
        """Raises NotAToken."""
        return self._number(function("DevToken", "allowance"), owner, spender)

    def check(self) -> None:
        """Raises NotAToken unless the address answers as an ERC-20 does."""
        self._number(function("DevToken", "totalSupply"))
        self.allowance_wei(self.address, self.address)

    def _number(self, method: Function, *arguments: bytes) -> int:
        try:
            answer = self._view(self.address, method.encode(*arguments))
            value = method.decode(as_bytes(to_hex(answer), method.name, 32))[0]
        except ChainError as error:
            raise NotAToken(
                f"0x{self.address.hex()} does not answer {method.name.partition('.')[2]}() as an ERC-20 token does: "
                f"name a token of this chain ('gradmint deploy --token' makes one on local chains)"
            ) from error
        return int(value)
