"""The images of the gateway: tagged with a digest of their sources, built only when that digest is new."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.deploy.azure_cli import AzureCli, AzureCliError
from scripts.deploy.console import Screen
from scripts.deploy.deploy_errors import DeployError, NotReadyError

_NOISE = {"__pycache__", ".DS_Store", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image and everything that goes into it, as paths from the repository's root."""

    repository: str
    dockerfile: str
    sources: tuple[str, ...]


GATEWAY = Image("azure-openai-gateway/gateway", "apisix/image/Dockerfile", ("apisix/image", "apisix/plugins"))
RENDERER = Image(
    "azure-openai-gateway/config-renderer",
    "infra/images/config-renderer/Dockerfile",
    ("renderer", "apisix/templates", "apisix/plugins/azure-openai/schemas", "pyproject.toml", "uv.lock"),
)
SIMULATOR = Image(
    "azure-openai-gateway/simulator",
    "infra/images/simulator/Dockerfile",
    ("e2e/__init__.py", "e2e/simulator", "pyproject.toml", "uv.lock"),
)


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in the registry."""

    reference: str
    built: bool


def content_tag(root: Path, image: Image) -> str:
    """Digest of an image's sources: equal sources give an equal tag, on every machine."""
    digest = hashlib.sha256()
    for path in _files(root, image):
        name = path.relative_to(root).as_posix().encode()
        content = path.read_bytes()
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        digest.update(b"%d:%s %s %d:" % (len(name), name, executable, len(content)))
        digest.update(content)
    return digest.hexdigest()[:20]


def _files(root: Path, image: Image) -> list[Path]:
    found: set[Path] = set()
    missing = []
    for source in (image.dockerfile, *image.sources):
        path = root / source
        if not path.exists():
            missing.append(source)
        found |= set(_below(path))
    if missing:
        raise DeployError(f"Sources of the image {image.repository} are missing:", details=missing)
    return sorted(found)


def _below(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return [item for item in path.rglob("*") if item.is_file() and not _NOISE & set(item.parts)]


_WITHOUT_DOCKER = "Leave --local-docker out: images are then built in the registry."


def require_docker() -> None:
    """Raise `NotReadyError` when nothing can be built here: the client is there without an engine, too."""
    asked = subprocess.run(  # noqa: S603 - no shell, arguments are ours
        [_find_docker(), "info"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines()[-1:]
        raise NotReadyError("Docker does not run.", details=said, remedy=f"Start it. {_WITHOUT_DOCKER}")


def _find_docker() -> str:
    docker = shutil.which("docker")
    if docker is None:
        raise NotReadyError("Docker was not found.", remedy=_WITHOUT_DOCKER)
    return docker


class ImageBuilder:
    """Builds images in the registry, or with the local Docker on request."""

    def __init__(self, root: Path, registry: str, login_server: str, az: AzureCli, screen: Screen) -> None:
        self._root = root
        self._registry = registry
        self._login_server = login_server
        self._az = az
        self._screen = screen

    def reference(self, image: Image) -> str:
        """Full name of an image with the tag of its present sources."""
        return f"{self._login_server}/{image.repository}:{content_tag(self._root, image)}"

    def exists(self, image: Image) -> bool:
        """Whether the registry already has these very sources."""
        return self._az.image_exists(self._registry, image.repository, content_tag(self._root, image))

    def ensure(self, images: Sequence[Image], *, local_docker: bool) -> list[BuiltImage]:
        """Build what the registry does not have yet."""
        built = []
        for image in images:
            reference = self.reference(image)
            missing = not self.exists(image)
            if missing:
                with self._screen.step(f"building {reference}"):
                    self._build(image, local_docker=local_docker)
            else:
                self._screen.done(f"{reference} is already there")
            built.append(BuiltImage(reference, missing))
        return built

    def require(self, images: Sequence[Image]) -> None:
        """Complain when the registry lacks an image, rather than let a revision wait for it in vain."""
        try:
            missing = [self.reference(image) for image in images if not self.exists(image)]
        except AzureCliError as error:
            self._screen.warn(f"the registry does not say which images it has: {error.details[-1:]}")
            return
        if missing:
            raise NotReadyError(
                "The registry has no image of these sources:",
                details=missing,
                remedy="Leave --no-image-build out, or check out the version that was built.",
            )

    def _build(self, image: Image, *, local_docker: bool) -> None:
        with tempfile.TemporaryDirectory(prefix="image-") as name:
            context = Path(name)
            self._copy(image, context)
            if local_docker:
                self._build_here(image, context)
            else:
                tagged = f"{image.repository}:{content_tag(self._root, image)}"
                # `az` takes a relative path from where the operator stands, not from the context.
                dockerfile = str(context / image.dockerfile)
                self._az.build_image(self._registry, tagged, dockerfile, name, self._log)

    def _copy(self, image: Image, context: Path) -> None:
        """Only the sources: what is not in the digest cannot be in the image, no tfvars either."""
        for path in _files(self._root, image):
            target = context / path.relative_to(self._root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

    def _build_here(self, image: Image, context: Path) -> None:
        docker = _find_docker()
        self._az.log_in_docker(self._registry)
        reference = self.reference(image)
        build = [docker, "build", "--platform", "linux/amd64", "--file", str(context / image.dockerfile)]
        for line in ([*build, "--tag", reference, str(context)], [docker, "push", reference]):
            if subprocess.run(line, check=False, stdin=subprocess.DEVNULL, stdout=2).returncode != 0:  # noqa: S603
                raise DeployError(f"docker {line[1]} of {reference} failed.")

    def _log(self, line: str) -> None:
        self._screen.say(f"  {line}", "dim")
