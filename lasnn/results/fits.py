"""Whether a run's files are those of the planned run: one comparison, which everyone makes who opens them. No torch.

Two questions are kept apart. `unfit`: do the files state the fingerprint that the plan has for this run, the images
that are prepared now and the parents that are there now? `damaged`: are their bytes those that were written? Both give
a phrase, or None, and raise InputError where a file can't be read.
"""

from pathlib import Path

from lasnn.datasets.arrays import header_of
from lasnn.errors import InputError, again
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, changes, fingerprint
from lasnn.storage import files
from lasnn.storage.digests import Digests
from lasnn.storage.files import Json

RUN_FILES = ("model.pt", "metrics.json", "predictions.npz", "provenance.json")
OLD = "made by an earlier version of lasnn"
STATED = {  # in every metrics.json
    "run": dict,
    "preset": str,
    "settings": dict,
    "parents": dict,
    "data": dict,
    "fingerprint": str,
}


def unfit(
    preset: Preset, run: Run, folder: Path | None = None, root: Path | None = None, digests: Digests | None = None
) -> str | None:
    """Why the run in `folder` is not the one that `preset` plans; None if it is.

    `root` is the folder of the preset that made it, in which its parents lie; by default both are the usual ones. A
    parent or images that are not there are not compared: the fingerprint holds the parents' settings without them.
    """
    root, digests = root or Path(preset.root), digests or Digests(None)
    return other_than_planned(preset, run, identity_of(folder or root / str(run), digests), root, digests)


def other_than_planned(preset: Preset, run: Run, said: Json, root: Path, digests: Digests) -> str | None:
    """The same of metrics that were read already and hold all of STATED."""
    if said["run"].get("path") != str(run) or said["preset"] != root.name:
        return f"it holds the run {said['run'].get('path')} of preset {said['preset']}"
    if changed := changes(preset, run, said["settings"]):
        return f"made with other settings ({', '.join(changed[:3])})"
    parents = sorted(said["parents"])
    if parents != sorted(map(str, preset.parents(run))):
        return f"made from other parents ({', '.join(parents) or 'none'})"
    for parent in parents:
        if checkpoint_of(root / parent, digests) not in (None, said["parents"][parent]):
            return f"made from another {parent} than the one that is there now"
    if said["fingerprint"] != fingerprint(preset, run):
        others = ", ".join(_others(preset, run, root, digests))
        return f"made from runs of other settings than the plan has for {others}"
    images = preset.config.data_file(run.dataset)
    if Path(images).exists() and header_at(images, digests)["digest"] != said["data"].get("digest"):
        return f"made from other images than {images} holds now"
    return None


def damaged(folder: Path, digests: Digests | None = None) -> str | None:
    """Which file of a run is not the one that its provenance describes; None if all that are there are."""
    digests = digests or Digests(None)
    stated = provenance_of(folder, digests)["files"]
    if not stated:
        return OLD
    for name, expected in stated.items():
        if (folder / name).exists() and digests.sha256(folder / name) != expected:
            return f"{folder / name} is not the file that its provenance describes"
    return None


def checkpoint_of(folder: Path, digests: Digests) -> str | None:
    """The digest that a run states of its checkpoint, which may not be kept; None if there is no run."""
    stated = provenance_of(folder, digests)["files"] if (folder / "provenance.json").exists() else {}
    found: str | None = stated.get("model.pt")
    return found


def identity_of(folder: Path, digests: Digests) -> Json:
    """What a run's metrics say of what made it; InputError if they are missing, damaged or of an earlier version."""
    path = folder / "metrics.json"

    def read() -> Json:
        content = whole_metrics(folder)
        return {key: content[key] for key in STATED}

    return digests.record("metrics", [path], read)


def whole_metrics(folder: Path) -> Json:
    """A run's metrics; InputError if they are missing, damaged or of an earlier version."""
    path = folder / "metrics.json"
    content = files.read_json(path)
    for key, kind in STATED.items():
        if not isinstance(content.get(key), kind):
            raise InputError(f"{path} was {OLD} (it lacks {key!r}): {again(path)}")
    return content


def provenance_of(folder: Path, digests: Digests) -> Json:
    """The digests of files that a run's provenance states, and the source of its images."""
    path = folder / "provenance.json"

    def read() -> Json:
        content = files.read_json(path)
        return {
            "files": _mapping(content.get("files")),
            "source": _mapping(_mapping(content.get("data")).get("source")),
        }

    return digests.record("provenance", [path], read)


def header_at(path: str, digests: Digests) -> Json:
    """What the header of a prepared file says."""
    return digests.record("header", [path], lambda: header_of(path))


def _others(preset: Preset, run: Run, root: Path, digests: Digests) -> list[str]:
    """The parents that are not the planned ones, or are not there to be seen."""

    def differs(parent: Run) -> bool:
        folder = root / str(parent)
        there = (folder / "metrics.json").exists()
        return not there or identity_of(folder, digests)["fingerprint"] != fingerprint(preset, parent)

    return [str(parent) for parent in preset.parents(run) if differs(parent)]


def _mapping(value: object) -> Json:
    """A mapping as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}
