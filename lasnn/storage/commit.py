"""Which commit of git this code is, whatever repository lies around it and whatever the caller's GIT_* name."""

import json
import os
import subprocess
from pathlib import Path
from typing import NotRequired, TypedDict

FOLDER = Path(__file__).resolve().parents[2]
# What a commit does not say of the code: the generated files of DVC may have changed since, a module may be untracked.
CODE = ("lasnn", "workflow", "config.yaml", "config", "adopted.yaml", "environment.yml", "pyproject.toml", "uv.lock")
PASSED = "LASNN_CODE"  # environment variable
TRUST = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT")  # name safe folders


class Code(TypedDict):
    """What `provenance.json` says of the code; both None, with a reason, where no commit is known."""

    commit: str | None
    clean: bool | None  # whether code and configuration are as in the commit
    unknown: NotRequired[str]


def asked(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """What git says in a folder; OSError or SubprocessError if there is no git, or if it doesn't answer."""
    environment = {name: value for name, value in os.environ.items() if not _leads_elsewhere(name)}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # several jobs ask at once
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=20)


def _leads_elsewhere(name: str) -> bool:
    return (
        name.startswith("GIT_") and name not in TRUST and not name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))
    )


def pass_on() -> None:
    """Let jobs know that get this code without its repository, as in a pod."""
    os.environ[PASSED] = json.dumps(code())


def code() -> Code:
    """The commit of this checkout and whether code or configuration differ from it, or why that is unknown."""
    if PASSED in os.environ and not (FOLDER / ".git").exists():
        told: Code = json.loads(os.environ[PASSED])
        return told
    try:
        top = asked(FOLDER, "rev-parse", "--show-toplevel")
        if top.returncode:
            return _unknown(" ".join(top.stderr.split())[:400] or "git refuses this checkout")
        if Path(top.stdout.rstrip("\n")).resolve() != FOLDER:
            return _unknown(f"{FOLDER} is no checkout, but lies in the repository {top.stdout.strip()}")
        head = asked(FOLDER, "rev-parse", "HEAD")
        if head.returncode:
            return _unknown(f"the repository {FOLDER} has no commit")
        changed = asked(FOLDER, "status", "--porcelain", "--untracked-files=normal", "--", *CODE)
    except (OSError, subprocess.SubprocessError) as error:
        return _unknown(f"git can't be asked ({error})")
    return {"commit": head.stdout.strip(), "clean": None if changed.returncode else not changed.stdout.strip()}


def _unknown(why: str) -> Code:
    return {"commit": None, "clean": None, "unknown": why}


def warning(found: Code) -> str | None:
    """What to say of results whose commit is unknown."""
    if found["commit"]:
        return None
    return f"no result names its code's commit ({found.get('unknown')}): run it in a clone of its own that git accepts"
