"""Files that are whole or absent: atomic writing, seals and digests, locks, checkpoints, provenance.

It knows neither networks nor methods nor where a run's folder lies; a checkpoint is weights by name and a mapping.
"""
