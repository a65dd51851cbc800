"""A network that was trained elsewhere becomes the `ann` run of its name: checked, kept, written down, measured.

Nothing is left behind by a file that doesn't fit: it is read, filled into the network and, where its accuracy was
stated, measured, before anything is written.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import Config, Preset
from lasnn.plan.overlays import written
from lasnn.plan.own import ADOPTED, Adopted, recorded, weights_path
from lasnn.plan.runs import AnnRun
from lasnn.results import scores
from lasnn.storage import files
from lasnn.storage.locks import only_writer

HEAD = "# Written by `python -m lasnn adopt`: runs whose weights come from a file, by preset and run.\n"
NEAR = 0.5  # points that a stated accuracy may differ from the measured one


@dataclass(frozen=True)
class Request:
    """What was asked: which network, from which file, as which run."""

    network: str
    weights: Path
    dataset: str
    preset: str | None = None
    seed: int = 0
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


def adopt(config: Config, asked: Request, expect: float | None, place: Path, device: str, console: Console) -> None:
    """Make the run from the file that is asked for; `expect` is its accuracy in percent, config.yaml is in `place`."""
    preset, run, entry = planned(config, asked)
    from lasnn.training.device import device_of  # torch is loaded here
    from lasnn.training.stages import make
    from lasnn.training.stages.ann import tried

    console.name, where = run.id, device_of(device)
    accuracy, done = tried(preset, run, asked.weights, entry)
    check_accuracy(expect, accuracy, done.doubts)
    with only_writer(Path(preset.folder(run), ".lock"), f"the run {run}"):
        keep(preset, run, asked.weights, place)
        make(preset, run, preset.settings(run), where, console)
        scores.write(preset, [run])


def planned(config: Config, asked: Request) -> tuple[Preset, AnnRun, Adopted]:
    """The preset once the run is adopted, the run, and the entry that says so; InputError if they can't be had."""
    preset = config.preset(asked.preset)
    run = AnnRun(asked.dataset, asked.network, seed=asked.seed)
    preset.check_names(run)
    if (asked.mean is None) != (asked.std is None):
        raise InputError("--mean and --std go together: give both, three numbers each")
    if asked.std and min(asked.std) <= 0:
        raise InputError(f"--std {' '.join(map(str, asked.std))}: deviations are above 0")
    if not asked.weights.is_file():
        raise InputError(f"no file {asked.weights}: name the file of the weights")
    entry = Adopted(file=asked.weights.name, sha256=files.sha256(asked.weights), mean=asked.mean, std=asked.std)
    folder = Path(preset.folder(run))
    if preset.adopted(run) != entry and (folder / "model.pt").exists():
        raise InputError(f"{folder} holds a finished run already: delete that folder, or take another --seed")
    found = config.content.get("adopted", {}) | {
        f"{preset.name}/{run}": entry.model_dump(mode="json", exclude_none=True)
    }
    return Config(config.content | {"adopted": found}).preset(preset.name), run, entry


def keep(preset: Preset, run: AnnRun, weights: Path, place: Path) -> None:
    """Copy the file to where adopted files lie, and write the run down beside config.yaml, which is in `place`."""
    entry, config = preset.config.file.adopted[f"{preset.name}/{run}"], preset.config
    kept = weights_path(config.file.folders.data, entry)
    if not kept.exists():
        with open(weights, "rb") as source, files.replacing(kept) as copy:
            shutil.copyfileobj(source, copy)
    content = recorded(place / ADOPTED) | {f"{preset.name}/{run}": entry.model_dump(mode="json", exclude_none=True)}
    files.write_text(place / ADOPTED, HEAD + written(dict(sorted(content.items()))))


def check_accuracy(stated: float | None, measured: float, doubts: list[str]) -> None:
    """InputError if the measured accuracy is not the stated one, or if none was stated though the file leaves doubts.

    `doubts` is what it leaves open; a network that was put together otherwise has another accuracy. Both in percent.
    """
    if stated is None and doubts:
        raise InputError(
            f"the file leaves open whether this is its network: {'; '.join(doubts)}; measured are {measured:.2f} % on "
            f"test images: if that is its accuracy, add --expect {measured:.2f}"
        )
    if stated is not None and abs(stated - measured) > NEAR:
        raise InputError(
            f"--expect says {stated:.2f} %, measured are {measured:.2f} %: the weights fit but the network is another; "
            "pools here are average pools, activations ReLU, pixels in [-1, 1] (or --mean, --std), and layers are "
            "matched in their order"
        )
