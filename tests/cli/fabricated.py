"""A made-up run that adds up: medoids, payouts and slashes come from the specification, only floats are invented."""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradmint.roles.auditor import Audit, RoundAudit
from gradmint.roles.balance import Balance
from gradmint.roles.replay import Refutation
from gradmint.spec.docket import Books, Record, execute
from gradmint.spec.errors import Divergence
from gradmint.spec.events import (
    Claimed,
    Committed,
    Forfeited,
    Held,
    PhaseOpened,
    Refuted,
    Revealed,
    Settled,
    Submitted,
    Voided,
)
from gradmint.spec.ledger import Ledger
from gradmint.spec.mechanism import is_ejected
from gradmint.spec.params import ETHER_WEI, LOCAL
from gradmint.spec.round import Round, Seat
from gradmint.spec.types import ABSENT_ROW, UNSAMPLED, Phase, Report, Role, Row, Standing, Verdict

TRAINERS = ("honest",) * 5 + ("free-rider", "copycat", "poisoner")
VERIFIERS = ("honest",) * 3 + ("liar",)
VOID = 17  # a round without quorum
CRASHED = (11, 12)  # rounds that trainer 4 missed
REASONS = {
    Verdict.MISSING: "no blob by the deadline",
    Verdict.DUPLICATE: "310 of 512 positions and signs are those of trainer 1's update of the previous round: "
    "6054 bps, at most 5000 are allowed",
}


def account(role: Role, index: int) -> bytes:
    return hashlib.sha256(f"{role.name} {index}".encode()).digest()[:20]


def bits_per_byte(loss_nats: float) -> tuple[float, str]:
    return loss_nats / 0.6931471805599453, "bits/byte"


def people(trainers: tuple[str, ...] = TRAINERS, verifiers: tuple[str, ...] = VERIFIERS) -> list[dict[str, str]]:
    """Rows of participants.json."""
    return [
        {
            "account": f"0x{account(role, index).hex()}",
            "name": f"{role.name.lower()} {index}",
            "role": role.name.lower(),
            "strategy": strategy,
        }
        for role, strategies in ((Role.TRAINER, trainers), (Role.VERIFIER, verifiers))
        for index, strategy in enumerate(strategies)
    ]


