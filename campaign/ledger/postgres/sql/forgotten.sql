-- Who was forgotten, without a name, so that each machine erases its own copies. number grows. seals are keyed digests of
-- the person's key (by provider_rules or not) under the campaigns' secrets; suppressed: events keep a hash of the address.
-- recipients say on which lines of which plans the person was. erased: the last forgetting that changed a run.

CREATE TABLE campaign.forgotten (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    suppressed boolean NOT NULL,
    provider_rules boolean NOT NULL,
    seals text[] NOT NULL
);

CREATE TABLE campaign.forgotten_recipient (
    number bigint NOT NULL REFERENCES campaign.forgotten ON DELETE CASCADE,
    run bigint NOT NULL REFERENCES campaign.run ON DELETE CASCADE,
    recipient bigint NOT NULL,
    PRIMARY KEY (number, run, recipient)
);
CREATE INDEX ON campaign.forgotten_recipient (run);

ALTER TABLE campaign.run ADD erased bigint NOT NULL DEFAULT 0;
