"""Each loss equals its slow and obvious form; the sampled one shows its trap."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses import CHUNK, full_softmax_loss, ranking_loss, sampled_softmax_loss


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(11)


def problem(targets: int, items: int, dim: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    queries = torch.randn(targets, dim, dtype=torch.float64, requires_grad=True)
    vectors = torch.randn(items, dim, dtype=torch.float64, requires_grad=True)
    return queries, torch.randint(0, items, (targets,)), vectors, torch.rand(targets, dtype=torch.float64)


def plain_cross_entropy(queries: Tensor, targets: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
    return plain_cross_entropy_of(queries @ vectors.T, targets, weights)


def plain_cross_entropy_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    nats = F.cross_entropy(logits, targets, reduction="none")
    return (nats * weights).sum() / weights.sum()


def test_full_softmax_is_cross_entropy_with_its_gradients() -> None:
    given = problem(CHUNK + 37, 50)
    found, expected = full_softmax_loss(*given), plain_cross_entropy(*given)
    torch.testing.assert_close(found, expected)
    found_grads = torch.autograd.grad(found * 3, (given[0], given[2]))
    expected_grads = torch.autograd.grad(expected * 3, (given[0], given[2]))
    torch.testing.assert_close(found_grads, expected_grads)


def test_a_weight_of_zero_takes_an_example_out() -> None:
    queries, targets, vectors, weights = problem(8, 20)
    weights[3:] = 0
    found = full_softmax_loss(queries, targets, vectors, weights)
    torch.testing.assert_close(found, full_softmax_loss(queries[:3], targets[:3], vectors, weights[:3]))


def test_sampled_softmax_is_its_formula_with_its_gradients() -> None:
    queries, targets, vectors, weights = problem(CHUNK + 37, 50)
    positives = vectors.detach()[targets].requires_grad_()
    rows, log_weights = torch.arange(3, 50, 2), torch.randn(24, dtype=torch.float64)
    negatives = vectors.detach()[rows].requires_grad_()
    found = sampled_softmax_loss(queries, positives, targets, negatives, rows, log_weights, weights)
    logits = (queries @ negatives.T + log_weights).masked_fill(targets[:, None] == rows, float("-inf"))
    with_positive = torch.cat([(queries * positives).sum(1, keepdim=True), logits], dim=1)
    expected = plain_cross_entropy_of(with_positive, torch.zeros_like(targets), weights)
    torch.testing.assert_close(found, expected)
    given = (queries, positives, negatives)
    torch.testing.assert_close(torch.autograd.grad(found * 3, given), torch.autograd.grad(expected * 3, given))


class TestLogQ:
    """With 200,000 draws from a skewed proposal, the corrected sampled loss is the full softmax."""

    DRAWS = 200_000
    QUERIES, TARGETS, VECTORS, WEIGHTS = problem(5, 30)
    PROPOSAL = torch.softmax(torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), 0)

    def draw(self) -> tuple[Tensor, Tensor]:
        drawn = torch.multinomial(self.PROPOSAL, self.DRAWS, replacement=True)
        return drawn, (self.DRAWS * self.PROPOSAL[drawn]).log()

    def sampled(self, drawn: Tensor, log_expected: Tensor) -> float:
        distinct, first, times = np.unique(drawn.numpy(), return_index=True, return_counts=True)
        log_weights = torch.from_numpy(times).log() - log_expected[torch.from_numpy(first)]
        rows = torch.from_numpy(distinct)
        return sampled_softmax_loss(
            self.QUERIES, self.VECTORS[self.TARGETS], self.TARGETS, self.VECTORS[rows], rows, log_weights, self.WEIGHTS
        ).item()

    def mean(self, nats: Tensor) -> float:
        return ((nats * self.WEIGHTS).sum() / self.WEIGHTS.sum()).item()

    def appended_and_corrected(self) -> float:
        """The trap: a positive that was appended is treated as if it had been drawn."""
        drawn, log_expected = self.draw()
        logits = self.QUERIES @ self.VECTORS[drawn].T - log_expected
        logits = logits.masked_fill(self.TARGETS[:, None] == drawn, float("-inf"))
        positive = (self.QUERIES * self.VECTORS[self.TARGETS]).sum(-1)
        positive = positive - (self.DRAWS * self.PROPOSAL[self.TARGETS]).log()
        return self.mean(torch.logsumexp(torch.cat([positive[:, None], logits], 1), 1) - positive)

    def drawn_positive(self, log_expected_of_positive: float) -> float:
        """The positive comes from the sample, where all others are corrected."""
        drawn, log_expected = self.draw()
        logits = self.QUERIES @ self.VECTORS[drawn].T
        hits = self.TARGETS[:, None] == drawn
        positive = logits - log_expected * log_expected_of_positive
        nats = torch.logsumexp(logits - log_expected, 1) - torch.logsumexp(
            positive.masked_fill(~hits, float("-inf")), 1
        )
        return self.mean(nats)

    def full(self) -> float:
        return plain_cross_entropy(self.QUERIES, self.TARGETS, self.VECTORS, self.WEIGHTS).item()

    def test_equals_the_full_softmax(self) -> None:
        assert self.sampled(*self.draw()) == pytest.approx(self.full(), rel=0.01)

    def test_without_correction_it_does_not(self) -> None:
        drawn, _ = self.draw()
        assert abs(self.sampled(drawn, torch.zeros(self.DRAWS)) - self.full()) > 0.5

    def test_an_appended_positive_must_not_be_corrected(self) -> None:
        assert abs(self.appended_and_corrected() - self.full()) > 0.5

    def test_a_drawn_positive_must_be(self) -> None:
        assert self.drawn_positive(1.0) == pytest.approx(self.full(), rel=0.01)
        assert abs(self.drawn_positive(0.0) - self.full()) > 0.5


class TestRankingLoss:
    LOGITS = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(2))
    TARGET = torch.tensor([0, 2, 1])
    HEAD = torch.tensor([1, 0, 0])
    WEIGHTS = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]).float()

    def loss(self, logits: Tensor, binary_weight: float = 0.1) -> float:
        return ranking_loss(logits, self.TARGET, F.one_hot(self.HEAD, 2).float(), self.WEIGHTS, binary_weight).item()

    def test_equals_the_sum_written_out(self) -> None:
        total = 0.0
        for example in range(3):
            real = self.LOGITS[example][self.WEIGHTS[example] > 0]  # [K, H]
            head, target = int(self.HEAD[example]), int(self.TARGET[example])
            total += float(torch.logsumexp(real[:, head], 0) - real[target, head])
            for candidate in range(len(real)):
                for one in range(2):
                    wanted = candidate == target and one == head
                    total -= 0.1 * float(F.logsigmoid(real[candidate, one] if wanted else -real[candidate, one]))
        assert self.loss(self.LOGITS) == pytest.approx(total / 3, rel=1e-5)

    def test_what_is_masked_changes_nothing(self) -> None:
        noisy = torch.where(self.WEIGHTS[..., None] > 0, self.LOGITS, torch.tensor(99.0))
        assert self.loss(noisy) == pytest.approx(self.loss(self.LOGITS))

    def test_without_the_binary_part_a_common_shift_changes_nothing(self) -> None:
        assert self.loss(self.LOGITS + 5, 0.0) == pytest.approx(self.loss(self.LOGITS, 0.0), abs=1e-5)
        assert self.loss(self.LOGITS + 5) > self.loss(self.LOGITS) + 1

    def test_one_candidate_that_stands_for_two_counts_like_two(self) -> None:
        twice = torch.cat([self.LOGITS, self.LOGITS[:, 3:]], dim=1)
        weights = torch.tensor([[1.0, 1, 1, 1, 1]] * 3)
        heads = F.one_hot(self.HEAD, 2).float()
        once = ranking_loss(self.LOGITS, self.TARGET, heads, torch.tensor([[1.0, 1, 1, 2]] * 3))
        torch.testing.assert_close(ranking_loss(twice, self.TARGET, heads, weights), once)

    def test_two_heads_of_one_target_count_half_each(self) -> None:
        both = ranking_loss(self.LOGITS, self.TARGET, torch.ones(3, 2), self.WEIGHTS, 0.0)
        single = [
            ranking_loss(self.LOGITS, self.TARGET, F.one_hot(torch.full((3,), head), 2).float(), self.WEIGHTS, 0.0)
            for head in range(2)
        ]
        torch.testing.assert_close(both, (single[0] + single[1]) / 2)
