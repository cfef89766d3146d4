"""Degrees of freedom needed to train deep networks: experiments and geometry in JAX."""

__version__ = "0.2.0"
