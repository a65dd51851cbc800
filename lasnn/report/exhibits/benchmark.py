"""Distillation methods at equal budget (ours): a table (S10), and a figure of accuracy over energy."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from lasnn.plan.cells import Cell, Claims, focus_cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run, as_snn
from lasnn.plan.vocabulary import METHODS, given
from lasnn.report import style
from lasnn.report.columns import COLUMNS, number, shown
from lasnn.report.exhibit import Figure, Table, titles_of
from lasnn.report.finished import metrics_of
from lasnn.report.frame import SEEDS, frame, of_cells
from lasnn.report.late import Drawing, pd
from lasnn.report.paired import estimated, same_seeds
from lasnn.report.statistics import CONFIRMED, REFUTED, holm, verdict

AT, EACH = "at_", "_each"  # and T: columns of the accuracy after so many steps; energy of each seed
AND = "; "  # between the rows that one is not told apart from
PULLS = (
    "Added / CE gradient: norm over all weights of the gradient of what a row adds to cross-entropy, over that of "
    "cross-entropy itself, on the first 8 test images without dropout, before and after training."
)
VERDICTS = {CONFIRMED: "above", REFUTED: "below"}
SPENT = "spikes microjoules attention_share added_share added_share_end best_epoch epoch_minutes"


def cells(preset: Preset) -> list[Cell]:
    """A cell for everything that `scope.benchmark` names and the preset runs, with every seed."""
    named = preset.scope.benchmark.named if preset.scope.benchmark else ()
    found = [
        replace(focus_cell(preset, "Table S10", method, variant, label=title), every_seed=True)
        for title, method, variant in named
    ]
    return [cell for cell in found if runs_of(cell, preset)]


def beside(cell: Cell, cells: list[Cell], preset: Preset) -> Cell:
    """What a row is compared with: the one without a teacher that has the same loss over time.

    That row itself is compared with the one whose loss is of all steps together. A loss at every step can be worth
    more than a teacher, so a method is credited with what it adds to its own loss.
    """

    def loss(row: Cell) -> str:
        said = given(preset.settings(as_snn(runs_of(row, preset)[0])).spiking).loss
        return "every_step" if METHODS[row.method].by_step else said

    untaught = [row for row in cells if not METHODS[row.method].teacher]
    first = {loss(row): row for row in reversed(untaught)}
    alike = first.get(loss(cell), cell)
    return first.get("total", cell) if alike == cell else alike


def _lines(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each row: its accuracy after each T, what it is above the row beside it, what it spends."""
    tidy = of_cells(cells, preset, SPENT)
    if not cells:
        return tidy
    each = [frame(runs_of(cell, preset), preset, ["microjoules"])["microjoules"] for cell in cells]
    found = pd.DataFrame([_line(cell, cells, preset) for cell in cells], tidy.index)
    found["p_holm"] = holm(found.pop("p"))
    found["verdict"] = [
        verdict(gap, p, preset.claims.alpha, pairs, preset.claims.seeds)
        for gap, p, pairs in zip(found["difference"], found["p_holm"], found["pairs"], strict=True)
    ]
    found["verdict"] = found["verdict"].replace(VERDICTS).where(found["pairs"] > 0, "-")
    found["not_apart"] = _not_apart(cells, list(found["series"]), preset)
    found[EACH] = [tuple(values) for values in each]
    return tidy.join(found)


def _line(cell: Cell, cells: list[Cell], preset: Preset) -> dict[str, object]:
    plan, runs, rival = given(preset.scope.benchmark), runs_of(cell, preset), beside(cell, cells, preset)
    curves = [metrics_of(run, preset)["accuracy_by_step"] for run in runs]
    first = f"{cell.method}+{cell.variant}".removesuffix(f"+{BASE}") == plan.rows[cell.row_label][0]
    title = cell.row_label if first else f"{cell.row_label}: {preset.config.title(cell.variant)}"
    pairs = same_seeds(runs_of(rival, preset), runs)
    tried = preset.config.preset(plan.trials).scope.benchmark
    return {
        "series": title,
        "trials": len(tried.rows.get(cell.row_label, ())) if tried else 0,
        **{f"{AT}{step}": float(np.mean([curve[step - 1] for curve in curves])) for step in plan.steps},
        "beside": rival.row_label if pairs else "-",
        "pairs": len(pairs),
        **estimated(pairs, preset),
    }


def _shown(preset: Preset, runs: list[Run]) -> dict[str, object]:
    """Titles of variants, and the trials of another preset, which are counted."""
    plan = preset.scope.benchmark
    tried = preset.config.preset(plan.trials).scope.benchmark if plan and plan.trials != preset.name else None
    return titles_of(preset, runs) | {"trials": tried.model_dump(mode="json")["rows"] if tried else None}


