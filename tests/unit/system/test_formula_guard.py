"""Cells that a spreadsheet would compute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.system.formula_guard import guard, unguard


@pytest.mark.parametrize("cell", ["=1+1", "+49 30 1", "-5", "@SUM(A1)", "\tx", "\rx", "\nx", "\0x", "'=1", "''@x"])
def test_a_cell_a_spreadsheet_would_run_gets_an_apostrophe_which_comes_off_again(cell):
    assert guard(cell) == "'" + cell
    assert unguard(guard(cell)) == cell


@pytest.mark.parametrize("cell", ["", "Ada", "'tis", "'", "a=1", " =1", "007", "Null"])
def test_innocent_cells_stay_as_they_are(cell):
    assert guard(cell) == cell
    assert unguard(cell) == cell


@given(st.text(alphabet=st.sampled_from("'=+-@\t\r\n\0ab "), max_size=6))
def test_guarding_loses_nothing_and_leaves_nothing_to_run(cell):
    guarded = guard(cell)
    assert unguard(guarded) == cell
    assert guarded[:1] not in set("=+-@\t\r\n\0")
