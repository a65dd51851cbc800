"""Claims (ours): each ordering that the paper claims, with the test that was fixed for it and what came out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from lasnn.plan.cells import Cell, runs_of
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.plan.vocabulary import CLAIMS as SENTENCES
from lasnn.report.claims import CLAIMS
from lasnn.report.exhibit import Table
from lasnn.report.frame import of_cells
from lasnn.report.judged import NOT_JUDGED, NOT_RUN, Line, answer
from lasnn.report.late import pd
from lasnn.report.questions import CHOICES, PRIMARY, SECONDARY, Question, is_run
from lasnn.report.statistics import holm, verdict

COLUMNS = ["claim", "question", "reading", "family", "dataset", "network", "steps", "unit", "margin"]
COLUMNS += ["less_paper", "more_paper", "less", "more", "difference", "sd", "se", "df", "low", "high"]
COLUMNS += ["boot_low", "boot_high", "above", "compared", "effect", "test", "p", "p_holm", "n", "images"]
COLUMNS += ["verdict", "remark"]
WORDS = ("question", "reading", "family", "dataset", "network", "steps", "unit", "test", "verdict", "remark")


def _asked(preset: Preset) -> list[tuple[str, Question | None]]:
    """Every line: a claim with each question for which the preset may have runs; None for a claim without any."""
    found: list[tuple[str, Question | None]] = []
    for name, claim in CLAIMS.items():
        wanted = name in preset.scope.claims or not claim.beyond_tables
        questions = claim.questions(preset) if wanted else []
        found += [(name, question) for question in questions] or [(name, None)]
    return found


def cells(preset: Preset) -> list[Cell]:
    """Both sides of every comparison, each once."""
    return list(dict.fromkeys(cell for _, question in _asked(preset) if question for cell in question.cells))


class Claims(Table):
    """A line for each claim and network, before them one for the mean over the networks."""

    def logged(self, preset: Preset) -> list[Run]:
        timed = [question for name, question in _asked(preset) if question and CLAIMS[name].measure.in_logs]
        return list(dict.fromkeys(run for one in timed for cell in one.cells for run in runs_of(cell, preset)))

    def costed(self, preset: Preset) -> list[Run]:
        dear = [question for name, question in _asked(preset) if question and CLAIMS[name].measure.in_provenance]
        return list(dict.fromkeys(run for one in dear for cell in one.cells for run in runs_of(cell, preset)))

    def runs_behind(self, tidy: pd.DataFrame, preset: Preset) -> list[list[Run]] | None:
        """Both sides of each comparison; None if the lines are those of another plan."""
        asked = _asked(preset)
        if [name for name, _ in asked] != list(tidy["claim"]):
            return None
        sides = [question.cells if question else [] for _, question in asked]
        return [list(dict.fromkeys(run for cell in cells for run in runs_of(cell, preset))) for cells in sides]

    def remarks(self, tidy: pd.DataFrame, preset: Preset) -> list[str]:
        return super().remarks(of_cells(self.cells(preset), preset), preset)


def judged(cells: Sequence[Cell], preset: Preset) -> pd.DataFrame:
    """A line for each claim and network, before them one for the mean over the networks."""
    lines: list[Line] = []
    for name, question in _asked(preset):
        asked = name in preset.scope.claims
        found = answer(CLAIMS[name], question, preset, asked) if question else _idle(name, preset)
        lines.append({"claim": name} | found)
    families: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line["verdict"] is None:
            families[line["family"], line["reading"]].append(line)
    for family in families.values():
        for line, p in zip(family, holm([line["p"] for line in family]), strict=True):
            said = verdict(line["effect"], p, preset.claims.alpha, line["n"], preset.claims.seeds)
            line |= {"p_holm": p, "verdict": said}
    frame = pd.DataFrame(lines, columns=COLUMNS)
    numbers = [name for name in COLUMNS if name not in ("claim", *WORDS)]
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in numbers})


def _told(tidy: pd.DataFrame, preset: Preset) -> list[str]:
    settings, level = preset.claims, f"{100 * (1 - preset.claims.alpha):g} %"
    made = tidy[tidy["p"].notna()]
    counts = Counter(zip(made["family"], made["reading"], strict=True))
    families = ", ".join(f"{family} with logits {reading} {count}" for (family, reading), count in counts.items())
    return [
        "Difference: the second minus the first; above minus the margin it speaks for the claim. T: our steps. "
        "Logits: how they are read, sum over T (Eq. 3, 4) or mean.",
        "The unit is the chain of one seed: teacher, ANN, conversion, student. Accuracies: of all encoder seeds, "
        "image by image; seeds and test images both count as drawn at random (standard error from their mean "
        "squares, Satterthwaite's degrees of freedom). All else: Student's t over the seeds. All networks: each "
        f"seed's mean over them. Interval: {level}; beside it a bootstrap of seeds, then images, which is too "
        "narrow with few seeds. More above less: in how many pairs of runs of a seed, a tie is a half.",
        f"A verdict takes {settings.seeds} seeds. Two-sided p; with a margin from two one-sided tests against it "
        "(alike) or one (not above, near, reaches), doubled, as beyond the margin is a verdict too. Holm's "
        f"correction within a family and reading; confirmed or refuted below {settings.alpha:g}, else undecided.",
        f"Families: {PRIMARY}, the three claims that decide, by the mean over all networks; {SECONDARY}, other "
        f"accuracies and each network; {CHOICES}; spikes; speed; cost. Tests made: {families or 'none'}.",
        f"Margins in points: {settings.near_ann:g} below the ANN, {settings.not_above:g} below hybrid training, "
        f"{settings.teachers:g} between teachers, {settings.direct:g} below Poisson input; the effect tested is "
        "the distance from the margin. Faster: the speed-up of Table S3 at the largest s, less "
        f"{settings.speed_up:g}. Minutes and GB: as measured in the runs, on whatever else their machine did.",
    ]


def _idle(name: str, preset: Preset) -> Line:
    """A claim without a line of its own: its runs are made for no table, or the paper's networks are not there."""
    has_runs = any(is_run(pair, preset) for question in CLAIMS[name].questions(preset) for pair in question.pairs)
    return {"n": 0, "verdict": NOT_JUDGED if has_runs else NOT_RUN}


