"""A simulator of Azure OpenAI: several regions on local ports, with scripted faults, quotas and latency."""

from e2e.simulator.faults import Fault
from e2e.simulator.recorder import RecordedRequest
from e2e.simulator.regions import Deployment, Latency, Quota, Region
from e2e.simulator.simulator import Simulator

__all__ = ["Deployment", "Fault", "Latency", "Quota", "RecordedRequest", "Region", "Simulator"]
