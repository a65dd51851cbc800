"""The whole chain in memory, as small as its stages take it: made-up images, real settings, real stages, no files kept.

A world has settings of its own. `World.found` is a run of it; `World.changed` is the same run under other settings, but
from the same parents: what differs between the two is what these settings do in this stage.
"""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lasnn.console import Console
from lasnn.datasets.arrays import Prepared, ids, pixel_hashes
from lasnn.plan.config import Config, dump, merged, whole
from lasnn.plan.runs import SnnRun, parse
from lasnn.plan.vocabulary import METHODS
from lasnn.training.reading import task_of
from lasnn.training.resume import Saves
from lasnn.training.stages import stage_of
from lasnn.training.task import Parent, Task

TAUGHT = {"LABEL": "kd_label", "ACT": "lasnn_act", "GRAD": "lasnn_grad", "FEATURES": "kd_features"}
TAUGHT |= {"BLURRED": "kd_blurred", "ALIGNED": "kd_aligned", "READ": "kd_head", "SALIENT": "kd_saliency"}
RUN = {
    "ANN": "ann/digits/vgg5/base/s0",
    "TEACHER": "ann/digits/vgg16bn/base/s0",
    "CONVERTED": "converted/digits/vgg5/poisson/base/s0",
    "DIRECT": "converted/digits/vgg5/direct/base/s0",
    "RESIDUAL_ANN": "ann/digits/resnet12/base/s0",
    "RESIDUAL": "converted/digits/resnet12/direct/base/s0",
    "CONVERSION": "snn/digits/vgg5/conversion/poisson-T4/none/base/s0",
    "HYBRID": "snn/digits/vgg5/hybrid/poisson-T4/none/base/s0",
    "HYBRID_DIRECT": "snn/digits/vgg5/hybrid/direct-T4/none/base/s0",
    **{name: f"snn/digits/vgg5/{method}/poisson-T4/vgg16bn/base/s0" for name, method in TAUGHT.items()},
    "HEAD": "snn/digits/vgg5/kd_spike/poisson-T4/none/base/s0",
    "SPIKE": "snn/digits/vgg5/kd_spike/poisson-T4/snn_vgg5/base/s0",
    "CALIBRATED": "snn/digits/vgg5/calibration/direct-T4/none/base/s0",
}
torch.set_num_threads(1)  # the images are tiny: threads would only wait for each other
RUN = {name: parse(path) for name, path in RUN.items()}
NAMES = {run: name for name, run in RUN.items()}
TRAINED = tuple(name for name, run in RUN.items() if isinstance(run, SnnRun) and METHODS[run.method].trained)

CONTENT = whole()
TINY = {
    "scope": {"spike_chain": ["vgg5", "vgg5"], "ablations": []},
    "data": {"train_images": 24, "test_images": 10, "held_out": 8, "crop_padding": 1},
    "network": {"width": 0.125, "fc": 32, "init": "he", "dropout_scale": 0.0},
    "teacher": {"epochs": 6, "batch": 24, "lr": 0.05},
    "ann": {"epochs": 20, "batch": 12, "lr": 0.02},
    "balancing": {"steps": 20, "images": 12, "norm_images": 14},
    "curve": {"steps": 12, "images": 8, "grid": [6, 12], "scales": [1.0, 0.7]},
    "spiking": {"scale": 0.3, "leak": 0.9, "leak_guard": 100.0, "logit_scale": "mean"},
    "choices": {"images": 8, "scale_grid": [0.2, 0.4]},
    "student": {"epochs": 2, "batch": 24, "lr": 0.01, "milestones": [0.5]},
    "spike_kd": {"window": 2, "stride": 1},
    "calibration": {"images": 6, "batches": 3, "weights": {"images": 7, "steps": 2, "batch": 3, "lr": 0.01}},
    "evaluation": {"seeds": [0, 1]},
}


@cache
def images(train=36, test=14, side=8, classes=4):
    """Prepared images: noise around a pattern of each class."""
    draws, arrays = np.random.default_rng(0), {}
    patterns = draws.integers(0, 200, (classes, 3, side, side))
    for name, count in {"train": train, "test": test}.items():
        labels = np.arange(count) % classes
        pixels = (patterns[labels] + draws.integers(0, 56, (count, 3, side, side))).astype(np.uint8)
        arrays |= {f"{name}_images": pixels, f"{name}_labels": labels, f"{name}_ids": ids(pixel_hashes(pixels))}
    told = {"name": "digits", "title": "made up", "classes": tuple("abcd"), "side": side}
    return Prepared(**told, subset=False, source={}, digest="0" * 64, **arrays)


def plan(overlay):
    """The preset of this overlay over the tiny one; without variants, which take long to check."""
    presets = {"quick": merged(TINY, overlay)}
    return Config(CONTENT | {"preset": "quick", "presets": presets, "variants": {}}).preset()


