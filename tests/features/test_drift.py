"""The index of drift equals its sum; what was counted in training tells each code of an answer its bin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.drift import BINS, bins_of, psi, psi_of_counts
from features.inputs import InputReference

codes_of_a_sample = st.lists(st.integers(0, 40), min_size=1, max_size=200).map(np.array)


def test_psi_equals_its_sum() -> None:
    before, after = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    assert psi(before, after) == pytest.approx(2 * 0.5 * np.log(3))
    assert psi(before, before) == 0.0
    assert psi(before, np.array([], dtype=np.int64)) == 0.0


def test_many_codes_are_put_in_bins_of_equal_mass_and_new_ones_in_the_last() -> None:
    bins = bins_of(np.append(np.full(100, 10), 0))
    assert np.bincount(bins[:100]).tolist() == [BINS] * BINS
    assert bins[100] == BINS - 1
    assert bins_of(np.array([0, 0, 0, 2, 0, 0, 0, 1])).tolist() == [2, 2, 2, 0, 2, 2, 2, 1]


@given(codes_of_a_sample, codes_of_a_sample)
def test_counts_by_bin_add_up_to_the_index_of_the_whole(before: np.ndarray, after: np.ndarray) -> None:
    """What two workers counted, added bin by bin, gives the index of all their answers."""
    reference = InputReference.of(before)
    parts = [np.bincount([reference.bin_of(code) for code in part], minlength=len(reference.counts))
             for part in (after[::2].tolist(), after[1::2].tolist())]  # fmt: skip
    bins = [np.array([reference.bin_of(code) for code in sample.tolist()]) for sample in (before, after)]
    assert psi_of_counts(reference.counts, np.sum(parts, axis=0)) == pytest.approx(psi(*bins))
    np.testing.assert_array_equal(np.bincount(bins[0], minlength=len(reference.counts)), reference.counts)


@given(codes_of_a_sample)
def test_a_reference_is_read_as_it_was_written_and_has_a_bin_for_any_code(sample: np.ndarray) -> None:
    reference = InputReference.of(sample)
    read = InputReference.from_json(reference.to_json())
    assert read.to_json() == reference.to_json()
    assert [read.bin_of(code) for code in range(50)] == [reference.bin_of(code) for code in range(50)]
    assert read.bin_of(10**6) == len(read.counts) - 1
    assert sum(read.shares) == pytest.approx(1.0)
    assert len(read.counts) <= BINS + 1
