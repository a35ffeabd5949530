"""The auditor: replay a run from chain and store alone, and stop at the first place where they part.

Nothing is taken from a participant: events are folded and checked against the transcript, every commitment opened,
every settlement re-executed, every model rebuilt, every wei accounted for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..learn.assess import assess
from ..learn.tasks import reference_of
from ..ports.chain import ChainReader, Clock, Escrow
from ..ports.store import Store
from ..spec import tree
from ..spec.agreement import distance_bits
from ..spec.errors import Divergence, GradmintError
from ..spec.events import Event
from ..spec.keccak import keccak256
from ..spec.ledger import Ledger, Round
from ..spec.transcript import commitment
from ..spec.types import Role, Verdict
from .replica import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundAudit:
    """What one round turned out to be; everything in it was re-executed or rebuilt."""

    number: int
    loss_micronats: int | None  # consensus loss of the start-of-round model; None in a void round
    cluster: tuple[int, ...]
    distances_bits: tuple[int | None, ...]  # verifier to medoid
    verdicts: tuple[Verdict, ...]  # per trainer
    reasons: tuple[str, ...]
    common_gains_micronats: tuple[int, ...]
    assigned_gains_micronats: tuple[int, ...]
    paid_wei: dict[bytes, int]  # per account, this round
    slashed_wei: dict[bytes, int]
    base: bytes  # model the round started from
    gas: dict[str, int]  # per kind of transaction
    own_distance_bits: int | None  # the auditor's own assessment to the medoid, when it assessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Where the money is, in wei.

    ``other_wei``: in the same contract, of other runs or sent there by nobody it knows.
    """

    deposited_wei: int
    claimed_wei: int
    claimable_wei: int
    unpaid_wei: int
    refunded_wei: int
    staked_wei: int
    slashed_wei: int
    other_wei: int


@dataclass(slots=True, kw_only=True)
class Audit:
    """A finished audit. ``divergence`` is the first one found, and nothing after it was looked at."""

    run: int
    chain_id: int
    rounds: list[RoundAudit] = field(default_factory=list)
    ledger: Ledger
    model: bytes = b""  # digest after the last round
    loss_nats: float | None = None  # of that model, on the task's validation batch, measured here
    metric: Callable[[float], tuple[float, str]] | None = None  # the task's reading of a loss: number and unit
    reference: tuple[float, str] | None = None  # a loss in nats that people know, and whose it is
    balance: Balance | None = None
    divergence: Divergence | None = None

    @property
    def ok(self) -> bool:
        return self.divergence is None


def audit(
    chain: ChainReader,
    store: Store,
    run: int,
    *,
    own_task: str | None = None,
    reassess: bool = False,
    progress: Callable[[Audit, RoundAudit], None] = lambda _, __: None,
) -> Audit:
    """Replay ``run``. ``reassess`` also values every update again and compares signatures: slower, and the only part
    that involves floats.

    Divergences are returned, not raised. Raises ChainUnreachable, StoreUnreachable, ManifestError: no audit, no
    verdict.
    """
    result = Audit(run=run, chain_id=chain.chain_id, ledger=Ledger(run))
    try:
        result.ledger, head = _fold(chain, run)
        _same_head(head, result.ledger)
        replica = Replica(result.ledger.terms, store, own_task=own_task)
        result.metric, result.reference = replica.task.metric, reference_of(replica.task)
        for round_ in result.ledger.rounds:
            if round_.is_over:
                audited = _audit_round(chain, result.ledger, replica, round_, reassess)
                result.rounds.append(audited)
                progress(result, audited)
        result.model = replica.base
        result.loss_nats = replica.validation_loss_nats()
        result.balance = _balance(head, result.ledger)
    except Divergence as found:
        result.divergence = found
    return result


@dataclass(frozen=True, slots=True)
class Head:
    """What the contracts hold at one moment."""

    clock: Clock
    escrow: Escrow
    claimed_wei: dict[bytes, int]
    stakes_wei: dict[bytes, int]
    held_wei: int  # tokens in the contract that holds rewards
    held_stakes_wei: int  # tokens in the contract that holds stakes


