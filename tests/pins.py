"""environment.yml from pyproject.toml and uv.lock: `python -m tests.pins` writes it anew.

pip has no lock file, so every package that the pipeline needs is named with its version, indirect ones too. A
constraints file of its own would not do: Snakemake copies environment.yml elsewhere before conda reads it.
"""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """\
# The pipeline's environment for conda: `snakemake --use-conda` builds it for the jobs, `conda env create -f
# environment.yml` for a whole shell. Written by `python -m tests.pins`; a test holds it equal to pyproject.toml and
# uv.lock. The pins are all in here because Snakemake copies this file before it reads it: a relative `-r`, `-c`
# or `-e` would point nowhere. Python and pip come from conda-forge, everything else from the same wheels that uv
# installs. The tools of the tests and of code style (group `dev`) are left out: tests run through uv.
name: lasnn
channels:
  - conda-forge
dependencies:
  - python=3.11.*
  - pip
  - pip:
"""


def uv() -> str | None:
    """The uv that runs this process, or the one on PATH."""
    return os.environ.get("UV") or shutil.which("uv")


def direct() -> list[str]:
    """The pins of pyproject.toml that the pipeline needs, in its order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [*project["project"]["dependencies"], *project["dependency-groups"]["torch"]]


def locked() -> list[str]:
    """Every package of the pipeline as uv.lock has it, with the marker that says where it is needed."""
    words = ["export", "--frozen", "--offline", "--quiet", "--no-emit-project", "--no-dev"]
    words += ["--no-group", "crate", "--group", "torch"]
    plain = ["--no-hashes", "--no-header", "--no-annotate"]
    shown = subprocess.run([uv(), *words, *plain], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return shown.splitlines()


def text() -> str:
    """environment.yml: direct pins first, then what they bring along."""
    pins = direct()
    rest = [line for line in locked() if line not in pins]
    lines = [*pins, "# What these bring along:", *rest]
    return HEAD + "".join(f"      {line}\n" if line.startswith("#") else f"      - {line}\n" for line in lines)


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(text())
