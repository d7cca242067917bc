"""`masker metrics`: the catalogue of metrics, and the dashboards."""

from __future__ import annotations

from pathlib import Path

import click

from identity_masker.settings import PROJECT, settings

PAGE = PROJECT / "docs" / "metrics.md"
FOLDER = PROJECT / "docker" / "grafana" / "dashboards"


@click.group()
def command() -> None:
    """The catalogue of metrics and Grafana's dashboards, generated from the code; metrics.yaml checked."""


@command.command()
@click.option("--write", is_flag=True, help="Bring docs/metrics.md up to date instead.")
def catalogue(write: bool) -> None:
    """Print every metric of every process as Markdown."""
    from identity_masker import artifacts
    from identity_masker.monitoring.catalogue import catalogue
    from identity_masker.monitoring.page import with_part

    text = catalogue(settings())
    if not write:
        click.echo(text)
        return
    artifacts.write_bytes(str(PAGE), with_part(PAGE.read_text(), "catalogue", text).encode())


@command.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=False,
              help="Folder for the files.  [default: docker/grafana/dashboards]")  # fmt: skip
def dashboards(output: Path) -> None:
    """Write Grafana's dashboards as JSON."""
    from identity_masker.monitoring.dashboards.all import write_dashboards

    for path in write_dashboards(output):
        click.echo(path)


@command.command()
@click.option("--file", type=click.Path(path_type=Path), help="[default: include/config/metrics.yaml]")
def check(file: Path | None) -> None:
    """Check the metrics declared in YAML: exit code 2 and what is wrong, when something is."""
    from identity_masker.monitoring.custom import load_metrics
    from identity_masker.monitoring.exporter import FILE

    found = load_metrics(file or settings().config_dir / FILE)
    click.echo(f"{len(found.metrics)} metrics are declared and valid")
