"""Months, hours, analyses: joins, leap years, the record's end."""

from itertools import pairwise

import numpy as np
import pytest

from deepcams.calendar import (
    ACROSS_WINDOWS,
    ANALYSIS,
    INTERPOLATED,
    MISSING,
    STATUS_MEANINGS,
    Month,
    hour_status,
    hours_between,
    is_analysis,
    months_between,
)
from deepcams.errors import DeepcamsError


@pytest.mark.parametrize(
    ("text", "days"), [("2015-01", 31), ("2016-02", 29), ("2015-02", 28), ("2000-02", 29), ("2100-02", 28)]
)
def test_a_month_has_its_days(text, days):
    month = Month.parse(text)
    assert str(month) == text
    assert month.days == days
    assert len(month.hours()) == 24 * days
    assert len(month.mid_hours()) == 24 * days
    assert len(month.analyses()) == 8 * days + 1
    assert len(month.analyses(with_next=False)) == 8 * days


@pytest.mark.parametrize(
    "text", ["2015", "2015-1", "2015-13", "2015-00", "15-01", "2015/01", "2015-01-01", "2015-1²", "", None]
)
def test_what_is_not_a_month_is_refused(text):
    with pytest.raises(DeepcamsError, match="YYYY-MM"):
        Month.parse(text)


def test_mid_hours_are_half_past():
    times = Month(2018, 1).mid_hours()
    assert times[0] == np.datetime64("2018-01-01T00:30:00")
    assert times[-1] == np.datetime64("2018-01-31T23:30:00")
    assert times.dtype == np.dtype("datetime64[s]")


def test_months_join_without_gap_or_overlap():
    months = months_between(Month(2019, 11), Month(2021, 2))
    assert [str(m) for m in months[:3]] == ["2019-11", "2019-12", "2020-01"]
    assert len(months) == 16
    joined = np.concatenate([m.hours() for m in months])
    np.testing.assert_array_equal(joined, hours_between(months[0].start, months[-1].end)[:-1])
    for earlier, later in pairwise(months):
        assert earlier.next() == later
        assert later.previous() == earlier
        assert earlier < later
        # The last interval of a month ends with the next month's first frame: neither needs the other's file.
        assert earlier.analyses()[-1] == later.analyses()[0] == later.start
    assert months_between(Month(2020, 2), Month(2020, 1)) == []


def test_analyses_are_every_third_hour():
    hours = Month(2016, 2).hours()
    np.testing.assert_array_equal(np.flatnonzero(is_analysis(hours)), np.arange(0, 24 * 29, 3))
    assert not is_analysis(Month(2016, 2).mid_hours()).any()
    assert not is_analysis(hours[:1] + np.timedelta64(1, "s")).any()


def test_leap_day_belongs_to_its_month():
    hours = Month(2020, 2).hours()
    assert hours[-1] == np.datetime64("2020-02-29T23:00:00")
    year = np.concatenate([m.hours() for m in months_between(Month(2020, 1), Month(2020, 12))])
    assert len(year) == 8784


def test_status_of_the_hours_of_a_day():
    month = Month(2015, 6)
    status = hour_status(month.hours(), month.start, month.end)
    a, i, x = ANALYSIS, INTERPOLATED, ACROSS_WINDOWS
    day = [a, i, i, a, i, i, a, i, i, a, x, x, a, i, i, a, i, i, a, i, i, a, x, x]
    np.testing.assert_array_equal(status, day * 30)
    assert status.dtype == np.int8
    assert STATUS_MEANINGS.split()[MISSING] == "missing"


def test_the_last_two_hours_of_the_record_are_missing():
    month = Month(2024, 12)
    status = hour_status(month.hours(), Month(2003, 1).start, month.analyses(with_next=False)[-1])
    assert status[-3:].tolist() == [ANALYSIS, MISSING, MISSING]
    assert (status[:-2] != MISSING).all()


def test_hours_before_the_record_are_missing():
    month = Month(2003, 1)
    status = hour_status(month.hours(), month.start + np.timedelta64(6, "h"), month.end)
    assert (status[:6] == MISSING).all()
    assert status[6] == ANALYSIS
