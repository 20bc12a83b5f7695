//! Many connections that are due at once: the provider is asked no faster than it allows, and nobody whose token is good
//! waits for any of it. `tests/bench/due.rs` measures the same with ten thousand.

use std::time::Duration;

use grantry::{
    simulator::{Options, Rotation, Throttle},
    store::database_path,
};
use serde_json::json;

use crate::support::{
    Server,
    practice::{Practice, until},
};

const CONNECTIONS: u64 = 150;
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn of_many_that_are_due_at_once_none_is_too_many_for_the_provider_and_no_caller_waits() {
    let throttle = Some(Throttle { requests: 50, per_s: 1 });
    let practice = Practice::with(Options { rotation: Rotation::Strict, throttle, ..Options::default() });
    let mut server = Server::start().await;
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let connected = practice.connect(&admin, profile, CONNECTIONS, false).await;
    server.stop();
    let database = rusqlite::Connection::open(database_path(&server.data())).unwrap();
    // Good for an hour, and to be refreshed since the beginning of time.
    let changed = database.execute("UPDATE grants SET due_at = 1, expires_at = expires_at + 3600000", []).unwrap();
    assert_eq!(changed as u64, CONNECTIONS);
    drop(database);

    practice.control("hold", json!({"at": "before"})).await;
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = admin.at(&server.url);
    until("refreshes are under way", PATIENCE, async || practice.counts().await["token"]["held"] != 0).await;
    for (id, _) in &connected {
        admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
    }
    let held = practice.counts().await["token"]["held"].as_u64().unwrap();
    assert!((1..CONNECTIONS).contains(&held), "none of them is done, and not all are sent: {held}");

    practice.control("release", json!({})).await;
    until("all are refreshed", PATIENCE, async || practice.refreshes().await == CONNECTIONS).await;
    assert_eq!(practice.counts().await["token"]["throttle_violations"], 0);
    for (id, grant) in &connected {
        admin.get(&format!("/api/connections/{id}/token")).await.expect(200);
        assert_eq!(practice.grant(*grant).await["family_revoked"], false);
    }
}
