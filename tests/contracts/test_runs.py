"""Runs: escrow, funding, claims, refund. Who may, when, with which tokens, and to the wei."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
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
    siblings,
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
    wired = [*(create_address(DEPLOYER, nonce + k) for k in range(3)), TREASURER, world.ratings.address]
    three = [deploy(chain, artifacts.load(name), WIRING, wired, DEPLOYER) for name in artifacts.CONTRACTS[:3]]
    return World(chain, *three, settlement=world.settlement, ratings=world.ratings, token=world.token)


def standings(count: int, paid_wei: int = 10**15) -> list[Standing]:
    return [Standing(bytes.fromhex(trainer(i)[2:]), Role.TRAINER, paid_wei=paid_wei * (i + 1)) for i in range(count)]


def claim_args(leaves: list[Standing], position: int) -> tuple[bytes, int, int, bytes]:
    standing = leaves[position]
    return (standing.account, standing.paid_wei, *siblings(leaves, position))


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
        claimed = lone.claim(*args, sender=STRANGER)["Claimed"]
        assert (claimed.account, claimed.amountWei) == (trainer(position).lower(), paid)
        assert lone.token.call("balanceOf", trainer(position)) == before + paid
        assert lone.runs.call("claimed", run, trainer(position)) == paid
        with reverts("NothingToClaim", run, trainer(position), paid):
            lone.claim(*args, sender=STRANGER)


def test_claims_are_cumulative(lone: World) -> None:
    run = lone.open(P, ETHER)
    for factor, expected in ((1, 10**15), (3, 2 * 10**15)):
        leaves = standings(3, 10**15 * factor)
        post(lone, run, leaves)
        sent = lone.claim(run, lone.token.address, *claim_args(leaves, 0), sender=STRANGER)
        assert sent["Claimed"].amountWei == expected


def test_a_claim_against_an_older_root_is_refused(lone: World) -> None:
    run = lone.open(P, ETHER)
    old, new = standings(3), standings(3, 2 * 10**15)
    post(lone, run, old)
    post(lone, run, new)
    with reverts("SealMismatch"):
        lone.claim(run, lone.token.address, *claim_args(old, 0), sender=STRANGER)


def test_forged_claims_are_refused(lone: World) -> None:
    run, other = lone.open(P, ETHER), lone.open(P, ETHER)
    leaves = standings(6)
    post(lone, run, leaves)
    account, paid, bits, proof = claim_args(leaves, 1)
    token = lone.token.address

    def refused(*args: object) -> None:
        with reverts("SealMismatch"):
            lone.claim(*args, sender=STRANGER)

    refused(run, token, account, paid + 1, bits, proof)  # more money
    refused(run, token, STRANGER, paid, bits, proof)  # another account
    refused(run, token, account, paid, bits ^ 1, proof)  # another side
    refused(run, token, account, paid, bits, proof[:-40])  # too shallow
    refused(run, token, account, paid, bits, proof + proof[-40:])  # too deep
    refused(run, token, account, paid, bits, proof[:24] + (1).to_bytes(16, "big") + proof[40:])  # another sum
    refused(run, lone.rounds.address, account, paid, bits, proof)  # another token
    refused(other, token, account, paid, bits, proof)  # a run without a root
    assert lone.runs.call("claimed", run, account) == 0


def test_malformed_claims_are_refused(lone: World) -> None:
    run = lone.open(P, ETHER)
    leaves = standings(6)
    post(lone, run, leaves)
    account, paid, bits, proof = claim_args(leaves, 1)
    token = lone.token.address
    for length in (len(proof) - 1, len(proof) + 1, len(proof) + 32):
        with reverts("ProofLength", length):  # cut off, or followed by more
            lone.claim(run, token, account, paid, bits, (proof + bytes(32))[:length], sender=STRANGER)
    with reverts("PaidTooLarge", paid + 2**128):  # a leaf hashes the lower half
        lone.claim(run, token, account, paid + 2**128, bits, proof, sender=STRANGER)
    for high in (1, 2**90):
        with reverts("PathTooLong", high):
            lone.claim(run, token, account, paid, bits | high << len(proof) // 40, proof, sender=STRANGER)
    with reverts("SealMismatch"):  # another run, by the highest of its bits
        lone.claim(run | 2**95, token, account, paid, bits, proof, sender=STRANGER)
    words = lone.runs.data("claim", bytes(32), bytes(32), paid)
    with reverts(""):
        lone.chain.send(lone.runs.address, words[:-1], STRANGER)
    lone.claim(run, token, account, paid, bits, proof, sender=STRANGER)


def test_other_entrances_refuse_malformed_proofs_too(lone: World) -> None:
    run = lone.open(P, ETHER)
    leaves = standings(6)
    post(lone, run, leaves)
    account, paid, bits, proof = claim_args(leaves, 1)
    for name, operand, changed in (
        ("ProofLength", len(proof) + 1, (paid, bits, proof + b"\0")),
        ("PaidTooLarge", paid + 2**128, (paid + 2**128, bits, proof)),
        ("PathTooLong", 1, (paid, bits | 1 << len(proof) // 40, proof)),
    ):
        with reverts(name, operand):
            lone.runs.send("claimMany", [(run, lone.token.address, account, *changed)], sender=STRANGER)


def test_a_node_cannot_pass_for_a_leaf(lone: World) -> None:
    """A node is hashed over more bytes and behind another tag: no account and amount of a leaf are a node's."""
    run = lone.open(P, ETHER)
    leaves = standings(4)
    post(lone, run, leaves)
    left, right = (tree.leaf(leaf.account, leaf.paid_wei) for leaf in leaves[:2])
    node = left.hash + left.sum_wei.to_bytes(16, "big") + right.hash + right.sum_wei.to_bytes(16, "big")
    uncle = tree.parent(*(tree.leaf(leaf.account, leaf.paid_wei) for leaf in leaves[2:]))
    with reverts("SealMismatch"):
        sibling = uncle.hash + uncle.sum_wei.to_bytes(16, "big")
        args = (run, lone.token.address, node[:20], int.from_bytes(node[20:36], "big"), 0, sibling)
        lone.claim(*args, sender=STRANGER)


