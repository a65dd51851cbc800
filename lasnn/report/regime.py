"""The corners of the regime map: sizes of the student and numbers of images, and what is compared in each."""

from lasnn.plan.config import Preset
from lasnn.plan.runs import AND, BASE
from lasnn.report.cells import Cell, direct_cell

STEP = "8"
AGAINST = "hybrid"
CHOSEN = "chosen"  # LaSNN with what held-out images chose for a corner


def joined(corner: str, variant: str) -> str:
    """The variant of a run in a corner."""
    return AND.join(part for part in (corner, variant) if part != BASE) or BASE


def in_words(corner: str) -> str:
    """A corner by the variants that make it."""
    return "size and images of the preset" if corner == BASE else corner.replace(AND, ", ")


def pairs_in(preset: Preset, corner: str) -> dict[str, tuple[Cell, Cell]]:
    """What is compared with hybrid training in a corner, by name: hybrid training, and the rival.

    LaSNN at the printed weight stands beside hybrid training with the same settings; what held-out images chose for a
    method in the corner (`scope.corners`), or its base, beside what they chose for hybrid training.
    """
    chosen = preset.scope.corners[corner]

    def cell(method: str, variant: str) -> Cell:
        return _cell(preset, corner, method, joined(corner, variant))

    base, best = cell(AGAINST, BASE), cell(AGAINST, chosen.get(AGAINST, BASE))
    found = {"kd_label": (best, cell("kd_label", chosen.get("kd_label", BASE)))}
    found["lasnn_act"] = (base, cell("lasnn_act", BASE))
    if "lasnn_act" in chosen:
        found[CHOSEN] = (best, cell("lasnn_act", chosen["lasnn_act"]))
    return found


def conversion_in(preset: Preset, corner: str) -> Cell:
    """The converted network of a corner without training, shown beside the comparisons."""
    return _cell(preset, corner, "conversion", corner)


def _cell(preset: Preset, corner: str, method: str, variant: str) -> Cell:
    once = corner in preset.scope.corners_once
    return direct_cell(preset, "regime", method, variant, STEP, every_seed=not once)


def cells(preset: Preset) -> list[Cell]:
    """Both sides of every comparison and the conversions, each once."""
    pairs = [pair for corner in preset.scope.corners for pair in pairs_in(preset, corner).values()]
    found = list(dict.fromkeys(cell for pair in pairs for cell in pair))
    found += [conversion_in(preset, corner) for corner in preset.scope.corners if found]
    return found or [direct_cell(preset, "regime", AGAINST, BASE, STEP)]
