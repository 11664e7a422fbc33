"""BitRound against whole numbers, over several pieces of the array. What it does to files: test_netcdf_files."""

import numpy as np
import pytest

from deepcams.files.rounding import round_mantissa


def one_by_one(words, bits):
    """The rule on Python's integers: the magnitude to the nearest multiple of 2^(23-bits), ties to the even one."""
    unit, result = 1 << (23 - bits), []
    for word in map(int, words):
        sign, magnitude = word & 0x80000000, word & 0x7FFFFFFF
        quotient, rest = divmod(magnitude, unit)
        rounded = (quotient + (2 * rest + (quotient & 1) > unit)) * unit
        if magnitude > 0x7F800000:
            sign, magnitude = 0, 0x7FC00000
        elif rounded < 0x7F800000:
            magnitude = rounded
        result.append(sign | magnitude)
    return np.array(result, dtype=np.uint32)


@pytest.mark.parametrize("bits", [1, 7, 8, 22])
@pytest.mark.parametrize("signs", ["positive", "finite", "any"])
def test_every_pattern_of_bits_is_rounded_by_the_rule(bits, signs):
    words = np.random.default_rng(bits).integers(0, 1 << 32, 200_000, dtype=np.uint32)
    words[::3] &= np.uint32(0xFFFFFFFF & ~((1 << (22 - bits)) - 1))  # many ties
    if signs == "positive":
        words %= np.uint32(0x7F000000)
    elif signs == "finite":
        words &= np.uint32(0xFEFFFFFF)
    values = words.view(np.float32)
    expected = one_by_one(words, bits)
    rounded = round_mantissa(values.reshape(2, -1), bits)
    assert np.shares_memory(rounded, values)
    np.testing.assert_array_equal(words, expected)


@pytest.mark.parametrize("place", [0, 65_535, 65_536, 199_999])
def test_one_missing_value_is_kept_wherever_it_is(place):
    values = np.random.default_rng(0).lognormal(1, 1, 200_000).astype(np.float32)
    expected = one_by_one(values.view(np.uint32), 7)
    values.view(np.uint32)[place], expected[place] = 0x7FFFFFFF, 0x7FC00000  # NaN; adding to it would give -0
    np.testing.assert_array_equal(round_mantissa(values, 7).view(np.uint32), expected)


def test_a_view_with_gaps_is_refused_rather_than_left_unrounded():
    with pytest.raises(ValueError, match="copy"):
        round_mantissa(np.ones((4, 6), np.float32)[:, :2], 7)


def test_nothing_is_rounded_to_nothing():
    assert round_mantissa(np.empty((0, 3), np.float32), 7).shape == (0, 3)