def _not_apart(cells: list[Cell], titles: list[str], preset: Preset) -> list[str | None]:
    """For each row the others that it is not told apart from, by Holm over all pairs of rows; None without a test."""
    places = list(combinations(range(len(cells)), 2))
    pairs = [same_seeds(runs_of(cells[one], preset), runs_of(cells[two], preset)) for one, two in places]
    tested = {place: both for place, both in zip(places, pairs, strict=True) if len(both) >= preset.claims.seeds}
    ps = dict(zip(tested, holm(estimated(both, preset)["p"] for both in tested.values()), strict=True))
    alike = {place for place, p in ps.items() if not p < preset.claims.alpha}
    found: list[str | None] = []
    for row in range(len(cells)):
        others = [title for other, title in enumerate(titles) if {(row, other), (other, row)} & alike]
        found.append(AND.join(others) if any(row in place for place in tested) else None)
    return found


def _told_apart(tidy: pd.DataFrame, settings: Claims) -> str:
    if tidy["not_apart"].isna().all():
        return f"No two rows were tested against each other: that takes {settings.seeds} seeds."
    order, rows = list(tidy["series"]), tidy.dropna(subset="not_apart")
    after = {row["series"]: [name for name in row["not_apart"].split(AND) if name] for _, row in rows.iterrows()}
    said = [
        f"{one} from {', '.join(others)}"
        for one in order
        if (others := [other for other in after.get(one, []) if order.index(other) > order.index(one)])
    ]
    return (
        f"Not told apart, over seeds and test images, p >= {settings.alpha:g} after Holm's correction over all pairs "
        f"of rows: {'; '.join(said) or 'none'}."
    )


def _arranged(tidy: pd.DataFrame) -> pd.DataFrame:
    """A line for each row, a column for each T."""
    steps = [str(name) for name in tidy if str(name).startswith(AT)]
    shares = "added_share added_share_end" if tidy["added_share"].notna().any() else ""
    table = shown(tidy, f"series accuracy beside above verdict spikes microjoules {shares} best_epoch trials")
    for place, name in enumerate(steps):
        table.insert(1 + place, f"T = {name.removeprefix(AT)}, %", [number(value) for value in tidy[name]])
    return table.assign(**{COLUMNS["epoch_minutes"].head: COLUMNS["epoch_minutes"].texts("epoch_minutes", tidy)})


def _told(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    plan = preset.scope.benchmark
    if plan is None or tidy.empty:
        return []
    settings = preset.claims
    return [
        "All rows have one student, one recipe (data, optimiser, schedule, epochs), the last epoch and direct input. "
        "T: the logits after so many steps of the same network; spikes and energy are those of all steps.",
        "Above: beside the row without a teacher and with the same loss over time, as a loss at every step is worth "
        "something without a teacher; that row itself beside cross-entropy of the mean. Over seeds and test images, "
        f"{100 * (1 - settings.alpha):g} % interval; above or below where p < {settings.alpha:g} after Holm's "
        f"correction over these rows, else undecided. A verdict takes {settings.seeds} seeds.",
        _told_apart(tidy, settings),
        *([PULLS] if tidy["added_share"].notna().any() else []),
        "Best epoch: what the accuracy of the best epoch is above that of the last, on the test images watched in "
        f"training; no number here is chosen by it. Trials: settings tried on held-out images (preset {plan.trials}).",
    ]


def draw(tidy: pd.DataFrame) -> Drawing:
    """Accuracy over energy: a small mark for each seed, a large one for their mean."""
    drawing, ((axes,),) = style.sheet(height=3.8)
    looks = style.looks_of(zip(tidy["series"], tidy["method"], strict=True))
    for line in tidy.to_dict("records"):
        look = looks[line["series"]]
        axes.plot(line[EACH], line[SEEDS], **look.mark | {"markersize": 2.5, "alpha": 0.6})
        mark = look.mark | {"markersize": 6.5}
        axes.plot(line["microjoules"], line["ours"], label=f"{line['series']} ({line['n']:g})", **mark)
    axes.set(xlabel="µJ per image")
    style.name_y(axes, "accuracy, %")
    axes.margins(x=0.08, y=0.1)
    style.legend(drawing, columns=3)
    return drawing


EXHIBITS = {
    "table_s10": Table(
        "Table S10: distillation methods at equal budget",
        cells,
        _arranged,
        ran_only=True,
        lines=_lines,
        told=_told,
        predictions=("snn",),
        logs=True,
        main=False,
        sections=("scope", "energy", "claims"),
        beside=_shown,
    ),
    "figure_benchmark": Figure(
        "Accuracy and energy of distillation methods at equal budget",
        cells,
        draw,
        lines=_lines,
        told=_told,
        ours="Ours: mean over n seeds (in brackets), small marks the seeds",
        predictions=("snn",),
        logs=True,
        sections=("scope", "energy", "claims"),
        beside=_shown,
    ),
}