def arrange(tidy: pd.DataFrame) -> pd.DataFrame:
    """What ran, and one line for each claim of which nothing did."""
    said = (tidy["n"] > 0) | (tidy["remark"].fillna("") != "")
    idle = ~tidy["claim"].isin(tidy.loc[tidy["n"] > 0, "claim"]) & ~tidy["claim"].duplicated() & ~said
    ran, idle = tidy[said | idle], idle[said | idle]
    places = [".0f" if unit == "spikes per image" else ".2f" for unit in ran["unit"]]

    def both(template: str, first: str, second: str) -> list[str]:
        pairs = zip(_texts(ran[first], places), _texts(ran[second], places), strict=True)
        return ["-" if set(pair) == {"-"} else template.format(*pair) for pair in pairs]

    question = ran["question"].fillna("").map(lambda text: f": {text}" if text else "")
    counts = zip(ran["above"] * ran["compared"], ran["compared"], strict=True)
    shown = pd.DataFrame(
        {
            "claim": ran["claim"].map(SENTENCES) + question.mask(idle, ""),
            "network": (ran["dataset"].fillna("") + " " + ran["network"].fillna("")).str.strip()
            + ran["steps"].map(_steps),
            "logits": ran["reading"],
            "paper": both("{} / {}", "less_paper", "more_paper"),
            "ours": both("{} / {}", "less", "more"),
            "difference": _texts(ran["difference"], places),
            "interval": both("[{}, {}]", "low", "high"),
            "bootstrap": both("[{}, {}]", "boot_low", "boot_high"),
            "unit": ran["unit"],
            "more above less": ["-" if pd.isna(count) else f"{count:g} of {of:g}" for count, of in counts],
            "p": _texts(ran["p"], [".2g"] * len(ran)),
            "p after Holm": _texts(ran["p_holm"], [".2g"] * len(ran)),
            "family": ran["family"],
            "n": [_count(*values) for values in zip(ran["n"], ran["images"], strict=True)],
            "verdict": ran["verdict"],
            "remark": ran["remark"].fillna("").replace("", "-"),
        },
        dtype=object,
    )
    shown.loc[idle, shown.columns.difference(["claim", "verdict"])] = "-"
    return shown


def _texts(values: pd.Series, forms: Sequence[str]) -> list[str]:
    return ["-" if pd.isna(value) else format(value, form) for value, form in zip(values, forms, strict=True)]


def _steps(value: str | float | None) -> str:
    """T of the runs, as words where the two sides have others; a CSV without any such is read back as numbers."""
    if value is None or pd.isna(value) or value == "":
        return ""
    return f", T = {value}" if isinstance(value, str) else f", T = {value:g}"


def _count(seeds: float, images: float | None) -> str:
    on = "" if images is None or pd.isna(images) else f", {images:g} images"
    return f"{seeds:g} seed{'' if seeds == 1 else 's'}{on}" if seeds else "-"


EXHIBITS = {
    "claims": Claims(
        "Claims: what the paper says of orderings, judged",
        cells,
        arrange,
        lines=judged,
        told=_told,
        ours="Ours: means over n seeds and their difference with its interval",
        converted=True,
        predictions=("ann", "snn"),
        sections=("scope", "claims"),
    )
}
