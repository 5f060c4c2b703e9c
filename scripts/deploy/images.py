"""The images of the gateway. The tag is a digest of the sources and bases; only a new digest is built."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from scripts.deploy.azure_cli import AzureCliError
from scripts.deploy.base_images import BaseImages, bases_of
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


def content_tag(root: Path, image: Image, bases: Mapping[str, str]) -> str:
    """The digest of an image's sources, such as `4f8627a2c24599f8fde2`: the same on every machine.

    `bases` are the digests of the images that it is built on, by build argument.
    """
    digest = hashlib.sha256(repr(sorted(bases.items())).encode())
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
    bases: BaseImages
    others: Mapping[str, str] = field(default_factory=dict)
    """Images that are used as they are, by variable of the workload stack."""
    local_docker: bool = False
    may_build: bool = True

    @property
    def references(self) -> dict[str, str]:
        """Full names, with the digests of the present sources."""
        own = {variable: self._reference(image) for variable, image in self.images.items()}
        others = {
            variable: self.bases.reference(source)
            for variable, source in self.others.items()
            if self.may_build or self.bases.has(source)
        }
        return own | others

    def check(self) -> None:
        """Raise `NotReadyError` when there will be no images: better now than after half of the work."""
        if not self.may_build:
            self._require_images()
        elif self.local_docker:
            require_docker()

    def build(self) -> None:
        """Import what the registry lacks, and build the images whose sources it does not have yet."""
        if not self.may_build:
            return
        # Images share bases, so all are brought at once: `refresh` would bring them again.
        bases = (self._bases_of(image).values() for image in self.images.values())
        self.bases.bring([*self.others.values(), *chain.from_iterable(bases)])
        for image in self.images.values():
            reference = self._reference(image)
            if self._exists(image):
                self.bases.screen.done(f"{reference} is already there")
                continue
            with self.bases.screen.step(f"building {reference}"):
                self._build(image)

    def _bases_of(self, image: Image) -> dict[str, str]:
        return bases_of(self.root / image.dockerfile)

    def _tag(self, image: Image) -> str:
        digests = {name: self.bases.digest(source) for name, source in self._bases_of(image).items()}
        return content_tag(self.root, image, digests)

    def _reference(self, image: Image) -> str:
        return f"{self.bases.login_server}/{image.repository}:{self._tag(image)}"

    def _exists(self, image: Image) -> bool:
        return self.bases.az.image_exists(self.bases.registry, image.repository, self._tag(image))

    def _require_images(self) -> None:
        """Raise `NotReadyError` when the registry lacks an image: a revision would wait for it in vain."""
        try:
            missing = [self._reference(image) for image in self.images.values() if not self._exists(image)]
        except AzureCliError as error:
            self.bases.screen.warn(f"the registry does not say which images it has: {error.details[-1:]}")
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
                tagged = f"{image.repository}:{self._tag(image)}"
                # `az` resolves a relative path against the working directory, not against the context.
                dockerfile = str(context / image.dockerfile)
                bases = self.bases
                bases.az.build_image(
                    bases.registry, tagged, dockerfile, name, self._arguments(image), self._log
                )

    def _arguments(self, image: Image) -> list[str]:
        """The build arguments: the bases by their digests."""
        bases = self._bases_of(image).items()
        pairs = (("--build-arg", f"{name}={self.bases.reference(source)}") for name, source in bases)
        return list(chain.from_iterable(pairs))

    def _copy(self, image: Image, context: Path) -> None:
        """Copy only the sources: files outside the digest, such as tfvars, cannot get into the image."""
        for path in _files(self.root, image):
            target = context / path.relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

    def _build_here(self, image: Image, context: Path) -> None:
        docker = _find_docker()
        self.bases.az.log_in_docker(self.bases.registry)
        reference = self._reference(image)
        build = [docker, "build", "--platform", "linux/amd64", "--file", str(context / image.dockerfile)]
        build += self._arguments(image)
        for line in ([*build, "--tag", reference, str(context)], [docker, "push", reference]):
            with self.bases.screen.activity.hidden():
                code = subprocess.run(line, check=False, stdin=subprocess.DEVNULL, stdout=2).returncode  # noqa: S603
            if code != 0:
                raise DeployError(f"docker {line[1]} of {reference} failed.")

    def _log(self, line: str) -> None:
        self.bases.screen.say(f"  {line}", "dim")
