"""`aand-edge eval`."""

from __future__ import annotations

from typing import Annotated

import typer

from aand_edge.cli.options import CategoryName, Data, Json, Layout, Model


def command(
    model: Model = None,
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Json = False,
) -> None:
    """Measure a trained model on the test split. It is the reference that engines are compared with."""
    from aand_edge.cli.lookup import find_model, trained_category
    from aand_edge.cli.show import answer, facts, percent, say, ticking
    from aand_edge.config import Workspace

    workspace = Workspace.open()
    folder = find_model(workspace, model)
    parts = trained_category(workspace, folder, data, layout, category)
    from aand_edge.training.evaluate import evaluate_model  # PyTorch takes seconds to load

    with ticking("evaluate") as tick:
        card, metrics = evaluate_model(folder, parts, device, tick)
    if parts.name != card.data["category"]:
        say("the figures are not put on its card")
    rows = [
        ("image AUROC", percent(metrics.image_auroc)),
        ("pixel AUROC", percent(metrics.pixel_auroc)),
        ("AUPRO", percent(metrics.aupro)),
        ("F1 max", percent(metrics.f1_max)),
        ("test pictures", len(parts.test)),
        ("protocol", card.protocol),
    ]
    answer({"model": card.name, **metrics.to_dict(), "protocol": card.protocol}, as_json, facts(card.name, rows))
