"""Tables I to IV of the paper, and two more: every method (S1), and the forms of calibration (S5)."""

from __future__ import annotations

from itertools import product

from lasnn.plan.cells import DATASETS, Cell, chain_pairs, paper_cells, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import BASE
from lasnn.plan.vocabulary import METHODS, NO_TEACHER
from lasnn.report.columns import METHOD_TITLES, accuracy, dataset, number
from lasnn.report.exhibit import Table
from lasnn.report.frame import of_cells
from lasnn.report.late import pd

CONTEXT = "start ann teacher_accuracy spikes"  # what a number has to be seen with
START = (
    "Start: the converted network at this T, s and leak before training, on the training images that automatic choices "
    "look at; its ANN has seen them, so it lies above the accuracy on new images."
)
STARTS = {BASE: "converted", "scratch": "random start"}
CALIBRATION_STEPS = ("16", "32", "64", "100")
HEADLINE = "32"  # the T at which every student is shown, not only the one in focus
FORMS = {
    ("conversion", BASE): "conversion",
    ("calibration", "calibration_none"): "calibration: none",
    ("calibration", BASE): "calibration: light",
    ("calibration", "calibration_potential"): "calibration: potential",
    ("calibration", "calibration_weights"): "calibration: weights, potential",
}


def side_by_side(tidy: pd.DataFrame, column: pd.Series, network: pd.Series, lines: list[pd.Series]) -> pd.DataFrame:
    """A line for each dataset and `network`; for each value of `column` ours and the paper's number, and the scale s.

    `lines`: what tells lines apart, all cells of which carry the dataset that any of them ran on. Columns have the
    order of a categorical `column`, else of their first appearance.
    """
    index = pd.MultiIndex.from_arrays(
        [dataset(tidy).groupby(lines).transform("max"), network], names=["data", "network"]
    )
    frame = pd.DataFrame({"ours": accuracy(tidy), "paper": tidy["paper"].map(number)}).set_index([index, column])
    wide = frame.unstack().reindex(index.unique())
    titles = column.cat.categories if hasattr(column, "cat") else dict.fromkeys(column)
    found = pd.DataFrame({f"{title}: {side}": wide[side, title] for title in titles for side in ("ours", "paper")})
    scales = tidy["scale"].set_axis(index).dropna().groupby(level=[0, 1])
    found["s"] = scales.agg(lambda values: ", ".join(sorted({f"{value:g}" for value in values}))).astype(object)
    return found.fillna("-").reset_index()


def by_method(tidy: pd.DataFrame) -> pd.DataFrame:
    """Table II: a line for each dataset and student, two columns for each method."""
    column = tidy["method"].map(METHOD_TITLES)
    return side_by_side(tidy, column, tidy["student"], [tidy["dataset"], tidy["student"]])


def by_teacher(tidy: pd.DataFrame) -> pd.DataFrame:
    """Table IV: first the teachers themselves, then a line for each student; two columns for each teacher."""
    network = tidy["student"].where(tidy["method"] != "ann_teacher", "(the teacher itself)")
    own = tidy["method"].map(METHOD_TITLES).replace("conversion", "without LaSNN")
    column = own.where(tidy["teacher"] == "", "teacher " + tidy["teacher"])
    titles = dict.fromkeys(column)
    order = [*(title for title in titles if title in set(own)), *(title for title in titles if title not in set(own))]
    return side_by_side(tidy, column.astype(pd.CategoricalDtype(order)), network, [network])


def spike_kd(preset: Preset) -> list[Cell]:
    """Table III: the paper's rows; then ours, each network of the chain of spiking networks."""
    networks, found = preset.config.networks, list(paper_cells("Table III"))
    for variant, (student, teacher) in product(STARTS, chain_pairs(preset.scope.spike_chain)):
        above = "" if teacher == NO_TEACHER else f"{networks.title(networks.spiking_teachers[teacher])} SNN"
        label = f"reconstruction, {STARTS[variant]}, {f'taught by {above}' if above else 'head of the chain'}"
        words = ("CIFAR-10", networks.title(student), above, "kd_spike", "poisson", "100", "top1")
        found.append(Cell("Table III", label, *words, unit="%", variant=variant))
    return found


