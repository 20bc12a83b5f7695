-- The whole schema of a new Grantry database. Its version is in `PRAGMA user_version` (store/migrate.rs).
-- Every time is in unix milliseconds, UTC. Every id is used once. A secret is sealed (AES-256-GCM), or hashed, or absent.

-- What this database belongs to: one row.
CREATE TABLE installation (
    id              INTEGER PRIMARY KEY CONSTRAINT installation_is_one CHECK (id = 1),
    created_at      INTEGER NOT NULL,
    key_id          TEXT    NOT NULL,
    key_fingerprint BLOB    NOT NULL,    -- of the active key; a start with another key is refused
    rotating_at INTEGER,                 -- since when values are being sealed anew with that key; NULL: all of them are
    restored_at INTEGER                  -- since when this is a backup whose grants nobody has looked at; NULL: it is none
) STRICT;

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    name_folded   TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    role          TEXT    NOT NULL CONSTRAINT users_role CHECK (role IN ('admin', 'operator', 'viewer')),
    password_hash TEXT    NOT NULL,      -- Argon2id, PHC string
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    CONSTRAINT users_name UNIQUE (name_folded)
) STRICT;

-- Sessions of the admin page. `hash`: SHA-256 of 256 random bits.
CREATE TABLE sessions (
    hash         BLOB    PRIMARY KEY,
    user_id      INTEGER NOT NULL CONSTRAINT sessions_user REFERENCES users ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    address TEXT                         -- where the user logged in from
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

-- Second factors of users (RFC 6238). One that was not confirmed asks nothing of anybody.
CREATE TABLE second_factors (
    user_id      INTEGER PRIMARY KEY CONSTRAINT second_factors_user REFERENCES users ON DELETE CASCADE,
    key_id       TEXT    NOT NULL,
    secret       BLOB    NOT NULL,       -- sealed: the shared secret in base32
    last_step    INTEGER NOT NULL,       -- the time step of the last code that was taken: no code of it or before is
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER                 -- NULL: begun, and not confirmed by a code
) STRICT;

-- Each opens its user's account once, in the place of a code. `hash`: SHA-256 of 120 random bits.
CREATE TABLE recovery_codes (
    hash    BLOB    PRIMARY KEY,
    user_id INTEGER NOT NULL CONSTRAINT recovery_codes_user REFERENCES second_factors ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_by_user ON recovery_codes (user_id);

-- One-time links for the first administrator.
CREATE TABLE setup_links (
    hash       BLOB    PRIMARY KEY,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER CONSTRAINT api_tokens_user REFERENCES users ON DELETE CASCADE, -- NULL: whoever has the machine
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL,       -- SHA-256
    scopes       TEXT    NOT NULL,       -- separated by spaces
    addresses    TEXT    NOT NULL,       -- networks separated by spaces; empty: any
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,                -- NULL: never
    last_used_at INTEGER,
    connections  TEXT,                   -- ids separated by spaces: it sees no others; NULL: any
    owner        TEXT                    -- it sees connections of this owner alone; NULL: anybody's
) STRICT;
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

-- The operator's own providers. `definition` has the form of an entry of static/catalogue/providers.json.
CREATE TABLE providers (
    slug       TEXT    PRIMARY KEY,
    definition TEXT    NOT NULL CONSTRAINT providers_definition CHECK (json_valid(definition)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Client registrations at providers, alias custom OAuth profiles, alias OAuth configurations.
CREATE TABLE profiles (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    provider   TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    created_by INTEGER CONSTRAINT profiles_created_by REFERENCES users ON DELETE SET NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    callback TEXT NOT NULL DEFAULT 'oauth' CONSTRAINT profiles_callback CHECK (callback IN ('oauth', 'flow')),
    rejected_at INTEGER,                 -- since when the provider turns down its client id or secret; NULL: it does not
    rejected_why TEXT,
    rejected_until INTEGER,              -- not asked again before
    rotation TEXT CONSTRAINT profiles_rotation CHECK (rotation IN ('rotates', 'stays')), -- what refreshes did to refresh tokens; NULL: none was observed
    rotation_at INTEGER,                 -- when that was first observed
    refresh_scope TEXT CONSTRAINT profiles_refresh_scope CHECK (refresh_scope IN ('none', 'granted', 'requested')), -- `scope` of a refresh request; NULL: as the provider's definition says
    CONSTRAINT profiles_name UNIQUE (provider, name),
    CONSTRAINT profiles_key UNIQUE (id, provider)
) STRICT;
CREATE INDEX profiles_by_creator ON profiles (created_by);

-- `hash` answers "is this the secret?" without opening anything; `sealed` is what a refresh needs.
CREATE TABLE profile_secrets (
    profile_id   INTEGER NOT NULL CONSTRAINT profile_secrets_profile REFERENCES profiles ON DELETE CASCADE,
    kind         TEXT    NOT NULL CONSTRAINT profile_secrets_kind CHECK (kind IN ('current', 'next', 'token', 'parameters')),
    hash         TEXT,                   -- Argon2id, PHC string; client secrets only
    key_id       TEXT,                   -- the key that `sealed` opens with
    sealed       BLOB,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at INTEGER,                  -- when the provider stops taking it, as far as somebody said
    PRIMARY KEY (profile_id, kind),
    CONSTRAINT profile_secrets_kept CHECK (hash IS NOT NULL OR sealed IS NOT NULL),
    CONSTRAINT profile_secrets_sealed CHECK ((sealed IS NULL) = (key_id IS NULL))
) STRICT, WITHOUT ROWID;

-- Where the secrets of a profile may go: the definition of its provider, and the parameters that decide its endpoints, as
-- they were when the secrets were given. Sealed, so that editing the database moves no secret.
CREATE TABLE profile_pins (
    profile_id INTEGER PRIMARY KEY CONSTRAINT profile_pins_profile REFERENCES profiles ON DELETE CASCADE,
    key_id     TEXT    NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;

-- Customers, alias managed users.
CREATE TABLE customers (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT    NOT NULL,
    notification_email TEXT    NOT NULL,
    external_id        TEXT,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    CONSTRAINT customers_external_id UNIQUE (external_id)
) STRICT;

-- One profile for each provider and customer.
CREATE TABLE assignments (
    customer_id INTEGER NOT NULL CONSTRAINT assignments_customer REFERENCES customers ON DELETE CASCADE,
    provider    TEXT    NOT NULL,
    profile_id  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (customer_id, provider),
    CONSTRAINT assignments_profile FOREIGN KEY (profile_id, provider) REFERENCES profiles (id, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignments_by_profile ON assignments (profile_id, provider);

-- Accounts connected, or to be connected, through a profile.
CREATE TABLE connections (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    profile_id    INTEGER NOT NULL,
    owner         TEXT,
    customer_id   INTEGER CONSTRAINT connections_customer REFERENCES customers,
    external_id   TEXT,
    folder_id     INTEGER,
    parent_id     INTEGER CONSTRAINT connections_parent REFERENCES connections,
    input_key_id  TEXT,
    input_sealed  BLOB,                  -- a JSON object: values for the provider's variables
    status        TEXT    CONSTRAINT connections_status CHECK (status IN ('success', 'failed')), -- NULL: never authorised
    authorized_at INTEGER,
    lost_at       INTEGER,
    lost_reason   TEXT,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    account_id TEXT,                     -- the account at the provider, as its user info tells
    account_label TEXT,                  -- what people know it by
    scopes TEXT,                         -- what was asked for, separated by spaces; NULL: the provider's default
    CONSTRAINT connections_profile FOREIGN KEY (profile_id, provider) REFERENCES profiles (id, provider),
    CONSTRAINT connections_input CHECK ((input_sealed IS NULL) = (input_key_id IS NULL))
) STRICT;
CREATE INDEX connections_by_profile ON connections (profile_id, provider);
CREATE INDEX connections_by_customer ON connections (customer_id);
CREATE INDEX connections_by_account ON connections (profile_id, account_id) WHERE account_id IS NOT NULL;
CREATE INDEX connections_by_parent ON connections (parent_id);
CREATE INDEX connections_by_external_id ON connections (external_id);
CREATE INDEX connections_by_status ON connections (status, lost_at);
CREATE INDEX connections_by_input_key ON connections (input_key_id) WHERE input_key_id IS NOT NULL;

-- What a provider gave us for the account of a connection. No row: there is nothing to hand out. `version` grows with
-- each change of the tokens, and every change names the version that it was made from.
CREATE TABLE grants (
    connection_id      INTEGER PRIMARY KEY CONSTRAINT grants_connection REFERENCES connections ON DELETE CASCADE,
    grant_type         TEXT    NOT NULL CONSTRAINT grants_grant_type
                       CHECK (grant_type IN ('authorization_code', 'client_credentials', 'device_code', 'imported')),
    version            INTEGER NOT NULL,
    key_id             TEXT    NOT NULL,
    sealed             BLOB    NOT NULL, -- access token, refresh token, the refresh token before it, fields kept: one JSON object
    token_type         TEXT    NOT NULL,
    scope              TEXT,
    granted_at         INTEGER NOT NULL, -- when the account's owner agreed: a refresh token's whole life counts from here
    issued_at          INTEGER NOT NULL, -- when the access token came
    expires_at         INTEGER,          -- when it ends; NULL: nobody said
    refresh_token      INTEGER NOT NULL CONSTRAINT grants_refresh_token CHECK (refresh_token IN (0, 1)), -- whether there is one
    refresh_issued_at  INTEGER,          -- when the refresh token came, or was last used: its idle life counts from here
    refresh_expires_at INTEGER,          -- when it ends, where the provider said so
    due_at             INTEGER,          -- when to refresh next; NULL: not by itself
    uncertain_at       INTEGER,          -- since when we do not know whether our refresh token is the last one; NULL: we know
    failures           INTEGER NOT NULL, -- refreshes that failed since the last one that did not
    blame              TEXT    CONSTRAINT grants_blame CHECK (blame IN ('app', 'grant', 'provider', 'network')), -- for the last failure
    last_attempt_at    INTEGER,
    last_result        TEXT,             -- of the last refresh, a word: `refreshed`, `invalid_grant`, `timeout` …
    last_refreshed_at  INTEGER,
    skew_ms            INTEGER,          -- the provider's clock less ours
    handed_out         INTEGER NOT NULL, -- how often
    handed_out_at      INTEGER,
    lifetime_ms INTEGER,                 -- of access tokens, as the provider last stated it for this grant, in milliseconds; NULL: never
    short_lived INTEGER NOT NULL DEFAULT 0, -- successive answers whose access token lives shorter than the least refresh interval
    refused_since INTEGER,               -- since when 400, 401 or 403 came that names neither client nor grant; NULL: it did not
    failure TEXT CONSTRAINT grants_failure CHECK (json_valid(failure)), -- the last failure: our reason, the provider's words; NULL: the last refresh worked
    warnings TEXT CONSTRAINT grants_warnings CHECK (json_valid(warnings)) -- [{"code", "params", "since"}]; NULL: none
) STRICT;
CREATE INDEX grants_by_key ON grants (key_id);
CREATE INDEX grants_by_due ON grants (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX grants_by_blame ON grants (blame) WHERE blame IS NOT NULL;
CREATE INDEX grants_by_uncertainty ON grants (uncertain_at) WHERE uncertain_at IS NOT NULL;
CREATE INDEX grants_by_expiry ON grants (expires_at) WHERE refresh_token = 0 AND grant_type <> 'client_credentials';
CREATE INDEX grants_by_refresh_expiry ON grants (refresh_expires_at) WHERE refresh_expires_at IS NOT NULL;

-- The refresh journal. A row is written before a refresh token is sent; it gets the answer as it came, before anybody reads
-- it; it goes when the grant has what the answer brought. A row that is there at a start is a refresh that was cut off.
CREATE TABLE refreshes (
    connection_id INTEGER PRIMARY KEY CONSTRAINT refreshes_connection REFERENCES connections ON DELETE CASCADE,
    version       INTEGER NOT NULL,      -- of the grant whose refresh token was sent
    fingerprint   BLOB    NOT NULL,      -- SHA-256 of that token
    attempt       INTEGER NOT NULL,      -- how often it was sent, this time included
    secret        TEXT    NOT NULL CONSTRAINT refreshes_secret CHECK (secret IN ('current', 'next')),
    begun_at      INTEGER NOT NULL,
    answered_at   INTEGER,
    key_id        TEXT,
    answer        BLOB,                  -- sealed: status, headers that count, body
    CONSTRAINT refreshes_answer CHECK ((answer IS NULL) = (key_id IS NULL) AND (answer IS NULL) = (answered_at IS NULL))
) STRICT;

-- What came of the last refreshes of each connection, some fifty of them. Those before go as new ones come.
CREATE TABLE refresh_results (
    connection_id INTEGER NOT NULL CONSTRAINT refresh_results_connection REFERENCES connections ON DELETE CASCADE,
    seq           INTEGER NOT NULL,      -- from 1 for each connection
    at            INTEGER NOT NULL,
    blame         TEXT    CONSTRAINT refresh_results_blame CHECK (blame IN ('app', 'grant', 'provider', 'network')),
    result        TEXT,                  -- a word, as in `grants`; NULL: `refreshed`
    PRIMARY KEY (connection_id, seq),
    CONSTRAINT refresh_results_either CHECK ((blame IS NULL) = (result IS NULL))
) STRICT, WITHOUT ROWID;

-- How many refreshes of a day worked, and how many failed through whom.
CREATE TABLE refresh_days (
    day             INTEGER PRIMARY KEY, -- days since 1970-01-01, UTC
    ok              INTEGER NOT NULL DEFAULT 0,
    failed_app      INTEGER NOT NULL DEFAULT 0,
    failed_grant    INTEGER NOT NULL DEFAULT 0,
    failed_provider INTEGER NOT NULL DEFAULT 0,
    failed_network  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Links by which somebody connects an account.
CREATE TABLE connect_links (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    hash           BLOB    NOT NULL,     -- SHA-256 of 256 random bits
    connection_id  INTEGER NOT NULL CONSTRAINT connect_links_connection REFERENCES connections ON DELETE CASCADE,
    new_connection INTEGER NOT NULL CONSTRAINT connect_links_new CHECK (new_connection IN (0, 1)), -- made for this link, and gone with it
    other_account  INTEGER NOT NULL CONSTRAINT connect_links_other CHECK (other_account IN (0, 1)), -- another account than before may come
    return_url     TEXT,
    scopes         TEXT,                 -- to be asked for; NULL: those of the connection
    input_key_id   TEXT,
    input_sealed   BLOB,                 -- as of the connection, which gets it when the account is connected; NULL: the connection's
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    CONSTRAINT connect_links_input CHECK ((input_sealed IS NULL) = (input_key_id IS NULL))
) STRICT;
CREATE INDEX connect_links_by_connection ON connect_links (connection_id);
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);

-- Browsers that are on their way to a provider and back.
CREATE TABLE authorization_requests (
    state      BLOB    PRIMARY KEY,      -- SHA-256 of the 256 random bits of `state`
    browser    BLOB    NOT NULL,         -- SHA-256 of the 256 random bits of the cookie
    link_id    INTEGER NOT NULL CONSTRAINT authorization_requests_link REFERENCES connect_links ON DELETE CASCADE,
    key_id     TEXT    NOT NULL,
    verifier   BLOB    NOT NULL,         -- sealed: the code verifier (RFC 7636)
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX authorization_requests_by_link ON authorization_requests (link_id);
CREATE INDEX authorization_requests_by_expiry ON authorization_requests (expires_at);

-- Devices that wait for somebody to enter a code (RFC 8628). One that ended badly stays for a while and says how.
CREATE TABLE device_authorizations (
    connection_id    INTEGER PRIMARY KEY CONSTRAINT device_authorizations_connection REFERENCES connections ON DELETE CASCADE,
    new_connection   INTEGER NOT NULL CONSTRAINT device_authorizations_new CHECK (new_connection IN (0, 1)),
    other_account    INTEGER NOT NULL CONSTRAINT device_authorizations_other CHECK (other_account IN (0, 1)),
    begun_at         INTEGER NOT NULL,   -- tells a later one of the same connection apart, too
    scopes           TEXT,               -- as of a link
    input_key_id     TEXT,
    input_sealed     BLOB,
    key_id           TEXT,
    device_code      BLOB,               -- sealed; NULL: it has ended
    interval_s       INTEGER NOT NULL,
    next_at          INTEGER,            -- NULL: it has ended
    expires_at       INTEGER NOT NULL,
    result           TEXT,               -- how it ended: `access_denied`, `expired_token` …
    settled_at       INTEGER,
    blame            TEXT    CONSTRAINT device_authorizations_blame CHECK (blame IN ('app', 'grant', 'provider', 'network')),
    user_code        TEXT    NOT NULL,   -- what a person enters, and where
    verification_uri TEXT    NOT NULL,
    verification_uri_complete TEXT,      -- with the code in it, where the provider has that
    CONSTRAINT device_authorizations_input CHECK ((input_sealed IS NULL) = (input_key_id IS NULL)),
    CONSTRAINT device_authorizations_code CHECK ((device_code IS NULL) = (key_id IS NULL) AND (device_code IS NULL) = (next_at IS NULL)),
    CONSTRAINT device_authorizations_ended CHECK ((result IS NULL) = (settled_at IS NULL) AND (result IS NULL) = (next_at IS NOT NULL))
) STRICT;
CREATE INDEX device_authorizations_by_next ON device_authorizations (next_at) WHERE next_at IS NOT NULL;

-- Tokens to be revoked at their providers. The connection may be gone by then.
CREATE TABLE revocations (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    connection_id INTEGER NOT NULL,
    token         TEXT    NOT NULL CONSTRAINT revocations_token CHECK (token IN ('refresh_token', 'access_token')),
    key_id        TEXT,
    request       BLOB,                  -- sealed: the whole request; NULL: settled
    attempts      INTEGER NOT NULL,
    next_at       INTEGER,               -- NULL: settled
    result        TEXT,                  -- what came of the last attempt: `revoked`, `unsupported`, `503` …
    created_at    INTEGER NOT NULL,
    settled_at    INTEGER,
    CONSTRAINT revocations_request CHECK ((request IS NULL) = (key_id IS NULL))
) STRICT;
CREATE INDEX revocations_by_next ON revocations (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX revocations_by_connection ON revocations (connection_id);
CREATE INDEX revocations_by_settling ON revocations (settled_at) WHERE settled_at IS NOT NULL;

-- What happened to connections and profiles: one event for each episode. Never a secret.
CREATE TABLE events (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    kind          TEXT    NOT NULL CONSTRAINT events_kind CHECK
                  (kind IN ('connected', 'needs_reauthorization', 'app_secret_rejected', 'healed', 'disconnected', 'warning')),
    connection_id INTEGER,
    profile_id    INTEGER,
    detail        TEXT    NOT NULL CONSTRAINT events_detail CHECK (json_valid(detail))
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_connection ON events (connection_id, id) WHERE connection_id IS NOT NULL;

-- Addresses that want to hear of events.
CREATE TABLE webhooks (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    url        TEXT    NOT NULL,
    kinds      TEXT    NOT NULL,         -- of events, separated by spaces; empty: all
    enabled    INTEGER NOT NULL CONSTRAINT webhooks_enabled CHECK (enabled IN (0, 1)),
    key_id     TEXT    NOT NULL,
    secret     BLOB    NOT NULL,         -- sealed: what deliveries are signed with
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- One event on its way to one webhook.
CREATE TABLE deliveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id INTEGER NOT NULL CONSTRAINT deliveries_webhook REFERENCES webhooks ON DELETE CASCADE,
    event_id   INTEGER NOT NULL CONSTRAINT deliveries_event REFERENCES events ON DELETE CASCADE,
    status     TEXT    NOT NULL CONSTRAINT deliveries_status CHECK (status IN ('waiting', 'delivered', 'dead')),
    attempts   INTEGER NOT NULL,
    next_at    INTEGER,                  -- NULL: settled
    result     TEXT,                     -- what came of the last attempt: `200`, `timeout` …
    settled_at INTEGER
) STRICT;
CREATE INDEX deliveries_by_next ON deliveries (webhook_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_by_settling ON deliveries (status, settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_by_event ON deliveries (event_id);

-- How often which caller was handed the token of which connection, by the hour.
CREATE TABLE hand_outs (
    connection_id INTEGER NOT NULL CONSTRAINT hand_outs_connection REFERENCES connections ON DELETE CASCADE,
    actor         TEXT    NOT NULL,
    hour          INTEGER NOT NULL,      -- when it began, unix milliseconds
    count         INTEGER NOT NULL,
    PRIMARY KEY (connection_id, actor, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX hand_outs_by_hour ON hand_outs (hour);

-- Programs that use Grantry.
CREATE TABLE client_applications (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of creation
    id          TEXT    NOT NULL,                   -- 32 upper-case hexadecimal digits
    name        TEXT    NOT NULL,
    name_folded TEXT    NOT NULL,
    enabled     INTEGER NOT NULL CONSTRAINT client_applications_enabled CHECK (enabled IN (0, 1)),
    file_name   TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,                   -- what its access tokens may do, separated by spaces
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    connections TEXT,                    -- ids separated by spaces: it sees no others; NULL: any
    owner TEXT,                          -- it sees connections of this owner alone; NULL: anybody's
    CONSTRAINT client_applications_id UNIQUE (id),
    CONSTRAINT client_applications_name UNIQUE (name_folded)
) STRICT;

-- Apart from their applications, so that a list does not drag ten megabytes along.
CREATE TABLE client_application_files (
    application INTEGER PRIMARY KEY CONSTRAINT client_application_files_application
                        REFERENCES client_applications ON DELETE CASCADE,
    data        BLOB    NOT NULL
) STRICT;

-- At most two live secrets each: `slot` 1 and 2.
CREATE TABLE client_application_secrets (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    application  INTEGER NOT NULL CONSTRAINT client_application_secrets_application
                         REFERENCES client_applications ON DELETE CASCADE,
    slot         INTEGER NOT NULL CONSTRAINT client_application_secrets_slot CHECK (slot IN (1, 2)),
    hash         TEXT    NOT NULL,       -- Argon2id, PHC string
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    CONSTRAINT client_application_secrets_one UNIQUE (application, slot)
) STRICT;

-- Access tokens of client applications; they go with the secret that fetched them.
CREATE TABLE access_tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       BLOB    NOT NULL,         -- SHA-256
    secret_id  INTEGER NOT NULL CONSTRAINT access_tokens_secret REFERENCES client_application_secrets ON DELETE CASCADE,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_tokens_by_secret ON access_tokens (secret_id);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);

-- Who did what. Never a secret, never a body.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,         -- `user 1`, `api_token 3`, `client_application 7579…`, `machine`, `nobody`
    deed       TEXT    NOT NULL,
    noun       TEXT    NOT NULL,
    noun_id    TEXT    NOT NULL,
    detail     TEXT    NOT NULL CONSTRAINT audit_detail CHECK (json_valid(detail)),
    request_id TEXT    NOT NULL,
    address    TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, at);
CREATE INDEX audit_by_deed ON audit (deed, at);
CREATE INDEX audit_by_noun ON audit (noun, noun_id, at);

-- How many rows of a noun have an id in block N (ids 1024·N to 1024·N+1023), kept by triggers: page 10,000 is found by
-- adding up blocks instead of walking a million rows, and stays exact when rows go.
CREATE TABLE page_marks (
    noun  TEXT    NOT NULL,
    block INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (noun, block)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER profiles_mark_insert AFTER INSERT ON profiles BEGIN
    INSERT INTO page_marks VALUES ('profiles', NEW.id >> 10, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER profiles_mark_delete AFTER DELETE ON profiles BEGIN
    UPDATE page_marks SET count = count - 1 WHERE noun = 'profiles' AND block = OLD.id >> 10;
END;
CREATE TRIGGER customers_mark_insert AFTER INSERT ON customers BEGIN
    INSERT INTO page_marks VALUES ('customers', NEW.id >> 10, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER customers_mark_delete AFTER DELETE ON customers BEGIN
    UPDATE page_marks SET count = count - 1 WHERE noun = 'customers' AND block = OLD.id >> 10;
END;
CREATE TRIGGER client_applications_mark_insert AFTER INSERT ON client_applications BEGIN
    INSERT INTO page_marks VALUES ('client_applications', NEW.seq >> 10, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER client_applications_mark_delete AFTER DELETE ON client_applications BEGIN
    UPDATE page_marks SET count = count - 1 WHERE noun = 'client_applications' AND block = OLD.seq >> 10;
END;

-- How many connections and assignments a profile has, and how many connections a customer, kept by triggers: an answer
-- that shows them counts nothing.
CREATE TABLE use_counts (
    what  TEXT    NOT NULL CONSTRAINT use_counts_what
          CHECK (what IN ('connections of profile', 'assignments of profile', 'connections of customer')),
    id    INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (what, id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER connections_count_insert AFTER INSERT ON connections BEGIN
    INSERT INTO use_counts VALUES ('connections of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO use_counts SELECT 'connections of customer', NEW.customer_id, 1 WHERE NEW.customer_id IS NOT NULL
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER connections_count_delete AFTER DELETE ON connections BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of profile' AND id = OLD.profile_id;
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of customer' AND id = OLD.customer_id;
END;
CREATE TRIGGER connections_count_update AFTER UPDATE OF profile_id, customer_id ON connections BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of profile' AND id = OLD.profile_id;
    UPDATE use_counts SET count = count - 1 WHERE what = 'connections of customer' AND id = OLD.customer_id;
    INSERT INTO use_counts VALUES ('connections of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO use_counts SELECT 'connections of customer', NEW.customer_id, 1 WHERE NEW.customer_id IS NOT NULL
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER assignments_count_insert AFTER INSERT ON assignments BEGIN
    INSERT INTO use_counts VALUES ('assignments of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER assignments_count_delete AFTER DELETE ON assignments BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'assignments of profile' AND id = OLD.profile_id;
END;
CREATE TRIGGER assignments_count_update AFTER UPDATE OF profile_id ON assignments BEGIN
    UPDATE use_counts SET count = count - 1 WHERE what = 'assignments of profile' AND id = OLD.profile_id;
    INSERT INTO use_counts VALUES ('assignments of profile', NEW.profile_id, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER profiles_count_delete AFTER DELETE ON profiles BEGIN
    DELETE FROM use_counts WHERE what IN ('connections of profile', 'assignments of profile') AND id = OLD.id;
END;
CREATE TRIGGER customers_count_delete AFTER DELETE ON customers BEGIN
    DELETE FROM use_counts WHERE what = 'connections of customer' AND id = OLD.id;
END;
