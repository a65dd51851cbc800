"""Stage 1 and 2a: an analog network trained with cross-entropy, a teacher or a student's intermediate ANN."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from lasnn.networks import census
from lasnn.spiking.evaluation import evaluate
from lasnn.training.health import weight_norms
from lasnn.training.loop import Moment, Part, fit
from lasnn.training.workplace import Workplace, best_of


def train_ann(place: Workplace) -> None:
    """Train, evaluate, leave the files."""
    train, test = place.images
    net, recipe = place.build(place.run), place.settings.training

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        return {"ce": F.cross_entropy(net(part.batch.x[None]).logits, part.batch.labels)}

    def look(epoch: int) -> dict:
        accuracy = evaluate(net, test, "direct", 1, rows=place.settings.compute.rows).accuracy
        return {"test_accuracy": accuracy, "weight_norms": weight_norms(net)}

    log = fit(net, losses, train, place.job(recipe.batch), look)
    result = evaluate(net, test, "direct", 1, rows=place.settings.compute.rows)
    metrics = {
        "accuracy": result.accuracy,
        "cross_entropy": result.cross_entropy["sum"],
        "sizes": census(net)._asdict(),
        **best_of(log),
    }
    place.leave(net, metrics, {"predicted": result.predicted, "steps": np.array([1]), "logits": result.logits})
