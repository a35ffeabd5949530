"""Progress of a demo: a table that stays in place on a terminal, one line per finished round anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..roles.rounds import consensus_of, holder, is_closed, settlement_of
from ..spec.events import Challenged, Event, Proposed, Refuted
from ..spec.ledger import Ledger
from ..spec.round import Round
from ..spec.types import Phase, Role, Verdict
from .summary import (
    HONEST,
    Metric,
    agreement,
    loss_text,
    nats,
    plain,
    rating_text,
    reading,
    standing_words,
    tokens,
    verdict_counts,
)

REFRESH_S = 0.25
BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-~=+*#"
SPARK_WIDTH = 40
ANYONE = b""


def sparkline(values: Sequence[float], width: int = SPARK_WIDTH, bars: str = BARS) -> str:
    """The newest ``width`` values as bars between their least and greatest."""
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(bars[round((value - low) * scale)] for value in shown)


class DemoDisplay:
    """Context manager around a run that is going on.

    ``names`` gives (name, strategy) per account; ``gas_used`` tells a transaction's gas, when gas is to be shown. Draws
    only when the ledger has changed, and at most every REFRESH_S. ``quiet`` shows nothing at all.
    """

    def __init__(
        self,
        names: Mapping[bytes, tuple[str, str]],
        metric: Metric = nats,
        *,
        gas_used: Callable[[bytes], int] | None = None,
        quiet: bool = False,
        console: Console | None = None,
    ) -> None:
        self._names = names
        self._metric = metric
        self._gas_used = gas_used
        self._quiet = quiet
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._ledger: Ledger | None = None
        self._seen: object = None  # what was last drawn
        self._drawn_s = 0.0
        self._started_s = time.monotonic()
        self._told = 0  # rounds that have had their line
        self._gas: dict[bytes, int] = {}
        self._counted: set[bytes] = set()
        self._counted_rounds = 0
        self._docket: list[tuple[bytes, bytes]] = []  # (account, transaction) about settlements

    def __enter__(self) -> DemoDisplay:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            try:
                if kind is None:
                    self._draw()
            finally:
                self._live.stop()

    def note(self, event: Event) -> None:
        """What the ledger does not keep: who sent what about settlements."""
        match event:
            case Proposed():
                self._docket.append((event.proposer, event.tx_hash))
            case Challenged():
                self._docket.append((event.challenger, event.tx_hash))
            case Refuted():
                self._docket.append((ANYONE, event.tx_hash))

    def update(self, ledger: Ledger) -> None:
        """Cheap to call as often as one likes."""
        if self._quiet:
            return
        self._ledger = ledger
        if self._live is None:
            self._tell(ledger)
        elif time.monotonic() - self._drawn_s >= REFRESH_S:
            self._draw()

    def _tell(self, ledger: Ledger) -> None:
        while self._told < len(ledger.rounds) and is_closed(ledger, ledger.rounds[self._told]):
            round_ = ledger.rounds[self._told]
            self._told += 1
            elapsed_s = time.monotonic() - self._started_s
            self._console.print(Text(f"{elapsed_s:7.1f} s  {round_line(ledger, round_, self._metric)}"), soft_wrap=True)

    def _draw(self) -> None:
        ledger, live = self._ledger, self._live
        if ledger is None or live is None:
            return
        settling = (ledger.settlements, len(ledger.pending), len(ledger.refuted))
        state = (ledger.transcript, ledger.roster, ledger.phase, len(ledger.claimed_wei), settling)
        if state == self._seen:
            return
        self._seen, self._drawn_s = state, time.monotonic()
        if self._gas_used is not None:
            self._count_gas(ledger, self._gas_used)
        live.update(self.picture(ledger), refresh=True)

    def _count_gas(self, ledger: Ledger, gas_used: Callable[[bytes], int]) -> None:
        for round_ in ledger.rounds[self._counted_rounds :]:
            self._count(senders(ledger, round_), gas_used)
        self._count(self._docket, gas_used)
        # What settles a round of a proposing run comes long after it.
        unsettled = ledger.unsettled()
        self._counted_rounds = max(0, (unsettled[0].number if unsettled else len(ledger.rounds)) - 1)

    def _count(self, sent: Iterable[tuple[bytes, bytes]], gas_used: Callable[[bytes], int]) -> None:
        for account, tx_hash in sent:
            if tx_hash not in self._counted:
                self._gas[account] = self._gas.get(account, 0) + gas_used(tx_hash)
                self._counted.add(tx_hash)

    def picture(self, ledger: Ledger) -> Group:
        """What is on the screen now."""
        return Group(*self._head(ledger), self._table(ledger))

    def _head(self, ledger: Ledger) -> Iterator[Text]:
        most = f" of {ledger.params.max_rounds}" if ledger.params else ""
        void = sum(round_.voided is not None for round_ in ledger.rounds)
        yield Text.assemble(
            ("round ", "dim"),
            (f"{len(ledger.rounds)}{most}", "bold"),
            ("   phase ", "dim"),
            (ledger.phase.name, "bold cyan"),
            ("   paid ", "dim"),
            f"{tokens(ledger.total_wei)} of {tokens(ledger.deposited_wei)}",
            (f"   void {void}" if void else "", "yellow"),
            (_settling(ledger), "dim"),
            (f"   refuted {len(ledger.refuted)}" if ledger.refuted else "", "bold red"),
            (f"   gas {sum(self._gas.values()):,}" if self._gas else "", "dim"),
        )
        agreed = [consensus_of(ledger, round_) for round_ in ledger.rounds]
        losses = [consensus.loss_micronats for consensus in agreed if consensus]
        if losses:
            bars = ASCII_BARS if self._console.options.ascii_only else BARS
            target = ledger.params.target_loss_micronats if ledger.params else 0
            yield Text.assemble(
                ("loss  ", "dim"),
                (loss_text(losses[-1], self._metric), "bold"),
                ("  ", ""),
                (sparkline([reading(loss, self._metric) for loss in losses], bars=bars), "blue"),
                (f"  target {loss_text(target, self._metric)}" if target else "", "dim"),
            )

    def _table(self, ledger: Ledger) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for name in ("participant", "strategy", "last round"):
            table.add_column(name, no_wrap=True)
        for name in ("rating", "earned", "slashed", *(["gas"] if self._gas_used else [])):
            table.add_column(name, justify="right", no_wrap=True)
        last = next((round_ for round_ in reversed(ledger.rounds) if consensus_of(ledger, round_)), None)
        words = standing_words(ledger)
        for role in Role:
            seats = ledger.seats[role]
            for seat, standing in zip(seats, ledger.seated(role, len(seats)), strict=True):
                name, strategy = self._names.get(seat.account, (f"{role.name.lower()} {seat.index}", ""))
                slashed_wei = ledger.slashed_wei.get(seat.account, 0)
                cheats = strategy not in ("", HONEST)
                table.add_row(
                    Text(plain(name)),
                    Text(f"cheats: {plain(strategy)}" if cheats else plain(strategy), "bold red" if cheats else "dim"),
                    Text(words[seat.account], "yellow")
                    if words.get(seat.account, "").startswith("banned")
                    else last_word(ledger, last, role, seat.index),
                    rating_text(standing),
                    tokens(standing.paid_wei),
                    Text(tokens(slashed_wei), "red") if slashed_wei else Text("-", "dim"),
                    *([f"{self._gas.get(seat.account, 0):,}"] if self._gas_used else []),
                    style="red" if cheats else "",
                    end_section=role is Role.TRAINER and seat is seats[-1],
                )
        return table


def round_line(ledger: Ledger, round_: Round, metric: Metric) -> str:
    """A finished round in one line."""
    settlement, consensus = settlement_of(ledger, round_), consensus_of(ledger, round_)
    if consensus is None or settlement is None:
        return f"round {round_.number:>3}  void: no quorum, nobody paid"
    drawn = f" drawn from {round_.eligible.bit_count()}" if round_.active != round_.eligible else ""
    again = ", all called in" if round_.first else ""
    cluster = f"{len(consensus.cluster)} of {round_.active.bit_count()}{drawn}{again}"
    return (
        f"round {round_.number:>3}  loss {loss_text(consensus.loss_micronats, metric)}  paid "
        f"{tokens(settlement.paid_wei)}  cluster {cluster}  "
        f"{verdict_counts((row.verdict for row in consensus.rows), round_.barred)}"
    )


def last_word(ledger: Ledger, last: Round | None, role: Role, index: int) -> Text:
    """What the last round with a quorum said about one participant."""
    consensus = consensus_of(ledger, last) if last else None
    if last is None or consensus is None:
        return Text("-", "dim")
    if ledger.seats[role][index].since_round > last.number:
        return Text("joined since", "dim")
    if role is Role.TRAINER:
        row = consensus.rows[index]
        worthless = row.verdict is Verdict.OK and row.common_gain_micronats <= 0
        good = row.verdict is Verdict.OK and not worthless
        return Text(f"{row.verdict.name}{', worth nothing' if worthless else ''}", "green" if good else "yellow")
    if not last.active >> index & 1:
        return Text("not drawn" if last.eligible >> index & 1 else "not in committee", "dim")
    distance = consensus.distances_bits[index]
    word = agreement(distance, ledger.terms)
    style = {"in": "green", "grey": "yellow"}.get(word, "red")
    return Text(word if distance is None else f"{word}, {distance} bits", style)


def senders(ledger: Ledger, round_: Round) -> Iterator[tuple[bytes, bytes]]:
    """(account, transaction) of everything sent in a round; ANYONE for what anyone may send: closing and settling."""
    number = round_.number
    for submission in round_.submissions:
        yield holder(ledger, Role.TRAINER, submission.trainer, number).account, submission.tx_hash
    acts = [round_.holds, *(said for attempt in round_.attempts for said in (attempt.commits, attempt.reveals))]
    for said in acts:
        for verifier, event in said.items():
            yield holder(ledger, Role.VERIFIER, verifier, number).account, event.tx_hash
    # A phase that ended with the last act of its kind opened the next in the same transaction, named above already.
    for attempt in round_.attempts:
        for phase, opened in attempt.opened.items():
            if phase > Phase.TRAIN:
                yield ANYONE, opened.tx_hash
        for turn in (attempt.recorded, attempt.settled):
            if turn:
                yield ANYONE, turn.tx_hash


def _settling(ledger: Ledger) -> str:
    """How far settlements are behind, where they are proposed."""
    if ledger.params is None or ledger.is_direct:
        return ""
    final = sum(round_.settled is not None for round_ in ledger.rounds)
    return f"   final {final}, proposed {len(ledger.pending)}"
