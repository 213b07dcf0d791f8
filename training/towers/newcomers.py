"""Placing items without a trained id: their attributes foretell where the towers would have put them.

Fitted after the towers, which do not notice: every known item is a lesson, its attributes the question and its vector
the answer. A tenth of the known items is held out and says when to stop. The loss is the cosine: a softmax over known
items told newcomers apart a little better (recall@20 on Beauty .147 against .142 among newcomers alone) but put them
where nobody looks (.001 against .102 in the full catalogue). N known items, D embedding_dim.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from models.item_tower import Content, unit
from models.two_towers import TwoTowers

EPOCHS, PATIENCE = 200, 10
BATCH = 512
LEARNING_RATE = 2e-3
MIN_ITEMS = 20
"""Known items below which nothing can be held out; a newcomer is then placed as if its id were zero."""


def fit_newcomers(towers: TwoTowers, seed: int) -> float | None:
    """Fit `towers.item_tower.newcomer` in place; the mean cosine to the true vector of held-out items.

    None, and no such network, when there are too few known items, or no attributes.
    """
    tower = towers.item_tower.eval()
    rows = (towers.trained[:, 0] > 0).nonzero()[:, 0]
    if tower.content is None or len(rows) < MIN_ITEMS:
        return None
    network = copy.deepcopy(tower.content)
    codes = towers.item_codes[rows]
    with torch.no_grad():
        answers = towers.item_vectors(rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        order = torch.randperm(len(rows))
        likeness = _fit(network, codes, answers, lessons=order[len(rows) // 10 :], held_out=order[: len(rows) // 10])
    tower.newcomer = network
    return likeness


def _fit(network: Content, codes: Tensor, answers: Tensor, *, lessons: Tensor, held_out: Tensor) -> float:
    """Leaves the weights of the epoch in which the held-out items were foretold best."""
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    best, best_epoch, weights = -1.0, 0, copy.deepcopy(network.state_dict())
    for epoch in range(EPOCHS):
        network.train()
        for batch in torch.split(lessons[torch.randperm(len(lessons))], BATCH):
            optimizer.zero_grad()
            foretold = unit(network(codes[batch]))  # [B, D]
            (1 - (foretold * answers[batch]).sum(-1)).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found = _likeness(network, codes[held_out], answers[held_out])
        if found > best:
            best, best_epoch, weights = found, epoch, copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(weights)
    network.eval()
    return best


def _likeness(network: nn.Module, codes: Tensor, answers: Tensor) -> float:
    """Mean cosine of what is foretold to what is true."""
    network.eval()
    with torch.no_grad():
        foretold = unit(cast(Tensor, network(codes)))
    return float((foretold * answers).sum(-1).mean())
