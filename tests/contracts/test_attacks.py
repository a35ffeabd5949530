"""The bugs that others had, each as an attack from its first move to its end.

One test for each row of a table of known bugs in reward, staking and dispute contracts. Unit tests of the same rules
stand with their contracts; here somebody wants money that is not theirs, or wants others not to get theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from certifying import Certifiers
from eth_account import Account
from eth_account.messages import encode_typed_data
from world import (
    DEPLOYER,
    ETHER,
    SPONSOR,
    STRANGER,
    WIRING,
    Chain,
    Contract,
    Receipt,
    World,
    address,
    deploy,
    effects_tuple,
    outcome_tuple,
    params_tuple,
    proposal_tuple,
    random_bytes,
    report_of,
    reverts,
    rows_of,
    test_artifact,
    trainer,
    verifier,
)

from gradmint.ports import artifacts
from gradmint.spec import tree
from gradmint.spec.docket import Effects, Outcome, split_bond
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.types import Phase, Role, Row, Verdict

MALLORY = address(666)
DEAD = "0x000000000000000000000000000000000000dEaD"
DIRECT = replace(LOCAL, max_rounds=6, min_trainers=2, min_verifiers=3)
PROPOSING = replace(DIRECT, challenge_s=600, extension_s=120, proposal_bond_wei=10 * ETHER, exit_s=DIRECT.exit_s + 720)
TRUTH = {v: report_of(2) for v in range(3)}


def begin(world: World, params: Params, budget_wei: int = 1_000 * ETHER, token: Contract | None = None) -> int:
    run = world.open(params, budget_wei, token)
    for i in range(params.min_trainers):
        world.join(run, trainer(i), Role.TRAINER, params.trainer_stake_wei * 102 // 100, token)
    for v in range(params.min_verifiers):
        world.join(run, verifier(v), Role.VERIFIER, params.verifier_stake_wei * 102 // 100, token)
    return run


def settled_run(world: World, params: Params = DIRECT, **more: Any) -> int:
    run = begin(world, params, **more)
    world.play(run, TRUTH, (0, 1))
    world.settle(run)
    return run


def claim(
    world: World, run: int, account: str, paid_wei: int, bits: int = 0, proof: bytes = b"", token: str | None = None
) -> Receipt:
    args = (run, token or world.token.address, account, paid_wei, bits, proof)
    return world.claim(*args, sender=STRANGER)


def proof_of(world: World, run: int, position: int) -> tuple[str, int, int, bytes]:
    leaves = world.ledger(run).final.standings
    found = tree.prove(leaves, position)
    packed = b"".join(node.hash + node.sum_wei.to_bytes(16, "big") for node in found.siblings)
    return "0x" + leaves[position].account.hex(), leaves[position].paid_wei, found.right_bits, packed


def execution(world: World, run: int, number: int = 1) -> Any:
    found = world.ledger(run).rounds[number - 1].execution
    assert found is not None
    return found


def propose(world: World, run: int, outcome: Outcome, who: str = MALLORY, number: int = 1) -> Receipt:
    world.bond(run, who, PROPOSING.proposal_bond_wei)
    return world.settlement.send("propose", run, number, outcome_tuple(outcome), sender=who)


def pending(world: World, run: int) -> list[Any]:
    return [proposal_tuple(proposal) for proposal in world.ledger(run).pending]


def refute(world: World, run: int, place: int = 0, number: int = 1, who: str = STRANGER) -> Receipt:
    args = (params_tuple(world.ledger(run).terms), world.inputs(run, number), world.evidence(run, number))
    return world.settlement.send("refute", run, *args, pending(world, run), place, sender=who)


def finalise(world: World, run: int, effects: Effects) -> Receipt:
    return world.settlement.send("finalise", run, pending(world, run), effects_tuple(effects), sender=STRANGER)


def lie(truth: Outcome, **changes: Any) -> Outcome:
    return replace(truth, standings_hash=random_bytes("lie"), **changes)


# Second preimage, wrong depth


def test_no_node_passes_for_a_leaf_and_no_leaf_for_a_node(world: World) -> None:
    run = settled_run(world)
    account, paid, bits, proof = proof_of(world, run, 0)
    leaves = world.ledger(run).final.standings
    node = tree.parent(*(tree.leaf(standing.account, standing.paid_wei) for standing in leaves[:2]))
    forged = [
        (
            "0x" + node.hash[:20].hex(),
            node.sum_wei,
            bits >> 1,
            proof[40:],
        ),  # the parent, cut to an account, one step up
        (account, paid, bits, proof[:-40]),  # too short
        (account, paid, bits, proof + bytes(40)),  # too deep
        (account, paid, bits, proof[40:] + proof[:40]),  # out of order
        (account, paid, bits ^ 1, proof),  # the other side
        (account, paid, 0, b""),  # the leaf as the root
        (account, paid + 1, bits, proof),
        (MALLORY, paid, bits, proof),
    ]
    for found in forged:
        with reverts("SealMismatch"):
            claim(world, run, *found)
    claim(world, run, account, paid, bits, proof)


def test_a_run_without_a_root_pays_nobody(world: World) -> None:
    run = begin(world, DIRECT)
    for root in (0, 1):
        with reverts("SealMismatch"):
            claim(world, run, MALLORY, root)


# Root poisoning


def test_a_false_root_pays_nobody_out_of_another_runs_escrow(world: World) -> None:
    """Mallory's own run: nobody watches it, and its root says that she is owed what the others' run holds."""
    victim = begin(world, DIRECT)
    params = replace(PROPOSING, challenge_s=1, extension_s=1, proposal_bond_wei=1, min_trainers=1, min_verifiers=1)
    run = begin(world, params, budget_wei=ETHER)
    world.play(run, {0: report_of(1)}, (0,))
    world.bond(run, MALLORY, 1)
    loot = 900 * ETHER
    stash = Effects(slashed=(), awaited=(), left=((bytes.fromhex(trainer(5)[2:]), loot),))
    truth = execution(world, run).outcome
    poison = lie(
        truth, root=tree.leaf(bytes.fromhex(MALLORY[2:]), loot).hash, total_wei=ETHER, effects_hash=stash.hash()
    )
    world.settlement.send("propose", run, 1, outcome_tuple(poison), sender=MALLORY)
    world.chain.warp(2)
    finalise_by_hand = [pending(world, run), effects_tuple(stash)]
    world.settlement.send("finalise", run, *finalise_by_hand, sender=MALLORY)
    with reverts("Overdrawn"):
        claim(world, run, MALLORY, loot)
    with reverts("Overdrawn"):
        world.runs.send("claimLeft", run, trainer(5), sender=MALLORY)
    assert world.runs.call("claimed", run, MALLORY) == 0
    assert world.runs.call("unpaid", victim) == 1_000 * ETHER


def test_an_insolvent_or_shrinking_total_cannot_become_final_and_is_refuted(world: World) -> None:
    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    honest = execution(world, run)
    propose(world, run, lie(honest.outcome, total_wei=1_001 * ETHER, effects_hash=honest.effects.hash()))
    world.chain.warp(PROPOSING.challenge_s)
    with reverts("Insolvent"):
        finalise(world, run, honest.effects)
    refute(world, run)
    propose(world, run, honest.outcome, who=STRANGER)
    world.chain.warp(PROPOSING.challenge_s)
    finalise(world, run, honest.effects)


def test_a_root_is_worth_nothing_in_another_token_or_another_run(chain: Chain, world: World) -> None:
    run, other = settled_run(world), begin(world, DIRECT)
    found = proof_of(world, run, 0)
    paper = deploy(chain, artifacts.load(artifacts.DEV_TOKEN), (), (), DEPLOYER)
    with reverts("SealMismatch"):
        claim(world, run, *found, token=paper.address)
    with reverts("SealMismatch"):
        claim(world, other, *found)


# Data withholding


def test_a_withheld_update_is_missing_and_unpaid(world: World) -> None:
    run = begin(world, DIRECT)
    absent = Row(Verdict.MISSING, 0, -(2**31))
    report = replace(report_of(2), rows=(report_of(2).rows[0], absent))
    world.play(run, {v: report for v in range(3)}, (0, 1))
    world.settle(run)
    paid = [standing.paid_wei for standing in world.ledger(run).final.trainers]
    assert paid[0] > 0 and paid[1] == 0


def test_nobody_can_keep_a_settlement_from_others_by_keeping_data_to_itself(world: World) -> None:
    """Everything that re-execution needs was said in events: a stranger settles a round it took no part in."""
    run = begin(world, DIRECT)
    world.play(run, TRUTH, (0, 1))
    sent = world.settlement.send(
        "settle", run, params_tuple(world.ledger(run).terms), world.inputs(run, 1), world.evidence(run, 1),
        sender=address(31_337),
    )  # fmt: skip
    assert sent["Settled"].round == 1


# Deposit and callback griefing


def test_a_token_that_refuses_everything_cannot_stop_a_settlement(chain: Chain, world: World) -> None:
    token = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = begin(world, replace(DIRECT, min_verifiers=4), token=token)
    world.play(run, TRUTH, (0, 1))  # the fourth is silent, so there is something to slash
    token.send("set", 1, STRANGER, run, sender=STRANGER)
    sent = world.settle(run)
    assert sent["Slashed"].amountWei > 0
    account, paid, bits, proof = proof_of(world, run, 0)
    with reverts(""):
        claim(world, run, account, paid, bits, proof, token=token.address)
    token.send("set", 0, STRANGER, run, sender=STRANGER)
    claim(world, run, account, paid, bits, proof, token=token.address)


def test_a_pile_of_proposals_is_bounded_and_falls_with_its_first_lie(world: World) -> None:
    run = begin(world, replace(PROPOSING, max_rounds=4))
    for number in (1, 2, 3):
        world.play(run, TRUTH, (0, 1))
        propose(world, run, lie(execution(world, run, number).outcome), number=number)
    sent = refute(world, run)
    assert sent["Refuted"].round == 1
    assert world.settlement.call("docket", run)[:3] == (0, 0, 0)
    amount, locked = world.stakes.call("bondOf", run, MALLORY)
    assert (amount, locked) == (2 * PROPOSING.proposal_bond_wei, 0), "later bonds are free, the first is lost"


# Reveal withholding


def test_withholding_a_reveal_costs_and_delays_nobody_beyond_the_deadline(world: World) -> None:
    run = begin(world, DIRECT)
    world.close(run, world.submit_all(run, (0, 1)))
    for v in range(3):
        world.hold(run, v)
    for v in range(3):
        world.commit(run, v, TRUTH[v])
    world.reveal(run, 0, TRUTH[0])
    world.reveal(run, 1, TRUTH[1])
    with reverts("NotOverdue"):
        world.rounds.send("poke", run, sender=STRANGER)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    before = world.stakes.call("stakeOf", run, verifier(2))[0]
    world.settle(run)
    after = world.stakes.call("stakeOf", run, verifier(2))[0]
    assert before - after == before * DIRECT.liveness_bps // 10_000


# Commit copying, premature reveal


def test_a_copied_commitment_opens_to_nothing(world: World) -> None:
    """Verifier 1 repeats verifier 0's commitment unseen and, once it is open, its report and salt."""
    run = begin(world, DIRECT)
    world.close(run, world.submit_all(run, (0, 1)))
    for v in range(3):
        world.hold(run, v)
    salt = random_bytes("salt", 0)
    copied = world.commitment(run, 0, TRUTH[0].pack(), salt)
    for v in (1, 0):
        world.rounds.send("commit", run, copied, sender=verifier(v))
    world.commit(run, 2, TRUTH[2])
    world.reveal(run, 0, TRUTH[0])
    with reverts("RevealMismatch"):
        world.rounds.send("reveal", run, TRUTH[0].pack(), salt, sender=verifier(1))


