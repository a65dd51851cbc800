"""dvc.yaml: equal to its generator, the same graph as the plan, params that exist and that suffice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.dependency import ParamsDependency

from lasnn.pipeline.dvc_yaml import layers_of, params_of, stages, text
from lasnn.pipeline.stamp import STAMP
from lasnn.plan.config import Config, merged, read, whole
from lasnn.plan.overlays import parsed
from lasnn.report import runs_of_target

PRESETS = ["paper", "small", "quick"]


def test_the_committed_file_is_what_the_generator_writes():
    assert Path("dvc.yaml").read_text() == text(read().preset("quick"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_depends_on_exactly_its_keys(name):
    """Removing nothing but the named keys' values from the file changes the settings; changing others doesn't."""
    preset = read().preset(name)
    content, layers = whole(), list(layers_of(preset))
    runs = runs_of_target(preset, "all")[:12]
    params = {run: params_of(preset, run, layers) for run in runs}
    named = {run: {(file, key) for one in params[run] for file, keys in one.items() for key in keys} for run in runs}
    files = {file: parsed(file) for file in {file for keys in named.values() for file, _ in keys}}
    for file, key in set().union(*named.values()):
        value = files[file]
        for part in key.split("."):
            value = value[part]  # each key exists
    for section in set(content["protocol"]) - {"for", "scope"}:
        other = {key: _other(value) for key, value in content["protocol"][section].items()}
        changed = Config(merged(content, {"protocol": {section: {k: v for k, v in other.items() if v is not None}}}))
        for run in runs:
            if ("config.yaml", f"protocol.{section}") not in named[run]:
                assert changed.preset(name).settings(run) == preset.settings(run), (section, run)


def _other(value):
    """Another valid value of a number that can be doubled; None for everything else."""
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) and value > 1 else None


def snakemake_graph(folder, preset):
    """What Snakemake itself plans: for each output the files that its job reads."""
    command = [sys.executable, Path(__file__).with_name("snakemake_graph.py"), preset]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    shown = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    return {out: set(inputs) - {str(STAMP)} for out, inputs in json.loads(shown).items()}  # the stamp is no content


def as_dvc_reads(folder):
    """Every stage as DVC itself reads it from dvc.yaml, with its templates filled in, in the generator's words."""
    from dvc.repo import Repo

    found = {}
    with Repo(str(folder)) as repo:
        for stage in repo.index.stages:
            params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
            outs = {os.path.relpath(out.fs_path, folder): out for out in stage.outs}
            assert all(out.persist for out in outs.values())
            found[stage.name] = {
                "cmd": stage.cmd,
                "deps": {os.path.relpath(dep.fs_path, folder) for dep in stage.deps if dep not in params},
                "outs": {path for path, out in outs.items() if not out.metric},
                "metrics": {path for path, out in outs.items() if out.metric},
                "params": {os.path.relpath(dep.fs_path, folder): set(dep.params) for dep in params},
            }
    return found


def as_generated(stage):
    """A stage in the same words."""
    named = {part: {path for entry in stage.get(part, []) for path in entry} for part in ("outs", "metrics")}
    params = {file: set(keys) for group in stage.get("params", []) for file, keys in group.items()}
    return {"cmd": stage["cmd"], "deps": set(stage.get("deps", [])), "params": params} | named


@pytest.mark.parametrize("name", PRESETS)
def test_snakemake_and_dvc_agree_edge_by_edge(name, copy_of_project, git, monkeypatch):
    """Every file that both make is made from the same files; what only one of them names is the training log."""
    folder = copy_of_project
    monkeypatch.chdir(folder)
    (folder / "dvc.yaml").write_text(text(read().preset(name)))
    git(folder, "init", "-q")
    read_back = as_dvc_reads(folder)
    assert read_back == {stage: as_generated(content) for stage, content in stages(read().preset(name)).items()}
    theirs = {out: stage["deps"] for stage in read_back.values() for out in stage["outs"] | stage["metrics"]}
    ours = snakemake_graph(folder, name)
    journals = {path for path in theirs if path.endswith(("/log.jsonl", "/scores.json"))}
    notebooks = {path for path in ours if "/notebooks/" in path}
    assert set(ours) - notebooks == set(theirs) - journals
    assert {path: ours[path] for path in ours if path not in notebooks} == {
        path: deps for path, deps in theirs.items() if path not in journals
    }
    assert sum(map(len, theirs.values())) > 100
