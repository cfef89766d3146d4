"""The geometry behind the threshold training dimension.

- `gaussian_width`: Gaussian width of sets given by their support function (Def. 3.1, Lemma B.1)
- `cones`: circular cones and spherical caps, subspaces, statistical dimension
- `escape`: Gordon's escape theorem, its sharper form, exact and simulated hitting probabilities
- `affine`: random affine subspaces meeting an affine target (Appendix B.3)
- `quadratic`, `random_matrix`, `elliptic_cones`, `tomography`: the quadratic well (Section 3.2)
- `montecarlo`, `precision`: averages over Gaussian vectors; float64 for one computation, BLAS
  without spinning

Import the modules themselves; the package imports none of them, so it costs nothing. Arguments
outside their range raise `InputError`; keys are those of `jax.random`.
"""
