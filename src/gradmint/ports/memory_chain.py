"""The chain's twin in memory: the contracts' rules without a node, for unit tests and simulations.

    world = MemoryWorld()
    world.mint(token, account, amount_wei)
    chain = world.as_account(account)        # a Chain; any number of them, on any number of threads

The clock stands still until :meth:`MemoryWorld.advance`. Every transaction is a block of its own and costs no gas.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from hashlib import sha256

from ..spec.docket import Record, slice_hash
from ..spec.errors import ChainError
from ..spec.events import Event, Position
from ..spec.keccak import keccak256
from ..spec.types import Phase
from .chain import BondAccount, Call, Clock, DocketSlot, Escrow, LiveChallenge, Receipt, RecordSlot
from .memory_rules import Rules
from .memory_state import ROUNDS, RUNS, STAKES
from .nonces import Nonces, send_surely
from .reverts import reverted

_GAP_PATIENCE_S = 0.5


class MemoryWorld:
    """One chain for everybody: runs, tokens, clock, and a condition variable that wakes whoever waits."""

    def __init__(self, chain_id: int = 1_337, now_s: int = 1_700_000_000, seed: int = 0) -> None:
        self.rules = Rules(chain_id, now_s, seed)
        self.changed = threading.Condition()
        self.receipts: dict[bytes, Receipt] = {}
        self.signed: dict[bytes, tuple[bytes, int, Call]] = {}
        self._mined: dict[bytes, int] = {}
        self._nonces: dict[bytes, Nonces] = {}

    def as_account(self, account: bytes) -> MemoryChain:
        return MemoryChain(self, account)

    def rate_by(self, rating_of: Callable[[bytes], int]) -> None:
        """From now on Reputation says this of an account, Q32; nothing of anybody before."""
        with self.changed:
            self.rules.rating_of = rating_of

    def advance(self, seconds: int) -> None:
        """Move the clock. No phase ends by itself: that takes a Poke, as on the real chain."""
        with self.changed:
            self.rules.now_s += seconds
            self.changed.notify_all()

    def mint(self, token: bytes, account: bytes, amount_wei: int) -> None:
        with self.changed:
            self.rules.tokens.add(token)
            key = (token, account)
            self.rules.balances_wei[key] = self.rules.balances_wei.get(key, 0) + amount_wei

    def sign(self, account: bytes, call: Call) -> bytes:
        with self.changed:
            self.rules.attempt(account, call)
            nonce = self._reservations(account).take(self._mined.get(account, 0))
            signed = sha256(account + nonce.to_bytes(8, "big") + repr(call).encode()).digest()
            self.signed[signed] = (account, nonce, call)
            return signed

    def broadcast(self, signed: bytes) -> Receipt:
        if signed not in self.signed:
            raise ChainError(f"bytes 0x{signed.hex()} were signed by nobody in this world: pass what sign() returned")
        account, nonce, call = self.signed[signed]
        with self.changed:
            if signed in self.receipts:
                return self.receipts[signed]
            if not self.changed.wait_for(lambda: self._mined.get(account, 0) >= nonce, _GAP_PATIENCE_S):
                self._reservations(account).abandon_below(nonce + 1)
                raise reverted("NonceGap", nonce, self._mined.get(account, 0))
            self._reservations(account).release(nonce)
            if signed in self.receipts:
                return self.receipts[signed]
            if self._mined.get(account, 0) > nonce:
                raise reverted("NonceTaken", account, nonce)

            effect = self.rules.attempt(account, call)
            self.rules.begin_block(signed)
            before = [len(events) for events in self.rules.events] + [0]
            effect()
            new = [e for events, seen in zip(self.rules.events, before, strict=False) for e in events[seen:]]
            self._mined[account] = nonce + 1
            receipt = self.receipts[signed] = Receipt(signed, self.rules.block, 0, tuple(new))
            self.changed.notify_all()
            return receipt

    def restart(self) -> None:
        """Forget what only processes know: nonces of signatures that nobody has broadcast."""
        with self.changed:
            self._nonces.clear()

    def _reservations(self, account: bytes) -> Nonces:
        return self._nonces.setdefault(account, Nonces())


class MemoryChain:
    """One account's view of a :class:`MemoryWorld`. See :class:`~gradmint.ports.chain.Chain` for what is raised."""

    rounds_address = ROUNDS
    runs_address = RUNS
    stakes_address = STAKES

    def __init__(self, world: MemoryWorld, account: bytes) -> None:
        self.world = world
        self.account = account
        self._seen = threading.local()

    @property
    def chain_id(self) -> int:
        return self.world.rules.chain_id

    def now_s(self) -> int:
        return self.world.rules.now_s

    def run_count(self) -> int:
        return len(self.world.rules.runs)

    def events(self, run: int, after: Position | None = None) -> Sequence[Event]:
        with self.world.changed:
            self._remember(run)
            known = self.world.rules.events[run - 1] if 1 <= run <= self.run_count() else []
            return [event for event in known if after is None or event.position > after]

    def clock(self, run: int) -> Clock:
        with self.world.changed:
            self._remember(run)
            if not 1 <= run <= self.run_count():
                return Clock(0, Phase.ENROL, 0, bytes(24))
            state = self.world.rules.runs[run - 1]
            return Clock(state.round, state.phase, state.deadline_s, state.transcript)

    def escrow(self, run: int) -> Escrow:
        with self.world.changed:
            state = self.world.rules.known(run)
            return Escrow(
                sponsor=state.sponsor,
                token=state.token,
                deposited_wei=state.deposited_wei,
                total_wei=state.total_wei,
                root=state.root,
                refunded_wei=state.refunded_wei,
                params_hash=keccak256(state.params.encode()),
            )

    def standings_hash(self, run: int) -> bytes:
        with self.world.changed:
            return self.world.rules.known(run).standings_hash

    def record(self, run: int, round_: int) -> RecordSlot:
        with self.world.changed:
            return self.world.rules.known(run).records.get(round_, RecordSlot(bytes(30), 0))

    def docket(self, run: int) -> DocketSlot:
        with self.world.changed:
            state = self.world.rules.known(run)
            settled, proposed = (0, 0) if state.is_direct else (state.settled, state.proposed)
            return DocketSlot(settled, proposed, len(state.pending), state.settlements, state.tip)

    def challenge_of(self, run: int) -> LiveChallenge | None:
        with self.world.changed:
            return self.world.rules.known(run).challenge

    def bond_of(self, run: int, account: bytes) -> BondAccount:
        with self.world.changed:
            return self.world.rules.known(run).bond_of(account)

    def price_wei(self, run: int) -> int:
        with self.world.changed:
            return self.world.rules.price_wei(self.world.rules.known(run))

    def left_wei(self, run: int, account: bytes) -> int:
        with self.world.changed:
            return self.world.rules.known(run).left_wei.get(account, 0)

    def is_heard(self, run: int, record: Record, chunk: int, rows: bytes, sums: Sequence[int]) -> bool:
        with self.world.changed:
            heard = self.world.rules.known(run).heard.get((record.round, chunk))
            return heard is not None and heard[0] == slice_hash(rows, sums)

    def caught_up(self, run: int) -> bool:
        with self.world.changed:
            return self.world.rules.known(run).is_caught_up

    def stakes_wei(self, run: int, accounts: Sequence[bytes]) -> list[int]:
        with self.world.changed:
            return [self.world.rules.known(run).stakes_wei.get(account, 0) for account in accounts]

    def claimed_wei(self, run: int, account: bytes) -> int:
        with self.world.changed:
            return self.world.rules.known(run).claimed_wei.get(account, 0)

    def token_balance_wei(self, token: bytes, account: bytes) -> int:
        return self.world.rules.balances_wei.get((token, account), 0)

    def gas_used(self, tx_hash: bytes) -> int:
        if tx_hash not in self.world.receipts:
            raise ChainError(f"no transaction 0x{tx_hash.hex()} in this world")
        return 0

    def rating_q32(self, account: bytes) -> int:
        return self.world.rules.rating_of(account)

    def wait(self, run: int, timeout_s: float) -> None:
        with self.world.changed:
            seen = getattr(self._seen, "phases", {}).get(run)
            now_s = self.now_s()
            self.world.changed.wait_for(lambda: self._phase(run) != seen or self.now_s() != now_s, timeout_s)

    def sign(self, call: Call) -> bytes:
        return self.world.sign(self.account, call)

    def sign_redirect(self, run: int, recipient: bytes, paid_wei: int, deadline_s: int) -> bytes:
        return self.world.rules.redirect_signature(self.account, run, recipient, paid_wei, deadline_s)

    def broadcast(self, signed: bytes) -> Receipt:
        return self.world.broadcast(signed)

    def send(self, call: Call) -> Receipt:
        return send_surely(lambda: self.sign(call), self.broadcast)

    def _phase(self, run: int) -> tuple[int, int]:
        if not 1 <= run <= self.run_count():
            return (0, 0)
        state = self.world.rules.runs[run - 1]
        return (state.round, int(state.phase))

    def _remember(self, run: int) -> None:
        """What this thread has seen: a phase that opens from now on ends its next wait, also if it opens before it."""
        if not hasattr(self._seen, "phases"):
            self._seen.phases = {}
        self._seen.phases[run] = self._phase(run)
