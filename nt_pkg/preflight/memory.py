"""Checks of trainings against the memory of the requested GPUs."""

import re
from collections.abc import Sequence
from pathlib import Path

from nt_pkg.config.study import Study
from nt_pkg.cost.hardware import gpu_of, unknown_gpu
from nt_pkg.cost.training import Need, need
from nt_pkg.preflight.facts import Cluster, Finding, SlurmRequest

_CHECK = "GPU memory"


def fit_in_gpus(
    study: Study, folder: Path, requests: Sequence[SlurmRequest], cluster: Cluster
) -> list[Finding]:
    """Judge whether each student's training fits on its GPUs, at its ZeRO stage.

    Args:
        study: the checked study.
        folder: folder of results and assets.
        requests: the requests of the study's jobs.
        cluster: gives the type of GPUs if a request names none.
    """
    found, fitting = [], []
    for request in requests:
        if request.rule != "train" or not request.gpus:
            continue
        for owner in sorted(request.owners):
            kind, _, student = owner.partition(".")
            if kind != "students" or student not in study.students:
                continue
            gpu = _gpu(request, cluster)
            try:
                needed = need(study, student, folder, gpu)
            except ValueError as error:
                found.append(Finding("warn", _CHECK, str(error)))
                continue
            if needed.fits:
                fitting.append(needed)
            else:
                found.append(_misfit(needed))
    if fitting:
        fullest = max(fitting, key=lambda each: sum(each.parts.values()) / (each.gpu_bytes or 1))
        text = f"{len(fitting)} students fit; the fullest: {fullest.student}, {fullest.text}"
        found.insert(0, Finding("ok", _CHECK, text))
    return found


def _misfit(needed: Need) -> Finding:
    if needed.fits is None:
        why = unknown_gpu(needed.gpu) if needed.gpu else "the type of its GPUs is not known"
        text = f"students.{needed.student}: {needed.text}; {why}"
        return Finding("warn", _CHECK, text, "compare it with what the GPU has")
    text = f"students.{needed.student} does not fit: {needed.text}"
    return Finding("FAIL", _CHECK, text, needed.todo)


def _gpu(request: SlurmRequest, cluster: Cluster) -> str | None:
    """Return the type of a request's GPUs; if it names none, the smallest that it may get."""
    if request.gpu_model:
        return request.gpu_model
    partitions = cluster.partitions_of(request)
    gres = [each.shape[2] for each in cluster.nodes or () if each.partition in partitions]
    models = {model for text in gres for model in re.findall(r"gpu:([^:,(]*[^\d:,(][^:,(]*)", text)}
    known = {model: gpu for model in models if (gpu := gpu_of(model))}
    if len(known) < len(models):
        return None
    return min(known, key=lambda model: known[model].memory, default=None)
