"""Claims (ours): each ordering that the paper claims, with the test that was fixed for it and what came out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, as_snn
from lasnn.plan.vocabulary import CLAIMS as SENTENCES
from lasnn.report import rows
from lasnn.report.cells import Cell, runs_of
from lasnn.report.claims import ACCURACY, CLAIMS, Claim, Pair
from lasnn.report.curves import converted_behind
from lasnn.report.exhibit import Table, remarks
from lasnn.report.late import pd
from lasnn.report.paired import image_differences
from lasnn.report.rows import number
from lasnn.report.statistics import SEEDS, holm, paired_t, sign_flips, verdict

NOT_JUDGED = "not judged in this preset"
ALL = "all networks"
COLUMNS = [
    "claim",
    "question",
    "dataset",
    "network",
    "steps",
    "unit",
    "margin",
    "less_paper",
    "more_paper",
    "less",
    "more",
]
COLUMNS += ["difference", "sd", "effect", "test", "p", "p_holm", "n", "images", "verdict"]


def _asked(preset: Preset) -> list[tuple[str, Claim, Pair]]:
    """Every comparison for which the preset has runs or makes them."""
    shown = {name: claim for name, claim in CLAIMS.items() if name in preset.scope.claims or not claim.beyond_tables}
    return [(name, claim, pair) for name, claim in shown.items() for pair in claim.pairs(preset)]


def cells(preset: Preset) -> list[Cell]:
    """Both sides of every comparison, each once."""
    sides = [cell for _, _, pair in _asked(preset) for cell in (pair.less, pair.more) if cell is not None]
    return list(dict.fromkeys(sides))


class Claims(Table):
    """A line for each claim and network, and with enough seeds one for each claim over all of its networks."""

    def runs(self, preset: Preset) -> list[Run]:
        runs = super().runs(preset)
        return [*converted_behind(runs, preset), *runs]

    def files(self, preset: Preset) -> list[str]:
        judged = super().runs(preset)  # of the converted networks only their curves
        return [*super().files(preset), *(f"{preset.folder(run)}/predictions.npz" for run in judged)]

    def tidy(self, preset: Preset) -> pd.DataFrame:
        lines, together = [], defaultdict(list)
        for name, claim, pair in _asked(preset):
            line, differences = _compare(name, claim, pair, preset)
            lines.append(line)
            if line["verdict"] is None:
                together[name, pair.group].append(differences)
        single = [line for line in lines if line["verdict"] is None]
        pooled = [_pool(*key, found, preset) for key, found in together.items() if len(found[0]) >= SEEDS]
        for family in (single, pooled):
            for line, p in zip(family, holm([line["p"] for line in family]), strict=True):
                line |= {"p_holm": p, "verdict": verdict(line["effect"], p, preset.claims.alpha, line["agree"])}
        order = list(CLAIMS)
        lines = sorted([*pooled, *lines], key=lambda line: order.index(line["claim"]))
        lines += [{"claim": name, "n": 0, "verdict": NOT_JUDGED} for name in order if name not in _names(lines)]
        return pd.DataFrame(lines, columns=COLUMNS)

    def notes(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        made, settings = tidy[tidy["p"].notna()], preset.claims
        pooled = int((made["network"] == ALL).sum())
        return [
            *remarks(rows.table(self.cells(preset), preset), preset),
            "Difference: the second minus the first; above minus the margin it speaks for the claim. T: our steps.",
            "Two-sided tests. Accuracies: on the same test images under the first encoder seed. Without a margin: with "
            "one seed McNemar's exact test, with several its extension: the signs of each image's difference, summed "
            "over the seeds, are flipped. With a margin: t over the images, of their mean difference over the seeds. "
            "Both speak of these trained networks, so a verdict also needs the same sign in every seed. All else, and "
            f"all networks (each seed's mean over them): paired t over {SEEDS} seeds or more.",
            f"Holm's correction over {len(made) - pooled} tests of single networks, and over {pooled} of all networks; "
            f"confirmed or refuted where the corrected p is below {settings.alpha:g}, else undecided.",
            f"Margins in points: {settings.near_ann:g} below the ANN, {settings.teachers:g} between teachers, "
            f"{settings.direct:g} below Poisson input; the effect tested is the distance from the margin. Faster: the "
            f"speed-up of Table S3 at the largest s, less {settings.speed_up:g}.",
        ]


Line = dict[str, Any]  # a row of the table, by COLUMNS


def _names(lines: list[dict]) -> set[str]:
    return {line["claim"] for line in lines}


def _compare(name: str, claim: Claim, pair: Pair, preset: Preset) -> tuple[Line, list[float | None]]:
    """A line without its corrected p, and the difference for each seed; a verdict only where nothing is judged."""
    less, more = _same_seeds(*(runs_of(cell, preset) if cell else [] for cell in (pair.less, pair.more)))
    bar = getattr(preset.claims, claim.bar) if claim.bar else None
    ran = bool(more and (less or pair.less is None))
    line: Line = {"claim": name, "question": pair.group, "dataset": pair.more.dataset, "network": pair.more.student}
    line |= {"unit": claim.measure.unit, "n": len(more) if ran else 0, "margin": _margin(claim, preset)}
    line |= {"less_paper": claim.measure.paper(pair.less) if pair.less else bar, "verdict": NOT_JUDGED}
    line |= {"more_paper": claim.measure.paper(pair.more), "p": None, "test": "-"}
    if not ran:
        return line, []
    values = [claim.measure.value(run, preset) for run in more]
    others = [claim.measure.value(run, preset) for run in less] or [bar] * len(more)
    line |= {"dataset": rows.metrics_of(more[0], preset)["data"]["title"], "steps": as_snn(more[0]).steps}
    line |= {"less": _mean(others), "more": _mean(values)}
    differences = [
        None if other is None or value is None else value - other for other, value in zip(others, values, strict=True)
    ]
    line |= _spread(differences)
    if name in preset.scope.claims:
        line |= {"verdict": None} | _tested(claim, differences, preset)
        if claim.measure is ACCURACY:
            line |= _on_images(claim, less, more, preset)
    return line, differences


def _margin(claim: Claim, preset: Preset) -> float:
    return getattr(preset.claims, claim.margin) if claim.margin else 0.0


def _reached(values: Sequence[float | None]) -> list[float]:
    """The values if all are there, else none."""
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) else []


def _mean(values: Sequence[float | None]) -> float | None:
    found = _reached(values)
    return mean(found) if found else None


def _spread(differences: list[float | None]) -> Line:
    found = _reached(differences)
    return {"difference": _mean(differences), "sd": stdev(found) if len(found) > 1 else None}


def _agree(effects: list[float]) -> bool:
    """Whether all seeds say the same."""
    return min(effects) > 0 or max(effects) < 0


def _effects(claim: Claim, differences: list[float], preset: Preset) -> list[float]:
    """How far each seed's difference lies on the claim's side of its margin; of two margins, the one that is nearer."""
    side = -1 if claim.alike and mean(differences) > 0 else 1
    return [side * difference + _margin(claim, preset) for difference in differences]


def _tested(claim: Claim, differences: list[float | None], preset: Preset) -> Line:
    """The test over seeds, or a word why there is none."""
    found = _reached(differences)
    if not found:
        return {"effect": 0.0, "p": None, "test": "none: not reached", "agree": False}
    effects = _effects(claim, found, preset)
    p = paired_t(effects)
    why = f"none: {len(effects)} of {SEEDS} seeds" if len(effects) < SEEDS else "none: no spread"
    return {"effect": mean(effects), "p": p, "test": why if p is None else "paired t", "agree": _agree(effects)}


def _same_seeds(less: list[Run], more: list[Run]) -> tuple[list[Run], list[Run]]:
    """The runs of either side that have a partner of their seed on the other, if there is another side."""
    if not less or not more:
        return less, more
    common = {run.seed for run in less} & {run.seed for run in more}
    return [run for run in less if run.seed in common], [run for run in more if run.seed in common]


def _on_images(claim: Claim, less: list[Run], more: list[Run], preset: Preset) -> Line:
    """The test on images, all seeds together."""
    found = image_differences(list(zip(less, more, strict=True)), preset, encoders=1)
    effects = _effects(claim, [100 * float(one.mean()) for one in found], preset)
    together = np.sum(found, axis=0)
    line: Line = {"effect": mean(effects), "agree": _agree(effects), "images": len(found[0])}
    if not claim.margin:
        return line | {"p": sign_flips(together), "test": "McNemar" if len(found) == 1 else "sign flips"}
    p = paired_t(_effects(claim, list(100 * together / len(found)), preset))
    return line | {"p": p, "test": "none: no spread" if p is None else "t over images"}


def _pool(name: str, group: str, found: list[list[float | None]], preset: Preset) -> Line:
    """A line over all networks of a claim: for each seed the mean of their differences."""
    claim, seeds = CLAIMS[name], list(zip(*found, strict=True))
    differences = [_mean(seed) for seed in seeds]
    line: Line = {"claim": name, "question": group, "dataset": "", "network": ALL, "unit": claim.measure.unit}
    line |= {"margin": _margin(claim, preset), "n": len(seeds)} | _spread(differences)
    return line | _tested(claim, differences, preset) | {"agree": True}


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """What ran, and one line for each claim of which nothing did."""
    ran = tidy[(tidy["n"] > 0) | ~tidy["claim"].isin(tidy.loc[tidy["n"] > 0, "claim"])]
    ran = ran[(ran["n"] > 0) | ~ran["claim"].duplicated()]
    idle = ran["n"] == 0
    digits = [0 if unit == "spikes per image" else 2 for unit in ran["unit"]]

    def both(less: str, more: str) -> list[str]:
        pairs = zip(ran[less], ran[more], digits, idle, strict=True)
        shown = [tuple(number(value, digits=places) for value in values) for *values, places, _ in pairs]
        return ["-" if values == ("-", "-") else " / ".join(values) for values in shown]

    steps = ran["steps"].map(lambda value: "" if pd.isna(value) else f", T = {value:g}")
    network = (ran["dataset"].fillna("") + " " + ran["network"].fillna("")).str.strip() + steps
    question = ran["question"].fillna("").map(lambda text: f": {text}" if text else "")
    spread = zip(ran["difference"], ran["sd"], digits, strict=True)
    counted = zip(ran["n"], ran["images"], strict=True)
    return pd.DataFrame(
        {
            "claim": ran["claim"].map(SENTENCES) + question.where(~idle, ""),
            "network": network.where(~idle, "-"),
            "paper": both("less_paper", "more_paper"),
            "ours": both("less", "more"),
            "difference": [number(value, sd, digits=places) for value, sd, places in spread],
            "unit": ran["unit"].fillna("-"),
            "test": ran["test"].fillna("-"),
            "p": ran["p"].map(_probability),
            "p after Holm": ran["p_holm"].map(_probability),
            "n": [_count(*values) for values in counted],
            "verdict": ran["verdict"],
        }
    )


def _probability(p: float | None) -> str:
    return "-" if p is None or pd.isna(p) else f"{p:.2g}"


def _count(seeds: float, images: float | None) -> str:
    on = "" if images is None or pd.isna(images) else f", {images:g} images"
    return f"{seeds:g} seed{'' if seeds == 1 else 's'}{on}" if seeds else "-"


EXHIBIT = Claims("Claims: what the paper says of orderings, judged", cells, arrange, sections=("scope", "claims"))
