"""Certificates: sign the model one rebuilt, combine what others signed, check the result against the run's history."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ports import bls, ecdsa
from ..ports.certificates import NO_GROUP, Certificates, Group
from ..ports.chain import ChainReader
from ..ports.store import Store
from ..spec.certificate import (
    BLS_FROM_SIGNERS,
    CERTIFICATE_TAG,
    POSSESSION_TAG,
    BlsCertificate,
    Certificate,
    Checkpoint,
    Domain,
    EcdsaCertificate,
    Part,
    bitmap_of,
    seats_of,
)
from ..spec.errors import CertificateRefused, ChainError, MalformedPoint
from ..spec.events import Exiting
from ..spec.ledger import Ledger
from ..spec.round import Seat
from ..spec.types import Phase
from .replica import Replica
from .rounds import attested_after

log = logging.getLogger(__name__)

#: Members added in one transaction: 14,200 gas each.
BATCH = 256


@dataclass(frozen=True, slots=True)
class Verdict:
    """A certificate that holds, and what stands behind it."""

    checkpoint: Checkpoint
    scheme: str
    signers: tuple[bytes, ...]  # accounts, in the certificate's order
    stake_wei: int  # theirs
    total_wei: int  # of everyone who is seated
    attested: bytes | None  # digest that the next round's committee works from; None when it does not exist yet

    @property
    def has_quorum(self) -> bool:
        """More than 2/3 of all stake."""
        return 3 * self.stake_wei > 2 * self.total_wei


def history(chain: ChainReader, run: int) -> Ledger:
    """The run up to now; but who left after its end, when stakes are free, counts as still there.

    Raises ChainError when there is no such run, TranscriptBroken.
    """
    count = chain.run_count()
    if not 1 <= run <= count:
        raise ChainError(f"run {run} is not on this chain, the deployment has {count}; see 'gradmint run list'")
    ledger, stayed = Ledger(run), []
    for event in chain.events(run):
        if isinstance(event, Exiting) and ledger.phase is Phase.ENDED:
            seat = ledger.seat(event.account)
            stayed += [seat] if seat is not None and not seat.gone else []
        ledger.apply(event)
    for seat in stayed:
        seat.gone = False
    return ledger


def attested(ledger: Ledger, round_: int) -> bytes | None:
    """Digest of the model after ``round_`` as the next round's committee attests it; the run's own for round 0.

    Raises CertificateRefused for a round that is not over.
    """
    last_goes_on = bool(ledger.rounds) and not ledger.round.is_over and ledger.phase is not Phase.ENDED
    over = len(ledger.rounds) - last_goes_on
    if round_ > over:
        raise CertificateRefused(f"round {round_} of run {ledger.run} is not over, {over} are: wait for its model")
    return attested_after(ledger, round_)


def rebuild(ledger: Ledger, store: Store, round_: int, own_task: str | None = None) -> bytes:
    """Digest of the model after ``round_``, from the first state and the public updates.

    Raises BlobMissing, WrongBase, CertificateRefused for a round that is not over.
    """
    attested(ledger, round_)
    replica = Replica(ledger.terms, store, own_task=own_task)
    for found in ledger.rounds[:round_]:
        replica.conclude(ledger, found)
    return replica.base


def require_attested(ledger: Ledger, checkpoint: Checkpoint) -> bytes | None:
    """What the committee attests, if anything. Raises CertificateRefused when that is another digest."""
    found = attested(ledger, checkpoint.round)
    if found not in (None, checkpoint.digest):
        raise CertificateRefused(
            f"the committee works from model 0x{found.hex()} after round {checkpoint.round}, not from "
            f"0x{checkpoint.digest.hex()}: rebuild the model"
        )
    return found


def possession(domain: Domain, account: bytes, secret: int) -> tuple[bytes, bytes]:
    """(key, proof of possession) as Certificates.register takes them."""
    backend = bls.backend()
    key = backend.public_key(secret)
    return key, backend.sign(secret, domain.possession(account, key), POSSESSION_TAG)


def sign(checkpoint: Checkpoint, account: bytes, signer: Callable[[bytes], bytes], secret: int | None) -> Part:
    """``signer`` makes the account's ECDSA signature of 32 bytes; ``secret`` is its BLS key, if it has one."""
    own = None if secret is None else bls.backend().sign(secret, checkpoint.signed, CERTIFICATE_TAG)
    return Part(checkpoint, account, signer(checkpoint.signed), own)