class Fabricator:
    """Plays ``rounds`` rounds and audits them as if."""

    def __init__(self, rounds: int = 30, trainers: tuple[str, ...] = TRAINERS, verifiers: tuple[str, ...] = VERIFIERS):
        self.random = random.Random(7)
        self.trainers, self.verifiers = trainers, verifiers
        self.rounds = rounds
        self.ledger = Ledger(1)
        self.ledger.params = replace(LOCAL, max_rounds=rounds, target_loss_micronats=1_612_000, manifest=b"\x11" * 32)
        self.ledger.deposited_wei = 1_000 * ETHER_WEI
        self.ledger.sponsor, self.ledger.token = b"\x5e" * 20, b"\x70" * 20
        for role, strategies, stake_wei in (
            (Role.TRAINER, trainers, LOCAL.trainer_stake_wei),
            (Role.VERIFIER, verifiers, LOCAL.verifier_stake_wei),
        ):
            for index in range(len(strategies)):
                self.ledger.seats[role].append(Seat(role, index, account(role, index), stake_wei))
        self.ledger.final = self.ledger.books = Books(
            trainers=tuple(Standing(seat.account, Role.TRAINER) for seat in self.ledger.seats[Role.TRAINER]),
            verifiers=tuple(Standing(seat.account, Role.VERIFIER) for seat in self.ledger.seats[Role.VERIFIER]),
        )
        self.ledger.prices_wei = LOCAL.join_price_wei * (len(trainers) + len(verifiers))
        self.audited: list[RoundAudit] = []

    def play(self) -> Audit:
        for number in range(1, self.rounds + 1):
            self._round(number)
        ledger = self.ledger
        ledger.phase = Phase.ENDED
        for standing in ledger.all_standings():
            ledger.apply(Claimed(run=1, account=standing.account, amount_wei=standing.paid_wei))
        ledger.refunded_wei = ledger.deposited_wei - ledger.total_wei
        return Audit(
            run=1,
            chain_id=31_337,
            rounds=self.audited,
            ledger=ledger,
            model=_digest(self.rounds + 1),
            loss_nats=self._loss(self.rounds + 1) / 1e6,
            metric=bits_per_byte,
            reference=(2.31 * math.log(2), "gzip -9"),
            balance=Balance(
                deposited_wei=ledger.deposited_wei,
                claimed_wei=ledger.total_wei,
                claimable_wei=0,
                unpaid_wei=0,
                refunded_wei=ledger.refunded_wei,
                staked_wei=sum(seat.stake_wei for role in Role for seat in ledger.seats[role]),
                slashed_wei=sum(ledger.slashed_wei.values()),
                prices_wei=ledger.prices_wei,
                bonds_wei=0,
                poolable_wei=0,
                other_wei=0,
            ),
        )

    def _loss(self, number: int) -> int:
        return int(1e6 * (1.55 + 4.0 * 0.82**number))

    def _round(self, number: int) -> None:
        ledger, draw = self.ledger, self.random
        seats = ledger.seats[Role.VERIFIER]
        round_ = Round(
            number=number,
            training_beacon=_digest(-number),
            trainers=len(self.trainers),
            verifiers=len(self.verifiers),
            eligible=sum(1 << seat.index for seat in seats if not seat.gone),
            stakes_wei=tuple(0 if seat.gone else seat.stake_wei for seat in seats),
            standings=ledger.seated(Role.TRAINER, len(self.trainers)),
        )
        ledger.rounds.append(round_)
        for phase in (Phase.TRAIN, Phase.HOLD, Phase.COMMIT, Phase.REVEAL, Phase.SETTLE):
            round_.opened[phase] = PhaseOpened(
                run=1,
                round=number,
                phase=phase,
                deadline_s=0,
                beacon=b"",
                roster=b"",
                transcript=b"",
                tx_hash=_digest(10**6 + 10 * number + phase),
            )
        common: dict[str, Any] = {"run": 1, "transcript": b""}
        drawn = [self._row(number, trainer) for trainer in range(len(self.trainers))]
        truth = [ABSENT_ROW if trainer in round_.barred else row for trainer, row in enumerate(drawn)]
        for trainer, row in enumerate(truth):
            if row.verdict is not Verdict.MISSING:
                round_.submissions.append(
                    Submitted(
                        **common,
                        tx_hash=_digest(10**7 + 100 * number + trainer),
                        trainer=trainer,
                        claimed_gain_micronats=9,
                        digest=_digest(trainer),
                    )
                )
        words = tuple(draw.getrandbits(256) for _ in range(LOCAL.words))
        present = [v for v in range(len(self.verifiers)) if round_.stakes_wei[v] and not (number == VOID and v < 2)]
        for v in present:
            report = self._report(v, number, words, truth)
            round_.holds[v] = Held(
                **common,
                tx_hash=_digest(2 * 10**7 + 100 * number + v),
                verifier=v,
                base=_digest(number),
                bitmap=b"\xff",
            )
            round_.commits[v] = Committed(
                **common, tx_hash=_digest(3 * 10**7 + 100 * number + v), verifier=v, commitment=b""
            )
            round_.reveals[v] = Revealed(
                **common, tx_hash=_digest(4 * 10**7 + 100 * number + v), verifier=v, salt=b"", report=report.pack()
            )
        before = ledger.books
        round_.record = Record(
            round=number,
            previous=0,
            trainers=round_.trainers,
            verifiers=round_.verifiers,
            deposited_wei=ledger.deposited_wei,
            active=sum(1 << v for v, stake_wei in enumerate(round_.stakes_wei) if stake_wei),
            revealed=sum(1 << v for v in round_.reveals),
            roster=before.roster,
            transcript=ledger.transcript,
            reports=(),
            stakes_wei=round_.stakes_wei,
        )
        round_.execution = execute(ledger.terms, round_.record, before, (), round_.reports(LOCAL.words))
        settlement = round_.execution.settlement
        consensus = settlement.consensus
        if consensus is None:
            round_.voided = Voided(run=1, round=number, phase=Phase.SETTLE)
        else:
            ledger.final = ledger.books = round_.execution.books
            round_.settled = Settled(**common, round=number, outcome=round_.execution.outcome)
        slashed = {seats[v].account: wei for v, wei in enumerate(settlement.slashed_wei) if wei and consensus}
        for who, amount_wei in slashed.items():
            ledger.slashed_wei[who] = ledger.slashed_wei.get(who, 0) + amount_wei
            seat = ledger.seat(who)
            assert seat is not None
            seat.stake_wei -= amount_wei
            seat.gone = seat.gone or is_ejected(seat.stake_wei, LOCAL.verifier_stake_wei)
        ledger.transcript = _digest(2_000 + number)
        ledger.phase = Phase.SETTLE
        rows = consensus.rows if consensus else ()
        self.audited.append(
            RoundAudit(
                number=number,
                loss_micronats=consensus.loss_micronats if consensus else None,
                cluster=consensus.cluster if consensus else (),
                distances_bits=consensus.distances_bits if consensus else (),
                verdicts=tuple(row.verdict for row in rows),
                reasons=tuple(
                    f"banned up to round {round_.standings[trainer].ban_round}"
                    if trainer in round_.barred
                    else REASONS.get(row.verdict, "")
                    for trainer, row in enumerate(rows)
                ),
                common_gains_micronats=tuple(row.common_gain_micronats for row in rows),
                assigned_gains_micronats=tuple(row.assigned_gain_micronats for row in rows),
                paid_wei={
                    now.account: now.paid_wei - then.paid_wei
                    for now, then in zip(ledger.books.standings, before.standings, strict=True)
                }
                if consensus
                else {},
                slashed_wei=slashed,
                base=_digest(number),
                gas=self._gas(round_),
                own_distance_bits=None,
                weights=tuple((row.common_gain_micronats > 0) / len(rows) for row in rows),
                barred=round_.barred,
            )
        )

    def _row(self, number: int, trainer: int) -> Row:
        draw, strategy = self.random, self.trainers[trainer]
        level = 240_000 * 0.85**number + 2_000
        sampled = draw.random() < 0.8
        if strategy == "free-rider":
            return Row(Verdict.OK, draw.randint(-2, 3), draw.randint(-5, 5) if sampled else UNSAMPLED)
        if strategy == "copycat" and number > 1:
            return Row(Verdict.DUPLICATE, 0, UNSAMPLED)
        if trainer == 4 and number in CRASHED:
            return Row(Verdict.MISSING, 0, UNSAMPLED)
        gain = int(level * draw.uniform(0.8, 1.25)) * (-1 if strategy == "poisoner" else 1)
        return Row(Verdict.OK, gain, gain + int(abs(gain) * draw.uniform(-0.02, 0.5)) if sampled else UNSAMPLED)

    def _report(self, v: int, number: int, words: tuple[int, ...], truth: list[Row]) -> Report:
        draw = self.random
        if self.verifiers[v] == "liar":
            lies = tuple(draw.getrandbits(256) for _ in words)
            return Report(1_000_000, lies, (Row(Verdict.OK, 1_000, 2_000),) * len(truth))
        flips = (
            draw.choice((0, 0, 1, 2, 3)) if (v, number) != (1, 21) or len(self.verifiers) < 5 else 70
        )  # an odd machine
        bent = list(words)
        for place in draw.sample(range(256 * len(words)), flips):
            bent[place // 256] ^= 1 << place % 256
        return Report(self._loss(number) + draw.randint(-2, 2), tuple(bent), tuple(truth))

    def _gas(self, round_: Round) -> dict[str, int]:
        draw = self.random
        gas = {
            "submit": sum(draw.randint(30_400, 31_900) for _ in round_.submissions),
            "hold": sum(draw.randint(56_000, 58_500) for _ in round_.holds),
            "commit": sum(draw.randint(52_000, 53_500) for _ in round_.commits),
            "reveal": sum(draw.randint(61_000, 64_000) for _ in round_.reveals),
            "close": draw.randint(60_000, 66_000),
        }
        return gas | ({"settle": draw.randint(410_000, 470_000)} if round_.settled else {})


def audit(rounds: int = 30, **cast: tuple[str, ...]) -> Audit:
    return Fabricator(rounds, **cast).play()


def diverged(after: int = 12, rounds: int = 30) -> Audit:
    """An audit that stopped: the chain promised two ether more than re-execution gives."""
    found = audit(rounds)
    found.rounds = found.rounds[:after]
    found.balance, found.loss_nats = None, None
    found.divergence = Divergence(
        after + 1,
        "settlement's paid wei",
        33_333_333_333_333_333_331,
        35_333_333_333_333_333_331,
        "re-execution gives another value",
    )
    return found


def refuted(rounds: int = 12) -> Audit:
    """An audit in which verifier 1 was caught at a false proposal for round 7, by verifier 0; the last two rounds are
    not final yet."""
    found = audit(rounds)
    found.ledger.params = replace(
        found.ledger.terms, challenge_s=10, extension_s=5, proposal_bond_wei=10 * ETHER_WEI, exit_s=300
    )
    for audited, round_ in list(zip(found.rounds, found.ledger.rounds, strict=True))[-2:]:
        found.rounds[found.rounds.index(audited)] = replace(audited, final=False)
        round_.settled = None
    liar, winner = account(Role.VERIFIER, 1), account(Role.VERIFIER, 0)
    event = Refuted(run=1, tx_hash=_digest(7), round=7, proposer=liar, challenger=winner)
    parts = {"reward_wei": 4 * ETHER_WEI, "burn_wei": 3 * ETHER_WEI, "pool_wei": 3 * ETHER_WEI}
    found.ledger.forfeited.append(Forfeited(run=1, tx_hash=_digest(7), account=liar, beneficiary=winner, **parts))
    found.refutations.append(Refutation(event=event, what="total wei", proposed="123456", executed="123455"))
    return found


def write_out(out: Path, found: Audit, rows: list[dict[str, str]]) -> Path:
    """A demo's folder, as far as a report reads it."""
    draw = random.Random(3)
    (out / "participants.json").parent.mkdir(parents=True, exist_ok=True)
    (out / "participants.json").write_text(json.dumps(rows))
    traces: dict[str, list[dict[str, Any]]] = {row["name"].replace(" ", "-"): [] for row in rows}
    observed: list[dict[str, Any]] = []
    now_s = 1_760_000_000.0
    for round_ in found.rounds:
        number = round_.number
        train_s, assess_s = draw.uniform(5.5, 7), draw.uniform(2.2, 3)
        for name, lines in traces.items():
            if name.startswith("trainer"):
                took_s = train_s * draw.uniform(0.8, 1)
                lines.append(_line(number, "train", now_s + 0.05, now_s + took_s))
                lines.append(_line(number, "Submit", now_s + took_s, now_s + took_s + draw.uniform(0.02, 0.09)))
        ends = [now_s + train_s + draw.uniform(0.1, 0.3)]
        ends.append(ends[0] + draw.uniform(0.4, 0.9))
        ends.append(ends[1] + assess_s + draw.uniform(0.1, 0.25))
        ends.append(ends[2] + draw.uniform(0.15, 0.3))
        ends.append(ends[3] + draw.uniform(0.2, 0.4))
        for name, lines in traces.items():
            if name.startswith("verifier"):
                lines.append(_line(number, "gather", ends[0], ends[0] + 0.2))
                lines.append(_line(number, "assess", ends[1] + 0.03, ends[1] + 0.03 + assess_s * draw.uniform(0.9, 1)))
                lines.append(_line(number, "Reveal", ends[2], ends[2] + 0.05))
        start_s = now_s
        for phase, end_s in zip(("TRAIN", "HOLD", "COMMIT", "REVEAL", "SETTLE"), ends, strict=True):
            observed.append(_line(number, f"phase {phase}", start_s, end_s))
            start_s = end_s
        now_s = ends[-1]
    (out / "demo.jsonl").write_text("".join(json.dumps(line) + "\n" for line in observed))
    for name, lines in traces.items():
        home = out / "homes" / name
        home.mkdir(parents=True, exist_ok=True)
        (home / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


def _line(round_: int, what: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"round": round_, "what": what, "start_s": round(start_s, 4), "end_s": round(end_s, 4)}


def _digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()
