# What the rules ask of lasnn: settings, parents and files of a run. No rule carries logic of its own.
import shlex
import shutil
import sys
from pathlib import Path

from lasnn.pipeline import needs, notebooks, slurm
from lasnn.plan.own import with_adoptions
from lasnn.plan.config import Config, dump
from lasnn.errors import InputError
from lasnn.pipeline.freshness import drop_resume_states
from lasnn.pipeline import buckets
from lasnn.pipeline.stamp import Inputs, forced_words, renew
from lasnn.storage import commit
from lasnn.report import TARGETS, Figure, Table, exhibits_of, files_of, names_of
from lasnn.plan.runs import KINDS, NAME, NUMBER
from lasnn.pipeline.workflow import (
    cards_of_a_training,
    check_container,
    check_places,
    check_plan,
    check_targets,
    command_line,
    command_line_targets,
    configured,
    files_asked,
    image,
    imports_of,
    keep_byte_code,
    pass_on,
    presets_of,
    record_lineage,
    runs_asked,
)

keep_byte_code()

try:
    config = configured([CONFIG_FILE, *workflow.config_settings.configfiles], workflow.config_settings.config, READ)
    config = with_adoptions(config)
    CONFIG = Config(config)
    check_targets(CONFIG, command_line_targets())
    PRESETS = presets_of(CONFIG, command_line_targets())
    check_places(CONFIG, PRESETS)
    check_container()
    SOFTWARE = {str(method) for method in workflow.deployment_settings.deployment_method}
    IMAGE = image("apptainer" in SOFTWARE)
    check_plan(CONFIG, PRESETS, command_line_targets())
    BUCKET = buckets.bucket_of(workflow, CONFIG)
    if BUCKET:
        config = buckets.from_anywhere(config)
        CONFIG = Config(config)
        BUCKET.pass_on()
        if not workflow.remote_exec:
            commit.pass_on()
    pass_on(config)
    # What lies in the bucket, and copies of what results are judged by; a job is told what to make.
    STORED = None
    if BUCKET and workflow.is_main_process:
        asked = files_asked(CONFIG, PRESETS, command_line_targets())
        STORED = buckets.contents(BUCKET, CONFIG, PRESETS, asked, command_line())
    PARTITION = slurm.survey(command_line(), CONFIG.file.device != "cpu")
    if not workflow.remote_exec:
        if unknown := commit.warning(commit.code()):
            say(f"warning: {unknown}")
        if not BUCKET:
            for preset in PRESETS:
                drop_resume_states(CONFIG.preset(preset))
except InputError as error:
    say(f"error: {error}")
    raise SystemExit(1)

if BUCKET:

    envvars:
        commit.PASSED,


# Inputs as they are needed, and the stamp for what does not fit the plan; a job's own process is told what to make.
if workflow.is_main_process:
    if BUCKET:
        renew([], buckets.newest(STORED))
    else:
        renew(files_asked(CONFIG, PRESETS, command_line_targets()))
INPUTS = Inputs(
    CONFIG,
    lambda: forced_words(workflow.dag_settings),
    say,
    BUCKET,
    STORED,
    marked=bool(BUCKET) and not getattr(command_line(), "dryrun", False),
    judging=workflow.is_main_process,
)

RESULTS, DATA = CONFIG.file.folders.results, CONFIG.file.folders.data
ROOT = f"{RESULTS}/{{preset}}"

# Cards of a training: one where there is one and the configuration doesn't say cpu.
CARDS = cards_of_a_training(CONFIG, PARTITION, workflow.remote_exec)

ATTEMPTS = slurm.Attempts()
# Attempts that a partition's limit ends are no failures: as many more as the longest planned run takes.
RETRIES = None
if PARTITION and PARTITION.minutes:
    asked = [(preset, run) for preset, runs in runs_asked(CONFIG, PRESETS, command_line_targets()) for run in runs]
    RETRIES = command_line().retries + needs.attempts_more(asked, PARTITION.minutes)

# --use-conda works with conda and without: without it the jobs run in the interpreter that runs Snakemake.
CONDA = shutil.which("conda") is not None
IN_CONDA = CONDA and "conda" in SOFTWARE
# A path, where there is conda, so that `--containerize` can read it.
ENVIRONMENT = str(CHECKOUT / "environment.yml") if CONDA else None


def quoted(path):
    """A folder as the shell wants it, past Snakemake's own look at braces."""
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


