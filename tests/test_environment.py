"""environment.yml, pyproject.toml and uv.lock say the same, and nothing is installed that nothing uses."""

import re
import tomllib
from pathlib import Path

import pytest

from tests import pins

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())

GROUPS = PROJECT["dependency-groups"]
PIPELINE, BESIDE = pins.direct(), [*GROUPS["dev"], *GROUPS["crate"]]
NAMES = [pin.partition("==")[0] for pin in (*PIPELINE, *GROUPS["dev"])]
# How a package shows in the project's own text, where that is not `import <its name>`.
SHOWS = {
    "furo": '"html_theme": "furo"',
    "myst-parser": '"myst_parser"',
    "scikit-learn": "from sklearn",
    "pillow": "from PIL",
    "pyyaml": "import yaml",
    "ruamel-yaml": "from ruamel.yaml",
    "lazy-loader": "import lazy_loader",
    "tabulate": "to_markdown(",  # pandas loads it for that
    "jinja2": "to_latex(",  # pandas loads it for that
    "dvc": "dvc ",
    "ipykernel": '"ipykernel_launcher"',  # the kernel that papermill starts
    "nbconvert": "nbconvert ",
    "ruff": "ruff check",
    "snakefmt": "snakefmt",
    "pytest-xdist": "--numprocesses auto",
    "pre-commit": "pre-commit install",
    "mypy": "mypy",
    "pandas-stubs": "import pandas",  # what mypy knows of these packages
    "scipy-stubs": "from scipy",
    "types-tqdm": "from tqdm",
}


def test_every_direct_dependency_is_pinned():
    """As uv.lock has it: else `uv run --locked` refuses. So is the torch that the line about a missing one names."""
    locked = {package["name"]: package["version"] for package in LOCK["package"]}
    for pin in (*PIPELINE, *BESIDE):
        assert re.fullmatch(r"[a-z0-9-]+==[0-9]+(\.[0-9]+)*", pin)
        name, version = pin.split("==")
        assert locked[name] == version
    wanted = " ".join(f"{name}=={locked[name].partition('+')[0]}" for name in ("torch", "torchvision"))
    assert wanted in (ROOT / "lasnn" / "__init__.py").read_text()


@pytest.mark.skipif(not pins.uv(), reason="needs uv")
def test_conda_file_is_what_its_script_writes():
    assert (ROOT / "environment.yml").read_text() == pins.text(), "run `python -m tests.pins`"


def test_every_direct_dependency_is_used():
    files = [path for folder in ("lasnn", "workflow", "tests", "notebooks") for path in (ROOT / folder).rglob("*")]
    files = [path for path in files if path.suffix in (".py", ".smk", ".ipynb") and path != Path(__file__)]
    text = "\n".join(path.read_text() for path in [*files, ROOT / ".ci" / "run", ROOT / ".pre-commit-config.yaml"])
    text += PROJECT["tool"]["pytest"]["ini_options"]["addopts"]

    def used(name):
        return SHOWS[name] in text if name in SHOWS else re.search(rf"^\s*(import|from) {name}\b", text, re.MULTILINE)

    assert {name for name in NAMES if not used(name)} == set()
