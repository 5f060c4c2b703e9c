"""Starts a gateway from settings, or from rendered files."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scripts.engines.base import Engine, EngineError, Instance, Tls
from scripts.engines.files import parse_config, render, section
from scripts.engines.gateway import START_TIMEOUT_SECONDS, Gateway
from scripts.engines.ports import choose_ports
from scripts.engines.selection import choose_engine

_TRIES = 3
_PORT_TAKEN = "Address already in use"


def _passed_on(config_text: str, env: Mapping[str, str]) -> dict[str, str]:
    # nginx hands its workers only the variables that config.yaml names.
    names = section(parse_config(config_text), "nginx_config").get("envs") or []
    return {name: env[name] for name in names if name in env}


def _start_once(engine: Engine, instance: Instance, *, keep_files: bool, timeout: float) -> Gateway:
    gateway = Gateway(engine, instance, engine.prepare(instance), keep_files=keep_files)
    try:
        gateway.wait_until_ready(timeout)
    except BaseException:
        gateway.stop(grace=1.0)
        raise
    return gateway


def start_files(
    files: Mapping[str, str],
    *,
    engine: Engine,
    env: Mapping[str, str] | None = None,
    workers: int | None = 1,
    port: int = 0,
    directory: Path | None = None,
    keep_files: bool = False,
    tls: Tls | None = None,
    timeout: float = START_TIMEOUT_SECONDS,
) -> Gateway:
    """Starts a gateway from rendered files (apisix.yaml and config.yaml) and waits until it is ready.

    Args:
        port: port for clients on 127.0.0.1; 0 for any free one.
        workers: how many nginx workers; `None` for as many as config.yaml says.
        directory: where the instance's files go; a temporary directory by default.
        keep_files: keep the directory after the gateway has stopped.
        tls: the certificate with which it serves HTTPS; without one it serves HTTP.
        timeout: how many seconds the gateway may take to become ready.

    Raises:
        EngineError: the gateway cannot be started; says why.
    """
    for attempt in range(1, _TRIES + 1):
        ports = choose_ports(port)
        root = Path(tempfile.mkdtemp(prefix="gateway-")) if directory is None else directory.resolve()
        root.mkdir(parents=True, exist_ok=True)
        instance = Instance(
            directory=root,
            files=files,
            ports=ports,
            env=_passed_on(files["config.yaml"], env or {}),
            workers=workers,
            tls=tls,
        )
        try:
            return _start_once(engine, instance, keep_files=keep_files, timeout=timeout)
        except EngineError as error:
            if directory is None and not keep_files:
                shutil.rmtree(root, ignore_errors=True)
            # Another process may have taken the port since it was chosen.
            taken = any(_PORT_TAKEN in problem for problem in error.problems)
            if not taken or port or attempt == _TRIES:
                raise
    raise AssertionError("unreachable")


def start_gateway(
    env: Mapping[str, str],
    engine: str = "embedded",
    workers: int | None = 1,
    *,
    port: int = 0,
    directory: Path | None = None,
    keep_files: bool = False,
    timeout: float = START_TIMEOUT_SECONDS,
) -> Gateway:
    """Renders `env`, starts a gateway on loopback ports and waits until it is ready.

    `engine` is docker, apisix, embedded or auto. `start_files` describes the other arguments.

    Raises:
        EngineError: the gateway cannot be started; says why.
        renderer.ConfigurationError: the settings are wrong.
    """
    chosen, _ = choose_engine(engine)
    return start_files(
        render(env, chosen.bundle_root),
        engine=chosen,
        env=env,
        workers=workers,
        port=port,
        directory=directory,
        keep_files=keep_files,
        timeout=timeout,
    )
