"""The collector's settings are those of before once a run is over, also when it ends badly."""

from __future__ import annotations

import gc

import pytest

from campaign.pipeline.serve.gc_tuning import THRESHOLDS, seldom


def test_the_collector_looks_seldom_for_a_while_and_then_as_before() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), seldom():  # noqa: PT012 - what holds inside is the point
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count()
        raise KeyError
    assert gc.get_threshold() == before
    assert not gc.get_freeze_count()
