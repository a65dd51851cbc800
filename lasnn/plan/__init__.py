"""What is to be run, as values: names of the field, settings, presets, runs and their parents.

Everything that a workflow's graph is drawn from. It knows no tensor and no file but config.yaml, so it loads without
torch.
"""
