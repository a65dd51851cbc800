"""What is asked of a claim: pairs of cells, means of pairs over networks, and gains compared with gains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lasnn.plan.cells import Cell, joined, logit_scale_of, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE, Run
from lasnn.plan.vocabulary import METHODS

OWN = "each method with what was chosen for it alone"
ALL = "all networks"
PRIMARY, SECONDARY, CHOICES = "primary", "secondary", "own choices"


@dataclass(frozen=True)
class Pair:
    """Two cells to compare. `group` tells apart the questions of a claim."""

    less: Cell
    more: Cell
    group: str = ""

    @property
    def cells(self) -> tuple[Cell, Cell]:
        return self.less, self.more


@dataclass(frozen=True)
class Question:
    """A line of the table: the sum over `parts` of weight times what a pair differs by.

    One pair with weight 1; the mean over all networks of a claim; or gains less other gains, which have negative
    weights. `reading`: how the logits are read (`spiking.logit_scale`). `where` is the network of a sum.
    """

    group: str
    reading: str
    parts: tuple[tuple[float, Pair], ...]
    where: str = ""

    @property
    def pairs(self) -> list[Pair]:
        return [pair for _, pair in self.parts]

    @property
    def cells(self) -> list[Cell]:
        """Both sides of each pair."""
        return [cell for pair in self.pairs for cell in pair.cells]

    @property
    def of_gains(self) -> bool:
        """Whether gains are compared with gains."""
        return any(weight < 0 for weight, _ in self.parts)


@dataclass(frozen=True)
class Measure:
    """What is compared: its unit, its value for a run, and what the paper prints for a cell.

    `family`: the lines that are corrected together. `in_logs`, `in_provenance`: the value is in that file of a run.
    """

    unit: str
    value: Callable[[Run, Preset], float | None]
    paper: Callable[[Cell], float | None] = lambda cell: None
    family: str = SECONDARY
    in_logs: bool = False
    in_provenance: bool = False


@dataclass(frozen=True)
class Claim:
    """`margin` and `bar`: keys of the section `claims`: `more` may lie so far below `less`; it must reach so much,
    which takes the place of `less`.

    `alike`: neither of the two may lie further than the margin from the other. `primary`: its mean over the networks
    belongs to the family that decides. `gains`: its pairs are not judged, but these sums of them. `beyond_tables`: some
    of the runs belong to no other table, so a preset makes them for this one only if it judges the claim.
    """

    pairs: Callable[[Preset], list[Pair]]
    measure: Measure
    margin: str = ""
    bar: str = ""
    alike: bool = False
    primary: bool = False
    gains: Callable[[list[Pair], Preset], list[Question]] | None = None
    beyond_tables: bool = False

    def questions(self, preset: Preset) -> list[Question]:
        """Every line of the claim: means over the networks that the preset runs, then each pair."""
        pairs = self.pairs(preset)
        if self.gains:
            return self.gains(pairs, preset)
        together: dict[tuple[str, str], list[Pair]] = {}
        for pair in pairs:
            if is_run(pair, preset):
                together.setdefault((pair.group, reading_of(pair, preset)), []).append(pair)
        means = [
            Question(*key, tuple((1 / len(found), pair) for pair in found), ALL)
            for key, found in together.items()
            if len(found) > 1 or (self.primary and found[0].group != OWN)
        ]
        return [*means, *(Question(pair.group, reading_of(pair, preset), ((1.0, pair),)) for pair in pairs)]

    def family(self, question: Question) -> str:
        """The name of the family in which a line is corrected, among those of its reading of the logits."""
        if question.group == OWN:
            return CHOICES
        return PRIMARY if self.primary and question.where == ALL else self.measure.family


def is_run(pair: Pair, preset: Preset) -> bool:
    """Whether the preset makes both sides of a pair."""
    return all(runs_of(cell, preset) for cell in pair.cells)


def reading_of(pair: Pair, preset: Preset) -> str:
    """How the logits of a pair's students are read, in training: one side may be an ANN or train nothing.

    Both readings where they differ.
    """
    taught = [cell for cell in pair.cells if _is_trained(cell)] or [pair.more]
    return " / ".join(dict.fromkeys(logit_scale_of(cell, preset) for cell in taught))


def in_each_reading(pairs: Iterable[Pair], preset: Preset) -> list[Pair]:
    """These pairs under each of `scope.readings`, the printed one first; else as the base runs read the logits."""
    asked = list(pairs)
    return [
        replace(pair, less=_read(pair.less, variant), more=_read(pair.more, variant))
        for variant in (preset.scope.readings or {"": BASE}).values()
        for pair in asked
    ]


def _read(cell: Cell, variant: str) -> Cell:
    """A cell of a trained spiking network in that variant; any other as it is."""
    return replace(cell, variant=joined(cell.variant, variant)) if _is_trained(cell) else cell


def _is_trained(cell: Cell) -> bool:
    return cell.method in METHODS and METHODS[cell.method].trained


def gain_over(high: list[Pair], low: list[Pair], group: str, preset: Preset) -> Question:
    """Whether the mean of what pairs differ by is larger for some than for others."""
    parts = [*((1 / len(high), pair) for pair in high), *((-1 / len(low), pair) for pair in low)]
    names = [", ".join(pair.more.student for pair in pairs) for pairs in (high, low)]
    where = " less ".join(dict.fromkeys(names))  # one name where both are of the same networks
    return Question(group, reading_of(high[0], preset), tuple(parts), where)
