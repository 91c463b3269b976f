"""The public images that ours are built on: pulled where a registry answers, else stand-ins from Debian's packages.

A stand-in has the name of the image it stands in for, and the label STAND_IN that says so. What only a build needs of
this machine (its certificates, its package indexes) stands in builder images, which no final stage is made from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.compose.engine import Engine, NoEngineError

STAND_IN = "upbit.stand-in"
DEBIAN, PYTHON, GO = "debian:bookworm-slim", "python:3.11-slim-bookworm", "golang:1.26-bookworm"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Where programs look for certificates, and what tells them where packages come from.
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
INDEX_VARIABLES = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
    "GOPROXY", "GOSUMDB", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip

# Debian's Python under the names and with the parts (pip, ensurepip) that the public image has.
PYTHON_STAND_IN = f"""\
FROM {DEBIAN}
RUN apt-get update -qq \\
 && apt-get install -yqq --no-install-recommends ca-certificates netbase python3.11 python3.11-venv tzdata >/dev/null \\
 && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/lib/python3.11/EXTERNALLY-MANAGED \\
 && ln -s /usr/bin/python3.11 /usr/local/bin/python && ln -s /usr/bin/python3.11 /usr/local/bin/python3 \\
 && python -m venv /tmp/venv \\
 && /tmp/venv/bin/pip --python /usr/bin/python3.11 install -q --no-index /usr/share/python-wheels/pip-*.whl \\
 && rm -r /tmp/venv
LABEL {STAND_IN}="Debian's Python 3.11"
"""
GO_STAND_IN = f"""\
FROM {DEBIAN}
RUN apt-get update -qq && apt-get install -yqq --no-install-recommends ca-certificates git >/dev/null
COPY . /usr/local/go
ENV PATH=/usr/local/go/bin:$PATH GOTOOLCHAIN=local
LABEL {STAND_IN}="this machine's Go"
"""


def can_be_had(engine: Engine, image: str) -> bool:
    """True when an image is there already, or was pulled now."""
    there = engine.try_docker("image", "inspect", image).returncode == 0
    return there or engine.try_docker("pull", "--quiet", image).returncode == 0


def stand_in(engine: Engine, image: str) -> str:
    """What an image stands in with, by its label; empty for the public one."""
    return engine.docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{STAND_IN}"}}}}', image)


class Bases:
    """Bases of one engine, each provided when it is first asked for.

    Attributes:
        stand_ins: base → what stands in for it, of those asked for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.stand_ins: dict[str, str] = {}
        self._make: dict[str, Callable[[], None]] = {DEBIAN: self._debian, PYTHON: self._python, GO: self._go}

    def provide(self, base: str) -> None:
        """Makes sure that `base` is there. Raises NoEngineError when it can neither be pulled nor stood in for."""
        if not can_be_had(self._engine, base):
            self._make[base]()
        label = stand_in(self._engine, base)
        if label:
            self.stand_ins[base] = label

    def builder(self, base: str) -> str:
        """The image for the stages that install: `base`, with what this machine needs to reach its package indexes."""
        self.provide(base)
        given = {name: os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)}
        if not {"http_proxy", "https_proxy"} & given.keys():
            # `./pipeline` sets it for itself; a builder that differs by who built it would build everything again.
            given.pop("no_proxy", None)
        certificates = next((os.environ[name] for name in CERTIFICATE_VARIABLES if os.environ.get(name)), None)
        if certificates:
            given |= dict.fromkeys(CERTIFICATE_VARIABLES, CERTIFICATES)
        if not given:
            return base
        name = f"upbit-builder/{base}"
        lines = [f"FROM {base}", *(f"ENV {key}={value}" for key, value in given.items())]
        with tempfile.TemporaryDirectory() as folder:
            if certificates:
                shutil.copy(certificates, Path(folder) / "certificates.crt")
                lines.append(f"COPY certificates.crt {CERTIFICATES}")
            self._build(name, "\n".join(lines), folder)
        return name

    def _debian(self) -> None:
        if not shutil.which("debootstrap") or os.geteuid() != 0:
            raise NoEngineError(
                f"no registry has {DEBIAN}, and there is no debootstrap, or no root, to make a stand-in"
            )
        with tempfile.TemporaryDirectory() as folder:
            _run("debootstrap", "--variant=minbase", "bookworm", f"{folder}/root")
            for unused in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists"):
                shutil.rmtree(f"{folder}/root/{unused}", ignore_errors=True)
            _run("tar", "-C", f"{folder}/root", "--one-file-system", "-cf", f"{folder}/root.tar", ".")
            label = f"LABEL {STAND_IN}=debootstrap"
            self._engine.docker("import", "--change", label, "--change", "CMD bash", f"{folder}/root.tar", DEBIAN)

    def _python(self) -> None:
        self.provide(DEBIAN)
        self._build(PYTHON, PYTHON_STAND_IN)

    def _go(self) -> None:
        self.provide(DEBIAN)
        if not shutil.which("go"):
            raise NoEngineError(f"no registry has {GO}, and there is no Go on this machine to make a stand-in")
        self._build(GO, GO_STAND_IN, _run("go", "env", "GOROOT"))

    def _build(self, name: str, dockerfile: str, folder: str | None = None) -> None:
        where = ("--file", "-", folder) if folder else ("-",)
        classic = Engine({**self._engine.environment, "DOCKER_BUILDKIT": "0"}, self._engine.origin)
        classic.docker("build", "--quiet", "--network", "host", "--tag", name, *where, stdin=dockerfile)


def _run(*command: str) -> str:
    done = subprocess.run(["nice", "-n", "19", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-500:]}{done.stderr[-500:]}"
    )
    return done.stdout.strip()
