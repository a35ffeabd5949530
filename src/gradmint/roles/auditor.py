"""The auditor: replay a run from chain and store alone, and stop at the first place where they part.

Nothing is taken from a participant: events are folded and checked against the transcript, every commitment opened,
every settlement re-executed, every model rebuilt, every wei accounted for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..learn.assess import assess
from ..learn.blocks import BLOCK_BYTES
from ..learn.tasks import reference_of
from ..ports.chain import ChainReader
from ..ports.reputation import ReputationReader
from ..ports.store import Store
from ..spec.agreement import distance_bits
from ..spec.docket import Books
from ..spec.errors import BlobMissing, Divergence, GradmintError, StoreUnreachable
from ..spec.events import Exposed
from ..spec.ledger import Ledger
from ..spec.plant import is_planted
from ..spec.round import Round
from ..spec.transcript import commitment
from ..spec.types import Phase, Report, Role, Settlement, Verdict
from .balance import Balance, Head, balance, check_head, read_head
from .replay import Refutation, Replay
from .replica import Replica
from .reputation_auditor import ReputationAudit, audit_reputation
from .rounds import books_before, consensus_of, holder, is_closed, settlement_of

NEAR = 2.0  # a proof whose ratio lies between this and its inverse is for the committee's median to judge


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
    #: What each trainer's update counts in the aggregate that moved the model; None where the rule is no weighting.
    weights: tuple[float, ...] | None = ()
    barred: frozenset[int] = frozenset()  # trainers who sat it out
    committee: tuple[int, ...] = ()  # verifiers whose reports counted
    attempts: int = 1  # 2: those drawn first had no quorum, everyone was called in
    exposed: tuple[Exposed, ...] = ()  # planted updates that somebody called OK
    final: bool = True  # False: recorded, and its settlement can still be refuted or is yet to be proposed


@dataclass(slots=True, kw_only=True)
class Audit:
    """A finished audit. ``divergence`` is the first one found, and nothing after it was looked at."""

    run: int
    chain_id: int
    rounds: list[RoundAudit] = field(default_factory=list)
    refutations: list[Refutation] = field(default_factory=list)
    ledger: Ledger
    model: bytes = b""  # digest after the last round
    loss_nats: float | None = None  # of that model, on the task's validation batch, measured here
    metric: Callable[[float], tuple[float, str]] | None = None  # the task's reading of a loss: number and unit
    reference: tuple[float, str] | None = None  # a loss in nats that people know, and whose it is
    balance: Balance | None = None
    reputation: ReputationAudit | None = None
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
    reputation: ReputationReader | None = None,
    progress: Callable[[Audit, RoundAudit], None] = lambda _, __: None,
) -> Audit:
    """Replay ``run``, and what ``reputation`` says about it and about everyone. ``reassess`` also values every update
    again and compares signatures: slower, and the only part that involves floats.

    Divergences are returned, not raised. Raises ChainUnreachable, StoreUnreachable, ManifestError: no audit, no
    verdict.
    """
    result = Audit(run=run, chain_id=chain.chain_id, ledger=Ledger(run))
    try:
        replay, head = _fold(chain, run)
        result.ledger, result.refutations = replay.ledger, replay.refutations
        check_head(head, result.ledger)
        replica = Replica(result.ledger.terms, store, own_task=own_task)
        result.metric, result.reference = replica.task.metric, reference_of(replica.task)
        for round_ in result.ledger.rounds:
            if is_closed(result.ledger, round_):
                audited = _audit_round(chain, replay, replica, round_, reassess)
                result.rounds.append(audited)
                progress(result, audited)
        result.model = replica.base
        result.loss_nats = replica.validation_loss_nats()
        result.balance = balance(head, result.ledger)
        result.divergence = replay.false_pending()
        if reputation is not None:
            result.reputation = audit_reputation(reputation, chain, [result.ledger])
            result.divergence = result.divergence or result.reputation.divergence
    except Divergence as found:
        result.divergence = found
    return result


def _fold(chain: ChainReader, run: int) -> tuple[Replay, Head]:
    """Events into a ledger, each settlement compared with its own re-execution as it comes; and the head they lead to.

    A run may go on meanwhile: the head is read again until no event came in between.
    """
    runs = chain.run_count()
    if not 1 <= run <= runs:
        raise Divergence(None, "run", f"1..{runs}", run, "no such run on this deployment")
    replay = Replay(run, chain.stakes_address)
    fresh = chain.events(run)
    while True:
        for event in fresh:
            replay.apply(event)
        head = read_head(chain, replay.ledger)
        fresh = chain.events(run, fresh[-1].position if fresh else None)
        if not fresh:
            replay.close(head.now_s, head.price_wei)
            return replay, head


def _audit_round(chain: ChainReader, replay: Replay, replica: Replica, round_: Round, reassess: bool) -> RoundAudit:
    ledger = replay.ledger
    _open_commitments(chain, ledger, round_)
    base = replica.base
    attested = round_.held()[1]
    if attested is not None and attested != base:
        raise Divergence(
            round_.number, "base model", base.hex(), attested.hex(), "the committee attested another model than rebuilt"
        )
    consensus = consensus_of(ledger, round_)
    reasons: tuple[str, ...] = ()
    own_distance = None
    if consensus is not None:
        reasons = _same_verdicts(ledger, replica, round_)
        if reassess:
            own_distance = _reassess(ledger, replica, round_)
            reasons = _examine(ledger, replica, round_, reasons)
    exposed = tuple(event for event in ledger.exposed if event.round == round_.number)
    for event in exposed:
        _check_exposure(ledger, replica, round_, event)
    gas = _gas(chain, replay, round_)
    settlement = settlement_of(ledger, round_)
    paid = _paid(books_before(ledger, round_), settlement) if settlement else {}
    slashed = dict(round_.execution.effects.slashed) if settlement and round_.execution else {}
    try:
        replica.conclude(ledger, round_)
    except StoreUnreachable:
        raise
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
        weights=replica.weights
        if replica.weights is None
        else tuple(replica.weights.get(trainer, 0.0) for trainer in range(len(consensus.rows) if consensus else 0)),
        barred=round_.barred,
        committee=tuple(v for v, stake_wei in enumerate(round_.stakes_wei) if stake_wei),
        attempts=round_.attempt,
        exposed=exposed,
        final=round_.is_over,
    )


def _open_commitments(chain: ChainReader, ledger: Ledger, round_: Round) -> None:
    for attempt in round_.attempts:
        for v, reveal in attempt.reveals.items():
            opened = commitment(
                chain.chain_id,
                chain.rounds_address,
                ledger.run,
                round_.number,
                holder(ledger, Role.VERIFIER, v, round_.number).account,
                Report.hash(reveal.report, ledger.terms.words),
                reveal.salt,
            )
            committed = attempt.commits[v].commitment if v in attempt.commits else b""
            if opened != committed:
                why = "it is not what was committed"
                raise Divergence(round_.number, f"report of verifier {v}", committed.hex(), opened.hex(), why)


def _same_verdicts(ledger: Ledger, replica: Replica, round_: Round) -> tuple[str, ...]:
    """Checks on the bytes are deterministic, so the auditor's verdicts equal the consensus, row by row; but UNPROVEN is
    about floats, and can only be said of trainers whom a beacon chose. What is said of who sits the round out counts
    for nothing."""
    assert round_.settlement is not None and round_.settlement.consensus is not None
    try:
        checked = replica.check_round(ledger, round_)
    except StoreUnreachable:
        raise
    except GradmintError as error:
        raise Divergence(
            round_.number, "blobs", "every blob the committee held", type(error).__name__, str(error)
        ) from error
    reasons = [checked[trainer].reason for trainer in range(round_.trainers)]
    examined = replica.examined(ledger, round_)
    for trainer, row in enumerate(round_.settlement.consensus.rows):
        if row.verdict is Verdict.UNPROVEN and trainer in examined:
            reasons[trainer] = "the committee could not reproduce what it says; to look again, reassess"
        elif checked[trainer].verdict is not row.verdict and trainer not in round_.barred:
            raise Divergence(
                round_.number,
                f"verdict on trainer {trainer}",
                checked[trainer].verdict.name,
                row.verdict.name,
                f"checked here: {checked[trainer].reason}",
            )
    return tuple(reasons)


def _examine(ledger: Ledger, replica: Replica, round_: Round, reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Claims and proofs looked at again, and what came of it. Raises Divergence where the committee's verdict is not
    even near what is found here. An opening that is gone by now leaves that verdict unchecked, and says so."""
    assert round_.settlement is not None and round_.settlement.consensus is not None
    told = list(reasons)
    for trainer in replica.examined(ledger, round_):
        verdict = round_.settlement.consensus.rows[trainer].verdict
        try:
            finding = replica.examine(ledger, round_, trainer)
        except BlobMissing as error:
            told[trainer] = f"{verdict.name} by the committee, not looked at again: {error}"
            continue
        wrong = finding.ratio <= 1 / NEAR if verdict is Verdict.UNPROVEN else finding.ratio > NEAR
        if wrong:
            raise Divergence(
                round_.number,
                f"proof of trainer {trainer}",
                Verdict.UNPROVEN.name if finding.unproven else Verdict.OK.name,
                verdict.name,
                f"found here: {finding.reason}",
            )
        if finding.unproven or verdict is Verdict.UNPROVEN:
            told[trainer] = finding.reason
    return tuple(told)


