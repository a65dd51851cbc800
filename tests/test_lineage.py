"""dvc.yaml: equal to its generator, the same graph as the plan, params that exist and that suffice."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lasnn.config import Config, merged, read
from lasnn.lineage import keys_of, stage_name, stages, text
from lasnn.report import runs_of_target

PRESETS = ["paper", "small", "quick"]


def test_the_committed_file_is_what_the_generator_writes():
    assert Path("dvc.yaml").read_text() == text(read().preset("quick"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_run_is_a_stage_whose_deps_are_its_parents(name):
    preset = read().preset(name)
    found = stages(preset)
    for run in runs_of_target(preset, "all"):
        stage = found[stage_name(run)]
        parents = {f"{preset.folder(parent)}/model.pt" for parent in preset.parents(run)}
        assert set(stage["deps"]) == parents | {preset.config.data_file(run.dataset)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_depends_on_exactly_its_keys(name):
    """Removing nothing but the named keys' values from the file changes the settings; changing others doesn't."""
    preset = read().preset(name)
    content = yaml.safe_load(Path("config.yaml").read_text())
    for run in runs_of_target(preset, "all")[:12]:
        named = keys_of(preset, run)
        for key in named:
            value = content
            for part in key.split("."):
                value = value[part]  # each key exists
        for section in content["protocol"]:
            if section in ("for", "scope") or f"protocol.{section}" in named:
                continue
            other = {key: _other(value) for key, value in content["protocol"][section].items()}
            changed = Config(
                merged(content, {"protocol": {section: {k: v for k, v in other.items() if v is not None}}})
            )
            assert changed.preset(name).settings(run) == preset.settings(run), (section, run)


def _other(value):
    """Another valid value of a number that can be doubled; None for everything else."""
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) and value > 1 else None


def test_dvc_reads_it():
    command = [sys.executable, "-m", "dvc", "dag", "--md", "snn-digits-vgg5-lasnn_act-poisson-T10-vgg16bn-s0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for ancestor in ("data-digits", "ann-digits-vgg5-s0", "ann-digits-vgg16bn-s0", "converted-digits-vgg5-poisson-s0"):
        assert ancestor in result.stdout
