"""Write anew what the pages show of the commands' output, and what the card of the pretrained networks says of them.

    python tools/update_outputs.py SAMPLES

SAMPLES: the folder with the two real files that the pages speak of. Changed are the outputs of the commands in
docs/command_line.md, the table of scores in README.md, and the tables in src/deepcams/pretrained/MODEL_CARD.md. Run it
when the networks or a command's output have changed; the tests compare.
"""

import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from deepcams.cli.main import main as deepcams
from deepcams.files.atomic import write_text
from deepcams.files.checksum import sha256
from deepcams.models import pretrained
from deepcams.models.catalogue import stages
from deepcams.models.checkpoint import read

ROOT = Path(__file__).resolve().parents[1]
FILES = {"cams.nc": "cams_eac4_pm25_20191231T15_20200101T00.nc", "geoscf.nc": "geoscf_pm25_west_4h.nc"}


def main(samples: str) -> None:
    """Run the commands on the samples and change the pages."""
    links = {name: (Path(samples) / file).resolve(strict=True) for name, file in FILES.items()}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, file in links.items():
            os.symlink(file, name)
        _change(ROOT / "docs" / "command_line.md", r"(?<=^```console\n)(.*?)(?=^```$)", _console)
        _change(ROOT / "README.md", r"(^deepcams (score .*?)$.*?^```text\n)(.*?)(?=^```$)", _readme)
        _change(pretrained.card(), r"(?<=^<!-- files -->\n)(.*?)(?=^<!-- /files -->$)", lambda _: _card_files())
        _change(pretrained.card(), r"(?<=^<!-- scores -->\n)(.*?)(?=^<!-- /scores -->$)", lambda _: _card_scores())


def _change(page: Path, pattern: str, change) -> None:
    text = page.read_text(encoding="utf-8")
    write_text(page, re.sub(pattern, change, text, flags=re.MULTILINE | re.DOTALL))


def _said(line: str) -> str:
    """What a command prints, on whichever of the two."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        failed = deepcams(shlex.split(line, comments=True))
    return err.getvalue() if failed else out.getvalue()


def _console(block: re.Match) -> str:
    lines = re.findall(r"^\$ deepcams (.*)$", block[1], flags=re.MULTILINE)
    return "".join(f"$ deepcams {line}\n{_said(line)}" for line in lines)


def _readme(text: re.Match) -> str:
    """From the command to the end of the table of it that follows."""
    return text[1] + _said(text[2]).split("\n\n", 1)[1]


def _card_files() -> str:
    lines = ["| stage | file | network | parameters | SHA-256 |", "|---|---|---|---|---|"]
    for stage in stages():
        path = pretrained.path(stage)
        found = read(path, stage)
        count = sum(tensor.size for tensor in found.weights.values())
        lines.append(f"| {stage} | {path.name} | {found.network} | {count:,} | {sha256(path)} |")
    return "\n".join(lines) + "\n"


def _card_scores() -> str:
    lines = ["| stage | degradation | method | RMSE | RMSE diff. | MAE | MAE diff. |", "|---|---|---|---|---|---|---|"]
    for stage in (*stages(), "joint"):
        for result in json.loads(_said(f"score {stage} geoscf.nc --degradation each --json")):
            operator = result["degradation"]["operator"] if result["degradation"] else "none"
            for method, scores in result["methods"].items():
                if method.startswith(pretrained.WORD):
                    difference = scores["difference_percent"]
                    cells = [f"{scores[key]:.3f} | {difference[key]:+.1f} %" for key in ("rmse", "mae")]
                    lines.append(f"| {stage} | {operator} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
