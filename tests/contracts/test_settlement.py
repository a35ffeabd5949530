"""Settlement: what it refuses, and that the chain's numbers are the specification's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from world import (
    ETHER,
    SPONSOR,
    STRANGER,
    Receipt,
    World,
    pack,
    params_tuple,
    report_of,
    reverts,
    rows_of,
    trainer,
    verifier,
)

from gradmint.spec import mechanism, tree
from gradmint.spec.keccak import keccak256
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.types import Phase, Report, Role, Row, Settlement, Standing, Verdict

P = replace(LOCAL, min_trainers=2, min_verifiers=3, max_rounds=4)


def account(text: str) -> bytes:
    return bytes.fromhex(text[2:])


@dataclass
class Mirror:
    """The same run, executed by the specification beside the chain."""

    world: World
    run: int
    params: Params
    trainers: list[Standing] = field(default_factory=list)
    verifiers: list[Standing] = field(default_factory=list)
    settled: Settlement | None = None

    def packed(self) -> bytes:
        return pack(self.trainers + self.verifiers)

    def settle(self, reports: dict[int, Report], submitting: list[int] | None = None) -> Receipt:
        """Plays a round to its settlement on the chain and in the specification, and compares everything said."""
        w = self.world
        in_round = w.rounds.call("counts", self.run)
        trainers, verifiers = in_round[2], in_round[5]
        w.to_settle(self.run, reports, submitting if submitting is not None else range(trainers))
        before = self.packed()
        # Newcomers, as anyone derives them from the roster.
        for role, mine, name, count in (
            (Role.TRAINER, self.trainers, "trainersAt", trainers),
            (Role.VERIFIER, self.verifiers, "verifiersAt", verifiers),
        ):
            mine += [Standing(account(a), role) for a in w.rounds.call(name, self.run, len(mine), count)]
        active, round_ = w.masks(self.run)["active"], w.clock(self.run)[2]
        addresses = [verifier(v) for v in range(verifiers)]
        stakes = [
            stake if active >> v & 1 else 0 for v, stake in enumerate(w.stakes.call("stakesOf", self.run, addresses))
        ]
        budget = mechanism.round_budget_wei(w.runs.call("unpaid", self.run), round_, self.params.max_rounds)
        opinions = [reports.get(v) for v in range(verifiers)]
        after = mechanism.settle(self.params, budget, self.trainers, self.verifiers, stakes, opinions)
        sent = w.settle(self.run, self.params, [reports[v] for v in sorted(reports)], before)

        self.trainers, self.verifiers, self.settled = list(after.trainers), list(after.verifiers), after
        top = tree.root(self.trainers + self.verifiers)
        settled = sent["Settled"]
        assert (settled.round, settled.root, settled.totalWei) == (round_, top.hash, top.sum_wei)
        assert settled.paidWei == after.paid_wei
        assert settled.standingsHash == keccak256(self.packed()) == w.settlement.call("standingsHash", self.run)
        consensus = after.consensus
        assert settled.clusterMask == (sum(1 << v for v in consensus.cluster) if consensus else 0)
        assert settled.lossMicronats == (consensus.loss_micronats if consensus else 0)
        slashed = {addresses[v].lower(): wei for v, wei in enumerate(after.slashed_wei) if wei}
        assert {e.account: e.amountWei for e in sent.all("Slashed")} == slashed
        left = [stake - wei for stake, wei in zip(stakes, after.slashed_wei, strict=True)]
        for v, wei in enumerate(w.stakes.call("stakesOf", self.run, addresses)):
            assert not active >> v & 1 or wei == left[v]
        return sent


def start(
    world: World, params: Params = P, trainers: int = 2, verifiers: int = 3, stakes: tuple[int, ...] = ()
) -> Mirror:
    params = replace(params, min_trainers=trainers, min_verifiers=verifiers)
    run = world.open(params, 1_000 * ETHER + 7)
    world.enrol(run, params, trainers, verifiers, stakes)
    return Mirror(world, run, params)


def at_settle(world: World) -> tuple[int, list[Report]]:
    mirror = start(world)
    reports = [
        report_of(2),
        replace(report_of(2), loss_micronats=1_999_999),
        replace(report_of(2), loss_micronats=2_000_001),
    ]
    world.to_settle(mirror.run, dict(enumerate(reports)), (0, 1))
    return mirror.run, reports


# Guards


def test_settle_refuses_wrong_inputs(world: World) -> None:
    run, reports = at_settle(world)
    packed = [report.pack() for report in reports]

    def send(params: Params = P, standings: bytes = b"", said: list[bytes] = packed) -> Receipt:
        return world.settlement.send("settle", run, params_tuple(params), standings, said, sender=STRANGER)

    with reverts("ParamsMismatch"):
        send(replace(P, slash_bps=1))
    with reverts("StandingsMismatch", keccak256(b""), keccak256(bytes(96))):
        send(standings=bytes(96))
    with reverts("ReportCount", 3, 2):
        send(said=packed[:2])
    with reverts("ReportCount", 3, 4):
        send(said=[*packed, packed[0]])
    with reverts("ReportMismatch", 0, keccak256(packed[0]), keccak256(packed[1])):
        send(said=[packed[1], packed[0], packed[2]])
    with reverts("ReportMismatch", 2, keccak256(packed[2]), keccak256(packed[2] + b"\0")):
        send(said=[packed[0], packed[1], packed[2] + b"\0"])
    sent = send()
    assert sent["PhaseOpened"].round == 2
    with reverts("WrongPhase", run, Phase.SETTLE, Phase.TRAIN):
        send()


def test_settle_is_for_its_phase_and_in_time(world: World) -> None:
    run, reports = at_settle(world)
    for other in (world.open(P), 999):
        with reverts("WrongPhase", other, Phase.SETTLE, Phase.ENROL):
            world.settle(other, P, [])
    world.overdue(run)
    with reverts("Overdue"):
        world.settle(run, P, reports)
    world.rounds.send("poke", run, sender=STRANGER)
    assert world.clock(run)[2:] == (2, Phase.TRAIN)


def test_the_second_settlement_wants_the_firsts_standings(world: World) -> None:
    mirror = start(world)
    reports = dict.fromkeys(range(3), report_of(2))
    mirror.settle(reports)
    world.to_settle(mirror.run, reports, (0, 1))
    for wrong in (b"", mirror.packed()[96:], mirror.packed()[:-1] + b"\1"):
        with reverts("StandingsMismatch", keccak256(mirror.packed()), keccak256(wrong)):
            world.settle(mirror.run, P, list(reports.values()), wrong)
    world.settle(mirror.run, P, list(reports.values()), mirror.packed())


# Transitions, each compared with the specification by the mirror


def test_four_rounds_with_joins_exits_and_misses(world: World) -> None:
    mirror = start(world)
    w, run = world, mirror.run
    mirror.settle(dict.fromkeys(range(3), report_of(2)))
    w.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    w.join(run, verifier(3), Role.VERIFIER, 2 * P.verifier_stake_wei)
    missing = Report(1_900_000, report_of(2).words, (Row(Verdict.OK, 900, 1_000), Row(Verdict.MISSING, 0, -(2**31))))
    mirror.settle(dict.fromkeys(range(3), missing), [0])
    assert mirror.trainers[1].misses == 1
    w.stakes.send("exit", run, sender=verifier(0))
    missing = Report(1_800_000, report_of(3).words, (*missing.rows, Row(Verdict.OK, 100, 700)))
    mirror.settle({1: missing, 2: missing, 3: missing, 0: missing}, [0, 2])
    assert mirror.trainers[1].misses == 2 and len(mirror.verifiers) == 4
    assert w.rounds.call("awaitedTrainers", run) == (0b101,)
    assert w.masks(run)["active"] == 0b1110
    # Trainer 1 comes back: it was not waited for, and is again from now on.
    said = w.submit_all(run, (0, 2))
    with reverts("TranscriptMismatch"):
        w.close(run, said[:1])
    honest = report_of(3)
    w.rounds.send("submit", run, b"1" * 32, 0, sender=trainer(1))
    w.close(run, [*said, (1, 0, b"1" * 32)])
    for act in (w.hold, w.commit, w.reveal):
        for v in (1, 2, 3):
            act(run, v) if act == w.hold else act(run, v, honest)  # type: ignore[call-arg]
    sent = w.settle(run, P, [honest] * 3, mirror.packed())
    assert sent["PhaseOpened"].phase == Phase.ENDED  # the fourth of four
    assert w.rounds.call("awaitedTrainers", run) == (0b111,)


def test_without_quorum_nothing_changes_but_newcomers_are_written_down(world: World) -> None:
    mirror = start(world)
    sent = mirror.settle({0: report_of(2), 1: report_of(2, salt="a"), 2: report_of(2, salt="b")})
    assert mirror.settled and mirror.settled.consensus is None
    assert (sent["Settled"].clusterMask, sent["Settled"].paidWei, sent["Settled"].totalWei) == (0, 0, 0)
    assert not sent.all("Slashed")
    assert world.clock(mirror.run)[2:] == (2, Phase.TRAIN)
    mirror.settle(dict.fromkeys(range(3), report_of(2)))
    assert mirror.settled.consensus is not None


def test_a_lying_verifier_is_slashed_and_in_time_ejected(world: World) -> None:
    params = replace(P, slash_bps=3_000, max_rounds=9)
    mirror = start(world, params, verifiers=4)
    reports = {**dict.fromkeys(range(3), report_of(2)), 3: report_of(2, salt="lie")}
    for expected in (7_000, 4_900):
        mirror.settle(reports)
        left = world.stakes.call("stakesOf", mirror.run, [verifier(3)])[0]
        assert left == params.verifier_stake_wei * expected // 10_000
    assert world.masks(mirror.run)["active"] == 0b0111  # 49% of the required stake is too little
    assert world.rounds.call("seat", mirror.run, verifier(3))[1]
    mirror.settle(dict.fromkeys(range(3), report_of(2)))
    # The ejected leaves like anyone, after the delay; its seat was folded out once.
    sent = world.stakes.send("exit", mirror.run, sender=verifier(3))
    assert not sent.all("Retired")
    world.chain.warp_to(sent["Exiting"].releaseS)
    world.stakes.send("withdraw", mirror.run, sender=verifier(3))


def test_an_absent_verifier_pays_for_liveness(world: World) -> None:
    mirror = start(world, verifiers=4)
    sent = mirror.settle(dict.fromkeys(range(3), report_of(2)))
    slashed = sent["Slashed"]
    assert (slashed.account, slashed.amountWei) == (
        verifier(3).lower(),
        P.verifier_stake_wei * P.liveness_bps // 10_000,
    )


def test_silence_costs_also_without_quorum_and_ejects_in_time(world: World) -> None:
    params = replace(P, liveness_bps=3_000, max_rounds=9)
    mirror = start(world, params)
    for expected in (7_000, 4_900):
        sent = mirror.settle({0: report_of(2), 1: report_of(2, salt="a")})  # who contradicts loses nothing
        assert mirror.settled and mirror.settled.consensus is None
        assert (sent["Settled"].clusterMask, sent["Settled"].paidWei) == (0, 0)
        assert [e.account for e in sent.all("Slashed")] == [verifier(2).lower()]
        left = [params.verifier_stake_wei] * 2 + [params.verifier_stake_wei * expected // 10_000]
        assert world.stakes.call("stakesOf", mirror.run, [verifier(v) for v in range(3)]) == tuple(left)
    assert world.masks(mirror.run)["active"] == 0b011  # 49% of the required stake is too little
    mirror.settle({0: report_of(2), 1: report_of(2)})  # who is left agrees
    assert mirror.settled.consensus is not None


def test_a_grey_report_is_neither_paid_nor_slashed(world: World) -> None:
    mirror = start(world, verifiers=4)
    honest = report_of(2)
    grey = replace(honest, words=(honest.words[0] ^ (1 << 100) - 1, *honest.words[1:]))  # 100 bits away
    sent = mirror.settle({0: honest, 1: honest, 2: honest, 3: grey})
    assert sent["Settled"].clusterMask == 0b0111
    assert not sent.all("Slashed")
    assert mirror.verifiers[3].paid_wei == 0 < mirror.verifiers[0].paid_wei


def test_unlike_stakes_weigh(world: World) -> None:
    stakes = tuple(P.verifier_stake_wei * k for k in (7, 1, 1))
    mirror = start(world, stakes=stakes)
    sent = mirror.settle({0: report_of(2), 1: report_of(2, salt="a"), 2: report_of(2, salt="a")})
    assert sent["Settled"].clusterMask == 0b001
    assert len(sent.all("Slashed")) == 2


@pytest.mark.parametrize(("loss", "ends"), [(1_000_000, True), (1_000_001, False)])
def test_the_run_ends_when_its_target_is_reached(world: World, loss: int, ends: bool) -> None:
    mirror = start(world, replace(P, target_loss_micronats=1_000_000))
    mirror.settle(dict.fromkeys(range(3), report_of(2, loss=loss)))
    assert (world.phase(mirror.run) is Phase.ENDED) is ends


def test_no_target_is_never_reached(world: World) -> None:
    mirror = start(world)
    mirror.settle(dict.fromkeys(range(3), report_of(2, loss=0)))
    assert world.phase(mirror.run) is Phase.TRAIN


def test_a_retired_trainer_is_never_awaited_again(world: World) -> None:
    mirror = start(world)
    world.stakes.send("exit", mirror.run, sender=trainer(1))
    mirror.settle(dict.fromkeys(range(3), report_of(2)), [0])
    assert world.rounds.call("awaitedTrainers", mirror.run) == (0b01,)


def test_paid_claimable_unpromised_and_refunded_are_what_was_deposited(world: World) -> None:
    mirror = start(world, replace(P, max_rounds=2))
    run, deposited = mirror.run, 1_000 * ETHER + 7
    for _ in range(2):
        mirror.settle(dict.fromkeys(range(3), report_of(2)))
    leaves = mirror.trainers + mirror.verifiers
    before = world.token.call("balanceOf", SPONSOR)
    claimed = 0
    for position, standing in enumerate(leaves):
        packed, proof = standing.pack(), tree.prove(leaves, position)
        siblings = b"".join(node.hash + node.sum_wei.to_bytes(16, "big") for node in proof.siblings)
        words = [packed[at : at + 32] for at in (0, 32, 64)]
        claimed += world.runs.send(
            "claim", run, world.token.address, words, proof.right_bits, siblings, sender=STRANGER
        )["Claimed"].amountWei
    world.runs.send("refund", run, sender=STRANGER)
    refunded = world.token.call("balanceOf", SPONSOR) - before
    assert claimed == tree.root(leaves).sum_wei
    assert claimed + refunded == deposited


def test_rows_are_medians_not_means(world: World) -> None:
    mirror = start(world)
    said = [replace(report_of(2), rows=rows_of(gains)) for gains in ([100, 7], [200, 9], [2**31 - 501, 8])]
    mirror.settle(dict(enumerate(said)))
    assert mirror.settled and mirror.settled.consensus
    assert [row.common_gain_micronats for row in mirror.settled.consensus.rows] == [200, 8]
