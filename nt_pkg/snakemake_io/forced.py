"""What the user forces: `--forcerun`, `--force`, `--forceall`.

Snakemake also forces what was interrupted, and then tells the two no longer apart.
"""

import os.path
from typing import Any


def forced_outputs(workflow: Any) -> set[str]:
    """Return the outputs of the jobs that the user forces, of Snakemake's planned workflow."""
    dag, settings = workflow.dag, workflow.dag_settings
    files = {os.path.normpath(name) for name in settings.forcerun}
    if settings.forcetargets:
        files.update(map(str, dag.targetfiles))
    return {
        str(path)
        for job in dag.jobs
        if job.rule in dag.forcerules or not files.isdisjoint(map(str, job.output))
        for path in job.output
    }
