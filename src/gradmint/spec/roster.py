"""Who sits where, folded from the roster's rows: joins, exits and ratings."""

from __future__ import annotations

from . import transcript as tr
from .docket import RosterRow
from .round import Seat
from .transcript import Kind
from .types import Role


class Roster:
    """``seats`` per role, current holders; ``former`` holders of seats that were given again; all ``rows``."""

    def __init__(self) -> None:
        self.seats: dict[Role, list[Seat]] = {Role.TRAINER: [], Role.VERIFIER: []}
        self.former: list[Seat] = []
        self.rows: list[RosterRow] = []
        self.transcript = tr.EMPTY
        self._marks: dict[bytes, int] = {tr.EMPTY: 0}  # transcript -> rows folded into it

    def after(self, row: RosterRow) -> bytes:
        """The transcript with this row behind the others."""
        return tr.fold(self.transcript, row.kind, row.row())

    def add(self, row: RosterRow, since_round: int) -> None:
        """``since_round``: the first round in which it counts."""
        self.transcript = self.after(row)
        self.rows.append(row)
        self._marks[self.transcript] = len(self.rows)
        seats = self.seats[row.role]
        if row.kind is Kind.RETIRED:
            seats[row.index].gone = True
        elif row.kind is Kind.RATED:
            seats[row.index].rating_q32 = row.rating_q32
        else:
            seat = Seat(row.role, row.index, row.account, row.stake_wei, since_round)
            if row.index == len(seats):
                seats.append(seat)
            else:
                self.former.append(seats[row.index])
                seats[row.index] = seat

    def between(self, before: bytes, after: bytes) -> tuple[RosterRow, ...]:
        """Rows that lead from one transcript to another."""
        return tuple(self.rows[self._marks[before] : self._marks[after]])

    def seat(self, account: bytes) -> Seat | None:
        """The account's seat; also a former holder's."""
        for seats in (*self.seats.values(), self.former):
            for seat in seats:
                if seat.account == account:
                    return seat
        return None
