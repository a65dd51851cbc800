"""A question of a claim answered: the runs of both sides seed by seed, what they differ by, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

import numpy as np

from lasnn.errors import InputError
from lasnn.plan.cells import Cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun
from lasnn.report.claims import ACCURACY
from lasnn.report.columns import METHOD_TITLES
from lasnn.report.crossed import bootstrap, crossed, p_either_way, share_above
from lasnn.report.finished import metrics_of
from lasnn.report.paired import percent_right
from lasnn.report.questions import ALL, Claim, Pair, Question

Line = dict[str, Any]  # a row of the table of claims
NOT_JUDGED, NOT_RUN = "not judged in this preset", "not run"


@dataclass(frozen=True)
class Side:
    """A pair with the runs of its cells."""

    weight: float
    pair: Pair
    less: list[Run]
    more: list[Run]

    @property
    def seeds(self) -> list[int]:
        """Those that both have."""
        others = {run.seed for run in self.less}
        return [run.seed for run in self.more if run.seed in others]

    def alone(self) -> str:
        """Which seeds lack a partner, in words; nothing if none does."""
        found = []
        for cell, runs in ((self.pair.less, self.less), (self.pair.more, self.more)):
            lonely = [run.seed for run in runs if run.seed not in self.seeds]
            if lonely:
                plural = "s" if len(lonely) > 1 else ""
                found.append(f"seed{plural} {_listed(lonely)} of {self._named(cell)} without a partner")
        return "; ".join(found)

    def _named(self, cell: Cell) -> str:
        """One of the two cells, by its method and network, and by what else tells it from the other if need be."""
        words, less = [cell.student], self.pair.less
        if less.method == self.pair.more.method:
            keys = ("teacher", "encoding", "timesteps", "variant")
            words += [getattr(cell, key) for key in keys if getattr(less, key) != getattr(self.pair.more, key)]
        return f"{METHOD_TITLES.get(cell.method, cell.method)} ({', '.join(words)})"

    @property
    def steps(self) -> str:
        """T of the runs; of both sides where they differ."""
        found = [run.steps for run in (*self.less[:1], *self.more[:1]) if isinstance(run, SnnRun)]
        return " / ".join(map(str, dict.fromkeys(found)))


def answer(claim: Claim, question: Question, preset: Preset, judged: bool) -> Line:
    """A line of the table, all but its corrected p and its verdict; with a verdict only where nothing is to judge."""
    sides = [
        Side(weight, pair, runs_of(pair.less, preset), runs_of(pair.more, preset)) for weight, pair in question.parts
    ]
    line = _described(claim, question, preset)
    if not all(side.more and side.less for side in sides):
        return line | {"n": 0, "verdict": NOT_RUN}
    seeds = [seed for seed in sides[0].seeds if all(seed in side.seeds for side in sides)]
    remarks = [*filter(None, (side.alone() for side in sides)), *_unequal(sides, seeds)]
    if len(seeds) < preset.claims.seeds:
        remarks.append(f"{len(seeds)} of {preset.claims.seeds} seeds")
    line |= {"n": len(seeds), "remark": "; ".join(dict.fromkeys(remarks)), "verdict": None if judged else NOT_JUDGED}
    if not seeds:
        return line
    line |= _where(sides, preset)
    return line | _numbers(claim, question, sides, seeds, preset, judged)


def _setting(name: str, preset: Preset) -> float:
    """A claim's margin in points, or its bar; 0 where it has none."""
    return getattr(preset.claims, name) if name else 0.0


def _described(claim: Claim, question: Question, preset: Preset) -> Line:
    """Who is compared, and what the paper prints for it."""
    pairs, title = question.pairs, question.where or question.pairs[0].more.student
    if question.where == ALL:
        title = f"{ALL}: {', '.join(dict.fromkeys(pair.more.student for pair in pairs))}"
    bar = _setting(claim.bar, preset)
    printed = [(bar if claim.bar else claim.measure.paper(pair.less), claim.measure.paper(pair.more)) for pair in pairs]
    less, more = _sums(question, *zip(*printed, strict=True))
    line: Line = {"question": question.group, "reading": question.reading, "family": claim.family(question)}
    line |= {"network": title, "dataset": ", ".join(dict.fromkeys(pair.more.dataset for pair in pairs))}
    line |= {"unit": claim.measure.unit, "margin": _setting(claim.margin, preset)}
    return line | {"less_paper": less, "more_paper": more, "p": None, "test": "-", "effect": 0.0, "remark": ""}


def _where(sides: Sequence[Side], preset: Preset) -> Line:
    """What stood for the paper's dataset and T."""
    titles = dict.fromkeys(metrics_of(side.more[0], preset)["data"]["title"] for side in sides)
    steps = {side.steps for side in sides}
    return {"dataset": ", ".join(titles), "steps": steps.pop() if len(steps) == 1 else None}


