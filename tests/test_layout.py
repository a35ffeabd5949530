"""The architecture as a test: who may import whom, what no file may contain, and where the README's links lead."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "gradmint"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
IDS = [path.relative_to(PACKAGE).as_posix() for path in MODULES]

MAX_LINES = 450

# What each room may import of the other rooms. Rooms that are not named here may import everything.
MAY_IMPORT = {
    "spec": set(),
    "learn": {"spec"},
    "ports": {"spec"},
    "sim": {"spec"},
    "roles": {"spec", "learn", "ports", "reputation"},
    "adversary": {"spec", "learn", "roles"},
    "reputation": {"spec"},
    "study": {"spec", "learn", "reputation"},
}

# The pure layer: no clock, no randomness, no files, no network, no floats' functions.
PURE = {"__future__", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib", "itertools", "typing"}
INTEGER_MATH = {"math.isqrt"}  # of a module whose other functions are floats'

# Libraries that talk to the outside, and the rooms that may.
OUTSIDE = {
    "web3": {"ports"},
    "ape": {"ports"},
    "ipfshttpclient": {"ports"},
    "websockets": {"ports"},
    "requests": {"ports"},
    "urllib3": {"ports"},
    "eth_account": {"ports", "cli"},
}

# Objects from strangers' bytes; and modules whose whole purpose that is.
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "numpy.load", "np.load", "os.system"}


def room(path: Path) -> str:
    """``spec`` of ``.../gradmint/spec/tree.py``; empty for files at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(tree: ast.AST, module: str, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """(absolute dotted name, line) of everything imported anywhere in the file, also late and for typing only."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            yield base, node.lineno
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    return imports(ast.parse(path.read_text()), name_of(path), path.name == "__init__.py")


def called(node: ast.Call) -> str:
    """``torch.load`` of ``torch.load(...)``; empty for calls of anything but dotted names."""
    parts, target = [], node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    return ".".join(reversed([*parts, target.id])) if isinstance(target, ast.Name) else ""


def bounded_polls(tree: ast.AST) -> set[ast.AST]:
    """Everything in a ``while`` of a function that watches the clock as well, or in a ``for`` over a literal tuple.

    Some of what ports wait for gives no event: a shared directory, a node without websocket.
    """
    loops: list[ast.AST] = [n for n in ast.walk(tree) if isinstance(n, ast.For) and isinstance(n.iter, ast.Tuple)]
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            inside = list(ast.walk(function))
            if any(isinstance(node, ast.Call) and called(node) == "time.monotonic" for node in inside):
                loops += [node for node in inside if isinstance(node, ast.While)]
    return {node for loop in loops for node in ast.walk(loop)}


def offences(source: str, own_room: str) -> Iterator[str]:
    """What no file of the package may do, ``line: what``."""
    tree = ast.parse(source)
    polls = bounded_polls(tree) if own_room == "ports" else set()
    for name, line in imports(tree, "any"):
        if name.partition(".")[0] in FORBIDDEN_MODULES:
            yield f"{line}: import of {name}"
        if name == "time.sleep":
            yield f"{line}: import of time.sleep"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = called(node)
            if name in FORBIDDEN_CALLS:
                yield f"{node.lineno}: call of {name}"
            if name == "time.sleep" and node not in polls:
                yield f"{node.lineno}: call of time.sleep, not in a port's bounded poll"
            for keyword in node.keywords:
                if keyword.arg in ("allow_pickle", "shell") and getattr(keyword.value, "value", None) is not False:
                    yield f"{node.lineno}: {keyword.arg}"
        elif isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            empty = all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
            if node.type is None:
                yield f"{node.lineno}: bare except"
            elif broad and empty:
                yield f"{node.lineno}: swallowed {node.type.id}"  # type: ignore[attr-defined]  # a Name, see above


def floats(source: str) -> Iterator[str]:
    """Where a source computes in floating point, ``line: what``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"{node.lineno}: {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{node.lineno}: true division"
        elif isinstance(node, ast.Name) and node.id in ("float", "complex"):
            yield f"{node.lineno}: {node.id}"


def crossings(path: Path) -> Iterator[str]:
    """Imports of this file that point into a room it may not know."""
    own = room(path)
    for name, line in imports_of(path):
        parts = name.split(".")
        if parts[0] == "gradmint" and len(parts) > 1 and own in MAY_IMPORT:
            target = parts[1]
            if target != own and target not in MAY_IMPORT[own] and (PACKAGE / target).exists():
                yield f"{line}: {own} imports {name}"


# The checks themselves: each finds what it is for


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import joblib.numpy_pickle",
        "eval('1')",
        "exec(compile('', '', 'exec'))",
        "torch.load(path)",
        "np.load(path)",
        "numpy.ndarray.tofile(allow_pickle=True)",
        "subprocess.run(x, shell=True)",
        "try:\n    f()\nexcept:\n    raise",
        "try:\n    f()\nexcept Exception:\n    pass",
        "for x in y:\n    try:\n        f()\n    except BaseException:\n        continue",
        "time.sleep(1)",
        "from time import sleep",
        "def napping():\n    time.sleep(1)",
    ],
)
def test_offences_are_found(source: str) -> None:
    assert list(offences(source, "ports"))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "ast.literal_eval('1')",
        "try:\n    f()\nexcept OSError:\n    pass",
        "try:\n    f()\nexcept Exception as error:\n    raise ValueError from error",
        "np.save(path, array, allow_pickle=False)",
        "self._event.wait(1)",
    ],
)
def test_what_is_no_offence_is_not_found(source: str) -> None:
    assert not list(offences(source, "ports"))


