"""The commands of the command line that work on stores, one module each; see ``cli``."""
