"""Seats, stakes and bonds in memory: what Stakes does, and what Rounds does when somebody comes or goes."""

from __future__ import annotations

from ..spec import docket, registration
from ..spec import transcript as tr
from ..spec.events import (
    Admitted,
    Bonded,
    Burned,
    Exiting,
    Forfeited,
    Funded,
    Joined,
    Pooled,
    Rated,
    Seized,
    Slashed,
    Unbonded,
    Withdrawn,
)
from ..spec.types import Phase, Role
from . import chain as calls
from .chain import BondAccount
from .memory_state import DEAD, RUNS, STAKES, Effect, Run, Seat, State
from .reverts import reverted


class Stakes(State):
    """Join, leave, be slashed; and the bonds of who proposes and challenges."""

    def price_wei(self, run: Run) -> int:
        params, elapsed_s = run.params, self.now_s - run.priced_s
        return registration.price_wei(run.last_price_wei, elapsed_s, params.join_half_life_s, params.join_price_wei)

    def _join(self, account: bytes, call: calls.Join) -> Effect:
        if call.role not in (Role.TRAINER, Role.VERIFIER):
            raise reverted("UnknownRole", int(call.role))
        run = self.known(call.run)
        params = run.params
        full_wei = params.trainer_stake_wei if call.role is Role.TRAINER else params.verifier_stake_wei
        required_wei = registration.discounted_wei(full_wei, self.rating_of(account), params.discount_bps)
        price_wei = self.price_wei(run)
        if price_wei > call.max_price_wei:
            raise reverted("PriceAboveLimit", price_wei, call.max_price_wei)
        self._require_balance(run.token, account, call.stake_wei + price_wei, "stake with its price")
        if call.stake_wei < required_wei:
            raise reverted("StakeTooSmall", call.stake_wei, required_wei)
        index, leaver = self._choose_seat(run, account, call.role)

        def effect() -> None:
            self._move(run.token, account, STAKES, call.stake_wei + price_wei)
            run.burnable_wei += price_wei
            if run.phase is not Phase.ENROL:
                run.last_price_wei = registration.next_price_wei(price_wei, params.join_bump_bps)
                run.priced_s = self.now_s
            if leaver is not None:
                self._retire(run, leaver)
            self._admit(run, account, call.role, index, call.stake_wei)
            if leaver is not None:
                self._release(run, leaver)
            self._emit(
                run,
                Joined,
                account=account,
                role=call.role,
                index=index,
                stake_wei=call.stake_wei,
                price_wei=price_wei,
            )

        return effect

    def _choose_seat(self, run: Run, account: bytes, role: Role) -> tuple[int, bytes | None]:
        """The index that a newcomer is given, and whom it pushes out."""
        if run.phase is Phase.ENDED:
            raise reverted("WrongPhase", run.number, Phase.ENROL, run.phase)
        if account in run.seats:
            raise reverted("AlreadySeated", run.number, account)
        is_trainer = role is Role.TRAINER
        holders = run.trainers if is_trainer else run.verifiers
        limit = run.params.max_trainers if is_trainer else run.params.max_verifiers
        if len(holders) < limit:
            return len(holders), None
        free = run.gone_trainers if is_trainer else run.gone & ~run.eligible
        if free:
            return (free & -free).bit_length() - 1, None
        if is_trainer and run.weakest < len(holders):
            weakest = run.seats[holders[run.weakest]]
            if not weakest.retired and weakest.since_round <= run.settled:
                return run.weakest, holders[run.weakest]
        raise reverted("Full", run.number, role, limit)

    def _admit(self, run: Run, account: bytes, role: Role, index: int, stake_wei: int) -> None:
        run.stakes_wei[account] = stake_wei
        run.seats[account] = Seat(role, index, run.round + 1)
        holders = run.trainers if role is Role.TRAINER else run.verifiers
        holders[index : index + 1] = [account]
        if role is Role.TRAINER:
            run.gone_trainers &= ~(1 << index)
            run.joined_trainers |= 1 << index
        else:
            run.gone &= ~(1 << index)
            run.joined |= 1 << index
        row = tr.admitted_row(role, index, account, stake_wei)
        run.roster = tr.fold(run.roster, tr.Kind.ADMITTED, row)
        self._emit(run, Admitted, role=role, index=index, account=account, stake_wei=stake_wei, transcript=run.roster)
        trainers = len(run.trainers) - run.gone_trainers.bit_count()
        verifiers = len(run.verifiers) - run.gone.bit_count()
        params = run.params
        if run.phase is Phase.ENROL and trainers >= params.min_trainers and verifiers >= params.min_verifiers:
            self._open_round(run)

    def _rate(self, _sender: bytes, call: calls.Rate) -> Effect:
        run = self._any(call.run)
        seat = run.seats.get(call.account) if run else None
        if run is None or seat is None or seat.retired:
            raise reverted("NotSeated", call.run, call.account, seat.role if seat else 0)
        rating_q32 = self.rating_of(call.account)
        if rating_q32 == seat.rating_q32:
            raise reverted("RatingUnchanged", call.run, call.account, rating_q32)

        def effect() -> None:
            seat.rating_q32 = rating_q32
            row = tr.rated_row(seat.role, seat.index, rating_q32)
            run.roster = tr.fold(run.roster, tr.Kind.RATED, row)
            values = {"role": seat.role, "index": seat.index, "rating_q32": rating_q32}
            self._emit(run, Rated, **values, transcript=run.roster)

        return effect

    def _exit(self, account: bytes, call: calls.Exit) -> Effect:
        run = self.known(call.run)
        if account not in run.seats:
            raise reverted("NoStake", run.number, account)
        if account in run.release_s:
            raise reverted("AlreadyExiting", run.number, account, run.release_s[account])

        def effect() -> None:
            self._release(run, account)
            self._retire(run, account)

        return effect

    def _release(self, run: Run, account: bytes) -> None:
        run.release_s[account] = self.now_s + run.params.exit_s
        run.until_round[account] = run.round
        self._emit(run, Exiting, account=account, withdrawable_s=run.release_s[account])

    def _withdraw(self, account: bytes, call: calls.Withdraw) -> Effect:
        run = self._any(call.run)
        amount_wei = run.stakes_wei.get(account, 0) if run else 0
        if run is None or amount_wei == 0:
            raise reverted("NoStake", call.run, account)
        if run.phase is not Phase.ENDED or not run.is_caught_up:
            if account not in run.release_s:
                raise reverted("NotExiting", run.number, account)
            if self.now_s < run.release_s[account]:
                raise reverted("StillLocked", run.release_s[account], self.now_s)
            seat = run.holds(account, Role.VERIFIER)
            if run.phase is not Phase.ENDED and seat is not None and run.eligible >> seat.index & 1:
                raise reverted("StillOnDuty", run.number, account)
            if run.settled < run.until_round[account] and not run.is_caught_up:
                raise reverted("NotFinalYet", run.number, run.until_round[account], run.settled)

        def effect() -> None:
            run.stakes_wei[account] = 0
            self._emit(run, Withdrawn, account=account, amount_wei=amount_wei)
            self._move(run.token, STAKES, account, amount_wei)

        return effect

    def _slash(self, run: Run, account: bytes, amount_wei: int) -> None:
        taken_wei = min(amount_wei, run.stakes_wei[account])
        run.stakes_wei[account] -= taken_wei
        run.burnable_wei += taken_wei
        self._emit(run, Slashed, account=account, amount_wei=taken_wei)

    def _burn(self, account: bytes, call: calls.Burn) -> Effect:
        run = self._any(call.run)
        if run is None or run.burnable_wei == 0:
            raise reverted("NothingToBurn", call.run)

        def effect() -> None:
            amount_wei, run.burnable_wei = run.burnable_wei, 0
            self._emit(run, Burned, amount_wei=amount_wei)
            self._move(run.token, STAKES, DEAD, amount_wei)

        return effect

    # Bonds

    def _bond(self, account: bytes, call: calls.Bond) -> Effect:
        run = self.known(call.run)
        self._require_balance(run.token, account, call.amount_wei, "bond")

        def effect() -> None:
            self._move(run.token, account, STAKES, call.amount_wei)
            self._change_bond(run, account, call.amount_wei)
            self._emit(run, Bonded, account=account, amount_wei=call.amount_wei)

        return effect

    def _unbond(self, account: bytes, call: calls.Unbond) -> Effect:
        run = self.known(call.run)
        self._require_free(run, account, call.amount_wei)

        def effect() -> None:
            self._change_bond(run, account, -call.amount_wei)
            self._emit(run, Unbonded, account=account, amount_wei=call.amount_wei)
            self._move(run.token, STAKES, account, call.amount_wei)

        return effect

    def _pool(self, account: bytes, call: calls.Pool) -> Effect:
        run = self._any(call.run)
        if run is None or run.poolable_wei == 0:
            raise reverted("NothingToPool", call.run)

        def effect() -> None:
            amount_wei, run.poolable_wei = run.poolable_wei, 0
            self._emit(run, Pooled, amount_wei=amount_wei)
            if run.phase is Phase.ENDED:
                self._move(run.token, STAKES, DEAD, amount_wei)
                return
            self._move(run.token, STAKES, RUNS, amount_wei)
            run.deposited_wei += amount_wei
            self._emit(run, Funded, funder=STAKES, amount_wei=amount_wei)

        return effect

    def _require_free(self, run: Run, account: bytes, amount_wei: int) -> None:
        bond = run.bond_of(account)
        free_wei = bond.amount_wei - bond.locked_wei
        if free_wei < amount_wei:
            raise reverted("BondTooSmall", run.number, account, free_wei, amount_wei)

    def _change_bond(self, run: Run, account: bytes, amount_wei: int = 0, locked_wei: int = 0) -> None:
        bond = run.bond_of(account)
        run.bonds[account] = BondAccount(bond.amount_wei + amount_wei, bond.locked_wei + locked_wei)

    def _lock(self, run: Run, account: bytes) -> None:
        self._change_bond(run, account, locked_wei=run.params.proposal_bond_wei)

    def _unlock(self, run: Run, account: bytes) -> None:
        self._change_bond(run, account, locked_wei=-run.params.proposal_bond_wei)

    def _forfeit(self, run: Run, account: bytes, beneficiary: bytes) -> None:
        bond_wei = run.params.proposal_bond_wei
        self._change_bond(run, account, amount_wei=-bond_wei, locked_wei=-bond_wei)
        self._share_out(run, Forfeited, account, beneficiary, bond_wei)

    def _share_out(
        self, run: Run, event: type[Forfeited | Seized], account: bytes, beneficiary: bytes, amount_wei: int
    ) -> None:
        """Of what the account lost."""
        params = run.params
        reward_wei, burn_wei, pool_wei = docket.split_bond(amount_wei, params.challenger_bps, params.burn_bps)
        self._change_bond(run, beneficiary, amount_wei=reward_wei)
        run.burnable_wei += burn_wei
        run.poolable_wei += pool_wei
        self._emit(
            run,
            event,
            account=account,
            beneficiary=beneficiary,
            reward_wei=reward_wei,
            burn_wei=burn_wei,
            pool_wei=pool_wei,
        )