def test_a_premature_reveal_is_refused(world: World) -> None:
    run = begin(world, DIRECT)
    world.close(run, world.submit_all(run, (0, 1)))
    for v in range(3):
        world.hold(run, v)
    world.commit(run, 0, TRUTH[0])
    with reverts("WrongPhase", run, Phase.REVEAL, Phase.COMMIT):
        world.reveal(run, 0, TRUTH[0])


def test_a_commitment_is_for_one_run_one_round_and_one_chain(world: World) -> None:
    runs = [begin(world, DIRECT), begin(world, DIRECT)]
    salt = random_bytes("salt", 0)

    def to_commit(run: int) -> None:
        world.close(run, world.submit_all(run, (0, 1)))
        for v in range(3):
            world.hold(run, v)

    for run in runs:
        to_commit(run)
    made = world.commitment(runs[0], 0, TRUTH[0].pack(), salt)
    for run in runs:
        world.rounds.send("commit", run, made, sender=verifier(0))
        for v in (1, 2):
            world.commit(run, v, TRUTH[v])
    with reverts("RevealMismatch"):  # made for the other run
        world.rounds.send("reveal", runs[1], TRUTH[0].pack(), salt, sender=verifier(0))
    world.chain.rpc("anvil_setChainId", world.chain.chain_id + 1)
    try:
        with reverts("RevealMismatch"):  # made for the chain that this one is a fork of
            world.rounds.send("reveal", runs[0], TRUTH[0].pack(), salt, sender=verifier(0))
    finally:
        world.chain.rpc("anvil_setChainId", world.chain.chain_id)
    for v in range(3):
        world.reveal(runs[0], v, TRUTH[v])
    world.settle(runs[0])
    to_commit(runs[0])
    world.rounds.send("commit", runs[0], made, sender=verifier(0))  # made for the first round
    for v in (1, 2):
        world.commit(runs[0], v, TRUTH[v])
    with reverts("RevealMismatch"):
        world.rounds.send("reveal", runs[0], TRUTH[0].pack(), salt, sender=verifier(0))


