"""Runs: escrow, funding, claims, refund. Who may, when, with which tokens, and to the wei."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import (
    DEPLOYER,
    ETHER,
    SPONSOR,
    STRANGER,
    WIRING,
    Chain,
    Reverted,
    World,
    address,
    create_address,
    deploy,
    params_tuple,
    random_bytes,
    report_of,
    reverts,
    test_artifact,
    trainer,
)

from gradmint.ports import artifacts
from gradmint.spec import tree
from gradmint.spec.keccak import keccak256
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Phase, Role, Standing

P = replace(LOCAL, min_trainers=1, min_verifiers=1)
TREASURER = address(77)  # stands in for Settlement, so that any root can be posted


@pytest.fixture(scope="module")
def lone(chain: Chain, world: World) -> World:
    """Runs wired to an ordinary account as its Settlement."""
    nonce = int(chain.rpc("eth_getTransactionCount", DEPLOYER, "latest"), 16)
    wired = [*(create_address(DEPLOYER, nonce + k) for k in range(3)), TREASURER]
    three = [deploy(chain, artifacts.load(name), WIRING, wired, DEPLOYER) for name in artifacts.CONTRACTS[:3]]
    return World(chain, *three, settlement=world.settlement, token=world.token)


def standings(count: int, paid_wei: int = 10**15) -> list[Standing]:
    return [Standing(bytes.fromhex(trainer(i)[2:]), Role.TRAINER, paid_wei=paid_wei * (i + 1)) for i in range(count)]


def claim_args(leaves: list[Standing], position: int) -> tuple[list[bytes], int, bytes]:
    packed = leaves[position].pack()
    proof = tree.prove(leaves, position)
    siblings = b"".join(node.hash + node.sum_wei.to_bytes(16, "big") for node in proof.siblings)
    return [packed[at : at + 32] for at in (0, 32, 64)], proof.right_bits, siblings


def post(world: World, run: int, leaves: list[Standing]) -> None:
    top = tree.root(leaves)
    world.runs.send("post", run, top.hash, top.sum_wei, sender=TREASURER)


# Opening and funding


def test_open_records_everything(world: World) -> None:
    run = world.open(P, 7 * ETHER)
    sponsor, refunded, token, exit_s, params_hash, seal, deposited, total, stake_t, stake_v = world.runs.call(
        "info", run
    )
    assert (sponsor, refunded, token) == (SPONSOR.lower(), False, world.token.address.lower())
    assert (exit_s, stake_t, stake_v) == (P.exit_s, P.trainer_stake_wei, P.verifier_stake_wei)
    assert params_hash == keccak256(P.encode())
    assert (seal, deposited, total) == (bytes(32), 7 * ETHER, 0)
    assert world.runs.call("unpaid", run) == 7 * ETHER
    assert world.runs.call("lastRun") == run


def test_open_tells_the_parameters(world: World) -> None:
    opened = world.runs.send("open", params_tuple(P), world.token.address, 0, sender=STRANGER)["Opened"]
    assert (opened.params, opened.budgetWei, opened.sponsor) == (P.encode(), 0, STRANGER.lower())


def test_open_refuses_an_address_without_code(world: World) -> None:
    with reverts("NotAToken", STRANGER):
        world.runs.send("open", params_tuple(P), STRANGER, 1, sender=SPONSOR)


def test_open_refuses_a_contract_that_is_no_token(world: World) -> None:
    with reverts(""):
        world.runs.send("open", params_tuple(P), world.rounds.address, 1, sender=SPONSOR)


def test_open_refuses_broken_parameters(world: World) -> None:
    with reverts("BadRounds", 0):
        world.runs.send("open", params_tuple(replace(P, max_rounds=0)), world.token.address, 1, sender=SPONSOR)


def test_anyone_funds_until_the_end(world: World) -> None:
    run = world.open(P, 5)
    world.rich(STRANGER, world.runs)
    assert world.runs.send("fund", run, 6, sender=STRANGER)["Funded"].amountWei == 6
    assert world.runs.call("unpaid", run) == 11
    world.runs.send("cancel", run, sender=SPONSOR)
    with reverts("RunEnded", run):
        world.runs.send("fund", run, 6, sender=STRANGER)


def test_unknown_runs_are_unknown(world: World) -> None:
    for name, args in (("fund", (999, 1)), ("cancel", (999,)), ("refund", (999,))):
        with reverts("UnknownRun", 999):
            world.runs.send(name, *args, sender=SPONSOR)
    for name in ("info", "terms", "unpaid"):
        with reverts("UnknownRun", 999):
            world.runs.call(name, 999)


def test_a_fee_on_transfer_token_counts_what_arrives(chain: Chain, world: World) -> None:
    fee = deploy(chain, test_artifact("FeeToken"), (), (), DEPLOYER)
    run = world.open(P, 1_000, token=fee)
    assert world.runs.call("unpaid", run) == 990
    world.rich(STRANGER, world.runs, token=fee)
    world.runs.send("fund", run, 100, sender=STRANGER)
    assert world.runs.call("unpaid", run) == 990 + 99
    world.runs.send("cancel", run, sender=SPONSOR)
    world.runs.send("refund", run, sender=STRANGER)
    assert fee.call("balanceOf", world.runs.address) == 0


def test_a_token_without_return_values_works(chain: Chain, world: World) -> None:
    old = deploy(chain, test_artifact("NoReturnToken"), (), (), DEPLOYER)
    run = world.open(P, 1_000, token=old)
    before = old.call("balanceOf", SPONSOR)
    world.runs.send("cancel", run, sender=SPONSOR)
    world.runs.send("refund", run, sender=STRANGER)
    assert old.call("balanceOf", SPONSOR) == before + 1_000


@pytest.mark.parametrize("mood", [1, 2])
def test_a_token_that_refuses_deposits_opens_nothing(chain: Chain, world: World, mood: int) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    hostile.send("set", mood, STRANGER, 0, sender=DEPLOYER)
    with reverts(""):
        world.open(P, 1_000, token=hostile)


def test_a_token_cannot_have_one_deposit_counted_twice(chain: Chain, world: World) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = world.open(P, 1_000, token=hostile)
    hostile.send("set", 3, world.runs.address, run, sender=DEPLOYER)
    world.runs.send("fund", run, 1_000, sender=SPONSOR)  # the token tries, and insists on having been refused
    assert world.runs.call("unpaid", run) == 2_000


# Claims


def test_anyone_claims_for_anyone_exactly_once(lone: World) -> None:
    run = lone.open(P, ETHER)
    leaves = standings(5)
    post(lone, run, leaves)
    for position in (0, 2, 4):
        before = lone.token.call("balanceOf", trainer(position))
        paid = leaves[position].paid_wei
        args = (run, lone.token.address, *claim_args(leaves, position))
        claimed = lone.runs.send("claim", *args, sender=STRANGER)["Claimed"]
        assert (claimed.account, claimed.amountWei, claimed.cumulativeWei) == (trainer(position).lower(), paid, paid)
        assert lone.token.call("balanceOf", trainer(position)) == before + paid
        assert lone.runs.call("claimed", run, trainer(position)) == paid
        with reverts("NothingToClaim", run, trainer(position), paid):
            lone.runs.send("claim", *args, sender=STRANGER)


def test_claims_are_cumulative(lone: World) -> None:
    run = lone.open(P, ETHER)
    for factor, expected in ((1, 10**15), (3, 2 * 10**15)):
        leaves = standings(3, 10**15 * factor)
        post(lone, run, leaves)
        sent = lone.runs.send("claim", run, lone.token.address, *claim_args(leaves, 0), sender=STRANGER)
        assert sent["Claimed"].amountWei == expected


def test_a_claim_against_an_older_root_is_refused(lone: World) -> None:
    run = lone.open(P, ETHER)
    old, new = standings(3), standings(3, 2 * 10**15)
    post(lone, run, old)
    post(lone, run, new)
    with reverts("SealMismatch"):
        lone.runs.send("claim", run, lone.token.address, *claim_args(old, 0), sender=STRANGER)


def test_forged_claims_are_refused(lone: World) -> None:
    run, other = lone.open(P, ETHER), lone.open(P, ETHER)
    leaves = standings(6)
    post(lone, run, leaves)
    words, bits, proof = claim_args(leaves, 1)
    token = lone.token.address

    def refused(*args: object) -> None:
        with reverts("SealMismatch"):
            lone.runs.send("claim", *args, sender=STRANGER)

    refused(run, token, [words[0], (10**17).to_bytes(16, "big") + words[1][16:], words[2]], bits, proof)  # more money
    refused(run, token, [bytes.fromhex(STRANGER[2:]) + words[0][20:], *words[1:]], bits, proof)  # another account
    refused(run, token, words, bits ^ 1, proof)  # another side
    refused(run, token, words, bits, proof[:-48])  # too shallow
    refused(run, token, words, bits, proof + proof[-48:])  # too deep
    refused(run, token, words, bits, proof[:32] + (1).to_bytes(16, "big") + proof[48:])  # another sum
    refused(run, lone.rounds.address, words, bits, proof)  # another token
    refused(other, token, words, bits, proof)  # a run without a root
    with reverts("ProofLength", len(proof) - 1):
        lone.runs.send("claim", run, token, words, bits, proof[:-1], sender=STRANGER)


def test_a_node_cannot_pass_for_a_leaf(lone: World) -> None:
    """Both are hashed over 96 bytes behind a tag: the 96 bytes of a node are no standing, whatever they say."""
    run = lone.open(P, ETHER)
    leaves = standings(4)
    post(lone, run, leaves)
    left, right = tree.leaf(leaves[0]), tree.leaf(leaves[1])
    node = left.hash + left.sum_wei.to_bytes(16, "big") + right.hash + right.sum_wei.to_bytes(16, "big")
    uncle = tree.parent(tree.leaf(leaves[2]), tree.leaf(leaves[3]))
    words = [node[at : at + 32] for at in (0, 32, 64)]
    with reverts("SealMismatch"):
        sibling = uncle.hash + uncle.sum_wei.to_bytes(16, "big")
        lone.runs.send("claim", run, lone.token.address, words, 0, sibling, sender=STRANGER)


def test_a_tree_of_one_leaf_needs_no_proof(lone: World) -> None:
    run = lone.open(P, ETHER)
    leaves = standings(1)
    post(lone, run, leaves)
    lone.runs.send("claim", run, lone.token.address, *claim_args(leaves, 0), sender=STRANGER)


def test_a_token_that_refuses_a_payout_stops_only_that_claim(chain: Chain, lone: World) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = lone.open(P, ETHER, token=hostile)
    leaves = standings(2)
    post(lone, run, leaves)
    for mood in (1, 2):
        hostile.send("set", mood, STRANGER, 0, sender=DEPLOYER)
        with reverts(""):
            lone.runs.send("claim", run, hostile.address, *claim_args(leaves, 0), sender=STRANGER)
    assert lone.runs.call("claimed", run, trainer(0)) == 0
    hostile.send("set", 0, STRANGER, 0, sender=DEPLOYER)
    lone.runs.send("claim", run, hostile.address, *claim_args(leaves, 0), sender=STRANGER)


# Posting


def test_only_settlement_posts(world: World) -> None:
    run = world.open(P)
    with reverts("OnlySibling", STRANGER, world.settlement.address):
        world.runs.send("post", run, b"r" * 32, 0, sender=STRANGER)


def test_no_root_promises_more_than_was_deposited(lone: World) -> None:
    run = lone.open(P, 100)
    with reverts("Insolvent", 101, 100):
        lone.runs.send("post", run, b"r" * 32, 101, sender=TREASURER)
    lone.runs.send("post", run, b"r" * 32, 100, sender=TREASURER)
    with reverts("TotalShrank", 100, 99):
        lone.runs.send("post", run, b"r" * 32, 99, sender=TREASURER)
    assert lone.runs.call("unpaid", run) == 0


# The end


def test_only_the_sponsor_cancels_and_only_before_round_1(world: World) -> None:
    run = world.open(P, 100)
    with reverts("OnlySponsor", STRANGER, SPONSOR):
        world.runs.send("cancel", run, sender=STRANGER)
    world.enrol(run, P, 1, 1)
    with reverts("WrongPhase", run, Phase.ENROL, Phase.TRAIN):
        world.runs.send("cancel", run, sender=SPONSOR)


def test_refund_after_the_end_once_and_only_what_nobody_was_promised(world: World) -> None:
    params = replace(P, max_rounds=1)
    run = world.open(params, 1_000_003)
    with reverts("RunNotEnded", run):
        world.runs.send("refund", run, sender=STRANGER)
    world.enrol(run, params, 1, 1)
    report = report_of(1)
    world.to_settle(run, {0: report}, [0])
    paid = world.settle(run, params, [report])["Settled"].paidWei
    assert paid > 0 and world.phase(run) is Phase.ENDED
    before = world.token.call("balanceOf", SPONSOR)
    assert world.runs.send("refund", run, sender=STRANGER)["Refunded"].amountWei == 1_000_003 - paid
    assert world.token.call("balanceOf", SPONSOR) == before + 1_000_003 - paid
    assert world.runs.call("unpaid", run) == 0
    with reverts("AlreadyRefunded", run):
        world.runs.send("refund", run, sender=STRANGER)


def test_a_miswired_deployment_reverts(chain: Chain) -> None:
    for name in artifacts.CONTRACTS:
        with pytest.raises(Reverted):
            deploy(chain, artifacts.load(name), WIRING, [address(k) for k in range(4)], DEPLOYER)


def test_all_four_name_the_same_four(world: World) -> None:
    four = [world.runs, world.stakes, world.rounds, world.settlement]
    for contract in four:
        named = [contract.call(name) for name in ("runs", "stakes", "rounds", "settlement")]
        assert named == [c.address.lower() for c in four]


def test_random_bytes_make_no_root(lone: World) -> None:
    run = lone.open(P, ETHER)
    post(lone, run, standings(3))
    with reverts("SealMismatch"):
        words = [random_bytes(k) for k in range(3)]
        lone.runs.send("claim", run, lone.token.address, words, 0, random_bytes(9)[:16] * 3, sender=STRANGER)
