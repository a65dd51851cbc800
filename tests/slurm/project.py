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

from lasnn.plan.config import merged, whole
from lasnn.results.fits import RUN_FILES
from tests.tiny import ANN, PARTS, TINY, copy_project, write_yaml

PROFILE = ("--workflow-profile", "workflow/profiles/slurm")
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
QUICKLY = ("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3")
MODEL = f"results/tiny/{ANN}/model.pt"


def of_epochs(epochs: int) -> dict:
    """The preset `tiny` with so many epochs of 64 batches for the run ANN, about a quarter of a second each."""
    return {"data": {"train_images": 1024}, "ann": {"batch": 16, "epochs": epochs}}


class Project:
    """A working copy with the preset `tiny`, changed by `overlay`."""

    def __init__(self, folder: Path, overlay: dict | None = None):
        self.folder = copy_project(folder, PARTS)
        preset = merged(TINY, overlay or {})
        content = whole(folder / "config.yaml") | {"preset": "tiny", "presets": {"tiny": preset}}
        write_yaml(folder / "config.yaml", content)
        shutil.rmtree(folder / "config")  # of no other preset

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

    def console(self) -> str:
        """What the run ANN has said to its log since it last began."""
        log = self.run(ANN) / "console.log"
        return log.read_text() if log.exists() else ""

    def jobs(self) -> list[str]:
        """Slurm's numbers of the jobs that the last call submitted, in order."""
        return re.findall(r"SLURM jobid (\d+)", self.said())

    def makes(self, *words: str, **environment: str) -> str:
        """What a call of the cluster's profile says that goes well."""
        status, said = self.call(*PROFILE, *QUICKLY, *words, **environment)
        assert status == 0, said
        return said

    def training(self) -> subprocess.Popen:
        """A call for the run ANN, of which the first epoch is saved."""
        process = self.start(*PROFILE, *QUICKLY, MODEL)
        end = time.monotonic() + 120
        while not (self.run(ANN) / "resume.pt").exists():
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(f"{ANN} did not begin to train:\n{self.said()[-2000:]}")
            time.sleep(0.5)
        return process

    def ended(self, expected: dict[str, str], after: str) -> None:
        """The run ANN went on `after` its last save, and every file is as an undisturbed local run left it."""
        assert f"goes on after {after}" in self.console(), self.console()
        self.same(expected)

    def same(self, expected: dict[str, str]) -> None:
        """Every file of the run ANN is as an undisturbed local run left it."""
        assert self.digests(ANN) == expected, (self.digests(ANN), expected, self.said()[-3000:])

    def digests(self, path: str = "") -> dict[str, str]:
        """Of everything that must not differ between two machines: files of runs, exhibits."""
        base = self.run(path)
        found = [file for file in base.rglob("*") if file.name in RUN_FILES[:3] or file.parent.name == "exhibits"]
        found = [file for file in found if file.is_file() and file.suffix not in (".log", ".tsv")]
        return {str(file.relative_to(base)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(found)}

    def saved(self) -> str:
        """After which epoch or batch the run ANN was last saved, as its log says."""
        saved = re.findall(r"saved after (.*?), where", self.said() + self.console())
        assert saved, self.said() + self.console()
        return saved[-1]