class Quiet(Console):
    """Keeps what is said."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, line):
        self.lines.append(line)


class Found(NamedTuple):
    """What a stage found, the lines of its training log, what it said, and its task."""

    result: object
    log: list
    said: list
    task: Task

    @property
    def state(self):
        return self.result.net.state_dict()


MADE = {}  # what was found, by the settings of a run and of its ancestors


class World:
    def __init__(self, overlay, prepared):
        self.plan, self.prepared = plan(overlay), prepared

    def found(self, name):
        """A run of this world, made once in a process, also for other worlds that make the same."""
        run = RUN[name]
        key = id(self.prepared), name, *(dump(self.plan.settings(one)) for one in self.plan.ancestors([run]))
        if key not in MADE:
            MADE[key] = self._make(run, self.plan, self.prepared)
        return MADE[key]

    def changed(self, name, preset, prepared=None, seed=0):
        """The run under another preset's settings, with other images or seed, from this world's parents."""
        return self._make(replace(RUN[name], seed=seed), preset, prepared or self.prepared)

    def _parent(self, run):
        found = self.found(NAMES[replace(run, seed=0)])
        meta = {"accuracy": found.result.metrics["accuracy"]} | found.result.meta
        arch, network = self.plan.config.networks.known[run.network_name], self.plan.settings(run).network
        return Parent(run, arch, network, {name: value.clone() for name, value in found.state.items()}, meta)

    def _make(self, run, preset, prepared):
        console = Quiet()
        settings, parents = preset.settings(run), tuple(self._parent(parent) for parent in preset.parents(run))
        task = task_of(run, settings, prepared, torch.device("cpu"), parents)
        with tempfile.TemporaryDirectory() as folder:
            result = stage_of(run)(task, Saves(Path(folder), "tag", console))
            log = Path(folder, "log.jsonl")
            lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Found(result, lines, console.lines, task)


@cache
def _world(overlay):
    return World(json.loads(overlay), images())


def world(overlay):
    """The world of this overlay, made once in a process."""
    return _world(json.dumps(overlay, sort_keys=True))


TERMS = ("ce", "kd", "self", "entropy", "attention", "features", "consistency", "firing", "loss")


def groups(found):
    """What a stage found, in groups that a setting may change or not: name -> something that can be compared.

    `terms` and `gradient` are those of the first update, which the start and the loss decide; `watched` is what the
    log says of the network after an epoch, `judged` what is said of the finished one.
    """
    metrics, predictions, made = dict(found.result.metrics), dict(found.result.predictions), {}
    constants = (".offset", ".initial")
    made["thresholds"] = {name: value for name, value in found.state.items() if name.endswith(".threshold")}
    made["constants"] = {name: value for name, value in found.state.items() if name.endswith(constants)}
    made["weights"] = {n: v for n, v in found.state.items() if n not in made["thresholds"] | made["constants"]}
    made["balanced"] = metrics.pop("thresholds_by_batch", None)
    if "calibration" in metrics:
        metrics["calibration"] = dict(metrics["calibration"])
        made["amplitudes"] = metrics["calibration"].pop("amplitudes")
    made["choices"] = metrics.pop("choices", None), metrics.pop("attention_alpha", None), found.result.meta
    made["fit"] = metrics.pop("train_accuracy", None)
    made["share"] = metrics.pop("attention_share", None)
    metrics.pop("added_share", None)  # of the first and the last update: `terms`, `gradient` and `watched` say the same
    if found.log:
        made["lr"] = [line["lr"] for line in found.log]
        made["terms"] = {name: found.log[0][name] for name in TERMS if name in found.log[0]}
        made["gradient"] = found.log[0]["gradient_norm"]
        apart = (*TERMS, "lr", "gradient_norm", "seconds")
        lines = [{key: value for key, value in line.items() if key not in apart} for line in found.log]
        made["watched"] = lines, metrics.pop("accuracy_best_test")
    for name in ("ann_accuracy", "teacher_accuracy", "teacher_weaker", "sizes", "thresholds", "epochs"):
        metrics.pop(name, None)
    made["judged"] = metrics, predictions
    return {name: exact(value) for name, value in made.items()}


def exact(value):
    """A value that is equal only if every bit is."""
    if isinstance(value, torch.Tensor):
        return exact(value.detach().numpy())
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, dict):
        return tuple((name, exact(one)) for name, one in sorted(value.items()))
    return tuple(exact(one) for one in value) if isinstance(value, list | tuple) else value


def differing(one, other):
    """Names of the groups in which two runs differ."""
    one, other = groups(one), groups(other)
    found = {name for name in one | other if one.get(name) != other.get(name)}
    return found - {"fit"} if "weights" in found else found  # an accuracy of six images need not follow
