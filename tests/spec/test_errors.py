"""The error tree at the top of errors.py is the tree."""

from __future__ import annotations

import inspect
import re

from gradmint.spec import errors


def test_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:\|  |   )*)(?:\|- |`- )?([A-Z]\w+)", line)
        if found is None:
            continue
        depth = (found.start(2) - 4) // 3
        branch[depth:] = [found[2]]
        drawn[found[2]] = branch[depth - 1] if depth else "Exception"
    defined = {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert drawn == defined


def test_divergence_names_round_row_and_both_values() -> None:
    divergence = errors.Divergence(7, "root", "aa", "bb", "re-execution gives another value")
    assert str(divergence) == "round 7, root: expected aa, found bb: re-execution gives another value"
    assert (divergence.round, divergence.row, divergence.expected, divergence.found) == (7, "root", "aa", "bb")
    assert str(errors.Divergence(None, "escrow", 2, 1, "short")).startswith("run, escrow")


def test_reverted_carries_the_contracts_words() -> None:
    refusal = errors.Reverted("Overdue(5, 6)", "Overdue", (5, 6))
    assert (str(refusal), refusal.name, refusal.operands) == ("Overdue(5, 6)", "Overdue", (5, 6))
    assert (errors.Reverted("no reason").name, errors.Reverted("no reason").operands) == ("", ())
