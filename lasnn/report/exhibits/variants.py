"""Controls and knobs beside the runs that they change (ours): all of them (S4), at low T (S7), and recipes (S8)."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import mean
from typing import Any

from lasnn.plan.cells import Cell, direct_cell, focus_cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.overlays import merged
from lasnn.plan.runs import AND, BASE, Run
from lasnn.plan.vocabulary import METHODS
from lasnn.report import style
from lasnn.report.columns import METHOD_TITLES
from lasnn.report.exhibit import Figure, Table, titles_of
from lasnn.report.exhibits.tables import CONTEXT, START
from lasnn.report.finished import metrics_of
from lasnn.report.frame import SEEDS, TITLE, of_cells
from lasnn.report.late import Drawing, pd
from lasnn.report.paired import same_seeds, with_p
from lasnn.report.statistics import reach
from lasnn.report.templates import DOTS, dots, name_ends, places

LOW_STEPS = ("4", "8", "10")
LOW_BASES = ("conversion", "hybrid", "lasnn_act")  # beside methods with an option
FEW_STEPS = ("2", "4", "8")
UNTRAINED = ("conversion", "calibration")
RIVAL = "calibration"  # what a training has to beat: it trains nothing
TEACHERLESS = "hybrid"  # what a distillation has to beat
NAMED = 15  # points of a figure that have room for a name each


# ---- which runs


def knobs(preset: Preset) -> list[Cell]:
    """Table S4: for each method that `scope.ablations` or `scope.own` names, its base run and its variants."""
    asked = [*(tuple(name.split("+")) for name in preset.scope.ablations), *preset.scope.own.items()]
    asked = list(dict.fromkeys(asked))
    pairs = [
        (method, variant)
        for method in dict.fromkeys(method for method, _ in asked)
        for variant in (BASE, *(variant for other, variant in asked if other == method))
    ]
    return [focus_cell(preset, "Table S4", *pair) for pair in pairs or [("lasnn_act", BASE)]]


def low_steps(preset: Preset) -> list[Cell]:
    """Table S7: the student in focus at each low T that the preset names; options (`scope.low_t`) at its lowest."""
    asked = [_knob(name) for name in preset.scope.low_t]
    bases = [(method, BASE) for method in LOW_BASES]
    others = [(method, BASE) for method in dict.fromkeys(method for method, _ in asked) if method not in LOW_BASES]
    options = sorted(dict.fromkeys([*bases, *others, *asked]), key=lambda pair: list(METHODS).index(pair[0]))
    lowest = next((step for step in LOW_STEPS if preset.scope.steps.get(f"direct-T{step}")), LOW_STEPS[0])
    return [
        direct_cell(preset, "Table S7", method, variant, step)
        for step in LOW_STEPS
        for method, variant in (options if step == lowest else bases)
    ]


def few_steps(preset: Preset) -> list[Cell]:
    """Table S8: the ANN, then for each T what trains nothing and the preset's recipes (`scope.recipes`)."""
    recipes = [_knob(name) for name in preset.scope.recipes]
    methods = [*((method, BASE) for method in UNTRAINED), *recipes] if recipes else []
    return [
        replace(direct_cell(preset, "Table S8", "ann", BASE, "", every_seed=True), encoding=""),
        *(
            direct_cell(preset, "Table S8", method, variant, step, every_seed=True)
            for step in FEW_STEPS
            for method, variant in methods
        ),
    ]


def _knob(name: str) -> tuple[str, str]:
    """Method and variant of `<method>+<variant>`; a variant alone is LaSNN's."""
    method, plus, variant = name.partition("+")
    return (method, variant or BASE) if plus or method in METHODS else ("lasnn_act", name)


# ---- their numbers


def changes(variant: str, method: str, preset: Preset) -> str:
    """What a variant changes in a run of `method`, as `section.key: value`; `-` for base."""
    return "; ".join(leaf for one in preset.config.overlays(variant) for leaf in _leaves(_meant(one, method))) or "-"


def _meant(overlay: dict, method: str) -> dict:
    """An overlay in which its entry `for:` the method is as if said plainly, and those for other methods are gone."""
    named = overlay.get("for", {})
    others = {name: change for name, change in named.items() if name not in METHODS}
    rest = {key: value for key, value in overlay.items() if key != "for"} | ({"for": others} if others else {})
    return merged(rest, named.get(method, {}))


def _leaves(overlay: dict, path: str = "") -> list[str]:
    found = []
    for key, value in overlay.items():
        said = ", ".join(map(str, value)) if isinstance(value, list) else value
        found += _leaves(value, f"{path}{key}.") if isinstance(value, dict) else [f"{path}{key}: {said}"]
    return found


def compared(cells: list[Cell], preset: Preset, more: str = CONTEXT) -> pd.DataFrame:
    """With what a variant changes, and the difference to the base runs of its method and T with the same seeds."""
    base = {(cell.method, cell.timesteps): runs_of(cell, preset) for cell in cells if cell.variant == BASE}
    return of_cells(cells, preset, more).assign(
        changes=[changes(cell.variant, cell.method, preset) for cell in cells],
        difference=[_difference(base.get((cell.method, cell.timesteps), []), cell, preset) for cell in cells],
    )


