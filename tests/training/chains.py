"""The chain on real digits, tiny: the runs of its stages, and a folder in which they are made."""

import json
import shutil

import torch
from tiny import write_yaml

from lasnn.__main__ import main
from lasnn.datasets import load
from lasnn.plan.config import merged, whole
from lasnn.storage import files

CONTENT = whole()
TINY = {
    "presets": {
        "quick": {
            "data": {"train_images": 96, "test_images": 40, "held_out": 32},
            "teacher": {"epochs": 1},
            "ann": {"epochs": 3},
            "balancing": {"steps": 30, "images": 16},
            "curve": {"steps": 20, "grid": [10, 20], "images": 20},
            "choices": {"images": 16},
            "student": {"epochs": 2},
            "calibration": {"images": 32, "batches": 2, "weights": {"images": 32, "steps": 3}},
            "evaluation": {"seeds": [0, 1]},
            "for": {"kd_spike": {"spiking": {"scale": 0.3}}},  # else so small a network hardly spikes
        }
    },
    "variants": {"untrained": {"student": {"epochs": 0}}, "alpha_twice": {"attention": {"alpha": 1.8}}},
}
ANN = "ann/digits/vgg5/base/s0"
TEACHER = "ann/digits/vgg16bn/base/s0"
CONVERTED = "converted/digits/vgg5/poisson/base/s0"
LASNN = "snn/digits/vgg5/lasnn_act/poisson-T6/vgg16bn/base/s0"
FEATURES = LASNN.replace("lasnn_act", "kd_features")  # whose objective has weights of its own
HEAD = "snn/digits/vgg5/kd_spike/poisson-T6/none/base/s0"
TAUGHT = "snn/digits/conv3fc2/kd_spike/poisson-T6/snn_vgg5/base/s0"
CALIBRATED = "snn/digits/vgg5/calibration/direct-T4/none/calibration_weights/s0"
HASHED = ("model.pt", "metrics.json", "predictions.npz")


class Tiny:
    def __init__(self, data, folder, **overlay):
        self.data, self.results = data, folder / "results"
        content = merged(merged(CONTENT, TINY), {"folders": {"results": str(self.results), "data": str(data)}})
        self.config = folder / "config.yaml"
        if not self.config.exists():  # another process may be reading it
            write_yaml(self.config, merged(content, overlay))

    def __call__(self, verb, *words):
        return main([verb, *words, "--config", str(self.config)])

    def run(self, *paths):
        for path in paths:
            assert self(path.split("/")[0], f"{self.results}/quick/{path}") == 0

    def take(self, other, *paths):
        """Runs that were made elsewhere in the same way."""
        for path in paths:
            shutil.copytree(other.folder(path), self.folder(path))

    def folder(self, path):
        return self.results / "quick" / path

    def metrics(self, path):
        return files.read_json(self.folder(path) / "metrics.json")

    @property
    def images(self):
        return load(self.data / "digits.npz")

    @property
    def shown(self):
        """The 40 test images, in [0, 1]."""
        return torch.from_numpy(self.images.test_images[:40]).float() / 255


def training_log(chain, path):
    return [json.loads(line) for line in (chain.folder(path) / "log.jsonl").read_text().splitlines()]