def _fold(chain: ChainReader, run: int) -> tuple[Ledger, Head]:
    """Events into a ledger, each settlement compared with its own re-execution as it comes; and the head they lead to.

    A run may go on meanwhile: the head is read again until no event came in between.
    """
    runs = chain.run_count()
    if not 1 <= run <= runs:
        raise Divergence(None, "run", f"1..{runs}", run, "no such run on this deployment")
    ledger = Ledger(run)
    fresh = chain.events(run)
    while True:
        for event in fresh:
            _apply(ledger, event)
        head = _head(chain, ledger)
        fresh = chain.events(run, fresh[-1].position if fresh else None)
        if not fresh:
            return ledger, head


def _head(chain: ChainReader, ledger: Ledger) -> Head:
    accounts = [seat.account for role in Role for seat in ledger.seats[role]]
    return Head(
        clock=chain.clock(ledger.run),
        escrow=chain.escrow(ledger.run),
        claimed_wei={account: chain.claimed_wei(ledger.run, account) for account in accounts},
        stakes_wei=dict(zip(accounts, chain.stakes_wei(ledger.run, accounts), strict=True)),
        held_wei=chain.token_balance_wei(ledger.token, chain.runs_address),
        held_stakes_wei=chain.token_balance_wei(ledger.token, chain.stakes_address),
    )


def _apply(ledger: Ledger, event: Event) -> None:
    number = ledger.rounds[-1].number if ledger.rounds else None
    row = f"{type(event).__name__} at block {event.position[0]} log {event.position[1]}"
    before = ledger.rounds[-1].settled if ledger.rounds else None
    try:
        ledger.apply(event)
    except GradmintError as error:
        raise Divergence(number, row, "a row that hashes to the recorded transcript", "another", str(error)) from error
    except (LookupError, ValueError, OverflowError) as error:
        raise Divergence(number, row, "a row that can follow", repr(event), repr(error)) from error
    if ledger.rounds and ledger.rounds[-1].settled is not before and ledger.rounds[-1].settled is not None:
        _same_settlement(ledger, ledger.rounds[-1])


def _same_settlement(ledger: Ledger, round_: Round) -> None:
    """The chain's settlement against ours, value by value."""
    settled, settlement = round_.settled, round_.settlement
    assert settled is not None and settlement is not None
    leaves = ledger.all_standings()
    root = tree.root(leaves)
    consensus = settlement.consensus
    total_before = next((r.settled.total_wei for r in reversed(ledger.rounds[: round_.number - 1]) if r.settled), 0)
    comparisons = (
        ("cluster mask", sum(1 << v for v in consensus.cluster) if consensus else 0, settled.cluster_mask),
        ("loss in micro-nats", consensus.loss_micronats if consensus else 0, settled.loss_micronats),
        ("paid wei", settlement.paid_wei, settled.paid_wei),
        ("total wei", total_before + settlement.paid_wei, settled.total_wei),
        ("standings hash", keccak256(b"".join(leaf.pack() for leaf in leaves)).hex(), settled.standings_hash.hex()),
        ("root", root.hash.hex(), settled.root.hex()),
        ("sum of the tree", root.sum_wei, settled.total_wei),
    )
    for what, expected, found in comparisons:
        if expected != found:
            raise Divergence(round_.number, f"settlement's {what}", expected, found, "re-execution gives another value")


def _same_head(head: Head, ledger: Ledger) -> None:
    """What the contracts hold now against what the events add up to."""
    escrow, clock = head.escrow, head.clock
    comparisons = (
        ("transcript", ledger.transcript.hex(), clock.transcript.hex(), "rows are missing at the end, or were added"),
        ("phase", ledger.phase.name, clock.phase.name, "a phase row is missing"),
        ("parameters", keccak256(ledger.terms.encode()).hex(), escrow.params_hash.hex(), "not what the run pinned"),
        ("sponsor", ledger.sponsor.hex(), escrow.sponsor.hex(), "the opening row was altered"),
        ("token", ledger.token.hex(), escrow.token.hex(), "the opening row was altered"),
        ("deposited wei", ledger.deposited_wei, escrow.deposited_wei, "a funding row is missing or altered"),
        ("total wei", ledger.total_wei, escrow.total_wei, "a settlement row is missing"),
        ("refunded wei", ledger.refunded_wei, escrow.refunded_wei, "a refund row is missing or altered"),
        ("root", tree.root(ledger.all_standings()).hash.hex(), escrow.root.hex(), "claims read another root"),
    )
    for what, expected, found, why in comparisons:
        if expected != found:
            raise Divergence(None, what, expected, found, why)


