"""The four contracts' rules over plain Python objects: what :mod:`memory_chain` executes.

Each rule checks its guards, in the contracts' order, and returns the effect as a function: nothing is half done when a
guard refuses, and a call can be tried without doing it. Names of errors and their operands are the contracts'.
"""

from __future__ import annotations

from collections.abc import Callable

from ..spec import transcript as tr
from ..spec import tree
from ..spec.errors import MalformedReport, NotAToken
from ..spec.events import (
    Admitted,
    Burned,
    Claimed,
    Committed,
    Exiting,
    Funded,
    Held,
    Opened,
    Refunded,
    Revealed,
    Submitted,
    Voided,
    Withdrawn,
)
from ..spec.keccak import keccak256
from ..spec.types import Phase, Report, Role, Row
from . import chain as calls
from .memory_settlement import Settlement
from .memory_state import DEAD, ROUNDS, RUNS, STAKES, Effect, Run, Seat, below
from .reverts import reverted


class Rules(Settlement):
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
        if run.refunded:
            raise reverted("AlreadyRefunded", run.number)
        amount_wei = run.deposited_wei - run.total_wei

        def effect() -> None:
            run.refunded, run.refunded_wei = True, amount_wei
            self._emit(run, Refunded, sponsor=run.sponsor, amount_wei=amount_wei)
            self._move(run.token, RUNS, run.sponsor, amount_wei)

        return effect

    def _claim(self, account: bytes, call: calls.Claim) -> Effect:
        run = self.known(call.run)
        reached = tree.climb(call.standing, call.proof).hash
        if reached != run.root:
            seal = bytes(32) if run.root == bytes(32) else keccak256(run.root + run.token)
            raise reverted("SealMismatch", seal, keccak256(reached + run.token), reached)
        payee, cumulative_wei = call.standing.account, call.standing.paid_wei
        paid_wei = run.claimed_wei.get(payee, 0)
        if cumulative_wei <= paid_wei:
            raise reverted("NothingToClaim", run.number, payee, paid_wei)

        def effect() -> None:
            run.claimed_wei[payee] = cumulative_wei
            amount_wei = cumulative_wei - paid_wei
            self._emit(run, Claimed, account=payee, amount_wei=amount_wei, cumulative_wei=cumulative_wei)
            self._move(run.token, RUNS, payee, amount_wei)

        return effect

    # Stakes

    def _join(self, account: bytes, call: calls.Join) -> Effect:
        if call.role not in (Role.TRAINER, Role.VERIFIER):
            raise reverted("UnknownRole", int(call.role))
        run = self.known(call.run)
        params, is_trainer = run.params, call.role is Role.TRAINER
        required_wei = params.trainer_stake_wei if is_trainer else params.verifier_stake_wei
        self._require_balance(run.token, account, call.stake_wei, "stake")
        if call.stake_wei < required_wei:
            raise reverted("StakeTooSmall", call.stake_wei, required_wei)
        if run.phase is Phase.ENDED:
            raise reverted("WrongPhase", run.number, Phase.ENROL, run.phase)
        if account in run.seats:
            raise reverted("AlreadySeated", run.number, account)
        accounts = run.trainers if is_trainer else run.verifiers
        limit = params.max_trainers if is_trainer else params.max_verifiers
        if len(accounts) >= limit:
            raise reverted("Full", run.number, call.role, limit)

        def effect() -> None:
            index = len(accounts)
            self._move(run.token, account, STAKES, call.stake_wei)
            run.stakes_wei[account] = call.stake_wei
            accounts.append(account)
            run.seats[account] = Seat(call.role, index, run.round + 1)
            if is_trainer:
                run.awaited_trainers |= 1 << index
            row = tr.admitted_row(call.role, index, account, call.stake_wei)
            run.roster = tr.fold(run.roster, tr.Kind.ADMITTED, row)
            self._emit(
                run,
                Admitted,
                role=call.role,
                index=index,
                account=account,
                stake_wei=call.stake_wei,
                transcript=run.roster,
            )
            trainers = len(run.trainers) - run.gone_trainers.bit_count()
            verifiers = len(run.verifiers) - run.gone.bit_count()
            if run.phase is Phase.ENROL and trainers >= params.min_trainers and verifiers >= params.min_verifiers:
                self._open_round(run)

        return effect

    def _exit(self, account: bytes, call: calls.Exit) -> Effect:
        run = self.known(call.run)
        if account not in run.seats:
            raise reverted("NoStake", run.number, account)
        if account in run.release_s:
            raise reverted("AlreadyExiting", run.number, account, run.release_s[account])

        def effect() -> None:
            run.release_s[account] = self.now_s + run.params.exit_s
            self._emit(run, Exiting, account=account, withdrawable_s=run.release_s[account])
            self._retire(run, account)

        return effect

    def _withdraw(self, account: bytes, call: calls.Withdraw) -> Effect:
        run = self._any(call.run)
        amount_wei = run.stakes_wei.get(account, 0) if run else 0
        if run is None or amount_wei == 0:
            raise reverted("NoStake", call.run, account)
        if run.phase is not Phase.ENDED:
            if account not in run.release_s:
                raise reverted("NotExiting", run.number, account)
            if self.now_s < run.release_s[account]:
                raise reverted("StillLocked", run.release_s[account], self.now_s)
            seat = run.seats[account]
            if seat.role is Role.VERIFIER and run.active >> seat.index & 1:
                raise reverted("StillOnDuty", run.number, account)

        def effect() -> None:
            run.stakes_wei[account] = 0
            self._emit(run, Withdrawn, account=account, amount_wei=amount_wei)
            self._move(run.token, STAKES, account, amount_wei)

        return effect

    def _burn(self, account: bytes, call: calls.Burn) -> Effect:
        run = self._any(call.run)
        if run is None or run.burnable_wei == 0:
            raise reverted("NothingToBurn", call.run)

        def effect() -> None:
            amount_wei, run.burnable_wei = run.burnable_wei, 0
            self._emit(run, Burned, amount_wei=amount_wei)
            self._move(run.token, STAKES, DEAD, amount_wei)

        return effect

    # Rounds

    def _submit(self, account: bytes, call: calls.Submit) -> Effect:
        run = self._during(call.run, Phase.TRAIN)
        seat = run.seats.get(account)
        if seat is None or seat.role is not Role.TRAINER or seat.retired:
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
        opened = tr.commitment(self.chain_id, ROUNDS, run.number, run.round, account, call.report, call.salt)
        if opened != run.messages[verifier]:
            raise reverted("RevealMismatch", run.messages[verifier], opened)
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

        def effect() -> None:
            run.messages[verifier] = keccak256(call.report)
            folded = tr.revealed_row(verifier, call.salt, call.report)
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
                self._open_phase(run, Phase(run.phase + 1))

        return effect


_RULES: dict[type[calls.Call], Callable[..., Effect]] = {
    calls.Open: Rules._open,
    calls.Fund: Rules._fund,
    calls.Cancel: Rules._cancel,
    calls.Refund: Rules._refund,
    calls.Claim: Rules._claim,
    calls.Join: Rules._join,
    calls.Exit: Rules._exit,
    calls.Withdraw: Rules._withdraw,
    calls.Burn: Rules._burn,
    calls.Submit: Rules._submit,
    calls.Close: Rules._close,
    calls.Hold: Rules._hold,
    calls.Commit: Rules._commit,
    calls.Reveal: Rules._reveal,
    calls.Poke: Rules._poke,
    calls.Settle: Rules.settle,
}