# Dust


@pytest.mark.parametrize("budget_wei", [1, 7, 1_000_003])
def test_dust_stays_in_the_budget_and_is_never_paid_twice(world: World, budget_wei: int) -> None:
    run = begin(world, replace(DIRECT, max_rounds=3), budget_wei=budget_wei)
    promised = 0
    for _ in range(3):
        world.play(run, TRUTH, (0, 1))
        world.settle(run)
        deposited, total = world.runs.call("books", run)
        assert promised <= total <= deposited
        promised = total
    refunded = world.runs.send("refund", run, sender=STRANGER)["Refunded"].amountWei
    assert promised + refunded == budget_wei


# Fee-on-transfer and reentrant tokens


def test_a_fee_taking_token_leaves_no_run_insolvent(chain: Chain, world: World) -> None:
    token = deploy(chain, test_artifact("FeeToken"), (), (), DEPLOYER)
    run = settled_run(world, replace(DIRECT, max_rounds=1, join_price_wei=0), token=token)
    for position in range(5):
        account, paid, bits, proof = proof_of(world, run, position)
        if paid:
            claim(world, run, account, paid, bits, proof, token=token.address)
    world.runs.send("refund", run, sender=STRANGER)
    for who in [trainer(0), trainer(1), *(verifier(v) for v in range(3))]:
        world.stakes.send("withdraw", run, sender=who)
    assert token.call("balanceOf", world.runs.address) == token.call("balanceOf", world.stakes.address) == 0


