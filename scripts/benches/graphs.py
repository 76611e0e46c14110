"""A model as ONNX graphs: as torch exports it, and with onnxruntime's own fusions for Transformers."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from peers import Model, load_eager

_OPSET = 17


def export_graphs(model: Model, folder: Path) -> None:
    """Write exported.onnx and fused.onnx, both with free batch and length.

    Attention is exported as plain products, which is what onnxruntime's fusions recognise. Torch's older exporter
    serves here: the newer one would bring two more packages, and the graph is judged by its scores either way.
    """
    import torch
    from onnxruntime.transformers import optimizer
    from torch import nn

    loaded = load_eager(model, attention="eager")

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    ids = torch.ones(3, 7, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    free = {0: "rows", 1: "length"}
    exported = folder / "exported.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its age; the scores are compared anyway
        torch.onnx.export(
            Logits().eval(),
            (ids, mask),
            exported,
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "logits": {0: "rows"}},
        )
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    config = loaded.config
    fused = optimizer.optimize_model(
        str(exported), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size
    )
    fused.save_model_to_file(str(folder / "fused.onnx"))
