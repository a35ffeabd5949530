"""Exposures in memory: the contract's guards around the specification of planted updates."""

from __future__ import annotations

from hashlib import sha256

from ..spec import mechanism, plant
from ..spec.docket import Record
from ..spec.events import Exposed, Seized
from ..spec.keccak import keccak256
from ..spec.params import Params
from ..spec.plant import Exposure
from ..spec.seeds import assigned_trainers
from ..spec.types import CHUNK_ROWS, Report, Row, Verdict
from . import chain as calls
from .memory_settlement import Settlement
from .memory_slices import spread
from .memory_state import Effect, Run
from .reverts import reverted


class Exposures(Settlement):
    """What Stakes does about planted updates."""

    def _expose(self, account: bytes, call: calls.Expose) -> Effect:
        run = self.known(call.run)
        params, record, exposure = call.params, call.record, call.exposure
        self._require_params(run, params)
        self._require_record(run, record)
        number, trainer = record.round, exposure.trainer
        if (number, trainer) in run.exposed:
            raise reverted("AlreadyExposed", run.number, number, trainer)
        _require_planted(params, record, exposure, account)
        holders = run.verifiers[: record.verifiers]
        guilty = {
            v: holders[v] for v in _guilty(params, record, exposure) if run.seats[holders[v]].since_round <= number
        }
        if not guilty:
            raise reverted("NobodyGuilty", run.number, number, trainer)

        def effect() -> None:
            run.exposed.add((number, trainer))
            self._emit(
                run,
                Exposed,
                round=number,
                trainer=trainer,
                exposer=account,
                secret=exposure.secret,
                guilty=sum(1 << v for v in guilty),
            )
            for v, loser in guilty.items():
                self._seize(run, loser, account, record.stakes_wei[v])

        return effect

    def _seize(self, run: Run, account: bytes, beneficiary: bytes, recorded_wei: int) -> None:
        params = run.params
        taken_wei = plant.seized_wei(params, recorded_wei, run.stakes_wei[account])
        run.stakes_wei[account] -= taken_wei
        self._share_out(run, Seized, account, beneficiary, taken_wei)
        if mechanism.is_ejected(run.stakes_wei[account], params.verifier_stake_wei):
            self._retire(run, account)


def _require_planted(params: Params, record: Record, exposure: Exposure, account: bytes) -> None:
    trainer = exposure.trainer
    try:
        said = plant.replay(record.round, record.trainers, exposure.before, exposure.rows, trainer)
    except ValueError as error:
        raise reverted("RoundRows", error.args[0]) from None
    if said.transcript != record.transcript:
        raise reverted("TranscriptMismatch", record.transcript, said.transcript)
    digest = sha256(exposure.blob).digest()
    if digest != said.digest:
        raise reverted("BlobMismatch", said.digest or bytes(32), digest)
    if not plant.is_planted(exposure.blob, account, exposure.secret, params.words):
        raise reverted("NotPlanted", account, exposure.secret)
    if trainer not in assigned_trainers(said.beacon, params.assigned_trainers, record.trainers):
        raise reverted("NotAssigned", record.round, trainer)


def _guilty(params: Params, record: Record, exposure: Exposure) -> list[int]:
    """Indices of the accused whose row calls the update OK; who has nothing at stake is left out."""
    reports, chunk = len(record.reports), exposure.trainer // CHUNK_ROWS
    if len(exposure.heads) != reports or len(exposure.rows_of) != reports:
        raise reverted("ReportCount", reports, len(exposure.heads))
    hash_at, row_at = Report.size(params.words, 0) + 32 * chunk, Row.SIZE * (exposure.trainer % CHUNK_ROWS)
    guilty = []
    places = spread(record, range(reports))
    for v, place in enumerate(places):
        if place is None or not exposure.heads[place]:
            continue
        head, rows = exposure.heads[place], exposure.rows_of[place]
        for expected, found in (
            (record.reports[place], keccak256(head)),
            (head[hash_at : hash_at + 32], keccak256(rows)),
        ):
            if found != expected:
                raise reverted("ReportMismatch", place, expected, found)
        if rows[row_at] == Verdict.OK and record.stakes_wei[v]:
            guilty.append(v)
    return guilty
