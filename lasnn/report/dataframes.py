"""Finished runs as tables for notebooks: they read metrics and exhibits, and never train. No torch."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lasnn.errors import InputError
from lasnn.plan import project
from lasnn.plan.cells import paper_cells
from lasnn.plan.config import Config, Preset, read
from lasnn.plan.overlays import merged
from lasnn.plan.runs import SnnRun
from lasnn.plan.vocabulary import given
from lasnn.report import pages, runs_of_target
from lasnn.report.columns import METHOD_TITLES
from lasnn.report.finished import metrics_of, same_images
from lasnn.report.frame import frame
from lasnn.report.late import pd

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from pandas.io.formats.style import Styler

FIELDS = ("student", "method", "encoder", "steps", "teacher", "variant", "seed")


def to_root() -> None:
    """Go to the folder that holds config.yaml, from wherever Jupyter was started; jobs are where they should be."""
    os.chdir(project.root())


def metrics(root: str, variant: str | None = "base") -> list[dict]:
    """The metrics of the planned spiking runs below `root` (results/<preset>) that are finished; `variant` as there."""
    preset = read().preset(Path(root).name)
    found = [metrics_of(run, preset, root) for run in _finished(preset, root, variant)]
    same_images(found)
    return found


def _finished(preset: Preset, root: str, variant: str | None) -> list[SnnRun]:
    found = [run for run in planned(preset, variant) if Path(root, str(run), "metrics.json").exists()]
    if not found:
        raise InputError(f"no finished spiking run below {root}: `snakemake --cores 1 tables` makes them")
    return found


def planned(preset: Preset, variant: str | None = "base") -> list[SnnRun]:
    """All spiking runs in the plan of a preset, of one variant or of all.

    Nothing else that lies there counts, so that a page does not depend on what was tried before.
    """
    runs = [run for run in runs_of_target(preset, "all") if isinstance(run, SnnRun) and variant in (None, run.variant)]
    return sorted(runs)


@dataclass(frozen=True)
class Scrolling:
    """A table in a box of its own, which scrolls where a page is too narrow for it."""

    table: Styler

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.table.to_html()}</div>'


def shown(frame: pd.DataFrame, precision: int = 2, whole: Sequence[str] = ()) -> Scrolling:
    """A table for a page: words to the left, numbers to the right, those in columns `whole` without decimals."""
    words = frame.select_dtypes(exclude="number").columns
    left = {"selector": "", "props": "text-align: left"}
    styled = frame.style.format(precision=precision, thousands=",").format("{:,.0f}", subset=list(whole))
    heads: Any = {name: [left | {"selector": "th"}, left | {"selector": "td"}] for name in words}
    return Scrolling(styled.hide(axis="index").set_table_styles(heads, overwrite=False))


def legend(axes: Iterable[Axes], columns: int = 4) -> None:
    """One legend above the panels of a figure, each label of any panel once."""
    found: dict[str, Artist] = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    one.figure.legend(
        list(found.values()), list(found), loc="outside upper center", ncols=columns, fontsize=7, frameon=False
    )


def label(run: dict) -> str:
    """How a run is called in a picture: its method, with encoder and steps where they aren't the usual ones."""
    return f"{METHOD_TITLES.get(run['method'], run['method'])}, {run['encoder']} T={run['steps']}"


def runs(root: str, variant: str | None = "base", **energy: float) -> pd.DataFrame:
    """The frame of the same runs, with a `label`, microjoules, and how many times less than its ANN each spends.

    `energy`: keys of the section of that name, where others than the preset's are asked for.
    """
    config, name = read(), Path(root).name
    there = {"folders": {"results": Path(root).parent.as_posix()}, "presets": {name: {"energy": energy}}}
    preset = Config(merged(config.content, there)).preset(name)
    found = frame(_finished(preset, root, variant), preset)
    pairs = zip(found["method"], found["encoding"], found["ran_steps"], strict=True)
    return found.assign(
        label=[label({"method": method, "encoder": encoder, "steps": steps}) for method, encoder, steps in pairs],
        ann_microjoules=1e6 * found["ann_joules"],
        times_less=found["ann_joules"] / found["joules"],
    )