def _numbers(
    claim: Claim, question: Question, sides: list[Side], seeds: list[int], preset: Preset, judged: bool
) -> Line:
    """Both sides and their difference over `seeds`, with interval, bootstrap and, if judged with enough of them, p."""
    values = [_values(claim, side, seeds, preset) for side in sides]  # (less, more) [S, N] or [S, 1] of each part
    if any(found is None for found in values):
        return {"test": "none: not reached"}
    known = [found for found in values if found is not None]
    gaps = [more - less for less, more in known]
    blocks: dict[str, np.ndarray] = {}
    for side, gap in zip(sides, gaps, strict=True):
        name = side.more[0].dataset
        if name in blocks and blocks[name].shape != gap.shape:
            raise InputError(
                f"{preset.folder(side.more[0])} was judged on {gap.shape[1]} test images, other networks of the same "
                f"claim on {blocks[name].shape[1]}: give all the same data.test_images"
            )
        blocks[name] = blocks.get(name, 0.0) + side.weight * gap
    of_seeds = np.sum([block.mean(axis=1) for block in blocks.values()], axis=0)
    less, more = _sums(question, [float(one.mean()) for one, _ in known], [float(one.mean()) for _, one in known])
    ups = of_seeds if question.of_gains else np.concatenate([gap.mean(axis=1) for gap in gaps])
    line: Line = {"less": less, "more": more, "difference": float(of_seeds.mean())}
    line |= {"above": share_above([float(up) for up in ups]), "compared": len(ups)}
    images = sum(block.shape[1] for block in blocks.values() if block.shape[1] > 1)
    line |= {"images": images or None, "test": f"none: {len(seeds)} of {preset.claims.seeds} seeds"}
    if len(seeds) < 2:
        return line
    found, level = crossed(list(blocks.values())), 1 - preset.claims.alpha
    line |= {"sd": float(of_seeds.std(ddof=1)), "se": found.se, "df": found.df}
    line |= dict(zip(("low", "high"), found.interval(level), strict=True))
    line |= dict(zip(("boot_low", "boot_high"), bootstrap(list(blocks.values()), level), strict=True))
    if not judged or len(seeds) < preset.claims.seeds:
        return line
    margin = _setting(claim.margin, preset)
    line["effect"] = margin - abs(found.mean) if claim.alike else found.mean + margin
    p = p_either_way(found, margin, claim.alike)
    return line | {"p": p, "test": "none: no spread" if p is None else "seeds and images" if images else "seeds"}


def _values(claim: Claim, side: Side, seeds: list[int], preset: Preset) -> tuple[np.ndarray, np.ndarray] | None:
    """(less, more) of each seed and image, of each seed alone where only runs have a value; None: one isn't reached."""
    less, more = ({run.seed: run for run in runs} for runs in (side.less, side.more))
    if claim.measure is ACCURACY:
        return percent_right([(less[seed], more[seed]) for seed in seeds], preset)
    bar = _setting(claim.bar, preset)
    found = [
        [bar if claim.bar else claim.measure.value(less[seed], preset) for seed in seeds],
        [claim.measure.value(more[seed], preset) for seed in seeds],
    ]
    if any(value is None for values in found for value in values):
        return None
    return np.array(found[0], dtype=float)[:, None], np.array(found[1], dtype=float)[:, None]


def _sums(
    question: Question, less: Sequence[float | None], more: Sequence[float | None]
) -> tuple[float | None, float | None]:
    """The two numbers shown side by side: means of either side, or the gains that count against and for."""
    weights = [weight for weight, _ in question.parts]
    if not question.of_gains:
        return _weighted(weights, less), _weighted(weights, more)
    gains = [None if one is None or other is None else other - one for one, other in zip(less, more, strict=True)]
    against = _weighted([max(0.0, -weight) for weight in weights], gains)
    return against, _weighted([max(0.0, weight) for weight in weights], gains)


def _weighted(weights: Sequence[float], values: Sequence[float | None]) -> float | None:
    """None if a value is missing."""
    known = [value for value in values if value is not None]
    return sum(map(mul, weights, known)) if len(known) == len(values) else None


def _unequal(sides: Sequence[Side], seeds: list[int]) -> list[str]:
    """That networks have other seeds than one another, and which are taken."""
    if all(len(side.seeds) == len(seeds) for side in sides):
        return []
    counts = [f"{side.pair.more.student} {len(side.seeds)}" for side in sides]
    return [f"n differs: {', '.join(counts)}; taken: seeds {_listed(seeds) or 'none'}"]


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
