"""A run's events folded with suspicion: each settlement, refutation, exposure, lost bond and price is worked out again
as it comes.

What cannot be told from the events alone is left to the auditor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..spec.docket import Proposal, split_bond
from ..spec.errors import Divergence, GradmintError
from ..spec.events import (
    Challenged,
    Event,
    Exposed,
    Forfeited,
    Funded,
    Joined,
    Opened,
    PhaseOpened,
    Pooled,
    Proposed,
    Refuted,
    Seized,
    Settled,
)
from ..spec.ledger import Ledger
from ..spec.params import Params
from ..spec.plant import assigned, seized_wei, waved_through
from ..spec.registration import next_price_wei, price_wei
from ..spec.types import Phase, Role
from .docket import difference, first_false, honest
from .rounds import holder

_DOCKET = {Proposed: "propose", Challenged: "challenge", Refuted: "refute"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refutation:
    """A proposal that was struck out, and what was wrong with it.

    ``what`` is "state before" when it stood on a false one and was true by itself.
    """

    event: Refuted
    what: str
    proposed: str
    executed: str


@dataclass(slots=True)
class Replay:
    """One run's ledger with its checks. ``sent``: per round, kind and hash of the transactions about its settlement."""

    run: int
    stakes_address: bytes
    ledger: Ledger = field(init=False)
    refutations: list[Refutation] = field(default_factory=list)
    sent: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)
    _prices: Prices | None = None
    _pooled_wei: int = 0  # forfeited money on its way into the budget
    #: Who is still to lose stake for the latest exposure: account, exposer, what the round recorded of its stake.
    _guilty: list[tuple[bytes, bytes, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.run)

    def apply(self, event: Event) -> None:
        """Raises Divergence."""
        ledger = self.ledger
        number = ledger.rounds[-1].number if ledger.rounds else None
        row = f"{type(event).__name__} at block {event.position[0]} log {event.position[1]}"
        if (ledger.params is None) is not isinstance(event, Opened):
            raise Divergence(
                number, row, "one row that opens the run, before all others", repr(event)[:200], "it is not"
            )
        try:
            if isinstance(event, Refuted):
                self.refutations.append(self._refutation(event))
            ledger.apply(event)
        except Divergence:
            raise
        except GradmintError as error:
            why = str(error)
            raise Divergence(number, row, "a row that hashes to the recorded transcript", "another", why) from error
        except (LookupError, ValueError, OverflowError, StopIteration) as error:
            raise Divergence(number, row, "a row that can follow", repr(event), repr(error)) from error
        if isinstance(event, Settled):
            self._settled(event)
        elif isinstance(event, Proposed | Challenged | Refuted):
            self.sent.setdefault(event.round, []).append((_DOCKET[type(event)], event.tx_hash))
        elif isinstance(event, Forfeited):
            self._forfeited(event)
        elif isinstance(event, Exposed):
            self._exposed(event)
        elif isinstance(event, Seized):
            self._seized(event)
        elif isinstance(event, PhaseOpened):
            self._known_prices().opened(event)
        elif isinstance(event, Joined):
            self._joined(event)
        elif isinstance(event, Pooled) and ledger.phase is not Phase.ENDED:
            self._pooled_wei += event.amount_wei
        elif isinstance(event, Funded) and event.funder == self.stakes_address:
            self._pooled_wei -= event.amount_wei

    def close(self, now_s: int, price_wei: int) -> None:
        """The last event has come, and the contracts ask ``price_wei`` for a seat. Raises Divergence."""
        self._all_seized()
        if self.ledger.params is not None:
            self._known_prices().until(now_s)
            self._known_prices().now(now_s, price_wei)
        if self._pooled_wei:
            why = "what was forfeited to the budget and what it was funded with"
            raise Divergence(None, "pooled wei that the budget lacks", 0, self._pooled_wei, why)

    def false_pending(self) -> Divergence | None:
        """A proposal that waits to be final and must not be."""
        place = first_false(self.ledger)
        if place is None:
            return None
        proposal = self.ledger.pending[place]
        what, proposed, executed = difference(proposal.outcome, honest(self.ledger.rounds[proposal.round - 1]))
        return Divergence(
            proposal.round,
            f"pending proposal's {what}",
            executed,
            proposed,
            f"0x{proposal.proposer.hex()} proposed it and it is not final yet: refute it with 'gradmint settle --run "
            f"{self.run}' before second {proposal.final_s} of the chain's clock",
        )

    def _settled(self, event: Settled) -> None:
        """The chain's settlement against ours, value by value."""
        self.sent.setdefault(event.round, []).append(("settle" if self.ledger.is_direct else "finalise", event.tx_hash))
        round_ = self.ledger.rounds[event.round - 1]
        expected = honest(round_)
        if event.outcome != expected:
            what, found, value = difference(event.outcome, expected)
            raise Divergence(event.round, f"settlement's {what}", value, found, "re-execution gives another value")

    def _refutation(self, event: Refuted) -> Refutation:
        ledger = self.ledger
        place, proposal = next((k, p) for k, p in enumerate(ledger.pending) if p.round == event.round)
        expected = honest(ledger.rounds[event.round - 1])
        if proposal.outcome != expected:
            what, proposed, executed = difference(proposal.outcome, expected)
            return Refutation(event=event, what=what, proposed=proposed, executed=executed)
        false = first_false(ledger)
        if false is not None and false < place:
            before: Proposal = ledger.pending[false]
            what, proposed, executed = difference(before.outcome, honest(ledger.rounds[before.round - 1]))
            text = f"{what} {proposed} of round {before.round}", f"{what} {executed} of round {before.round}"
            return Refutation(event=event, what="state before", proposed=text[0], executed=text[1])
        raise Divergence(
            event.round,
            f"refutation of 0x{proposal.proposer.hex()}'s proposal",
            "a proposal that re-execution contradicts",
            f"outcome {proposal.outcome.hash().hex()}",
            "it is what re-execution gives, to the last field",
        )

    def _forfeited(self, event: Forfeited) -> None:
        terms = self.ledger.terms
        expected = split_bond(terms.proposal_bond_wei, terms.challenger_bps, terms.burn_bps)
        found = (event.reward_wei, event.burn_wei, event.pool_wei)
        if found != expected:
            raise Divergence(
                None, f"bond that 0x{event.account.hex()} lost", expected, found, "reward, burned and pooled wei"
            )

    def _exposed(self, event: Exposed) -> None:
        """By the record that the chain has now: another takes its place when everyone is called in."""
        self._all_seized()
        ledger, trainer, name = self.ledger, event.trainer, f"exposure of trainer {event.trainer}"
        round_ = ledger.rounds[event.round - 1]
        record = round_.record
        if record is None or trainer not in round_.first_submissions:
            raise Divergence(event.round, name, "an update in a recorded round", "none", "rows are missing")
        if trainer not in assigned(round_, ledger.terms.assigned_trainers):
            raise Divergence(event.round, name, "a trainer that the beacon drew", trainer, "nobody had to look")
        careless = waved_through(trainer, round_.reports(ledger.terms.words), record.stakes_wei)
        if event.guilty & ~careless:
            raise Divergence(event.round, name, f"{careless:#x}", f"{event.guilty:#x}", "mask of who called it OK")
        self._guilty = [
            (holder(ledger, Role.VERIFIER, v, event.round).account, event.exposer, record.stakes_wei[v])
            for v in range(record.verifiers)
            if event.guilty >> v & 1
        ]

    def _seized(self, event: Seized) -> None:
        ledger, terms = self.ledger, self.ledger.terms
        account, exposer, recorded_wei = self._guilty.pop(0) if self._guilty else (b"", b"", 0)
        seat = ledger.seat(account)
        if seat is None or (event.account, event.beneficiary) != (account, exposer):
            expected = f"0x{account.hex()} to 0x{exposer.hex()}" if account else "nobody"
            found = f"0x{event.account.hex()} to 0x{event.beneficiary.hex()}"
            raise Divergence(None, "who lost stake to whom", expected, found, "not who was exposed by whom")
        left_wei = seat.stake_wei + event.lost_wei - ledger.withdrawn_wei.get(account, 0)
        parts = split_bond(seized_wei(terms, recorded_wei, left_wei), terms.challenger_bps, terms.burn_bps)
        if parts != (event.reward_wei, event.burn_wei, event.pool_wei):
            was = (event.reward_wei, event.burn_wei, event.pool_wei)
            raise Divergence(None, f"stake that 0x{account.hex()} lost", parts, was, "reward, burned and pooled wei")

    def _all_seized(self) -> None:
        if self._guilty:
            names = ", ".join(f"0x{account.hex()}" for account, _, _ in self._guilty)
            raise Divergence(None, "who lost stake to whom", names, "nobody", "it was exposed and keeps its stake")

    def _joined(self, event: Joined) -> None:
        seat = self.ledger.seat(event.account)
        founds = self.ledger.phase is Phase.ENROL or (seat is not None and seat.since_round == 1)
        self._known_prices().joined(event, founds)

    def _known_prices(self) -> Prices:
        if self._prices is None:
            self._prices = Prices(self.ledger.terms)
        return self._prices


class Prices:
    """What each seat must have cost. Rows carry no time, so a join lies between the phases around it, and its price
    between those of these moments; founders' is exact."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._durations_s = {
            Phase.TRAIN: params.train_s,
            Phase.HOLD: params.hold_s,
            Phase.COMMIT: params.commit_s,
            Phase.REVEAL: params.reveal_s,
            Phase.SETTLE: params.settle_s,
        }
        self._opened_s = 0
        self._last_wei, self._last_s = params.join_price_wei, (0, 0)
        self._waiting: list[Joined] = []

    def opened(self, event: PhaseOpened) -> None:
        if event.phase in self._durations_s:
            opened_s = event.deadline_s - self._durations_s[event.phase]
            self.until(opened_s)
            self._opened_s = opened_s

    def joined(self, event: Joined, founds: bool) -> None:
        """Raises Divergence."""
        if not founds:
            self._waiting.append(event)
        elif event.price_wei != self._params.join_price_wei:
            raise _mispriced(event, str(self._params.join_price_wei), "founders pay the floor")

    def until(self, now_s: int) -> None:
        """All that has waited came before ``now_s``. Raises Divergence."""
        for event in self._waiting:
            least_wei, most_wei = self._bounds_wei(self._opened_s, now_s)
            if not least_wei <= event.price_wei <= most_wei:
                raise _mispriced(event, f"{least_wei}..{most_wei}", "the price falls by half every half-life")
            self._last_wei = next_price_wei(event.price_wei, self._params.join_bump_bps)
            self._last_s = self._opened_s, now_s
        self._waiting.clear()

    def now(self, now_s: int, price_wei: int) -> None:
        """What a seat costs after all that. Raises Divergence."""
        least_wei, most_wei = self._bounds_wei(now_s, now_s)
        if not least_wei <= price_wei <= most_wei:
            why = "the price falls by half every half-life"
            raise Divergence(None, "price of a seat", f"{least_wei}..{most_wei}", price_wei, why)

    def _bounds_wei(self, from_s: int, to_s: int) -> tuple[int, int]:
        """Least and most that a seat can have cost at some time between these, given when the last one was taken."""
        return self._price_wei(to_s - self._last_s[0]), self._price_wei(max(0, from_s - self._last_s[1]))

    def _price_wei(self, elapsed_s: int) -> int:
        return price_wei(self._last_wei, elapsed_s, self._params.join_half_life_s, self._params.join_price_wei)


def _mispriced(event: Joined, expected: str, why: str) -> Divergence:
    return Divergence(None, f"price of the seat of 0x{event.account.hex()}", expected, event.price_wei, why)
