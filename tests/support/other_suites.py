"""Servers of other Debian suites, unpacked into a cache folder and made to run there.

Nothing of the system changes: apt works on lists and a status of its own, packages are unpacked,
not installed, and each program is told to use the libraries it came with. The mirror is the one
this machine's apt uses already.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CACHE = Path(f"/var/tmp/covetbackup-suites-{os.geteuid()}")  # any account can reach into it
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_APT_SECONDS = 600


class Unobtainable(Exception):
    """Why a server cannot be had here."""


@dataclass(frozen=True, slots=True)
class Origin:
    """`packages` of a Debian `suite`, and patterns of the paths of their programs."""

    suite: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]


POSTGRESQL_13 = Origin("bullseye", ("postgresql-13",), ("usr/lib/postgresql/13/bin/*",))
POSTGRESQL_17 = Origin("trixie", ("postgresql-17",), ("usr/lib/postgresql/17/bin/*",))
POSTGRESQL_18 = Origin("sid", ("postgresql-18",), ("usr/lib/postgresql/18/bin/*",))
MARIADB_11 = Origin(
    "trixie",
    ("mariadb-server",),
    ("usr/sbin/mariadbd", "usr/bin/mariadb*", "usr/bin/my_print_defaults", "usr/bin/resolveip"),
)
MYSQL = Origin("sid", ("mysql-server",), ("usr/sbin/mysqld", "usr/bin/mysql*"))


def unpacked(origin: Origin) -> Path:
    """The root below which the packages of `origin` lie, ready to run. Raises `Unobtainable`.

    Made at the first call, which takes about half a minute and 500 MB; later ones find it.
    """
    name = "-".join((origin.suite, *origin.packages))

    def make(root: Path) -> None:
        _fetch(origin, root)
        _make_runnable(origin, root)

    return _cached(f"{name}-{hashlib.sha256(repr(origin).encode()).hexdigest()[:8]}", make)


def unpacked_alone(suite: str, package: str) -> Path:
    """The root below which the files of `package` lie, without what it depends on, as headers and
    data need none of it. Raises `Unobtainable`."""

    def make(root: Path) -> None:
        apt = _private_apt(root, suite, "deb")
        _run([*_apt_get(apt), "update"])
        _run([*_apt_get(apt), "download", package], cwd=root)
        for file in root.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(file), str(root)])

    return _cached(f"{suite}-{package}-alone", make)


def unpacked_source(suite: str, package: str, folder: str) -> Path:
    """The directory `folder` of the upstream source of a Debian source package. Raises
    `Unobtainable`."""

    def make(root: Path) -> None:
        apt = _private_apt(root, suite, "deb-src")
        _run([*_apt_get(apt), "update"])
        _run([*_apt_get(apt), "source", "--download-only", package], cwd=root)
        (archive,) = root.glob("*.orig.tar.*[!c]")
        with tarfile.open(archive) as tar:
            wanted = (m for m in tar if f"/{folder}/" in f"/{m.name}/")
            tar.extractall(root, members=wanted, filter="data")
        archive.unlink()

    root = _cached(f"{suite}-{package}-source", make)
    (top,) = root.glob(f"*/{folder}")
    return top


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    root = _CACHE / name
    _require_tools()
    _CACHE.mkdir(mode=0o755, exist_ok=True)
    if _CACHE.stat().st_uid != os.geteuid():
        raise Unobtainable(f"{_CACHE} belongs to somebody else")
    with _lock(root.with_suffix(".lock")):
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            make(root)
            (root / "complete").touch()
    return root


def _require_tools() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unobtainable(f"there is no {tool} here")
    if not _KEYS.exists():
        raise Unobtainable("this is not Debian")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(origin: Origin, root: Path) -> None:
    apt = _private_apt(root, origin.suite, "deb")
    command = _apt_get(apt)
    _run([*command, "update"])
    # patchelf is a tool for what follows
    wanted = [*origin.packages, "patchelf"]
    _run([*command, "install", "-y", "--download-only", "--no-install-recommends", *wanted])
    for package in sorted((apt / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(root)])
    shutil.rmtree(apt)
    if (root / "lib").is_dir():  # suites before bookworm have libraries there too
        shutil.copytree(root / "lib", root / "usr/lib", symlinks=True, dirs_exist_ok=True)


def _private_apt(root: Path, suite: str, kind: str) -> Path:
    """Lists and a status of apt's own below `root`, for "deb" or "deb-src" of `suite`."""
    apt = root / "apt"
    for folder in ("etc/preferences.d", "lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True)
    source = f"{kind} [signed-by={_KEYS}] {_mirror()} {suite} main\n"
    (apt / "etc/sources.list").write_text(source)
    (apt / "status").touch()  # as if nothing was installed: the C library comes along
    return apt


def _apt_get(apt: Path) -> list[str]:
    return ["apt-get", "-qq", *_apt_options(apt)]


def _apt_options(apt: Path) -> Iterator[str]:
    settings = {
        "Dir::Etc": apt / "etc",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    for name, value in settings.items():
        yield from ("-o", f"{name}={value}")


def _mirror() -> str:
    """Where this machine gets Debian's main archive from."""
    listed = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"])
    for line in listed.splitlines():
        origin, label, address = line.rsplit(" ", 2)
        if (origin, label) == ("Debian", "Debian"):
            return address
    raise Unobtainable("apt knows no Debian archive; has `apt-get update` been run?")


def _make_runnable(origin: Origin, root: Path) -> None:
    """Let the programs load the libraries beside them, of a newer C library than this system's."""
    loader = _loader(root)
    patchelf = [loader, "--library-path", root / _LIBRARIES, root / "usr/bin/patchelf"]
    # An rpath, unlike a runpath, counts for the libraries of libraries too.
    place = ["--force-rpath", "--set-rpath", root / _LIBRARIES, "--set-interpreter", loader]
    for pattern in origin.programs:
        for program in filter(_is_dynamic, sorted(root.glob(pattern))):
            _run([str(word) for word in (*patchelf, *place, program)])


def _loader(root: Path) -> Path:
    if (root / _LOADER).exists():
        return root / _LOADER
    (older,) = (root / _LIBRARIES).glob("ld-2.*.so")
    return older


def _is_dynamic(program: Path) -> bool:
    if program.is_symlink() or not program.is_file():
        return False
    with program.open("rb") as file:
        start = file.read(4096)
    return start.startswith(b"\x7fELF") and b"ld-linux" in start


def _run(command: Sequence[str], *, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_APT_SECONDS, cwd=cwd
        )
    except subprocess.CalledProcessError as error:
        raise Unobtainable(f"{command[0]} failed: {error.stderr.strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise Unobtainable(f"{command[0]} did not end") from error
    return done.stdout