def combine(parts: Sequence[Part], domain: Domain, ledger: Ledger, keys: dict[bytes, bytes]) -> Certificate:
    """One certificate of all ``parts``; the scheme follows from their number. Raises CertificateRefused naming who is
    to be left out and why."""
    if not parts:
        raise CertificateRefused("there are no parts: collect what 'gradmint certificate sign' writes")
    checkpoint = parts[0].checkpoint
    _require_here(checkpoint, domain, ledger)
    require_attested(ledger, checkpoint)
    for part in parts:
        if part.checkpoint != checkpoint:
            raise CertificateRefused(
                f"{_name(part.account)} signed {part.checkpoint}, others {checkpoint}: leave it out"
            )
        if ecdsa.recover(checkpoint.signed, part.ecdsa) != part.account:
            raise CertificateRefused(f"{_name(part.account)} is not who signed its part: leave it out")
    seats = [_seat(ledger, part.account) for part in parts]
    bitmap = bitmap_of((seat.role, seat.index) for seat in seats)
    if len(parts) < BLS_FROM_SIGNERS:
        return EcdsaCertificate(checkpoint, tuple(p.ecdsa for p in sorted(parts, key=lambda p: p.account)))
    signatures = []
    for part in parts:
        if part.bls is None:
            raise CertificateRefused(
                f"{_name(part.account)} signed without a BLS key, which {len(parts)} signers need: it can register one "
                f"and sign again, or be left out"
            )
        signatures.append(part.bls)
    own = [_key(keys, part.account) for part in parts]
    try:
        signature = bls.backend().add_signatures(signatures)
        if _is_signed(own, checkpoint, signature):
            return BlsCertificate(checkpoint, bitmap, signature)
    except MalformedPoint:
        log.debug("a part's BLS signature is no point of its group; looking for whose")
    for part, key, single in zip(parts, own, signatures, strict=True):
        try:
            good = _is_signed([key], checkpoint, single)
        except MalformedPoint as error:
            raise CertificateRefused(f"{_name(part.account)}: {error}: leave its part out") from error
        if not good:
            raise CertificateRefused(f"{_name(part.account)}'s BLS signature is not its registered key's: leave it out")
    raise CertificateRefused("the signers' keys cancel out: leave one of those out who registered opposite keys")


def check(certificate: Certificate, domain: Domain, ledger: Ledger, keys: dict[bytes, bytes]) -> Verdict:
    """Everything that can be checked without asking the contract. Raises CertificateRefused, MalformedPoint."""
    checkpoint = certificate.checkpoint
    _require_here(checkpoint, domain, ledger)
    known = require_attested(ledger, checkpoint)
    if isinstance(certificate, EcdsaCertificate):
        scheme, accounts = "ecdsa", [ecdsa.recover(checkpoint.signed, found) for found in certificate.signatures]
        if accounts != sorted(set(accounts)):
            raise CertificateRefused("signers do not ascend by address, or one comes twice: make the certificate again")
        seats = [_seat(ledger, account) for account in accounts]
    else:
        scheme, seats = "bls", _seats(ledger, certificate)
        if not _is_signed([_key(keys, seat.account) for seat in seats], checkpoint, certificate.signature):
            raise CertificateRefused(
                f"the signature is not that of the {len(seats)} seats' registered keys: someone did not sign, or a "
                f"seat has changed hands since; make the certificate again"
            )
    everyone = [seat for seats_ in ledger.seats.values() for seat in seats_ if not seat.gone]
    return Verdict(
        checkpoint=checkpoint,
        scheme=scheme,
        signers=tuple(seat.account for seat in seats),
        stake_wei=sum(seat.stake_wei for seat in seats),
        total_wei=sum(seat.stake_wei for seat in everyone),
        attested=known,
    )


