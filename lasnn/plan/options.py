"""Whether the options of a spiking run mean anything for its method, encoder and T, known before anything runs."""

from lasnn.errors import InputError
from lasnn.plan.runs import AnnRun, SnnRun
from lasnn.plan.settings import AnnSettings, SnnSettings
from lasnn.plan.vocabulary import METHODS

OF_TRAINING = {  # keys of `spiking` that only a training reads: at these values they are off
    "train_offsets": False,
    "loss": "total",
    "firing_penalty": 0.0,
}


def check_levels(run: AnnRun, settings: AnnSettings) -> None:
    """InputError if weights from elsewhere are to have levels, which they haven't learned."""
    if settings.adopted and settings.network.levels:
        raise InputError(
            f"network.levels is {settings.network.levels}, but the weights of {run} were adopted and know no clips: "
            f"leave network.levels at null and balancing.norm at tb for {run.network}"
        )


def check_options(run: SnnRun, settings: SnnSettings) -> None:
    """InputError for an option that has no meaning for the run, in one line that says what would."""
    method, spiking = METHODS[run.method], settings.spiking
    if settings.spike_kd and settings.spike_kd.window > run.steps:
        raise InputError(
            f"spike_kd.window is {settings.spike_kd.window}, but {run} has {run.steps} time steps: set a window of at "
            f"most {run.steps}"
        )
    if spiking is None:
        return
    for key, off in OF_TRAINING.items():
        value = getattr(spiking, key)
        if value != off and not method.trained:
            raise InputError(
                f"spiking.{key} is {value}, but {run} trains nothing: leave it at {off} for {run.method}, or choose a "
                "method that trains"
            )
    if method.chained and (spiking.loss != "total" or spiking.potential or spiking.init == "calibrated"):
        raise InputError(
            f"{run} follows a chain of spiking readouts, which has none of spiking.loss, spiking.potential and "
            "spiking.init: calibrated: leave them at total, 0 and converted"
        )
    if spiking.init != "calibrated":
        return
    if run.encoder != "direct" or not method.trained:
        raise InputError(
            f"spiking.init: calibrated starts a training with direct input from a calibration, but {run} has "
            f"{run.encoder} input and method {run.method}: choose spiking.init: converted for it"
        )
    if spiking.scale != 1 or spiking.potential:
        raise InputError(
            f"spiking.init: calibrated takes thresholds and potentials from the calibration, but {run} asks for "
            f"spiking.scale: {spiking.scale} and spiking.potential: {spiking.potential:g}: set scale 1 and potential 0"
        )
