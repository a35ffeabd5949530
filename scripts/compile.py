#!/usr/bin/env python3
"""Compile contracts/ with py-solc-x and write the artifacts that the package ships.

    python scripts/compile.py            write src/gradmint/abi/*.json and .build/test/*.json
    python scripts/compile.py --test     write .build/test/*.json only
    python scripts/compile.py --check    exit 1 when a shipped artifact is stale; with --test write those first
    python scripts/compile.py --setup    only let ape find anvil and the compiler

A native solc that py-solc-x has, or can install, is preferred; otherwise the npm one does the same work more slowly.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import solcx

ROOT = Path(__file__).resolve().parent.parent
VERSION = "0.8.37"
SHIM = ROOT / "scripts" / "solc"
SHIPPED = ROOT / "src" / "gradmint" / "abi"
BUILD = ROOT / ".build"
CONTRACTS = {
    "Runs": "contracts/Runs.sol",
    "Stakes": "contracts/Stakes.sol",
    "Rounds": "contracts/Rounds.sol",
    "Settlement": "contracts/Settlement.sol",
    "Transition": "contracts/Transition.sol",
    "Reputation": "contracts/Reputation.sol",
    "Certificates": "contracts/Certificates.sol",
    "DevToken": "contracts/dev/DevToken.sol",
}
FOR_FORGE = ("contracts/test/forge/", "contracts/proofs/")  # forge and halmos compile these
SETTINGS = {
    "evmVersion": "prague",
    "viaIR": True,
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "remappings": ["@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/", "solady/=node_modules/solady/"],
}
#: How often the optimizer takes each operation to be executed: what is larger costs less gas and more bytes, and Rounds
#: would exceed the 24,576 bytes of EIP-170.
RUNS = {"contracts/Rounds.sol": 1_000}
RUNS_ELSEWHERE = 1_000_000
OUTPUT = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]


def find_solc() -> Path:
    """Native compiler if py-solc-x has it or can fetch it, else the shim around the npm package."""
    if VERSION in {str(version) for version in solcx.get_installed_solc_versions()}:
        native = solcx.install.get_executable(VERSION)
        if not _is_shim(native):
            return native
    if not os.environ.get("GRADMINT_SOLC_OFFLINE"):
        try:
            solcx.install_solc(VERSION)
            return solcx.install.get_executable(VERSION)
        except Exception as error:  # py-solc-x lets requests' and its own errors through alike
            print(f"compile: no native solc {VERSION} ({type(error).__name__}); using the npm package", file=sys.stderr)
    return SHIM


def _is_shim(executable: Path) -> bool:
    with executable.open("rb") as file:
        return file.read(2) == b"#!"


def setup_ape() -> None:
    """Let plain ``ape compile`` and ``ape run`` find this folder's anvil, and its compiler where none is native.

    ape looks for anvil on PATH and for compilers in SOLCX_BINARY_PATH; a .pth file sets both in this virtual
    environment.
    """
    link = BUILD / "solc" / f"solc-v{VERSION}"
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(SHIM, link.parent)
    if not (link.is_symlink() and os.readlink(link) == target):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    tools = str(ROOT / "node_modules" / ".bin")
    lines = f"import os; os.environ['PATH'] = os.environ.get('PATH', '') + os.pathsep + {tools!r}"
    if find_solc() == SHIM:
        lines += f"; os.environ.setdefault('SOLCX_BINARY_PATH', {str(link.parent)!r})"
    if sys.prefix != sys.base_prefix:
        (Path(sysconfig.get_paths()["purelib"]) / "gradmint_toolchain.pth").write_text(lines + "\n")


def compile_sources(solc: Path) -> dict[str, dict[str, Any]]:
    """Source path and contract name, joined by a colon -> abi, bytecode, deployed size."""
    found = (path.relative_to(ROOT).as_posix() for path in (ROOT / "contracts").rglob("*.sol"))
    paths = sorted(path for path in found if not path.startswith(FOR_FORGE))
    if not (ROOT / "node_modules" / "solc").exists():
        sys.exit("compile: node_modules is missing; run 'npm install --no-audit --no-fund'")
    compiled: dict[str, dict[str, Any]] = {}
    messages: dict[str, None] = {}
    for runs in sorted({RUNS.get(path, RUNS_ELSEWHERE) for path in paths}):
        try:
            answer = _standard(solc, paths, runs)
        except solcx.exceptions.SolcError as refusal:
            sys.exit(f"compile: {refusal.message}")
        for error in answer.get("errors", []):
            # Dependencies' warnings are theirs.
            if error.get("sourceLocation", {}).get("file", "").startswith("contracts/"):
                messages[error["formattedMessage"]] = None
        compiled |= {path: made for path, made in answer["contracts"].items() if RUNS.get(path, RUNS_ELSEWHERE) == runs}
    for message in messages:
        print(message, file=sys.stderr)
    return {
        f"{path}:{name}": {
            "abi": contract["abi"],
            "bytecode": "0x" + contract["evm"]["bytecode"]["object"],
            "size_bytes": len(contract["evm"]["deployedBytecode"]["object"]) // 2,
        }
        for path, contracts in sorted(compiled.items())
        for name, contract in sorted(contracts.items())
    }


def _standard(solc: Path, paths: list[str], runs: int) -> dict[str, Any]:
    """Of all sources, output for those of ``paths`` that are optimized for so many runs."""
    chosen = [path for path in paths if RUNS.get(path, RUNS_ELSEWHERE) == runs]
    return solcx.compile_standard(
        {
            "language": "Solidity",
            "sources": {path: {"content": (ROOT / path).read_text()} for path in paths},
            "settings": SETTINGS
            | {
                "optimizer": {"enabled": True, "runs": runs},
                "outputSelection": {path: {"*": OUTPUT} for path in chosen},
            },
        },
        solc_binary=solc,
        base_path=str(ROOT),
        allow_paths=str(ROOT),
    )


def render(artifact: dict[str, Any]) -> str:
    """The shipped form: ABI sorted by kind, name and inputs, one entry a line, so that diffs can be read."""
    entries = sorted(
        (json.dumps(entry, sort_keys=True, separators=(",", ":")) for entry in artifact["abi"]),
        key=lambda line: ((entry := json.loads(line))["type"], entry.get("name", ""), line),
    )
    return '{"abi":[\n' + ",\n".join(entries) + '\n],\n"bytecode":"' + str(artifact["bytecode"]) + '"}\n'


def write(texts: dict[Path, str]) -> None:
    """Each file at once or not at all: tests may run in several processes."""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        half_written = path.with_suffix(f".{os.getpid()}")
        half_written.write_text(text)
        half_written.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when shipped artifacts are stale")
    parser.add_argument("--test", action="store_true", help="write only what the contract tests need")
    parser.add_argument("--setup", action="store_true", help="only let ape find anvil and the compiler")
    options = parser.parse_args()

    if options.setup:
        setup_ape()
        return 0
    solc = find_solc()
    print(f"compile: solc {VERSION} from {solc}", file=sys.stderr)
    os.chdir(ROOT)
    compiled = compile_sources(solc)

    shipped = {name: render(compiled[f"{path}:{name}"]) for name, path in CONTRACTS.items()}
    sizes = {name: compiled[f"{path}:{name}"]["size_bytes"] for name, path in CONTRACTS.items()}
    wanted = {SHIPPED / f"{name}.json": text for name, text in shipped.items()}
    wanted[ROOT / "snapshots" / "sizes.json"] = json.dumps(sizes, indent=2, sort_keys=True) + "\n"
    tests = {
        BUILD / "test" / f"{name.split(':')[1]}.json": render(artifact)
        for name, artifact in compiled.items()
        if name.startswith("contracts/test/")
    }
    if options.test or not options.check:
        write(tests)
    if options.check:
        stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        for path in stale:
            print(f"compile: {path.relative_to(ROOT)} is stale; run 'python scripts/compile.py'", file=sys.stderr)
        return 1 if stale else 0
    if options.test:
        return 0

    write(wanted)
    for name, size in sizes.items():
        print(f"compile: {name} {size} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