IMPORTS = "".join(f"export {name}={quoted(value)}; " for name, value in imports_of(CHECKOUT).items())
shell.prefix(IMPORTS)
if not IN_CONDA and "apptainer" not in SOFTWARE:
    shell.prefix(f"{IMPORTS}export PATH={quoted(Path(sys.executable).parent)}:$PATH; ")
    say(f"jobs run in the interpreter that runs Snakemake ({sys.executable}), not in a conda environment")


# What jobs run in with `--sdm apptainer`, and with nothing else.
container: IMAGE


# Which names there are, is asked of a typed target before (`check_targets`); long alternatives here cost each file time.
wildcard_constraints:
    preset=NAME,
    dataset=NAME,
    network=NAME,
    student=NAME,
    teacher=NAME,
    method=NAME,
    encoder=NAME,
    variant=NAME,
    notebook=NAME,
    steps=NUMBER,
    seed=NUMBER,


def run_of(kind, wildcards):
    """The run that a rule's wildcards spell."""
    return kind.from_words(dict(wildcards.items()))


# A job in a bucket sees nothing but what it is given: of a parent also what its checkpoint is judged by.
OF_A_PARENT = ("model.pt", "metrics.json", "provenance.json") if BUCKET else ("model.pt",)


def inputs_of(kind):
    """The prepared images of a run of this kind, and the checkpoints that it starts from."""

    def inputs(wildcards):
        preset, run = CONFIG.preset(wildcards.preset), run_of(kind, wildcards)
        paths = [f"{preset.folder(parent)}/{name}" for parent in preset.parents(run) for name in OF_A_PARENT]
        paths.append(CONFIG.data_file(run.dataset))
        return INPUTS.run(preset, run, paths)

    return inputs


def source_of(wildcards):
    """No file that the workflow knows: what a dataset is prepared from may lie anywhere."""
    return INPUTS.data(wildcards.dataset)


def logged(kind):
    """The training log, which exhibits read: elsewhere it lies beside the rest, in a bucket only if a rule names it."""
    return {"log": f"{ROOT}/{kind.PATTERN}/log.jsonl"} if BUCKET else {}


def settings_of(kind):
    """Settings of a run as JSON: a change of any of them, and of nothing else, reruns it."""
    return lambda wildcards: dump(CONFIG.preset(wildcards.preset).settings(run_of(kind, wildcards)))


def threads_of(kind):
    """Threads of torch, a setting of the preset and not of --cores."""
    return lambda wildcards: CONFIG.preset(wildcards.preset).settings(run_of(kind, wildcards)).compute.threads


def memory_of(kind):
    """Megabytes of a run's host memory, more with each attempt that saved nothing, at most those of a node."""

    def memory(wildcards, attempt):
        preset, run = CONFIG.preset(wildcards.preset), run_of(kind, wildcards)
        need = needs.memory_mb(preset, run, CARDS > 0, ATTEMPTS.counted(preset.folder(run), attempt))
        return min(need, PARTITION.memory_mb) if PARTITION else need

    return memory


def minutes_of(kind):
    """Minutes that a queue is asked for, more with each attempt, at most those of the partition."""

    def minutes(wildcards, attempt):
        need = needs.minutes(CONFIG.preset(wildcards.preset), run_of(kind, wildcards), attempt)
        return PARTITION.at_most(need) if PARTITION else need

    return minutes


def sources_of(wildcards):
    """Every file that an exhibit is made from."""
    return INPUTS.exhibit(CONFIG.preset(wildcards.preset), wildcards.exhibit)


def notebook_inputs(wildcards):
    """What a notebook reads: metrics of the spiking runs behind the tables."""
    return INPUTS.page(CONFIG.preset(wildcards.preset), wildcards.notebook)


def pages():
    """The pages of all notebooks, in the preset that the configuration names."""
    return list(notebooks.pages_of(CONFIG.preset()).values())


def files_of_target(target):
    """The files of all exhibits of a target, in the preset that the configuration names."""
    return [path for name in exhibits_of(target) for path in files_of(CONFIG.preset(), name)]


def made_with_site(wildcards):
    """What is typed beside `site`, which then shows it; nothing else is made for it."""
    named = {"notebooks": pages(), **{target: files_of_target(target) for target in TARGETS}}
    named["all"] = [*named["all"], *pages()]
    return [path for word in workflow.dag_settings.targets for path in named.get(str(word), ())]


onstart:
    if INPUTS.judging and not workflow.touch:
        try:
            INPUTS.before_the_first_job(job.output for job in workflow.dag.needrun_jobs())
        except InputError as error:
            say(f"error: {error}")
            raise SystemExit(1)
