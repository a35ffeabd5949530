"""Who is paid, by whom, and where to; on both chains."""

from __future__ import annotations

from dataclasses import replace

from gradmint.ports.chain import ClaimLeft, ClaimMany, ClaimTo, Exit
from gradmint.spec.events import Claimed, Redirected
from gradmint.spec.types import Role

from .harness import Stage, World, refused

SOON_S = 10_000


def paid(stage: Stage) -> Stage:
    stage.open().enrol()
    stage.play()
    return stage


def balance_wei(stage: Stage, account: bytes) -> int:
    return stage.sponsor.token_balance_wei(stage.world.token, account)


def redirected(stage: Stage, position: int, recipient: bytes, **changes: object) -> ClaimTo:
    """Signed by who is paid."""
    claim, chain = stage.claim(position), stage.trainers[position]
    deadline_s = stage.sponsor.now_s() + SOON_S
    return ClaimTo(
        run=stage.run,
        account=claim.account,
        paid_wei=claim.paid_wei,
        proof=claim.proof,
        recipient=recipient,
        deadline_s=deadline_s,
        signature=chain.sign_redirect(stage.run, recipient, claim.paid_wei, deadline_s),
    )


def test_anybody_claims_for_anybody(stage: Stage) -> None:
    paid(stage)
    claim = stage.claim(1)
    before_wei = balance_wei(stage, claim.account)
    [claimed] = stage.verifiers[0].send(claim).events
    assert isinstance(claimed, Claimed)
    assert (claimed.account, claimed.amount_wei) == (stage.trainers[1].account, claim.paid_wei)
    assert balance_wei(stage, claim.account) == before_wei + claim.paid_wei


def test_pay_goes_where_its_owner_says(stage: Stage) -> None:
    paid(stage)
    call = redirected(stage, 0, b"\x99" * 20)
    owner_wei, recipient_wei = balance_wei(stage, call.account), balance_wei(stage, call.recipient)
    claimed, to = stage.verifiers[0].send(call).events
    assert isinstance(claimed, Claimed) and isinstance(to, Redirected)
    assert (claimed.account, claimed.amount_wei) == (call.account, call.paid_wei)
    assert (to.account, to.recipient) == (call.account, call.recipient)
    assert balance_wei(stage, call.account) == owner_wei
    assert balance_wei(stage, call.recipient) == recipient_wei + call.paid_wei
    assert stage.sponsor.claimed_wei(stage.run, call.account) == call.paid_wei

    refused("NothingToClaim", lambda: stage.sponsor.send(call), stage.run, call.account, call.paid_wei)
    stage.play()
    refused("SealMismatch", lambda: stage.sponsor.send(call))  # the amount is in the signature: nothing to replay
    later = replace(stage.claim(0))
    bent = replace(call, paid_wei=later.paid_wei, proof=later.proof)
    refused("BadSignature", lambda: stage.sponsor.send(bent), call.account)


def test_a_redirection_is_bound_to_all_it_says(stage: Stage, world: World) -> None:
    paid(stage)
    call = redirected(stage, 0, b"\x99" * 20)
    chain = stage.sponsor
    for changes in (
        {"recipient": chain.account},
        {"deadline_s": call.deadline_s + 1},
        {"account": stage.trainers[1].account},
        {"signature": stage.trainers[1].sign_redirect(stage.run, call.recipient, call.paid_wei, call.deadline_s)},
        {"signature": stage.trainers[0].sign_redirect(stage.run + 1, call.recipient, call.paid_wei, call.deadline_s)},
        {"signature": b""},
        {"signature": bytes(65)},
    ):
        bent = replace(call, **changes)  # type: ignore[arg-type]
        refused("BadSignature", lambda bent=bent: chain.send(bent), bent.account)  # type: ignore[misc]
    chain.send(call)


def test_a_redirection_expires(stage: Stage) -> None:
    paid(stage)
    call = redirected(stage, 0, b"\x99" * 20)
    stage.until(call.deadline_s)
    refused("Expired", lambda: stage.sponsor.send(call), call.deadline_s)
    stage.sponsor.send(stage.claim(0))


def test_many_claims_at_once(stage: Stage, world: World) -> None:
    paid(stage)
    other = paid(Stage(world))
    stage.sponsor.send(stage.claim(1))
    claims = (stage.claim(0), stage.claim(1), stage.claim(0), other.claim(2))
    receipt = stage.sponsor.send(ClaimMany(claims=claims))
    assert [(event.run, event.account) for event in receipt.events if isinstance(event, Claimed)] == [
        (stage.run, claims[0].account),
        (other.run, claims[3].account),
    ]  # one is paid already, one comes twice
    assert stage.sponsor.claimed_wei(stage.run, claims[0].account) == claims[0].paid_wei
    assert stage.sponsor.claimed_wei(other.run, claims[3].account) == claims[3].paid_wei
    assert stage.sponsor.send(ClaimMany(claims=claims)).events == ()
    assert stage.sponsor.send(ClaimMany(claims=())).events == ()
    false = replace(stage.claim(2), paid_wei=claims[3].paid_wei + 1)
    refused("SealMismatch", lambda: stage.sponsor.send(ClaimMany(claims=(stage.claim(2), false))))
    assert stage.sponsor.claimed_wei(stage.run, false.account) == 0  # all or nothing


def test_whose_seat_was_given_away_claims_without_a_proof(stage: Stage) -> None:
    stage.open(max_trainers=3).enrol()
    stage.play()
    leaver = stage.trainers[0]
    first_wei = stage.claim(0).paid_wei
    stage.sponsor.send(stage.claim(0))
    refused("NothingToClaim", lambda: stage.sponsor.send(ClaimLeft(run=stage.run, account=leaver.account)), stage.run)
    stage.submit(0, 1, 2)
    leaver.send(Exit(run=stage.run))
    stage.join(Role.TRAINER, index=0)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    stage.settle()
    stage.play()
    owed_wei = stage.sponsor.left_wei(stage.run, leaver.account)
    assert owed_wei > first_wei
    before_wei = balance_wei(stage, leaver.account)
    [claimed] = stage.sponsor.send(ClaimLeft(run=stage.run, account=leaver.account)).events
    assert isinstance(claimed, Claimed) and claimed.amount_wei == owed_wei - first_wei
    assert balance_wei(stage, leaver.account) == before_wei + owed_wei - first_wei
    again = ClaimLeft(run=stage.run, account=leaver.account)
    refused("NothingToClaim", lambda: stage.sponsor.send(again), stage.run, leaver.account, owed_wei)


def test_a_claim_of_a_run_that_is_not_there(world: World) -> None:
    chain = world.connect(0)
    nowhere = chain.run_count() + 1_000
    refused("NothingToClaim", lambda: chain.sign(ClaimLeft(run=nowhere, account=chain.account)), nowhere)
