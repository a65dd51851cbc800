"""The least preset that every stage accepts, small images, and a call of Snakemake as a user types it."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import traceback
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lasnn.__main__ import main
from lasnn.datasets import arrays
from lasnn.errors import InputError
from lasnn.plan.config import Config, identity, merged, whole
from lasnn.plan.overlays import parsed
from lasnn.plan.runs import fingerprint
from lasnn.storage import files

DOUBLES = Path(__file__).parent / "doubles"

# The least work that every stage accepts.
LEAST = {
    "data": {"train_images": 64, "test_images": 32, "held_out": 32},
    "teacher": {"batch": 32, "epochs": 1},
    "ann": {"batch": 32, "epochs": 1},
    "balancing": {"steps": 20, "images": 16},
    "curve": {"steps": 20, "grid": [10, 20], "scales": [1.0], "images": 16},
    "choices": {"images": 16},
    "student": {"batch": 32, "epochs": 1},
    "evaluation": {"seeds": [0]},
}
# The whole chain for one student.
TINY = LEAST | {
    "scope": {
        "datasets": {"cifar10": "digits", "cifar100": None, "tinyimagenet": None},
        "students": ["conv3fc2"],
        "teachers": ["vgg16bn"],
        "teacher_of": {"conv3fc2": "vgg16bn"},
        "steps": {"poisson-T100": 2, "poisson-T30": None, "direct-T30": None, "direct-T50": None},
        "seeds": [0],
    },
    "data": LEAST["data"] | {"crop_padding": 0, "flip": False},
    "network": {"width": 0.125, "fc": 16, "init": "he"},
    "spiking": {"scale": 0.7, "logit_scale": "mean"},
}


PARTS = ("workflow", "lasnn", "notebooks", "config.yaml", "config", "environment.yml", "pyproject.toml")
DOTTED = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")


committed = cache(whole)  # the content of config.yaml and its presets


def config_with(**overlay):
    """The committed configuration with an overlay."""
    return Config(merged(committed(), overlay))


def copy_project(folder, parts=(*PARTS, *DOTTED)):
    """A working copy of the project."""
    for part in parts:
        source, copy = Path(__file__).parents[1] / part, folder / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return folder


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


def python(folder, *words, **environment):
    """Standard output of a Python process that ends well."""
    command, environment = [sys.executable, *map(str, words)], os.environ | environment
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


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


TEACHER, ANN = "ann/digits/vgg16bn/base/s0", "ann/digits/conv3fc2/base/s0"
CONVERTED = "converted/digits/conv3fc2/poisson/base/s0"
HYBRID = "snn/digits/conv3fc2/hybrid/poisson-T2/none/base/s0"
LASNN = "snn/digits/conv3fc2/lasnn_act/poisson-T2/vgg16bn/base/s0"


def write_yaml(path, content):
    """A configuration as a file; the C emitter, as the files are long and the tests many."""
    Path(path).write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True))


def change(overlay):
    """Change config.yaml of the working folder."""
    content = merged(parsed("config.yaml"), overlay)
    write_yaml("config.yaml", content)


def rules(folder, *words):
    """Rules that Snakemake would run, none where nothing is to be done."""
    said = done(folder, "--cores", 1, "--dry-run", *words)
    return {rule for rule in ("data", "ann", "converted", "snn", "table") if f"\n{rule} " in said.stderr + said.stdout}


def plan(folder, *words):
    """What a dry run would do: (verb, what it makes) of each job, none of them twice."""
    shown = done(folder, "--cores", 1, "--dry-run", "--printshellcmds", *words).stdout
    jobs = re.findall(r"python -m lasnn (\w+) (\S+)", shown)
    assert len(jobs) == len(set(jobs))
    return set(jobs)


def sealed(path, **update):
    """Change keys of a sealed JSON file, with its seal anew."""
    files.write_json(path, files.read_json(path) | update, seal=True)


def described(folder):
    """Let a run's provenance describe what is there."""
    there = [name for name in ("model.pt", "metrics.json", "predictions.npz") if (folder / name).exists()]
    stated = files.read_json(folder / "provenance.json")["files"]
    sealed(folder / "provenance.json", files=stated | {name: files.sha256(folder / name) for name in there})


def change_a_pixel(path, index=0):
    """Prepared images of another source under the same name."""
    before = arrays.load(path)
    images = before.train_images.copy()
    images[index] ^= 1
    parts = before.classes, images, before.train_labels, before.test_images, before.test_labels
    arrays.write(Path(path), before.name, before.title, arrays.Contents(*parts), False, before.source)


def flip(path):
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def image_tree(root, splits=("train", "test"), classes=("cat", "dog"), ending="png", side=8, count=2, seed=1):
    """Small images of noise as <split>/<class>/<number>."""
    random = np.random.default_rng(seed)
    for split in splits:
        for each in classes:
            (root / split / each).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / each / f"{index}.{ending}", lossless=True)
    return root


def in_process(words):
    """Exit status of a verb and all that it says."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            status = 1
            traceback.print_exc(file=out)
    return status, out.getvalue()


def message_of(call, *arguments, **named):
    """The one line with which a call refuses what it is given."""
    with pytest.raises(InputError) as error:
        call(*arguments, **named)
    assert "\n" not in str(error.value)
    return str(error.value)
