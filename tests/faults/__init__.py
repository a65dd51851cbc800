"""What happens to real, tiny trainings when machines, disks, files and users fail: `python -m tests.faults --help`.

Each module holds one kind of fault and a function that tries it `count` times and returns a `Tally`.
"""
