-- What came back about letters of all campaigns of the store, and dead addresses that relays named: one row an event,
-- a line of feedback.jsonl. Rows are added under a lock, so a higher seq is never committed before a lower one.
-- id is the SHA-256 of the event's id. uid tells this store from one that was made anew under the same address.

ALTER TABLE campaign.meta ADD uid uuid NOT NULL DEFAULT gen_random_uuid();

CREATE TABLE campaign.feedback_event (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    event bytea NOT NULL
);
