"""What a preset shows: its `Scope`, and cells: the paper's name for each, its number there, and our runs behind it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from lasnn.errors import InputError
from lasnn.plan.overlays import Count, Positive, Rate, Section
from lasnn.plan.runs import AND, BASE, AnnRun, Run, SnnRun
from lasnn.plan.vocabulary import METHODS, NO_TEACHER

if TYPE_CHECKING:
    from lasnn.plan.config import Preset


class Benchmark(Section):
    """Methods at equal budget (Table S10): `rows`, a title and what is run of it, each <method> or <method>+<variant>.

    `steps`: T after which logits are read; `trials`: the preset that tried settings.
    """

    rows: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]
    steps: Annotated[tuple[Positive, ...], Field(min_length=1)]
    trials: str

    @property
    def named(self) -> list[tuple[str, str, str]]:
        """Title, method and variant of all that is run."""
        words = [(title, *name.partition("+")) for title, names in self.rows.items() for name in names]
        return [(title, method, variant or BASE) for title, method, _, variant in words]


class Scope(Section):
    """Which of the paper's cells a preset runs, and on what; `note` is printed under every exhibit.

    `repeated` names methods (or <method>+<variant>) whose runs with the student's usual teacher take every seed,
    `repeated_inputs` the encoders with which they do; all others then take the first one only. None: all. `own` is
    the variant that was chosen for a method by itself; its runs take the seeds of the base runs. `corners` are variants
    that set the student's size and its images, each with the variant that was chosen there for a method; those that
    `corners_once` names take the first seed alone. `readings` are variants that differ in how logits are read, by
    `spiking.logit_scale`, the one that counts as printed first: the claims are judged under each, with the seeds of the
    base runs. None: as the base runs read them. `inputs` are the encoders that cells of another one are run with, as
    where the paper's T of Poisson input is out of reach; `steps` still goes by the paper's encoder.
    """

    note: str | None
    datasets: dict[str, str | None]
    students: Annotated[tuple[str, ...], Field(min_length=1)]
    teachers: tuple[str, ...]
    teacher_of: dict[str, str]
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    focus: str
    ablations: tuple[str, ...]
    own: dict[str, str]
    low_t: tuple[str, ...]
    recipes: tuple[str, ...]
    corners: dict[str, dict[str, str]]
    corners_once: tuple[str, ...]
    spike_chain: Annotated[tuple[str, ...], Field(min_length=2)]
    steps: dict[str, Positive | None]
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)]
    repeated: tuple[str, ...] | None
    repeated_inputs: tuple[str, ...] | None
    claims: tuple[str, ...]
    readings: dict[str, str] | None = None
    inputs: dict[str, str] | None = None
    benchmark: Benchmark | None = None


class Energy(Section):
    """What counts cost, and the batch size by which a sum over a batch overstates spikes; read by exhibits alone."""

    mac_pj: Rate
    ac_pj: Rate
    batch: Positive


class Claims(Section):
    """What verdicts on the paper's claims hang on: level, seeds, margins in points, speed-up; only exhibits read it."""

    alpha: Annotated[float, Field(gt=0, lt=1)]
    seeds: Annotated[int, Field(ge=2)]
    not_above: Rate
    near_ann: Rate
    teachers: Rate
    direct: Rate
    speed_up: Rate
    similar: Rate


def chain_pairs(chain: Sequence[str]) -> list[tuple[str, str]]:
    """Student and teacher of each run of a chain of spiking networks: each one's teacher is the one before it."""
    return list(zip(chain, [NO_TEACHER, *(f"snn_{student}" for student in chain)], strict=False))


def pair_above(run: SnnRun, scope: Scope) -> tuple[str, str]:
    """Student and teacher of the run that teaches `run` in the chain; InputError if `run` isn't in it."""
    pairs = chain_pairs(scope.spike_chain)
    if (run.student, run.teacher) not in pairs:
        chain = ", ".join(f"{student} with teacher {teacher}" for student, teacher in pairs)
        raise InputError(
            f"method {run.method!r} follows scope.spike_chain: {chain}; {str(run)!r} has {run.student} with teacher "
            f"{run.teacher}: change the run or the chain"
        )
    return pairs[max(0, pairs.index((run.student, run.teacher)) - 1)]


PAPER = Path("lasnn/report/paper.csv")  # as the workflow names it
KEYS = ("exhibit", "row_label", "dataset", "student", "teacher", "method", "encoding", "timesteps", "metric")

