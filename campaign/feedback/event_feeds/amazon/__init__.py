"""Amazon: signed requests to a queue of SQS, and what the events of SES in it tell."""
