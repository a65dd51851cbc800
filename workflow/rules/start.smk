# Before anything is read: where lasnn lies, whether config.yaml is YAML, and whether this call is alone in the folder.
import os
import sys
from pathlib import Path

CHECKOUT = Path(str(workflow.current_basedir)).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from lasnn.plan.config import whole
from lasnn.errors import InputError
from lasnn.pipeline.single_instance import claim
from lasnn.pipeline.workflow import check_folder, check_whole_workflow, configuration
from lasnn.storage import user

user.complete()


def say(line):
    """One line to the user who typed the command, once and not again in each job's process."""
    if not workflow.remote_exec:
        print(line, file=sys.stderr)


READ = None
try:
    check_whole_workflow(workflow.main_snakefile, CHECKOUT)
    CONFIG_FILE = configuration(CHECKOUT)
    if not workflow.remote_exec:
        check_folder(CHECKOUT)
        READ = whole(CONFIG_FILE)
        claim(Path(".snakemake"))
except InputError as error:
    say(f"error: {error}")
    raise SystemExit(1)

# Files of the checkout as rules name them: from inside it without its place.
HERE = "" if Path.cwd().resolve() == CHECKOUT else f"{CHECKOUT}/"
