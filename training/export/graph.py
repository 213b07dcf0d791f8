"""One torch module as one ONNX graph, with named inputs and dynamic axes that are held to what was asked.

An exporter may fix an axis silently, when an example's size is 0 or 1 or two sizes happen to be equal;
therefore the examples should have sizes that differ, and the saved graph is read again.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from features.errors import BundleError

OPSET = 20


def export_graph(
    module: nn.Module,
    example_inputs: Mapping[str, Tensor],
    dynamic: Mapping[str, Mapping[int, str]],
    path: Path,
    output: str = "output",
) -> None:
    """Write `module(**example_inputs)` to `path`, one file with the weights inside.

    `dynamic` names the axes that vary, per input: {"type_codes": {0: "batch", 1: "time"}}. Raises BundleError
    when the saved graph has other inputs, or when an axis is fixed that should vary.
    """
    shapes = {name: dict(dynamic.get(name, {})) for name in example_inputs}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*shares the same shape constraints")  # as it should
        torch.onnx.export(
            module.eval(),
            (),
            str(path),
            kwargs=dict(example_inputs),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(example_inputs),
            output_names=[output],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    require_axes(path, shapes)


def require_axes(path: Path, dynamic: Mapping[str, Mapping[int, str]]) -> None:
    """Raise BundleError unless a graph has exactly the inputs named, and exactly the axes named vary."""
    graph = onnx.load(str(path)).graph
    found = {one.name: one.type.tensor_type.shape.dim for one in graph.input}
    if list(found) != list(dynamic):
        raise BundleError(
            f"{path.name} takes {', '.join(found)} where {', '.join(dynamic)} was meant; serving feeds by name.",
            hint="Give the exporter one example per input.",
        )
    for name, axes in dynamic.items():
        varying = {axis: dim.dim_param for axis, dim in enumerate(found[name]) if dim.dim_param}
        if varying != dict(axes):
            raise BundleError(
                f"{path.name}: the axes of {name} that vary are {varying}, and should be {dict(axes)}; a"
                " fixed axis would refuse every other size.",
                hint="Give example inputs whose sizes are distinct and above 1.",
            )
