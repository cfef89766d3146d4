"""The commands of the command line; ``cli`` names them and imports each when it is called."""
