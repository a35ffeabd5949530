"""The arena is the protocol's own run; the attacks are what their formulas say; the table keeps and compares runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gradmint.learn.assess import assess
from gradmint.learn.checks import mark_duplicates
from gradmint.learn.codec import Update, approximate
from gradmint.learn.manifest import Manifest, preset
from gradmint.learn.shards import assigned_indices
from gradmint.learn.state import Network
from gradmint.learn.train import compress_each, local_round
from gradmint.spec.errors import NotFinite, SettingsError
from gradmint.spec.types import Report, Verdict
from gradmint.study import arena as stage
from gradmint.study.arena import DEFAULT, DIRICHLET, IID, RULES, Arena, Setting, inspected, plain, play, seats_of, task
from gradmint.study.attack_page import write_page
from gradmint.study.attack_table import Cell, Grid, collect, harmless, measure, table, twin
from gradmint.study.attacks import ATTACKS, OLD, View, disguised
from gradmint.study.held import Held
from gradmint.study.peers import Peers

SMALL = Setting(peers=6, rounds=3)


def view(honest: Tensor, own: Tensor, **more: object) -> View:
    base = View(
        round=0,
        rounds=4,
        honest=honest,
        own=own,
        past=[],
        seats=tuple(range(len(honest), len(honest) + len(own))),
        best=[],
        models=[torch.zeros(honest.shape[1])],
        draws=torch.Generator().manual_seed(7),
        publish=lambda rows: rows,
        combine=lambda rows: rows.mean(0),
        slope=lambda: torch.ones(honest.shape[1]),
    )
    return replace(base, **more)  # type: ignore[arg-type]


def rows(count: int, dimension: int = 4_810, seed: int = 0) -> Tensor:
    shared = torch.randn(dimension, generator=torch.Generator().manual_seed(seed))
    own = torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed + 1))
    return (shared + 0.5 * own) * 0.01


# The arena


def test_peers_take_the_trainers_steps() -> None:
    manifest, state, beacon = plain(0), Arena(SMALL).state, b"\x07" * 32
    shards = [assigned_indices(task(), manifest, beacon, trainer) for trainer in range(3)]
    peers = Peers(task(), manifest)
    together = peers.train(state.theta, peers.walks(shards))
    for trainer, delta in enumerate(together):
        alone = local_round(task(), manifest, state, beacon, trainer).delta
        assert float((delta - alone).norm() / alone.norm()) < 1e-3


def test_flipped_and_thin_peers_learn_from_what_they_should() -> None:
    manifest = plain(0)
    one_step = replace(manifest, training=replace(manifest.training, steps=1, warmup_steps=0))
    peers, start = Peers(task(), one_step), Arena(SMALL).state.theta
    places = peers.walks([range(64)] * 4)
    honest, flipped, thin, rest = peers.train(start, places, flipped=[1], thin=[2, 3])
    batch = one_step.training.batch
    assert torch.equal(thin, rest) and not torch.equal(thin, honest)
    short = replace(one_step, training=replace(one_step.training, batch=batch // 2))
    assert torch.allclose(thin, Peers(task(), short).train(start, places[:1, : batch // 2])[0], atol=1e-7)
    peers.labels = peers.labels.flip(1)
    assert torch.allclose(flipped, peers.train(start, places[:1])[0], atol=1e-7)


def test_slopes_of_uneven_samples_are_the_networks() -> None:
    peers, network, theta = Peers(task(), plain(0)), Network(task(), 0), Arena(SMALL).state.theta
    samples = [range(5), range(40, 88), [1_000]]
    for slope, own in zip(peers.slopes(theta, samples), samples, strict=True):
        network.theta.copy_(theta)
        assert torch.allclose(slope, network.gradient(task().batch(own)), atol=1e-6)


def test_an_arenas_rows_are_a_verifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round's rows beside :func:`assess` on the same updates, attackers and an unproven one among them."""
    setting = replace(SMALL, attack="sign flip", attackers=2)
    played = Arena(setting)
    unproven = [0]
    whole = Arena.report

    def compared(self: Arena, round_: int, checked: dict, valid: dict, _: object) -> Report:  # type: ignore[type-arg]
        own = whole(self, round_, checked, valid, unproven)
        theirs = assess(
            task(),
            self.manifest,
            self.state,
            checked,
            setting.peers,
            stage._beacon(setting.seed, "training", round_),
            stage._beacon(setting.seed, "assessment", round_),
            unproven,
        ).report
        assert abs(own.loss_micronats - theirs.loss_micronats) <= 1
        for mine, row in zip(own.rows, theirs.rows, strict=True):
            assert mine.verdict is row.verdict
            assert abs(mine.common_gain_micronats - row.common_gain_micronats) <= 1
            assert abs(mine.assigned_gain_micronats - row.assigned_gain_micronats) <= 1
        seen.append(round_)
        return own

    seen: list[int] = []
    monkeypatch.setattr(Arena, "report", compared)
    for round_ in range(setting.rounds):
        played.play(round_)
    assert seen == [0, 1, 2]