def _audit_round(chain: ChainReader, ledger: Ledger, replica: Replica, round_: Round, reassess: bool) -> RoundAudit:
    _open_commitments(chain, ledger, round_)
    base = replica.base
    attested = round_.held()[1]
    if attested is not None and attested != base:
        raise Divergence(
            round_.number, "base model", base.hex(), attested.hex(), "the committee attested another model than rebuilt"
        )
    consensus = round_.settlement.consensus if round_.settlement else None
    reasons: tuple[str, ...] = ()
    own_distance = None
    if consensus is not None:
        reasons = _same_verdicts(ledger, replica, round_)
        if reassess:
            own_distance = _reassess(ledger, replica, round_)
    gas = _gas(chain, round_)
    paid = _paid(ledger, round_)
    slashed = dict(_slashed(ledger, round_))
    try:
        replica.conclude(ledger, round_)
    except GradmintError as error:
        raise Divergence(
            round_.number, "model", "a lineage that can be rebuilt", type(error).__name__, str(error)
        ) from error
    return RoundAudit(
        number=round_.number,
        loss_micronats=consensus.loss_micronats if consensus else None,
        cluster=consensus.cluster if consensus else (),
        distances_bits=consensus.distances_bits if consensus else (),
        verdicts=tuple(row.verdict for row in consensus.rows) if consensus else (),
        reasons=reasons,
        common_gains_micronats=tuple(row.common_gain_micronats for row in consensus.rows) if consensus else (),
        assigned_gains_micronats=tuple(row.assigned_gain_micronats for row in consensus.rows) if consensus else (),
        paid_wei=paid,
        slashed_wei=slashed,
        base=base,
        gas=gas,
        own_distance_bits=own_distance,
    )


def _open_commitments(chain: ChainReader, ledger: Ledger, round_: Round) -> None:
    for v, reveal in round_.reveals.items():
        account = ledger.seats[Role.VERIFIER][v].account
        opened = commitment(
            chain.chain_id, chain.rounds_address, ledger.run, round_.number, account, reveal.report, reveal.salt
        )
        committed = round_.commits[v].commitment if v in round_.commits else b""
        if opened != committed:
            raise Divergence(
                round_.number, f"report of verifier {v}", committed.hex(), opened.hex(), "it is not what was committed"
            )


def _same_verdicts(ledger: Ledger, replica: Replica, round_: Round) -> tuple[str, ...]:
    """Checks on the bytes are deterministic, so the auditor's verdicts equal the consensus, row by row."""
    assert round_.settlement is not None and round_.settlement.consensus is not None
    try:
        checked = replica.check_round(ledger, round_)
    except GradmintError as error:
        raise Divergence(
            round_.number, "blobs", "every blob the committee held", type(error).__name__, str(error)
        ) from error
    for trainer, row in enumerate(round_.settlement.consensus.rows):
        if checked[trainer].verdict is not row.verdict:
            raise Divergence(
                round_.number,
                f"verdict on trainer {trainer}",
                checked[trainer].verdict.name,
                row.verdict.name,
                f"checked here: {checked[trainer].reason}",
            )
    return tuple(checked[trainer].reason for trainer in range(round_.trainers))


def _reassess(ledger: Ledger, replica: Replica, round_: Round) -> int:
    """Distance of the auditor's own signature to the medoid's. Raises Divergence beyond the accept distance."""
    assert round_.settlement is not None and round_.settlement.consensus is not None
    medoid = round_.settlement.consensus.medoid
    theirs = round_.reports(ledger.terms.words)[medoid]
    assert theirs is not None
    own = assess(
        replica.task,
        replica.manifest,
        replica.state,
        replica.check_round(ledger, round_),
        round_.trainers,
        round_.training_beacon,
        round_.assessment_beacon,
    ).report
    distance = distance_bits(own.words, theirs.words)
    if distance > ledger.terms.accept_bits:
        raise Divergence(
            round_.number,
            f"signature of the medoid, verifier {medoid}",
            f"at most {ledger.terms.accept_bits} bits away",
            f"{distance} bits away",
            "the committee observed something else than this machine does",
        )
    return distance


