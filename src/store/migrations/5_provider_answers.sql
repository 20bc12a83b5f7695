-- What providers answer is kept apart from what Grantry concludes; what refreshes show of a provider is kept per profile.

-- Whether refreshing was seen to change refresh tokens.
ALTER TABLE profiles ADD COLUMN rotation TEXT CONSTRAINT profiles_rotation CHECK (rotation IN ('rotates', 'stays'));
ALTER TABLE profiles ADD COLUMN rotation_at INTEGER;
ALTER TABLE profiles ADD COLUMN refresh_scope TEXT CONSTRAINT profiles_refresh_scope
    CHECK (refresh_scope IN ('none', 'granted', 'requested'));
UPDATE profiles SET (rotation, rotation_at) = (
    SELECT CASE WHEN max(g.rotates) THEN 'rotates' ELSE 'stays' END, max(g.last_refreshed_at)
    FROM connections c JOIN grants g ON g.connection_id = c.id
    WHERE c.profile_id = profiles.id AND g.grant_type <> 'client_credentials' AND g.refresh_token
        AND (g.rotates OR g.last_refreshed_at IS NOT NULL)
    HAVING count(*) > 0);
ALTER TABLE grants DROP COLUMN rotates;

ALTER TABLE grants ADD COLUMN lifetime_ms INTEGER;
ALTER TABLE grants ADD COLUMN short_lived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN refused_since INTEGER;
ALTER TABLE grants ADD COLUMN failure TEXT CONSTRAINT grants_failure CHECK (json_valid(failure));
ALTER TABLE grants ADD COLUMN warnings TEXT CONSTRAINT grants_warnings CHECK (json_valid(warnings));
UPDATE grants SET lifetime_ms = expires_at - issued_at
    WHERE expires_at > issued_at AND (grant_type <> 'imported' OR last_refreshed_at IS NOT NULL);
-- A grant whose lifetime is unknown is refreshed once a day.
UPDATE grants SET due_at = issued_at + 86400000
    WHERE due_at IS NULL AND expires_at IS NULL AND (refresh_token OR grant_type = 'client_credentials')
        AND connection_id IN (SELECT id FROM connections WHERE status = 'success');

CREATE INDEX grants_by_expiry ON grants (expires_at) WHERE refresh_token = 0 AND grant_type <> 'client_credentials';

-- One more type of event. Only a CHECK changes, so the rows stay as they are (https://www.sqlite.org/lang_altertable.html).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''healed'', ''disconnected'')', '''healed'', ''disconnected'', ''warning'')')
    WHERE type = 'table' AND name = 'events';
PRAGMA writable_schema = RESET;

-- Texts of providers that were stored so far may repeat pieces of what was sent: words of the standards and our own stay.
CREATE TEMP TABLE known_words (word TEXT PRIMARY KEY);
INSERT INTO known_words VALUES ('refreshed'), ('invalid_client'), ('unauthorized_client'), ('invalid_grant'),
    ('expired_token'), ('access_denied'), ('interaction_required'), ('login_required'), ('consent_required'),
    ('account_selection_required'), ('invalid_request'), ('invalid_scope'), ('unsupported_grant_type'), ('server_error'),
    ('temporarily_unavailable'), ('authorization_pending'), ('slow_down'), ('rate_limited'), ('redirect'), ('not_json'),
    ('no_access_token'), ('malformed_token'), ('unreachable'), ('timeout'), ('cut_off'), ('too_large'), ('misconfigured'),
    ('lost_answer'), ('ended'), ('other_account'), ('revoked'), ('unsupported'), ('unreadable');
UPDATE connections SET lost_reason = 'The provider rejected the grant.' WHERE lost_reason LIKE 'the provider says %';
UPDATE grants SET last_result = 'provider_error'
    WHERE last_result NOT IN (SELECT word FROM known_words) AND last_result NOT GLOB 'http_[1-5][0-9][0-9]';
UPDATE refresh_results SET result = 'provider_error'
    WHERE result NOT IN (SELECT word FROM known_words) AND result NOT GLOB 'http_[1-5][0-9][0-9]';
UPDATE device_authorizations SET result = 'provider_error'
    WHERE result NOT IN (SELECT word FROM known_words) AND result NOT GLOB 'http_[1-5][0-9][0-9]';
UPDATE revocations SET result = 'provider_error'
    WHERE result NOT IN (SELECT word FROM known_words) AND result NOT GLOB 'http_[1-5][0-9][0-9]';
UPDATE profiles SET rejected_why = 'provider_error'
    WHERE rejected_why NOT IN (SELECT word FROM known_words) AND rejected_why NOT GLOB 'http_[1-5][0-9][0-9]';
UPDATE events SET detail = json_set(detail, '$.reason', 'The provider rejected the grant.')
    WHERE detail ->> '$.reason' LIKE 'the provider says %';
UPDATE events SET detail = json_set(detail, '$.error', 'provider_error')
    WHERE detail ->> '$.error' NOT IN (SELECT word FROM known_words) AND detail ->> '$.error' NOT GLOB 'http_[1-5][0-9][0-9]';
DROP TABLE known_words;
