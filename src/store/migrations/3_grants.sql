-- Grants, the refresh journal, and what stands around them.
ALTER TABLE installation ADD COLUMN rotating_at INTEGER;
ALTER TABLE installation ADD COLUMN restored_at INTEGER;
ALTER TABLE api_tokens ADD COLUMN connections  TEXT;
ALTER TABLE api_tokens ADD COLUMN owner        TEXT;
ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE profiles ADD COLUMN callback TEXT NOT NULL DEFAULT 'oauth' CONSTRAINT profiles_callback CHECK (callback IN ('oauth', 'flow'));
ALTER TABLE profiles ADD COLUMN rejected_at INTEGER;
ALTER TABLE profiles ADD COLUMN rejected_why TEXT;
ALTER TABLE profiles ADD COLUMN rejected_until INTEGER;
ALTER TABLE profile_secrets ADD COLUMN expires_at INTEGER;
ALTER TABLE connections ADD COLUMN account_id TEXT;
ALTER TABLE connections ADD COLUMN account_label TEXT;
ALTER TABLE connections ADD COLUMN scopes TEXT;
CREATE INDEX connections_by_status ON connections (status, lost_at);
ALTER TABLE client_applications ADD COLUMN connections TEXT;
ALTER TABLE client_applications ADD COLUMN owner TEXT;

