"""`masker release`: judge a rollout."""

from __future__ import annotations

from pathlib import Path

import click

from identity_masker.cli import step


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
@click.option("--json", "as_json", is_flag=True, help="Print the result on one line.")
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