def layers(found: list[dict]) -> pd.DataFrame:
    """A line for each run and layer: S_l before and after training (spikes for each neuron and image), silent share."""
    networks, lines = read().networks, []
    for one in found:
        start = one.get("choices", {}).get("start_rates") or {}
        for name, layer in sorted(one["spikes"].items(), key=lambda item: _depth(item[0])):
            lines.append(
                {field: one["run"][field] for field in FIELDS}
                | {
                    "network": networks.title(one["run"]["student"]),
                    "label": label(one["run"]),
                    "layer": name,
                    "S_l": layer["per_neuron"],
                    "before": start[name] * one["run"]["steps"] if name in start else None,
                    "silent": 100 * layer["silent"] / layer["neurons"],
                }
            )
    return pd.DataFrame(lines)


def _depth(layer: str) -> tuple:
    """Sorts layers from the input on: the stem and convolutions, then blocks (inner neuron first), then linear ones."""
    kind, number, inner = given(re.fullmatch(r"([a-z]+)(\d*)(.*)", layer)).groups()
    return {"c": 0, "p": 0, "b": 1, "f": 2}.get(kind, 3), int(number or 0), not inner


def over_time(found: list[dict]) -> pd.DataFrame:
    """Accuracy after each step, a line for each run and step."""
    networks = read().networks
    return pd.DataFrame(
        {"network": networks.title(one["run"]["student"]), "label": label(one["run"]), "method": one["run"]["method"]}
        | {"encoder": one["run"]["encoder"], "seed": one["run"]["seed"], "step": step, "accuracy": accuracy}
        for one in found
        for step, accuracy in enumerate(one["accuracy_by_step"], 1)
    )


def paper(metric: str, *exhibits: str) -> pd.DataFrame:
    """What the paper prints of a metric in some exhibits."""
    cells = [cell for cell in paper_cells(*exhibits) if cell.metric == metric and cell.value]
    columns = ("exhibit", "row_label", "dataset", "student", "method", "encoding", "timesteps", "value", "unit", "note")
    return pd.DataFrame([{name: getattr(cell, name) for name in columns} for cell in cells], columns=columns)


def note(found: list[dict]) -> str:
    """What every number below rests on, in one sentence."""
    data = {one["data"]["title"]: one["data"] for one in found}
    sets = ", ".join(f"{name} ({one['train_images']:,} + {one['test_images']:,} images)" for name, one in data.items())
    seeds = sorted({one["run"]["seed"] for one in found})
    return f"{len(found)} runs of preset {found[0]['preset']} on {sets}; seeds {', '.join(map(str, seeds))}."


def differences(root: str, names: list[str]) -> pd.DataFrame:
    """Every accuracy of these tables that the paper has too, of runs on its data with its network and T, less its own.

    No line where a preset runs other sizes: such differences say nothing of the paper.
    """
    keys = ["ran_dataset", "student", "teacher", "method", "encoding", "timesteps"]
    paths = [path for path in (Path(root, "exhibits", f"{name}.csv") for name in names) if path.exists()]
    tables = [table for table in map(pd.read_csv, paths) if {"metric", "ours", "paper"} <= set(table)]
    if not tables:
        raise InputError(f"no finished table below {root}: `snakemake --cores 1 tables` makes them")
    both = pd.concat(table.reindex(columns=[*table, *({"as_printed"} - set(table))]) for table in tables)
    alike = (both["metric"] == "top1") & both["paper"].notna() & both["as_printed"].eq(True)
    both = both[alike].drop_duplicates([*keys, "ours", "paper"])
    both["method"] = both["method"].map(METHOD_TITLES)
    both["timesteps"] = both["timesteps"].map("{:g}".format, na_action="ignore").astype(object)
    return both[[*keys, "ours", "paper"]].fillna("").assign(difference=both["ours"] - both["paper"])


def exhibit(root: str, name: str) -> str:
    """A finished table or figure as HTML, with nothing that is loaded from elsewhere; one line if it is missing."""
    stem = Path(root, "exhibits", name)
    sources = stem.with_suffix(".json")
    said = json.loads(sources.read_text(encoding="utf-8")) if sources.exists() else {}
    title = said.get("title", name)
    if stem.with_suffix(".svg").exists():
        picture = base64.b64encode(stem.with_suffix(".svg").read_bytes()).decode()
        image = f'<img style="max-width:100%" alt="{html.escape(name)}" src="data:image/svg+xml;base64,{picture}">'
        caption = "".join(f"<li>{html.escape(note)}</li>" for note in said.get("notes", ()))
        return f"<h3>{html.escape(title)}</h3>{image}<ul>{caption}</ul>"
    if not stem.with_suffix(".md").exists():
        return f"<p>{name}: not made yet; <code>snakemake --cores 1 all</code> makes it.</p>"
    return pages.table(stem.with_suffix(".md").read_text(encoding="utf-8"))
