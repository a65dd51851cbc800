"""The second line: whoever makes a table, a figure or a page, a run that does not answer the plan is refused.

Whatever the workflow has seen, the files are compared again, metrics and provenance alone. No torch.
"""

from functools import cache
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.results.fits import other_than_planned, provenance_of, whole_metrics
from lasnn.storage.digests import Digests

_seen = Digests(None)  # parents that several runs share are read once


@cache
def answering(run: Run, preset: Preset, root: str | None = None) -> dict:
    """The metrics of a run below `root` (by default the preset's folder).

    InputError that names run and reason if they are missing, damaged, or not of what the plan asks for now.
    """
    place = Path(root or preset.root)
    folder = place / str(run)
    again = f"`snakemake --cores 1 {preset.folder(run)}/metrics.json` makes it again"
    metrics = whole_metrics(folder)
    reason = other_than_planned(preset, run, metrics, place, _seen)
    if (folder / "provenance.json").exists() and not reason:
        stated = provenance_of(folder, _seen)["files"].get("metrics.json")
        if stated not in (None, _seen.sha256(folder / "metrics.json")):
            reason = "its metrics.json is not the one that its provenance.json describes"
    if reason:
        raise InputError(f"{folder} is not what the plan asks for: {reason}; {again}")
    return metrics


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
