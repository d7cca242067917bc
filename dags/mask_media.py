"""
### Mask media

Masks all faces in a folder of pictures and videos, an archive, or a video, with a registered version: the masker as a
job. In a video a person keeps one fictitious face, a face that is lost for a moment stays covered, and sound and frame
times stay as they were.

**Starts** by hand or through the API. Source and destination are paths or URIs that the steps can reach.
**Does**: `plan` looks through the source and cuts it into chunks; `detect` finds the faces in each chunk of a video,
`track` follows them from chunk to chunk, `mask` masks each chunk, `assemble` puts the parts together and reports
counts, what was left out and why, and the frames that a person should look at.
**Announces** nothing.
**When it fails**: clear the failed tasks; chunks that are done are not done again, also by a new run with the same
parameters on the same source.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, TriggerRule, task

from masker_airflow import DEFAULT_ARGS, GPU_POOL, LIGHT, STEPS_POOL, TAGS, version_param, watched
from masker_step import MaskerStep

PARAMS = {
    "source": Param(
        "",
        type="string",
        minLength=1,
        title="Source",
        description="A folder, an archive (.zip, .tar) or a video: a path or an s3:// URI.",
    ),
    "destination": Param(
        "",
        type="string",
        title="Destination",
        description="Where the masked copies go; empty for NAME.masked beside the source.",
    ),
    "strength": Param(
        1.0,
        type="number",
        exclusiveMinimum=0,
        maximum=1,
        title="Strength",
        description="1 masks in full; below, the person shows through.",
    ),
    "version": version_param("champion", "Who masks: 1.2.0, a version number of MLflow, or an alias."),
    "faceless": Param(
        "leave out",
        type="string",
        enum=["leave out", "copy"],
        title="Pictures without a face",
        description="What becomes of pictures in which no face is found.",
    ),
}

with DAG(
    dag_id="mask_media",
    schedule=None,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=[*TAGS, "media"],
    doc_md=__doc__,
    **watched(timedelta(hours=12)),
) as dag:
    plan = MaskerStep(
        task_id="plan",
        command="media plan",
        options={
            "source": "{{ params.source }}",
            "destination": "{{ params.destination }}",
            "strength": "{{ params.strength }}",
            "model-version": "{{ params.version }}",
            "faceless": "{{ params.faceless }}",
        },
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
    )

    @task(**LIGHT)
    def frames(planned):
        """The chunks of videos, in which faces have to be found first."""
        return [{"job": planned["job"], "chunk": chunk} for chunk in planned["detect"]]

    @task(**LIGHT)
    def chunks(planned):
        """All chunks."""
        return [{"job": planned["job"], "chunk": chunk} for chunk in planned["mask"]]

    detect = MaskerStep.partial(
        task_id="detect",
        command="media detect",
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
        map_index_template="chunk {{ task.options['chunk'] }}",
    ).expand(options=frames(plan.output))

    track = MaskerStep(
        task_id="track",
        command="media track",
        options={"job": plan.output["job"]},
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=1),
        # A source without videos has nothing to detect.
        trigger_rule=TriggerRule.NONE_FAILED,
    )

    mask = MaskerStep.partial(
        task_id="mask",
        command="media mask",
        hardware="gpu",
        pool=GPU_POOL,
        execution_timeout=timedelta(hours=4),
        map_index_template="chunk {{ task.options['chunk'] }}",
    ).expand(options=chunks(plan.output))

    assemble = MaskerStep(
        task_id="assemble",
        command="media assemble",
        options={"job": plan.output["job"]},
        pool=STEPS_POOL,
        execution_timeout=timedelta(hours=2),
    )

    detect >> track >> mask >> assemble
