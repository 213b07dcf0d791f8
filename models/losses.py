"""Losses as pure functions of tensors, in nats per example.

N targets, I items, S sampled negatives, D embedding_dim. Queries are states divided by the temperature, so
that query @ item vector is a logit.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 2048
"""Rows of logits made at once, which bounds memory."""


def full_softmax_loss(
    queries: Tensor,
    targets: Tensor,
    item_vectors: Tensor,
    weights: Tensor,
    logit_type: torch.dtype | None = None,
) -> Tensor:
    """Weighted mean cross-entropy of targets against all items, a scalar.

    queries float32 [N, D], targets int64 [N] rows of item_vectors float32 [I, D], weights float32 [N], not
    all 0. Equals `F.cross_entropy(queries @ item_vectors.T, targets)`, but keeps no [N, I] matrix: the
    gradient of a chunk of rows is taken at once, and the large matrix is written twice only. No maximum is
    taken off before the exponential: logits must lie within ±80, as cosines divided by a temperature from
    .0125 do. `logit_type` bfloat16 makes the large matrix in half the width, three times faster where the
    processor knows it.
    """
    share = weights / weights.sum()
    wide = logit_type or queries.dtype
    loss: Tensor = _FullSoftmax.apply(queries, item_vectors, targets, share, wide)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, item_vectors: Tensor, targets: Tensor, share: Tensor, logit_type: torch.dtype
    ) -> Tensor:
        positives = item_vectors[targets]  # [N, D]
        loss = -(share * (queries * positives).sum(1)).sum()
        query_grad = -share[:, None] * positives
        item_grad = torch.zeros_like(item_vectors).index_add_(0, targets, -share[:, None] * queries)
        narrow_queries, narrow_items = queries.to(logit_type), item_vectors.to(logit_type)
        for start in range(0, len(queries), CHUNK):
            rows = slice(start, start + CHUNK)
            exponentials = (narrow_queries[rows] @ narrow_items.T).exp_()  # [chunk, I]
            total = exponentials.sum(1, dtype=queries.dtype)
            loss += (share[rows] * total.log()).sum()
            scale = (share[rows] / total)[:, None]
            query_grad[rows] += scale * (exponentials @ narrow_items)
            item_grad += exponentials.T @ (scale * queries[rows]).to(logit_type)
        ctx.save_for_backward(query_grad, item_grad)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        query_grad, item_grad = ctx.saved_tensors
        return query_grad * grad_outputs[0], item_grad * grad_outputs[0], None, None, None


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
    target_heads: Tensor,
    candidate_weights: Tensor,
    binary_weight: float = 0.1,
) -> Tensor:
    """Order and calibration of a list at once, a scalar in nats per example.

    "Joint Optimization of Ranking and Calibration" (JRC, arXiv:2208.06164) in its plainest form. logits
    float32 [B, K, H]; target_index int64 [B]; target_heads float32 [B, H], 1 for each type that came of the
    target, at least one; candidate_weights float32 [B, K], how many candidates each stands for: 1 for the
    target, more where others were left out, 0 where none stands. A softmax over the candidates in each head of
    the target orders them; binary cross-entropy over all candidates and heads, summed per example, keeps each
    logit a log-odds.
    """
    example = torch.arange(len(logits), device=logits.device)
    shares = F.log_softmax(logits + candidate_weights.log()[..., None], dim=1)
    of_target = shares[example, target_index]  # [B, H]
    listwise = -((of_target * target_heads).sum(1) / target_heads.sum(1)).mean()
    labels = torch.zeros_like(logits)
    labels[example, target_index] = target_heads
    binary = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    per_example = (binary * candidate_weights[..., None]).sum((1, 2))
    return listwise + binary_weight * per_example.mean()
