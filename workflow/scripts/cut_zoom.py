"""Cut moments of the test period out for figures (rule cut_zoom)."""

from deepcams.files.checksum import check_inputs
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.validation.zoom import cut_zoom

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    cut_zoom(
        snakemake.wildcards.stage,
        snakemake.input.index,
        snakemake.input.model,
        snakemake.output.zoom,
        moments=snakemake.params.moments,
        region=Region(**snakemake.params.region) if snakemake.params.region else None,
        halo=snakemake.params.halo,
        closure=snakemake.params.closure,
    )