def test_a_tree_of_one_leaf_needs_no_proof(lone: World) -> None:
    run = lone.open(P, ETHER)
    leaves = standings(1)
    post(lone, run, leaves)
    lone.claim(run, lone.token.address, *claim_args(leaves, 0), sender=STRANGER)


def test_a_token_that_refuses_a_payout_stops_only_that_claim(chain: Chain, lone: World) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = lone.open(P, ETHER, token=hostile)
    leaves = standings(2)
    post(lone, run, leaves)
    for mood in (1, 2):
        hostile.send("set", mood, STRANGER, 0, sender=DEPLOYER)
        with reverts(""):
            lone.claim(run, hostile.address, *claim_args(leaves, 0), sender=STRANGER)
    assert lone.runs.call("claimed", run, trainer(0)) == 0
    hostile.send("set", 0, STRANGER, 0, sender=DEPLOYER)
    lone.claim(run, hostile.address, *claim_args(leaves, 0), sender=STRANGER)


# Posting


def test_only_settlement_posts(world: World) -> None:
    run = world.open(P)
    with reverts("OnlySibling", STRANGER, world.settlement.address):
        world.runs.send("post", run, b"r" * 24, 0, sender=STRANGER)
    with reverts("OnlySibling", STRANGER, world.settlement.address):
        world.runs.send("keep", run, STRANGER, 1, sender=STRANGER)


def test_no_root_promises_more_than_was_deposited(lone: World) -> None:
    run = lone.open(P, 100)
    with reverts("Insolvent", 101, 100):
        lone.runs.send("post", run, b"r" * 24, 101, sender=TREASURER)
    lone.runs.send("post", run, b"r" * 24, 100, sender=TREASURER)
    with reverts("TotalShrank", 100, 99):
        lone.runs.send("post", run, b"r" * 24, 99, sender=TREASURER)
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
    world.play(run, {0: report}, [0])
    world.settle(run)
    paid = world.ledger(run).total_wei
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
            deploy(chain, artifacts.load(name), WIRING, [address(k) for k in range(5)], DEPLOYER)


