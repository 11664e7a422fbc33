"""How many hostile files each reader is given, and the table of how they ended."""


def pytest_addoption(parser):
    parser.addoption("--fuzz-cases", type=int, metavar="N", help="hostile files of each reader (tests/fuzz)")


def pytest_terminal_summary(terminalreporter):
    rows = [
        dict(report.user_properties)["fuzz"]
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call" and "fuzz" in dict(report.user_properties)
    ]
    if not rows:
        return
    total = ["together", *(sum(row[column] for row in rows) for column in range(1, 6))]
    terminalreporter.section("hostile files")
    terminalreporter.write_line(f"{'reader':32}{'cases':>8}{'accepted':>10}{'refused':>9}{'raised':>8}{'crashed':>9}")
    for name, *numbers in [*sorted(rows), total]:
        terminalreporter.write_line("{:32}{:8}{:10}{:9}{:8}{:9}".format(name, *numbers))