DIRECT_STEPS = ("50", "30")  # of direct input: the paper names both T and not which network has which
# The paper's names for what config.yaml calls by id.
DATASETS = {"CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "TinyImageNet": "tinyimagenet"}


@dataclass(frozen=True)
class Cell:
    """The nine key columns of paper.csv, the printed value (empty: not printed), its unit and note, and our variant."""

    exhibit: str
    row_label: str
    dataset: str
    student: str
    teacher: str
    method: str
    encoding: str
    timesteps: str
    metric: str
    value: str = ""
    unit: str = ""
    note: str = ""
    variant: str = BASE  # of our runs: an overlay of config.yaml; the paper knows none
    every_seed: bool = False  # whatever scope.repeated says

    @property
    def quoted(self) -> bool:
        """Whether the paper itself quotes the value from elsewhere."""
        return self.note.startswith("literature value")

    @property
    def paper(self) -> float | None:
        """The printed value as a number."""
        return float(self.value) if self.value else None


@cache
def paper_cells(*exhibits: str, **keys: str) -> tuple[Cell, ...]:
    """The paper's cells of these exhibits (`Table I`, `Fig 5a`; all without a name) with these keys, in its order."""
    with open(Path(__file__).parents[1] / "report" / PAPER.name, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = (*KEYS, "value", "unit", "note")
    cells = [Cell(**{key: row[key] for key in columns}) for row in rows]  # type: ignore[arg-type] # all are words
    named = [cell for cell in cells if not exhibits or cell.exhibit.split(" / ")[0] in exhibits]
    return tuple(cell for cell in named if all(getattr(cell, key) == value for key, value in keys.items()))


def elsewhere(cell: Cell) -> float | None:
    """What the paper prints for a cell, or in Table II or IV for the same configuration where its figure has no number.

    A cell that names its teacher or a variant has no other place; an unprinted T matches any.
    """
    if cell.paper is not None or cell.variant != BASE or cell.teacher not in ("", "unspecified"):
        return cell.paper
    for other in paper_cells("Table II", "Table IV"):
        same = all(getattr(other, key) == getattr(cell, key) for key in ("dataset", "student", "method", "metric"))
        steps = other.timesteps == cell.timesteps or "" in (other.timesteps, cell.timesteps)
        if same and steps and other.encoding == cell.encoding and other.teacher == cell.teacher:
            return other.paper
    return None


def focus_cell(preset: "Preset", exhibit: str, method: str, variant: str = BASE, label: str = "") -> Cell:
    """One of our cells: the preset's student in focus on CIFAR-10, Poisson input, T = 100."""
    title = preset.config.networks.title(preset.scope.focus)
    teacher = "unspecified" if method in METHODS and METHODS[method].teacher else ""
    words = ("CIFAR-10", title, teacher, method, "poisson", "100", "top1")
    return Cell(exhibit, label or f"{title} {method} {variant}", *words, unit="%", variant=variant)


def direct_cell(preset: "Preset", exhibit: str, method: str, variant: str, step: str, every_seed: bool = False) -> Cell:
    """One of our cells: the student in focus with direct input."""
    cell = focus_cell(preset, exhibit, method, variant)
    label = f"{cell.row_label} T={step}"
    return replace(cell, row_label=label, encoding="direct", timesteps=step, every_seed=every_seed)


def encoder_of(cell: Cell, preset: "Preset") -> str:
    """The encoder that our runs behind a cell have: the paper's, unless `scope.inputs` exchanges it."""
    return (preset.scope.inputs or {}).get(cell.encoding, cell.encoding)


def runs_of(cell: Cell, preset: "Preset") -> list[Run]:
    """Our runs behind a cell, one for each seed that it is to take; none where the preset leaves the cell out."""
    scope = preset.scope
    dataset = scope.datasets.get(DATASETS.get(cell.dataset, ""))
    if dataset is None or cell.quoted:
        return []
    networks = preset.config.networks
    teacher = networks.teacher_ids.get(cell.teacher)
    if cell.method == "ann_teacher":
        usual = scope.repeated is None or teacher in map(scope.teacher_of.get, scope.students)
        if teacher is None or teacher not in scope.teachers:
            return []
        seeds = scope.seeds if usual else scope.seeds[:1]
        return [AnnRun(dataset, teacher, cell.variant, seed) for seed in seeds]
    student = networks.student_ids.get(cell.student)
    if student not in scope.students:
        return []
    if cell.method == "ann":
        return [AnnRun(dataset, student, cell.variant, seed) for seed in scope.seeds]
    if cell.method not in scope.methods or cell.method not in METHODS:
        return []
    method = METHODS[cell.method]
    steps = scope.steps.get(f"{cell.encoding}-T{cell.timesteps or 100}")
    encoder = encoder_of(cell, preset)
    if method.encoders and encoder not in method.encoders:
        return []
    if method.chained:
        teacher = _chain_teacher(cell, student, preset)
        if teacher is None:
            return []
    elif method.teacher:
        teacher = teacher or scope.teacher_of.get(student)
        if teacher not in scope.teachers:
            return []
    else:
        teacher = NO_TEACHER
    if steps is None:
        return []
    words = (dataset, student, cell.method, encoder, steps, teacher, cell.variant)
    as_base = cell.variant in (BASE, scope.own.get(cell.method), *(scope.readings or {}).values())
    name = cell.method if as_base else f"{cell.method}+{cell.variant}"
    usual = teacher in (NO_TEACHER, scope.teacher_of.get(student))
    repeated = scope.repeated is None or (usual and name in scope.repeated)
    repeated &= scope.repeated_inputs is None or encoder in scope.repeated_inputs
    return [SnnRun(*words, seed) for seed in (scope.seeds if repeated or cell.every_seed else scope.seeds[:1])]


def logit_scale_of(cell: Cell, preset: "Preset") -> str:
    """How our runs behind a cell read the logits; where there are none, as runs do that no entry `for` means."""
    found = runs_of(cell, preset)
    return preset.logit_scale(cell.variant, found[0].names if found else frozenset())


def _chain_teacher(cell: Cell, student: str, preset: "Preset") -> str | None:
    """The teacher that a cell means in the chain of spiking networks: none at its head, else the cell's own, else the
    student's last one. None if that is not in the chain, or the preset has not all of its networks.
    """
    chain = preset.scope.spike_chain
    taught = [teacher for name, teacher in chain_pairs(chain) if name == student]
    if not taught or not set(chain) <= set(preset.scope.students):
        return None
    other = preset.config.networks.teacher_ids.get(cell.teacher)
    named = {"": NO_TEACHER, "unspecified": taught[-1]}.get(cell.teacher, other)
    return named if named in taught else None


# Corners of the regime map (figure_regime): sizes of the student and numbers of images, and what is compared in each.
REGIME_STEPS = "8"
AGAINST = "hybrid"
CHOSEN = "chosen"  # LaSNN with what held-out images chose for a corner


def joined(corner: str, variant: str) -> str:
    """The variant of a run in a corner."""
    return AND.join(part for part in (corner, variant) if part != BASE) or BASE


def corner_in_words(corner: str) -> str:
    """A corner by the variants that make it."""
    return "size and images of the preset" if corner == BASE else corner.replace(AND, ", ")


def pairs_in(preset: "Preset", corner: str) -> dict[str, tuple[Cell, Cell]]:
    """What is compared with hybrid training in a corner, by name: hybrid training, and the rival.

    LaSNN at the printed weight is compared with hybrid training at the same settings; what held-out images chose for a
    method in the corner (`scope.corners`), or its base, beside what they chose for hybrid training.
    """
    chosen = preset.scope.corners[corner]

    def cell(method: str, variant: str) -> Cell:
        return _corner_cell(preset, corner, method, joined(corner, variant))

    base, best = cell(AGAINST, BASE), cell(AGAINST, chosen.get(AGAINST, BASE))
    found = {"kd_label": (best, cell("kd_label", chosen.get("kd_label", BASE)))}
    found["lasnn_act"] = (base, cell("lasnn_act", BASE))
    if "lasnn_act" in chosen:
        found[CHOSEN] = (best, cell("lasnn_act", chosen["lasnn_act"]))
    return found


def conversion_in(preset: "Preset", corner: str) -> Cell:
    """The converted network of a corner without training, shown beside the comparisons."""
    return _corner_cell(preset, corner, "conversion", corner)


def _corner_cell(preset: "Preset", corner: str, method: str, variant: str) -> Cell:
    once = corner in preset.scope.corners_once
    return direct_cell(preset, "regime", method, variant, REGIME_STEPS, every_seed=not once)


def regime_cells(preset: "Preset") -> list[Cell]:
    """Both sides of every comparison and the conversions, each once."""
    pairs = [pair for corner in preset.scope.corners for pair in pairs_in(preset, corner).values()]
    found = list(dict.fromkeys(cell for pair in pairs for cell in pair))
    found += [conversion_in(preset, corner) for corner in preset.scope.corners if found]
    return found or [direct_cell(preset, "regime", AGAINST, BASE, REGIME_STEPS)]
