"""What is printed for people and for programs says what the audit says, and strangers' text stays text."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from typing import Any

import fabricated
import pytest
from rich.console import Console

from gradmint.cli import display, render
from gradmint.cli.display import DemoDisplay, senders, sparkline
from gradmint.cli.summary import (
    Outcome,
    agreement,
    demo_json,
    exact_tokens,
    loss_text,
    percent,
    plain,
    tokens,
    verdict_text,
)
from gradmint.cli.timing import PhaseTime, RoundTime, Timing
from gradmint.roles.auditor import Audit
from gradmint.spec.errors import Divergence
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import ETHER_WEI, LOCAL
from gradmint.spec.types import Phase, Role, Verdict

HOSTILE = "[bold]eve[/bold]\x1b[2J\u202e\n[link=http://x]"


@pytest.fixture(scope="module")
def found() -> Audit:
    return fabricated.audit()


def nothing() -> Audit:
    """An audit of a run that is not there."""
    one = Divergence(None, "run", "1..0", 1, "no such run on this deployment")
    return Audit(run=1, chain_id=5, ledger=Ledger(1), divergence=one)


def names() -> dict[bytes, tuple[str, str]]:
    return {bytes.fromhex(row["account"][2:]): (row["name"], row["strategy"]) for row in fabricated.people()}


# Numbers


@pytest.mark.parametrize(
    ("wei", "shown"),
    [
        (0, "0"),
        (4, "4 wei"),
        (10**6, "1e-12"),
        (244 * 10**12, "0.000244"),
        (ETHER_WEI // 3, "0.333"),
        (ETHER_WEI, "1.00"),
        (1_234_567 * ETHER_WEI // 1_000, "1,234.57"),
    ],
)
def test_tokens_are_short(wei: int, shown: str) -> None:
    assert tokens(wei) == shown


@pytest.mark.parametrize("wei", [0, 1, ETHER_WEI - 1, ETHER_WEI, 12_345_678_901_234_567_890_123, -5])
def test_exact_tokens_lose_nothing(wei: int) -> None:
    sign, whole, part = re.fullmatch(r"(-?)([\d,]+)(?:\.(\d+))?", exact_tokens(wei)).groups()  # type: ignore[union-attr]
    back = int(whole.replace(",", "")) * ETHER_WEI + int((part or "").ljust(18, "0"))
    assert (-back if sign else back) == wei


def test_losses_are_in_the_tasks_unit() -> None:
    assert loss_text(1_386_294) == "1.386 nats"
    assert loss_text(1_386_294, fabricated.bits_per_byte) == "2.000 bits/byte"
    assert loss_text(None) == "void"


def test_shares_do_not_hide_the_small() -> None:
    assert [percent(share) for share in (0, 1e-9, 0.1234, 1)] == ["0 %", "< 0.1 %", "12.3 %", "100 %"]


def test_verdicts_are_counted_ok_first() -> None:
    given = [Verdict.DUPLICATE, Verdict.MISSING, Verdict.OK, Verdict.DUPLICATE, *[Verdict.OK] * 4]
    assert verdict_text(given) == "5 OK 2 DUPLICATE 1 MISSING"
    assert verdict_text([Verdict.MISSING] * 2 + [Verdict.OK]) == "1 OK 2 MISSING"


def test_plain_text_is_one_printable_line_of_bounded_length() -> None:
    assert plain("trainer 3") == "trainer 3"
    assert plain(HOSTILE).isprintable()
    assert plain("x" * 1_000_000, 50) == "x" * 49 + "…"
    assert plain("x" * 50, 50) == "x" * 50


def test_distances_are_judged_by_the_runs_thresholds() -> None:
    bounds = [0, LOCAL.accept_bits, LOCAL.accept_bits + 1, LOCAL.slash_bits, LOCAL.slash_bits + 1, None]
    assert [agreement(bits, LOCAL) for bits in bounds] == ["in", "in", "grey", "grey", "out", "absent"]


# Participants


def test_outcomes_count_what_the_rounds_say(found: Audit) -> None:
    rows = {row.name: row for row in render.outcomes(found, fabricated.people())}
    assert list(rows) == [row["name"] for row in fabricated.people()]
    settled = [round_ for round_ in found.rounds if round_.verdicts]
    assert len(settled) == 29
    assert rows["trainer 0"].verdicts == {"OK": 29}
    assert rows["trainer 4"].verdicts == {"OK": 27, "MISSING": 2}
    assert rows["trainer 6"].verdicts == {"OK": 1, "DUPLICATE": 3, "BANNED": 25}  # in 4..23, and again from 25 on
    assert rows["verifier 0"].verdicts == {"in": 29, "grey": 0, "out": 0, "absent": 0}
    assert rows["verifier 3"].verdicts == {"in": 0, "grey": 0, "out": 4, "absent": 0}  # gone after the fourth
    for role in Role:
        for standing in found.ledger.standings[role]:
            [row] = [row for row in rows.values() if row.account == standing.account]
            assert row.earned_wei == standing.paid_wei
            assert row.slashed_wei == found.ledger.slashed_wei.get(standing.account, 0)
    assert [row.is_adversary for row in rows.values()] == [False] * 5 + [True] * 3 + [False] * 3 + [True]


def test_outcomes_tell_grey_and_absent_verifiers_apart() -> None:
    cast = {"trainers": ("honest",) * 2, "verifiers": ("honest",) * 7 + ("liar",)}
    rows = {row.name: row.verdicts for row in render.outcomes(fabricated.audit(22, **cast), fabricated.people(**cast))}
    assert rows["verifier 0"] == {"in": 21, "grey": 0, "out": 0, "absent": 1}  # away in round 17
    assert rows["verifier 1"] == {"in": 20, "grey": 1, "out": 0, "absent": 1}  # an odd machine in round 21
    assert rows["verifier 7"]["out"] == 4


def test_seats_nobody_declared_are_named_after_themselves(found: Audit) -> None:
    rows = render.outcomes(found, fabricated.people()[:2])
    assert [row.name for row in rows[2:4]] == ["trainer 2", "trainer 3"]
    assert {row.strategy for row in rows[2:]} == {""}
    assert not any(row.is_adversary for row in rows)


# JSON


def test_audit_summary_survives_json_and_keeps_every_wei(found: Audit) -> None:
    summary = json.loads(json.dumps(render.audit_summary(found)))
    assert summary["ok"] is True
    assert summary["divergences"] == []
    assert summary["chain_id"] == 31_337
    assert [row["number"] for row in summary["rounds"]] == list(range(1, 31))
    assert [row["number"] for row in summary["rounds"] if row["void"]] == [fabricated.VOID]
    paid = sum(int(wei) for row in summary["rounds"] for wei in row["paid_wei"].values())
    assert paid == found.ledger.total_wei
    balance = {name: int(wei) for name, wei in summary["balance"].items()}
    rest = sum(balance[f"{name}_wei"] for name in ("claimed", "claimable", "unpaid", "refunded"))
    assert balance["deposited_wei"] == rest == 1_000 * ETHER_WEI
    assert all(isinstance(wei, str) for wei in summary["balance"].values())
    assert summary["rounds"][10]["verdicts"][4] == "MISSING"
    assert None in summary["rounds"][0]["assigned_gains_micronats"] + summary["rounds"][2]["assigned_gains_micronats"]


def test_audit_summary_names_round_row_and_both_values() -> None:
    summary = json.loads(json.dumps(render.audit_summary(fabricated.diverged())))
    assert summary["ok"] is False
    assert summary["balance"] is None
    assert summary["divergences"] == [
        {
            "round": 13,
            "row": "settlement's paid wei",
            "expected": "33333333333333333331",
            "found": "35333333333333333331",
            "why": "re-execution gives another value",
        }
    ]


def test_run_summary_has_every_parameter_and_seat(found: Audit) -> None:
    summary = json.loads(json.dumps(render.run_summary(found.ledger)))
    assert summary["phase"] == "ENDED"
    assert summary["round"] == 30
    assert summary["params"]["accept_bits"] == LOCAL.accept_bits
    assert summary["params"]["verifier_stake_wei"] == str(LOCAL.verifier_stake_wei)
    assert summary["params"]["penalty_bps"] == list(LOCAL.penalty_bps)
    assert summary["params"]["manifest"] == "0x" + "11" * 32
    assert [(row["role"], row["index"]) for row in summary["participants"]] == [
        *(("trainer", index) for index in range(8)),
        *(("verifier", index) for index in range(4)),
    ]
    liar = summary["participants"][-1]
    assert liar["gone"] is True
    assert int(liar["stake_wei"]) == 100 * ETHER_WEI - int(summary["slashed_wei"])
    assert sum(int(row["paid_wei"]) for row in summary["participants"]) == int(summary["total_wei"])


def test_demo_json_totals_are_the_sums_of_its_rows(found: Audit) -> None:
    summary = json.loads(json.dumps(demo_json(found, fabricated.people())))
    totals = summary["totals"]
    assert sum(int(row["earned_wei"]) for row in summary["participants"]) == int(totals["paid_wei"])
    assert sum(int(row["paid_wei"]) for row in summary["rounds"]) == int(totals["paid_wei"])
    assert sum(int(row["slashed_wei"]) for row in summary["participants"]) == int(totals["slashed_wei"])
    assert sum(row["gas"] for row in summary["rounds"]) == totals["gas"]
    assert int(totals["deposited_wei"]) == sum(int(totals[f"{k}_wei"]) for k in ("paid", "unpaid", "refunded"))
    assert totals["rounds"] == len(summary["rounds"]) == 30
    assert summary["rounds"][0]["loss"].endswith("bits/byte")
    assert summary["audit"] == {"ok": True, "divergences": []}
    assert {row["strategy"] for row in summary["participants"]} == {*fabricated.TRAINERS, *fabricated.VERIFIERS}
    assert "overhead" not in summary


def test_demo_json_carries_the_overhead_when_it_was_measured(found: Audit) -> None:
    timing = Timing((RoundTime(1, 10.0, 2.5, {"TRAIN": PhaseTime(3.0, 2.5)}),), (), 0)
    assert demo_json(found, [], timing)["overhead"] == {
        "median_share": 0.25,
        "median_s": 2.5,
        "rounds": [{"round": 1, "wall_s": 10.0, "overhead_s": 2.5, "phases": {"TRAIN": 2.5}}],
    }


def test_a_run_that_is_not_there_is_still_summarised(capsys: pytest.CaptureFixture[str]) -> None:
    for summary in (render.audit_summary(nothing()), demo_json(nothing(), []), render.run_summary(Ledger(3))):
        json.dumps(summary)
    render.show_run(Ledger(3))
    render.show_runs([])
    render.show_audit_end(nothing())
    assert "diverged in run: run" in capsys.readouterr().out


# Lines and tables


def test_a_round_is_one_line(found: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    for round_ in found.rounds:
        render.show_round(round_)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 30
    assert re.match(
        r"round +1  loss 4\.830 nats +cluster 0 1 2  bits +1 +2 +0 +491  paid +31\.67  slashed 20\.00", lines[0]
    )
    assert lines[10].endswith("6 OK 1 MISSING 1 BANNED")
    assert "void" in lines[fabricated.VOID - 1]
    assert f"model 0x{found.rounds[4].base[:4].hex()}.. ok" in lines[4]


def test_a_clean_end_can_be_added_up(found: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    render.show_audit_end(found)
    shown = capsys.readouterr().out
    assert shown.startswith("audit clean: 29 rounds settled, 1 void")
    line = next(line for line in shown.splitlines() if line.startswith("deposited"))
    amounts = [_wei(amount) for amount in re.findall(r"[\d,]+(?:\.\d+)?", line)]
    assert len(amounts) == 5
    assert amounts[0] == sum(amounts[1:]) == 1_000 * ETHER_WEI


def _wei(amount: str) -> int:
    whole, _, part = amount.replace(",", "").partition(".")
    return int(whole) * ETHER_WEI + int(part.ljust(18, "0"))


def test_a_divergence_names_round_row_and_both_values(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_audit_end(fabricated.diverged())
    shown = capsys.readouterr().out
    for part in ("round 13", "settlement's paid wei", "33333333333333333331", "35333333333333333331", "re-execution"):
        assert part in shown
    assert "clean" not in shown


def test_a_refutation_names_round_field_values_and_the_bonds_parts(capsys: pytest.CaptureFixture[str]) -> None:
    found = fabricated.refuted()
    render.show_audit_end(found, names={row["account"]: row["name"] for row in fabricated.people()})
    shown = capsys.readouterr().out
    assert (
        "refuted round 7: verifier 1 proposed total wei 123456, re-execution gives 123455; bond of 10.00: 4.00 to "
        "verifier 0, 3.00 burned, 3.00 to the budget" in shown
    )
    assert "10 rounds settled, 2 not final yet" in shown
    [row] = render.audit_summary(found)["refutations"]
    assert (row["round"], row["what"], row["proposed"], row["executed"]) == (7, "total wei", "123456", "123455")
    assert [row[f"{part}_wei"] for part in ("reward", "burned", "pooled")] == [
        str(parts * ETHER_WEI) for parts in (4, 3, 3)
    ]
    assert [round_["final"] for round_ in render.audit_summary(found)["rounds"]] == [True] * 10 + [False] * 2


def test_strangers_text_is_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    render.final_table([Outcome(HOSTILE, b"\x01" * 20, "trainer", HOSTILE, {"OK": 1}, 5, 7)])
    table = capsys.readouterr().out
    assert table.count("[bold]eve[/bold]") == 2
    ended = nothing()
    ended.divergence = Divergence(3, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    render.show_audit_end(ended)
    shown = capsys.readouterr().out
    assert shown.count("[bold]eve[/bold]") == 4
    assert not {"\x1b", "\u202e"} & set(table + shown)


def test_the_final_table_marks_cheats(found: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    render.final_table(render.outcomes(found, fabricated.people()))
    lines = [line for line in capsys.readouterr().out.splitlines() if re.search(r"(trainer|verifier) \d", line)]
    assert len(lines) == 12
    assert [("cheats" in line) for line in lines] == [row["strategy"] != "honest" for row in fabricated.people()]
    assert re.search(r"verifier 3 +cheats: liar +4 out +0 +59\.04", lines[-1])
    earned = re.escape(tokens(found.ledger.final.trainers[0].paid_wei))
    assert re.search(rf"trainer 0 +honest +29 OK +{earned} +-", lines[0])


def test_run_tables_show_the_seats(found: Audit, capsys: pytest.CaptureFixture[str]) -> None:
    render.show_run(found.ledger)
    render.show_runs([found.ledger])
    shown = capsys.readouterr().out
    for seat in found.ledger.seats[Role.TRAINER]:
        assert seat.account.hex() in shown
    assert "30 of 30" in shown
    assert re.search(r"accept_bits +48", shown)
    assert re.search(r"18\.71 +0 *\n", shown) and "banned to round 44" in shown  # rating, misses, what else there is
    assert "29 rounds, re-executed on chain" in shown


# Progress


def _display(console: Console, **options: Any) -> DemoDisplay:
    return DemoDisplay(names(), fabricated.bits_per_byte, console=console, **options)


def test_sparkline_rises_and_falls_with_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline(range(100), width=2) == "▁█"


def test_without_a_terminal_each_round_has_one_line(found: Audit) -> None:
    written = io.StringIO()
    with _display(Console(file=written)) as progress:
        for _ in range(3):
            progress.update(found.ledger)
    lines = written.getvalue().splitlines()
    assert [int(re.search(r"round +(\d+)", line)[1]) for line in lines] == list(range(1, 31))  # type: ignore[index]
    assert "loss 6.968 bits/byte" in lines[0]
    assert "cluster 3 of 4" in lines[3] and "cluster 3 of 3" in lines[4]


def test_a_round_that_goes_on_has_no_line_yet(found: Audit) -> None:
    ledger, written = fabricated.audit(2).ledger, io.StringIO()
    ledger.rounds[1].settled = None
    with _display(Console(file=written)) as progress:
        progress.update(ledger)
    assert len(written.getvalue().splitlines()) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_is_silent(found: Audit, terminal: bool) -> None:
    written = io.StringIO()
    with _display(Console(file=written, force_terminal=terminal), quiet=True) as progress:
        progress.update(found.ledger)
    assert written.getvalue() == ""


def test_a_terminal_is_drawn_on_at_most_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    ledger, drawn = fabricated.audit(2).ledger, Counter[str]()
    real = DemoDisplay.picture
    monkeypatch.setattr(DemoDisplay, "picture", lambda self, ledger: drawn.update("x") or real(self, ledger))
    written = io.StringIO()
    with _display(Console(file=written, force_terminal=True, width=120)) as progress:
        for tick in range(1_000):  # ten seconds, something new all the time
            clock[0] += 0.01
            ledger.transcript = tick.to_bytes(32, "big")
            progress.update(ledger)
        assert 30 <= drawn["x"] <= 41
        before = drawn["x"]
        for _ in range(1_000):  # ten more with nothing new
            clock[0] += 0.01
            progress.update(ledger)
        assert drawn["x"] <= before + 1
        ledger.phase = Phase.HOLD  # right before the end
        progress.update(ledger)
        clock[0] += 0.01
        ledger.phase = Phase.ENDED
        progress.update(ledger)
    assert "ENDED" in written.getvalue()


def test_the_picture_tells_everyones_last_round(found: Audit) -> None:
    console = Console(file=io.StringIO(), width=140, record=True)
    sent = {tx for round_ in found.ledger.rounds for _, tx in senders(found.ledger, round_)}
    progress = _display(console, gas_used={tx: 1_000 for tx in sent}.__getitem__)
    assert progress._gas_used is not None
    progress._count_gas(found.ledger, progress._gas_used)
    progress._count_gas(found.ledger, progress._gas_used)
    console.print(progress.picture(found.ledger))
    shown = console.export_text()
    assert re.search(r"round 30 of 30 +phase ENDED +paid 1,000\.00 of 1,000\.00 +void 1", shown)
    assert re.search(r"loss +2\.251 bits/byte +[▁▂▃▄▅▆▇█]{29} +target 2\.326", shown)
    earned = re.escape(tokens(found.ledger.final.trainers[0].paid_wei))
    assert re.search(rf"trainer 0 +honest +OK +18\.71 +{earned} +- +30,000", shown)
    assert re.search(r"trainer 6 +cheats: copycat +banned to round 44", shown)
    assert re.search(r"trainer 7 +cheats: poisoner +OK, worth nothing", shown)
    assert re.search(r"verifier 2 +honest +in, \d bits", shown)
    assert re.search(r"verifier 3 +cheats: liar +not in committee +0 +59\.04 +12,000", shown)


def test_an_exception_inside_ends_the_display_and_passes(found: Audit) -> None:
    def unreachable(_: bytes) -> int:
        raise AssertionError("no chain any more")

    progress = _display(Console(file=io.StringIO(), force_terminal=True), gas_used=unreachable)
    progress._drawn_s = float("inf")
    with pytest.raises(KeyboardInterrupt), progress:
        progress.update(found.ledger)
        raise KeyboardInterrupt
