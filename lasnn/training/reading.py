"""What a run starts from, read and checked: prepared images and the checkpoints of its parents."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from lasnn.datasets.arrays import Prepared, load
from lasnn.datasets.batches import split
from lasnn.errors import InputError, again
from lasnn.plan.config import Preset, dump, identity
from lasnn.plan.runs import Run, fingerprint_with
from lasnn.plan.settings import Settings
from lasnn.results.fits import damaged, unfit
from lasnn.storage import checkpoint
from lasnn.storage.digests import Digests
from lasnn.training.device import implementation
from lasnn.training.task import Parent, Task

Kind = TypeVar("Kind", bound=Run)
Its = TypeVar("Its", bound=Settings)


@dataclass(frozen=True)
class Origin:
    """Where a run's inputs come from, as its files will say: its fingerprint, the dataset and the parents' digests."""

    preset: str
    fingerprint: str
    prepared: Prepared
    parents: dict[str, str]  # digest of each parent's checkpoint, by its run
    tag: str  # of everything that the result depends on: a resume file of another tag is not taken up


def read(preset: Preset, run: Run, settings: Settings, device: torch.device) -> tuple[Task[Run, Settings], Origin]:
    """The run at hand and where it comes from; InputError if something is missing, damaged or of another plan."""
    prepared, seen = prepared_images(preset, run.dataset), Digests(None)
    parents = tuple(_parent(preset, run, parent, seen) for parent in preset.parents(run))
    digests = {str(parent.run): seen.sha256(_model(preset, run, parent.run)) for parent in parents}
    task = task_of(run, settings, prepared, device, parents)
    tag = _tag(run, settings, digests, prepared, device)
    return task, Origin(preset.name, fingerprint_with(preset, run, settings), prepared, digests, tag)


def task_of(
    run: Kind, settings: Its, prepared: Prepared, device: torch.device, parents: tuple[Parent, ...] = ()
) -> Task[Kind, Its]:
    """A run on these images."""
    train, test = split(prepared, settings.data, device)
    return Task(run, settings, parents, train, test, len(prepared.classes), prepared.side)


def prepared_images(preset: Preset, dataset: str) -> Prepared:
    """A dataset's images as the plan has them; InputError if they are missing or prepared in another way."""
    path = Path(preset.config.data_file(dataset))
    if not path.exists():
        raise InputError(f"no prepared images {path}: make them with `python -m lasnn data {dataset}`")
    prepared = load(path)
    if prepared.side != (side := preset.config.side(dataset)):
        raise InputError(f"{path} was prepared with side {prepared.side}, and has {side} now: {again(path)}")
    if prepared.subset and not preset.config.file.allow_subset:
        raise InputError(f"{path} holds only a part of {prepared.title}: delete it, or set allow_subset: true")
    return prepared


def _model(preset: Preset, run: Run, parent: Run) -> Path:
    path = Path(preset.folder(parent)) / "model.pt"
    if not path.exists():
        raise InputError(f"{run} starts from {path}, which is missing: `snakemake --cores 1 {path}` makes it")
    return path


def _parent(preset: Preset, run: Run, parent: Run, seen: Digests) -> Parent:
    path = _model(preset, run, parent)
    if reason := unfit(preset, parent, digests=seen) or damaged(path.parent, seen):
        what = f"{run} starts from {path.parent}, which is not what the plan asks for"
        raise InputError(f"{what}: {reason}; {again(path)}")
    weights, meta = checkpoint.load(path, seen.sha256(path))
    arch = preset.config.networks.known[parent.network_name]
    return Parent(parent, arch, preset.settings(parent).network, weights, meta)


def _tag(run: Run, settings: Settings, parents: dict[str, str], prepared: Prepared, device: torch.device) -> str:
    tag = [identity(run), dump(settings), parents, prepared.digest, torch.__version__, implementation(device)]
    return hashlib.sha256(json.dumps(tag).encode()).hexdigest()
