"""The page is self-contained, deterministic and harmless, and says to the wei what the audit says."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import fabricated
import pytest
from markupsafe import Markup

from gradmint.cli import figures, plots
from gradmint.cli.figures import Figure
from gradmint.cli.report import command, digits, read_people, render_report, write_report
from gradmint.cli.summary import percent, tokens
from gradmint.cli.timing import measure
from gradmint.roles.auditor import Audit
from gradmint.spec.errors import Divergence, SettingsError
from gradmint.spec.events import Exposed, Seized
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import ETHER_WEI
from gradmint.spec.types import Role, Verdict

VOID_TAGS = {"meta", "br", "wbr", "link", "img", "input", "hr", "base"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> $x^2$ {{ 7*7 }} \x1b\u202e"


class Parsed(HTMLParser):
    """Tags, ids and text of a page; complains about tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def found() -> Audit:
    return fabricated.audit()


@pytest.fixture(scope="module")
def page(found: Audit, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A demo's report, with everything in it."""
    folder = tmp_path_factory.mktemp("report")
    out = fabricated.write_out(folder / "demo-out", found, fabricated.people())
    write_report(found, folder / "sub" / "report.html", out)
    return (folder / "sub" / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the plots out where a test looks at words only: they are what takes time."""
    blank = Markup("<svg></svg>")
    monkeypatch.setattr(
        figures, "_figure", lambda title, alt, caption, _, legend=(): Figure(title, alt, caption, blank, blank, legend)
    )


def test_the_page_stands_alone(page: str) -> None:
    parsed = Parsed(page)
    assert len(page.encode()) < 1_500_000
    assert not parsed.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"}
    assert "@import" not in page
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "xlink:href", "src", "srcset", "action"):
            assert value.startswith("#"), (tag, name, value)
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert ("meta", "http-equiv", "Content-Security-Policy") in parsed.attributes
    assert not re.findall(r"https?://", re.sub(r'xmlns(:\w+)?="[^"]*"', "", page))


def test_ids_are_unique_and_every_reference_leads_somewhere(page: str) -> None:
    attributes = Parsed(page).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 10
    wanted = {value[1:] for _, name, value in attributes if name in ("href", "xlink:href")}
    wanted |= {value for _, name, value in attributes if name == "aria-labelledby"}
    assert wanted | set(re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)


def test_colours_are_the_pages_in_light_and_dark(page: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        assert not re.findall(r"(?:fill|stroke): ?#", svg)
    light, dark = re.findall(r":root \{(.*?)\}", page, flags=re.S)
    used = set(re.findall(r"var\((--\w+)\)", page))
    assert used <= set(re.findall(r"(--\w+):", light)) == set(re.findall(r"(--\w+):", dark))
    assert {f"--{name}" for name in plots.COLOURS} <= set(re.findall(r"(--\w+):", light))


def test_every_plot_is_there_in_two_widths_with_words_for_those_who_do_not_see_it(page: str) -> None:
    alts = [value for tag, name, value in Parsed(page).attributes if (tag, name) == ("div", "aria-label")]
    for start in (
        "The loss goes from 6.968 to 2.248",
        "Verdicts by",
        "The largest distances",
        "Gas by kind of",
        "Seconds of",
    ):
        assert len([alt for alt in alts if alt.startswith(start)]) >= 2
    assert page.count('class="wide" role="img"') == page.count('class="narrow" role="img"') == 9


def test_the_same_audit_gives_the_same_bytes(found: Audit) -> None:
    """In another process, too, where sets have another order and clocks another zone."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import fabricated\n"
        "from gradmint.cli.report import render_report\n"
        "sys.stdout.write(render_report(fabricated.audit(), fabricated.people(), None, 'again'))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONUTF8": "1", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert other == render_report(found, fabricated.people(), None, "again")


def test_a_clean_audit_is_accounted_for_to_the_wei(found: Audit, page: str) -> None:
    text = Parsed(page.replace("<wbr>", "")).text
    assert "Clean" in text and "Diverged" not in text
    assert found.balance is not None
    for amount_wei in (found.balance.deposited_wei, found.balance.staked_wei, found.balance.slashed_wei):
        assert f" {amount_wei:,} " in text
    assert f"−{found.balance.claimed_wei:,} " in text
    assert re.search(r"left over\s+0\s", text)


def test_money_that_does_not_add_up_shows_as_left_over(undrawn: None) -> None:
    bent = fabricated.audit(3)
    assert bent.balance is not None
    bent.balance = type(bent.balance)(
        **{**{name: getattr(bent.balance, name) for name in bent.balance.__slots__}, "unpaid_wei": -12_345}
    )
    text = Parsed(render_report(bent, [], None, "").replace("<wbr>", "")).text
    assert re.search(r"left over\s+12,345\s", text)


def test_every_objection_is_shown_with_its_reason(found: Audit, page: str) -> None:
    objections = sum(
        verdict is not Verdict.OK and trainer not in round_.barred
        for round_ in found.rounds
        for trainer, verdict in enumerate(round_.verdicts)
    )
    text = Parsed(page).text
    assert text.count("positions and signs are those of trainer 1's update") == 3
    assert text.count("no blob by the deadline") == 2
    assert text.count("banned up to round") == 25
    assert objections == 5
    assert text.count("void: no quorum") == 1
    assert page.count("<details>") == 30 + 1  # and the parameters


def test_key_figures_and_participants(found: Audit, page: str) -> None:
    text = Parsed(page).text
    assert re.search(r"Loss\s+2\.248\s+bits/byte, from 6\.968", text)
    earned_wei = [standing.paid_wei for standing in found.ledger.final.standings]
    share = re.escape(percent(sum(earned_wei[5:8]) / sum(earned_wei)))
    assert re.search(rf"Paid to cheats\s+{share}\s+4 of 12 participants", text)
    assert re.search(r"verifier 3\s+cheats: liar\s+0\s+59\.04\s+4 out\s+gone", text)
    earned = re.escape(tokens(earned_wei[4]))
    assert re.search(rf"trainer 4\s+honest\s+{earned}\s+–\s+27 OK 2 MISSING\s+20\.26", text)
    assert re.search(r"submit\s+each trainer\s+212\s+31,\d{3}\s", text)
    assert "target 2.326" in text and "gzip -9 2.310" in text


def test_overhead_is_shown_when_it_was_measured(found: Audit, page: str, tmp_path: Path, undrawn: None) -> None:
    timing = measure(fabricated.write_out(tmp_path / "out", found, fabricated.people()))
    assert timing is not None
    assert f"{timing.median_overhead_s:.2f} s in the median round" in Parsed(page).text
    assert "Overhead" not in Parsed(render_report(found, fabricated.people(), None, "")).text


def test_exposures_are_told(undrawn: None) -> None:
    found = fabricated.audit(2)
    assert "Plants exposed" not in Parsed(render_report(found, [], None, "")).text
    loser, winner = (fabricated.account(role, 0) for role in (Role.VERIFIER, Role.TRAINER))
    found.ledger.exposed.append(Exposed(run=1, round=1, trainer=0, exposer=winner, secret=bytes(32), guilty=1))
    found.ledger.seized.append(
        Seized(run=1, account=loser, beneficiary=winner, reward_wei=8 * ETHER_WEI, burn_wei=6 * ETHER_WEI, pool_wei=0)
    )
    text = Parsed(render_report(found, fabricated.people(), None, "")).text
    assert re.search(r"Plants exposed\s+1\s+stakes of 14\.00 tokens lost", text)


def test_refutations_are_told_with_their_bonds(undrawn: None) -> None:
    text = Parsed(render_report(fabricated.refuted(), fabricated.people(), None, "")).text
    assert re.search(r"7\s+verifier 1\s+total wei\s+123456\s+123455\s+verifier 0\s+4\.00\s+3\.00\s+3\.00", text)
    assert re.search(r"Proposals refuted\s+1\s+bonds of 10\.00 tokens lost", text)
    assert re.search(r"Rounds settled\s+10\s+none void, 2 not final yet", text)
    assert "2 rounds can still be refuted" in text
    assert "What was refuted" not in Parsed(render_report(fabricated.audit(2), [], None, "")).text


def test_a_divergence_leads_the_page_and_nothing_after_it_is_told(undrawn: None) -> None:
    text = Parsed(render_report(fabricated.diverged(), fabricated.people(), None, "")).text
    assert "Diverged in round 13: settlement's paid wei" in text
    assert re.search(r"expected\s+33333333333333333331\s+found\s+35333333333333333331\s+why\s+re-execution", text)
    assert "Clean" not in text
    assert "Round 12" in text and "Round 13" not in text
    assert "Where the money is" not in text


@pytest.mark.parametrize("rounds", [0, 1])
def test_short_runs_have_a_page_too(rounds: int) -> None:
    text = Parsed(render_report(fabricated.audit(rounds), fabricated.people(), None, "")).text
    assert f"{rounds} round{'' if rounds == 1 else 's'} replayed" in text


def test_a_run_that_is_not_there_has_a_page_too() -> None:
    one = Divergence(None, "run", "1..0", 7, "no such run on this deployment")
    text = Parsed(render_report(Audit(run=7, chain_id=5, ledger=Ledger(7), divergence=one), [], None, "")).text
    assert "Diverged in the run: run" in text


def test_a_void_run_has_a_page_too() -> None:
    cast = {"trainers": ("honest",) * 2, "verifiers": ("liar",) * 3}
    text = Parsed(render_report(fabricated.audit(3, **cast), [], None, "")).text
    assert text.count("void: no quorum") == 3


def test_strangers_text_stays_text(found: Audit) -> None:
    people = [{**row, "name": f"{HOSTILE} {row['name']}"} for row in fabricated.people()]
    people[6]["strategy"] = HOSTILE
    hostile = fabricated.diverged()
    hostile.divergence = Divergence(1, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    hostile.rounds = [
        type(round_)(
            **{name: getattr(round_, name) for name in round_.__slots__ if name != "reasons"},
            reasons=tuple(HOSTILE for _ in round_.reasons),
        )
        for round_ in hostile.rounds
    ]
    page = render_report(hostile, people, None, HOSTILE)
    parsed = Parsed(page)
    assert not parsed.tags & {"script", "img"}
    assert not any(name.startswith("on") for _, name, _ in parsed.attributes)
    assert "<script" not in page
    assert "\x1b" not in page and "\u202e" not in page
    assert "<script>alert(1)</script>" in parsed.text  # shown, as text
    assert "{{ 7*7 }}" in parsed.text
    assert "$x^2$" in parsed.text


def test_hostile_names_in_plots_are_escaped_and_not_set_as_formulas() -> None:
    series = [plots.Series(HOSTILE, '<b id="x">&', "blue", (1.0, 2.0), (3.0, 4.0))]
    wide, narrow = (plots.lines("p", series, [], [], height=200, unit=HOSTILE)(w) for w in (plots.WIDE, plots.NARROW))
    for svg in (wide, narrow):
        assert not Parsed(svg).tags & {"script", "img", "b"}
    assert '<b id="x">&' in Parsed(narrow).text
    assert "$x^2$" in Parsed(wide).text


def test_a_large_run_stays_a_page_that_opens() -> None:
    cast = {"trainers": ("honest",) * 60 + ("copycat",) * 4, "verifiers": ("honest",) * 4}
    page = render_report(fabricated.audit(70, **cast), fabricated.people(**cast), None, "")
    assert len(page) < 1_500_000
    text = Parsed(page).text
    assert "Too many participants to list here" in text
    assert "the 40 of 64 trainers with most objections" in text


def test_long_runs_share_columns_and_show_the_worst(undrawn: None) -> None:
    cast = {"trainers": ("honest",) * 5, "verifiers": ("honest",)}
    page = render_report(fabricated.audit(490, **cast), fabricated.people(**cast), None, "")
    assert "A column stands for 3 rounds and shows the worst." in Parsed(page).text
    assert "1 MISSING" in next(
        value for _, name, value in Parsed(page).attributes if name == "aria-label" and value.startswith("Verdicts")
    )


@pytest.mark.parametrize("seed", range(30))
def test_labels_keep_their_distance_order_and_bounds(seed: int) -> None:
    draw = random.Random(seed)
    wanted = sorted(draw.choice([draw.uniform(-20, 220), 50.0]) for _ in range(draw.randrange(1, 12)))
    places = plots.spread(wanted, 16.0, 0.0, 200.0)
    assert len(places) == len(wanted)
    assert all(b - a >= 16.0 - 1e-9 for a, b in itertools.pairwise(places))
    assert places[0] >= -1e-9 and places[-1] <= 200 + 1e-9


def test_cells_that_stand_for_several_rounds_are_as_wide() -> None:
    cells = [["OK", "OK", "", "D"], ["D", "OK", "D", "D"]]
    assert plots._runs(cells, 0.5, 3, "D") == [(9.5, -0.5, 3, 1), (0.5, 0.5, 3, 1), (6.5, 0.5, 6, 1)]


def test_labels_with_room_stay_where_they_belong() -> None:
    assert plots.spread([10.0, 50.0, 90.0], 16.0, 0.0, 200.0) == [10.0, 50.0, 90.0]
    assert plots.spread([50.0, 50.0], 16.0, 0.0, 200.0) == [42.0, 58.0]


def test_the_command_can_be_pasted(found: Audit) -> None:
    assert command(found, Path("a b.html"), Path("out dir")) == "gradmint audit --out 'out dir' --html 'a b.html'"
    assert "--run 1 --html r.html" in command(found, Path("r.html"), None)


def test_digits_break_after_commas_only() -> None:
    assert str(digits(-1_234_567)) == "-1,<wbr>234,<wbr>567"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}x",
        "[1]",
        '[{"account": "0x00"}]',
        '[{"account": "zz", "name": "", "role": "", "strategy": ""}]',
        "[" * 9_999,
    ],
)
def test_a_bent_participants_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "participants.json").write_text(content)
    with pytest.raises(SettingsError, match=re.escape("participants.json")):
        read_people(tmp_path)


def test_no_participants_file_is_fine(tmp_path: Path) -> None:
    assert read_people(tmp_path) == []
    (tmp_path / "participants.json").write_text(json.dumps(fabricated.people()))
    assert read_people(tmp_path) == fabricated.people()
