# What all rules share: the checked study, wildcard patterns, and the shell that jobs run in.

import json
import os
import re
import sys
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile, apply_wildcards
from snakemake.persistence.file import FilePersistence

sys.path.insert(0, workflow.basedir)

from nt_pkg.config.base import NAME, UNTRAINED
from nt_pkg.plan.validate import load_study
from nt_pkg.slurm.takeover import end_leftovers, hold_results, unnoted_outputs
from nt_pkg.snakemake_io.dry_run import gpu_type
from nt_pkg.jobs.environments import fixed, own_folders, python_function
from nt_pkg.cost.training import misfits
from nt_pkg.snakemake_io.launcher import remake_command
from nt_pkg.plan.study_plan import Plan
from nt_pkg.report.earlier import check_earlier
from nt_pkg.slurm.jobs import growing, spread
from nt_pkg.jobs.work_dir import forget_finished, work_in

# sys.exit, because Snakemake would add places in this file to the message.
try:
    PLAN = Plan(load_study(config))
    if workflow.is_main_process:  # jobs elsewhere need not see the sources
        for values in PLAN.assets():
            PLAN.asset_spec(**values)
        check_earlier(PLAN.study)
        for line in PLAN.missing_commits():
            print(f"note: cannot run yet: {line}", file=sys.stderr)
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
    kind="pools|teachers|annotators|students|benchmarks",
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


# What the profile says of its cluster; rules hand it on and know none of it.
SITE = {
    name: os.path.expandvars(str(resource.raw).strip("'\""))
    for name, resource in (workflow.resource_settings.default_resources or {}).items()
}


if SITE.get("scratch"):
    work_in(SITE["scratch"], Path.cwd())


def gpus_of_trainings():
    """Return student -> type of GPUs of the trainings about to run, as far as it is known."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name == "train"]
    return {
        job.wildcards.student: gpu_type(dict(job.resources.items()))
        for job in jobs
        if runtime(job.wildcards).gpu
    }


# No hook is called in a dry run, so it is told here of what a start would refuse.
if workflow.is_main_process and "train" not in (
    workflow.resource_settings.overwrite_resources or {}
):
    gpus = {
        run["student"]: SITE.get("gpu_type")
        for run in PLAN.sft()
        if PLAN.study.students[run["student"]].runtime.gpu
        and not Path(
            "results/sft/{student}/{subset}/{format}/seed{seed}/run.json".format(**run)
        ).exists()
    }
    for line in misfits(PLAN.study, gpus, Path()):
        print(f"note: cannot run yet: {line}", file=sys.stderr)


def placed(machines_of):
    """Return the resources that place the jobs of a rule on nodes, with GPUs if they ask for any."""
    return spread(machines_of, SITE)


def memory(first):
    """Return a job's memory in MB from a number or a function of wildcards; retries get more."""
    return growing(first, SITE.get("most_mem_mb"))


def minutes(first):
    """Return a job's time limit from a number or a function of wildcards; retries get more."""
    return growing(first, SITE.get("most_minutes"))


# Jobs find this project's modules, an interpreter (unless an environment is deployed for them), and
# the time they were launched at.
prefix = (
    f'export PYTHONPATH="{workflow.basedir}" NT_JOB_STARTED=${{{{EPOCHREALTIME:-}}}}; '
)
if not workflow.deployment_settings.deployment_method:
    python_bin = fixed(Path(sys.executable).parent.parent) / "bin"
    prefix += f'export PATH="{python_bin}:$PATH"; '
    try:
        folders = own_folders(Path(workflow.basedir), os.environ)
    except ValueError as error:
        sys.exit(f"error: {error}")
    # With NT_WARM (scripts/study.py), jobs start in a forked interpreter.
    function = python_function(folders, is_warm="NT_WARM" in os.environ)
    prefix += function.replace("{", "{{").replace("}", "}}")
shell.prefix(prefix)


def image(kind):
    """Return the container image of a kind, for `--sdm apptainer`."""
    pattern = os.environ.get("NT_IMAGE", f"{workflow.basedir}/images/{{kind}}.sif")
    return pattern.replace("{kind}", kind)


container: image("workflow")


if workflow.is_main_process and (unnoted := unnoted_outputs(Path(".snakemake/log"))):
    FilePersistence(nolock=True).started(
        SimpleNamespace(output=[IOFile(str(path)) for path in unnoted])
    )


onstart:
    if unknown := PLAN.missing_commits():
        raise WorkflowError("\n".join(unknown))
    try:
        hold_results(Path("results"))
        if workflow.executor_plugin.name == "slurm":
            if too_big := misfits(PLAN.study, gpus_of_trainings(), Path()):
                raise WorkflowError("\n".join(too_big))
            end_leftovers(
                workflow.executor_settings.jobname_prefix,
                Path.cwd(),
                logger.warning,
            )
    except RuntimeError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    forget_finished()


onerror:
    forget_finished()


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
    """Return the label shards of several annotators; those of questions belong to no teacher."""
    return [
        path
        for annotator in annotators
        for path in (
            shards_of(rules.annotate_questions.output.labels, pool, annotator=annotator)
            if PLAN.is_of_questions(annotator)
            else shards_of(
                rules.annotate.output.labels,
                pool,
                teacher=teacher,
                annotator=annotator,
            )
        )
    ]


def near_labels_of(subset):
    """Return the labels of the questions that a subset is chosen near to, or nothing."""
    pool = PLAN.near_of(subset)
    return labels_of(pool, None, PLAN.requires(subset)) if pool else []


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
