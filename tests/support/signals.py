"""Signals of the processes that tests start."""

import signal


def heed_signals() -> None:
    """Lets a child process react to signals, as `preexec_fn`.

    A suite in the background of a script, or under nohup, ignores them, and its children would too.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
