"""The operator's machine: a login, a copy of the stacks with settings, and commands typed as they are."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.deploy.layout import REPOSITORY, Layout
from tests.rehearsal.azure.cloud import Cloud
from tests.rehearsal.azure.proxy import Proxy
from tests.rehearsal.azure.state import TENANT
from tests.rehearsal.azure.tls import Authority
from tests.rehearsal.tools import Tools
from tests.support.signals import heed_signals

# Whatever points clients at other clouds, proxies, logins or plans than those of the rehearsal.
_REMOVED = re.compile(
    r"(ARM_|AZURE_|TF_|GATEWAY_|AZURERM_)\w*|\w*(_PROXY|_CA_BUNDLE)|SSL_CERT_\w+", re.IGNORECASE
)


_PATIENCE_SECONDS = 1800.0


@dataclass(frozen=True)
class Ran:
    """A command that has ended: what it showed on the screen, its exit code, and seconds."""

    line: str
    screen: str
    code: int
    seconds: float


@dataclass
class Stage:
    """Runs the commands of a directory of programs against the cloud, and keeps a log of them."""

    cloud: Cloud
    layout: Layout
    environment: Mapping[str, str]
    log: Path
    programs: Path = Path(sys.executable).parent
    directory: Path | None = None
    ran: list[Ran] = field(default_factory=list)

    def run(self, line: str, *, interrupt_at: str = "") -> Ran:
        """Run a command of the repository or `az`, as typed: `deploy-platform dev --yes`.

        A line of the screen with `interrupt_at` is the moment for Ctrl-C.
        """
        name, *arguments = line.split()
        own = self.programs / name
        typed = line if name == "az" else f"uv run {line}"
        program = str(own) if own.exists() and name != "az" else name
        return self._run(typed, [program, *arguments], interrupt_at)

    def paste(self, lines: str) -> Ran:
        """Run lines of a shell, as somebody does who copies them from a screen."""
        return self._run(lines, ["bash", "-c", lines])

    def _run(self, typed: str, words: list[str], interrupt_at: str = "") -> Ran:
        started = time.monotonic()
        lines = []
        with subprocess.Popen(
            words,
            env=dict(self.environment),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=heed_signals,
        ) as process:
            assert process.stdout is not None
            watchdog = threading.Timer(_PATIENCE_SECONDS, process.terminate)
            watchdog.start()
            for each in process.stdout:
                lines.append(each)
                if interrupt_at and interrupt_at in each:
                    process.send_signal(signal.SIGINT)
                    interrupt_at = ""
            watchdog.cancel()
        text = "".join(lines).replace(str(self.layout.stacks.parent), "infra/terraform")
        ran = Ran(typed, text, process.returncode, time.monotonic() - started)
        self.ran.append(ran)
        self.note(f"$ {typed}\n{text.rstrip()}\n[exit code {ran.code}, {ran.seconds:.1f} s]\n")
        return ran

    def note(self, text: str) -> None:
        """Write a line into the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def edit(self, old: str, new: str) -> None:
        """Change the settings as in an editor."""
        path = self.layout.settings
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{path.name} does not contain {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def files(self) -> Iterator[Path]:
        """All files that commands have left, but for those with settings."""
        root = self.layout.stacks.parents[2]
        for path in root.rglob("*"):
            if path.is_file() and path.parent != self.layout.settings.parent:
                yield path

    def holders(self, *secrets: str) -> list[str]:
        """The screens, states and files that have one of these texts in them."""
        found = [(ran.line, ran.screen.encode()) for ran in self.ran]
        found += [(name, blob.content) for name, blob in self.cloud.state.blobs.items()]
        found += [(str(path), path.read_bytes()) for path in self.files()]
        return [name for name, content in found if any(secret.encode() in content for secret in secrets)]

    def setting(self, name: str) -> str:
        """The text of a setting in quotes: that of `NAME = "text"`."""
        found = re.search(rf'^ *{name} *= "([^"]*)"', self.layout.settings.read_text(encoding="utf-8"), re.M)
        assert found is not None, name
        return found[1]


@contextmanager
def open_stage(root: Path, tools: Tools, log: Path) -> Iterator[Stage]:
    """A stage with a fresh cloud. Its log has the commands, and beside it another one the requests."""
    terraform = root / "infra" / "terraform"
    shutil.copytree(REPOSITORY / "dashboards", root / "dashboards")  # the observability module reads from it
    shutil.copytree(
        REPOSITORY / "infra" / "terraform",
        terraform,
        ignore=shutil.ignore_patterns(".*", "*.tfvars", "terraform.tfvars.*"),
    )
    layout = Layout("dev", terraform / "stacks", terraform / ".deploy" / "dev")
    temporary = root / "tmp"
    temporary.mkdir()
    certificates = root / "certificates"
    certificates.mkdir()
    authority = Authority(certificates)
    cloud = Cloud(log.with_suffix(".requests.log"))
    configuration = root / "terraformrc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tools.mirror}"\n  }}\n}}\n',
        encoding="utf-8",
    )
    with Proxy(cloud.answer, authority) as proxy:
        kept = {name: value for name, value in os.environ.items() if not _REMOVED.fullmatch(name)}
        environment = {
            **kept,
            "PATH": f"{tools.az.parent}:{os.environ['PATH']}",
            "HOME": str(root),
            "TMPDIR": str(temporary),
            "AZURE_CONFIG_DIR": str(root / "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_NO_COLOR": "yes",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            "TF_CLI_CONFIG_FILE": str(configuration),
            "CHECKPOINT_DISABLE": "1",
            "GATEWAY_STACKS_DIR": str(layout.stacks),
            "SSL_CERT_FILE": str(authority.bundle),
            "REQUESTS_CA_BUNDLE": str(authority.bundle),
            "HTTPS_PROXY": proxy.url,
            "HTTP_PROXY": proxy.url,
            "COLUMNS": "120",
            # As in the tests of the provider's SDK: ask at once how an operation goes on.
            "GO_AZURE_SDK_SKIP_POLLING_DELAY": "true",
        }
        if "TERRAFORM_BINARY" in os.environ:
            environment["TERRAFORM_BINARY"] = os.environ["TERRAFORM_BINARY"]
        yield Stage(cloud, layout, environment, log)


def log_in(stage: Stage) -> None:
    """Log in as a person does on a machine without a browser."""
    ran = stage.run(f"az login --use-device-code --tenant {TENANT} --output none")
    assert ran.code == 0, ran.screen
