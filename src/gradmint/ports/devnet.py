"""A local Anvil chain as a child process that cannot outlive its parent."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from ..spec.errors import ChainError, ChainUnreachable, SettingsError
from .rpc import Rpc, RpcError, as_int, to_hex

CHAIN_ID = 31_337
_READY = "Listening on "
_START_S = 20.0
_STOP_S = 20.0
_STATE_INTERVAL_S = 5
_PR_SET_PDEATHSIG = 1
#: Loaded here, because between fork and exec a child of a threaded program must not take any lock.
_LIBC = ctypes.CDLL(None) if platform.system() == "Linux" else None


def die_with_parent() -> None:
    """For ``preexec_fn``: the child is terminated when the thread that started it ends. No effect outside Linux."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def find_anvil() -> str:
    """Path of the executable: ``$ANVIL``, then node_modules of this folder or the package's, then PATH.

    Raises SettingsError.
    """
    named = os.environ.get("ANVIL")
    if named:
        if os.access(named, os.X_OK):
            return named
        raise SettingsError(f"ANVIL names {named}, which cannot be run: unset it, or name an anvil executable")
    # The platform's own binary, not the launcher beside it: killing the launcher would leave the chain running.
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"node_modules/@foundry-rs/anvil-{platform.system().lower()}-{machine}/bin/anvil"
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents):
        if os.access(folder / package, os.X_OK):
            return str(folder / package)
    found = shutil.which("anvil")
    if found:
        return found
    raise SettingsError("no anvil found: run 'npm install' in Gradmint's folder, or put anvil on PATH, or set ANVIL")


def give_ether(rpc_url: str, addresses: Sequence[str | bytes], amount_wei: int) -> None:
    """Set each account's balance on an Anvil chain. Raises ChainUnreachable, ChainError on any other chain."""
    rpc = Rpc(rpc_url)
    for address in addresses:
        shown = to_hex(address) if isinstance(address, bytes) else address
        try:
            rpc.call("anvil_setBalance", shown, hex(amount_wei))
        except RpcError as error:
            raise ChainError(
                f"{rpc.where} makes no ether ({error}): only a local Anvil does, see 'gradmint devnet'"
            ) from error
    rpc.close()


class Devnet:
    """``with Devnet() as chain: chain.rpc_url``. Mines each transaction at once unless ``block_time_s`` is given.

    ``port`` 0 takes a free one. ``state`` is a folder that keeps the chain for the next start: saved every few seconds
    and at the end. Raises SettingsError without an anvil, ChainUnreachable when it does not start.
    """

    chain_id = CHAIN_ID

    def __init__(self, port: int = 0, state: str | os.PathLike[str] | None = None, block_time_s: int = 0) -> None:
        self.rpc_url = ""
        self._command = [find_anvil(), "--port", str(port), "--hardfork", "prague", "--chain-id", str(CHAIN_ID)]
        # Anvil would write the state after every block to the home directory, gigabytes an hour, and leave it there.
        self._command += ["--max-persisted-states", "0"]
        self._command += ["--accounts", "1", "--order", "fifo"]
        if block_time_s:
            self._command += ["--block-time", str(block_time_s)]
        if state is not None:
            Path(state).mkdir(parents=True, exist_ok=True)
            self._command += ["--state", str(Path(state) / "anvil.json"), "--state-interval", str(_STATE_INTERVAL_S)]
        self._process: subprocess.Popen[str] | None = None
        self._keeper: threading.Thread | None = None
        self._ready = threading.Event()
        self._said: list[str] = []
        self._failure: Exception | None = None

    @property
    def pid(self) -> int:
        """Of the chain itself. Raises ChainUnreachable when it is not running."""
        if self._process is None or self._process.poll() is not None:
            raise ChainUnreachable("the devnet is not running: start it with 'with Devnet() as chain:'")
        return self._process.pid

    def __enter__(self) -> Devnet:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        # A thread of its own starts the chain and lives as long: Linux ends a child with the *thread* that made it.
        self._keeper = threading.Thread(target=self._keep, name="devnet", daemon=True)
        self._keeper.start()
        if not self._ready.wait(_START_S) or not self.rpc_url:
            self.stop()
            said = "".join(self._said[-5:]).strip()
            raise ChainUnreachable(f"anvil did not start: {self._failure or said or 'no output'}: try another port")

    def stop(self) -> None:
        """Ends the chain; its state is saved first. Harmless when it is not running."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._keeper is not None:
            self._keeper.join(_STOP_S)

    def give_ether(self, addresses: Sequence[str | bytes], amount_wei: int) -> None:
        """Set each account's balance."""
        give_ether(self.rpc_url, addresses, amount_wei)

    def advance(self, seconds: int) -> int:
        """Move the chain's clock and mine a block; returns its time in unix seconds."""
        rpc = Rpc(self.rpc_url)
        rpc.call("evm_increaseTime", seconds)
        rpc.call("evm_mine")
        now_s = as_int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], "block time")
        rpc.close()
        return now_s

    def _keep(self) -> None:
        try:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"RUST_LOG": "off"},  # a line per request would cost as much as the request
                preexec_fn=die_with_parent,
                start_new_session=True,  # Ctrl-C goes to the parent, which then saves the state
            )
            assert self._process.stdout is not None
            self._listen(self._process.stdout)
            self._process.wait()
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    def _listen(self, output: IO[str]) -> None:
        """Until the chain ends: a full pipe would stop it."""
        for line in output:
            if not self._ready.is_set():
                self._said.append(line)
                if line.startswith(_READY):
                    self.rpc_url = f"http://{line.removeprefix(_READY).strip()}"
                    self._ready.set()