CREATE TABLE grants (
    connection_id      INTEGER PRIMARY KEY CONSTRAINT grants_connection REFERENCES connections ON DELETE CASCADE,
    grant_type         TEXT    NOT NULL CONSTRAINT grants_grant_type
                       CHECK (grant_type IN ('authorization_code', 'client_credentials', 'device_code', 'imported')),
    version            INTEGER NOT NULL,
    key_id             TEXT    NOT NULL,
    sealed             BLOB    NOT NULL,
    token_type         TEXT    NOT NULL,
    scope              TEXT,
    granted_at         INTEGER NOT NULL,
    issued_at          INTEGER NOT NULL,
    expires_at         INTEGER,
    refresh_token      INTEGER NOT NULL CONSTRAINT grants_refresh_token CHECK (refresh_token IN (0, 1)),
    refresh_issued_at  INTEGER,
    refresh_expires_at INTEGER,
    rotates            INTEGER NOT NULL CONSTRAINT grants_rotates CHECK (rotates IN (0, 1)),
    due_at             INTEGER,
    uncertain_at       INTEGER,
    failures           INTEGER NOT NULL,
    blame              TEXT    CONSTRAINT grants_blame CHECK (blame IN ('app', 'grant', 'provider', 'network')),
    last_attempt_at    INTEGER,
    last_result        TEXT,
    last_refreshed_at  INTEGER,
    skew_ms            INTEGER,
    handed_out         INTEGER NOT NULL,
    handed_out_at      INTEGER
) STRICT;
CREATE INDEX grants_by_due ON grants (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX grants_by_blame ON grants (blame) WHERE blame IS NOT NULL;
CREATE INDEX grants_by_uncertainty ON grants (uncertain_at) WHERE uncertain_at IS NOT NULL;
CREATE INDEX grants_by_refresh_expiry ON grants (refresh_expires_at) WHERE refresh_expires_at IS NOT NULL;

CREATE TABLE refreshes (
    connection_id INTEGER PRIMARY KEY CONSTRAINT refreshes_connection REFERENCES connections ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    fingerprint   BLOB    NOT NULL,
    attempt       INTEGER NOT NULL,
    secret        TEXT    NOT NULL CONSTRAINT refreshes_secret CHECK (secret IN ('current', 'next')),
    begun_at      INTEGER NOT NULL,
    answered_at   INTEGER,
    key_id        TEXT,
    answer        BLOB,
    CONSTRAINT refreshes_answer CHECK ((answer IS NULL) = (key_id IS NULL) AND (answer IS NULL) = (answered_at IS NULL))
) STRICT;

CREATE TABLE refresh_results (
    connection_id INTEGER NOT NULL CONSTRAINT refresh_results_connection REFERENCES connections ON DELETE CASCADE,
    seq           INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    blame         TEXT    CONSTRAINT refresh_results_blame CHECK (blame IN ('app', 'grant', 'provider', 'network')),
    result        TEXT,
    PRIMARY KEY (connection_id, seq),
    CONSTRAINT refresh_results_either CHECK ((blame IS NULL) = (result IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_days (
    day             INTEGER PRIMARY KEY,
    ok              INTEGER NOT NULL DEFAULT 0,
    failed_app      INTEGER NOT NULL DEFAULT 0,
    failed_grant    INTEGER NOT NULL DEFAULT 0,
    failed_provider INTEGER NOT NULL DEFAULT 0,
    failed_network  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE connect_links (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    hash           BLOB    NOT NULL,
    connection_id  INTEGER NOT NULL CONSTRAINT connect_links_connection REFERENCES connections ON DELETE CASCADE,
    new_connection INTEGER NOT NULL CONSTRAINT connect_links_new CHECK (new_connection IN (0, 1)),
    other_account  INTEGER NOT NULL CONSTRAINT connect_links_other CHECK (other_account IN (0, 1)),
    return_url     TEXT,
    scopes         TEXT,
    input_key_id   TEXT,
    input_sealed   BLOB,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    CONSTRAINT connect_links_input CHECK ((input_sealed IS NULL) = (input_key_id IS NULL))
) STRICT;
CREATE INDEX connect_links_by_connection ON connect_links (connection_id);
CREATE INDEX connect_links_by_expiry ON connect_links (expires_at);

CREATE TABLE authorization_requests (
    state      BLOB    PRIMARY KEY,
    browser    BLOB    NOT NULL,
    link_id    INTEGER NOT NULL CONSTRAINT authorization_requests_link REFERENCES connect_links ON DELETE CASCADE,
    key_id     TEXT    NOT NULL,
    verifier   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX authorization_requests_by_link ON authorization_requests (link_id);
CREATE INDEX authorization_requests_by_expiry ON authorization_requests (expires_at);

CREATE TABLE device_authorizations (
    connection_id    INTEGER PRIMARY KEY CONSTRAINT device_authorizations_connection REFERENCES connections ON DELETE CASCADE,
    new_connection   INTEGER NOT NULL CONSTRAINT device_authorizations_new CHECK (new_connection IN (0, 1)),
    other_account    INTEGER NOT NULL CONSTRAINT device_authorizations_other CHECK (other_account IN (0, 1)),
    begun_at         INTEGER NOT NULL,
    scopes           TEXT,
    input_key_id     TEXT,
    input_sealed     BLOB,
    key_id           TEXT,
    device_code      BLOB,
    interval_s       INTEGER NOT NULL,
    next_at          INTEGER,
    expires_at       INTEGER NOT NULL,
    result           TEXT,
    settled_at       INTEGER,
    blame            TEXT    CONSTRAINT device_authorizations_blame CHECK (blame IN ('app', 'grant', 'provider', 'network')),
    user_code        TEXT    NOT NULL,
    verification_uri TEXT    NOT NULL,
    verification_uri_complete TEXT,
    CONSTRAINT device_authorizations_input CHECK ((input_sealed IS NULL) = (input_key_id IS NULL)),
    CONSTRAINT device_authorizations_code CHECK ((device_code IS NULL) = (key_id IS NULL) AND (device_code IS NULL) = (next_at IS NULL)),
    CONSTRAINT device_authorizations_ended CHECK ((result IS NULL) = (settled_at IS NULL) AND (result IS NULL) = (next_at IS NOT NULL))
) STRICT;
CREATE INDEX device_authorizations_by_next ON device_authorizations (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE revocations (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    connection_id INTEGER NOT NULL,
    token         TEXT    NOT NULL CONSTRAINT revocations_token CHECK (token IN ('refresh_token', 'access_token')),
    key_id        TEXT,
    request       BLOB,
    attempts      INTEGER NOT NULL,
    next_at       INTEGER,
    result        TEXT,
    created_at    INTEGER NOT NULL,
    settled_at    INTEGER,
    CONSTRAINT revocations_request CHECK ((request IS NULL) = (key_id IS NULL))
) STRICT;
CREATE INDEX revocations_by_next ON revocations (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX revocations_by_connection ON revocations (connection_id);
CREATE INDEX revocations_by_settling ON revocations (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE events (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    kind          TEXT    NOT NULL CONSTRAINT events_kind CHECK
                  (kind IN ('connected', 'needs_reauthorization', 'app_secret_rejected', 'healed', 'disconnected')),
    connection_id INTEGER,
    profile_id    INTEGER,
    detail        TEXT    NOT NULL CONSTRAINT events_detail CHECK (json_valid(detail))
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_connection ON events (connection_id, id) WHERE connection_id IS NOT NULL;

CREATE TABLE webhooks (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    url        TEXT    NOT NULL,
    kinds      TEXT    NOT NULL,
    enabled    INTEGER NOT NULL CONSTRAINT webhooks_enabled CHECK (enabled IN (0, 1)),
    key_id     TEXT    NOT NULL,
    secret     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id INTEGER NOT NULL CONSTRAINT deliveries_webhook REFERENCES webhooks ON DELETE CASCADE,
    event_id   INTEGER NOT NULL CONSTRAINT deliveries_event REFERENCES events ON DELETE CASCADE,
    status     TEXT    NOT NULL CONSTRAINT deliveries_status CHECK (status IN ('waiting', 'delivered', 'dead')),
    attempts   INTEGER NOT NULL,
    next_at    INTEGER,
    result     TEXT,
    settled_at INTEGER
) STRICT;
CREATE INDEX deliveries_by_next ON deliveries (webhook_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_by_settling ON deliveries (status, settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_by_event ON deliveries (event_id);

CREATE TABLE hand_outs (
    connection_id INTEGER NOT NULL CONSTRAINT hand_outs_connection REFERENCES connections ON DELETE CASCADE,
    actor         TEXT    NOT NULL,
    hour          INTEGER NOT NULL,
    count         INTEGER NOT NULL,
    PRIMARY KEY (connection_id, actor, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX hand_outs_by_hour ON hand_outs (hour);

CREATE TABLE second_factors (
    user_id      INTEGER PRIMARY KEY CONSTRAINT second_factors_user REFERENCES users ON DELETE CASCADE,
    key_id       TEXT    NOT NULL,
    secret       BLOB    NOT NULL,
    last_step    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER
) STRICT;

CREATE TABLE recovery_codes (
    hash    BLOB    PRIMARY KEY,
    user_id INTEGER NOT NULL CONSTRAINT recovery_codes_user REFERENCES second_factors ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_by_user ON recovery_codes (user_id);

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_actor ON audit (actor, at);
CREATE INDEX audit_by_deed ON audit (deed, at);
CREATE INDEX audit_by_noun ON audit (noun, noun_id, at);