def _told_of_spike_kd(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    chain = ", ".join(preset.config.networks.title(student) for student in preset.scope.spike_chain)
    return [
        f"Spike KD of ours is a reconstruction from a short description, on the chain {chain}: it says nothing "
        "about the quoted 42.38 %, whose networks and T are not printed."
    ]


def every_method(preset: Preset) -> list[Cell]:
    """Table S1: Poisson input at the paper's T = 100, every student and method of the preset."""
    networks, asked = preset.config.networks, []
    for paper, key in DATASETS.items():
        for student, name in product(preset.scope.students, METHODS):
            if preset.scope.datasets.get(key) is None or name not in preset.scope.methods:
                continue
            title, teacher = networks.title(student), "unspecified" if METHODS[name].teacher else ""
            cell = Cell("Table S1", title, paper, title, teacher, name, "poisson", "100", "top1", unit="%")
            # The paper's students have lines where nothing is run too, own networks have none to compare with.
            if runs_of(cell, preset) if student in networks.own else _asked(paper, title, name):
                asked.append(cell)
    return asked


def _asked(dataset: str, title: str, method: str) -> bool:
    """Whether the paper trains this student so at the T of this table; conversion and other methods: all students."""
    paired = [
        cell.method for cell in paper_cells("Table II", "Fig 5a") if (cell.dataset, cell.student) == (dataset, title)
    ]
    ours = method == "conversion" or all(cell.method != method for cell in paper_cells())
    return method in paired or (ours and bool(paired))


def calibrations(preset: Preset) -> list[Cell]:
    """Table S5: all forms of every student at the headline's T, and of the student in focus at each T."""
    return [
        Cell(
            "Table S5",
            f"{preset.config.networks.title(student)} {title} T={steps}",
            *("CIFAR-10", preset.config.networks.title(student), "", method, "direct", steps, "top1"),
            unit="%",
            variant=variant,
        )
        for student, steps in product(preset.scope.students, CALIBRATION_STEPS)
        if preset.scope.steps.get(f"direct-T{steps}") and (steps == HEADLINE or student == preset.scope.focus)
        for (method, variant), title in FORMS.items()
    ]


def _with_forms(cells: list[Cell], preset: Preset) -> pd.DataFrame:
    return of_cells(cells, preset, CONTEXT).assign(form=[FORMS[cell.method, cell.variant] for cell in cells])


EXHIBITS = {
    "table1": Table(
        "Table I: accuracy of LaSNN and of converted SNNs",
        lambda preset: paper_cells("Table I"),
        "work dataset student method steps ours paper",
    ),
    "table2": Table(
        "Table II: SNN training methods from the same converted network (accuracy in %)",
        lambda preset: paper_cells("Table II"),
        by_method,
    ),
    "table3": Table(
        "Table III: LaSNN and spike-based distillation",
        spike_kd,
        "work dataset student method steps ours paper",
        told=_told_of_spike_kd,
    ),
    "table4": Table(
        "Table IV: teacher and student pairs (accuracy in %)", lambda preset: paper_cells("Table IV"), by_teacher
    ),
    "table_s1": Table(
        "Table S1: every method from the same converted network, with what each number hangs on",
        every_method,
        "dataset student method teacher steps scale leak logit_scale start accuracy ann teacher_accuracy spikes",
        more=CONTEXT,
        told=START,
    ),
    "table_s5": Table(
        "Table S5: forms of calibration",
        calibrations,
        "dataset student steps_for form scale accuracy ann",
        lines=_with_forms,
        told="Direct input everywhere. Conversion: thresholds balanced and scaled by s. Calibration: amplitudes and "
        "corrections from training images; weights trained in the last form only, each layer alone, never by "
        "backpropagation through time.",
        main=False,
    ),
}
