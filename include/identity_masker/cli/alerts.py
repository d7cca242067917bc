"""`masker alerts`: send, deliver, serve, show and test."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from identity_masker.cli import step
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.alerts.ledger import Ledger

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


@click.group()
def command() -> None:
    """Tell people by Slack, e-mail and webhook: docs/alerts.md."""


@command.command()
@click.option("--file", "file", type=click.Path(path_type=Path, allow_dash=True), help="JSON file; - is stdin.")
@click.option("--title", help="One line.")
@click.option("--text", help="What happened.")
@click.option("--area", help="serving, release, drift, experiments, data, training, pipeline or infrastructure.")
@click.option("--severity", help="info, warning or critical.  [default: warning]")
@click.option("--state", help="firing, resolved or notice.  [default: firing]")
@click.option("--incident", help="What is wrong; the same again is a repeat.  [default: AREA/TITLE]")
@click.option("--event", help="The same event of an incident is told once.")
@click.option("--fact", "facts", multiple=True, metavar="NAME=VALUE")
@click.option("--link", "links", multiple=True, metavar="NAME=URL")
@JSON
def send(file: Path | None, facts: tuple[str, ...], links: tuple[str, ...], as_json: bool, **given: str | None) -> None:
    """Write an alert to the outbox, then send what is due. Options win over the file."""
    from identity_masker.alerts.alert import parsed
    from identity_masker.alerts.desk import Desk

    document = _document(file) | {name: value for name, value in given.items() if value is not None}
    document.setdefault("severity", "warning")
    document.setdefault("correlation_id", settings().correlation_id)
    if "incident" not in document and {"area", "title"} <= document.keys():
        document["incident"] = f"{document['area']}/{document['title']}"[:200]
    for name, pairs in (("facts", facts), ("links", links)):
        if pairs:
            document[name] = dict(document.get(name) or {}) | dict(_pair(pair) for pair in pairs)
    alert = parsed(document)
    with Desk.of(settings()) as desk:
        step.finish(desk.notify(alert), as_json=as_json)


@command.command()
@JSON
def deliver(as_json: bool) -> None:
    """Send what is due, once. `serve` does this all the time."""
    from identity_masker.alerts.desk import Desk

    with Desk.of(settings()) as desk:
        desk.forget()
        step.finish(desk.deliver(), as_json=as_json)


@command.command()
@click.option("--host", help="Address to listen on.  [default: MASKER_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free one.  [default: MASKER_ALERTS_PORT]")
@click.option("--grace-seconds", type=click.FloatRange(0.1, 600), default=10.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON once the port is open.")
def serve(host: str | None, port: int | None, grace_seconds: float, as_json: bool) -> None:
    """Take Alertmanager's webhook and send what is due, until SIGTERM or Ctrl-C."""
    from identity_masker.alerts.desk import Desk
    from identity_masker.alerts.service import AlertService
    from identity_masker.serving.process import Runner, listen
    from identity_masker.serving.serve import Listening

    config = settings()
    address = host or config.host
    with Desk.of(config) as desk:
        listener = listen(address, config.alerts_port if port is None else port, variable="MASKER_ALERTS_PORT")
        if as_json:
            step.finish(Listening(url=f"http://{address}:{listener.getsockname()[1]}"), as_json=True)
        service = AlertService(desk, config.alerts_token)
        Runner(service.app, drain_seconds=0.0, grace_seconds=grace_seconds, on_drain=service.drain).serve_on(listener)


@command.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--all", "all_deliveries", is_flag=True, help="Also what was sent.")
@JSON
def show(limit: int, all_deliveries: bool, as_json: bool) -> None:
    """Incidents, what waits, and what did not arrive."""
    from identity_masker.alerts.ledger import ledger
    from identity_masker.alerts.outbox import Outbox

    with Outbox(settings().control_url) as outbox:
        found = ledger(outbox, limit, all_deliveries=all_deliveries)
    if sys.stdout.isatty() and not as_json and settings().result is None:
        _print(found)
    else:
        step.finish(found, as_json=as_json)


@command.command()
@JSON
def test(as_json: bool) -> None:
    """Send a test alert to each configured channel, beside the outbox. Exit code 75 when one does not take it."""
    from identity_masker.alerts import config as configs
    from identity_masker.alerts.channels import configured
    from identity_masker.alerts.trial import tried
    from identity_masker.errors import TemporaryError

    config = configs.load(settings().config_dir)
    channels = configured.channels(config, settings())
    found = tried(channels, configured.missing(config, channels))
    step.finish(found, as_json=as_json)
    if found.failed:
        raise TemporaryError("a channel did not take the test alert", got=", ".join(sorted(found.failed)))


def _document(file: Path | None) -> dict[str, Any]:
    from identity_masker.errors import BadInputError, NotFoundError

    if file is None:
        return {}
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        found: Any = json.loads(text)
    except FileNotFoundError as error:
        raise NotFoundError("there is no such file", got=file) from error
    except (OSError, ValueError) as error:
        raise BadInputError("the alert cannot be read", got=f"{file}: {error}", allowed="a JSON object") from error
    if not isinstance(found, dict):
        raise BadInputError("the alert is not a JSON object", got=type(found).__name__)
    return found


def _pair(text: str) -> tuple[str, str]:
    from identity_masker.errors import BadInputError

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise BadInputError("not a pair", got=text, allowed="NAME=VALUE")
    return name.strip(), value


def _print(found: Ledger) -> None:
    from rich.console import Console
    from rich.table import Table

    incidents = Table("state", "severity", "incident", "title", "seen", "last", title="Incidents")
    for each in found.incidents:
        incidents.add_row(each.state, each.severity, each.key, each.title, str(each.occurrences), each.last_at)
    deliveries = Table("state", "channel", "title", "tries", "due", "error", title="Deliveries")
    for one in found.deliveries:
        deliveries.add_row(one.state, one.channel, one.title, str(one.attempts), one.due_at, one.error)
    console = Console()
    console.print(incidents, deliveries)
    for channel in found.failing:
        console.print(f"{channel.name} failed {channel.failures} times, again at {channel.again_at}: {channel.error}")
