"""The entry point: gathers the sub-commands, sets up logs, turns errors into words and exit codes."""

from __future__ import annotations

import sys
import time
from importlib import import_module

import click

from identity_masker.cli.step import record
from identity_masker.errors import MaskerError
from identity_masker.settings import settings
from identity_masker.telemetry import logs

# name → (module with the click command `command`, help line). Imported when first used: help stays fast.
BAD_USAGE = 2
COMMANDS: dict[str, tuple[str, str]] = {
    "data": ("data", "Bring in, validate and version faces."),
    "features": ("features", "Declare features, bring values in and online, and ask for them."),
    "train": ("train", "Train a masker on a dataset version."),
    "evaluate": ("evaluate", "Attack a trained masker and measure what is left of identity and of use."),
    "register": ("register", "Judge a trained masker at the gate and register it."),
    "models": ("models", "List, look at, compare, promote and reproduce registered versions."),
    "deploy": ("deploy", "Serve a registered version to all users."),
    "experiments": ("experiments", "Plan, assign, analyse and report experiments."),
    "mask": ("mask", "Mask pictures, folders, archives and videos."),
    "media": ("media", "The steps of masking a folder, an archive or a video, for the DAG mask_media."),
    "release": ("release", "Release a version step by step: start, advance, watch, judge, roll back, replay."),
    "serve": ("serve", "Run one model server."),
    "fleet": ("fleet", "Keep the model servers of all deployed versions alive."),
    "gateway": ("gateway", "Run the traffic gateway in front of the model servers."),
    "events": ("events", "Compact the log of requests, exposures and outcomes, and look at it."),
    "logs": ("logs", "Find every log line of one request, over all processes."),
    "traffic": ("traffic", "Send pictures to a gateway at a given rate."),
    "token": ("token", "Issue, inspect and revoke tokens, and rotate the keys that sign them."),
    "alerts": ("alerts", "Send alerts by Slack, e-mail and webhook, and see what became of them."),
    "drift": ("drift", "Compare what comes in now with what the model was trained on."),
    "exporter": ("exporter", "Show recorded state as metrics for Prometheus."),
    "metrics": ("metrics", "Print the catalogue of metrics, write the dashboards, check metrics.yaml."),
    "up": ("up", "Start the stack on this machine and run the pipeline once."),
    "down": ("down", "Stop the stack that `masker up` started."),
    "status": ("status", "Say what of the stack is running."),
    "doctor": ("doctor", "Check the installation and say what is missing."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"identity_masker.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def root() -> None:
    """The whole life of the identity masker, one command a step.

    Exit codes: 0 done, 2 bad input or configuration, 75 temporary failure (try again), 1 anything else.
    """


def run() -> None:
    """Console script `masker`."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code; the figures of a DAG's step are pushed, where to is set."""
    began = time.monotonic()
    code = _done(arguments)
    _push(began, code)
    return code


def _push(began: float, code: int) -> None:
    try:
        config = settings()
    except MaskerError:  # said, and the reason of the exit code
        return
    if config.step.known and config.pushgateway_url:
        from identity_masker.telemetry import step_figures

        step_figures.push(config.pushgateway_url, config.step, step_figures.measured(began, code))


def _done(arguments: list[str]) -> int:
    try:
        config = settings()
        logs.configure_for_step(
            level=config.log_level, correlation_id=config.correlation_id, is_step=config.result is not None
        )
        outcome = root.main(arguments, prog_name="masker", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return _failed(error.format_message(), BAD_USAGE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped by the user", err=True)
        return 130
    except MaskerError as error:
        click.echo(f"masker: {error}", err=True)
        return _failed(str(error), error.exit_code)
    except Exception as error:
        logs.logger("masker").exception("step_crashed")
        return _failed(f"{type(error).__name__}: {error}", 1)


def _failed(reason: str, code: int) -> int:
    """Leave the reason where the result would be: the next task and the person find it there."""
    try:
        record({"status": "failed", "reason": reason, "exit_code": code})
    except MaskerError as error:
        click.echo(f"masker: the failure could not be recorded: {error}", err=True)
    return code
