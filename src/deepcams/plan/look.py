"""Build Snakemake's graph of jobs as a dry run does, and write what it knows as JSON.

`deepcams.plan.graph` runs it in a process of its own, in the workflow's folder. The command line is Snakemake's,
so profiles, configuration files and targets mean here what they mean there; instead of being scheduled the jobs are
written down. Nothing but Snakemake is imported, so that this takes no longer than `snakemake -n`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path


def reasons(dag, job) -> Iterator[str]:
    """Why a job is due: words of `deepcams.plan.graph.REASONS`."""
    reason = dag.reason(job)
    if reason.forced:
        yield "forced"
    if reason.missing_output:
        yield "missing"
    if reason.incomplete_output:
        yield "unfinished"
    if reason.params_changed:
        code = {repr(job.params.code), job.params.code} if "code" in job.params.keys() else set()  # noqa: SIM118
        new = {str(value) for value in reason.params_changed.only_new}
        if new & code:
            yield "code"
        if new - code or not new:
            yield "settings"
    if reason.code_changed:
        yield "code"
    if (reason.updated_input - reason.updated_input_run) or reason.input_changed:
        yield "input"
    if reason.software_stack_changed:
        yield "environment"
    if reason.updated_input_run:
        yield "follows"


def described(dag, job) -> dict:
    """A job as JSON can hold it."""
    due = dag.needrun(job)
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "due": due,
        "reasons": list(dict.fromkeys(reasons(dag, job))) if due else [],
        "threads": job.threads,
        "memory_mb": job.resources.get("mem_mb", 0),
        "gpus": job.resources.get("gpu", 0),
        "outputs": [str(path) for path in job.output],
        "others": [str(path) for path in (*job.log, *([job.benchmark] if job.benchmark else []))],
        "benchmark": str(job.benchmark) if job.benchmark else None,
        "after": [dag.jobid(before) for before in dag.dependencies[job]],
        "number": dag.jobid(job),
    }


def main() -> None:
    """`look OUT.json ARGUMENT...`: run Snakemake with the arguments as far as the graph, and write it."""
    from snakemake import cli, workflow  # in this order: they import each other

    out = Path(sys.argv[1])

    def stop(planned, *_settings):
        """In place of the scheduler, which a dry run makes when the graph is whole."""
        dag = planned.dag
        jobs = [described(dag, job) for job in dag.jobs if job.rule.name != "all"]
        out.write_text(json.dumps({"config": planned.config, "jobs": jobs}, default=str), encoding="utf-8")
        sys.exit(0)

    workflow.JobScheduler = stop
    cli.main([*sys.argv[2:], "--dry-run", "--quiet", "all", "--nocolor"])


if __name__ == "__main__":
    main()
