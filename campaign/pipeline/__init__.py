"""The run, from the campaign file to the exit code: the only folder that knows all five stages.

`send.py` tells it on one page of verbs; `choosing.py` finds or makes the run, `serving.py` sweeps over those who wait,
`closing.py` draws up the facts, `rehearsal.py` does everything short of sending, `upkeep.py` tends to a run that
exists.
"""
