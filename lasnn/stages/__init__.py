"""The stages of the chain by kind of run: each takes a `Workplace` and leaves the run's files."""

from lasnn.stages.ann import train_ann
from lasnn.stages.converted import convert
from lasnn.stages.snn import run_snn

STAGES = {"ann": train_ann, "converted": convert, "snn": run_snn}