def test_all_four_name_the_same_five(world: World) -> None:
    five = [world.runs, world.stakes, world.rounds, world.settlement, world.ratings]
    for contract in five[:4]:
        named = [contract.call(name) for name in ("runs", "stakes", "rounds", "settlement", "reputation")]
        assert named == [c.address.lower() for c in five]


def test_random_bytes_make_no_root(lone: World) -> None:
    run = lone.open(P, ETHER)
    post(lone, run, standings(3))
    with reverts("SealMismatch"):
        args = (run, lone.token.address, random_bytes(0)[:20], 7, 0, random_bytes(9)[:20] * 4)
        lone.claim(*args, sender=STRANGER)


# Claims for others


KEY = Account.from_key(keccak256(b"claimant"))
RECIPIENT = address(555)


def redirection(world: World, run: int, paid_wei: int, deadline_s: int, account: str, recipient: str) -> bytes:
    """The EIP-712 digest as any wallet derives it."""
    domain = {
        "name": "Gradmint",
        "version": "1",
        "chainId": world.chain.chain_id,
        "verifyingContract": world.runs.address,
    }
    fields = (("run", "uint256"), ("account", "address"), ("recipient", "address"))
    fields += (("paidWei", "uint256"), ("deadlineS", "uint256"))
    types = {"Redirect": [{"name": name, "type": kind} for name, kind in fields]}
    message = {"run": run, "account": account, "recipient": recipient, "paidWei": paid_wei, "deadlineS": deadline_s}
    signable = encode_typed_data(domain, types, message)
    return keccak256(b"\x19\x01" + signable.header + signable.body)


def owned(account: str, paid_wei: int = 10**15) -> list[Standing]:
    return [Standing(bytes.fromhex(account[2:]), Role.TRAINER, paid_wei=paid_wei), *standings(3)]


def test_an_account_redirects_its_claim_by_signature_once(lone: World) -> None:
    run, token = lone.open(P, ETHER), lone.token
    leaves, deadline = owned(KEY.address), lone.chain.now() + 1_000
    post(lone, run, leaves)
    signature = KEY.unsafe_sign_hash(redirection(lone, run, 10**15, deadline, KEY.address, RECIPIENT)).signature
    args = (run, token.address, *claim_args(leaves, 0), RECIPIENT, deadline, signature)
    before = token.call("balanceOf", RECIPIENT)
    sent = lone.runs.send("claimTo", *args, sender=STRANGER)
    assert [event.name for event in sent.events if event.name != "Transfer"] == ["Claimed", "Redirected"]
    assert (sent["Redirected"].account, sent["Redirected"].recipient) == (KEY.address.lower(), RECIPIENT.lower())
    assert token.call("balanceOf", RECIPIENT) == before + 10**15
    with reverts("NothingToClaim", run, KEY.address, 10**15):
        lone.runs.send("claimTo", *args, sender=STRANGER)
    post(lone, run, leaves := owned(KEY.address, 3 * 10**15))
    with reverts("BadSignature"):  # what it earned since is not what it signed for
        args = (run, token.address, *claim_args(leaves, 0), RECIPIENT, deadline, signature)
        lone.runs.send("claimTo", *args, sender=STRANGER)


def test_a_redirection_is_for_one_run_recipient_amount_and_time(lone: World) -> None:
    run, other, token = lone.open(P, ETHER), lone.open(P, ETHER), lone.token
    leaves, deadline = owned(KEY.address), lone.chain.now() + 1_000
    post(lone, run, leaves)
    post(lone, other, leaves)
    claim = claim_args(leaves, 0)

    def send(run: int, recipient: str, deadline: int, signature: bytes) -> None:
        lone.runs.send("claimTo", run, token.address, *claim, recipient, deadline, signature, sender=STRANGER)

    signature = KEY.unsafe_sign_hash(redirection(lone, run, 10**15, deadline, KEY.address, RECIPIENT)).signature
    for wrong in (
        (other, RECIPIENT, deadline, signature),
        (run, STRANGER, deadline, signature),
        (run, RECIPIENT, deadline + 1, signature),
        (run, RECIPIENT, deadline, signature[:-2]),
        (run, RECIPIENT, deadline, b""),
    ):
        with reverts("BadSignature"):
            send(*wrong)
    lone.chain.warp_to(deadline)
    with reverts("Expired"):
        send(run, RECIPIENT, deadline, signature)


