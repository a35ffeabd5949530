"""A run without a chain: a script says what happens, and writes the events that the contracts would."""

from __future__ import annotations

from dataclasses import replace

from gradmint.spec import transcript as tr
from gradmint.spec import tree
from gradmint.spec.events import (
    Admitted,
    Burned,
    Claimed,
    Committed,
    Event,
    Exiting,
    Funded,
    Held,
    Opened,
    PhaseOpened,
    Refunded,
    Retired,
    Revealed,
    Settled,
    Slashed,
    Submitted,
    Voided,
    Withdrawn,
)
from gradmint.spec.keccak import keccak256
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import STANDARD, Params
from gradmint.spec.types import Phase, Report, Role, Row, Verdict

CHAIN_ID = 31_337
ROUNDS = b"\x52" * 20
RUN = 7
BASE = b"\xba" * 32

SMALL = replace(
    STANDARD, min_trainers=1, min_verifiers=1, max_rounds=10, words=1, accept_bits=10, slash_bits=40
).check()

FAIR = Row(Verdict.OK, 1_000, 2_000)


def account(role: Role, index: int) -> bytes:
    """20 bytes that say whose they are."""
    return bytes([role]) * 18 + index.to_bytes(2, "big")


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
        self._say(Opened(run=RUN, sponsor=b"\x05" * 20, token=b"\x70" * 20, params=params, budget_wei=budget_wei))

    def _say(self, event: Event) -> None:
        event = replace(event, position=(100 + len(self.events), 0), tx_hash=len(self.events).to_bytes(32, "big"))
        self.events.append(event)
        self.ledger.apply(event)

    def _fold(self, kind: tr.Kind, row: bytes) -> bytes:
        return tr.fold(self.ledger.transcript, kind, row)

    # Seats

    def admit(self, role: Role, stake_wei: int | None = None) -> int:
        index = len(self.ledger.seats[role])
        own_wei = self.params.trainer_stake_wei if role is Role.TRAINER else self.params.verifier_stake_wei
        stake_wei = own_wei if stake_wei is None else stake_wei
        row = tr.admitted_row(role, index, account(role, index), stake_wei)
        self._say(
            Admitted(
                run=RUN,
                role=role,
                index=index,
                account=account(role, index),
                stake_wei=stake_wei,
                transcript=tr.fold(self.ledger.roster, tr.Kind.ADMITTED, row),
            )
        )
        return index

    def retire(self, role: Role, index: int) -> None:
        row = tr.retired_row(role, index)
        roster = tr.fold(self.ledger.roster, tr.Kind.RETIRED, row)
        self._say(Retired(run=RUN, role=role, index=index, transcript=roster))

    def slash(self, verifier: int, amount_wei: int) -> None:
        self._say(Slashed(run=RUN, account=account(Role.VERIFIER, verifier), amount_wei=amount_wei))

    # Money

    def fund(self, amount_wei: int) -> None:
        self._say(Funded(run=RUN, funder=b"\x0f" * 20, amount_wei=amount_wei))

    def claim(self, claimant: bytes, amount_wei: int) -> None:
        cumulative_wei = self.ledger.claimed_wei.get(claimant, 0) + amount_wei
        self._say(Claimed(run=RUN, account=claimant, amount_wei=amount_wei, cumulative_wei=cumulative_wei))

    def refund(self, amount_wei: int) -> None:
        self._say(Refunded(run=RUN, sponsor=self.ledger.sponsor, amount_wei=amount_wei))

    def exit(self, leaver: bytes, withdrawable_s: int) -> None:
        self._say(Exiting(run=RUN, account=leaver, withdrawable_s=withdrawable_s))

    def withdraw(self, leaver: bytes, amount_wei: int) -> None:
        self._say(Withdrawn(run=RUN, account=leaver, amount_wei=amount_wei))

    def burn(self, amount_wei: int) -> None:
        self._say(Burned(run=RUN, amount_wei=amount_wei))

    # A round

    def phase(self, phase: Phase, round_: int | None = None) -> None:
        opens = phase is Phase.TRAIN
        number = round_ if round_ is not None else len(self.ledger.rounds) + opens
        self.prevrandao += 1
        drawn = tr.beacon(self.prevrandao, self.ledger.transcript)
        beacon = drawn if phase in (Phase.TRAIN, Phase.COMMIT) else bytes(32)
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
        number, who = self.ledger.round.number, account(Role.VERIFIER, verifier)
        seal = tr.commitment(CHAIN_ID, ROUNDS, RUN, number, who, report.pack(), salt)
        transcript = self._fold(tr.Kind.COMMITTED, tr.committed_row(verifier, seal))
        self._say(Committed(run=RUN, verifier=verifier, commitment=seal, transcript=transcript))

    def reveal(self, verifier: int) -> None:
        report, salt = self.sealed[verifier]
        row = tr.revealed_row(verifier, salt, report.pack())
        self._say(
            Revealed(
                run=RUN,
                verifier=verifier,
                salt=salt,
                report=report.pack(),
                transcript=self._fold(tr.Kind.REVEALED, row),
            )
        )

    def settle(self) -> None:
        """Settled as the contract would: slashes first, then the row. The next phase is the script's to open."""
        settlement = self.ledger.settle_round()
        leaves = settlement.trainers + settlement.verifiers
        consensus = settlement.consensus
        for verifier, amount_wei in enumerate(settlement.slashed_wei):
            if amount_wei:
                self.slash(verifier, amount_wei)
        settled = Settled(
            run=RUN,
            round=self.ledger.round.number,
            root=tree.root(leaves).hash,
            total_wei=self.ledger.total_wei + settlement.paid_wei,
            paid_wei=settlement.paid_wei,
            standings_hash=keccak256(b"".join(leaf.pack() for leaf in leaves)),
            loss_micronats=consensus.loss_micronats if consensus else 0,
            cluster_mask=sum(1 << v for v in consensus.cluster) if consensus else 0,
            transcript=b"",
        )
        row = tr.settled_row(
            settled.round,
            settled.root,
            settled.total_wei,
            settled.standings_hash,
            settled.loss_micronats,
            settled.cluster_mask,
        )
        self._say(replace(settled, transcript=self._fold(tr.Kind.SETTLED, row)))

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
        """The open round from submissions to settlement, by all of the committee but ``absent``; ``liars`` lie."""
        count = self.ledger.round.trainers
        rows = [FAIR if t in present else Row(Verdict.MISSING, 0, -(2**31)) for t in range(count)]
        honest = report or make_report(rows)
        lie = replace(honest, words=tuple(word ^ (2**256 - 1) for word in honest.words))
        speaking = [v for v, stake_wei in enumerate(self.ledger.round.stakes_wei) if stake_wei and v not in absent]
        for trainer in sorted(present):
            self.submit(trainer)
        self.phase(Phase.HOLD)
        for verifier in speaking:
            self.hold(verifier, present)
        self.phase(Phase.COMMIT)
        for verifier in speaking:
            self.commit(verifier, lie if verifier in liars else honest)
        self.phase(Phase.REVEAL)
        for verifier in speaking:
            self.reveal(verifier)
        self.phase(Phase.SETTLE)
        self.settle()


def replay(events: list[Event]) -> Ledger:
    """What a stranger folds out of the events."""
    ledger = Ledger(RUN)
    for event in events:
        ledger.apply(event)
    return ledger
