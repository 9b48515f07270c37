"""The run, from the campaign file to the exit code: the only folder that imports all stages.

`send.py` is the run on one page of verbs. `start/` finds or makes the run, `serve/` makes passes over those who wait,
`finish/` closes it, `operate/` has the commands for a run that exists. `preview.py` is everything short of sending.
"""
