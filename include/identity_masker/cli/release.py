"""`masker release`: judge, start, advance, watch, roll back and replay a rollout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from identity_masker.cli import step
from identity_masker.cli.authority import authorised
from identity_masker.settings import settings

if TYPE_CHECKING:
    from identity_masker.release.driver import Driver
    from identity_masker.release.policy import Policy
    from identity_masker.release.rollout import Rollout
    from identity_masker.serving.control import Control

WATCH_SECONDS = 1.0
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result on one line.")


@click.group()
def command() -> None:
    """Release a version step by step, on evidence."""


@command.command("judge")
@click.option(
    "--policy", "policy_path", required=True, type=click.Path(path_type=Path), help="YAML, see include/config/release."
)
@click.option(
    "--evidence", "evidence_path", required=True, type=click.Path(path_type=Path), help="JSON: what was seen so far."
)
@click.option("--trace", "trace_path", type=click.Path(path_type=Path), help="Write the verdict after each look here.")
@as_json_option
def judge_command(policy_path: Path, evidence_path: Path, trace_path: Path | None, as_json: bool) -> None:
    """Say promote, hold or roll_back, with reasons, e-values and what would change it.

    The same policy and evidence always give the same verdict.
    """
    from identity_masker import artifacts
    from identity_masker.errors import BadInputError
    from identity_masker.release.evidence import Evidence, load_evidence
    from identity_masker.release.judge import judge, trace
    from identity_masker.release.policy import load_policy

    policy, evidence = load_policy(policy_path), load_evidence(evidence_path)
    result = judge(policy, evidence)
    if trace_path is not None:
        if not isinstance(evidence, Evidence):
            raise BadInputError(
                "--trace needs evidence with intervals", got="a paired replay", fix="leave --trace away"
            )
        lines = [look.model_dump_json() for look in trace(policy, evidence)]
        artifacts.write_bytes(str(trace_path), ("\n".join(lines) + "\n").encode())
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--version", "reference", default="challenger", show_default=True, help="challenger, 1.2.0 or 3.")
@as_json_option
def preflight(reference: str, as_json: bool) -> None:
    """Check a version before anything of it is deployed: registered, hash, signature, loads, smoke pictures, memory."""
    from identity_masker.release.preflight import preflight as checked
    from identity_masker.serving.deploy import ModelRegistry

    step.finish(checked(reference, ModelRegistry()), as_json=as_json)


@command.command("replay-pairs")
@click.option("--version", "reference", default="challenger", show_default=True, help="challenger, 1.2.0 or 3.")
@click.option("--champion", default="champion", show_default=True, help="What to compare with.")
@click.option("--policy", default="canary", show_default=True, metavar="NAME|FILE", help="Its section `replay` judges.")
@click.option("--dataset", default="", help="NAME-SEMVER.  [default: the one that the version was trained on]")
@as_json_option
def replay_pairs(reference: str, champion: str, policy: str, dataset: str, as_json: bool) -> None:
    """Run a version and the champion on the same held-out pictures, and judge them pair by pair."""
    from identity_masker.release.shadow_replay import ReplayOptions, shadow_replay

    _, found = _policy(policy)
    options = ReplayOptions(
        candidate=reference, champion=champion, policy=found, store=settings().store, dataset=dataset
    )
    step.finish(shadow_replay(options), as_json=as_json)


@command.command()
@click.option("--version", "reference", default="challenger", show_default=True, help="challenger, 1.2.0 or 3.")
@click.option("--policy", default="canary", show_default=True, metavar="NAME|FILE", help="See include/config/release.")
@click.option("--key", default="", help="Starting again with the same key finds the same rollout.")
@as_json_option
def start(reference: str, policy: str, key: str, as_json: bool) -> None:
    """Begin a rollout of a version beside the champion. `advance` takes it forward."""
    from identity_masker.release import start as starting
    from identity_masker.release.driver import utc_now
    from identity_masker.release.progress import progress
    from identity_masker.serving.deploy import ModelRegistry

    name, found = _policy(policy)
    author = authorised("release:start")
    options = starting.StartOptions(reference=reference, policy_name=name, policy=found, key=key, author=author)
    with _control() as control, _telling(control):
        rollout = starting.start(options, ModelRegistry(), control, utc_now())
    step.finish(progress(rollout), as_json=as_json)


@command.command()
@click.option(
    "--for", "seconds", type=click.FloatRange(0), default=0.0, show_default=True, help="Go on for so many seconds."
)
@click.option(
    "--until-stage", type=click.IntRange(-1), help="Stop once this stage is over: 0 is the first, -1 the deployment."
)
@as_json_option
def advance(seconds: float, until_stage: int | None, as_json: bool) -> None:
    """Take the rollout forward until there is nothing to do for a while.

    May be killed and repeated at any point. With --for 86400 it drives a whole rollout.
    """
    with _control() as control, _telling(control) as told:
        result = _driver(control, told).drive(seconds, until_stage)
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--rollout", help="Another one than the newest.")
@click.option("--watch", is_flag=True, help="Show it anew every second until it has ended.")
@as_json_option
def status(rollout: str | None, watch: bool, as_json: bool) -> None:
    """Shares, lease, verdict by metric with intervals, what is next."""
    from rich.console import Console
    from rich.live import Live

    from identity_masker.release import status as statuses
    from identity_masker.release.driver import utc_now

    with _control() as control:
        found = statuses.status(control, settings().store, utc_now(), rollout)
        if watch and not as_json:
            with Live(statuses.shown(found), console=Console(), auto_refresh=False) as live:
                while not found.progress.ended:
                    time.sleep(WATCH_SECONDS)
                    found = statuses.status(control, settings().store, utc_now(), rollout)
                    live.update(statuses.shown(found), refresh=True)
            return
    if sys.stdout.isatty() and not as_json and settings().result is None:
        Console().print(statuses.shown(found))
    else:
        step.finish(found, as_json=as_json)


@command.command()
@click.option("--by", "author", help="Who approves.  [default: the user or task that runs this]")
@click.option("--question", default="", help="Also before it is asked.  [default: what the rollout waits for]")
@as_json_option
def approve(author: str | None, question: str, as_json: bool) -> None:
    """Say yes to what the rollout waits for."""
    from identity_masker.release.progress import progress

    who = authorised("release:approve", author)
    with _control() as control:
        result = progress(_driver(control).approve(who, question))
    step.finish(result, as_json=as_json)


@command.command()
@click.option("--to", "reference", default="previous", show_default=True, help="previous, 1.2.0 or 3.")
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds to become ready.")
@click.option("--by", help="Who wants it.  [default: the user or task that runs this]")
@as_json_option
def rollback(reference: str, timeout: float, by: str | None, as_json: bool) -> None:
    """Give up the rollout under way; when there is none, serve the version before (or the named one) again."""
    from identity_masker.release.registry_names import ReleaseRegistry
    from identity_masker.release.rollback import roll_back

    author = authorised("release:rollback", by)
    with _control() as control, _telling(control) as told:
        driver = _driver(control, told)
        result = roll_back(reference, driver, ReleaseRegistry(), control, author=author, timeout=timeout)
    step.finish(result, as_json=as_json)


@command.command()
@click.argument("rollout")
@as_json_option
def replay(rollout: str, as_json: bool) -> None:
    """Judge every stored look of a rollout again; exit code 1 when a verdict is not the stored one."""
    from identity_masker.release.rollout_replay import replay as replayed

    step.finish(replayed(rollout, settings().store), as_json=as_json)


@contextmanager
def _control() -> Iterator[Control]:
    from identity_masker.serving.control import Control

    with Control(settings().control_url) as control:
        yield control


def _driver(control: Control, told: Callable[[Rollout], None] = lambda _rollout: None) -> Driver:
    from identity_masker.release.driver import Driver
    from identity_masker.release.gateways import Gateways
    from identity_masker.release.registry_names import ReleaseRegistry
    from identity_masker.release.target import FleetTarget

    config = settings()
    gateway = Gateways(config.gateways, config.token)
    return Driver(control, FleetTarget(control), gateway, ReleaseRegistry(), config.store, told=told)


@contextmanager
def _telling(control: Control) -> Iterator[Callable[[Rollout], None]]:
    """Alert on each transition of a rollout so far: the outbox knows which were told.

    Also before the work, on what a driver recorded that was killed before it could tell, and after it.
    """
    from identity_masker.alerts import rollouts
    from identity_masker.alerts.courier import Courier
    from identity_masker.release.rollout_log import RolloutLog

    with Courier(settings()) as courier:

        def tell(rollout: Rollout) -> None:
            courier.tell(rollouts.alerts(rollout))

        def tell_newest() -> None:
            newest = RolloutLog(control).newest()
            if newest is not None:
                tell(newest.rollout)

        tell_newest()
        yield tell
        tell_newest()


def _policy(reference: str) -> tuple[str, Policy]:
    """Name and policy: a name stands for the file of include/config/release."""
    from identity_masker.release.policy import NAME, load_policy

    named = NAME.fullmatch(reference) is not None and not reference.endswith((".yaml", ".yml"))
    path = settings().config_dir / "release" / f"{reference}.yaml" if named else Path(reference)
    return path.stem, load_policy(path)
