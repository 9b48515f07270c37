-- The ledger of several machines. Editions hold runs, runs hold shards, and each shard has one journal, kept as numbered
-- segments that are only ever appended. Times are the server's. Octets are compressed (zlib) unless they are few.

CREATE SCHEMA IF NOT EXISTS campaign;

-- lease: for how long a worker holds a shard without a sign of life; then another one takes it over.
CREATE TABLE campaign.meta (version int NOT NULL, lease interval NOT NULL DEFAULT '30 s');

-- Whoever makes, closes or changes runs of an edition holds it: holder, a random token, and until when.
CREATE TABLE campaign.edition (
    edition bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    label text NOT NULL,
    holder text NOT NULL DEFAULT '',
    token bigint NOT NULL DEFAULT 0,
    until timestamptz NOT NULL DEFAULT '-infinity',
    UNIQUE (name, label)
);

-- What an operator asks of a run: state, rate, connections; changed counts the requests.
CREATE TABLE campaign.run (
    run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edition bigint NOT NULL REFERENCES campaign.edition,
    stamp text NOT NULL,
    recipients bigint NOT NULL,
    shard_size int NOT NULL,
    open boolean NOT NULL,
    exit_code int,
    state text NOT NULL DEFAULT 'run',
    rate text,
    connections int,
    changed bigint NOT NULL DEFAULT 0,
    server text NOT NULL,
    UNIQUE (edition, stamp)
);

-- The frozen plan, and what else a run's folder needs, in parts.
CREATE TABLE campaign.file (
    run bigint NOT NULL REFERENCES campaign.run ON DELETE CASCADE,
    name text NOT NULL,
    part int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run, name, part)
);
ALTER TABLE campaign.file ALTER data SET STORAGE EXTERNAL;

-- Shard 0 is the run's own journal, which belongs to whoever holds the edition. The others have recipients "first" up to
-- "beyond"; a worker holds one until a time, and appends with its token.
CREATE TABLE campaign.shard (
    run bigint NOT NULL REFERENCES campaign.run ON DELETE CASCADE,
    shard int NOT NULL,
    first bigint NOT NULL,
    beyond bigint NOT NULL,
    holder text,
    token bigint NOT NULL DEFAULT 0,
    until timestamptz NOT NULL DEFAULT '-infinity',
    due timestamptz NOT NULL DEFAULT '-infinity',
    done boolean NOT NULL DEFAULT false,
    tally bigint[] NOT NULL,
    PRIMARY KEY (run, shard)
) WITH (fillfactor = 70);
CREATE INDEX ON campaign.shard (run, due, shard) WHERE NOT done;

CREATE TABLE campaign.segment (
    run bigint NOT NULL REFERENCES campaign.run ON DELETE CASCADE,
    shard int NOT NULL,
    seq int NOT NULL,
    token bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    data bytea NOT NULL,
    PRIMARY KEY (run, shard, seq)
) WITH (toast_tuple_target = 8160);  -- in the row itself: another table and index would cost a third more
ALTER TABLE campaign.segment ALTER data SET STORAGE EXTERNAL;
CREATE INDEX ON campaign.segment (run, id);

-- Verdicts of a worker that had lost its shard when they came.
CREATE TABLE campaign.late (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL REFERENCES campaign.run ON DELETE CASCADE,
    shard int NOT NULL,
    token bigint NOT NULL,
    data bytea NOT NULL,
    merged boolean NOT NULL DEFAULT false
);
CREATE INDEX ON campaign.late (run, shard) WHERE NOT merged;

CREATE TABLE campaign.worker (
    name text PRIMARY KEY,
    run bigint NOT NULL REFERENCES campaign.run ON DELETE CASCADE,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat timestamptz NOT NULL DEFAULT clock_timestamp(),
    rate real NOT NULL DEFAULT 0,
    waiting text NOT NULL DEFAULT '',
    append_ms real NOT NULL DEFAULT 0
);
