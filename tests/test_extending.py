"""docs/extending.md: its examples applied to a copy of the project, then trained, converted and tabulated with."""

import json
import re
from pathlib import Path

from tiny import LEAST, copy_project, python, write_yaml

from lasnn.plan.config import merged, whole

PAGE = Path("docs/extending.md").read_text()
SCOPE = {
    "datasets": {"cifar10": "stripes"},
    "students": ["vgg5"],
    "focus": "vgg5",
    "methods": ["conversion", "hybrid", "lasnn_act", "lasnn_abs", "smoothed"],
    "ablations": ["lasnn_act+alpha02"],
}
FEW = {"scope": SCOPE, "network": {"fc": 16}, "data": {"train_images": 64, "test_images": 20, "held_out": 16}}
FEW |= {"curve": LEAST["curve"] | {"images": 10}}
EXHIBITS = ("table_silent", "figure_students", "table_s1", "table_s4", "figure1", "figure_steps", "runs")
DEEP = {"family": "residual", "features": [8, 16, 16], "strides": [1, 2, 2], "stem": "single", "block": "bottleneck"}
DEEP_RUN = "results/quick/snn/stripes/deep/hybrid/poisson-T3/none/batch_norm/s0"
ALIKE = f"""a, b = lasnn.load({DEEP_RUN!r}), lasnn.load('deep.nir')
x = lasnn.dataset('stripes').test[:8][0]
assert a(x).equal(b(x)) and 'middle' in str(list(a.record(x)))"""
# What a user of all examples would make, in one process so that torch is loaded once.
WORK = f"""
from lasnn.__main__ import main
from lasnn.plan.config import read, whole
from lasnn.report import EXHIBITS
from lasnn.plan.runs import SnnRun
preset = read().preset()
asked = [
    SnnRun("stripes", "slim", "hybrid", "poisson", 3),
    SnnRun("stripes", "slim", "hybrid", "dithered", 3),
    SnnRun("stripes", "vgg5", "smoothed", "dithered", 3),
    SnnRun("stripes", "slim", "hybrid", "poisson", 3, "none", "refractory"),
    SnnRun("stripes", "slim", "hybrid", "poisson", 3, "none", "arctan"),
    SnnRun("stripes", "deep", "hybrid", "poisson", 3, "none", "batch_norm"),
    SnnRun("stripes", "vgg5", "kd_channels", "poisson", 3, "vgg16bn"),
]
asked += [run for name in {EXHIBITS} for run in EXHIBITS[name].runs(preset)]
assert main(["data", "stripes"]) == 0
for run in preset.ancestors(asked):
    preset.check_names(run)
    assert main([run.kind, preset.folder(run)]) == 0, run
for name in {EXHIBITS}:
    assert main(["exhibit", f"results/quick/exhibits/{{name}}.csv"]) == 0
"""


def blocks():
    """(kind, file, lines) of every example."""
    for kind, body in re.findall(r"```(python|diff)\n(.*?)```", PAGE, re.DOTALL):
        first, *lines = body.splitlines()
        yield kind, first.removeprefix("# ").removeprefix("new file: "), lines


def applied(text, lines, where):
    """`text` with one example's lines added and taken away; what stays must be there, in one place."""
    old = [line[1:] for line in lines if line[:1] in (" ", "-")]
    new = [line[1:] for line in lines if line[:1] in (" ", "+")]
    assert all(line[:1] in (" ", "-", "+") for line in lines), (where, lines)
    before, after = "\n".join(old) + "\n", "\n".join(new) + "\n"
    assert ("\n" + text).count("\n" + before) == 1, f"{where} holds not once: {before}"
    return text.replace(before, after)


def extended(folder):
    """A copy of the project with every example of the page in it."""
    copy_project(folder, ("lasnn", "workflow", "config.yaml", "config"))
    for kind, name, lines in blocks():
        path = folder / name
        if kind == "python":
            assert not path.exists(), f"{name} is new and exists already"
            path.write_text("\n".join(lines) + "\n")
        else:
            path.write_text(applied(path.read_text(), lines, name))
    return folder


def test_the_examples_work(tmp_path):
    folder = extended(tmp_path)
    targets = re.findall(r"^snakemake --cores 1 (results\S+)$", PAGE, re.MULTILINE)
    assert len(targets) >= 4
    imports = "from lasnn.plan.config import read; from lasnn.pipeline.workflow import check_targets"
    python(folder, "-c", f"{imports}; check_targets(read(), {targets})")
    more = {"presets": {"quick": LEAST | FEW}, "architectures": {"deep": DEEP}}
    content = merged(whole(folder / "config.yaml"), more)
    write_yaml(folder / "config.yaml", content)
    python(folder, "-c", WORK)
    dithered = folder / "results/quick/snn/stripes/slim/hybrid/dithered-T3/none/base/s0/metrics.json"
    assert json.loads(dithered.read_text())["operations"]["encoder_spikes"] == 0  # its input is analog
    python(folder, "-m", "lasnn", "export-nir", DEEP_RUN, "deep.nir")
    python(folder, "-c", f"import lasnn; {ALIKE}")
    python(folder, "convert.py")
    made = folder / "results" / "quick" / "exhibits"
    silent = (made / "table_silent.md").read_text()
    assert "Stripes (for CIFAR-10)" in silent
    assert "best epoch, %" in silent
    assert "best" in (made / "runs.csv").read_text().splitlines()[0]  # a new column is one of the frame's
    assert (made / "figure_students.png").exists()
    shown = (made / "table_s1.md").read_text()
    assert "LaSNN, absolute" in shown
    assert "hybrid, smoothed labels" in shown
    assert "attention.alpha: 0.2" in (made / "table_s4.md").read_text()
