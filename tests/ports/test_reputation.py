"""The contract Reputation through its port: what it says, what it refuses, and nodes that give nonsense."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak

from gradmint.ports import artifacts
from gradmint.ports.codec import signature_of
from gradmint.ports.contract import Contract
from gradmint.ports.deployment import Deployment
from gradmint.ports.reputation import Reputation
from gradmint.ports.reputation_calls import Deposit, Reclaim, Unvouch, Vouch, WithdrawPurse
from gradmint.ports.rpc import AnswerTooLarge, RpcError
from gradmint.ports.web3_chain import Web3Chain
from gradmint.spec.book import Book
from gradmint.spec.errors import ChainError, HalfDeployed, Reverted, SettingsError, Unfunded
from gradmint.spec.reputation_params import STANDARD_REPUTATION

from .harness import MINTED_WEI, Anvil, refused

ROUND_WEI = STANDARD_REPUTATION.vouch_round_wei


def chain_of(anvil: Anvil, number: int) -> Web3Chain:
    return cast(Web3Chain, anvil.connect(number))


def test_a_vouch_from_deposit_to_reclaim(anvil: Anvil) -> None:
    chain, other = chain_of(anvil, 501), anvil.connect(502).account
    reader = Reputation(chain)
    assert reader.params == STANDARD_REPUTATION and reader.seeds == () and reader.token == anvil.token
    position = max((event.position for event in reader.events()), default=None)
    refused("PurseTooSmall", lambda: chain.send(Vouch(account=other, stake_wei=ROUND_WEI)), chain.account, 0, ROUND_WEI)
    chain.send(Deposit(token=anvil.token, amount_wei=3 * ROUND_WEI))
    chain.send(Vouch(account=other, stake_wei=2 * ROUND_WEI))
    refused("AlreadyVouched", lambda: chain.send(Vouch(account=other, stake_wei=ROUND_WEI)), chain.account, other)
    chain.send(Unvouch(account=other))
    early = refused("StillLocked", lambda: chain.send(Reclaim(account=other)))
    assert "epoch" in str(early)  # Stakes has an error of that name, about seconds
    chain.send(WithdrawPurse(amount_wei=ROUND_WEI))

    book = Book(reader.params, reader.seeds)
    events = reader.events(position)
    assert [type(event).__name__ for event in events] == ["Deposited", "Vouched", "Unvouched", "Withdrawn"]
    assert reader.events(events[-1].position) == []
    for event in reader.events():
        book.apply(event)
    assert book.purses_wei[chain.account] == reader.purse_wei(chain.account) == 0
    assert book.vouches[chain.account, other].stake_wei == 2 * ROUND_WEI
    assert reader.rating_q32(other) == 0 and reader.held_wei() == 2 * ROUND_WEI


def test_a_deposit_takes_what_is_there(anvil: Anvil) -> None:
    chain = chain_of(anvil, 503)
    with pytest.raises(Unfunded, match="deposit"):
        chain.send(Deposit(token=anvil.token, amount_wei=MINTED_WEI + 1))


def test_the_deployments_seeds_are_the_contracts(anvil: Anvil) -> None:
    chain = chain_of(anvil, 504)
    for seeds in ((b"\1" * 20,), (b"\1" * 20, b"\2" * 20)):
        chain.deployment, honest = replace(chain.deployment, seeds=seeds), chain.deployment
        with pytest.raises(HalfDeployed, match="none of them"):
            Reputation(chain)
        chain.deployment = honest
    elsewhere = replace(chain.deployment, reputation=chain.deployment.runs)
    chain.deployment, honest = elsewhere, chain.deployment
    with pytest.raises(HalfDeployed):
        Reputation(chain)
    chain.deployment = honest


def test_seeds_of_a_deployment_file(anvil: Anvil) -> None:
    named = replace(anvil.deployment, seeds=(b"\1" * 20, b"\2" * 20))
    assert Deployment.from_json(named.to_json()) == named
    found = json.loads(named.to_json())
    for wrong in ("0x" + "01" * 20, ["0x01"], [1], {"0x" + "01" * 20: 1}):
        with pytest.raises(SettingsError, match="seeds"):
            Deployment.from_json(json.dumps({**found, "seeds": wrong}))


# Nodes that are not what they should be

ADDRESS = b"\xaa" * 20
VOUCHER, OTHER = b"\x01" * 20, b"\x02" * 20


def vouched(**changes: object) -> dict[str, Any]:
    """A log of Vouched as a node gives it."""
    entry = next(e for e in artifacts.load("Reputation").abi if e.get("name") == "Vouched")
    topics = [keccak(signature_of(entry).encode()), VOUCHER.rjust(32, b"\0"), OTHER.rjust(32, b"\0")]
    log = {
        "address": "0x" + ADDRESS.hex(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + encode(["uint32", "uint32", "uint32", "uint128"], [1, 2, 4_096, 10**18]).hex(),
        "blockNumber": "0x7",
        "logIndex": "0x0",
        "transactionHash": "0x" + "ee" * 32,
    }
    return {**log, **changes}


def contract_of(answer: Any, head: int = 100) -> Contract:
    """Behind a node that answers eth_getLogs with ``answer``, or with what it gives for (first, last)."""

    def call(_: str, query: dict[str, Any]) -> Any:
        first, last = (int(query[name], 16) for name in ("fromBlock", "toBlock"))
        return answer(first, last) if callable(answer) else answer

    chain = SimpleNamespace(rpc=SimpleNamespace(call=call), deployment=SimpleNamespace(block=3), block=lambda: head)
    return Contract(cast(Web3Chain, chain), "Reputation", ADDRESS)


def test_a_log_is_read() -> None:
    [log] = contract_of([vouched()]).logs()
    assert (log.name, log.position) == ("Vouched", (7, 0))
    assert log.values["voucher"] == VOUCHER and log.values["weight"] == 4_096
    assert contract_of([vouched()]).logs(after=(7, 0)) == []
    assert contract_of([vouched(removed=True)]).logs() == []


@pytest.mark.parametrize(
    "log",
    [
        7,
        {},
        vouched(topics=[]),
        vouched(topics="0x"),
        vouched(topics=["0x" + "11" * 32]),
        vouched(topics=vouched()["topics"][:2]),
        vouched(topics=[*vouched()["topics"], "0x" + "00" * 32]),
        vouched(topics=[*vouched()["topics"][:2], "0x" + "ff" * 32]),
        vouched(data="0x"),
        vouched(data="0x" + "ff" * 128),
        vouched(data=None),
        vouched(address="0x" + "bb" * 20),
        vouched(blockNumber=None),
        vouched(logIndex="zero"),
        vouched(transactionHash="0x"),
    ],
)
def test_nonsense_is_the_nodes_fault(log: Any) -> None:
    with pytest.raises(ChainError, match="the node gives"):
        contract_of([log]).logs()
    with pytest.raises(ChainError):
        contract_of(log).logs()


def test_pages_get_smaller_until_the_node_is_willing() -> None:
    asked = []

    def answer(first: int, last: int) -> list[Any]:
        asked.append((first, last))
        if last - first >= 10:
            raise AnswerTooLarge("too large")
        return [vouched()] if first <= 7 <= last else []

    assert len(contract_of(answer).logs()) == 1
    ranges = sorted(one for one in asked if one[1] - one[0] < 10)
    assert [a for a, _ in ranges] == [3, *(b + 1 for _, b in ranges[:-1])] and ranges[-1][1] == 100

    def never(first: int, last: int) -> list[Any]:
        raise RpcError("no", -32_000, None)

    with pytest.raises(RpcError):
        contract_of(never).logs()


def test_a_refusal_that_two_contracts_name_alike() -> None:
    from gradmint.ports.codec import decode_revert

    def said(signature: str, *words: int) -> Reverted:
        return decode_revert(keccak(signature.encode())[:4] + b"".join(word.to_bytes(32, "big") for word in words))

    assert "of run 1 is under challenge" in str(said("AlreadyChallenged(uint256,uint16)", 1, 2))
    assert "has challenged the rating of" in str(said("AlreadyChallenged(address,address)", 1, 2))
    assert said("StillLocked(uint32,uint32)", 4, 3).operands == (4, 3)
