"""environment.yml, pyproject.toml and uv.lock say the same, and nothing is installed that nothing uses."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests import pins

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())

GROUPS = PROJECT["dependency-groups"]
PIPELINE = [*PROJECT["project"]["dependencies"], *GROUPS["torch"]]
BESIDE = [*GROUPS["dev"], *GROUPS["crate"]]


@pytest.mark.parametrize("pin", [*PIPELINE, *BESIDE])
def test_every_direct_dependency_is_pinned_as_locked(pin):
    assert re.fullmatch(r"[a-z0-9-]+==[0-9]+(\.[0-9]+)*", pin)
    name, version = pin.split("==")
    assert [package["version"] for package in LOCK["package"] if package["name"] == name] == [version]


@pytest.mark.skipif(not pins.uv(), reason="needs uv")
def test_conda_file_is_what_its_script_writes():
    assert (ROOT / "environment.yml").read_text() == pins.text(), "run `python -m tests.pins`"


def test_the_line_about_a_missing_torch_names_what_is_locked():
    locked = {package["name"]: package["version"].partition("+")[0] for package in LOCK["package"]}
    wanted = " ".join(f"{name}=={locked[name]}" for name in ("torch", "torchvision"))
    assert wanted in (ROOT / "lasnn" / "__init__.py").read_text()
