"""The workflow on a real Slurm of one node: `python -m tests.slurm --help`. As root, with Debian's packages.

`apt-get install slurm-wlm munge slurmdbd mariadb-server`
"""
