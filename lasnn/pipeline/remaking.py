"""A checkpoint that is not there: another place that keeps it, or what to type for it and what that costs. No torch."""

from pathlib import Path

from lasnn.datasets.preparation import effort
from lasnn.errors import InputError
from lasnn.pipeline import reference
from lasnn.plan.config import Preset
from lasnn.plan.project import inside
from lasnn.plan.runs import ConvertedRun, Run, split
from lasnn.plan.vocabulary import KNOWN_DATASETS, given
from lasnn.storage import files


def checkpoint_for(folder: Path) -> Path:
    """The checkpoint of the run in `folder`, which has none of its own: that of the preset under which it is kept.

    InputError, in one line, if it has to be made.
    """
    place, run = split(folder.as_posix())
    kept = Path(place).parent.name == "reference"
    results = Path(place).parents[1 if kept else 0]
    with inside(results.absolute()) as config:
        preset = config.preset(Path(place).name)
        preset.check_names(run)
        if kept and (whole := reference.kept_at(preset, run) / "model.pt").exists():
            return whole.absolute()
        is_kept = kept and Path(reference.folder_of(preset), str(run), "metrics.json").exists()
        asked = f"{folder} is kept without its checkpoint" if is_kept else f"no checkpoint in {folder}"
        typed = " && ".join(commands(preset, run))
        raise InputError(f"{asked}: `{typed}`, typed in {Path.cwd()}, makes it: {cost(preset, run)}")


def commands(preset: Preset, run: Run) -> list[str]:
    """What to type: kept runs are taken up first, for which their images have to be there."""
    typed = [f"snakemake --cores 1 {preset.folder(run)}/model.pt"]
    if reference.folder_of(preset).is_dir():
        typed.insert(0, f"python -m lasnn import --preset {preset.name}")
        if not _has_images(preset, run):
            typed.insert(0, f"python -m lasnn data {run.dataset}")
    return typed


def cost(preset: Preset, run: Run) -> str:
    """What a run's checkpoint takes: runs, trainings among them, and minutes where kept runs say them."""
    needed = [one for one in preset.ancestors([run]) if one == run or not _is_there(preset, one)]
    trained = [one for one in needed if preset.has_training_log(one)]
    epochs = sum(given(preset.settings(one).training).epochs for one in trained if not isinstance(one, ConvertedRun))
    line = f"{len(needed)} run{'s' * (len(needed) > 1)} to make, {len(trained)} of them trained, {epochs} epochs in all"
    sources = [reference.kept_at(preset, one) / "provenance.json" for one in needed]
    if all(path.exists() for path in sources):
        made = [files.read_json(path) for path in sources]
        seconds = sum(max(one["seconds"], one.get("training_seconds", 0)) for one in made)
        line += f", which took {seconds / 60:.0f} min on {', '.join(sorted({one['device'] for one in made}))}"
    if not _has_images(preset, run):
        mirror = preset.config.mirror(run.dataset) if run.dataset in KNOWN_DATASETS else None
        line += f"; of its images: {effort(run.dataset, mirror)}"
    return line


def _has_images(preset: Preset, run: Run) -> bool:
    return Path(preset.config.data_file(run.dataset)).exists()


def _is_there(preset: Preset, run: Run) -> bool:
    return any((folder / "model.pt").exists() for folder in (Path(preset.folder(run)), reference.kept_at(preset, run)))
