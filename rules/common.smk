# What all rules share: the checked study, wildcard patterns, and the shell that jobs run in.

import fcntl
import json
import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.io import apply_wildcards

sys.path.insert(0, workflow.basedir)

from nt_pkg.config import NAME, UNTRAINED, load_study
from nt_pkg.plan import Plan

# sys.exit, because Snakemake would add places in this file to the message.
try:
    PLAN = Plan(load_study(config))
    if workflow.is_main_process:  # jobs elsewhere need not see the sources
        for values in PLAN.assets():
            PLAN.asset_spec(**values)
except ValueError as error:
    sys.exit(f"error: {error}")

for folder in ("results", "assets", "work", "logs"):
    nearest = next(
        p for p in [Path(folder), *Path(folder).resolve().parents] if p.exists()
    )
    if not os.access(nearest, os.W_OK | os.X_OK):
        sys.exit(
            f"error: {Path(folder).resolve()} cannot be written (no permission on "
            f"{nearest.resolve()}): run in a folder of your own, or with --directory"
        )


wildcard_constraints:
    kind="pools|students|benchmarks",
    name=NAME,
    pool=NAME,
    teacher=NAME,
    annotator=NAME,
    subset=NAME,
    format=NAME,
    student=NAME,
    benchmark=NAME,
    study=NAME,
    mode="think|no_think|adaptive",
    seed=r"\d+",
    shard=r"\d+",
    num_shards=r"\d+",


# Jobs find this project's modules, the interpreter that runs Snakemake (unless an environment is
# deployed for them), and the time they were launched at.
prefix = (
    f'export PYTHONPATH="{workflow.basedir}" NT_JOB_STARTED=${{{{EPOCHREALTIME:-}}}}; '
)
if not workflow.deployment_settings.deployment_method:
    prefix += f'export PATH="{Path(sys.executable).parent}:$PATH"; '
if "NT_WARM" in os.environ:  # scripts/study.py: jobs start in a forked interpreter
    prefix += 'python() {{ command python -I -S "$PYTHONPATH/nt_pkg/warm.py" run "${{@:2}}"; }}; '
shell.prefix(prefix)


def hold_results():
    """Keep a second Snakemake out of these results until this one ends, however it ends."""
    global results_lock
    Path("results").mkdir(exist_ok=True)
    results_lock = open("results/.lock", "w")
    try:
        fcntl.flock(results_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(
            f"another Snakemake works on {Path('results').resolve()}: wait for it or stop it"
        ) from None


onstart:
    hold_results()


def each(pattern, wildcards):
    """Return the paths of a pattern, one per set of wildcards."""
    return [apply_wildcards(pattern, values) for values in wildcards]


def source_manifest(kind, name):
    """Return the manifest of a catalogue entry's files, or nothing."""
    if PLAN.source(kind, name) is None:
        return []
    return each(rules.fetch_asset.output.manifest, [{"kind": kind, "name": name}])


def runtime(wildcards):
    """Return how a student's jobs are spread over a machine."""
    return PLAN.study.students[wildcards.student].runtime


def names_of(wildcards):
    """Return the names in a path, so that every artifact carries its own identity."""
    return json.dumps(dict(wildcards), sort_keys=True)


def shards_of(pattern, pool, **others):
    """Return all shards of a pool for one pattern."""
    return each(pattern, [{**shard, **others} for shard in PLAN.shards(pool)])


def labels_of(pool, teacher, annotators):
    """Return the label shards of several annotators."""
    return [
        path
        for annotator in annotators
        for path in shards_of(
            rules.annotate.output.labels, pool, teacher=teacher, annotator=annotator
        )
    ]


def subset_of(wildcards):
    """Return the subset of a run, once it is known."""
    values = PLAN.subset_wildcards(wildcards.subset, wildcards.seed)
    return checkpoints.select_subset.get(**values).output.subset


def pool_and_teacher(subset):
    """Return the pool and the teacher of a subset."""
    entry = PLAN.study.subsets[subset]
    return {"pool": entry.pool, "teacher": entry.teacher}


def model_of(wildcards):
    """Return the manifest beside or inside the folder of the model that a run evaluates."""
    if wildcards.subset == UNTRAINED:
        return source_manifest("students", wildcards.student)
    return each(rules.export_model.output.manifest, [dict(wildcards)])
