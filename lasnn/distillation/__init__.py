"""What a student is taught (Sec. III-B): attention maps and their distances, and the objective of each method.

Maps are functions of activations and gradients, objectives of one batch's outputs. Nothing here knows how spikes come
about, what trains the network, or where anything is kept.
"""
