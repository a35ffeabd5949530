"""Settling in memory: the contracts' guards around the specification's own mechanism."""

from __future__ import annotations

from collections.abc import Sequence

from ..spec import mechanism, tree
from ..spec import transcript as tr
from ..spec.events import Settled, Slashed
from ..spec.keccak import keccak256
from ..spec.types import Phase, Report, Role, Standing
from . import chain as calls
from .memory_state import Effect, Run, State, below
from .reverts import reverted


class Settlement(State):
    """What Settlement.sol does."""

    def settle(self, account: bytes, call: calls.Settle) -> Effect:
        run = self._during(call.run, Phase.SETTLE)
        params_hash = keccak256(call.params.encode())
        if params_hash != keccak256(run.params.encode()):
            raise reverted("ParamsMismatch", keccak256(run.params.encode()), params_hash)
        packed_hash = keccak256(b"".join(standing.pack() for standing in call.standings))
        if packed_hash != run.standings_hash:
            raise reverted("StandingsMismatch", run.standings_hash, packed_hash)
        mask = run.acted.get(Phase.REVEAL, 0)
        revealed = [verifier for verifier in range(run.verifiers_in_round) if mask >> verifier & 1]
        reports: list[Report | None] = [None] * run.verifiers_in_round
        for verifier, packed in zip(revealed, call.reports, strict=False):
            if keccak256(packed) != run.messages[verifier]:
                raise reverted("ReportMismatch", verifier, run.messages[verifier], keccak256(packed))
            reports[verifier] = Report.unpack(packed, run.params.words, run.trainers_in_round)
        if len(call.reports) != len(revealed):
            raise reverted("ReportCount", len(revealed), len(call.reports))

        trainers = _with_newcomers(call.standings, Role.TRAINER, run.trainers[: run.trainers_in_round])
        verifiers = _with_newcomers(call.standings, Role.VERIFIER, run.verifiers[: run.verifiers_in_round])
        stakes_wei = [
            run.stakes_wei[account] if run.active >> v & 1 else 0
            for v, account in enumerate(run.verifiers[: run.verifiers_in_round])
        ]
        return lambda: self._conclude(run, trainers, verifiers, stakes_wei, reports)

    def _conclude(
        self,
        run: Run,
        trainers: Sequence[Standing],
        verifiers: Sequence[Standing],
        stakes_wei: Sequence[int],
        reports: Sequence[Report | None],
    ) -> None:
        params = run.params
        unpaid_wei = run.deposited_wei - run.total_wei
        budget_wei = mechanism.round_budget_wei(unpaid_wei, run.round, params.max_rounds)
        settled = mechanism.settle(params, budget_wei, trainers, verifiers, stakes_wei, reports)
        standings = settled.trainers + settled.verifiers
        run.root = tree.root(standings).hash
        run.total_wei += settled.paid_wei
        run.standings_hash = keccak256(b"".join(standing.pack() for standing in standings))

        consensus = settled.consensus
        loss_micronats = consensus.loss_micronats if consensus else 0
        cluster_mask = sum(1 << v for v in consensus.cluster) if consensus else 0
        row = tr.settled_row(run.round, run.root, run.total_wei, run.standings_hash, loss_micronats, cluster_mask)
        run.transcript = tr.fold(run.transcript, tr.Kind.SETTLED, row)
        self._emit(
            run,
            Settled,
            round=run.round,
            root=run.root,
            total_wei=run.total_wei,
            paid_wei=settled.paid_wei,
            standings_hash=run.standings_hash,
            loss_micronats=loss_micronats,
            cluster_mask=cluster_mask,
            transcript=run.transcript,
        )
        ejected = []
        for verifier, amount_wei in enumerate(settled.slashed_wei):
            account = run.verifiers[verifier]
            if amount_wei:
                run.stakes_wei[account] -= amount_wei
                run.burnable_wei += amount_wei
                self._emit(run, Slashed, account=account, amount_wei=amount_wei)
                if mechanism.is_ejected(run.stakes_wei[account], params.verifier_stake_wei):
                    ejected.append(account)
        if consensus:
            in_round = below(run.trainers_in_round)
            present = sum(1 << i for i, standing in enumerate(settled.trainers) if standing.misses < 2)
            run.awaited_trainers = (run.awaited_trainers & ~in_round) | (present & ~run.gone_trainers)
        for account in ejected:
            self._retire(run, account)
        if consensus and params.target_loss_micronats and loss_micronats <= params.target_loss_micronats:
            self._open_phase(run, Phase.ENDED)
        else:
            self._open_round(run)


def _with_newcomers(standings: Sequence[Standing], role: Role, accounts: Sequence[bytes]) -> list[Standing]:
    known = [standing for standing in standings if standing.role is role]
    return known + [Standing(account=account, role=role) for account in accounts[len(known) :]]
