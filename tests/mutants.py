"""Mutation testing: `python -m tests.mutants --rooms training --count 60 --minutes 8`.

A sample of so many changes in each room is tried, each against the tests that run its lines, fast ones first, up to
`--limit` seconds of them: in a copy of the tree, in a process forked from one that has imported torch. Which tests run
a line is known from one run of each file of tests under coverage. All is kept in .pytest_cache/mutants: the same call
goes on, and tries anew what survived. tests/equivalent_mutants.txt: those that no test can see, each with its reason.
"""

import argparse
import ast
import hashlib
import importlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path
from xml.etree import ElementTree

import coverage
import pytest

from tests.mutations import Mutant, mutants

ROOMS = {name: [name] for name in ("training", "spiking", "distillation", "networks", "compiled", "datasets")}
ROOMS |= {"statistics": ["report/statistics.py", "report/crossed.py", "report/paired.py"]}
ROOMS |= {"energy": ["results/energy.py", "report/exhibits/energy.py"]}
ROOMS |= {"claims": [f"report/{name}.py" for name in ("claims", "questions", "judged", "speedup", "exhibits/claims")]}
ROOMS |= {"rows": ["report/columns.py", "report/frame.py", "plan/cells.py"]}
ROOMS |= {"overlays": ["plan/overlays.py", "plan/options.py", "plan/config.py"]}
GPU = ("triton_scan.py", "triton_pool.py", "precision.py")  # what can't be tried here
SLOW = ("pipeline", "slurm", "faults")  # whose tests start processes, which coverage doesn't see
KEPT = Path(".pytest_cache/mutants").absolute()


def covered(until: float) -> tuple[dict[str, dict[int, set[str]]], Counter[str]]:
    """The tests of each file and line, and their seconds; measured where they, or anything of lasnn, have changed."""
    lines, seconds = {}, Counter()
    code = b"".join(source.read_bytes() for source in sorted(Path("lasnn").rglob("*.py")))
    for path in sorted(path for path in Path("tests").rglob("test_*.py") if path.parts[1] not in SLOW):
        data = KEPT / f"{path.stem}-{hashlib.sha256(code + path.read_bytes()).hexdigest()[:16]}"
        if not (times := data.with_suffix(".xml")).exists():
            if time.monotonic() > until:
                raise SystemExit("not all tests are mapped yet: the same call goes on")
            run = [sys.executable, "-m", "coverage", "run", f"--data-file={data}", "-m", "pytest", "-q", "-n", "0"]
            subprocess.run([*run, f"--junitxml={times}.part", path], stdout=subprocess.DEVNULL)
            os.replace(f"{times}.part", times)
        for case in ElementTree.parse(times).iter("testcase"):  # one that fails as it is tells nothing
            failed = any(child.tag in ("failure", "error") for child in case)
            seconds[f"{path}::{case.get('name').split('[')[0]}"] += math.inf if failed else float(case.get("time"))
        (seen := coverage.CoverageData(str(data))).read()
        for file in seen.measured_files():
            for line, contexts in seen.contexts_by_lineno(file).items():
                tests = seconds.keys() & {f"{path}::{context.rpartition('.')[2]}" for context in contexts}
                lines.setdefault(str(Path(file).relative_to(Path.cwd())), {}).setdefault(line, set()).update(tests)
    return lines, seconds


def tests_of(mutant: Mutant, lines: dict[str, dict[int, set[str]]]) -> set[str]:
    """Those that run its lines, of a function; else (a constant, a fixture, numba) its file's, else its room's."""
    own, near = lines.get(mutant.file, {}), os.path.dirname(mutant.file)
    code = [node for node in ast.walk(ast.parse(Path(mutant.file).read_bytes())) if isinstance(node, ast.FunctionDef)]
    span = range(mutant.line, mutant.line + mutant.old.count("\n") + 1)
    places = [own.get(line, set()) for line in span if any(f.body[0].lineno <= line <= f.end_lineno for f in code)]
    room = [tests for file in lines if file.startswith(near) for tests in lines[file].values()]
    return set().union(*places) or set().union(*own.values()) or set().union(*room)


def attempt(mutant: Mutant, tests: list[str], patience: float) -> str:
    """What becomes of it: killed, survived or timeout."""
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        apart = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".snakemake", ".dvc")
        tree = Path(shutil.copytree(".", f"{folder}/tree", copy_function=os.link, symlinks=True, ignore=apart))
        (tree / ".git").symlink_to(Path(".git").absolute())
        source, (start, old) = (tree / mutant.file).read_bytes(), (mutant.start, mutant.old.encode())
        (tree / mutant.file).unlink()
        (tree / mutant.file).write_bytes(source[:start] + mutant.new.encode() + source[start + len(old) :])
        if not (child := os.fork()):
            os.setsid()
            os.chdir(tree)
            signal.alarm(int(patience))
            os.dup2(os.dup2(os.open(f"{folder}/said.txt", os.O_WRONLY | os.O_CREAT), 1), 2)
            os._exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=short", *tests]))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "survived", -signal.SIGALRM: "timeout"}.get(status, "killed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--rooms", nargs="+", default=list(ROOMS), choices=ROOMS)
    for name, value in {"count": 30, "seed": 0, "jobs": 1, "limit": 60.0, "minutes": 1e6}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options, until = parser.parse_args(), time.monotonic()
    until += 60 * options.minutes
    for heavy in ("numba", "pandas", "scipy.stats", "torch"):  # before the forks
        importlib.import_module(heavy)
    KEPT.mkdir(parents=True, exist_ok=True)
    (results := KEPT / "results.txt").touch()
    known = dict(line.split(" | ", 1)[::-1] for line in results.read_text().splitlines())
    known |= dict.fromkeys(Path("tests/equivalent_mutants.txt").read_text().splitlines()[::2], "equivalent")
    lines, seconds = covered(until)
    wanted: dict[str, list[Mutant]] = {}
    for room in options.rooms:
        paths = [path for part in ROOMS[room] for path in (Path("lasnn", part), *Path("lasnn", part).rglob("*.py"))]
        if gone := [str(path) for path in map(Path("lasnn").joinpath, ROOMS[room]) if not path.exists()]:
            parser.error(f"room {room}: no {', '.join(gone)}; say in ROOMS where it is now")
        found = [m for path in sorted(paths) if path.is_file() and path.name not in GPU for m in mutants(str(path))]
        random.Random(f"{options.seed} {room}").shuffle(found)
        wanted[room] = list({(m.file, m.line): m for m in found}.values())[: options.count]

    def judge(mutant: Mutant) -> None:
        tests = tests_of(mutant, lines)
        order = sorted((test for test in tests if seconds[test] < options.limit), key=seconds.get)
        while sum(spent := [seconds[test] for test in order]) > options.limit:
            order.pop()
        if time.monotonic() < until:
            now = known[str(mutant)] = attempt(mutant, order, 60 + 8 * sum(spent)) if order else "survived"
            results.open("a").write(f"{now} | {mutant}\n")
            print(f"{now} {mutant.file}:{mutant.line}: {mutant.old} -> {mutant.new}", flush=True)

    todo = [m for room in wanted.values() for m in room if known.get(str(m)) in (None, "survived")]
    ThreadPool(options.jobs).map(judge, sorted(todo, key=lambda m: str(m) in known), chunksize=1)
    for room, found in wanted.items():
        print(f"{room}: {dict(sorted(Counter(known.get(str(m), 'left') for m in found).items()))}")
    print("", *(str(m) for room in wanted.values() for m in room if known.get(str(m)) == "survived"), sep="\n")


if __name__ == "__main__":
    main()