@pytest.mark.parametrize("target", ["runs", "stakes"])
def test_a_reentrant_deposit_is_counted_once(chain: Chain, world: World, target: str) -> None:
    """The token deposits once more in the middle of a deposit, and insists on being stopped by the guard."""
    token = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = begin(world, DIRECT, token=token)
    contract: Contract = getattr(world, target)
    world.rich(MALLORY, contract, token=token)
    held = token.call("balanceOf", contract.address)
    token.send("set", 3 if target == "runs" else 4, contract.address, run, sender=STRANGER)
    contract.send("fund" if target == "runs" else "bond", run, 1_000, sender=MALLORY)
    assert token.call("balanceOf", contract.address) == held + 1_000


# Pausability, stake exit


def test_nobody_can_stop_an_exit_in_any_phase(world: World) -> None:
    run = begin(world, replace(DIRECT, min_trainers=5, max_trainers=8))
    for i, phase in enumerate((Phase.TRAIN, Phase.HOLD, Phase.COMMIT, Phase.REVEAL, Phase.SETTLE)):
        assert world.phase(run) is phase
        world.stakes.send("exit", run, sender=trainer(i))
        if phase is Phase.TRAIN:
            world.rounds.send("submit", run, bytes(32), 0, sender=trainer(4))
        elif phase is Phase.HOLD:
            world.hold(run, 0)
        elif phase is Phase.COMMIT:
            world.commit(run, 0, report_of(5))
        elif phase is Phase.REVEAL:
            world.reveal(run, 0, report_of(5))  # the only one who committed: the phase is over
        if world.phase(run) is phase:
            world.overdue(run)
            world.rounds.send("poke", run, sender=STRANGER)
    world.chain.warp(DIRECT.exit_s)
    before = world.token.call("balanceOf", trainer(0))
    world.stakes.send("withdraw", run, sender=trainer(0))
    assert world.token.call("balanceOf", trainer(0)) - before >= DIRECT.trainer_stake_wei
    names = {name.lower() for contract in (world.runs, world.stakes, world.rounds) for name in contract.functions}
    assert not names & {"pause", "unpause", "owner", "transferownership", "upgradeto", "initialize", "setparams"}


