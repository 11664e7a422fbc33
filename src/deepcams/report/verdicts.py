"""Plain statements on whether the product is better than what is had without it."""

from dataclasses import dataclass

import pandas as pd

from deepcams.report.tables import Evaluation


@dataclass(frozen=True)
class Verdict:
    """One finding in words."""

    better: bool
    text: str


def station_verdict(summary: dict) -> Verdict | None:
    """Product against CAMS at stations, all hours; None without stations."""
    rows = {row["field"]: row for row in summary["stations"]["scores"] if row["selection"] == "all hours"}
    if not {"product", "cams"} <= set(rows):
        return None
    product, cams = rows["product"], rows["cams"]
    lower = product["rmse"] < cams["rmse"]
    higher = product["r"] is not None and cams["r"] is not None and product["r"] > cams["r"]
    numbers = f"RMSE {product['rmse']:.2f} against {cams['rmse']:.2f} µg/m³"
    if product["r"] is not None and cams["r"] is not None:
        numbers += f", R {product['r']:.3f} against {cams['r']:.3f}"
    if lower and higher:
        return Verdict(True, f"At stations the product is better than CAMS: {numbers}.")
    if lower or higher:
        what = "RMSE only, not in R" if lower else "R only, not in RMSE"
        return Verdict(False, f"At stations the product is better than CAMS in {what}: {numbers}.")
    return Verdict(False, f"At stations the product is not better than CAMS: {numbers}.")


def truth_verdict(summary: dict) -> Verdict | None:
    """Product against the best simpler method, by RMSE weighted by area; None where the truth is not known."""
    rows = {row["method"]: row for row in summary["truth"] if row["hours"] == "all" and row["rmse_area"] is not None}
    product = rows.pop("product", None)
    if product is None or not rows:
        return None
    return _compare("Against the known truth", "the product", product["rmse_area"],
                    {name: row["rmse_area"] for name, row in rows.items()})  # fmt: skip


def evaluation_verdict(table: pd.DataFrame, evaluation: Evaluation) -> Verdict | None:
    """A network against the best other method, by the mean RMSE of the months that both have."""
    wide = table.pivot_table(index="month", columns="method", values="rmse", aggfunc="first").dropna()
    if wide.empty or evaluation.network not in wide or len(wide.columns) < 2:
        return None
    means = wide.mean().to_dict()
    own = means.pop(evaluation.network)
    return _compare(evaluation.title, f"the network {evaluation.network}", own, means)


def _compare(where: str, who: str, own: float, others: dict[str, float]) -> Verdict:
    best = min(others, key=others.__getitem__)
    numbers = f"RMSE {own:.3f} against {others[best]:.3f} µg/m³ ({100 * (own / others[best] - 1):+.1f} %)"
    if own < others[best]:
        return Verdict(True, f"{where}: {who} is better than the best simpler method, {best}: {numbers}.")
    return Verdict(False, f"{where}: {who} is not better than the best simpler method, {best}: {numbers}.")
