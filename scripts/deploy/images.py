"""The images of the gateway. The tag is a digest of the sources; only a new digest is built."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.deploy.azure_cli import AzureCli, AzureCliError
from scripts.deploy.console import Screen
from scripts.deploy.deploy_errors import DeployError, NotReadyError

_NOISE = {"__pycache__", ".DS_Store", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image and all its sources, as paths from the repository's root."""

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
    # The config API, which it also has, renders as the renderer does.
    ("e2e/__init__.py", "e2e/simulator", "e2e/config_api", *RENDERER.sources),
)


def content_tag(root: Path, image: Image) -> str:
    """The digest of an image's sources, such as `4f8627a2c24599f8fde2`: the same on every machine."""
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


_WITHOUT_DOCKER = "Leave --local-docker out: the registry then builds the images."


def require_docker() -> None:
    """Raise `NotReadyError` when Docker cannot build here. Its client alone, without an engine, cannot."""
    asked = subprocess.run(  # noqa: S603 - no shell, no argument from outside
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


@dataclass(frozen=True, slots=True)
class ImageBuilder:
    """Builds the images that the registry lacks. `images` are by variable of the workload stack."""

    images: Mapping[str, Image]
    root: Path
    registry: str
    login_server: str
    az: AzureCli
    screen: Screen
    local_docker: bool = False
    may_build: bool = True

    @property
    def references(self) -> dict[str, str]:
        """Full names, with the digests of the present sources."""
        return {variable: self._reference(image) for variable, image in self.images.items()}

    def check(self) -> None:
        """Raise `NotReadyError` when there will be no images: better now than after half of the work."""
        if not self.may_build:
            self._require_images()
        elif self.local_docker:
            require_docker()

    def build(self) -> None:
        """Build the images whose sources the registry does not have yet."""
        for image in self.images.values() if self.may_build else ():
            reference = self._reference(image)
            if self._exists(image):
                self.screen.done(f"{reference} is already there")
                continue
            with self.screen.step(f"building {reference}"):
                self._build(image)

    def _reference(self, image: Image) -> str:
        return f"{self.login_server}/{image.repository}:{content_tag(self.root, image)}"

    def _exists(self, image: Image) -> bool:
        return self.az.image_exists(self.registry, image.repository, content_tag(self.root, image))

    def _require_images(self) -> None:
        """Raise `NotReadyError` when the registry lacks an image: a revision would wait for it in vain."""
        try:
            missing = [self._reference(image) for image in self.images.values() if not self._exists(image)]
        except AzureCliError as error:
            self.screen.warn(f"the registry does not say which images it has: {error.details[-1:]}")
            return
        if missing:
            raise NotReadyError(
                "The registry has no image of these sources:",
                details=missing,
                remedy="Leave --no-image-build out, or check out the version that was built.",
            )

    def _build(self, image: Image) -> None:
        with tempfile.TemporaryDirectory(prefix="image-") as name:
            context = Path(name)
            self._copy(image, context)
            if self.local_docker:
                self._build_here(image, context)
            else:
                tagged = f"{image.repository}:{content_tag(self.root, image)}"
                # `az` resolves a relative path against the working directory, not against the context.
                dockerfile = str(context / image.dockerfile)
                self.az.build_image(self.registry, tagged, dockerfile, name, self._log)

    def _copy(self, image: Image, context: Path) -> None:
        """Copy only the sources: files outside the digest, such as tfvars, cannot get into the image."""
        for path in _files(self.root, image):
            target = context / path.relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

    def _build_here(self, image: Image, context: Path) -> None:
        docker = _find_docker()
        self.az.log_in_docker(self.registry)
        reference = self._reference(image)
        build = [docker, "build", "--platform", "linux/amd64", "--file", str(context / image.dockerfile)]
        for line in ([*build, "--tag", reference, str(context)], [docker, "push", reference]):
            with self.screen.activity.hidden():
                code = subprocess.run(line, check=False, stdin=subprocess.DEVNULL, stdout=2).returncode  # noqa: S603
            if code != 0:
                raise DeployError(f"docker {line[1]} of {reference} failed.")

    def _log(self, line: str) -> None:
        self.screen.say(f"  {line}", "dim")
