"""The contracts' rules over plain Python objects: what :mod:`memory_chain` executes.

Each rule checks its guards, in the contracts' order, and returns the effect as a function: nothing is half done when a
guard refuses, and a call can be tried without doing it. Names of errors and their operands are the contracts'.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from ..spec import transcript as tr
from ..spec import tree
from ..spec.errors import MalformedReport, NotAToken
from ..spec.events import (
    Claimed,
    Committed,
    Funded,
    Held,
    Opened,
    Redirected,
    Refunded,
    Revealed,
    Submitted,
    Voided,
)
from ..spec.keccak import keccak256
from ..spec.tree import Proof
from ..spec.types import Phase, Report, Role, Row
from . import chain as calls
from .memory_exposures import Exposures
from .memory_state import NO_ROOT, ROUNDS, RUNS, Effect, Run, below
from .reverts import reverted


class Rules(Exposures):
    """One method per function that anybody may call."""

    def attempt(self, account: bytes, call: calls.Call) -> Effect:
        """Guards only; the effect is the caller's to run, at once or never. Raises Reverted, Unfunded."""
        effect: Effect = _RULES[type(call)](self, account, call)
        return effect

    # Runs

    def _open(self, account: bytes, call: calls.Open) -> Effect:
        call.params.check()
        if call.token not in self.tokens:
            raise NotAToken(f"there is no token 0x{call.token.hex()} in this world: mint some of it first")
        self._require_balance(call.token, account, call.budget_wei, "budget")

        def effect() -> None:
            self._move(call.token, account, RUNS, call.budget_wei)
            run = Run(len(self.runs) + 1, call.params, account, call.token, call.budget_wei)
            self.runs.append(run)
            self.events.append([])
            self._emit(run, Opened, sponsor=account, token=call.token, params=call.params, budget_wei=call.budget_wei)

        return effect

    def _fund(self, account: bytes, call: calls.Fund) -> Effect:
        run = self.known(call.run)
        if run.phase is Phase.ENDED:
            raise reverted("RunEnded", run.number)
        self._require_balance(run.token, account, call.amount_wei, "budget")

        def effect() -> None:
            self._move(run.token, account, RUNS, call.amount_wei)
            run.deposited_wei += call.amount_wei
            self._emit(run, Funded, funder=account, amount_wei=call.amount_wei)

        return effect

    def _cancel(self, account: bytes, call: calls.Cancel) -> Effect:
        run = self.known(call.run)
        if account != run.sponsor:
            raise reverted("OnlySponsor", account, run.sponsor)
        if run.phase is not Phase.ENROL:
            raise reverted("WrongPhase", run.number, Phase.ENROL, run.phase)
        return lambda: self._open_phase(run, Phase.ENDED)

    def _refund(self, account: bytes, call: calls.Refund) -> Effect:
        run = self.known(call.run)
        if run.phase is not Phase.ENDED:
            raise reverted("RunNotEnded", run.number)
        if not run.is_caught_up:
            raise reverted("NotSettled", run.number)
        if run.refunded:
            raise reverted("AlreadyRefunded", run.number)
        amount_wei = run.deposited_wei - run.total_wei

        def effect() -> None:
            run.refunded, run.refunded_wei = True, amount_wei
            self._emit(run, Refunded, sponsor=run.sponsor, amount_wei=amount_wei)
            self._move(run.token, RUNS, run.sponsor, amount_wei)

        return effect

    def _claim(self, account: bytes, call: calls.Claim) -> Effect:
        return self._pay(self._proven(call.run, call.account, call.paid_wei, call.proof), call.account, call.paid_wei)

    def _claim_to(self, account: bytes, call: calls.ClaimTo) -> Effect:
        if self.now_s >= call.deadline_s:
            raise reverted("Expired", call.deadline_s, self.now_s)
        expected = self.redirect_signature(call.account, call.run, call.recipient, call.paid_wei, call.deadline_s)
        if call.signature != expected:
            raise reverted("BadSignature", call.account, sha256(expected).digest())
        run = self._proven(call.run, call.account, call.paid_wei, call.proof)
        pay = self._pay(run, call.account, call.paid_wei, call.recipient)

        def effect() -> None:
            pay()
            self._emit(run, Redirected, account=call.account, recipient=call.recipient)

        return effect

    def _claim_many(self, account: bytes, call: calls.ClaimMany) -> Effect:
        claimed_wei: dict[tuple[int, bytes], int] = {}
        due: list[tuple[Run, bytes, int]] = []
        for one in call.claims:
            key, run = (one.run, one.account), self.known(one.run)
            if one.paid_wei > claimed_wei.get(key, run.claimed_wei.get(one.account, 0)):
                self._proven(one.run, one.account, one.paid_wei, one.proof)
                claimed_wei[key] = one.paid_wei
                due.append((run, one.account, one.paid_wei))

        def effect() -> None:
            for run, payee, cumulative_wei in due:
                self._pay(run, payee, cumulative_wei)()

        return effect

    def _claim_left(self, account: bytes, call: calls.ClaimLeft) -> Effect:
        run = self._any(call.run)
        if run is None:
            raise reverted("NothingToClaim", call.run, call.account, 0)
        return self._pay(run, call.account, run.left_wei.get(call.account, 0))

    def _proven(self, number: int, payee: bytes, cumulative_wei: int, proof: Proof) -> Run:
        run = self.known(number)
        if beyond := proof.right_bits >> len(proof.siblings):
            raise reverted("PathTooLong", beyond)
        reached = tree.climb(payee, cumulative_wei, proof).hash
        if reached != run.root:
            mode = 1 if run.params.challenge_s else 0
            seal = bytes(31) + bytes([mode]) if run.root == NO_ROOT else _seal(run.root, run.token, mode)
            raise reverted("SealMismatch", seal, _seal(reached, run.token), reached)
        return run

    def _pay(self, run: Run, payee: bytes, cumulative_wei: int, recipient: bytes | None = None) -> Effect:
        paid_wei = run.claimed_wei.get(payee, 0)
        if cumulative_wei <= paid_wei:
            raise reverted("NothingToClaim", run.number, payee, paid_wei)
        drawn_wei = run.drawn_wei + cumulative_wei - paid_wei if run.params.challenge_s else 0
        if drawn_wei > run.total_wei:
            raise reverted("Overdrawn", run.number, drawn_wei, run.total_wei)

        def effect() -> None:
            run.drawn_wei = drawn_wei
            run.claimed_wei[payee] = cumulative_wei
            self._emit(run, Claimed, account=payee, amount_wei=cumulative_wei - paid_wei)
            self._move(run.token, RUNS, recipient or payee, cumulative_wei - paid_wei)

        return effect

    # Rounds

    def _submit(self, account: bytes, call: calls.Submit) -> Effect:
        run = self._during(call.run, Phase.TRAIN)
        seat = run.holds(account, Role.TRAINER)
        if seat is None or seat.retired:
            raise reverted("NotSeated", run.number, account, Role.TRAINER)
        if seat.since_round > run.round:
            raise reverted("NotYet", seat.since_round, run.round)

        def effect() -> None:
            row = tr.submitted_row(seat.index, call.claimed_gain_micronats, call.digest)
            run.transcript = tr.fold(run.transcript, tr.Kind.SUBMITTED, row)
            self._emit(
                run,
                Submitted,
                trainer=seat.index,
                claimed_gain_micronats=call.claimed_gain_micronats,
                digest=call.digest,
                transcript=run.transcript,
            )

        return effect

    def _close(self, account: bytes, call: calls.Close) -> Effect:
        run = self._during(call.run, Phase.TRAIN)
        transcript, seen = run.opening, 0
        for trainer, claimed_gain_micronats, digest in call.submissions:
            row = tr.submitted_row(trainer, claimed_gain_micronats, digest)
            transcript = tr.fold(transcript, tr.Kind.SUBMITTED, row)
            seen |= 1 << trainer
        if transcript != run.transcript:
            raise reverted("TranscriptMismatch", run.transcript, transcript)
        awaited = run.awaited_trainers & below(run.trainers_in_round)
        absent = awaited & ~seen
        if absent:
            raise reverted("StillAwaited", (absent & -absent).bit_length() - 1)
        if not awaited:
            raise reverted("NobodyAwaited", run.number)
        return lambda: self._open_phase(run, Phase.HOLD)

    def _hold(self, account: bytes, call: calls.Hold) -> Effect:
        run, verifier = self._committee(call.run, account, Phase.HOLD)
        expected_bytes = (run.trainers_in_round + 7) // 8
        if len(call.bitmap) != expected_bytes:
            raise reverted("BitmapLength", expected_bytes, len(call.bitmap))

        def effect() -> None:
            row = tr.held_row(verifier, call.base, call.bitmap)
            run.transcript = tr.fold(run.transcript, tr.Kind.HELD, row)
            self._emit(run, Held, verifier=verifier, base=call.base, bitmap=call.bitmap, transcript=run.transcript)
            self._acted(run, verifier)

        return effect

    def _commit(self, account: bytes, call: calls.Commit) -> Effect:
        run, verifier = self._committee(call.run, account, Phase.COMMIT)

        def effect() -> None:
            run.messages[verifier] = call.commitment
            row = tr.committed_row(verifier, call.commitment)
            run.transcript = tr.fold(run.transcript, tr.Kind.COMMITTED, row)
            self._emit(run, Committed, verifier=verifier, commitment=call.commitment, transcript=run.transcript)
            self._acted(run, verifier)

        return effect

    def _reveal(self, account: bytes, call: calls.Reveal) -> Effect:
        run, verifier = self._committee(call.run, account, Phase.REVEAL)
        if not run.acted.get(Phase.COMMIT, 0) >> verifier & 1:
            raise reverted("NotCommitted", run.number, verifier)
        expected_bytes = Report.size(run.params.words, run.trainers_in_round)
        if len(call.report) != expected_bytes:
            raise reverted("ReportLength", expected_bytes, len(call.report))
        rows_at = Report.size(run.params.words, 0)
        for row in range(run.trainers_in_round):
            at = rows_at + Row.SIZE * row
            try:
                Row.unpack(call.report[at : at + Row.SIZE])
            except MalformedReport:
                raise reverted("MalformedRow", row) from None
        report_hash = Report.hash(call.report, run.params.words)
        opened = tr.commitment(self.chain_id, ROUNDS, run.number, run.round, account, report_hash, call.salt)
        if opened != run.messages[verifier]:
            raise reverted("RevealMismatch", run.messages[verifier], opened)

        def effect() -> None:
            run.messages[verifier] = report_hash
            folded = tr.revealed_row(verifier, call.salt, report_hash)
            run.transcript = tr.fold(run.transcript, tr.Kind.REVEALED, folded)
            self._emit(run, Revealed, verifier=verifier, salt=call.salt, report=call.report, transcript=run.transcript)
            self._acted(run, verifier)

        return effect

    def _poke(self, account: bytes, call: calls.Poke) -> Effect:
        run = self._any(call.run)
        if run is None or run.phase in (Phase.ENROL, Phase.ENDED):
            raise reverted("WrongPhase", call.run, Phase.TRAIN, run.phase if run else Phase.ENROL)
        if self.now_s < run.deadline_s:
            raise reverted("NotOverdue", run.deadline_s, self.now_s)

        def effect() -> None:
            if run.phase is Phase.TRAIN:
                is_void = run.transcript == run.opening
            elif run.phase is Phase.SETTLE:
                is_void = True
            else:
                is_void = run.acted.get(run.phase, 0) == 0
                self._take_attendance(run)
            if is_void:
                self._emit(run, Voided, round=run.round, phase=run.phase)
                self._open_round(run)
            else:
                self._next_phase(run)

        return effect


