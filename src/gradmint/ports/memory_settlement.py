"""Settling in memory: the contracts' guards around the specification's own re-execution."""

from __future__ import annotations

from collections.abc import Sequence

from ..spec import docket, mechanism
from ..spec import transcript as tr
from ..spec.docket import Books, Effects, Execution, Outcome, Proposal, Record, RosterRow, slice_hash
from ..spec.events import Challenged, Left, Proposed, Refuted, Settled
from ..spec.keccak import keccak256
from ..spec.params import Params
from ..spec.types import Phase, Report, Role, Standing
from . import chain as calls
from . import memory_slices as slices
from .chain import LiveChallenge, RecordSlot
from .memory_stakes import Stakes
from .memory_state import Effect, Run
from .reverts import reverted

NO_RECORD = RecordSlot(bytes(30), 0)


class Settlement(Stakes):
    """What Settlement does."""

    def _settle(self, account: bytes, call: calls.Settle) -> Effect:
        run = self.known(call.run)
        self._require_params(run, call.params)
        number = call.record.round
        if run.is_direct:
            self._during(call.run, Phase.SETTLE)
            if number != run.round:
                raise reverted("NotRecorded", run.number, number)
        else:
            if run.pending:
                raise reverted("StillPending", run.number, len(run.pending))
            self._require_next(run, number, run.settled)
        before = self._books(run.standings_hash, run.total_wei, call.roster, call.standings)
        execution = self._execute(run, call.record, before, call.rows, calls.Evidence(reports=call.reports))
        if run.is_direct and execution.outcome.cluster_mask == 0 and run.active != run.eligible:
            return lambda: self._expand(run)
        return lambda: self._apply(run, number, execution.outcome, execution.effects)

    def _hear(self, account: bytes, call: calls.Hear) -> Effect:
        run = self.known(call.run)
        self._require_params(run, call.params)
        record = call.record
        self._require_record(run, record)
        reports = self._heads(run.params, record, call.heads)
        consensus = slices.gather(run.params, record, reports)
        if consensus is None or call.chunk >= slices.slices_of(record):
            raise reverted("NoSuchSlice", run.number, record.round, call.chunk)
        if len(call.rows_of) != len(call.heads):
            raise reverted("ReportCount", len(call.heads), len(call.rows_of))
        at = Report.size(run.params.words, 0) + 32 * call.chunk
        revealed = [verifier for verifier, report in enumerate(reports) if report]
        for place, (verifier, head, rows) in enumerate(zip(revealed, call.heads, call.rows_of, strict=True)):
            if verifier in consensus.cluster and keccak256(rows) != head[at : at + 32]:
                raise reverted("ReportMismatch", place, head[at : at + 32], keccak256(rows))
        agreed, sums = slices.hear(run.params, record, slices.with_rows(record, reports, call.chunk, call.rows_of))
        hashed = slice_hash(b"".join(row.pack() for row in agreed), sums)

        def effect() -> None:
            run.heard[record.round, call.chunk] = (hashed, call.rows_of)

        return effect

    def _propose(self, account: bytes, call: calls.Propose) -> Effect:
        run = self._proposing(call.run)
        if call.round not in run.records:
            raise reverted("NotRecorded", run.number, call.round)
        self._require_next(run, call.round, run.proposed)
        if len(run.pending) == docket.MAX_PENDING:
            raise reverted("TooManyPending", run.number)
        self._require_free(run, account, run.params.proposal_bond_wei)

        def effect() -> None:
            final_s = self.now_s + run.params.challenge_s
            run.pending.append(Proposal(round=call.round, proposer=account, final_s=final_s, outcome=call.outcome))
            self._emit(run, Proposed, round=call.round, proposer=account, final_s=final_s, outcome=call.outcome)
            self._lock(run, account)

        return effect

    def _challenge(self, account: bytes, call: calls.Challenge) -> Effect:
        run = self._proposing(call.run)
        if call.round not in run.records or not run.settled < call.round <= run.proposed:
            raise reverted("NotPending", run.number, call.round)
        if run.challenge is not None:
            raise reverted("AlreadyChallenged", run.number, run.challenge.round)
        self._require_free(run, account, run.params.proposal_bond_wei)

        def effect() -> None:
            run.challenge = LiveChallenge(account, call.round, self.now_s + run.params.extension_s)
            self._emit(run, Challenged, round=call.round, challenger=account, until_s=run.challenge.until_s)
            self._lock(run, account)

        return effect

    def _refute(self, account: bytes, call: calls.Refute) -> Effect:
        run = self.known(call.run)
        self._require_params(run, call.params)
        self._require_pending(run, call.pending)
        number = call.record.round
        if call.place >= len(run.pending) or run.pending[call.place].round != number:
            raise reverted("NotPending", run.number, number)
        false, expected, total_wei = run.pending[call.place], run.standings_hash, run.total_wei
        if call.place:
            stated = run.pending[call.place - 1].outcome
            expected, total_wei = stated.standings_hash, stated.total_wei
        before = self._books(expected, total_wei, call.roster, call.standings)
        execution = self._execute(run, call.record, before, call.rows, call.evidence)
        if execution.outcome == false.outcome:
            raise reverted("NotRefuted", run.number, number)

        def effect() -> None:
            later = run.pending[call.place + 1 :]
            del run.pending[call.place :]
            challenge, beneficiary = run.challenge, account
            if challenge is not None and challenge.round == number and self.now_s < challenge.until_s:
                beneficiary = challenge.challenger
            self._emit(run, Refuted, round=number, proposer=false.proposer, challenger=beneficiary)
            if challenge is not None and challenge.round >= number:
                run.challenge = None
                self._unlock(run, challenge.challenger)
            for proposal in later:
                self._unlock(run, proposal.proposer)
            self._forfeit(run, false.proposer, beneficiary)

        return effect

    def _finalise(self, account: bytes, call: calls.Finalise) -> Effect:
        run = self._proposing(call.run)
        self._require_pending(run, call.pending)
        if not run.pending:
            raise reverted("NotPending", run.number, 0)
        first, outcome = run.pending[0], run.pending[0].outcome
        lapsed = run.challenge if run.challenge and run.challenge.round == first.round else None
        final_s = max(first.final_s, lapsed.until_s) if lapsed else first.final_s
        if self.now_s < final_s:
            raise reverted("NotFinal", first.round, final_s, self.now_s)
        if call.effects.hash() != outcome.effects_hash:
            raise reverted("EffectsMismatch", outcome.effects_hash, call.effects.hash())
        if outcome.total_wei < run.total_wei:
            raise reverted("TotalShrank", run.total_wei, outcome.total_wei)
        if outcome.total_wei > run.deposited_wei:
            raise reverted("Insolvent", outcome.total_wei, run.deposited_wei)

        def effect() -> None:
            del run.pending[0]
            self._apply(run, first.round, outcome, call.effects)
            self._unlock(run, first.proposer)
            if lapsed is not None:
                run.challenge = None
                self._forfeit(run, lapsed.challenger, first.proposer)

        return effect

    # Guards

    def _proposing(self, number: int) -> Run:
        run = self._any(number)
        if run is None or run.is_direct:
            raise reverted("NotProposing", number)
        return run

    def _require_params(self, run: Run, params: Params) -> None:
        expected, found = keccak256(run.params.encode()), keccak256(params.encode())
        if found != expected:
            raise reverted("ParamsMismatch", expected, found)

    def _require_record(self, run: Run, record: Record) -> None:
        expected = run.records.get(record.round, NO_RECORD).hash
        if record.hash() != expected:
            raise reverted("RecordMismatch", run.number, record.round, expected, record.hash())

    def _require_next(self, run: Run, number: int, expected: int) -> None:
        previous = run.records.get(number, NO_RECORD).previous
        if previous != expected:
            raise reverted("NotNext", run.number, number, previous, expected)

    def _require_pending(self, run: Run, pending: Sequence[Proposal]) -> None:
        found = docket.tip(pending)
        if found != run.tip:
            raise reverted("PendingMismatch", run.tip, found)

    def _books(self, expected: bytes, total_wei: int, roster: bytes, standings: Sequence[Standing]) -> Books:
        """The state before, when it is the one that the chain remembers."""
        trainers = tuple(standing for standing in standings if standing.role is Role.TRAINER)
        found = keccak256(roster + b"".join(standing.pack() for standing in standings))
        if found != expected:
            raise reverted("StandingsMismatch", expected, found)
        return Books(roster, total_wei, trainers, tuple(standings[len(trainers) :]))

    def _execute(
        self, run: Run, record: Record, before: Books, rows: Sequence[RosterRow], evidence: calls.Evidence
    ) -> Execution:
        self._require_record(run, record)
        if evidence.heads:
            reports = self._recall(run, record, evidence)
        else:
            reports = self._reports(run.params, record, evidence.reports)
        roster = before.roster
        for row in rows:
            roster = tr.fold(roster, row.kind, row.row())
        if roster != record.roster:
            raise reverted("RosterMismatch", record.roster, roster)
        return docket.execute(run.params, record, before, rows, reports)

    def _reports(self, params: Params, record: Record, packed: Sequence[bytes]) -> list[Report | None]:
        """Lengths and rows were checked at the reveal; the hash says that these are the same bytes."""
        self._require_hashes(record.reports, [Report.hash(report, params.words) for report in packed])
        return slices.spread(record, [Report.unpack(report, params.words, record.trainers) for report in packed])

    def _require_hashes(self, expected: Sequence[bytes], found: Sequence[bytes]) -> None:
        if len(found) != len(expected):
            raise reverted("ReportCount", len(expected), len(found))
        for place, (known, brought) in enumerate(zip(expected, found, strict=True)):
            if brought != known:
                raise reverted("ReportMismatch", place, known, brought)

    def _recall(self, run: Run, record: Record, evidence: calls.Evidence) -> list[Report | None]:
        """Puts together what was heard of this round."""
        reports = self._heads(run.params, record, evidence.heads)
        count = slices.slices_of(record)
        if slices.gather(run.params, record, reports) is None:
            unheard: list[bytes] = [b""] * len(evidence.heads)
            for chunk in range(count):
                reports = slices.with_rows(record, reports, chunk, unheard)
            return reports
        if (len(evidence.rows), len(evidence.sums)) != (count, count):
            raise reverted("SliceCount", count, len(evidence.rows))
        for chunk, (rows, sums) in enumerate(zip(evidence.rows, evidence.sums, strict=True)):
            found = slice_hash(rows, sums)
            expected, rows_of = run.heard.get((record.round, chunk), (bytes(32), ()))
            if found != expected:
                raise reverted("SliceMismatch", chunk, expected, found)
            reports = slices.with_rows(record, reports, chunk, rows_of)
        return reports

    def _heads(self, params: Params, record: Record, heads: Sequence[bytes]) -> list[Report | None]:
        self._require_hashes(record.reports, [keccak256(head) for head in heads])
        return slices.parse_heads(record, heads, params.words)

    # What an outcome does

    def _apply(self, run: Run, round_: int, outcome: Outcome, effects: Effects) -> None:
        run.root, run.total_wei = outcome.root, outcome.total_wei
        run.standings_hash = outcome.standings_hash
        run.settled, run.weakest = round_, outcome.weakest
        row = tr.settled_row(round_, outcome.pack())
        before = run.transcript if run.is_direct else run.settlements
        transcript = tr.fold(before, tr.Kind.SETTLED, row)
        if run.is_direct:
            run.transcript = transcript
        else:
            run.settlements = transcript
        self._emit(run, Settled, round=round_, outcome=outcome, transcript=transcript)
        for leaver, cumulative_wei in effects.left:
            run.left_wei[leaver] = cumulative_wei
            self._emit(run, Left, account=leaver, cumulative_wei=cumulative_wei)
        for loser, amount_wei in effects.slashed:
            self._slash(run, loser, amount_wei)
        self._await_trainers(run, round_, effects)
        for loser, _ in effects.slashed:
            if mechanism.is_ejected(run.stakes_wei[loser], run.params.verifier_stake_wei):
                self._retire(run, loser)
        self._go_on(run, outcome)

    def _await_trainers(self, run: Run, round_: int, effects: Effects) -> None:
        """Who joined since stays awaited, the retired never are."""
        for index in range(min(len(run.trainers), 256 * len(effects.awaited))):
            seat = run.seats[run.trainers[index]]
            if seat.since_round <= round_ and not seat.retired:
                bit = 1 << index
                run.awaited_trainers = run.awaited_trainers & ~bit | (bit if effects.awaits(index) else 0)

    def _go_on(self, run: Run, outcome: Outcome) -> None:
        target = run.params.target_loss_micronats
        reached = outcome.cluster_mask != 0 and target != 0 and outcome.loss_micronats <= target
        if run.is_direct and not reached:
            self._open_round(run)
        elif reached and run.phase is not Phase.ENDED:
            self._open_phase(run, Phase.ENDED)
