"""What templates and style sheets must not contain, and that vendored files are the real ones."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.shape.tree import ROOT, project_files

TEMPLATES = [name for name in project_files() if re.match(r"templates/.*\.(html|txt)$", name)]
SHEETS = [name for name in project_files() if re.match(r"static/css/.*\.css$", name)]
VENDORS = (ROOT / "static/js/vendor", ROOT / "tests/vendor")

FORBIDDEN = {
    "inline style": r"<[^>]*\sstyle\s*=|<style\b",
    "inline script": r"<script(?![^>]*\bsrc=)[^>]*>",
    "event attribute": r"<[^>]*\son[a-z]+\s*=",
    "hx-on": r"\bhx-on\b",
    "evaluated value": (
        r"""\bhx-(?:vals|headers|vars)\s*=\s*["']\s*js(?:on)?:|["']\s*(?:js|javascript):"""
    ),
    "hx-boost": r"\bhx-boost\b",
    "hx-ext": r"\bhx-ext\b",
    "inherited htmx attribute": r"\bhx-[a-z-]+:inherited\b",
    "trigger filter": r"""\bhx-trigger\s*=\s*(?:"[^"]*\[|'[^']*\[)""",
    "external address": r"""\b(?:href|src|action|hx-(?:get|post))\s*=\s*["']\s*(?:https?:)?//""",
    "deactivated escaping": r"\|\s*safe\b|\bautoescape\s+off\b|\|\s*safeseq\b|\bmark_safe\b",
}


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_no_template_has(rule: str) -> None:
    pattern = re.compile(FORBIDDEN[rule], re.IGNORECASE)
    found = {name: pattern.findall((ROOT / name).read_text()) for name in TEMPLATES}
    assert {name: what for name, what in found.items() if what} == {}


def test_the_rules_find_what_they_forbid() -> None:
    sinner = """<p style="color:red"><script>1</script><a onclick="x()" href="//evil/x"
        hx-on:click="x" hx-vals='js:{a: 1}' hx-boost="true" hx-ext="sse" hx-get:inherited="x"
        hx-trigger="every 1s [now()]">{{ name|safe }}</a>"""
    missed = [rule for rule, text in FORBIDDEN.items() if not re.search(text, sinner, re.I)]
    assert missed == []


def test_every_form_that_changes_something_has_a_token() -> None:
    forms = re.compile(r"<form\b[^>]*method=[\"']post[\"'][^>]*>(.*?)</form>", re.DOTALL | re.I)
    naked = {
        name
        for name in TEMPLATES
        for body in forms.findall((ROOT / name).read_text())
        if "{% csrf_token %}" not in body
    }
    assert naked == set()


def test_no_template_changes_anything_without_a_form() -> None:
    pattern = re.compile(r"\bhx-(?:put|patch|delete)\b")
    assert [name for name in TEMPLATES if pattern.search((ROOT / name).read_text())] == []


def test_style_sheets_load_nothing_from_elsewhere_and_force_nothing() -> None:
    pattern = re.compile(r"https?:|url\(\s*[\"']?//|@import|!important")
    assert [name for name in SHEETS if pattern.search((ROOT / name).read_text())] == []


def test_every_sheet_of_the_dashboard_is_in_a_layer() -> None:
    own = [name for name in SHEETS if not name.endswith("/admin.css")]
    outside = [
        name for name in own if not re.match(r"(@layer [^{;]+;\s*)?@layer \w+ \{", _css(name))
    ]
    assert outside == []


@pytest.mark.parametrize("folder", VENDORS, ids=lambda folder: folder.parent.name)
def test_every_vendored_file_is_the_one_we_looked_at(folder: Path) -> None:
    table = tomllib.loads((folder / "VENDOR.toml").read_text())
    files = {path.name for path in folder.iterdir()} - {"VENDOR.toml"}
    assert set(table) == files
    for name, entry in table.items():
        digest = hashlib.sha384((folder / name).read_bytes()).digest()
        assert base64.b64encode(digest).decode() == entry["sha384"], name


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/icons.svg").read_text()))
    used = {
        icon
        for name in TEMPLATES
        for icon in re.findall(r'\{% icon "([\w-]+)" %\}', (ROOT / name).read_text())
    }
    assert used <= sprite


def _css(name: str) -> str:
    return re.sub(r"/\*.*?\*/", "", (ROOT / name).read_text(), flags=re.DOTALL).strip()
