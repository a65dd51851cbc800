"""What Snakemake and DVC ask of us: targets, freshness of what lies there, lineage, kept results, notebooks, costs.

The only room that knows either of them. It never trains: jobs do, through the command line.
"""
