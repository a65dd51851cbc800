"""Stage 1 and 2a: an analog network trained with cross-entropy, a teacher or a student's intermediate ANN."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from lasnn.networks import Net, census
from lasnn.networks.batch_norm import fold, insert
from lasnn.plan.vocabulary import given
from lasnn.storage import files
from lasnn.training import training_log
from lasnn.training.device import products_in, tf32
from lasnn.training.health import weight_norms
from lasnn.training.leaving import Result
from lasnn.training.loop import Job, Losses, Moment, Part, fit
from lasnn.training.resume import Saves
from lasnn.training.task import Analog


def train_ann(task: Analog, saves: Saves) -> Result:
    """Make the network, train it, assess it."""
    net, recipe = task.new_network(), given(task.settings.training)
    if task.settings.network.batch_norm:
        insert(net)
    amp = task.settings.compute.amp if task.device.type == "cuda" else "off"  # on a CPU it is about students

    @tf32(False)
    def look(epoch: int) -> dict:
        return {"test_accuracy": task.analog(net, task.watched).accuracy, "weight_norms": weight_norms(net)}

    job = Job(recipe, task.settings.data, task.run.seed, recipe.batch, saves)
    with tf32(amp != "off"):
        log = fit(net, cross_entropy(net, amp), task.train, job, look)
    if task.settings.network.batch_norm:
        fold(net)
    return assessed(net, task, training_log.best(log), training_log.cost(log))


def assessed(net: Net, task: Analog, log: files.Json, origin: files.Json) -> Result:
    """What a finished analog network is judged by, together with what its training's log says."""
    result = task.analog(net, task.test)
    sizes = {"sizes": census(net)._asdict()}
    metrics = {"accuracy": result.accuracy, "cross_entropy": result.cross_entropy["sum"]} | sizes | log
    return Result(net, metrics, {"predicted": result.predicted, "steps": np.array([1])}, origin=origin)


def cross_entropy(net: Net, amp: str) -> Losses:
    """The loss of an ANN's training, with products in this precision."""

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        with products_in(amp, part.batch.x.device.type):
            output = net(part.batch.x[None])
        return {"ce": F.cross_entropy(output.logits, part.batch.labels)}

    return losses
