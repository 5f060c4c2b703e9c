"""`local-gateway`: renders the settings and runs the gateway on this machine until it is stopped.

cli             options and exit codes
running         the order of a start and of a stop
sources         where the settings come from
start_screen    what is printed when the gateway serves: backends, clients, addresses
first_call      a call with curl that works here
request_lines   a line for each request
log_tail        follows the access log
changes         `--watch`: applies changes of the file of settings
voice           where all of this is printed
"""

from scripts.local_gateway.cli import app, main

__all__ = ["app", "main"]
