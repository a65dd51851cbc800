"""The house: a module imports only from floors below its own, and the workflow graph is built without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# Ground to top. A room stands for all of its modules, which may import one another; the empty name is lasnn itself.
FLOORS = [
    ["console", "errors", "seeding", "stopping"],
    ["plan", "storage"],
    ["datasets", "networks"],
    ["spiking"],
    ["distillation"],
    ["training"],
    ["report"],
    ["pipeline"],
    ["loading"],
    ["__main__", ""],
]
FLOOR = {module: height for height, floor in enumerate(FLOORS) for module in floor}
SOURCES = sorted(Path("lasnn").rglob("*.py"))


def room(path: Path) -> str:
    """The module or package directly below lasnn that a file belongs to; empty for lasnn itself."""
    first = path.relative_to("lasnn").parts[0]
    return first.removesuffix(".py") if first != "__init__.py" else ""


def imported(path: Path) -> set[str]:
    """Rooms of lasnn that a file imports anywhere, also inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "lasnn":
            names = [f"lasnn.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        rooms |= {name.split(".")[1] for name in names if name.startswith("lasnn.")}
    return rooms


def test_every_module_has_a_floor():
    assert {room(path) for path in SOURCES} == set(FLOOR)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_go_down(path):
    own = room(path)
    upward = {other for other in imported(path) if other != own and FLOOR[other] >= FLOOR[own]}
    assert not upward, f"{path} imports {upward} from its own floor or above"


def test_the_plan_is_made_without_torch():
    heavy = "'torch' in sys.modules or 'matplotlib' in sys.modules"
    code = f"import sys, lasnn.pipeline.workflow, lasnn.report; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_file_outgrows_its_subject():
    long = {str(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: lines for path, lines in long.items() if lines > 320} == {}


def test_vocabulary_and_code_know_the_same_names():
    from lasnn.distillation import objectives
    from lasnn.networks import FAMILIES
    from lasnn.plan import vocabulary
    from lasnn.spiking import encoders

    assert set(encoders.ENCODERS) == set(vocabulary.ENCODERS)
    assert set(objectives.OBJECTIVES) == {name for name, method in vocabulary.METHODS.items() if method.trained}
    assert {architecture.family for architecture in vocabulary.NETWORKS.values()} == set(FAMILIES)
