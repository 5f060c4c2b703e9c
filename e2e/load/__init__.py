"""Load on a gateway, made by locust.

- `plan`: what to send: phases, and in each phase groups of users
- `samples`: what came back: one sample for each request
- `behaviours`: what a user does
- `driver`: runs users, in a process of its own because locust changes Python's sockets
- `session`: starts that process and plays phases on it
"""