def test_held_updates_have_the_bits_of_their_own() -> None:
    manifest = preset("digits", 0)
    for kind in ("topk", "int8"):
        table = manifest.codec.of_kind(kind).table(4_810)
        update = approximate(rows(1)[0], table)
        held, vector = Held(update), rows(1, seed=3)[0]
        assert (
            held.pack() == update.pack() and held.norm() == update.norm() and held.inner(vector) == update.inner(vector)
        )
        assert torch.equal(held.dense(), update.dense()) and (held.sign_keys() == update.sign_keys()).all()
    with pytest.raises(NotFinite):
        Held(approximate(torch.full((4_810,), torch.nan), table)).norm()


@pytest.mark.parametrize("attack", ["copy", "replay", "Sybil split", "disguised split", "noisy copy"])
def test_what_idle_seats_would_have_learnt_is_nobodys_business(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = replace(SMALL, attack=attack, attackers=2)
    skipped = play(setting)
    monkeypatch.setattr(Arena, "work", _everyones_work)
    assert play(setting) == skipped


def _everyones_work(self: Arena, round_: int) -> tuple[Tensor, list[Update]]:
    places = stage._walks(self.setting.seed, self.setting.skew, self.setting.peers, round_)
    deltas = self.peers.train(self.state.theta, places)
    updates, self.residuals = compress_each(deltas[self.honest], self.residuals, self.manifest)
    return deltas, list(updates)


def test_honest_runs_learn_and_are_paid() -> None:
    outcome = play(replace(SMALL, peers=8, rounds=6))
    assert outcome.accuracies[-1] > 0.85
    assert all(verdict is Verdict.OK for round_ in outcome.verdicts for verdict in round_)
    assert min(outcome.paid_wei) > 0 and sum(outcome.paid_wei) <= stage.BUDGET_WEI * 0.8


def test_a_run_is_a_function_of_its_setting() -> None:
    setting = replace(SMALL, attack="noise", attackers=2, skew=DIRICHLET)
    assert play(setting) == play(setting)
    assert play(setting) != play(replace(setting, seed=1))


def test_skewed_parts_share_no_sample_and_leave_nobody_without() -> None:
    parts = stage._parts(3, 16)
    assert sorted(i for part in parts for i in part) == list(range(task().samples))
    assert min(map(len, parts)) >= task().samples / 128
    for trainer, part in enumerate(parts):
        drawn = stage.shard(3, DIRICHLET, 16, 0, trainer)
        assert set(drawn) <= set(part) and len(set(drawn)) == len(drawn)
    assert stage.shard(3, IID, 16, 0, 0) == tuple(
        assigned_indices(task(), plain(3), stage._beacon(3, "training", 0), 0)
    )


def test_coalitions_are_nested_and_their_twins_are_honest() -> None:
    setting = Setting(attack="FOE", attackers=5)
    assert seats_of(setting)[:3] == seats_of(replace(setting, attackers=3))
    assert twin(setting) == replace(setting, attack="", attackers=0)
    assert twin(replace(setting, rule="Krum")) == replace(setting, rule="Krum", attack="")


@pytest.mark.parametrize(
    ("attack", "verdict"),
    [
        ("copy", Verdict.DUPLICATE),
        ("Sybil split", Verdict.DUPLICATE),
        ("explosion", Verdict.OVER_NORM),
        ("NaN", Verdict.NOT_FINITE),
    ],
)
def test_what_checks_are_for_is_met_by_them(attack: str, verdict: Verdict) -> None:
    setting = Setting(attack=attack, attackers=3, peers=8, rounds=6)
    outcome = play(setting)
    seats = seats_of(setting)
    found = {outcome.verdicts[round_][seat] for round_ in range(1, 6) for seat in seats}
    assert verdict in found
    assert sum(outcome.paid_wei[seat] for seat in seats) < 0.5 * sum(outcome.paid_wei) * 3 / 8


# The attacks


def test_vectors_are_what_their_formulas_say() -> None:
    honest, own = rows(5), rows(3, seed=9)
    mu, sigma = honest.mean(0), honest.std(0, correction=0)
    seen = view(honest, own)
    assert torch.equal(ATTACKS["sign flip"].forge(seen), -own)
    assert torch.equal(ATTACKS["explosion"].forge(seen), -100 * own)
    assert torch.equal(ATTACKS["Sybil split"].forge(seen), own[:1].expand(3, -1))
    assert torch.equal(ATTACKS["disguised split"].forge(seen)[0], own[0])
    for name, meant in (("IPM", -0.5 * mu), ("FOE", -4 * mu), ("ALIE", mu - 1.5 * sigma)):
        sent = ATTACKS[name].forge(seen)
        kept = sent != 0
        assert torch.allclose(sent[kept], (meant / 0.65).expand(3, -1)[kept], rtol=1e-4), name
        assert 0.6 < float(kept.float().mean()) < 0.7
    noise = ATTACKS["noise"].forge(seen)
    assert float(noise.norm(dim=1).mean() / honest.norm(dim=1).mean()) == pytest.approx(10, rel=0.05)
    assert not bool(ATTACKS["NaN"].forge(seen).isfinite().all(1).any())


def test_dmpa_sends_the_opposite_of_what_members_do_not_share() -> None:
    own = rows(4, seed=9)
    sent = ATTACKS["DMPA"].forge(view(rows(5), own))[0]
    shared = torch.nn.functional.cosine_similarity(own.mean(0), sent, dim=0)
    assert abs(float(shared)) < 0.2  # of 1 for what all have in common
    apart = torch.zeros(4_810)
    assert torch.allclose(ATTACKS["DMPA"].forge(view(rows(5), own[:1].repeat(3, 1)))[0], apart, atol=1e-6)


def test_the_optimised_attack_goes_where_it_harms_most() -> None:
    honest = rows(5)
    mu, sigma = honest.mean(0), honest.std(0, correction=0)

    def gated(given: Tensor) -> Tensor:  # a rule that drops whatever lies further out than two deviations
        near = (given - mu).norm(dim=1) < 2.2 * sigma.norm()
        return given[near].mean(0)

    sent = ATTACKS["optimised ALIE"].forge(view(honest, rows(3, seed=9), combine=gated))
    kept = sent[0] != 0
    assert torch.allclose(sent[0][kept], ((mu - 2 * sigma) / 0.65)[kept], rtol=1e-3, atol=1e-7)


def test_a_gated_flip_passes_the_gate_and_points_back() -> None:
    honest = rows(5)
    slope = honest.mean(0) + 0.02 * torch.randn(4_810, generator=torch.Generator().manual_seed(3))

    def publish(given: Tensor) -> Tensor:
        return torch.stack([approximate(row, plain(0).codec.table(4_810)).dense() for row in given])

    sent = ATTACKS["gated flip"].forge(view(honest, rows(3, seed=9), slope=lambda: slope, publish=publish))
    assert bool((publish(sent) @ slope > 0).all())
    off = honest.mean(0) - float(honest.mean(0) @ slope) / float(slope @ slope) * slope
    assert float(sent[0] @ off) < 0


def test_replays_are_two_rounds_old_and_sleepers_wake_half_way() -> None:
    own = rows(2, seed=9)
    past = [rows(7, seed=s) for s in (20, 30, 40)]
    later = view(rows(5), own, past=past, round=3)
    assert torch.equal(ATTACKS["replay"].forge(later), past[-OLD][[5, 6]])
    assert torch.equal(ATTACKS["replay"].forge(replace(later, round=1)), own)
    assert torch.equal(ATTACKS["sleeper"].forge(replace(later, round=1)), own)
    assert torch.equal(ATTACKS["sleeper"].forge(replace(later, round=2)), -own)


def test_copies_are_of_the_most_valuable() -> None:
    own, past = rows(2, seed=9), [rows(7, seed=20)]
    later = view(rows(5), own, past=past, best=[3], round=1)
    assert torch.equal(ATTACKS["copy"].forge(later), past[0][[3, 3]])
    permuted = ATTACKS["permuted copy"].forge(later)
    assert torch.equal(permuted[0].sort().values, past[0][3].sort().values)
    assert not torch.equal(permuted[0], permuted[1])
    assert float(ATTACKS["copy"].forge(view(rows(5), own)).norm()) < 1e-3  # nothing to copy yet


def test_disguised_copies_are_no_duplicates_and_plain_ones_are() -> None:
    manifest: Manifest = plain(0)
    row = rows(1)[0]
    seen = view(rows(5), rows(3, seed=9))
    for name, sent, found in (
        ("plain", row.expand(3, -1), [Verdict.OK, Verdict.DUPLICATE, Verdict.DUPLICATE]),
        ("disguised", disguised(row, seen), [Verdict.OK] * 3),
    ):
        updates = {i: approximate(one, manifest.codec.table(len(one))) for i, one in enumerate(sent)}
        checked = {i: inspected(update, manifest) for i, update in updates.items()}
        marked = mark_duplicates(checked, [0, 1, 2], {}, manifest)
        assert [marked[i].verdict for i in range(3)] == found, name


def test_copies_of_what_is_published_pass_for_something_else() -> None:
    manifest = plain(0)
    table_ = manifest.codec.table(4_810)
    published = torch.stack([approximate(row, table_).dense() for row in rows(5)])
    seen = view(published, rows(3, seed=9), past=[published], best=[2], round=1)
    earlier = {i: approximate(row, table_) for i, row in enumerate(published)}
    for name, victim in (("mimic", published[0]), ("noisy copy", published[2])):
        sent = ATTACKS[name].forge(seen)
        assert float(torch.nn.functional.cosine_similarity(sent, victim[None]).min()) > 0.5
        checked = {i: inspected(approximate(row, table_), manifest) for i, row in enumerate(sent)}
        marked = mark_duplicates(checked, [0, 1, 2], earlier, manifest)
        assert [marked[i].verdict for i in range(3)] == [Verdict.OK] * 3, name


def test_every_attack_is_explained_and_can_be_played() -> None:
    for name, attack in ATTACKS.items():
        assert attack.name == name and len(attack.source) > 10
        outcome = play(Setting(attack=name, attackers=2, peers=5, rounds=3))
        assert len(outcome.accuracies) == 3


def test_the_default_is_what_runs_do() -> None:
    spec = plain(0).aggregation
    assert (spec.rule, set(spec.pre)) == (RULES[DEFAULT][0], set(RULES[DEFAULT][1]))


def test_every_rule_can_be_played() -> None:
    accuracies = {rule: play(Setting(rule=rule, attackers=1, peers=6, rounds=4)).accuracies[-1] for rule in RULES}
    assert accuracies[DEFAULT] > 0.8 and len(set(accuracies.values())) > len(RULES) / 2


# The table


GRID = Grid(attacks=("sign flip", "FOE"), rules=(DEFAULT, "mean"), shares=(31,), skews=(IID,), seeds=(0,), rounds=5)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attacks") / "runs.jsonl"
    collect(GRID, path)
    return path


@pytest.fixture(scope="module")
def cells(journal: Path) -> list[Cell]:
    return table(collect(GRID, journal), GRID)


def test_the_default_withstands_what_a_mean_does_not(cells: list[Cell]) -> None:
    found = {(cell.attack, cell.rule): cell for cell in cells}
    assert found["FOE", "mean"].lost[0] > 30 and not found["FOE", "mean"].harmless
    assert found["FOE", DEFAULT].lost[0] < 5
    for cell in cells:
        assert cell.attackers == 5 and cell.pay[0] < 0.1 and cell.captured[0] < 0.05


def test_a_cell_compares_with_the_same_seats_in_the_honest_run(journal: Path) -> None:
    runs = collect(GRID, journal)
    setting = GRID.setting("FOE", "mean", 31, IID, 0)
    run, honest, seats = runs[setting], runs[twin(setting)], seats_of(setting)
    found = next(cell for cell in table(runs, GRID) if (cell.attack, cell.rule) == ("FOE", "mean"))
    assert found.lost == (100 * (honest.accuracy - run.accuracy),)
    assert found.pay == (sum(run.paid_ppb[i] for i in seats) / sum(honest.paid_ppb[i] for i in seats),)
    assert measure(setting) == run


def test_a_table_goes_on_where_it_was_interrupted(journal: Path, tmp_path: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + len(GRID.settings()) == 7
    part = tmp_path / "runs.jsonl"
    part.write_text("".join(lines[:-2]) + lines[-1][:50])  # killed while writing
    seen: list[str] = []
    assert collect(GRID, part, 2, seen.append) == collect(GRID, journal)  # two processes give what one does
    assert sorted(part.read_text().splitlines()) == sorted(journal.read_text().splitlines())
    assert len(seen) == len(GRID.settings())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda lines: ["{}", *lines[1:]], "other attacks or another recipe"),
        (lambda lines: [*lines, "[]"], "no journal of runs"),
        (lambda lines: [lines[0], '{"setting": {"attack": "FOE", "planet": 3}}'], "no journal of runs"),
        (lambda lines: ["noise"], "no journal of runs"),
    ],
)
def test_other_journals_are_refused(
    journal: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], complaint: str
) -> None:
    other = tmp_path / "runs.jsonl"
    other.write_text("\n".join(change(journal.read_text().splitlines())) + "\n")
    with pytest.raises(SettingsError, match=complaint):
        collect(GRID, other)


def test_harmless_is_what_costs_little_and_pays_no_more_than_honesty(cells: list[Cell]) -> None:
    good = replace(cells[0], attack="FOE", lost=(2.9, 3.1), pay=(0.9, 1.1))
    assert good.harmless
    assert not replace(good, lost=(3.0, 3.2)).harmless
    assert not replace(good, pay=(1.0, 1.2)).harmless
    bad = replace(good, attack="ALIE", lost=(4.0,))
    helper = replace(bad, attack="pooled")
    assert harmless([good, bad, helper]) == {good.where: ["FOE"]}


def test_the_page_is_one_by_itself(cells: list[Cell], tmp_path: Path) -> None:
    first, again = tmp_path / "a.html", tmp_path / "b.html"
    drawn = write_page(first, cells, 5, 1)
    write_page(again, cells, 5, 1)
    page = first.read_text()
    assert page == again.read_text()
    assert page.count("<svg") == len(drawn) == 3
    assert 'src="http' not in page and "<script" not in page and "<link" not in page
    assert "Xie et al., 2020" in page
