"""The wheel: what is in it, and that its commands work in an environment that has nothing else."""
