"""Losses as pure functions of tensors, in nats per example.

N targets, I items, S sampled negatives, D embedding_dim. Queries are states divided by the temperature, so
that query @ item vector is a logit.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 512
"""Rows of logits made at once, which bounds memory; few enough for the processor's cache."""


def full_softmax_loss(
    queries: Tensor,
    targets: Tensor,
    item_vectors: Tensor,
    weights: Tensor,
    logit_type: torch.dtype | None = None,
) -> Tensor:
    """Weighted mean cross-entropy of targets against all items, a scalar.

    queries float32 [N, D], targets int64 [N] rows of item_vectors float32 [I, D], weights float32 [N], not
    all 0. Equals `F.cross_entropy(queries @ item_vectors.T, targets)`; see `_Softmax` for what it asks of the logits.
    """
    share = weights / weights.sum()
    positives = item_vectors.index_select(0, targets)  # [N, D]
    wide = logit_type or queries.dtype
    loss: Tensor = _Softmax.apply(queries, positives, item_vectors, targets, None, share, wide)  # type: ignore[no-untyped-call]
    return loss


def sampled_softmax_loss(
    queries: Tensor,
    positives: Tensor,
    targets: Tensor,
    negative_vectors: Tensor,
    negatives: Tensor,
    log_weights: Tensor,
    weights: Tensor,
    logit_type: torch.dtype | None = None,
) -> Tensor:
    """Weighted mean cross-entropy against shared sampled negatives, logQ-corrected, a scalar.

    "Sampling-bias-corrected neural modeling" (Yi et al., RecSys 2019). queries and positives float32 [N, D],
    the positive's vector beside each query; targets int64 [N]; negatives int64 [S], ascending and distinct, with
    vectors float32 [S, D]; log_weights float32 [S], log of how often each was drawn over how often it was expected.
    The sum over weighted negatives estimates the sum over all items but the positive: a negative that is the
    target is left out, and the positive, which is not drawn, must not be corrected. See `_Softmax` for what it asks of
    the logits.
    """
    share = weights / weights.sum()
    at = torch.searchsorted(negatives, targets).clamp(max=len(negatives) - 1)
    own = torch.where(negatives[at] == targets, at, -1)
    wide = logit_type or queries.dtype
    loss: Tensor = _Softmax.apply(  # type: ignore[no-untyped-call]
        queries, positives, negative_vectors, own, log_weights.exp(), share, wide
    )
    return loss


class _Softmax(torch.autograd.Function):
    """Cross-entropy of each query's positive against weighted columns of vectors, which keeps no matrix of logits.

    The gradient of a chunk of rows is taken at once, so that the large matrix is written twice only. No maximum is
    taken off before the exponential: logits must lie within ±80, as cosines divided by a temperature from .0125 do.
    A `logit_type` of bfloat16 makes the large matrix in half the width, three times faster where the processor knows
    it; the positive's own logit is always wide.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        positives: Tensor,
        vectors: Tensor,
        own: Tensor,
        column_weights: Tensor | None,
        share: Tensor,
        logit_type: torch.dtype,
    ) -> Tensor:
        """`own` int64 [N] is the column of a query's positive, which counts once and unweighted, -1 without one."""
        positive_logits = (queries * positives).sum(1)
        positive = positive_logits.exp()
        loss = -(share * positive_logits).sum()
        query_grad = torch.empty_like(queries)
        vector_grad = torch.zeros_like(vectors)
        totals = torch.empty_like(share)
        narrow_queries, narrow_vectors = queries.to(logit_type), vectors.to(logit_type)
        narrow_weights = None if column_weights is None else column_weights.to(logit_type)
        for start in range(0, len(queries), CHUNK):
            rows = slice(start, start + CHUNK)
            exponentials = (narrow_queries[rows] @ narrow_vectors.T).exp_()  # [chunk, columns]
            if narrow_weights is not None:
                exponentials *= narrow_weights
            _clear(exponentials, own[rows])
            totals[rows] = exponentials.sum(1, dtype=queries.dtype) + positive[rows]
            scale = (share[rows] / totals[rows])[:, None]
            query_grad[rows] = scale * (exponentials @ narrow_vectors)
            vector_grad += exponentials.T @ (scale * queries[rows]).to(logit_type)
        loss += (share * totals.log()).sum()
        pull = (share * (positive / totals - 1))[:, None]  # [N, 1]
        ctx.save_for_backward(query_grad.addcmul_(pull, positives), pull * queries, vector_grad)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grads = (grad * grad_outputs[0] for grad in ctx.saved_tensors)
        return *grads, None, None, None, None


def _clear(rows: Tensor, columns: Tensor) -> None:
    """Set one column of each row to zero, in place; none where it is -1."""
    places = columns.clamp(min=0)[:, None]
    rows.scatter_(1, places, rows.gather(1, places) * (columns < 0)[:, None])


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
