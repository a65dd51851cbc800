"""The least preset that every stage accepts, and a call of Snakemake as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

from lasnn.plan.config import identity
from lasnn.plan.runs import fingerprint

DOUBLES = Path(__file__).parent / "doubles"

# The whole chain for one student with the least work that every stage accepts.
TINY = {
    "scope": {
        "datasets": {"cifar10": "digits", "cifar100": None, "tinyimagenet": None},
        "students": ["conv3fc2"],
        "teachers": ["vgg16bn"],
        "teacher_of": {"conv3fc2": "vgg16bn"},
        "steps": {"poisson-T100": 2, "poisson-T30": None, "direct-T30": None, "direct-T50": None},
        "seeds": [0],
    },
    "data": {"train_images": 64, "test_images": 32, "held_out": 32, "crop_padding": 0, "flip": False},
    "network": {"width": 0.125, "fc": 16, "init": "he"},
    "teacher": {"batch": 32, "epochs": 1},
    "ann": {"batch": 32, "epochs": 1},
    "balancing": {"steps": 20, "images": 16},
    "curve": {"steps": 20, "grid": [10, 20], "scales": [1.0], "images": 16},
    "spiking": {"scale": 0.7, "logit_scale": "mean"},
    "choices": {"images": 16},
    "student": {"batch": 32, "epochs": 1},
    "evaluation": {"seeds": [0]},
}


def snakemake(folder, *words, doubles=False):
    """A call as a user types it; conda is not on PATH, or its double is."""
    path = [one for one in os.get_exec_path() if not Path(one, "conda").exists()]
    if doubles:
        path = [str(DOUBLES), str(Path(sys.executable).parent), *path]  # the double borrows from this interpreter
    environment = os.environ | {"PATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "snakemake", *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500
    )  # a busy machine


def done(folder, *words, **options):
    result = snakemake(folder, *words, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def answering(preset, run, metrics):
    """Metrics that a test makes up, as those of a run that answers the plan of `preset`."""
    parents = {str(parent): "0" * 64 for parent in preset.parents(run)}
    said = {
        "fingerprint": fingerprint(preset, run),
        "preset": preset.name,
        "settings": preset.settings(run).model_dump(mode="json"),
        "parents": parents,
    }
    data = {"dataset": run.dataset, "digest": "0" * 64} | metrics["data"]
    return said | {"run": identity(run)} | metrics | {"data": data}
