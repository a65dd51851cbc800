"""The stages of the chain by kind of run: each takes a `Workplace` and leaves the run's files."""

from collections.abc import Callable

from lasnn.plan.runs import Run
from lasnn.training.stages.ann import train_ann
from lasnn.training.stages.calibrated import calibrate
from lasnn.training.stages.converted import convert
from lasnn.training.stages.snn import run_snn
from lasnn.training.workplace import Workplace

STAGES = {"ann": train_ann, "converted": convert, "snn": run_snn}
METHOD_STAGES = {"calibration": calibrate}  # of spiking runs that go another way than choosing and training


def stage_of(run: Run) -> Callable[[Workplace], None]:
    """What makes a run."""
    return METHOD_STAGES.get(getattr(run, "method", None), STAGES[run.kind])
