"""Finished runs as files: whether they are what the plan asks for, and where else the same run lies. No torch.

Everyone who opens a run's folder comes here: the workflow, jobs, exhibits, `trace`, `runs`, `import`.
"""
