"""Measures what the gateway's cache affinity brings for sessions of agents: cached input, cost, balance.

- `texts`: made-up prose of an exact number of tokens
- `shapes`: how agents talk, each as sessions that make requests one after the other
- `playing`: plays the sessions of a shape through a real gateway in front of simulated regions
- `rows`: what a run has shown, and the goal
- `cli`: the command, `python -m e2e.cache_table`
"""
