"""The geometry behind the threshold training dimension: Gaussian width, cones, escape, wells.

Import the modules themselves; the package imports none of them. The paper is Larsen et al. (2022).
Arguments outside their range raise `InputError`; keys are those of `jax.random`.
"""