def test_only_a_ports_bounded_poll_sleeps() -> None:
    loop = "    while not ready():\n        time.sleep(pause_s)\n"
    bounded = "def wait(self):\n    give_up_s = time.monotonic() + 1\n" + loop
    assert not list(offences(bounded, "ports"))
    assert not list(offences("for pause_s in (0.0, 0.003):\n    time.sleep(pause_s)", "ports"))
    assert list(offences(bounded, "roles"))
    assert list(offences("def wait(self):\n" + loop, "ports"))
    assert list(offences(bounded.replace("while", "if"), "ports"))


@pytest.mark.parametrize("source", ["x = 1.5", "y = a / b", "a /= 2", "float(x)", "def f(x: float): ..."])
def test_floats_are_found(source: str) -> None:
    assert list(floats(source))


def test_imports_are_resolved() -> None:
    source = (
        "import a.b\nfrom . import c\nfrom ..ports.chain import Call\nfrom .types import Row as R\ndef f():\n import d"
    )
    found = {name for name, _ in imports(ast.parse(source), "gradmint.roles.driver")}
    assert found == {
        "a.b",
        "gradmint.roles",
        "gradmint.roles.c",
        "gradmint.ports.chain",
        "gradmint.ports.chain.Call",
        "gradmint.roles.types",
        "gradmint.roles.types.Row",
        "d",
    }
    package = imports(ast.parse("from . import x\nfrom ..spec import y"), "gradmint.learn", is_package=True)
    assert {name for name, _ in package} == {"gradmint.learn", "gradmint.learn.x", "gradmint.spec", "gradmint.spec.y"}


# The house


def test_there_is_a_house_to_look_at() -> None:
    assert {"spec", "learn", "ports", "roles", "adversary"} <= {room(path) for path in MODULES}
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_imports_point_downward(path: Path) -> None:
    assert not list(crossings(path))


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_the_outside_is_met_in_ports_only(path: Path) -> None:
    met = [
        f"{line}: {name}"
        for name, line in imports_of(path)
        if room(path) not in OUTSIDE.get(name.split(".")[0], {room(path)})
    ]
    assert not met


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_no_offences(path: Path) -> None:
    assert not list(offences(path.read_text(), room(path)))


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_files_stay_readable(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: ask whether it is two concepts"


SPEC = [path for path in MODULES if room(path) == "spec"]
SPEC_IDS = [path.name for path in SPEC]


@pytest.mark.parametrize("path", SPEC, ids=SPEC_IDS)
def test_spec_imports_the_standard_librarys_pure_part_and_itself(path: Path) -> None:
    named = list(imports_of(path))
    whole = {line for name, line in named if name in INTEGER_MATH}
    for name, line in named:
        top = name.split(".")[0]
        is_pure = top in PURE or name in INTEGER_MATH or (name == "math" and line in whole)
        assert top == "gradmint" or (is_pure and top in sys.stdlib_module_names), f"{line}: {name}"


@pytest.mark.parametrize("path", SPEC, ids=SPEC_IDS)
def test_floats_stop_before_spec(path: Path) -> None:
    assert not list(floats(path.read_text()))


def test_specs_arrows_have_no_circle() -> None:
    known = {name_of(path) for path in SPEC}
    graph = {name_of(path): {name for name, _ in imports_of(path)} & known - {name_of(path)} for path in SPEC}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == known
    assert order.index("gradmint.spec.types") < order.index("gradmint.spec.mechanism")


def test_readmes_links_lead_somewhere() -> None:
    links = [
        link.partition("#")[0]
        for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())
        if not re.match(r"[a-z]+:|#", link)
    ]
    if not links:
        pytest.skip("the README has no links yet")
    assert not [link for link in links if not (ROOT / link).exists()]
