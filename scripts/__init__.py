"""Command-line entry points: the local gateway and the deploy tooling."""
