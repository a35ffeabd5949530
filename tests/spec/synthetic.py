"""A run without a chain: a script says what happens, and writes the events that the contracts would."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gradmint.spec import transcript as tr
from gradmint.spec.docket import Effects, Outcome, Record, split_bond
from gradmint.spec.events import (
    Admitted,
    Bonded,
    Burned,
    Challenged,
    Claimed,
    Committed,
    Event,
    Exiting,
    Expanded,
    Exposed,
    Forfeited,
    Funded,
    Held,
    Joined,
    Left,
    Opened,
    PhaseOpened,
    Pooled,
    Proposed,
    Rated,
    Recorded,
    Redirected,
    Refunded,
    Refuted,
    Retired,
    Revealed,
    Seized,
    Settled,
    Slashed,
    Submitted,
    Unbonded,
    Voided,
    Withdrawn,
)
from gradmint.spec.keccak import keccak256
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import STANDARD, Params
from gradmint.spec.plant import seized_wei
from gradmint.spec.types import Phase, Report, Role, Row, Verdict

CHAIN_ID = 31_337
ROUNDS = b"\x52" * 20
RUN = 7
BASE = b"\xba" * 32

SMALL = replace(
    STANDARD, min_trainers=1, min_verifiers=1, max_rounds=10, words=1, accept_bits=10, slash_bits=40
).check()

#: The same, settled by proposals.
PROPOSING = replace(
    SMALL, challenge_s=600, extension_s=200, proposal_bond_wei=1_000, challenger_bps=4_000, burn_bps=3_000
).check()

FAIR = Row(Verdict.OK, 1_000, 2_000)
PROPOSER, CHALLENGER = b"\x0a" * 20, b"\x0c" * 20


def account(role: Role, index: int, holder: int = 0) -> bytes:
    """20 bytes that say whose they are: of a seat's first holder, or of a later one."""
    return bytes([role]) * 17 + bytes([role + 16 * holder]) + index.to_bytes(2, "big")


def make_report(rows: tuple[Row, ...] | list[Row], *words: int, loss_micronats: int = 1_000_000) -> Report:
    return Report(loss_micronats, words or (0,), tuple(rows))


