"""Reading the Prometheus text format."""

from e2e.metrics import Sample, parse

__all__ = ["Sample", "parse"]
