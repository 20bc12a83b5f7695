//! What a migration does to the rows that are there.

use grantry::store::migrate::MIGRATIONS;
use rusqlite::Connection;

/// A database of this schema version, with the foreign keys off so that a test fills only the tables it is about.
fn at_version(version: usize) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.pragma_update(None, "foreign_keys", false).unwrap();
    db.execute_batch(include_str!("schema/1.sql")).unwrap();
    for migration in &MIGRATIONS[..version - 1] {
        db.execute_batch(migration).unwrap();
    }
    db
}

fn column(db: &Connection, query: &str) -> Vec<Option<String>> {
    let mut rows = db.prepare(query).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn texts(db: &Connection, query: &str) -> Vec<String> {
    column(db, query).into_iter().map(|text| text.unwrap_or_else(|| "NULL".to_owned())).collect()
}

/// A grant of connection `id` in a profile of its own: type, refresh token or not, rotates, times.
fn grant(db: &Connection, id: i64, grant_type: &str, refresh_token: bool, rotates: bool, times: [Option<i64>; 4]) {
    let [issued_at, expires_at, last_refreshed_at, due_at] = times;
    db.execute(
        "INSERT INTO profiles (id, provider, name, client_id, created_at, updated_at) VALUES (?1, 'p', ?1, 'c', 0, 0)",
        [id],
    )
    .unwrap();
    db.execute(
        "INSERT INTO connections (id, name, provider, profile_id, status, created_at, updated_at)
         VALUES (?1, 'n', 'p', ?1, 'success', 0, 0)",
        [id],
    )
    .unwrap();
    db.execute(
        "INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
            expires_at, refresh_token, rotates, due_at, failures, last_refreshed_at, handed_out)
         VALUES (?1, ?2, 1, 'k', x'00', 'Bearer', 0, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0)",
        (id, grant_type, issued_at, expires_at, refresh_token, rotates, due_at, last_refreshed_at),
    )
    .unwrap();
}

#[test]
fn what_refreshes_have_shown_becomes_a_fact_of_the_profile() {
    let db = at_version(4);
    let refreshed = [Some(1_000), Some(61_000), Some(1_000), Some(50_000)];
    grant(&db, 1, "authorization_code", true, true, refreshed);
    grant(&db, 2, "authorization_code", true, false, refreshed);
    // Never refreshed, without a refresh token, and the app's own credentials: they show nothing.
    grant(&db, 3, "authorization_code", true, false, [Some(1_000), Some(61_000), None, None]);
    grant(&db, 4, "authorization_code", false, false, refreshed);
    grant(&db, 5, "client_credentials", true, true, refreshed);
    // An expiry before the issue is no lifetime; an unknown one is refreshed within a day.
    grant(&db, 6, "authorization_code", true, false, [Some(5_000), Some(4_000), Some(5_000), None]);
    grant(&db, 7, "authorization_code", true, true, [Some(1_000), None, Some(1_000), None]);
    grant(&db, 8, "imported", true, false, [Some(1_000), Some(61_000), None, None]);
    db.execute_batch(MIGRATIONS[3]).unwrap();
    let rotation = texts(&db, "SELECT rotation FROM profiles ORDER BY id");
    assert_eq!(rotation, ["rotates", "stays", "NULL", "NULL", "NULL", "stays", "rotates", "NULL"]);
    let lifetimes = texts(&db, "SELECT CAST(lifetime_ms AS TEXT) FROM grants ORDER BY connection_id");
    assert_eq!(lifetimes, ["60000", "60000", "60000", "60000", "60000", "NULL", "NULL", "NULL"]);
    let due = texts(&db, "SELECT CAST(due_at AS TEXT) FROM grants WHERE connection_id IN (1, 7) ORDER BY 1");
    assert_eq!(due, ["50000", "86401000"]);
}

#[test]
fn stored_texts_of_providers_are_cleared_and_known_words_stay() {
    let db = at_version(4);
    let hostile = "token PLANTED-refresh-token unknown";
    for (id, word) in (1..).zip(["invalid_grant", "http_503", "timeout", hostile, "PLANTED-refresh-token"]) {
        grant(&db, id, "authorization_code", true, false, [Some(0), None, None, None]);
        db.execute("UPDATE grants SET last_result = ?2, blame = 'grant' WHERE connection_id = ?1", (id, word)).unwrap();
        db.execute("UPDATE profiles SET rejected_why = ?2 WHERE id = ?1", (id, word)).unwrap();
        db.execute(
            "UPDATE connections SET lost_reason = 'the provider says ' || ?2 || ': x' WHERE id = ?1",
            (id, word),
        )
        .unwrap();
        db.execute("INSERT INTO refresh_results VALUES (?1, 1, 0, 'grant', ?2)", (id, word)).unwrap();
        db.execute(
            "INSERT INTO revocations (connection_id, token, attempts, result, created_at)
             VALUES (?1, 'access_token', 1, ?2, 0)",
            (id, word),
        )
        .unwrap();
        db.execute(
            "INSERT INTO device_authorizations (connection_id, new_connection, other_account, begun_at, interval_s,
                expires_at, result, settled_at, user_code, verification_uri)
             VALUES (?1, 1, 0, 0, 5, 1, ?2, 1, 'c', 'https://p.example')",
            (id, word),
        )
        .unwrap();
        let detail = format!(r#"{{"error":"{word}","reason":"the provider says {word}: x","kept":1}}"#);
        db.execute(
            "INSERT INTO events (id, at, kind, detail) VALUES (?1, 7, 'needs_reauthorization', ?2)",
            (id, detail),
        )
        .unwrap();
    }
    db.execute("UPDATE connections SET lost_reason = 'disconnected by an administrator' WHERE id = 1", []).unwrap();
    db.execute_batch(MIGRATIONS[3]).unwrap();
    let kept = ["invalid_grant", "http_503", "timeout", "provider_error", "provider_error"];
    for query in [
        "SELECT last_result FROM grants ORDER BY connection_id",
        "SELECT rejected_why FROM profiles ORDER BY id",
        "SELECT result FROM refresh_results ORDER BY connection_id",
        "SELECT result FROM revocations ORDER BY connection_id",
        "SELECT result FROM device_authorizations ORDER BY connection_id",
        "SELECT detail ->> '$.error' FROM events ORDER BY id",
    ] {
        assert_eq!(texts(&db, query), kept, "{query}");
    }
    let reasons = texts(&db, "SELECT lost_reason FROM connections ORDER BY id");
    assert_eq!(reasons[0], "disconnected by an administrator");
    assert!(reasons[1..].iter().all(|reason| reason == "The provider rejected the grant."), "{reasons:?}");
    // The events are all there, and their table takes the new kind as well as the old ones.
    assert_eq!(texts(&db, "SELECT DISTINCT detail ->> '$.kept' || '-' || at FROM events"), ["1-7"]);
    db.execute_batch("INSERT INTO events (at, kind, detail) VALUES (0, 'warning', '{}'), (0, 'healed', '{}')").unwrap();
    assert!(db.execute("INSERT INTO events (at, kind, detail) VALUES (0, 'other', '{}')", []).is_err());
    assert_eq!(texts(&db, "PRAGMA integrity_check"), ["ok"]);
}