def _paid(ledger: Ledger, round_: Round) -> dict[bytes, int]:
    if round_.settlement is None:
        return {}
    before = {
        standing.account: standing.paid_wei
        for earlier in ledger.rounds[: round_.number - 1]
        if earlier.settlement
        for standing in earlier.settlement.trainers + earlier.settlement.verifiers
    }
    return {
        standing.account: standing.paid_wei - before.get(standing.account, 0)
        for standing in round_.settlement.trainers + round_.settlement.verifiers
    }


def _slashed(ledger: Ledger, round_: Round) -> Iterator[tuple[bytes, int]]:
    if round_.settlement is not None:
        for v, amount_wei in enumerate(round_.settlement.slashed_wei):
            if amount_wei:
                yield ledger.seats[Role.VERIFIER][v].account, amount_wei


def _gas(chain: ChainReader, round_: Round) -> dict[str, int]:
    """Gas per kind of transaction; closing is the one that opened the hold phase, unless a poke did."""
    rows: list[tuple[str, Event]] = [("submit", event) for event in round_.submissions]
    rows += [("hold", event) for event in round_.holds.values()]
    rows += [("commit", event) for event in round_.commits.values()]
    rows += [("reveal", event) for event in round_.reveals.values()]
    if round_.settled:
        rows.append(("settle", round_.settled))
    spoken = {event.tx_hash for _, event in rows}
    rows += [("close", event) for event in round_.opened.values() if event.tx_hash not in spoken and event.phase > 1]
    gas: dict[str, int] = {}
    for kind, event in rows:
        gas[kind] = gas.get(kind, 0) + chain.gas_used(event.tx_hash)
    return gas


def _balance(head: Head, ledger: Ledger) -> Balance:
    """Paid + claimable + unspent = deposited, per account and in sum, and the tokens are really there."""
    promised = {standing.account: standing.paid_wei for standing in ledger.all_standings()}
    expected_slashes: dict[bytes, int] = {}
    for round_ in ledger.rounds:
        for account, amount_wei in _slashed(ledger, round_):
            expected_slashes[account] = expected_slashes.get(account, 0) + amount_wei
    for account in promised.keys() | ledger.claimed_wei.keys():
        name = f"0x{account.hex()}"
        claimed_wei = ledger.claimed_wei.get(account, 0)
        recorded_wei = head.claimed_wei.get(account, 0)
        if claimed_wei != recorded_wei:
            raise Divergence(None, f"claims of {name}", claimed_wei, recorded_wei, "claim rows and the contract differ")
        if claimed_wei > promised.get(account, 0):
            raise Divergence(None, f"claims of {name}", promised.get(account, 0), claimed_wei, "claimed above earnings")
    for account in expected_slashes.keys() | ledger.slashed_wei.keys():
        expected, found = expected_slashes.get(account, 0), ledger.slashed_wei.get(account, 0)
        if expected != found:
            raise Divergence(None, f"slashes of 0x{account.hex()}", expected, found, "not what the settlements give")
    for seat in [seat for role in Role for seat in ledger.seats[role]]:
        expected, found = seat.stake_wei - ledger.withdrawn_wei.get(seat.account, 0), head.stakes_wei[seat.account]
        if expected != found:
            raise Divergence(None, f"stake of 0x{seat.account.hex()}", expected, found, "joined - slashed - withdrawn")

    claimed_wei = sum(ledger.claimed_wei.values())
    claimable_wei = ledger.total_wei - claimed_wei
    unpaid_wei = ledger.deposited_wei - ledger.total_wei - ledger.refunded_wei
    owed_wei = claimable_wei + unpaid_wei
    held_wei = head.held_wei
    if held_wei < owed_wei:
        raise Divergence(None, "escrow", owed_wei, held_wei, "the contract holds less than it owes")
    staked_wei, slashed_wei = sum(head.stakes_wei.values()), sum(ledger.slashed_wei.values())
    kept_wei = staked_wei + slashed_wei - ledger.burned_wei
    if head.held_stakes_wei < kept_wei:
        raise Divergence(None, "stakes", kept_wei, head.held_stakes_wei, "the contract holds less than is staked in it")
    return Balance(
        deposited_wei=ledger.deposited_wei,
        claimed_wei=claimed_wei,
        claimable_wei=claimable_wei,
        unpaid_wei=unpaid_wei,
        refunded_wei=ledger.refunded_wei,
        staked_wei=staked_wei,
        slashed_wei=slashed_wei,
        other_wei=held_wei - owed_wei,
    )
