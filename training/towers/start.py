"""Where a fit of the towers begins when it does not begin from nothing: with the weights that a bundle was made of.

The bundle keeps the weights beside its graphs, as plain arrays. Rows of the tables keep their places (the schema only
grew), so that they are copied; a new category says nothing at first, and a new item gets the id vector with which the
tower puts it where its attributes foretold it. R item rows, E id_dim, D embedding_dim.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from features.arrays import FloatArray
from features.errors import BundleError
from models.embeddings import FieldEmbeddings
from models.item_tower import ItemTower
from models.two_towers import TwoTowers
from models.user_tower import UserTower

WEIGHTS = "weights.npz"
SIZES = "sizes"


@dataclass(frozen=True)
class Start:
    """The weights of fitted towers, and where a new item is to stand."""

    weights: dict[str, FloatArray]
    """By name in `TwoTowers`, the ids aside."""
    sizes: dict[str, list[int]]
    """Sizes of the fields of each `FieldEmbeddings`, by its name."""
    ids: FloatArray
    """float32 [R, E] of the items that were known then; zero for those without a trained id."""
    foretold: FloatArray
    """float32 [R, D] of all items by now: where those without a trained id stand, by their attributes."""


def save_weights(item_tower: ItemTower, user_tower: UserTower, path: Path) -> None:
    """Write both towers' weights as arrays; ids stand in the catalogue."""
    towers = {"item_tower": item_tower, "user_tower": user_tower}
    arrays = {
        f"{part}.{name}": value.numpy() for part, one in towers.items() for name, value in one.state_dict().items()
    }
    sizes = {f"{part}.{name}": found for part, one in towers.items() for name, found in _field_sizes(one).items()}
    np.savez(path, allow_pickle=False, **arrays, **{SIZES: np.frombuffer(json.dumps(sizes).encode(), np.uint8)})


def load_weights(path: Path) -> tuple[dict[str, FloatArray], dict[str, list[int]]]:
    """What `save_weights` wrote. Raises BundleError when it is not there."""
    if not path.is_file():
        raise BundleError(
            f"{path.parent} holds no {path.name}: it was made before bundles could be gone on from",
            hint="Train in full once.",
        )
    with np.load(path, allow_pickle=False) as arrays:
        sizes = json.loads(arrays[SIZES].tobytes())
        return {name: arrays[name] for name in arrays.files if name != SIZES}, sizes


def start_from(start: Start, model: TwoTowers) -> None:
    """Put the weights into towers that were made for the grown schema, in place.

    Raises BundleError when something is not of the shape that it had: the configuration is another one.
    """
    tables = {f"{name}.table.weight": module for name, module in model.named_modules()
              if isinstance(module, FieldEmbeddings)}  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "ids":
                continue
            found = start.weights.get(name)
            if found is None:
                raise BundleError(f"the bundle has no weights {name}", hint="Train in full.")
            known = torch.from_numpy(found)
            if name in tables:
                _copy_fields(known, start.sizes[name.removesuffix(".table.weight")], tables[name], parameter)
            elif known.shape != parameter.shape:
                raise BundleError(
                    f"{name} is {list(known.shape)} in the bundle and {list(parameter.shape)} by the configuration",
                    hint="Settings of the towers changed: train in full.",
                )
            else:
                parameter.copy_(known)
        _copy_ids(start, model)


def _field_sizes(module: nn.Module) -> dict[str, list[int]]:
    return {name: list(one.sizes) for name, one in module.named_modules() if isinstance(one, FieldEmbeddings)}


def _copy_fields(known: Tensor, before: list[int], fields: FieldEmbeddings, table: Tensor) -> None:
    """Rows of each field to where the field begins now; those of new categories start at zero, which says nothing."""
    if len(before) != len(fields.sizes) or any(old > new for old, new in zip(before, fields.sizes, strict=True)):
        raise BundleError("attributes are fewer than those that the bundle was made of", hint="Train in full.")
    table.zero_()
    old = new = 0
    for size, grown in zip(before, fields.sizes, strict=True):
        table[new : new + size] = known[old : old + size]
        old, new = old + size, new + grown


def _copy_ids(start: Start, model: TwoTowers) -> None:
    """Known ids, and for the others those with which the tower says what was foretold, as long as known ones are.

    Without attributes nothing is foretold, and a new id stays where it would have begun in any fit.
    """
    known = torch.zeros(len(model.ids), dtype=torch.bool)
    ids = torch.from_numpy(start.ids)
    known[: len(ids)] = ids.abs().amax(1) > 0
    model.ids[: len(ids)][known[: len(ids)]] = ids[known[: len(ids)]]
    tower = model.item_tower
    if tower.content is None or not known.any() or known.all():
        return
    tower.eval()
    content = tower.content(model.item_codes)  # [R, D]
    weight = tower.id_input.weight  # [D, E]
    length = (model.ids[known] @ weight.T + content[known]).norm(dim=1).mean()
    wanted = torch.from_numpy(start.foretold)[~known] * length - content[~known]  # [n, D]
    model.ids[~known] = torch.linalg.lstsq(weight, wanted.T).solution.T
    tower.train()
