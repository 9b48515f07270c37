# noqa: INP001 - a folder of an example, not a package
"""The handler of AWS Lambda: Mangum passes each event of a function URL or an HTTP API on to the application."""

from __future__ import annotations

import logging

from mangum import Mangum

from campaign.listen.app import app

logging.getLogger("mangum").setLevel(logging.WARNING)  # its lines have the paths of requests, and so the tokens
handler = Mangum(app, lifespan="off")  # each request is stored before its answer: nothing is left to do at the end
