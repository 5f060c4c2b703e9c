"""What can go wrong when a gateway is started here."""


class EngineError(Exception):
    """The gateway cannot be started; `problems` says everything that is in the way, one line each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)