_RULES: dict[type[calls.Call], Callable[..., Effect]] = {
    calls.Open: Rules._open,
    calls.Fund: Rules._fund,
    calls.Cancel: Rules._cancel,
    calls.Refund: Rules._refund,
    calls.Claim: Rules._claim,
    calls.ClaimTo: Rules._claim_to,
    calls.ClaimMany: Rules._claim_many,
    calls.ClaimLeft: Rules._claim_left,
    calls.Join: Rules._join,
    calls.Rate: Rules._rate,
    calls.Exit: Rules._exit,
    calls.Withdraw: Rules._withdraw,
    calls.Burn: Rules._burn,
    calls.Submit: Rules._submit,
    calls.Close: Rules._close,
    calls.Hold: Rules._hold,
    calls.Commit: Rules._commit,
    calls.Reveal: Rules._reveal,
    calls.Poke: Rules._poke,
    calls.Bond: Rules._bond,
    calls.Unbond: Rules._unbond,
    calls.Pool: Rules._pool,
    calls.Settle: Rules._settle,
    calls.Propose: Rules._propose,
    calls.Challenge: Rules._challenge,
    calls.Hear: Rules._hear,
    calls.Refute: Rules._refute,
    calls.Finalise: Rules._finalise,
    calls.Expose: Rules._expose,
}


def _seal(root: bytes, token: bytes, mode: int = 0) -> bytes:
    """What stands for a root and its token; the last bit says whether settlements are proposed."""
    found = keccak256(root + token)
    return found[:31] + bytes([found[31] & ~1 | mode])