def test_a_liar_who_exits_at_once_is_slashed_all_the_same(world: World) -> None:
    run = begin(world, replace(DIRECT, min_verifiers=4))
    liar = report_of(2, salt="made up")
    world.play(run, {**{v: report_of(2) for v in range(3)}, 3: liar}, (0, 1))
    world.stakes.send("exit", run, sender=verifier(3))
    with reverts("StillLocked"):
        world.stakes.send("withdraw", run, sender=verifier(3))
    before = world.stakes.call("stakeOf", run, verifier(3))[0]
    world.settle(run)
    assert world.stakes.call("stakeOf", run, verifier(3))[0] == before - before * DIRECT.slash_bps // 10_000


def test_a_stake_cannot_leave_while_its_round_waits_even_after_the_delay(world: World) -> None:
    """Nobody pokes for days: the delay is over, the duty is not."""
    run = begin(world, DIRECT)
    world.stakes.send("exit", run, sender=verifier(0))
    world.chain.warp(10 * DIRECT.exit_s)
    with reverts("StillOnDuty"):
        world.stakes.send("withdraw", run, sender=verifier(0))
    world.rounds.send("poke", run, sender=STRANGER)
    world.stakes.send("withdraw", run, sender=verifier(0))


def test_a_proposing_runs_exit_covers_round_window_and_extension(world: World) -> None:
    round_s = PROPOSING.train_s + PROPOSING.hold_s + PROPOSING.commit_s + PROPOSING.reveal_s + PROPOSING.settle_s
    needed = round_s + PROPOSING.challenge_s + PROPOSING.extension_s
    with reverts("ShortExit", needed - 1, needed):
        world.open(replace(PROPOSING, exit_s=needed - 1))
    world.open(replace(PROPOSING, exit_s=needed))


# ECDSA malleability and replay


