"""Measures what the gateway costs, beside nginx, stock APISIX and others: docs/benchmarks.md.

- `workload`: what clients send and backends answer
- `pools`: the backends and clients that a target is set up with
- `backend`: one nginx with fixed answers, which plays every backend
- `targets`: what is measured: this gateway on each engine, stock APISIX, nginx, other gateways
- `machine`: cores, processor time, memory and connections of processes, and what else was running
- `wrk`, `first_token`, `trials`: the clients
- `rows`: what is measured, and with which pool and load
- `rounds`: starts the targets and measures them in turns
- `results`, `table`, `plots`: the samples of a run, and how they are shown
- `stalls`: how long one large body keeps the others of a worker waiting
- `work` and `work_limits`: what a request does, counted: steady where times are not; a test guards it
- `profile` and `flame`: where the time of a request goes, and its picture
- `added_lua`: Lua of the benchmark's own in a gateway's workers, for both
- `measuring`: measures a part, shows it and writes it
- `cli`: the options of the command, `aoai-gateway bench` or `python -m e2e.bench`
"""
