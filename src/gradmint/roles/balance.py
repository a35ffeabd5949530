"""Where a run's money is: what the contracts hold against what the events add up to, to the wei."""

from __future__ import annotations

from dataclasses import dataclass

from ..ports.chain import BondAccount, ChainReader, Clock, DocketSlot, Escrow, LiveChallenge, RecordSlot
from ..spec import docket, tree
from ..spec.errors import Divergence
from ..spec.events import Forfeited, Seized
from ..spec.keccak import keccak256
from ..spec.ledger import Ledger
from ..spec.round import Seat
from ..spec.types import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Where the money is, in wei.

    Budget: deposited = claimed + claimable + unpaid + refunded. Beside it: staked, slashed and prices (burned, now or
    later), bonds, and what lost bonds hold ready for the budget. ``other_wei``: in the contract that holds budgets, of
    other runs or sent there by nobody it knows.
    """

    deposited_wei: int
    claimed_wei: int
    claimable_wei: int
    unpaid_wei: int
    refunded_wei: int
    staked_wei: int
    slashed_wei: int
    prices_wei: int
    bonds_wei: int
    poolable_wei: int
    other_wei: int


@dataclass(frozen=True, slots=True)
class Head:
    """What the contracts hold at one moment."""

    now_s: int
    clock: Clock
    escrow: Escrow
    docket: DocketSlot
    challenge: LiveChallenge | None
    records: dict[int, RecordSlot]
    caught_up: bool
    price_wei: int
    standings_hash: bytes
    claimed_wei: dict[bytes, int]
    stakes_wei: dict[bytes, int]
    left_wei: dict[bytes, int]
    bonds: dict[bytes, BondAccount]
    held_wei: int  # tokens in the contract that holds rewards
    held_stakes_wei: int  # tokens in the contract that holds stakes and bonds


def seats_of(ledger: Ledger) -> list[Seat]:
    """Everybody who ever held a seat."""
    return [*ledger.former, *(seat for role in Role for seat in ledger.seats[role])]


def read_head(chain: ChainReader, ledger: Ledger) -> Head:
    run, accounts = ledger.run, [seat.account for seat in seats_of(ledger)]
    recorded = [round_.number for round_ in ledger.rounds if round_.record]
    bonded = sorted({*ledger.bonds_wei, *(proposal.proposer for proposal in ledger.pending)})
    return Head(
        now_s=chain.now_s(),
        clock=chain.clock(run),
        escrow=chain.escrow(run),
        docket=chain.docket(run),
        challenge=chain.challenge_of(run),
        # A direct run keeps the latest only.
        records={number: chain.record(run, number) for number in recorded[-1 if ledger.is_direct else 0 :]},
        caught_up=chain.caught_up(run),
        price_wei=chain.price_wei(run),
        standings_hash=chain.standings_hash(run),
        claimed_wei={account: chain.claimed_wei(run, account) for account in accounts},
        stakes_wei=dict(zip(accounts, chain.stakes_wei(run, accounts), strict=True)),
        left_wei={account: chain.left_wei(run, account) for account in accounts},
        bonds={account: chain.bond_of(run, account) for account in bonded},
        held_wei=chain.token_balance_wei(ledger.token, chain.runs_address),
        held_stakes_wei=chain.token_balance_wei(ledger.token, chain.stakes_address),
    )


def check_head(head: Head, ledger: Ledger) -> None:
    """Raises Divergence where the contracts hold something else than the events lead to."""
    escrow, clock, slot = head.escrow, head.clock, head.docket
    lost = "rows are missing at the end, or were added"
    comparisons: list[tuple[str, object, object, str]] = [
        ("transcript", ledger.transcript.hex(), clock.transcript.hex(), lost),
        ("phase", ledger.phase.name, clock.phase.name, "a phase row is missing"),
        ("parameters", keccak256(ledger.terms.encode()).hex(), escrow.params_hash.hex(), "not what the run pinned"),
        ("sponsor", ledger.sponsor.hex(), escrow.sponsor.hex(), "the opening row was altered"),
        ("token", ledger.token.hex(), escrow.token.hex(), "the opening row was altered"),
        ("deposited wei", ledger.deposited_wei, escrow.deposited_wei, "a funding row is missing or altered"),
        ("total wei", ledger.total_wei, escrow.total_wei, "a settlement row is missing"),
        ("refunded wei", ledger.refunded_wei, escrow.refunded_wei, "a refund row is missing or altered"),
        ("root", tree.root(ledger.all_standings()).hash.hex(), escrow.root.hex(), "claims read another root"),
        (
            "standings hash",
            ledger.final.standings_hash.hex(),
            head.standings_hash.hex(),
            "the next settlement would start from other standings",
        ),
    ]
    if not ledger.is_direct:
        settled = max((round_.number for round_ in ledger.rounds if round_.settled), default=0)
        proposed = ledger.pending[-1].round if ledger.pending else settled
        comparisons += [
            ("transcript of settlements", ledger.settlements.hex(), slot.transcript.hex(), lost),
            ("last settled round", settled, slot.settled, "a settlement row is missing"),
            ("last proposed round", proposed, slot.proposed, "a proposal row is missing or altered"),
            ("pending proposals", len(ledger.pending), slot.pending, "a proposal row is missing or altered"),
            ("whether all is settled", not ledger.unsettled(), head.caught_up, "the contract waits for other rounds"),
            ("tip", docket.tip(ledger.pending).hex(), slot.tip.hex(), "a proposal row is missing or altered"),
        ]
    for number, kept in head.records.items():
        record = ledger.rounds[number - 1].record
        assert record is not None
        expected_slot = (record.hash().hex(), record.previous)
        comparisons.append(
            (
                f"record of round {number}",
                expected_slot,
                (kept.hash.hex(), kept.previous),
                "it would be settled otherwise",
            )
        )
    for what, expected, found, why in comparisons:
        if expected != found:
            raise Divergence(None, what, expected, found, why)


def balance(head: Head, ledger: Ledger) -> Balance:
    """Paid + claimable + unspent = deposited, per account and in sum, and the tokens are really there.

    Raises Divergence.
    """
    _check_claims(head, ledger)
    _check_stakes(head, ledger)
    _check_bonds(head, ledger)
    claimed_wei = sum(ledger.claimed_wei.values())
    claimable_wei = ledger.total_wei - claimed_wei
    unpaid_wei = ledger.deposited_wei - ledger.total_wei - ledger.refunded_wei
    owed_wei = claimable_wei + unpaid_wei
    if head.held_wei < owed_wei:
        raise Divergence(None, "escrow", owed_wei, head.held_wei, "the contract holds less than it owes")

    staked_wei, slashed_wei = sum(head.stakes_wei.values()), sum(ledger.slashed_wei.values())
    bonds_wei = sum(bond.amount_wei for bond in head.bonds.values())
    lost: list[Forfeited | Seized] = [*ledger.forfeited, *ledger.seized]
    burnable_wei = ledger.prices_wei + slashed_wei + sum(one.burn_wei for one in lost) - ledger.burned_wei
    poolable_wei = ledger.poolable_wei
    for what, amount_wei in (("burnable wei", burnable_wei), ("poolable wei", poolable_wei)):
        if amount_wei < 0:
            raise Divergence(None, what, "0 or more", amount_wei, "more was burned or pooled than there was")
    kept_wei = staked_wei + bonds_wei + burnable_wei + poolable_wei
    if head.held_stakes_wei < kept_wei:
        why = "the contract holds less than stakes, bonds, and what is to be burned or pooled"
        raise Divergence(None, "stakes", kept_wei, head.held_stakes_wei, why)
    return Balance(
        deposited_wei=ledger.deposited_wei,
        claimed_wei=claimed_wei,
        claimable_wei=claimable_wei,
        unpaid_wei=unpaid_wei,
        refunded_wei=ledger.refunded_wei,
        staked_wei=staked_wei,
        slashed_wei=slashed_wei,
        prices_wei=ledger.prices_wei,
        bonds_wei=bonds_wei,
        poolable_wei=poolable_wei,
        other_wei=head.held_wei - owed_wei,
    )


def _check_claims(head: Head, ledger: Ledger) -> None:
    left = {
        account: wei
        for round_ in ledger.rounds
        if round_.settled and round_.execution
        for account, wei in round_.execution.effects.left
    }
    for account in left.keys() | ledger.left_wei.keys() | head.left_wei.keys():
        expected, said, kept = left.get(account, 0), ledger.left_wei.get(account, 0), head.left_wei.get(account, 0)
        for found, why in ((said, "the row of its leaving"), (kept, "what the contract keeps for it")):
            if expected != found:
                raise Divergence(None, f"promise to 0x{account.hex()}, who left", expected, found, why)
    promised = left | {standing.account: standing.paid_wei for standing in ledger.all_standings()}
    for account in promised.keys() | ledger.claimed_wei.keys():
        name = f"0x{account.hex()}"
        claimed_wei, recorded_wei = ledger.claimed_wei.get(account, 0), head.claimed_wei.get(account, 0)
        if claimed_wei != recorded_wei:
            raise Divergence(None, f"claims of {name}", claimed_wei, recorded_wei, "claim rows and the contract differ")
        if claimed_wei > promised.get(account, 0):
            raise Divergence(None, f"claims of {name}", promised.get(account, 0), claimed_wei, "claimed above earnings")


def _check_stakes(head: Head, ledger: Ledger) -> None:
    seats = seats_of(ledger)
    for seat in seats:
        seized_wei = sum(row.lost_wei for row in ledger.seized if row.account == seat.account)
        found = ledger.slashed_wei.get(seat.account, 0)
        expected = slashes_wei(ledger, seat.account, seat.stake_wei + found + seized_wei)
        if expected != found:
            raise Divergence(None, f"slashes of 0x{seat.account.hex()}", expected, found, "not what settlements give")
        expected = seat.stake_wei - ledger.withdrawn_wei.get(seat.account, 0)
        if expected != head.stakes_wei[seat.account]:
            found, why = head.stakes_wei[seat.account], "joined - slashed - withdrawn"
            raise Divergence(None, f"stake of 0x{seat.account.hex()}", expected, found, why)
    for account in ledger.slashed_wei.keys() - {seat.account for seat in seats}:
        raise Divergence(None, f"slashes of 0x{account.hex()}", 0, ledger.slashed_wei[account], "it has no stake")


def slashes_wei(ledger: Ledger, account: bytes, staked_wei: int) -> int:
    """What final settlements took of a stake in all: each at most what those before it, and exposures, had left."""
    slashes = [
        (round_.settled.position, wei)
        for round_ in ledger.rounds
        if round_.settled and round_.execution
        for who, wei in round_.execution.effects.slashed
        if who == account
    ]
    slashed_wei = 0
    for position, wei in slashes:  # rounds settle in order
        seized_wei = sum(row.lost_wei for row in ledger.seized if row.account == account and row.position < position)
        slashed_wei += min(wei, staked_wei - seized_wei - slashed_wei)
    return slashed_wei


def _check_bonds(head: Head, ledger: Ledger) -> None:
    bond_wei = ledger.terms.proposal_bond_wei
    locked_wei = dict.fromkeys(head.bonds, 0)
    for proposal in ledger.pending:
        locked_wei[proposal.proposer] += bond_wei
    if head.challenge is not None and head.challenge.challenger in locked_wei:
        locked_wei[head.challenge.challenger] += bond_wei
    for account, bond in head.bonds.items():
        for what, expected, found in (
            ("bond", ledger.bonds_wei.get(account, 0), bond.amount_wei),
            ("locked bond", locked_wei[account], bond.locked_wei),
        ):
            if expected != found:
                why = (
                    "deposited - taken out - lost + won" if what == "bond" else "one for each open proposal, challenge"
                )
                raise Divergence(None, f"{what} of 0x{account.hex()}", expected, found, why)