REDIRECT = {
    "Redirect": [
        {"name": name, "type": kind}
        for name, kind in (
            ("run", "uint256"), ("account", "address"), ("recipient", "address"), ("paidWei", "uint256"),
            ("deadlineS", "uint256"),
        )
    ]
}  # fmt: skip
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def redirect(world: World, key: Any, chain_id: int, **message: Any) -> bytes:
    domain = {"name": "Gradmint", "version": "1", "chainId": chain_id, "verifyingContract": world.runs.address}
    signed = Account.sign_message(encode_typed_data(domain, REDIRECT, message), key.key)
    return bytes(signed.signature)


def test_a_redirection_is_good_once_for_one_chain_run_recipient_and_time(world: World) -> None:
    key = Account.from_key((12_345).to_bytes(32, "big"))
    params = replace(DIRECT, min_trainers=1, min_verifiers=1)
    run = world.open(params)
    world.join(run, key.address, Role.TRAINER, params.trainer_stake_wei)
    world.join(run, verifier(0), Role.VERIFIER, params.verifier_stake_wei)
    world.rounds.send("submit", run, bytes(32), 0, sender=key.address)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    world.hold(run, 0)
    world.commit(run, 0, report_of(1))
    world.reveal(run, 0, report_of(1))
    world.settle(run)
    account, paid, bits, proof = proof_of(world, run, 0)
    deadline = world.chain.now() + 100
    message = {"run": run, "account": key.address, "recipient": MALLORY, "paidWei": paid, "deadlineS": deadline}
    good = redirect(world, key, world.chain.chain_id, **message)

    def send(signature: bytes, recipient: str = MALLORY, deadline_s: int = deadline) -> Receipt:
        args = (run, world.token.address, account, paid, bits, proof, recipient, deadline_s, signature)
        return world.runs.send("claimTo", *args, sender=STRANGER)

    for bad in (
        redirect(world, key, world.chain.chain_id + 1, **message),
        redirect(world, key, world.chain.chain_id, **message | {"run": run + 1}),
        redirect(world, key, world.chain.chain_id, **message | {"paidWei": paid - 1}),
        redirect(world, Account.from_key((666).to_bytes(32, "big")), world.chain.chain_id, **message),
        good[:63],  # 64 bytes would be its compact form
    ):
        with reverts("BadSignature"):
            send(bad)
    with reverts("BadSignature"):
        send(good, recipient=STRANGER)
    with reverts("BadSignature"):
        send(good, deadline_s=deadline + 1)

    before = world.token.call("balanceOf", MALLORY)
    send(good)
    assert world.token.call("balanceOf", MALLORY) - before == paid
    r, s, v = good[:32], int.from_bytes(good[32:64], "big"), good[64]
    twin = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])  # the other signature of the same message
    for replayed in (good, twin):
        with reverts("NothingToClaim", run, account, paid):
            send(replayed)
    world.chain.warp_to(deadline)
    with reverts("Expired"):
        send(good)


# Rogue keys


def test_a_rogue_key_signs_for_nobody(world: World) -> None:
    """A key made of somebody else's and one's own cannot show that it is possessed; see test_certificates.py."""
    from certifying import joint, member, public_key

    certifiers = Certifiers(world)
    mallory = member(40)
    key = public_key(41)  # whose secret Mallory does not know
    signed = certifiers.contract.call("possessionDigest", mallory.address, key)
    from gradmint.spec.certificate import POSSESSION_TAG

    with reverts("NoPossession"):
        certifiers.contract.send("register", key, joint([40], signed, POSSESSION_TAG), sender=mallory.address)


# Profitable slashing, self-slash shielding


def test_what_is_slashed_is_nobodys_gain(world: World) -> None:
    run = begin(world, DIRECT)
    world.play(run, {0: TRUTH[0], 1: TRUTH[1]}, (0, 1))
    sent = world.settle(run)
    slashed = sent["Slashed"].amountWei
    held = world.stakes.call("burnable", run)
    before = world.token.call("balanceOf", DEAD)
    world.stakes.send("burn", run, sender=MALLORY)
    assert slashed > 0
    assert world.token.call("balanceOf", DEAD) - before == held >= slashed