def check_on_chain(certificate: Certificate, contract: Certificates) -> tuple[int, int]:
    """(stake in wei, signers) by the contract's word. Raises Reverted, CertificateRefused without a group."""
    if certificate.checkpoint.domain != contract.domain:
        raise _elsewhere(certificate.checkpoint, contract.domain)
    group: Group | None = NO_GROUP
    if isinstance(certificate, BlsCertificate):
        group = contract.group_of(certificate.checkpoint.run, certificate.bitmap)
        if group is None:
            raise CertificateRefused(
                "the contract has no group of these signers, or it is stale: 'gradmint certificate assemble' makes one"
            )
    return contract.verify(certificate, group or NO_GROUP)


def assemble(certificate: BlsCertificate, contract: Certificates, ledger: Ledger) -> tuple[Group, int]:
    """The group of the certificate's signers, found or made now, and the gas that took. Raises Reverted, Unfunded."""
    run, keys = certificate.checkpoint.run, contract.keys()
    found, gas = contract.group_of(run, certificate.bitmap), 0
    if found is not None:
        return found, gas
    seats, group = _seats(ledger, certificate), NO_GROUP
    for at in range(0, len(seats), BATCH):
        members = {seat.account: _key(keys, seat.account) for seat in seats[at : at + BATCH]}
        gas += contract.assemble(run, group, members).gas_used
        bitmap = bitmap_of((seat.role, seat.index) for seat in seats[: at + BATCH])
        made = contract.group_of(run, bitmap)
        if made is None:
            raise CertificateRefused(f"the group of {len(seats)} went stale while it was made: start again")
        group = made
    return group, gas


def _is_signed(keys: Sequence[bytes], checkpoint: Checkpoint, signature: bytes) -> bool:
    """Whether ``signature`` is all the keys' together. Raises MalformedPoint."""
    backend = bls.backend()
    key = backend.add_keys(keys)
    return any(key) and backend.verify(key, checkpoint.signed, CERTIFICATE_TAG, signature)


def _require_here(checkpoint: Checkpoint, domain: Domain, ledger: Ledger) -> None:
    if checkpoint.domain != domain:
        raise _elsewhere(checkpoint, domain)
    if checkpoint.run != ledger.run:
        raise CertificateRefused(f"this certifies run {checkpoint.run}, not run {ledger.run}: name its run")


def _elsewhere(checkpoint: Checkpoint, domain: Domain) -> CertificateRefused:
    found = checkpoint.domain
    return CertificateRefused(
        f"this certifies for contract 0x{found.contract.hex()} on chain {found.chain_id}, the deployment's is "
        f"0x{domain.contract.hex()} on chain {domain.chain_id}: use the deployment it was made for"
    )


def _seats(ledger: Ledger, certificate: BlsCertificate) -> list[Seat]:
    found = []
    for role, index in seats_of(certificate.bitmap):
        if index >= len(ledger.seats[role]):
            raise CertificateRefused(
                f"run {ledger.run} has no {role.name.lower()} {index}: this is another run's bitmap"
            )
        found.append(_seat(ledger, ledger.seats[role][index].account))
    return found


def _seat(ledger: Ledger, account: bytes) -> Seat:
    seat = ledger.seat(account)
    if seat is None:
        raise CertificateRefused(f"{_name(account)} has no seat in run {ledger.run}: leave its part out")
    if seat.gone:
        raise CertificateRefused(f"{_name(account)} has left run {ledger.run}: leave its part out")
    return seat


def _key(keys: dict[bytes, bytes], account: bytes) -> bytes:
    if account not in keys:
        raise CertificateRefused(
            f"{_name(account)} has registered no BLS key: 'gradmint certificate register' does, or leave its part out"
        )
    return keys[account]


def _name(account: bytes) -> str:
    return f"0x{account.hex()}"
