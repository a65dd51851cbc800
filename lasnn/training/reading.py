"""What a run starts from, read and checked: prepared images and the checkpoints of its parents."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from lasnn.datasets.arrays import Prepared, load
from lasnn.datasets.batches import split
from lasnn.errors import InputError, again
from lasnn.plan.config import Preset, dump, identity
from lasnn.plan.runs import Run
from lasnn.plan.settings import Settings
from lasnn.plan.settings_diff import changes
from lasnn.storage import checkpoint, files
from lasnn.training.device import implementation
from lasnn.training.task import Parent, Task


@dataclass(frozen=True)
class Origin:
    """Where a run's inputs come from, as its files will say: the dataset and the parents' digests."""

    preset: str
    prepared: Prepared
    parents: dict[str, str]  # digest of each parent's checkpoint, by its run
    tag: str  # of everything that the result depends on: a resume file of another tag is not taken up


def read(preset: Preset, run: Run, settings: Settings, device: torch.device) -> tuple[Task[Run, Settings], Origin]:
    """The run at hand and where it comes from; InputError if something is missing, damaged or of another plan."""
    digests = {str(parent): files.sha256(_model(preset, run, parent)) for parent in preset.parents(run)}
    parents = tuple(_parent(preset, run, parent, digests[str(parent)]) for parent in preset.parents(run))
    prepared = _prepared(preset, run)
    train, test = split(prepared, settings.data, device)
    task = Task(run, settings, parents, train, test, len(prepared.classes), prepared.side)
    return task, Origin(preset.name, prepared, digests, _tag(run, settings, digests, prepared, device))


def _prepared(preset: Preset, run: Run) -> Prepared:
    path = Path(preset.config.data_file(run.dataset))
    if not path.exists():
        raise InputError(f"no prepared images {path}: make them with `python -m lasnn data {run.dataset}`")
    prepared = load(path)
    if prepared.subset and not preset.config.file.allow_subset:
        raise InputError(f"{path} holds only a part of {prepared.title}: delete it, or set allow_subset: true")
    return prepared


def _model(preset: Preset, run: Run, parent: Run) -> Path:
    path = Path(preset.folder(parent)) / "model.pt"
    if not path.exists():
        raise InputError(f"{run} starts from {path}, which is missing: `snakemake --cores 1 {path}` makes it")
    return path


def _parent(preset: Preset, run: Run, parent: Run, digest: str) -> Parent:
    path = _model(preset, run, parent)
    if files.stated_digest(path) not in (None, digest):
        raise InputError(f"{path} has changed since it was made, as its provenance.json says: {again(path)}")
    weights, meta = checkpoint.load(path, digest)
    if meta.get("run") != identity(parent) or meta.get("preset") != preset.name:
        found = meta.get("run", {}).get("path", "something else")
        raise InputError(f"{path} is the checkpoint of {found}, not of {parent}: {again(path)}")
    if changed := changes(preset, parent, meta["settings"]):
        raise InputError(f"{path} was made with other settings ({changed[0]}): {again(path)}")
    arch = preset.config.networks.known[parent.network_name]
    return Parent(parent, arch, preset.settings(parent).network, weights, meta)


def _tag(run: Run, settings: Settings, parents: dict[str, str], prepared: Prepared, device: torch.device) -> str:
    tag = [identity(run), dump(settings), parents, prepared.digest, torch.__version__, implementation(device)]
    return hashlib.sha256(json.dumps(tag).encode()).hexdigest()