def _difference(base: list[Run], cell: Cell, preset: Preset) -> float:
    """Points that the runs of `cell` are above the `base` runs of their seeds; NaN without any."""
    theirs, ours = (
        {run.seed: metrics_of(run, preset)["accuracy"] for run in runs} for runs in (base, runs_of(cell, preset))
    )
    both = ours.keys() & theirs.keys()
    return mean(ours[seed] - theirs[seed] for seed in both) if both else math.nan


def _knobs(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    bases = {cell.method: runs_of(cell, preset) for cell in cells if cell.variant == BASE}
    pairs = [same_seeds(bases.get(cell.method, []), runs_of(cell, preset)) for cell in cells]
    return with_p(compared(cells, preset), pairs, preset)


def _few_steps(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """Also each line beside its ANN and, image by image, beside its rivals at the same T.

    They are calibration, and for a recipe also hybrid training with the same options.
    """
    tidy = compared(cells, preset).drop(columns="difference")
    runs = {(cell.timesteps, cell.method, cell.variant): runs_of(cell, preset) for cell in cells}

    def against(method: str, variant: str, cell: Cell) -> list[tuple[Run, Run]]:
        return same_seeds(runs.get((cell.timesteps, method, variant), []), runs_of(cell, preset))

    tidy = with_p(tidy, [against(RIVAL, BASE, cell) for cell in cells], preset)
    taught = [against(TEACHERLESS, cell.variant, cell) if cell.variant != BASE else [] for cell in cells]
    tidy = with_p(tidy, taught, preset, "p_hybrid")
    return tidy.assign(to_ann=tidy["ours"] - tidy["ann"])


def _told_of_knobs(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    return [
        START,
        "To base: against the base runs with the same seeds. p, these networks: against them on the same images "
        f"(signs flipped image by image), after Holm's correction over {int(tidy['p'].notna().sum())} tests. It says "
        "whether the networks that were trained differ and nothing of others trained alike, so it is no verdict.",
    ]


def _told_of_few_steps(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    made, taught = int(tidy["p"].notna().sum()), int(tidy["p_hybrid"].notna().sum())
    return [
        START,
        "To ANN: less the accuracy of the intermediate ANN that it starts from. p of these networks: against "
        "calibration, and against hybrid training with the same options, at the same T, on the same test images "
        f"and seeds (signs flipped image by image), after Holm's correction over {made} tests and over {taught}; "
        "it says nothing of others trained alike, so it is no verdict.",
    ]


# ---- figures


def _told_of_ablations(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    found = tidy[tidy["variant"] != BASE].drop_duplicates("variant")
    named = zip(found[TITLE], found["variant"], found["changes"], strict=True)
    words = [f"{title} ({name}): {said}" if title != name else f"{name}: {said}" for title, name, said in named]
    return [
        "Lines: the base run of the method. Right: against the base runs of the same seeds, so that a run of one seed "
        "is compared with one.",
        f"Variants: {'; '.join(words)}.",
    ]


def draw_ablations(tidy: pd.DataFrame) -> Drawing:
    """A row for each run, methods one below the other, each with its base run first: accuracy and difference."""
    ran = tidy[tidy["n"] > 0]
    titles = ran["method"].map(METHOD_TITLES)
    lines = ran.assign(group=titles, series=titles, row=ran[TITLE], paper=None)
    apart = lines[lines["variant"] != BASE].assign(ours=ran["difference"], sd=None, **{SEEDS: None})
    looks = style.looks_of(zip(titles, ran["method"], strict=True))
    drawing = dots([("accuracy, %", lines, ".1f"), ("to its base run, points", apart, "+.1f")], looks)
    left, right = drawing.axes
    right.axvline(0, color="0.4", linewidth=0.8)
    rows = pd.Series(places(lines)).groupby(level=0)
    for title, base in lines[lines["variant"] == BASE].set_index("group")["ours"].items():
        own = rows.get_group(title)
        left.vlines(base, own.min() - 0.5, own.max() + 0.5, color="0.4", linewidth=0.8)
    return drawing


def draw_firing(tidy: pd.DataFrame) -> Drawing:
    """One panel, spikes on a logarithmic axis."""
    trained = [METHODS[method].trained for method in tidy["method"]]
    ran = tidy[trained].dropna(subset=["ours", "spikes"])
    if ran.empty:
        return style.nothing()
    drawing, ((axes,),) = style.sheet(height=3.6)
    named_below = ran["ours"].mean() if len(ran) > NAMED else math.inf
    for line in ran.to_dict("records"):
        look, base = style.look_of(line["method"]), line["variant"] == BASE
        label = METHOD_TITLES[line["method"]] if base else None
        words = look.mark | {"markersize": 6.5} if base else replace(look, open=True).mark | {"markersize": 5}
        axes.plot(line["spikes"], line["ours"], label=label, **words)
        if not base and line["ours"] < named_below:
            place: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(f"{line[TITLE]} ({line['n']:g})", (line["spikes"], line["ours"]), **place, fontsize=5.5)
    axes.set(xscale="log", xlabel="spikes per neuron and image")
    style.name_y(axes, "accuracy, %")
    axes.margins(x=0.12, y=0.08)
    axes.tick_params(axis="x", which="both", length=0, pad=3)  # one line of labels: minor ticks are shorter
    for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        ticks("{x:g}")
    style.legend(drawing)
    return drawing


def _recipes(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    """With a series for each method and recipe; of methods with several recipes each is named."""
    tidy = of_cells(cells, preset, CONTEXT)
    several = tidy.groupby("method")["variant"].nunique() > 1
    recipe = tidy["variant"].map(lambda name: "" if name == BASE else f" ({name.replace(AND, ', ')})")
    return tidy.assign(series=tidy["method"].map(METHOD_TITLES) + recipe.where(tidy["method"].map(several), ""))


def recipes(tidy: pd.DataFrame) -> list[str]:
    """What the methods are trained with, as a sentence; none where no recipe is shown."""
    found = dict.fromkeys(tidy.loc[tidy["variant"] != BASE, TITLE])
    return [f"Trained with: {'; '.join(found)}."] if found else []


def draw_few_steps(tidy: pd.DataFrame) -> Drawing:
    """Accuracy on the left, spikes on the right, T as places of equal distance."""
    spiking = tidy[(tidy["n"] > 0) & (tidy["timesteps"] != "")]
    if spiking.empty:
        return style.nothing()
    drawing, ((left, right),) = style.sheet(1, 2, height=2.6)
    looks = style.looks_of(zip(spiking["series"], spiking["method"], strict=True))
    ends: dict[str, float] = {}
    for place, (name, look) in enumerate(looks.items()):
        lines, beside = spiking[spiking["series"] == name], 0.03 * (place - len(looks) / 2)
        at = [FEW_STEPS.index(step) + beside for step in lines["timesteps"]]
        wide = [0 if pd.isna(sd) else reach(sd, n) for sd, n in zip(lines["sd"], lines["n"], strict=True)]
        left.errorbar(at, lines["ours"], yerr=wide, capsize=2, elinewidth=0.8, **look.line)
        right.plot(at, lines["spikes"], **look.line)
        ends[name] = lines["spikes"].iloc[-1]
    for value in tidy.loc[tidy["method"] == "ann", "ours"].dropna():
        left.axhline(value, **(style.look_of("ann").line | {"marker": ""}))
        left.text(1.01, value, "ANN", transform=left.get_yaxis_transform(), va="center", fontsize=7)
    style.name_y(left, "accuracy, %")
    style.name_y(right, "spikes per neuron")
    right.set_ylim(0, None)
    for axes in (left, right):
        axes.set_xticks(range(len(FEW_STEPS)), FEW_STEPS)
        axes.set(xlabel="T", xlim=(-0.25, len(FEW_STEPS) - 0.75))
    name_ends(right, ends, looks)
    return drawing


EXHIBITS = {
    "table_s4": Table(
        "Table S4: controls and knobs, each beside its base run",
        knobs,
        "data student method variant changes steps scale leak start accuracy difference p_base spikes",
        lines=_knobs,
        told=_told_of_knobs,
        predictions=("snn",),
        main=False,
    ),
    "table_s7": Table(
        "Table S7: low T with direct input",
        low_steps,
        "data student steps method option changes scale start accuracy ann spikes",
        lines=compared,
        told=lambda tidy, preset: [START, "Direct input."],
        main=False,
    ),
    "table_s8": Table(
        "Table S8: accuracy and spikes at T = 2, 4 and 8, direct input",
        few_steps,
        "data student timesteps method changes accuracy to_ann p_holm p_hybrid_holm spikes",
        lines=_few_steps,
        told=_told_of_few_steps,
        predictions=("snn",),
        main=False,
    ),
    "figure_ablations": Figure(
        "Controls and knobs, each beside its base run",
        knobs,
        draw_ablations,
        lines=lambda cells, preset: compared(cells, preset, more=""),
        told=_told_of_ablations,
        ours=DOTS,
        beside=titles_of,
    ),
    "figure_firing": Figure(
        "Firing and accuracy of controls and knobs",
        knobs,
        draw_firing,
        more=CONTEXT,
        ours="Ours: mean over n seeds",
        told="Filled: the base run of a method; open: a variant (of many, those below the mean are named, n in "
        "brackets). Spikes of a neuron for one image, over all T, mean over the network.",
        beside=titles_of,
    ),
    "figure_few_steps": Figure(
        "Accuracy and spikes at T = 2, 4 and 8, direct input",
        few_steps,
        draw_few_steps,
        lines=_recipes,
        told=lambda tidy, preset: [*recipes(tidy), "Dotted: the intermediate ANN. Spikes: for each neuron and image."],
        said=recipes,
        ours="Ours: mean over n seeds, whiskers its 95 % interval",
        beside=titles_of,
    ),
}
