"""One run at work: read what it starts from, train or convert or calibrate, leave its files whole, go on after a stop.

The loop never learns which method it trains; what a batch is worth is an objective's affair (`lasnn.distillation`).
"""

from lasnn.training.device import device_of
from lasnn.training.leaving import Result
from lasnn.training.loop import Job, Moment, Part, fit
from lasnn.training.resume import Saves
from lasnn.training.stages import make
from lasnn.training.task import Parent, Task

__all__ = ["Job", "Moment", "Parent", "Part", "Result", "Saves", "Task", "device_of", "fit", "make"]
