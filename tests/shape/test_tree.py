"""What lies where: the top level, the packages that are shipped, and names that must not leak."""

from __future__ import annotations

import re
import tomllib

from tests.shape.tree import ROOT, project_files

TOP_LEVEL = {
    "LICENSE",
    "Makefile",
    "README.md",
    "backups",
    "covetbackup",
    "deploy",
    "docs",
    "findings",
    "manage.py",
    "pyproject.toml",
    "restores",
    "static",
    "templates",
    "tests",
}
FOREIGN = re.compile(
    # registries and mirrors: which one serves a machine is that machine's business
    rb"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|crates[.]io|rubygems[.]org"
    rb"|proxy[.]golang[.]org|deb[.]debian[.]org|archive[.]ubuntu[.]com|quay[.]io"
    # absolute paths of the machine somebody wrote this on
    rb"|/wor[k]/|/opt/pyp[i]|/opt/wheel[s]|/roo[t]/|/hom[e]/[a-z]+/(?:src|code|dev)"
)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def test_the_top_level_holds_only_what_was_agreed() -> None:
    entries = {name.split("/")[0] for name in project_files()}
    assert {entry for entry in entries if not entry.startswith(".")} <= TOP_LEVEL


def test_no_file_names_a_registry_or_a_machine() -> None:
    found = {name: FOREIGN.findall((ROOT / name).read_bytes()) for name in project_files()}
    assert {name: what for name, what in found.items() if what} == {}


def test_every_package_is_shipped() -> None:
    folders = {
        name.removesuffix("/__init__.py").replace("/", ".")
        for name in project_files()
        if name.startswith(("covetbackup/", "backups/", "restores/"))
        and name.endswith("/__init__.py")
    }
    data = {"covetbackup.static", "covetbackup.templates"}
    assert set(_setuptools()["packages"]) == folders | data
    assert all(_setuptools()["package-data"][package] == ["**/*"] for package in data)


def test_every_file_the_engine_reads_is_shipped() -> None:
    shipped = {
        f"{package.replace('.', '/')}/{name}"
        for package, names in _setuptools()["package-data"].items()
        for name in names
        if name != "**/*"
    }
    data = {
        name
        for name in project_files()
        if name.startswith("covetbackup/core/") and not name.endswith(".py")
    }
    assert shipped == data


def test_every_pinned_package_has_a_hash_and_no_address() -> None:
    for lock in sorted((ROOT / "deploy").glob("requirements*.txt")):
        text = lock.read_text()
        pins = re.findall(r"^[a-z0-9][^ =]*==[^ ]+.*(?:\n    --hash.*)*", text, re.MULTILINE)
        assert len(pins) > 10
        assert [pin for pin in pins if not HASH.search(pin)] == []
        assert not re.search(r"://|^-|file:", text, re.MULTILINE)


def _setuptools() -> dict[str, dict[str, list[str]]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tools: dict[str, dict[str, list[str]]] = settings["tool"]["setuptools"]
    return tools
