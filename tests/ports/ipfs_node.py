"""A real IPFS node (js-ipfs) with a Kubo RPC on the loopback interface, no peers. Installed on first use: 2 min."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parents[1] / "ipfs-node"
CLI = ["node", "--require", "./polyfill.cjs", "node_modules/ipfs/src/cli.js"]


def install() -> None:
    """`npm ci` would need a lock; the exact versions are in package.json."""
    if not (HOME / "node_modules/ipfs/src/cli.js").exists():
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(command, cwd=HOME, check=True, timeout=900)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def ipfs_node(repository: Path) -> Iterator[str]:
    """The node's RPC multiaddr, while the node runs."""
    install()
    environment = os.environ | {"IPFS_PATH": str(repository)}
    options = {"cwd": HOME, "env": environment, "text": True}
    subprocess.run([*CLI, "init", "--profile", "test", "--empty-repo"], check=True, capture_output=True, **options)  # type: ignore[call-overload]

    config = json.loads((repository / "config").read_text())
    address = f"/ip4/127.0.0.1/tcp/{_free_port()}"
    config["Addresses"] |= {"API": address, "RPC": "/ip4/127.0.0.1/tcp/0", "Gateway": ""}
    config["Bootstrap"] = []
    config["Discovery"]["MDNS"]["Enabled"] = False
    (repository / "config").write_text(json.dumps(config))

    daemon = subprocess.Popen([*CLI, "daemon"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)  # type: ignore[call-overload]
    watchdog = threading.Timer(60, daemon.kill)
    watchdog.start()
    try:
        said = []
        for line in daemon.stdout:
            said.append(line)
            if "Daemon is ready" in line:
                break
        else:
            raise RuntimeError(f"the IPFS node ended with {daemon.wait()}:\n{''.join(said)}")
        watchdog.cancel()
        threading.Thread(target=daemon.stdout.read, daemon=True).start()  # a full pipe would stop the node
        yield address
    finally:
        watchdog.cancel()
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
