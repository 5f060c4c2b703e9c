"""Where scenarios run.

- `stage`: what a scenario sees of any target
- `simulators`: steers the simulated backends through their admin API
- `local`: an engine and simulators on this machine
- `azure`: what `deploy-workload --deploy-e2e` made
"""