def test_who_refutes_itself_loses_more_than_half(world: World) -> None:
    """Mallory lies, challenges her own lie so that nobody else is rewarded, and refutes it herself."""
    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    propose(world, run, lie(execution(world, run).outcome))
    world.bond(run, MALLORY, PROPOSING.proposal_bond_wei)
    world.settlement.send("challenge", run, 1, sender=MALLORY)
    forfeited = refute(world, run, who=MALLORY)["Forfeited"]
    reward, burn, pool = split_bond(PROPOSING.proposal_bond_wei, PROPOSING.challenger_bps, PROPOSING.burn_bps)
    assert (forfeited.rewardWei, forfeited.burnWei, forfeited.poolWei) == (reward, burn, pool)
    assert world.stakes.call("bondOf", run, MALLORY) == (PROPOSING.proposal_bond_wei + reward, 0)
    assert 2 * reward <= PROPOSING.proposal_bond_wei


def test_a_refutation_seen_in_the_pool_and_copied_rewards_the_challenger(world: World) -> None:
    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    propose(world, run, lie(execution(world, run).outcome))
    honest = address(4_242)
    world.bond(run, honest, PROPOSING.proposal_bond_wei)
    world.settlement.send("challenge", run, 1, sender=honest)
    forfeited = refute(world, run, who=MALLORY)["Forfeited"]  # front-runs the challenger's own transaction
    assert forfeited.beneficiary == honest.lower()


# Block stuffing


def test_a_late_challenge_gains_time_and_a_full_block_loses_nothing(world: World) -> None:
    """The lie's author fills blocks until the window is over; nobody gets a refutation in before."""
    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    truth = execution(world, run)
    final_s = propose(world, run, lie(truth.outcome, effects_hash=truth.effects.hash()))["Proposed"].finalS
    honest = address(4_242)
    world.bond(run, honest, PROPOSING.proposal_bond_wei)
    world.chain.rpc("evm_setNextBlockTimestamp", hex(final_s - 1))
    world.settlement.send("challenge", run, 1, sender=honest)  # the one that still fits
    world.chain.warp_to(final_s)
    with reverts("NotFinal"):
        finalise(world, run, truth.effects)
    refute(world, run, who=honest)
    with reverts("NotPending"):
        finalise(world, run, truth.effects)


def test_a_lie_can_be_refuted_as_long_as_nobody_has_made_it_final(world: World) -> None:
    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    propose(world, run, lie(execution(world, run).outcome))
    world.chain.warp(10 * PROPOSING.challenge_s)
    assert refute(world, run)["Refuted"].round == 1


def test_a_challenge_without_a_refutation_is_paid_for(world: World) -> None:
    """Delaying a true settlement by challenges costs a bond each, and ends."""
    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    truth = execution(world, run)
    propose(world, run, truth.outcome, who=STRANGER)
    world.bond(run, MALLORY, 2 * PROPOSING.proposal_bond_wei)
    world.chain.warp(PROPOSING.challenge_s)
    world.settlement.send("challenge", run, 1, sender=MALLORY)
    with reverts("AlreadyChallenged"):
        world.settlement.send("challenge", run, 1, sender=MALLORY)
    with reverts("NotRefuted"):
        refute(world, run, who=MALLORY)
    world.chain.warp(PROPOSING.extension_s)
    sent = finalise(world, run, truth.effects)
    assert sent["Forfeited"].account == MALLORY.lower()
    assert sent["Forfeited"].beneficiary == STRANGER.lower()


