"""The second line: whoever makes a table, a figure or a page, a run that does not answer the plan is refused.

It does not know the judge of the workflow (`lasnn.pipeline.freshness`) and looks with its own eyes, at metrics and
provenance alone. No torch.
"""

from functools import cache
from pathlib import Path

from lasnn.datasets.arrays import header_of
from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.plan.settings_diff import changes
from lasnn.storage import files


@cache
def answering(run: Run, preset: Preset, root: str | None = None) -> dict:
    """The metrics of a run below `root` (by default the preset's folder).

    InputError that names run and reason if they are missing, damaged, or not of what the plan asks for now.
    """
    place = Path(root or preset.root)
    folder = place / str(run)
    again = f"`snakemake --cores 1 {preset.folder(run)}/metrics.json` makes it again"
    metrics = files.read_json(folder / "metrics.json")
    try:
        reason = _other(run, preset, metrics, place)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} was made by an earlier version of lasnn (it lacks {error}): {again}") from None
    if reason:
        raise InputError(f"{folder} is not what the plan asks for: {reason}; {again}")
    return metrics


def _other(run: Run, preset: Preset, metrics: dict, place: Path) -> str | None:
    if (metrics["run"]["path"], metrics["preset"]) != (str(run), preset.name):
        return f"it holds {metrics['run']['path']} of preset {metrics['preset']}"
    if changed := changes(preset, run, metrics["settings"]):
        return f"it was made with other settings: {', '.join(changed[:3])}"
    if _stated(place / str(run)).get("metrics.json") not in (None, files.sha256(place / str(run) / "metrics.json")):
        return "its metrics.json is not the one that its provenance.json describes"
    if sorted(metrics["parents"]) != sorted(map(str, preset.parents(run))):
        return f"it was made from {', '.join(metrics['parents']) or 'no other run'}"
    for parent, digest in metrics["parents"].items():
        if _stated(place / parent).get("model.pt") not in (None, digest):
            return f"it was made from another {parent} than the one that is there now"
    data = Path(preset.config.data_file(run.dataset))
    if data.exists() and header_of(data)["digest"] != metrics["data"]["digest"]:
        return f"it was made from other images than {data} holds now"
    return None


def same_images(found: list[dict]) -> None:
    """InputError if runs on one dataset were made from different images, which can't stand side by side."""
    first: dict[str, dict] = {}
    for one in found:
        other = first.setdefault(one["data"]["dataset"], one)
        if other["data"]["digest"] != one["data"]["digest"]:
            raise InputError(
                f"{one['run']['path']} and {other['run']['path']} were made from different images of "
                f"{one['data']['dataset']}: `snakemake` makes again what does not fit"
            )


def _stated(folder: Path) -> dict:
    path = folder / "provenance.json"
    return files.read_json(path).get("files", {}) if path.exists() else {}
