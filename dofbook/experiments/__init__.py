"""Sweeps: cells described by a frozen config, run, stored one file each, read as one table."""