class Script:
    """Appends events to ``events`` and folds them into ``ledger``, which a reader must arrive at as well."""

    def __init__(self, params: Params = SMALL, budget_wei: int = 10**21) -> None:
        self.params = params
        self.events: list[Event] = []
        self.ledger = Ledger(RUN)
        self.prevrandao = 0
        self.sealed: dict[int, tuple[Report, bytes]] = {}
        self.last_recorded = 0
        self._say(Opened(run=RUN, sponsor=b"\x05" * 20, token=b"\x70" * 20, params=params, budget_wei=budget_wei))

    def _say(self, event: Event, tx_hash: bytes = b"") -> None:
        tx_hash = tx_hash or len(self.events).to_bytes(32, "big")
        event = replace(event, position=(100 + len(self.events), 0), tx_hash=tx_hash)
        self.events.append(event)
        self.ledger.apply(event)

    def _fold(self, kind: tr.Kind, row: bytes) -> bytes:
        return tr.fold(self.ledger.transcript, kind, row)

    # Seats

    def admit(self, role: Role, stake_wei: int | None = None, index: int | None = None) -> int:
        """A fresh seat; or the one at ``index`` again, whose holder is retired first unless it left before."""
        seats = self.ledger.seats[role]
        holder = 0
        if index is None:
            index = len(seats)
        else:
            holder = 1 + sum((seat.role, seat.index) == (role, index) for seat in self.ledger.former)
            if not seats[index].gone:
                self.retire(role, index)
        own_wei = self.params.trainer_stake_wei if role is Role.TRAINER else self.params.verifier_stake_wei
        stake_wei = own_wei if stake_wei is None else stake_wei
        newcomer = account(role, index, holder)
        row = tr.admitted_row(role, index, newcomer, stake_wei)
        self._say(
            Admitted(
                run=RUN,
                role=role,
                index=index,
                account=newcomer,
                stake_wei=stake_wei,
                transcript=tr.fold(self.ledger.roster, tr.Kind.ADMITTED, row),
            )
        )
        return index

    def joined(self, role: Role, index: int, price_wei: int) -> None:
        """What the stakes' contract says of a join, behind Admitted."""
        seat = self.ledger.seats[role][index]
        self._say(
            Joined(run=RUN, account=seat.account, role=role, index=index, stake_wei=seat.stake_wei, price_wei=price_wei)
        )

    def retire(self, role: Role, index: int) -> None:
        row = tr.retired_row(role, index)
        roster = tr.fold(self.ledger.roster, tr.Kind.RETIRED, row)
        self._say(Retired(run=RUN, role=role, index=index, transcript=roster))

    def rate(self, role: Role, index: int, rating_q32: int) -> None:
        row = tr.rated_row(role, index, rating_q32)
        roster = tr.fold(self.ledger.roster, tr.Kind.RATED, row)
        self._say(Rated(run=RUN, role=role, index=index, rating_q32=rating_q32, transcript=roster))

    def slash(self, loser: bytes, amount_wei: int) -> None:
        self._say(Slashed(run=RUN, account=loser, amount_wei=amount_wei))

    # Money

    def fund(self, amount_wei: int) -> None:
        self._say(Funded(run=RUN, funder=b"\x0f" * 20, amount_wei=amount_wei))

    def claim(self, claimant: bytes, amount_wei: int) -> None:
        self._say(Claimed(run=RUN, account=claimant, amount_wei=amount_wei))

    def redirect(self, claimant: bytes, recipient: bytes) -> None:
        self._say(Redirected(run=RUN, account=claimant, recipient=recipient))

    def refund(self, amount_wei: int) -> None:
        self._say(Refunded(run=RUN, sponsor=self.ledger.sponsor, amount_wei=amount_wei))

    def exit(self, leaver: bytes, withdrawable_s: int) -> None:
        self._say(Exiting(run=RUN, account=leaver, withdrawable_s=withdrawable_s))

    def withdraw(self, leaver: bytes, amount_wei: int) -> None:
        self._say(Withdrawn(run=RUN, account=leaver, amount_wei=amount_wei))

    def burn(self, amount_wei: int) -> None:
        self._say(Burned(run=RUN, amount_wei=amount_wei))

    def bond(self, owner: bytes, amount_wei: int) -> None:
        self._say(Bonded(run=RUN, account=owner, amount_wei=amount_wei))

    def unbond(self, owner: bytes, amount_wei: int) -> None:
        self._say(Unbonded(run=RUN, account=owner, amount_wei=amount_wei))

    def pool(self, amount_wei: int) -> None:
        self._say(Pooled(run=RUN, amount_wei=amount_wei))
        self.fund(amount_wei)

    def _forfeit(self, loser: bytes, beneficiary: bytes) -> None:
        p = self.params
        reward_wei, burn_wei, pool_wei = split_bond(p.proposal_bond_wei, p.challenger_bps, p.burn_bps)
        self._say(
            Forfeited(
                run=RUN,
                account=loser,
                beneficiary=beneficiary,
                reward_wei=reward_wei,
                burn_wei=burn_wei,
                pool_wei=pool_wei,
            )
        )

    # A round

    def phase(self, phase: Phase, round_: int | None = None) -> None:
        opens = phase is Phase.TRAIN
        number = round_ if round_ is not None else len(self.ledger.rounds) + opens
        self.prevrandao += 1
        drawn = tr.beacon(self.prevrandao, self.ledger.transcript)
        beacon = drawn if phase in (Phase.TRAIN, Phase.HOLD, Phase.COMMIT) else bytes(32)
        deadline_s = 0 if phase is Phase.ENDED else 1_000 * len(self.events)
        row = tr.phase_row(number, phase, deadline_s, beacon, self.ledger.roster)
        self._say(
            PhaseOpened(
                run=RUN,
                round=number,
                phase=phase,
                deadline_s=deadline_s,
                beacon=beacon,
                roster=self.ledger.roster,
                transcript=self._fold(tr.Kind.PHASE, row),
            )
        )

    def submit(self, trainer: int, gain_micronats: int = 1_000, digest: bytes | None = None) -> None:
        digest = digest or keccak256(b"blob" + bytes([len(self.ledger.rounds), trainer]))
        row = tr.submitted_row(trainer, gain_micronats, digest)
        self._say(
            Submitted(
                run=RUN,
                trainer=trainer,
                claimed_gain_micronats=gain_micronats,
                digest=digest,
                transcript=self._fold(tr.Kind.SUBMITTED, row),
            )
        )

    def hold(self, verifier: int, trainers: set[int], base: bytes = BASE) -> None:
        bitmap = bytearray((self.ledger.round.trainers + 7) // 8)
        for trainer in trainers:
            bitmap[trainer // 8] |= 1 << trainer % 8
        row = tr.held_row(verifier, base, bytes(bitmap))
        self._say(
            Held(
                run=RUN,
                verifier=verifier,
                base=base,
                bitmap=bytes(bitmap),
                transcript=self._fold(tr.Kind.HELD, row),
            )
        )

    def commit(self, verifier: int, report: Report) -> None:
        salt = bytes([verifier]) * 32
        self.sealed[verifier] = report, salt
        number = self.ledger.round.number
        who = self.ledger.seats[Role.VERIFIER][verifier].account
        bound = Report.hash(report.pack(), self.params.words)
        seal = tr.commitment(CHAIN_ID, ROUNDS, RUN, number, who, bound, salt)
        transcript = self._fold(tr.Kind.COMMITTED, tr.committed_row(verifier, seal))
        self._say(Committed(run=RUN, verifier=verifier, commitment=seal, transcript=transcript))

    def reveal(self, verifier: int) -> None:
        report, salt = self.sealed[verifier]
        row = tr.revealed_row(verifier, salt, Report.hash(report.pack(), self.params.words))
        self._say(
            Revealed(
                run=RUN,
                verifier=verifier,
                salt=salt,
                report=report.pack(),
                transcript=self._fold(tr.Kind.REVEALED, row),
            )
        )

    def record(self) -> Record:
        """What the contract builds from its storage when REVEAL ends."""
        round_, seats = self.ledger.round, self.ledger.seats[Role.VERIFIER]
        active = [v for v, stake_wei in enumerate(round_.stakes_wei) if stake_wei]
        revealed = sorted(round_.reveals)
        record = Record(
            round=round_.number,
            previous=self.last_recorded,
            trainers=round_.trainers,
            verifiers=round_.verifiers,
            deposited_wei=self.ledger.deposited_wei,
            active=sum(1 << v for v in active),
            revealed=sum(1 << v for v in revealed),
            roster=round_.opened[Phase.TRAIN].roster,
            transcript=self.ledger.transcript,
            reports=tuple(Report.hash(self.sealed[v][0].pack(), self.params.words) for v in revealed),
            stakes_wei=tuple(seats[v].stake_wei if v in active else 0 for v in range(round_.verifiers)),
        )
        self._say(Recorded(run=RUN, round=round_.number, record_hash=record.hash()))
        self.last_recorded = round_.number
        return record

    def call_everyone_in(self) -> None:
        """What the contract does instead of settling, where the drawn committee had no quorum."""
        record = self.ledger.round.record
        assert record is not None
        self.last_recorded = record.previous
        self.phase(Phase.COMMIT)
        self._say(Expanded(run=RUN, round=self.ledger.round.number, active=self.ledger.round.active))

    def settle(self, round_: int | None = None) -> None:
        """Final, as the contract would: the row, then its effects. The next phase is the script's to open."""
        number = round_ or self.ledger.round.number
        execution = self.ledger.rounds[number - 1].execution
        assert execution is not None
        self._apply(number, execution.outcome, execution.effects)

    def _apply(self, number: int, outcome: Outcome, effects: Effects) -> None:
        before = self.ledger.transcript if self.ledger.is_direct else self.ledger.settlements
        transcript = tr.fold(before, tr.Kind.SETTLED, tr.settled_row(number, outcome.pack()))
        self._say(Settled(run=RUN, round=number, outcome=outcome, transcript=transcript))
        for leaver, cumulative_wei in effects.left:
            self._say(Left(run=RUN, account=leaver, cumulative_wei=cumulative_wei))
        for loser, amount_wei in effects.slashed:
            self.slash(loser, amount_wei)

    def propose(self, round_: int, outcome: Outcome | None = None, final_s: int = 10_000) -> None:
        """What re-execution gives, or another outcome."""
        execution = self.ledger.rounds[round_ - 1].execution
        assert execution is not None
        said = outcome or execution.outcome
        self._say(Proposed(run=RUN, round=round_, proposer=PROPOSER, final_s=final_s, outcome=said))

    def challenge(self, round_: int, until_s: int = 11_000) -> None:
        self._say(Challenged(run=RUN, round=round_, challenger=CHALLENGER, until_s=until_s))

    def refute(self, round_: int) -> None:
        self._forfeit(PROPOSER, CHALLENGER)
        self._say(Refuted(run=RUN, round=round_, proposer=PROPOSER, challenger=CHALLENGER))

    def finalise(self) -> None:
        """The first pending proposal, right or wrong; a challenge of it has come to nothing."""
        proposal = self.ledger.pending[0]
        execution = self.ledger.rounds[proposal.round - 1].execution
        assert execution is not None
        if self.ledger.challenge and self.ledger.challenge.round == proposal.round:
            self._forfeit(CHALLENGER, PROPOSER)
        self._apply(proposal.round, proposal.outcome, execution.effects)

    def expose(self, round_: int, trainer: int, guilty: int) -> None:
        """Whoever is in the mask ``guilty`` loses stake, as the contract takes it."""
        record = self.ledger.rounds[round_ - 1].record
        assert record is not None
        tx_hash = len(self.events).to_bytes(32, "big")
        self._say(Exposed(run=RUN, round=round_, trainer=trainer, exposer=CHALLENGER, secret=bytes(32), guilty=guilty))
        for seat in self.ledger.seats[Role.VERIFIER]:
            if guilty >> seat.index & 1:
                taken_wei = seized_wei(self.params, record.stakes_wei[seat.index], seat.stake_wei)
                reward, burn, pool = split_bond(taken_wei, self.params.challenger_bps, self.params.burn_bps)
                self._say(
                    Seized(
                        run=RUN,
                        account=seat.account,
                        beneficiary=CHALLENGER,
                        reward_wei=reward,
                        burn_wei=burn,
                        pool_wei=pool,
                    ),
                    tx_hash,
                )

    def void(self) -> None:
        self._say(Voided(run=RUN, round=self.ledger.round.number, phase=self.ledger.phase))

    # Usual pieces

    def open_round(self, trainers: int = 3, verifiers: int = 4) -> None:
        """Seat who is missing, then open TRAIN."""
        while len(self.ledger.seats[Role.TRAINER]) < trainers:
            self.admit(Role.TRAINER)
        while len(self.ledger.seats[Role.VERIFIER]) < verifiers:
            self.admit(Role.VERIFIER)
        self.phase(Phase.TRAIN)

    def play(
        self,
        present: set[int],
        report: Report | None = None,
        liars: set[int] = frozenset(),
        absent: set[int] = frozenset(),
    ) -> None:
        """The open round from submissions to its record, by all of the committee but ``absent``; ``liars`` lie.

        Where rounds are settled directly, it is; where the committee was drawn and has no quorum, everyone assesses
        first.
        """
        count = self.ledger.round.trainers
        rows = [FAIR if t in present else Row(Verdict.MISSING, 0, -(2**31)) for t in range(count)]
        honest = report or make_report(rows)
        for trainer in sorted(present):
            self.submit(trainer)
        self.phase(Phase.HOLD)
        for verifier in self._committee(absent):
            self.hold(verifier, present)
        self.phase(Phase.COMMIT)
        self.assess(honest, liars, absent)
        if self.ledger.is_direct:
            self.phase(Phase.SETTLE)
            execution, round_ = self.ledger.round.execution, self.ledger.round
            assert execution is not None
            if execution.outcome.cluster_mask == 0 and round_.active != round_.eligible:
                self.call_everyone_in()
                self.assess(honest, liars, absent)
                self.phase(Phase.SETTLE)
            self.settle()

    def _committee(self, absent: Collection[int]) -> list[int]:
        return [v for v, stake_wei in enumerate(self.ledger.round.stakes_wei) if stake_wei and v not in absent]

    def assess(self, honest: Report, liars: Collection[int] = (), absent: Collection[int] = ()) -> None:
        """From commitments to the record; ``liars`` complement their words."""
        lie = replace(honest, words=tuple(word ^ (2**256 - 1) for word in honest.words))
        speaking = self._committee(absent)
        for verifier in speaking:
            self.commit(verifier, lie if verifier in liars else honest)
        self.phase(Phase.REVEAL)
        for verifier in speaking:
            self.reveal(verifier)
        self.record()


def replay(events: list[Event]) -> Ledger:
    """What a stranger folds out of the events."""
    ledger = Ledger(RUN)
    for event in events:
        ledger.apply(event)
    return ledger
