"""Amazon: signed requests to an SQS queue, and the events of SES in it."""
