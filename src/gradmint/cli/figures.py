"""From an audit to its plots: which numbers and which words. ``plots.py`` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..spec.params import ETHER_WEI
from ..spec.types import BPS, ONE_Q32, Role, Verdict
from . import plots
from .plots import NARROW, WIDE, Cell, Level, Series
from .summary import BANNED, Metric, Outcome, counts_text, nats, percent, plain, reading, seat_outcome, tokens
from .timing import PHASES, UNSEEN, Timing

if TYPE_CHECKING:
    from ..roles.auditor import Audit, RoundAudit

MOST_MATRIX_ROWS = 40
MOST_MATRIX_COLUMNS = 240
MOST_LISTED = 20  # participants spelled out in a plot's text alternative

VERDICTS = {
    Verdict.OK: Cell("OK", "", "calm"),
    Verdict.MISSING: Cell("MISSING", "M", "grey"),
    Verdict.OVERSIZE: Cell("OVERSIZE", "S", "sky"),
    Verdict.MALFORMED: Cell("MALFORMED", "F", "vermillion"),
    Verdict.WRONG_BASE: Cell("WRONG_BASE", "B", "purple"),
    Verdict.NOT_FINITE: Cell("NOT_FINITE", "N", "ink"),
    Verdict.OVER_NORM: Cell("OVER_NORM", "R", "orange"),
    Verdict.DUPLICATE: Cell("DUPLICATE", "D", "blue"),
    Verdict.UNPROVEN: Cell("UNPROVEN", "U", "green"),
}
VOID, WORTHLESS = "void", "worthless"
KINDS = {
    Verdict.OK.name: VERDICTS[Verdict.OK],
    WORTHLESS: Cell("OK, but worth nothing or less", "0", "yellow"),
    **{verdict.name: cell for verdict, cell in VERDICTS.items()},
    BANNED: Cell("banned, sits out", "X", "muted"),
    VOID: Cell("void round", "", "void"),
}
GAS_COLOURS = {
    "submit": "blue",
    "close": "grey",
    "hold": "sky",
    "commit": "yellow",
    "reveal": "orange",
    "settle": "vermillion",
    "propose": "green",
    "finalise": "vermillion",
    "challenge": "purple",
    "refute": "ink",
}
PHASE_COLOURS = dict(zip((*PHASES, UNSEEN), ("blue", "sky", "yellow", "orange", "vermillion", "grey"), strict=True))


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot in both widths, with what it says in words and a legend of (colour, letter, meaning)."""

    title: str
    alt: str
    caption: str
    wide: Markup
    narrow: Markup
    legend: tuple[tuple[str, str, str], ...]


