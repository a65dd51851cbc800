# Before anything is read: where lasnn lies, whether config.yaml is YAML, and whether this call is alone in the folder.
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).parent))

from lasnn.plan.config import CONFIG as CONFIG_FILE
from lasnn.plan.yaml_file import parsed
from lasnn.errors import InputError
from lasnn.pipeline.single_instance import claim


def say(line):
    """One line to whoever typed the command, once and not again in each job's process."""
    if not workflow.remote_exec:
        print(line, file=sys.stderr)


try:
    if not workflow.remote_exec:
        claim(Path(".snakemake"), say)
        if CONFIG_FILE.exists():
            parsed(CONFIG_FILE)
except InputError as error:
    say(f"error: {error}")
    raise SystemExit(1)
