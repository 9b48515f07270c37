"""The run, from the campaign file to the exit code: the only folder that knows all five stages.

`send.py` tells it on one page of verbs; `choose_run.py` finds or makes the run, `pass_loop.py` sweeps over those who
wait, `close_run.py` draws up the facts, `preview.py` does everything short of sending, `manage.py` tends to a run that
exists.
"""
