"""A small copy of the project on the cluster, and calls of Snakemake as a user types them."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from lasnn.plan.config import merged, whole
from tests.tiny import TINY

ROOT = Path(__file__).parents[2]
PARTS = ("workflow", "lasnn", "notebooks", "config.yaml", "environment.yml", "pyproject.toml")
PROFILE = ("--workflow-profile", "workflow/profiles/slurm")
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
QUICKLY = ("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3")
HASHED = ("model.pt", "metrics.json", "predictions.npz")

ANN = "ann/digits/conv3fc2/base/s0"


def of_epochs(epochs: int) -> dict:
    """The preset `tiny` with so many epochs of 64 batches for the run ANN, about a quarter of a second each."""
    return {"data": {"train_images": 1024}, "ann": {"batch": 16, "epochs": epochs}}


class Project:
    """A working copy with the preset `tiny`, changed by `overlay`."""

    def __init__(self, folder: Path, overlay: dict | None = None):
        self.folder = folder
        for part in PARTS:
            source, copy = ROOT / part, folder / part
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)
        preset = merged(TINY, overlay or {})
        content = whole(ROOT / "config.yaml") | {"preset": "tiny", "presets": {"tiny": preset}}
        (folder / "config.yaml").write_text(yaml.safe_dump(content))

    def run(self, path: str) -> Path:
        """The folder of a run."""
        return self.folder / "results" / "tiny" / path

    def start(self, *words: str, **environment: str) -> subprocess.Popen:
        """A call of Snakemake that goes on in the background, its output in said.txt; SIGINT reaches it."""
        with open(self.folder / "said.txt", "wb") as said:
            return subprocess.Popen(
                [SNAKEMAKE, *map(str, words)],
                cwd=self.folder,
                stdout=said,
                stderr=said,
                env=os.environ | environment,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    def call(self, *words: str, **environment: str) -> tuple[int, str]:
        """A call of Snakemake: its exit status and what it said."""
        status = self.start(*words, **environment).wait()
        return status, self.said()

    def said(self) -> str:
        """What the last call said."""
        return (self.folder / "said.txt").read_text(errors="replace")

    def console(self, path: str) -> str:
        """What a run has said to its log since it last began."""
        log = self.run(path) / "console.log"
        return log.read_text() if log.exists() else ""

    def jobs(self) -> list[str]:
        """Slurm's numbers of the jobs that the last call submitted, in order."""
        return re.findall(r"SLURM jobid (\d+)", self.said())

    def digests(self, path: str = "") -> dict[str, str]:
        """Of everything that must not differ between two machines: files of runs, exhibits."""
        base = self.run(path)
        found = [file for file in base.rglob("*") if file.name in HASHED or file.parent.name == "exhibits"]
        found = [file for file in found if file.is_file() and file.suffix not in (".log", ".tsv")]
        return {str(file.relative_to(base)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(found)}

    def trained(self, path: str) -> str:
        """How far an unfinished run was last saved, as its log says; empty if it says nothing of it."""
        saved = re.findall(r"saved after (.*?), where", self.said() + self.console(path))
        return saved[-1] if saved else ""

    def until_it_trains(self, path: str, process: subprocess.Popen, seconds: float = 120) -> None:
        """Wait until a run has saved its first epoch."""
        end = time.monotonic() + seconds
        while not (self.run(path) / "resume.pt").exists():
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(f"{path} did not begin to train:\n{self.said()[-2000:]}")
            time.sleep(0.5)
