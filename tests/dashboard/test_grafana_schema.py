"""The dashboard has the types that Grafana publishes, by the TypeScript compiler.

The packages come from npm when the test runs: @grafana/schema and @grafana/grafana-foundation-sdk, both Apache-2.0, and
typescript, Apache-2.0. `Dashboard` is the schema of the whole; options and fields of a panel have the types of its
plugin, queries those of the Prometheus data source; units are those of the SDK. A literal with a key that a type does
not have is an error of the compiler, so the schema is a closed one.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytheus.dashboard import FamilyInfo, grafana_dashboard
from pytheus.dashboard.units import unit_id
from tests.dashboard.every_family import EVERY, ODD_TEXTS

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm (Debian: npm)"),
]

PACKAGES = ("@grafana/schema@13.2.3", "@grafana/grafana-foundation-sdk@0.0.21", "typescript@7.0.2")

# A member of an enumeration is written as its value in JSON.
TYPES = """\
import type * as dashboard from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as timeseries from 'PANELS/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as states from 'PANELS/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from 'PANELS/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
type Plain<T> =
  T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : T)
  : T extends boolean | null | undefined ? T
  : T extends Array<infer U> ? Array<Plain<U>>
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Defaults<F> = Omit<dashboard.FieldConfig, 'custom'> & { custom: Partial<F> };
type Of<Type extends string, O, F> =
  Omit<dashboard.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
    type: Type, options: O, targets: Array<Omit<Dataquery, '_implementsDataqueryVariant'>>,
    fieldConfig: Omit<dashboard.FieldConfigSource, 'defaults'> & { defaults: Defaults<F> } };
type AnyPanel =
  Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Of<'state-timeline', states.Options, states.FieldConfig>
  | Of<'table', table.Options, table.FieldConfig>
  | dashboard.RowPanel;
type Schema = Plain<Omit<dashboard.Dashboard, 'panels'> & { panels: Array<AnyPanel> }>;
""".replace("PANELS", "@grafana/schema/dist/esm/raw/composable")
COMPILER = {
    "strict": True,
    "noEmit": True,
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "skipLibCheck": True,
    "types": [],
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schema")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    return folder


def errors(folder: Path, *dashboards: object) -> list[str]:
    constants = "".join(
        f"export const d{number}: Schema = {json.dumps(each)};\n" for number, each in enumerate(dashboards)
    )
    (folder / "check.ts").write_text(TYPES + constants, "utf-8")
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": COMPILER, "files": ["check.ts"]}))
    done = subprocess.run(
        ["node", "node_modules/typescript/lib/tsc.js", "-p", "."], cwd=folder, capture_output=True, text=True
    )
    found = done.stdout.splitlines()
    assert (done.returncode == 0) == (not found), done.stderr
    return found


def test_dashboards_have_the_published_types(packages: Path) -> None:
    odd = [
        FamilyInfo(f"{family.name}.{text}", family.type, text, (text,))
        for family, text in zip(EVERY, ODD_TEXTS * 3, strict=False)
    ]
    dashboards = [grafana_dashboard(app, families) for app, families in (("shop", EVERY), ("$job", odd), ("", []))]
    assert errors(packages, *dashboards) == []


def test_the_types_refuse_what_is_not_in_the_schema(packages: Path) -> None:
    def changed(path: str, value: object) -> object:
        dashboard: Any = json.loads(json.dumps(grafana_dashboard("shop", EVERY)))
        *keys, last = path.split("/")
        within = dashboard
        for key in keys:
            within = within[int(key) if isinstance(within, list) else key]
        within[last] = value
        return dashboard

    wrong = [
        changed("graphTooltip", 7),
        changed("editabel", True),
        changed("panels/0/collapsed", "no"),
        changed("panels/1/gridPos/width", 8),
        changed("panels/1/options/legend/placement", "above"),
        changed("panels/1/fieldConfig/defaults/custom/drawStyle", "lines"),
        changed("panels/1/targets/0/expression", "up"),
        changed("templating/list/1/refresh", 9),
    ]
    found = errors(packages, *wrong)
    ends = [found_ for found_ in found if re.match(r"check\.ts\(\d+,\d+\): error", found_)]
    lines = {int(line[1]) for error in ends if (line := re.match(r"check\.ts\((\d+),", error))}
    first = TYPES.count("\n") + 1
    assert lines == set(range(first, first + len(wrong)))


def test_units_are_known_to_grafana(packages: Path) -> None:
    text = (packages / "node_modules/@grafana/grafana-foundation-sdk/dist/units/types.gen.d.ts").read_text("utf-8")
    known = set(re.findall(r'= "([^"]+)"', text))
    dashboard: Any = grafana_dashboard("shop", EVERY)
    used = {panel["fieldConfig"]["defaults"]["unit"] for panel in dashboard["panels"] if panel["type"] != "row"}
    names = (
        "seconds milliseconds nanoseconds minutes hours days bytes bits ratio percent celsius fahrenheit kelvin volts"
    )
    names += " amperes watts joules hertz meters grams"
    used |= {unit_id(FamilyInfo("a", "gauge", "", unit=name)) for name in names.split()}
    assert used <= known