def _check_exposure(ledger: Ledger, replica: Replica, round_: Round, event: Exposed) -> None:
    """That the update was planted; who had to look and who lost what is checked as the events come. What was never
    published, or is larger than updates may be, is in the exposure's calldata and was judged there."""
    trainer, name = event.trainer, f"exposure of trainer {event.trainer}"
    try:
        blob = replica.store.get(round_.first_submissions[trainer].digest, BLOCK_BYTES)
    except StoreUnreachable:
        raise
    except GradmintError as error:
        if trainer not in round_.held()[0]:
            return
        raise Divergence(round_.number, name, "the update", type(error).__name__, str(error)) from error
    if not is_planted(blob, event.exposer, event.secret, ledger.terms.words):
        why = f"its words are not those of 0x{event.exposer.hex()} and secret {event.secret.hex()}"
        raise Divergence(round_.number, name, "a planted update", "another", why)


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


def _paid(before: Books, settlement: Settlement) -> dict[bytes, int]:
    """What the round added to each standing; a seat's new holder starts at nothing."""
    known = {standing.account: standing.paid_wei for standing in before.standings}
    return {
        standing.account: standing.paid_wei - known.get(standing.account, 0)
        for standing in settlement.trainers + settlement.verifiers
    }


def _gas(chain: ChainReader, replay: Replay, round_: Round) -> dict[str, int]:
    """Gas per kind of transaction; closing is the one that opened the hold phase, unless a poke did."""
    rows = [("submit", event.tx_hash) for event in round_.submissions]
    rows += [("hold", event.tx_hash) for event in round_.holds.values()]
    for attempt in round_.attempts:
        rows += [("commit", event.tx_hash) for event in attempt.commits.values()]
        rows += [("reveal", event.tx_hash) for event in attempt.reveals.values()]
    rows += replay.sent.get(round_.number, [])
    if round_.first:  # who settled found no quorum, and called everyone in
        rows.append(("settle", round_.opened[Phase.COMMIT].tx_hash))
    spoken = {tx_hash for _, tx_hash in rows}
    turns = [e.tx_hash for attempt in round_.attempts for phase, e in attempt.opened.items() if phase > Phase.TRAIN]
    turns += [attempt.recorded.tx_hash for attempt in round_.attempts if attempt.recorded]
    rows += [("close", tx_hash) for tx_hash in dict.fromkeys(turns) if tx_hash not in spoken]
    gas: dict[str, int] = {}
    for kind, tx_hash in rows:
        gas[kind] = gas.get(kind, 0) + chain.gas_used(tx_hash)
    return gas
