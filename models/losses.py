"""Losses as pure functions of tensors, in nats per example.

N targets, I items, S sampled negatives, D embedding_dim. Queries are states divided by the temperature, so
that query @ item vector is a logit.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 512
"""Rows of logits made at once: 512 x 4,000 items of float32 stay in the processor's cache."""


def full_softmax_loss(queries: Tensor, targets: Tensor, item_vectors: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy of targets against all items, a scalar.

    queries float32 [N, D], targets int64 [N] rows of item_vectors float32 [I, D], weights float32 [N], not
    all 0. Equals `F.cross_entropy(queries @ item_vectors.T, targets)`, but keeps no [N, I] matrix: the
    gradient of a chunk of rows is taken at once, while its logits are at hand.
    """
    share = weights / weights.sum()
    loss: Tensor = _FullSoftmax.apply(queries, item_vectors, targets, share)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, item_vectors: Tensor, targets: Tensor, share: Tensor) -> Tensor:
        loss = queries.new_zeros(())
        query_grad = torch.empty_like(queries)
        item_grad = torch.zeros_like(item_vectors)
        for start in range(0, len(queries), CHUNK):
            rows = slice(start, start + CHUNK)
            logits = queries[rows] @ item_vectors.T  # [chunk, I]
            chosen = targets[rows, None]
            normaliser = torch.logsumexp(logits, dim=1, keepdim=True)
            loss += (share[rows, None] * (normaliser - logits.gather(1, chosen))).sum()
            grad = logits.sub_(normaliser).exp_().mul_(share[rows, None])
            grad.scatter_add_(1, chosen, -share[rows, None])
            torch.mm(grad, item_vectors, out=query_grad[rows])
            item_grad.addmm_(grad.T, queries[rows])
        ctx.save_for_backward(query_grad, item_grad)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        query_grad, item_grad = ctx.saved_tensors
        return query_grad * grad_outputs[0], item_grad * grad_outputs[0], None, None


def sampled_softmax_loss(
    queries: Tensor,
    positives: Tensor,
    targets: Tensor,
    negative_vectors: Tensor,
    negatives: Tensor,
    log_expected: Tensor,
    weights: Tensor,
) -> Tensor:
    """Weighted mean cross-entropy against shared sampled negatives, logQ-corrected, a scalar.

    "Sampling-bias-corrected neural modeling" (Yi et al., RecSys 2019). queries and positives float32 [N, D],
    the positive's vector beside each query; targets int64 [N]; negatives int64 [S] with vectors float32 [S,
    D], drawn with replacement; log_expected float32 [S], log of the expected number of draws of each item.
    The sum over corrected negatives estimates the sum over all items but the positive: a negative that is the
    target is masked, and the positive, which is appended and not drawn, must not be corrected.
    """
    positive_logits = (queries * positives).sum(-1, keepdim=True)  # [N, 1]
    logits = queries @ negative_vectors.T - log_expected  # [N, S]
    logits = logits.masked_fill(targets[:, None] == negatives, float("-inf"))
    nats = torch.logsumexp(torch.cat([positive_logits, logits], dim=1), dim=1) - positive_logits[:, 0]
    return (nats * weights).sum() / weights.sum()


def ranking_loss(
    logits: Tensor,
    target_index: Tensor,
    target_head: Tensor,
    candidate_mask: Tensor,
    binary_weight: float = 0.1,
) -> Tensor:
    """Order and calibration of a list at once, a scalar in nats per example.

    "Joint Optimization of Ranking and Calibration" (JRC, arXiv:2208.06164) in its plainest form. logits
    float32 [B, K, H]; target_index and target_head int64 [B]; candidate_mask bool [B, K], true where a
    candidate stands. A softmax over the candidates in the head of the target orders them; binary
    cross-entropy over all candidates and heads, summed per example, keeps each logit a log-odds.
    """
    example = torch.arange(len(logits), device=logits.device)
    of_head = logits[example, :, target_head].masked_fill(~candidate_mask, float("-inf"))  # [B, K]
    listwise = F.cross_entropy(of_head, target_index)
    labels = torch.zeros_like(logits)
    labels[example, target_index, target_head] = 1.0
    binary = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    per_example = (binary * candidate_mask[..., None]).sum((1, 2))
    return listwise + binary_weight * per_example.mean()