def test_a_contract_redirects_by_erc_1271(chain: Chain, lone: World) -> None:
    wallet = deploy(chain, test_artifact("ProbeWallet"), (), (), DEPLOYER)
    run, leaves, deadline = lone.open(P, ETHER), owned(wallet.address), chain.now() + 1_000
    post(lone, run, leaves)
    args = (run, lone.token.address, *claim_args(leaves, 0), RECIPIENT, deadline, b"any")
    with reverts("BadSignature"):
        lone.runs.send("claimTo", *args, sender=STRANGER)
    digest = redirection(lone, run, 10**15, deadline, wallet.address, RECIPIENT)
    wallet.send("approve", digest, sender=DEPLOYER)
    before = lone.token.call("balanceOf", RECIPIENT)
    lone.runs.send("claimTo", *args, sender=STRANGER)
    assert lone.token.call("balanceOf", RECIPIENT) == before + 10**15


def test_many_claims_at_once_skip_what_is_claimed(lone: World) -> None:
    one, two = lone.open(P, ETHER), lone.open(P, ETHER)
    leaves, token = standings(3), lone.token.address
    for run in (one, two):
        post(lone, run, leaves)
    lone.claim(one, token, *claim_args(leaves, 0), sender=STRANGER)
    before = [lone.token.call("balanceOf", trainer(i)) for i in range(3)]
    claims = [(run, token, *claim_args(leaves, i)) for run in (one, two) for i in range(3)]
    sent = lone.runs.send("claimMany", claims, sender=STRANGER)
    assert [(e.run, e.account) for e in sent.all("Claimed")] == [
        (one, trainer(1).lower()), (one, trainer(2).lower()), *((two, trainer(i).lower()) for i in range(3))
    ]  # fmt: skip
    got = [lone.token.call("balanceOf", trainer(i)) - before[i] for i in range(3)]
    assert got == [leaves[0].paid_wei, 2 * leaves[1].paid_wei, 2 * leaves[2].paid_wei]
    assert not lone.runs.send("claimMany", claims, sender=STRANGER).all("Claimed")
    with reverts("SealMismatch"):  # a wrong proof is no empty claim
        wrong = (one, token, claims[1][2], claims[1][3] + 1, *claims[1][4:])
        lone.runs.send("claimMany", [wrong], sender=STRANGER)


def test_what_was_kept_for_a_leaver_is_claimed_without_a_proof_and_once(lone: World) -> None:
    run = lone.open(P, ETHER)
    leaves = standings(2)
    post(lone, run, leaves)
    lone.claim(run, lone.token.address, *claim_args(leaves, 0), sender=STRANGER)
    left = lone.runs.send("keep", run, trainer(0), leaves[0].paid_wei + 5, sender=TREASURER)["Left"]
    assert (left.account, left.cumulativeWei) == (trainer(0).lower(), leaves[0].paid_wei + 5)
    assert lone.runs.call("left", run, trainer(0)) == leaves[0].paid_wei + 5
    before = lone.token.call("balanceOf", trainer(0))
    assert lone.runs.send("claimLeft", run, trainer(0), sender=STRANGER)["Claimed"].amountWei == 5
    assert lone.token.call("balanceOf", trainer(0)) == before + 5
    with reverts("NothingToClaim", run, trainer(0), leaves[0].paid_wei + 5):
        lone.runs.send("claimLeft", run, trainer(0), sender=STRANGER)
    with reverts("NothingToClaim", run, trainer(1), 0):
        lone.runs.send("claimLeft", run, trainer(1), sender=STRANGER)


def test_words_wider_than_their_types_open_nothing(world: World) -> None:
    """The kept hash is of the words themselves: none may say something that the types do not."""
    data = bytearray(world.runs.data("open", params_tuple(P), world.token.address, 0))
    data[4 + 32 * 3] = 1  # a bit above max_rounds' sixteen
    with reverts(""):
        world.chain.send(world.runs.address, bytes(data), SPONSOR)
