//! Connections with the tokens of a practice provider, written where a server keeps them.

use grantry::{
    domain::{
        Secret, Timestamp,
        grant::{GrantType, Tokens},
    },
    store::{
        self, Db, Hold,
        grants::Kept,
        seal::{KeyList, Sealer},
        system_clock,
    },
};
use serde_json::json;

use super::{Server, practice::Practice};

/// The database of a server that is stopped.
pub fn open(server: &Server) -> Db {
    let data = server.data();
    let sealer = Sealer::new(KeyList::load(&data.join("keys")).unwrap()).unwrap();
    Db::open(&data, Hold::take(&data).unwrap(), sealer, system_clock()).unwrap()
}

/// Makes a grant at the practice provider for each of these connections, and authorises them with it; answers the ids of
/// the grants. The server is stopped for it, and stands at another address afterwards.
pub async fn authorize(server: &mut Server, practice: &Practice, connections: &[i64]) -> Vec<u64> {
    let made = practice.control("grants", json!({"count": connections.len()})).await;
    let made = made["grants"].as_array().unwrap().clone();
    server.stop();
    let db = open(server);
    for (id, grant) in connections.iter().copied().zip(&made) {
        let text = |field: &str| Secret::new(grant[field].as_str().unwrap());
        let now = db.now();
        let expires_at = now.plus_ms(grant["expires_in"].as_i64().unwrap() * 1000);
        let kept = Kept {
            grant_type: GrantType::Imported,
            tokens: Tokens {
                access: text("access_token"),
                refresh: Some(text("refresh_token")),
                previous: None,
                extra: Secret::new("{}"),
            },
            token_type: "Bearer".to_owned(),
            scope: None,
            issued_at: now,
            expires_at: Some(expires_at),
            refresh_expires_at: None,
            due_at: Some(Timestamp(expires_at.0 - 60_000)),
            skew_ms: None,
            stated_lifetime_ms: None,
            short_lived: 0,
            warnings: Vec::new(),
        };
        let written = db.write(move |tx| {
            store::grants::put(tx, id, &kept)?;
            store::connections::authorize(tx, id, None, None)
        });
        written.await.unwrap();
    }
    drop(db);
    server.kill_and_restart().await;
    made.iter().map(|grant| grant["id"].as_u64().unwrap()).collect()
}
