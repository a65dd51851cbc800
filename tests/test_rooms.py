"""The house: eleven rooms on floors, each importing only from rooms below it; who may know torch, Snakemake and DVC."""

import ast
import graphlib
from pathlib import Path

import pytest
from tiny import python

# Ground to top. Modules of one room may import one another; rooms on the same floor may not.
FLOORS = [
    ["errors", "seeding", "stopping", "console", "optimizers", "cards"],
    ["compiled", "plan", "storage"],
    ["datasets", "networks"],
    ["results"],
    ["spiking", "distillation"],
    ["training"],
    ["report"],
    ["pipeline"],
    ["loading"],
    ["verbs"],
    ["__init__", "__main__"],
]
FLOOR = {room: height for height, floor in enumerate(FLOORS) for room in floor}
SOURCES = sorted(Path("lasnn").rglob("*.py"))
OF_PIPELINE = {"snakemake", "dvc", "papermill", "nbconvert"}  # tools that no other room knows
WITHOUT_TORCH = ["plan", "results", "report", "pipeline"]  # the workflow's graph is built from them


def room(path: Path) -> str:
    """The room that a file belongs to, or the name of a door (a module directly below lasnn)."""
    return path.relative_to("lasnn").parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[int, str]]:
    """Line and full name of everything that a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            if node.module == "lasnn":
                names = [f"lasnn.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
            found += [(node.lineno, name) for name in names]
    return found


def test_every_module_has_a_floor():
    assert {room(path) for path in SOURCES} == set(FLOOR)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_go_down(path):
    own = room(path)
    for line, name in imported(path):
        other = name.split(".")[1] if name.startswith("lasnn.") else own
        assert other == own or FLOOR[other] < FLOOR[own], f"{path}:{line} imports {name} from its own floor or above"
        if own not in ("pipeline", "__main__"):
            assert name.split(".")[0] not in OF_PIPELINE, f"{path}:{line} imports {name}: only lasnn/pipeline/ may"


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_the_plan_is_made_without_torch(name):
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in SOURCES if room(path) == name]
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module(name)
    heavy = {{"torch", "scipy", "matplotlib", "snakemake", "dvc"}} & set(sys.modules)
    sys.exit(f"{{name}} loads {{', '.join(sorted(heavy))}}") if heavy else None
"""
    python(".", "-c", code)


def test_modules_import_one_another_in_no_circle():
    """Imports at the top of a file; those for types alone don't count."""
    modules = {".".join(path.with_suffix("").parts): path for path in SOURCES if path.name != "__init__.py"}
    graph = {}
    for name, path in modules.items():
        graph[name] = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                graph[name] |= names & modules.keys()
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules)  # CycleError names a circle


def test_no_file_outgrows_its_subject():
    long = {str(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: lines for path, lines in long.items() if lines > 400} == {}


def test_vocabulary_and_code_know_the_same_names():
    from lasnn.distillation import objectives
    from lasnn.networks import FAMILIES
    from lasnn.plan import vocabulary
    from lasnn.spiking import encoders

    assert set(encoders.ENCODERS) == set(vocabulary.ENCODERS)
    assert set(objectives.OBJECTIVES) == {name for name, method in vocabulary.METHODS.items() if method.trained}
    assert {architecture.family for architecture in vocabulary.NETWORKS.values()} == set(FAMILIES)


def test_the_engine_stands_alone():
    """In a bare process: the engine and what it rests on, nothing of the pipeline, of reports or of settings."""
    code = "import sys; from lasnn.spiking import LIF, spiking, balance, evaluate; print(*sys.modules)"
    loaded = python(".", "-c", code).split()
    ours = {name for name in loaded if name.startswith("lasnn.")}
    assert {name.split(".")[1] for name in ours} <= {*FLOORS[0], *FLOORS[1], "datasets", "networks", "spiking"}
    assert {name for name in ours if name.startswith("lasnn.plan.")} <= {"lasnn.plan.vocabulary"}
    assert not {"pydantic", "pandas", "snakemake", "dvc", "PIL", "matplotlib"} & set(loaded)