def test_transactions_that_do_not_fit_before_the_deadline_move_nothing_back(world: World) -> None:
    """Blocks are full around the deadline: what was sent in time is mined too late and refused; the round goes on."""
    run = begin(world, DIRECT)
    world.rounds.send("submit", run, bytes(32), 0, sender=trainer(0))
    deadline = world.clock(run)[1]
    world.chain.rpc("evm_setNextBlockTimestamp", hex(deadline))
    with reverts("Overdue"):
        world.rounds.send("submit", run, bytes(32), 0, sender=trainer(1))
    world.rounds.send("poke", run, sender=STRANGER)
    assert world.phase(run) is Phase.HOLD


# Timestamp edges


def test_intervals_are_half_open_and_there_is_one_clock(world: World) -> None:
    run = begin(world, DIRECT)
    deadline = world.clock(run)[1]
    world.chain.rpc("evm_setNextBlockTimestamp", hex(deadline - 1))
    world.rounds.send("submit", run, bytes(32), 0, sender=trainer(0))  # the last second of the phase
    with reverts("NotOverdue"):
        world.rounds.call("poke", run, sender=STRANGER)
    world.chain.warp_to(deadline)
    with reverts("Overdue"):
        world.rounds.call("submit", run, bytes(32), 0, sender=trainer(1))
    world.rounds.send("poke", run, sender=STRANGER)

    run = begin(world, PROPOSING)
    world.play(run, TRUTH, (0, 1))
    truth = execution(world, run)
    final_s = propose(world, run, truth.outcome)["Proposed"].finalS
    world.chain.warp_to(final_s - 1)
    args = (run, pending(world, run), effects_tuple(truth.effects))
    with reverts("NotFinal"):
        world.settlement.call("finalise", *args)
    world.chain.warp_to(final_s)
    world.settlement.send("finalise", *args, sender=STRANGER)


# Token-vote capture


def test_one_reexecution_outweighs_any_number_of_vouchers(world: World) -> None:
    run = begin(world, replace(PROPOSING, max_rounds=4))
    for number in (1, 2, 3):
        world.play(run, TRUTH, (0, 1))
        voucher = address(70_000 + number)
        propose(world, run, lie(execution(world, run, number).outcome), who=voucher, number=number)
    refute(world, run)
    assert world.settlement.call("tip", run) == (1).to_bytes(32, "big")
    propose(world, run, execution(world, run).outcome, who=STRANGER)


# Unchecked arithmetic


def test_the_greatest_amounts_settle_to_the_specifications_wei(world: World) -> None:
    """World.settle compares every number with the specification's."""
    most = 2**127
    params = replace(DIRECT, verifier_stake_wei=2**90, max_rounds=2)
    run = world.open(params, 0)
    world.token.send("mint", SPONSOR, most, sender=SPONSOR)
    world.runs.send("fund", run, most, sender=SPONSOR)
    for i in range(2):
        world.join(run, trainer(i), Role.TRAINER, params.trainer_stake_wei)
    for v in range(3):
        world.join(run, verifier(v), Role.VERIFIER, 2**90 + v)
    extreme = replace(report_of(2, loss=2**32 - 1), rows=rows_of([2**31 - 1, -(2**31) + 1], assigned=0))
    for _ in range(2):
        world.play(run, {v: extreme for v in range(3)}, (0, 1))
        world.settle(run)
    assert world.runs.call("books", run)[1] <= most


# Unlocked implementation


def test_nothing_is_left_to_initialise_and_a_wrong_wiring_does_not_deploy(chain: Chain, world: World) -> None:
    wired = (world.runs, world.stakes, world.rounds, world.settlement, world.ratings)
    for name in artifacts.CONTRACTS:
        with reverts("Miswired"):
            deploy(chain, artifacts.load(name), WIRING, [contract.address for contract in wired], MALLORY)
    with reverts("OnlySibling"):
        world.runs.send("post", 1, bytes(24), 0, sender=MALLORY)
    with reverts("OnlySibling"):
        world.stakes.send("slash", 1, verifier(0), 1, sender=MALLORY)
    with reverts("OnlySibling"):
        world.rounds.send("retire", 1, verifier(0), sender=MALLORY)
