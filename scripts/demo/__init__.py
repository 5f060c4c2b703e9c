"""The demo: simulated regions, the gateway in front of them, and the official client."""
