-- The pace of relay accounts, for all machines together. A lane is the account itself (name '') or a group of recipient
-- domains. A slot is one turn of a lane: a letter may leave from its start until its end, on the server's clock, or
-- not at all. The shortest limit of an account is kept by the distance of its slots. All other limits are counted in a
-- thousand buckets each, where a slot counts at its end; a slot that was not used is taken out of its bucket again.
-- This file may be applied again at any time.

CREATE TABLE IF NOT EXISTS campaign.pace (
    account text NOT NULL,
    lane text NOT NULL,
    next float8 NOT NULL DEFAULT 0,                 -- the next slot begins here or later
    grace float8 NOT NULL DEFAULT 0,                -- seconds a slot lasts, as long as any worker needed it recently
    grace_at float8 NOT NULL DEFAULT 0,
    shape text NOT NULL DEFAULT '',                 -- the shortest limit of whoever asked last
    counted float8 NOT NULL DEFAULT 0,               -- until then the shortest limit is counted too: it was changed
    tracked float8[] NOT NULL DEFAULT '{}',         -- lengths of windows that have buckets
    cleaned float8 NOT NULL DEFAULT 0,
    factor float8 NOT NULL DEFAULT 0,               -- slowed to this share of "base"; 0: not slowed
    slowed float8 NOT NULL DEFAULT 0,
    base float8 NOT NULL DEFAULT 0,
    held float8 NOT NULL DEFAULT 0,
    began float8 NOT NULL DEFAULT 0,                -- of the ramp
    last float8 NOT NULL DEFAULT 0,
    born float8 NOT NULL DEFAULT 0,                 -- first slot ever: day 1 of the warm-up
    era bigint NOT NULL DEFAULT 0,                  -- slots of an earlier era are not taken out of buckets
    era_boot text NOT NULL DEFAULT '',
    boot text NOT NULL DEFAULT '',                  -- of the server, at the last grant
    PRIMARY KEY (account, lane)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS campaign.pace_bucket (
    account text NOT NULL,
    lane text NOT NULL,
    per float8 NOT NULL,
    bucket bigint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (account, lane, per, bucket)
) WITH (fillfactor = 70);

-- Count so many letters in every bucket of a lane that ends at one of these times.
CREATE OR REPLACE FUNCTION campaign.pace_count(
    p_account text, p_lane text, p_ends float8[], p_pers float8[], p_each bigint
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO campaign.pace_bucket AS b (account, lane, per, bucket, n)
    SELECT p_account, p_lane, per, floor(stop / (per / 1000))::bigint, count(*) * p_each
    FROM unnest(p_pers) per, unnest(p_ends) stop GROUP BY 3, 4
    ON CONFLICT (account, lane, per, bucket) DO UPDATE SET n = b.n + excluded.n
$$;

-- The present distance of two slots by the ramp and by how far the lane was slowed; 0 for neither.
CREATE OR REPLACE FUNCTION campaign.pace_distance(p campaign.pace, p_ramp jsonb, p_clock float8) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
    v_age float8;
    v_pace float8 := 0;
    v_share float8;
BEGIN
    IF p_ramp IS NOT NULL THEN
        v_age := CASE WHEN p.began > 0 AND p_clock - p.last <= (p_ramp->>2)::float8 THEN p_clock - p.began ELSE 0 END;
        v_share := least(1.0, greatest(0.0, v_age / (p_ramp->>2)::float8));
        v_pace := 1 / ((p_ramp->>0)::float8 + ((p_ramp->>1)::float8 - (p_ramp->>0)::float8) * v_share);
    END IF;
    IF p.factor > 0 THEN
        v_share := p.factor + 0.1 * floor(greatest(0.0, p_clock - p.slowed) / 30);
        IF v_share < 1 AND p.base > 0 THEN
            v_pace := greatest(v_pace, 1 / (p.base * v_share));
        END IF;
    END IF;
    RETURN v_pace;
END $$;

-- Grant slots of one lane. "p_open" are the starts that are to be had in the account's lane, where a domain's slots
-- have to be among them; NULL: the lane finds its own. "blocked" is the number of the limit that allows none now.
CREATE OR REPLACE FUNCTION campaign.pace_grant(
    p_account text, p_ask jsonb, p_lane jsonb, p_clock float8, p_boot text, p_open float8[], p_tolerance float8,
    OUT starts float8[], OUT stops float8[], OUT first float8, OUT blocked int, OUT distance float8
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    v_name text := p_lane->>'name';
    v_counts float8[] := ARRAY(SELECT jsonb_array_elements_text(p_lane->'counts')::float8);
    v_pers float8[] := ARRAY(SELECT jsonb_array_elements_text(p_lane->'pers')::float8);
    v_want int := (p_lane->>'want')::int;
    v_spent bigint := coalesce((p_lane->>'spent')::bigint, 0);
    v_grace float8 := (p_ask->>'grace')::float8;
    v_beyond float8 := p_clock + (p_ask->>'horizon')::float8;
    v_paced boolean := coalesce(v_pers[1] <= 3600, false);
    v_row campaign.pace;
    v_new float8[];
    v_source float8;
    v_shape text;
    v_next float8;
    v_at float8;
    v_free float8;
    v_pause float8;
    v_buckets bigint[] := '{}';
    v_numbers bigint[] := '{}';
    v_some bigint[];
    v_many bigint[];
    v_used float8[] := '{}';
    v_left float8;
    v_place int[] := '{}';
    v_end int[] := '{}';
    v_checked int;
    v_n int := 0;
    v_k int := 0;
    v_p int;
    v_stop int;
    j int;
BEGIN
    starts := '{}';
    stops := '{}';
    SELECT * INTO v_row FROM campaign.pace WHERE account = p_account AND lane = v_name FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO campaign.pace (account, lane, boot) VALUES (p_account, v_name, p_boot) RETURNING * INTO v_row;
    END IF;
    v_shape := coalesce(v_counts[1] || '/' || v_pers[1], '');
    v_stop := (CASE WHEN v_row.born > 0 THEN floor((p_clock - v_row.born) / 86400) ELSE 0 END)::int;
    IF p_lane->'warmup'->v_stop IS NOT NULL THEN
        v_counts := v_counts || (p_lane->'warmup'->>v_stop)::float8;
        v_pers := v_pers || 86400::float8;
    END IF;

    -- Windows that were not counted so far begin with what the nearest one knows.
    v_new := CASE WHEN v_name = '' AND v_pers <> '{}' THEN v_pers || '{60,3600,86400}'::float8[] ELSE v_pers END;
    v_new := ARRAY(SELECT DISTINCT one FROM unnest(v_new) one WHERE one <> ALL (v_row.tracked));
    IF v_new <> '{}' THEN
        FOREACH v_at IN ARRAY v_new LOOP
            SELECT one INTO v_source FROM unnest(v_row.tracked) one
                ORDER BY one < v_at, CASE WHEN one < v_at THEN -one ELSE one END LIMIT 1;
            INSERT INTO campaign.pace_bucket (account, lane, per, bucket, n)
                SELECT p_account, v_name, v_at, floor((b.bucket + 1) * (v_source / 1000) / (v_at / 1000))::bigint, sum(b.n)
                FROM campaign.pace_bucket b WHERE b.account = p_account AND b.lane = v_name AND b.per = v_source
                GROUP BY 4 HAVING sum(b.n) > 0;
        END LOOP;
        v_row.tracked := v_row.tracked || v_new;
        IF array_length(v_row.tracked, 1) > 12 THEN  -- windows of limits that were changed long ago
            v_row.tracked := ARRAY(SELECT one FROM unnest(v_row.tracked) WITH ORDINALITY t (one, place)
                ORDER BY one = ANY (v_pers || '{60,3600,86400}'::float8[]) DESC, place DESC LIMIT 12);
        END IF;
        v_row.cleaned := 0;
        UPDATE campaign.pace p SET era = p.era + 1 WHERE p.account = p_account AND p.lane = '';
    END IF;

    IF v_name = '' AND v_paced THEN
        IF v_grace >= v_row.grace THEN
            v_row.grace_at := p_clock;
        ELSIF p_clock - v_row.grace_at > 10 THEN
            v_row.next := v_row.next + v_row.grace - v_grace;
            v_row.grace_at := p_clock;
        ELSE
            v_grace := v_row.grace;
        END IF;
        v_row.grace := v_grace;
    ELSIF v_name = '' THEN  -- nothing hangs on the distance of slots: they last until domains may use them
        v_grace := v_grace + (p_ask->>'horizon')::float8 + 0.1;
    END IF;

    distance := CASE WHEN v_paced THEN (v_pers[1] + v_grace) / v_counts[1] ELSE 0.00005 END;
    v_pause := campaign.pace_distance(v_row, p_lane->'ramp', p_clock);
    IF p_lane->'ramp' IS NOT NULL AND v_want > 0
        AND (v_row.began = 0 OR p_clock - v_row.last > (p_lane->'ramp'->>2)::float8) THEN
        v_row.began := p_clock;
    END IF;
    IF v_row.shape <> v_shape THEN
        IF v_row.shape <> '' AND v_shape <> '' THEN
            v_row.counted := greatest(v_row.counted,
                greatest(p_clock, v_row.next) + v_pers[1] * 1.002 + v_grace + (p_ask->>'horizon')::float8);
        END IF;
        v_row.shape := v_shape;
    END IF;

    IF v_row.boot <> p_boot THEN
        -- What was granted in the last 0.6 s may be forgotten, and reached as far as the horizon.
        IF v_paced OR v_pause > 0 THEN
            v_row.next := greatest(v_row.next, v_beyond + greatest(distance, v_pause));
            PERFORM campaign.pace_count(p_account, v_name, ARRAY[v_beyond + v_grace], v_row.tracked,
                ceil((0.6 + (p_ask->>'horizon')::float8) / greatest(distance, v_pause))::bigint);
        END IF;
        v_row.boot := p_boot;
    END IF;
    distance := greatest(distance, v_pause);
    IF v_spent > 0 THEN
        v_row.next := greatest(v_row.next, p_clock) + v_spent * distance;
        PERFORM campaign.pace_count(p_account, v_name, ARRAY[p_clock], v_row.tracked, v_spent);
        v_row.last := p_clock;
    END IF;

    v_next := greatest(v_row.next, v_row.held);
    IF p_open IS NULL THEN
        v_next := greatest(v_next, p_clock + (p_ask->>'lead')::float8);
    END IF;
    v_checked := CASE WHEN v_name = '' AND v_paced AND v_next > v_row.counted THEN 2 ELSE 1 END;
    FOR j IN v_checked..coalesce(array_length(v_pers, 1), 0) LOOP
        SELECT coalesce(array_agg(b.bucket ORDER BY b.bucket), '{}'), coalesce(array_agg(b.n ORDER BY b.bucket), '{}'),
            coalesce(sum(b.n), 0)
        INTO v_some, v_many, v_left FROM campaign.pace_bucket b
        WHERE b.account = p_account AND b.lane = v_name AND b.per = v_pers[j]
          AND b.bucket > floor((p_clock - v_pers[j]) / (v_pers[j] / 1000))::bigint - 2;
        v_used[j] := v_left;
        v_place[j] := cardinality(v_buckets) + 1;
        v_buckets := v_buckets || v_some;
        v_numbers := v_numbers || v_many;
        v_end[j] := cardinality(v_buckets);
    END LOOP;

    first := v_next;
    <<candidates>>
    WHILE v_n < v_want LOOP
        IF p_open IS NULL THEN
            v_at := v_next;
            EXIT WHEN v_at > v_beyond AND v_n > 0;
        ELSE
            v_k := v_k + 1;
            EXIT WHEN v_k > cardinality(p_open);
            v_at := p_open[v_k];
            CONTINUE WHEN v_at < v_next;
        END IF;
        FOR j IN v_checked..coalesce(array_length(v_pers, 1), 0) LOOP
            v_p := v_place[j];
            WHILE v_p <= v_end[j] AND v_at - v_pers[j] >= (v_buckets[v_p] + 1) * (v_pers[j] / 1000) LOOP
                v_used[j] := v_used[j] - v_numbers[v_p];
                v_p := v_p + 1;
            END LOOP;
            v_place[j] := v_p;
            IF v_used[j] + v_n + 1 > v_counts[j] THEN
                v_left := v_used[j];
                v_free := v_at + v_pers[j];
                WHILE v_p <= v_end[j] AND v_left + v_n + 1 > v_counts[j] LOOP
                    v_left := v_left - v_numbers[v_p];
                    v_free := (v_buckets[v_p] + 1) * (v_pers[j] / 1000) + v_pers[j] + 0.00001;
                    v_p := v_p + 1;
                END LOOP;
                v_next := greatest(v_next, v_free);
                blocked := j;
                CONTINUE candidates;
            END IF;
        END LOOP;
        EXIT WHEN v_at > v_beyond AND p_open IS NULL;  -- now it is known when the next slot can be had
        starts := starts || v_at;
        stops := stops || (v_at + v_grace);
        v_n := v_n + 1;
        v_next := CASE WHEN v_name = '' THEN v_at ELSE greatest(v_next, v_at - greatest(p_tolerance, distance)) END
            + distance;
        v_row.next := v_next;
    END LOOP;
    first := v_next;
    IF v_n > 0 THEN
        blocked := NULL;
        v_row.last := p_clock;
        IF v_row.born = 0 THEN
            v_row.born := p_clock;
        END IF;
        PERFORM campaign.pace_count(p_account, v_name, stops, v_row.tracked, 1);
    END IF;

    IF p_clock - v_row.cleaned > 5 THEN
        DELETE FROM campaign.pace_bucket b WHERE b.account = p_account AND b.lane = v_name
            AND (b.per <> ALL (v_row.tracked) OR b.bucket < floor((p_clock - b.per) / (b.per / 1000))::bigint - 3);
        v_row.cleaned := p_clock;
    END IF;
    UPDATE campaign.pace p SET next = v_row.next, grace = v_row.grace, grace_at = v_row.grace_at, shape = v_row.shape,
        counted = v_row.counted, tracked = v_row.tracked, cleaned = v_row.cleaned, began = v_row.began, last = v_row.last,
        born = v_row.born, boot = v_row.boot
    WHERE p.account = p_account AND p.lane = v_name;
END $$;

-- What a worker asked for: an account or a domain is to go slower, or to wait.
CREATE OR REPLACE FUNCTION campaign.pace_steer(p_account text, p_one jsonb, p_clock float8, p_boot text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_row campaign.pace;
    v_share float8;
    v_seen float8;
BEGIN
    INSERT INTO campaign.pace (account, lane, boot) VALUES (p_account, p_one->>'lane', p_boot) ON CONFLICT DO NOTHING;
    SELECT * INTO v_row FROM campaign.pace WHERE account = p_account AND lane = p_one->>'lane' FOR UPDATE;
    IF p_one ? 'hold' THEN
        UPDATE campaign.pace SET held = greatest(held, p_clock + (p_one->>'hold')::float8)
        WHERE account = p_account AND lane = p_one->>'lane';
    ELSIF v_row.factor = 0 OR p_clock - v_row.slowed >= 5 THEN  -- else it is the same event
        v_share := CASE WHEN v_row.factor = 0 THEN 1
            ELSE least(1.0, v_row.factor + 0.1 * floor((p_clock - v_row.slowed) / 30)) END;
        SELECT sum(b.n) / 10.0 INTO v_seen FROM campaign.pace_bucket b
        WHERE b.account = p_account AND b.lane = p_one->>'lane' AND b.per = 60 AND b.bucket > (p_clock - 10) / 0.06;
        UPDATE campaign.pace SET slowed = p_clock, factor = greatest(0.01, v_share * (p_one->>'slow')::float8),
            base = CASE WHEN v_share < 1 THEN base
                ELSE coalesce((p_one->>'base')::float8, nullif(v_seen, 0), (p_one->>'seen')::float8) END,
            next = greatest(next, p_clock)
        WHERE account = p_account AND lane = p_one->>'lane';
    END IF;
END $$;

-- As campaign.take, at a given time of a given start of the server.
CREATE OR REPLACE FUNCTION campaign.take_at(p_account text, p_ask jsonb, p_clock float8, p_boot text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_lane jsonb;
    v_account jsonb;
    v_own record;
    v_found record;
    v_tolerance float8 := 0;
    v_era bigint;
    v_open float8[];
    v_stops float8[];
    v_free boolean := true;
    v_place int;
    v_slots jsonb := '[]';
    v_lanes jsonb := '{}';
    i int;
BEGIN
    UPDATE campaign.pace SET era = era + 1, era_boot = p_boot
    WHERE account = p_account AND lane = '' AND era_boot <> p_boot;
    SELECT era INTO v_era FROM campaign.pace WHERE account = p_account AND lane = '';
    UPDATE campaign.pace_bucket b SET n = b.n - unused.n
    FROM (
        SELECT p.lane, per, floor(stop / (per / 1000))::bigint AS bucket, count(*) AS n
        FROM jsonb_to_recordset(coalesce(p_ask->'back', '[]')) AS back (lane text, era bigint, stop float8)
            JOIN campaign.pace p ON p.account = p_account AND p.lane = back.lane, unnest(p.tracked) per
        WHERE back.era = v_era GROUP BY 1, 2, 3
    ) unused
    WHERE b.account = p_account AND b.lane = unused.lane AND b.per = unused.per AND b.bucket = unused.bucket;
    FOR v_lane IN SELECT jsonb_array_elements(coalesce(p_ask->'steer', '[]')) LOOP
        PERFORM campaign.pace_steer(p_account, v_lane, p_clock, p_boot);
    END LOOP;

    v_account := p_ask->'account';
    IF v_account IS NOT NULL THEN
        SELECT * INTO v_own FROM campaign.pace_grant(p_account, p_ask, v_account, p_clock, p_boot, NULL, 0);
        v_tolerance := 2 * v_own.distance;
        v_open := v_own.starts;
        v_stops := v_own.stops;
        v_free := coalesce((v_account->'pers'->>0)::float8 > 3600, true);
        v_lanes := jsonb_build_object('', jsonb_build_array(v_own.first, v_own.blocked));
    END IF;
    FOR v_lane IN SELECT jsonb_array_elements(coalesce(p_ask->'domains', '[]')) LOOP
        IF v_account IS NOT NULL AND v_free THEN
            v_lane := jsonb_set(v_lane, '{want}', to_jsonb(least((v_lane->>'want')::int, cardinality(v_open))));
        END IF;
        SELECT * INTO v_found FROM campaign.pace_grant(p_account, p_ask, v_lane, p_clock, p_boot,
            CASE WHEN v_free THEN NULL ELSE v_open END, v_tolerance);
        v_lanes := v_lanes || jsonb_build_object(v_lane->>'name', jsonb_build_array(v_found.first, v_found.blocked));
        FOR i IN 1..cardinality(v_found.starts) LOOP
            v_place := CASE WHEN v_account IS NULL THEN NULL
                WHEN v_free THEN 1 ELSE array_position(v_open, v_found.starts[i]) END;
            v_slots := v_slots || jsonb_build_array(jsonb_build_array(
                greatest(v_found.starts[i], v_open[v_place]), v_found.stops[i], v_lane->>'name', v_stops[v_place]));
            v_open := v_open[:v_place - 1] || v_open[v_place + 1:];
            v_stops := v_stops[:v_place - 1] || v_stops[v_place + 1:];
        END LOOP;
    END LOOP;
    FOR i IN 1..coalesce(cardinality(v_open), 0) LOOP
        v_slots := v_slots || jsonb_build_array(jsonb_build_array(v_open[i], v_stops[i], '', v_stops[i]));
    END LOOP;
    RETURN jsonb_build_object('clock', p_clock, 'slots', v_slots, 'lanes', v_lanes,
        'era', (SELECT era FROM campaign.pace WHERE account = p_account AND lane = ''),
        'steered', (SELECT jsonb_agg(jsonb_build_array(lane, factor, slowed, base, held)) FROM campaign.pace
            WHERE account = p_account AND (held > p_clock OR factor > 0 AND factor + (p_clock - slowed) / 300 < 1.1)));
END $$;

-- Turns for one worker: slots of an account and its domains, never more than all limits allow in sum. A letter to a
-- domain that has a lane needs a slot of that lane; where the account has limits too, such a slot holds a turn of both.
CREATE OR REPLACE FUNCTION campaign.take(p_account text, p_ask jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    -- A restart of the server counts what it may have forgotten; where that would be too much, it must not forget.
    PERFORM set_config('synchronous_commit', CASE WHEN (p_ask->>'durable')::boolean THEN 'on' ELSE 'off' END, true);
    IF p_ask ?| '{account,domains,steer,back}' THEN
        PERFORM FROM campaign.pace WHERE account = p_account AND lane = '' FOR UPDATE;
        IF NOT FOUND THEN
            INSERT INTO campaign.pace (account, lane, boot) VALUES (p_account, '', extract(epoch FROM pg_postmaster_start_time())::text)
            ON CONFLICT DO NOTHING;
            PERFORM FROM campaign.pace WHERE account = p_account AND lane = '' FOR UPDATE;
        END IF;
    END IF;
    RETURN campaign.take_at(p_account, p_ask, extract(epoch FROM clock_timestamp())::float8,
        extract(epoch FROM pg_postmaster_start_time())::text);
END $$;
