"""The table of metrics in ingester/README.md is the catalogue: same names, types, labels and meanings."""

from prometheus_client.core import Metric

from local.home.places import REPOSITORY
from upbit_ingester.health.metrics import PREFIX, Collector, Metrics, SpoolGauges


def row(family: Metric) -> str:
    name = family.name.removeprefix(PREFIX)
    shown = f"{name}_total" if family.type == "counter" else name
    return f"| `{shown}` | {family.type} | {', '.join(getattr(family, '_labelnames', ()))} | {family.documentation} |"


def test_the_readme_lists_every_metric_and_no_other() -> None:
    families = Collector(Metrics(), lambda: SpoolGauges(0, 0, 0.0, 0), lambda: 0.0).collect()
    lines = (REPOSITORY / "ingester" / "README.md").read_text().splitlines()
    start = lines.index("| metric | type | labels | meaning |")
    listed = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        listed.append(line)
    assert listed == [row(family) for family in families]
