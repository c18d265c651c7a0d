"""Execution paths of the two passes over a parameter: measure, then perturb.

Pass 1 reads θ, g and s̄, writes s̄ and returns its mean, which must be known before the noise; pass 2 adds
the noise after the base optimizer's update. ``pats.kernels.eager`` is the path in plain torch, on any
device.
"""
