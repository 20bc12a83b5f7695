-- The first schema, as databases of version 1 have it. Never changed.
-- Every time is in unix milliseconds, UTC. Every id is used once. A secret is sealed (AES-256-GCM), or hashed, or absent.

-- What this database belongs to: one row.
CREATE TABLE installation (
    id              INTEGER PRIMARY KEY CONSTRAINT installation_is_one CHECK (id = 1),
    created_at      INTEGER NOT NULL,
    key_id          TEXT    NOT NULL,
    key_fingerprint BLOB    NOT NULL     -- of the active key; a start with another key is refused
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
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

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
    last_used_at INTEGER
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
    PRIMARY KEY (profile_id, kind),
    CONSTRAINT profile_secrets_kept CHECK (hash IS NOT NULL OR sealed IS NOT NULL),
    CONSTRAINT profile_secrets_sealed CHECK ((sealed IS NULL) = (key_id IS NULL))
) STRICT, WITHOUT ROWID;

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
    CONSTRAINT connections_profile FOREIGN KEY (profile_id, provider) REFERENCES profiles (id, provider),
    CONSTRAINT connections_input CHECK ((input_sealed IS NULL) = (input_key_id IS NULL))
) STRICT;
CREATE INDEX connections_by_profile ON connections (profile_id, provider);
CREATE INDEX connections_by_customer ON connections (customer_id);
CREATE INDEX connections_by_parent ON connections (parent_id);
CREATE INDEX connections_by_external_id ON connections (external_id);

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
    actor      TEXT    NOT NULL,         -- `user 1`, `api_token 3`, `client_application 7579…`, `machine`
    deed       TEXT    NOT NULL,
    noun       TEXT    NOT NULL,
    noun_id    TEXT    NOT NULL,
    detail     TEXT    NOT NULL CONSTRAINT audit_detail CHECK (json_valid(detail)),
    request_id TEXT    NOT NULL,
    address    TEXT    NOT NULL
) STRICT;
