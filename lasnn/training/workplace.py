"""Where names meet disk: what a stage reads, and the files that a run leaves.

A run's folder holds `model.pt` (weights and what made them), `metrics.json` (no clock in it), `predictions.npz`,
`provenance.json` (what differs between identical runs), `log.jsonl` (one line for each epoch), and, while it is
unfinished, `resume.pt`.
"""

import hashlib
import io
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from lasnn import seeding
from lasnn.console import Console
from lasnn.datasets.arrays import Prepared, load
from lasnn.datasets.batches import Images, scaled, split
from lasnn.errors import InputError
from lasnn.networks import Net, build, initialise
from lasnn.plan.config import Preset, dump, identity
from lasnn.plan.runs import Run
from lasnn.plan.settings import Settings
from lasnn.plan.settings_diff import changes
from lasnn.plan.vocabulary import TEACHERS
from lasnn.spiking.evaluation import Evaluation
from lasnn.storage import checkpoint, files
from lasnn.storage.provenance import Stopwatch, describe
from lasnn.training.allocator import keep_freed_memory
from lasnn.training.loop import Job
from lasnn.training.resume import Parts
from lasnn.training.training_log import TrainingLog

FORMAT = 1  # of metrics.json, provenance.json and predictions.npz


def device_of(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but torch finds no CUDA device here: use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@dataclass
class Workplace:
    """One run at work: its settings, its device, its images, its parents, its folder."""

    preset: Preset
    run: Run
    settings: Settings
    device: torch.device
    console: Console

    def __post_init__(self) -> None:
        torch.set_num_threads(self.settings.compute.threads)
        keep_freed_memory()
        if self.device.type == "cuda":  # on the CPU every operation that is used here is deterministic as it is
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.utils.deterministic.fill_uninitialized_memory = False
            torch.use_deterministic_algorithms(self.settings.compute.deterministic, warn_only=True)
        amp = self.settings.compute.amp
        if amp != "off" and self.device.type != "cuda":
            raise InputError(f"compute.amp {amp} was asked for on {self.device.type}: it needs CUDA; use amp: off")
        if amp == "bf16" and not torch.cuda.is_bf16_supported():
            raise InputError(
                f"compute.amp bf16 was asked for, but {torch.cuda.get_device_name()} lacks it: use tf32 or off"
            )
        self.folder = Path(self.preset.folder(self.run))
        self.folder.mkdir(parents=True, exist_ok=True)
        files.sweep(self.folder)
        self.stopwatch = Stopwatch(self.device)

    @cached_property
    def prepared(self) -> Prepared:
        """The whole dataset."""
        path = Path(self.preset.config.data_file(self.run.dataset))
        if not path.exists():
            raise InputError(f"no prepared images {path}: make them with `python -m lasnn data {self.run.dataset}`")
        prepared = load(path)
        if prepared.subset and not self.preset.config.file.allow_subset:
            raise InputError(f"{path} holds only a part of {prepared.title}: delete it, or set allow_subset: true")
        return prepared

    @cached_property
    def images(self) -> tuple[Images, Images]:
        """The images that the run trains on, and those that it is judged by."""
        return split(self.prepared, self.settings.data, self.device)

    @property
    def held_out(self) -> Images:
        """The training images that tuned choices look at."""
        return self.images[0].last(self.settings.data.held_out)

    @cached_property
    def parents(self) -> dict[str, str]:
        """The digest of each parent's checkpoint, by its run."""
        return {str(run): files.sha256(self._model(run)) for run in self.preset.parents(self.run)}

    def parent(self, kind: type[Run]) -> tuple[Run, dict, dict]:
        """The parent of this kind, with the weights and meta of its checkpoint."""
        run = next(run for run in self.preset.parents(self.run) if isinstance(run, kind))
        path = self._model(run)
        if files.stated_digest(path) not in (None, self.parents[str(run)]):
            raise InputError(f"{path} has changed since it was made, as its provenance.json says: make it again")
        weights, meta = checkpoint.load(path, self.parents[str(run)])
        if meta.get("run") != identity(run) or meta.get("preset") != self.preset.name:
            found = meta.get("run", {}).get("path", "something else")
            raise InputError(f"{path} is the checkpoint of {found}, not of {run}: make it again")
        if changed := changes(self.preset, run, meta["settings"]):
            raise InputError(f"{path} was made with other settings ({changed[0]}): make it again, or use snakemake")
        return run, weights, meta

    def _model(self, run: Run) -> Path:
        path = Path(self.preset.folder(run)) / "model.pt"
        if not path.exists():
            raise InputError(f"{self.run} starts from {path}, which is missing: make it first, or use snakemake")
        return path

    def build(self, run: Run, weights: dict | None = None) -> Net:
        """The ReLU network of a run, with these weights or freshly initialised."""
        network = self.settings.network if run == self.run else self.preset.settings(run).network
        name, classes, side = run.network_name, len(self.prepared.classes), self.prepared.side
        words = {"width": network.width, "fc": network.fc, "dropout_scale": network.dropout_scale}
        words["standardised"] = network.teacher_norm == "dataset_stats" and name in TEACHERS
        net = build(name, classes, side, **words)
        if weights is None:
            if net.standardise is not None:
                net.standardise.fit(scaled(self.images[0].pixels.cpu()))
            initialise(net, name, network.init, seeding.generator(run.seed, "initial weights", name))
        else:
            net.load_state_dict(weights)
        return net.to(self.device)

    @property
    def tag(self) -> str:
        """Digest of all that the run's result depends on: tells whether a resume file belongs to it."""
        device = (
            torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else torch.backends.cpu.get_cpu_capability()  # other vector units round in another order
        )
        tag = [identity(self.run), dump(self.settings), self.parents, self.prepared.digest, torch.__version__, device]
        return hashlib.sha256(json.dumps(tag).encode()).hexdigest()

    def job(self, micro_batch: int) -> Job:
        """The run's training."""
        recipe, data, often = self.settings.training, self.settings.data, self.preset.config.file.save_minutes
        return Job(recipe, data, self.run.seed, micro_batch, self.folder, self.tag, self.console, often)

    def parts(self) -> Parts:
        """What is kept of a run that does not train."""
        return Parts(self.folder / "resume.pt", self.tag, self.console)

    def leave(self, net: Net, metrics: dict, predictions: dict[str, np.ndarray], meta: dict | None = None) -> None:
        """Write the run's files, the checkpoint after those that describe it; then drop the resume state."""
        train, test = self.images
        data = {
            "dataset": self.prepared.name,
            "title": self.prepared.title,
            "digest": self.prepared.digest,
            "subset": self.prepared.subset,
            "classes": len(self.prepared.classes),
            "side": self.prepared.side,
            "train_images": len(train),
            "test_images": len(test),
            "assessed": self.settings.data.assess,
        }
        common = {
            "format": FORMAT,
            "preset": self.preset.name,
            "run": identity(self.run),
            "revision": self.settings.revision,
            "settings": json.loads(dump(self.settings)),
            "parents": self.parents,
            "data": data,
        }
        buffer = io.BytesIO()
        np.savez(buffer, format=np.int64(FORMAT), image_ids=test.ids.numpy(), **predictions)
        files.write_bytes(self.folder / "predictions.npz", buffer.getvalue())
        files.write_json(self.folder / "metrics.json", common | metrics, seal=True)
        checkpoint.save(
            self.folder / "model.pt", net.state_dict(), common | {"accuracy": metrics["accuracy"]} | (meta or {})
        )
        cost = self.stopwatch.stop()
        digests = {name: files.sha256(self.folder / name) for name in ("model.pt", "metrics.json", "predictions.npz")}
        origin = common | {"data": data | {"source": self.prepared.source}, "files": digests}
        files.write_json(self.folder / "provenance.json", origin | describe(self.device) | cost, seal=True)
        (self.folder / "resume.pt").unlink(missing_ok=True)
        self.console.say(
            f"done: {metrics['accuracy']:.2f} % on {len(test)} test images, {cost['seconds']:.0f} s, "
            f"peak {cost['peak_memory_bytes'] / 2**20:.0f} MiB"
        )


def spikes_of(result: Evaluation) -> dict[str, dict]:
    """Spike counts of each layer for metrics.json: `per_neuron` is spikes for each neuron and image, at most T."""
    return {
        name: {
            "per_neuron": layer.per_neuron,
            "total": layer.total,
            "neurons": layer.neurons,
            "images": layer.images,
            "silent": layer.silent,
        }
        for name, layer in result.spikes.items()
    }


def best_of(log: TrainingLog) -> dict:
    """The best test accuracy of any epoch (what the base code keeps); never to be mixed with the last epoch's."""
    best = max((line["test_accuracy"] for line in log.lines), default=None)
    return {"accuracy_best_test": best, "epochs": len(log.lines)}
