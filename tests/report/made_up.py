"""Finished runs that a test makes up: a preset in a folder of its own, and the files that such runs leave."""

import json
from pathlib import Path

import numpy as np
from tiny import answering

from lasnn.plan.config import Config, merged, whole
from lasnn.storage.files import write_json

CONTENT = whole()
CONFIG = Config(CONTENT)
NOTHING = Config(merged(CONTENT, {"presets": {"quick": {"scope": {"datasets": {"cifar10": None}}}}})).preset("quick")
DATA = {"title": "Digits", "subset": False, "train_images": 1437, "test_images": 20, "assessed": "test"}


def preset_in(folder, scope, **sections):
    """`quick` with other keys of its scope and other sections; results lie below `folder`, where nothing has run."""
    folders = {"results": str(folder / "results"), "data": str(folder / "data")}
    overlay = {"folders": folders, "presets": {"quick": {"scope": scope} | sections}}
    return Config(merged(CONTENT, overlay)).preset("quick")


def method_of(run):
    """The method of a spiking run, else the run's kind."""
    return getattr(run, "method", run.kind)


def finish(preset, run, accuracy, right=None, log=(), made=None, **more):
    """A finished run: its metrics, its training log, what its provenance says, and predictions of 20 images.

    `right`: how many of these images, always the first ones, it predicts; each of several encoder seeds, if a list.
    """
    folder = Path(preset.folder(run))
    metrics = {"accuracy": accuracy, "revision": 1, "data": DATA} | more
    write_json(folder / "metrics.json", answering(preset, run, metrics))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    write_json(folder / "provenance.json", made or {})
    labels = np.arange(20)
    counts = np.reshape(round(accuracy / 5) if right is None else right, (-1, 1))
    np.savez(folder / "predictions.npz", predicted=np.where(labels < counts, labels, -1), labels=labels)
