"""From a setting to a store."""

from __future__ import annotations

import re

from .store import Store

_MULTIADDR = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/")


def open_store(spec: str) -> Store:
    """A store from what users write: a directory, or the multiaddr of a Kubo RPC (/ip4/127.0.0.1/tcp/5001[/http]).

    Raises SettingsError for a multiaddr that names no RPC, StoreUnreachable for a directory that cannot be made.
    """
    if _MULTIADDR.match(spec):
        from .ipfs_store import IpfsStore  # costs 0.2 s that users of directories need not pay

        return IpfsStore(spec)
    from .local_store import LocalStore

    return LocalStore(spec)
