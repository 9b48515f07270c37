-- canary: how many recipients go first, 0 once the others may go. canary_held: since when the others are held back;
-- infinity and -infinity if only an operator releases them. Until then shards without somebody to go are due in infinity.

ALTER TABLE campaign.run ADD canary bigint NOT NULL DEFAULT 0, ADD canary_held timestamptz;
