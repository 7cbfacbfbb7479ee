# Shared by all rules: the checked study, wildcard patterns, and the shell that jobs run in.
# Parsing writes nothing: what a start has to record, it records in `onstart`.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)

from nt_pkg.config.base import IMPORTED, NAME
from nt_pkg.config.load import merge_study, study_files
from nt_pkg.files.foreign_text import printable
from nt_pkg.files.path_lists import packed
from nt_pkg.jobs.shell import check_writable, shell_prefix
from nt_pkg.jobs.work_dir import work_in
from nt_pkg.plan.admission import admissions, admitted
from nt_pkg.plan.inputs import Inputs, names_of
from nt_pkg.plan.start import cannot_run_yet, end, start
from nt_pkg.plan.study_plan import Plan, answers_file
from nt_pkg.plan.validate import load_study
from nt_pkg.report.summary import check_earlier, read_truth
from nt_pkg.slurm.site import Site
from nt_pkg.snakemake_io.clocks import accept_inputs_of_the_future
from nt_pkg.snakemake_io.measured import measure_jobs
from nt_pkg.snakemake_io.patterns import each
from nt_pkg.snakemake_io.records import keep_beside_outputs, use_known_digests
from nt_pkg.snakemake_io.remake import remake_command
from nt_pkg.snakemake_io.under_way import UnderWay

# sys.exit, because Snakemake would add places in this file to the message.
try:
    # Not Snakemake's own `config`, which knows neither the base nor `include`.
    settings = workflow.config_settings
    texts = study_files(settings.configfiles)
    PLAN = Plan(load_study(merge_study(texts.values(), settings.config_args or ())))
    workflow.configfiles[:] = texts  # for --archive and --report
    if workflow.is_main_process:  # jobs on other nodes may not see the sources
        for values in PLAN.assets():
            PLAN.asset_spec(**values)
        for entry in PLAN.study.answers:
            PLAN.import_spec(entry)
        check_earlier(PLAN.study)
        for path in PLAN.truth():
            read_truth(Path(path))
    check_writable(("results", "assets", "work", "logs"))
    SITE = Site(workflow.resource_settings.default_resources)
    if SITE.facts.get("scratch"):
        work_in(SITE.facts["scratch"], Path.cwd())
    shell.prefix(
        shell_prefix(
            Path(workflow.basedir),
            os.environ,
            is_deployed=bool(workflow.deployment_settings.deployment_method),
        )
    )
except ValueError as error:
    sys.exit(printable(f"error: {error}"))


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
    part=r"(\.\d+-of-\d+)?",


placed, memory, minutes = SITE.placed, SITE.memory, SITE.minutes
inputs = Inputs(PLAN, rules, checkpoints)
UNDER_WAY = UnderWay(Path(".snakemake/under_way.jsonl"))

for resource, most in admissions(PLAN.study).items():
    if resource not in workflow.global_resources:  # --resources
        workflow.register_resource(resource, most)

measure_jobs()
accept_inputs_of_the_future()

if workflow.is_main_process:
    keep_beside_outputs()
    use_known_digests()
    UNDER_WAY.take_for_incomplete()
    own = workflow.resource_settings.overwrite_resources or {}
    for line in cannot_run_yet(PLAN, SITE.facts.get("gpu_type"), "train" in own):
        line = f"note: cannot run yet: {line}"
        logger.warning(line, extra={"nt_note": line})


def runtime(wildcards):
    """Return how a student's jobs are spread over a machine."""
    return PLAN.study.students[wildcards.student].runtime


def listed(*names):
    """Return input files as resources: words of the shell that fit a command line."""

    def words(name):
        return lambda wildcards, input: packed(input.get(name))

    return {name: words(name) for name in names}


def image(kind):
    """Return the container image of a kind, for `--sdm apptainer`; others take any folder name."""
    if not any(
        each.name == "APPTAINER"
        for each in workflow.deployment_settings.deployment_method
    ):
        return None
    pattern = os.environ.get("NT_IMAGE", f"{workflow.basedir}/images/{{kind}}.sif")
    return pattern.replace("{kind}", kind)


container: image("workflow")


onstart:
    try:
        start(workflow, PLAN, UNDER_WAY, logger.warning)
    except RuntimeError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    end()


onerror:
    end()