class Figures:
    """The plots of one audit. A method returns None where there is nothing to show."""

    def __init__(
        self, found: Audit, rows: Sequence[Outcome], timing: Timing | None, reference: tuple[float, str] | None
    ) -> None:
        self.found, self.ledger, self.rounds, self.rows = found, found.ledger, found.rounds, rows
        self.timing, self.reference = timing, reference
        self.metric: Metric = found.metric or nats
        self.x = [float(round_.number) for round_ in self.rounds]
        self.voids = [round_.number for round_ in self.rounds if round_.loss_micronats is None]
        self.void_note = " Shaded rounds were void." if self.voids else ""

    def _holder(self, role: Role, index: int) -> Outcome:
        """Of a seat as the last audited round found it."""
        return seat_outcome(self.ledger, self.rows, role, index, self.rounds[-1].number)

    def loss(self) -> Figure | None:
        points = loss_points(self.found)
        if not points:
            return None
        unit = self.metric(1.0)[1]
        y = tuple(reading(loss, self.metric) for _, loss in points)
        levels = []
        if self.ledger.terms.target_loss_micronats:
            target = reading(self.ledger.terms.target_loss_micronats, self.metric)
            levels.append(Level(f"target {target:.3f}", target))
        if self.reference is not None:
            levels.append(Level(f"{plain(self.reference[1], 24)} {self.reference[0]:.3f}", self.reference[0]))
        measured = self.found.loss_nats is not None
        series = Series(f"{y[-1]:.3f} {unit}", f"{y[-1]:.3f}", "blue", tuple(float(x) for x, _ in points), y)
        return _figure(
            "Validation loss",
            f"The loss goes from {y[0]:.3f} to {y[-1]:.3f} {unit} over {len(self.rounds)} rounds.",
            "The loss of the model that each round starts from, as the committee’s median has it."
            + (" The last point is the final model, measured by the auditor." if measured else "")
            + self.void_note,
            plots.lines("loss", [series], levels, self.voids, height=280, unit=unit),
        )

    def payouts(self, role: str) -> Figure | None:
        rows = [row for row in self.rows if row.role == role]
        if not rows or not self.rounds:
            return None
        x = (self.x[0] - 1, *self.x)
        series = []
        for row in rows:
            total_wei, y = 0, [0.0]
            for round_ in self.rounds:
                total_wei += round_.paid_wei.get(row.account, 0)
                y.append(total_wei / ETHER_WEI)
            series.append(_series(row, "blue", x, tuple(y)))
        listed = "; ".join(f"{plain(row.name, 40)} {tokens(row.earned_wei)}" for row in rows[:MOST_LISTED])
        cheats = any(row.is_adversary for row in rows)
        return _figure(
            f"Pay of {role}s, added up",
            f"Payouts in tokens at the end: {listed}.",
            ("Dashed: started as a cheat, which the protocol does not know." if cheats else "Tokens earned so far.")
            + self.void_note,
            plots.lines(f"pay-{role}", series, [], self.voids, height=300, unit="tokens", zero=True),
        )

    def multipliers(self) -> Figure | None:
        """Where pay goes by ratings."""
        terms, rows = self.ledger.terms, [row for row in self.rows if row.role == Role.TRAINER.name.lower()]
        if terms.pay_least_bps == terms.pay_most_bps:
            return None
        reached: dict[bytes, dict[float, float]] = {row.account: {} for row in rows}
        for round_ in self.ledger.rounds[: len(self.rounds)]:
            for standing in round_.execution.books.trainers if round_.execution else ():
                if standing.account in reached:
                    reached[standing.account][float(round_.number)] = standing.reputation_q32 / ONE_Q32
        series = [
            _series(row, "blue", tuple(reached[row.account]), tuple(reached[row.account].values()))
            for row in rows
            if reached[row.account]
        ]
        if not series:
            return None
        listed = "; ".join(f"{item.label} x {item.y[-1]:.3f}" for item in series[:MOST_LISTED])
        least, most = terms.pay_least_bps / BPS, terms.pay_most_bps / BPS
        return _figure(
            "What trainers’ pay is multiplied by",
            f"Multipliers in the end: {listed}.",
            f"By their ratings as brought into the run: {least:g} for a newcomer, always below {most:g}."
            + self.void_note,
            plots.lines("multiplier", series, [], self.voids, height=280, unit="times"),
        )

    def verdicts(self) -> Figure | None:
        trainers = max((len(round_.verdicts) for round_ in self.rounds), default=0)
        if not trainers:
            return None
        step = -(-len(self.rounds) // MOST_MATRIX_COLUMNS)
        chunks = [self.rounds[at : at + step] for at in range(0, len(self.rounds), step)]
        cells = [[_worst(chunk, index) for chunk in chunks] for index in range(trainers)]
        shown = sorted(
            range(trainers), key=lambda i: -sum(key not in (Verdict.OK.name, VOID, BANNED, "") for key in cells[i])
        )
        shown = sorted(shown[:MOST_MATRIX_ROWS])
        labels = [_labels(self._holder(Role.TRAINER, index)) for index in shown]
        present = {key: sum(line.count(key) for line in cells) for key in KINDS if any(key in line for line in cells)}
        counted = counts_text({key: count for key, count in present.items() if key != VOID})
        return _figure(
            "Verdicts",
            f"Verdicts by trainer and round: {counted}.",
            "Verdicts are recomputed here from the updates’ bytes; what an update is worth is the committee’s median. "
            "Reasons are in the rounds below."
            + (f" A column stands for {step} rounds and shows the worst." if step > 1 else "")
            + (
                f" Shown: the {len(shown)} of {trainers} trainers with most objections."
                if len(shown) < trainers
                else ""
            ),
            plots.matrix(
                "verdicts",
                labels,
                [chunk[0].number for chunk in chunks],
                [cells[index] for index in shown],
                {key: KINDS[key] for key in present},
            ),
            [(KINDS[key].colour, KINDS[key].letter, KINDS[key].label) for key in present],
        )

    def agreement(self) -> Figure | None:
        series = []
        for index in range(max((len(round_.distances_bits) for round_ in self.rounds), default=0)):
            points = [
                (float(round_.number), float(distance))
                for round_ in self.rounds
                if index < len(round_.distances_bits) and (distance := round_.distances_bits[index]) is not None
            ]
            if points:
                row = self._holder(Role.VERIFIER, index)
                series.append(_series(row, ("blue", "green", "purple")[index % 3], *zip(*points, strict=True)))
        if not series:
            return None
        terms = self.ledger.terms
        worst = "; ".join(f"{item.label} {max(item.y):.0f}" for item in series[:MOST_LISTED])
        return _figure(
            "Distance to the medoid",
            f"The largest distances in bits, of {256 * terms.words}: {worst}.",
            f"Signatures have {256 * terms.words} bits; unrelated ones differ in about {128 * terms.words}. Up to "
            f"{terms.accept_bits} a report is in the cluster and paid, beyond {terms.slash_bits} it costs stake, "
            "between them neither." + self.void_note,
            plots.distances("agreement", series, terms.accept_bits, terms.slash_bits, 256 * terms.words, self.voids),
        )

    def gas(self) -> Figure | None:
        kinds = gas_kinds(self.rounds)
        if not kinds:
            return None
        colours = {kind: GAS_COLOURS.get(kind, "purple") for kind in kinds}
        stacks = [(colours[kind], [float(round_.gas.get(kind, 0)) for round_ in self.rounds]) for kind in kinds]
        mean = sum(sum(round_.gas.values()) for round_ in self.rounds) // len(self.rounds)
        return _figure(
            "Gas of a round",
            f"Gas by kind of transaction, {mean:,} a round on average.",
            f"Everything that was sent for a round, {mean:,} gas on average.",
            plots.bars("gas", self.x, stacks, height=260, unit="gas"),
            [(colour, "", kind) for kind, colour in colours.items()],
        )

    def gas_of_one(self) -> Figure | None:
        """What a round costs one trainer and one verifier."""
        series = []
        for label, colour, kinds, role in (
            ("a trainer", "blue", ("submit",), Role.TRAINER),
            ("a verifier", "green", ("hold", "commit", "reveal"), Role.VERIFIER),
        ):
            points = []
            for audited, round_ in zip(self.rounds, self.ledger.rounds, strict=False):
                heads = len(round_.first_submissions) if role is Role.TRAINER else len(round_.holds)
                used = sum(audited.gas.get(kind, 0) for kind in kinds)
                if heads and used:
                    points.append((float(audited.number), used / heads))
            if points:
                x, y = zip(*points, strict=True)
                series.append(Series(f"{label}, {y[-1]:,.0f}", label, colour, x, y))
        if not series:
            return None
        return _figure(
            "Gas of one participant",
            f"Gas a round in the last round: {'; '.join(item.label for item in series)}.",
            "One transaction for a trainer, three for a verifier, on average over those who took part."
            + self.void_note,
            plots.lines("gas-of-one", series, [], self.voids, height=230, unit="gas a round", zero=True),
        )

    def overhead(self) -> list[Figure]:
        if self.timing is None:
            return []
        rounds = self.timing.rounds
        x = [float(item.round) for item in rounds]
        names = [name for name in PHASE_COLOURS if any(name in item.phases for item in rounds)]
        stacks = [
            (PHASE_COLOURS[name], [item.phases[name].overhead_s if name in item.phases else 0.0 for item in rounds])
            for name in names
        ]
        share = percent(self.timing.median_share)
        whole = [("calm", [item.work_s for item in rounds]), ("vermillion", [item.overhead_s for item in rounds])]
        return [
            _figure(
                "Time of a round",
                f"Seconds of each round with and without work; the median share without is {share}.",
                f"The median round is overhead for {share} of its time.",
                plots.bars("wall", x, whole, height=220, unit="seconds"),
                [("calm", "", "somebody trains or assesses"), ("vermillion", "", "overhead")],
            ),
            _figure(
                "Overhead by phase",
                f"Seconds of overhead by phase, {self.timing.median_overhead_s:.2f} s a round in the median.",
                f"The overhead alone, {self.timing.median_overhead_s:.2f} s in the median round.",
                plots.bars("overhead", x, stacks, height=240, unit="seconds"),
                [(PHASE_COLOURS[name], "", name if name != UNSEEN else "between phases") for name in names],
            ),
        ]


def loss_points(found: Audit) -> list[tuple[int, int]]:
    """(round, micro-nats of the model it starts from), and after the last round what the auditor measured."""
    known = [(round_.number, round_.loss_micronats) for round_ in found.rounds]
    points = [(number, loss) for number, loss in known if loss is not None]
    if found.loss_nats is not None and found.rounds:
        points.append((found.rounds[-1].number + 1, round(found.loss_nats * 1e6)))
    return points


def gas_kinds(rounds: Sequence[RoundAudit]) -> list[str]:
    """Kinds of transactions that cost gas, in the order of a round."""
    found = {kind for round_ in rounds for kind in round_.gas}
    return [kind for kind in GAS_COLOURS if kind in found] + sorted(found - GAS_COLOURS.keys())


def _figure(
    title: str, alt: str, caption: str, draw: plots.Draw, legend: Sequence[tuple[str, str, str]] = ()
) -> Figure:
    return Figure(title, alt, caption, Markup(draw(WIDE)), Markup(draw(NARROW)), tuple(legend))


def _labels(row: Outcome) -> tuple[str, str]:
    """A participant's label, and a shorter one."""
    name, strategy = plain(row.name, 40), plain(row.strategy, 40)
    return (f"{name} · {strategy}", strategy) if row.is_adversary else (name, name)


def _series(row: Outcome, colour: str, x: tuple[float, ...], y: tuple[float, ...]) -> Series:
    """A participant's line; cheats differ in colour, dashes and label."""
    label, short = _labels(row)
    return Series(label, short, "vermillion" if row.is_adversary else colour, x, y, dashed=row.is_adversary)


def _worst(chunk: Sequence[RoundAudit], index: int) -> str:
    """The gravest verdict on a trainer in these rounds; VOID when none was given, "" before it joined."""
    given = [round_ for round_ in chunk if index < len(round_.verdicts)]
    if not given:
        return VOID if any(not round_.verdicts for round_ in chunk) else ""
    given = [round_ for round_ in given if index not in round_.barred]
    if not given:
        return BANNED
    worst = max(round_.verdicts[index] for round_ in given)
    worthless = min(round_.common_gains_micronats[index] for round_ in given) <= 0
    return WORTHLESS if worst is Verdict.OK and worthless else worst.name
