"""Writing a small report and reading its HTML, for tests."""

import re
from html.parser import HTMLParser

from deepcams.report.page import write_year_report
from tests.standins.validation_folder import write_figure, write_folder


class Reader(HTMLParser):
    """Collects elements, addresses and text, and checks that elements are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link", "wbr", "input"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.addresses, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.addresses += [item for item in attrs if item[0] in ("src", "href", "srcset", "data", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data


def report_maker(tmp_path):
    """A function: write a folder and its report, return the report's text. changes : made to the folder's files."""
    write_figure(tmp_path / "figure.png")

    def write(content=None, changes=lambda folder: None, **options):
        folder = write_folder(tmp_path / "2018", **{"hours": 5, "stations": 3, **(content or {})})
        changes(folder)
        options.setdefault("figures", {"mean": tmp_path / "figure.png"})
        write_year_report(tmp_path / "2018.html", folder=folder, **options)
        return (tmp_path / "2018.html").read_text()

    return write


def networks_of(text):
    return text[text.index('<section id="networks">') : text.index('<section id="provenance">')]


def table_rows(text):
    """Cells of each row of the first table in a text, without marks."""
    table = re.search("<table[^>]*>(.*?)</table>", text, re.S)[1]
    rows = re.findall("<tr[^>]*>(.*?)</tr>", table)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]
