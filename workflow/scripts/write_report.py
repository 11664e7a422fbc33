"""Write the page of all years (rule write_report)."""

from pathlib import Path

from deepcams.files.checksum import check_inputs
from deepcams.logs import job_log
from deepcams.report.page import write_index
from deepcams.report.plot import plot_years
from deepcams.report.quantity import show
from deepcams.report.software_bill import write_software_bill
from deepcams.validation.record import write_record

with job_log(snakemake.log[0]):
    show(snakemake.params.pollutant)
    check_inputs(snakemake.input)
    folders = {Path(path).parent.name: Path(path).parent for path in snakemake.input.tables}
    write_record(snakemake.output.record, list(folders.values()))
    plot_years(snakemake.output.scatter, folders, snakemake.params.dpi)
    write_software_bill(snakemake.output.software)
    write_index(
        snakemake.output.page,
        folders=list(folders.values()),
        scatter=snakemake.output.scatter,
        record=snakemake.output.record,
        software=Path(snakemake.output.software).name,
    )
