//! Ten thousand connections that are due at once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation, SLUG, Simulator, Throttle, definition};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Server, memory, milliseconds, percentile, start};

const CONNECTIONS: usize = 10_000;
/// What the provider allows in a second.
const A_SECOND: usize = 400;

async fn post(http: &reqwest::Client, server: &Server, path: &str, body: &Value) -> Value {
    let request = http.post(format!("{}{path}", server.url)).bearer_auth(&server.token).json(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

/// Brings the grants along, sixteen at a time.
async fn import(http: &reqwest::Client, server: &Server, profile: &Value, grants: &[Value]) {
    join_all((0..16).map(|first| async move {
        for grant in grants.iter().skip(first).step_by(16) {
            let body = json!({
                "custom_oauth_profile_id": profile, "name": "c", "owner": "alice",
                "refresh_token": grant["refresh_token"], "access_token": grant["access_token"], "expires_in": 3600,
            });
            post(http, server, "/api/connections/import", &body).await;
        }
    }))
    .await;
}

/// Makes every grant due, its token still good for an hour.
fn all_due(data: &Path) {
    let db = Connection::open(data.join("grantry.db")).unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let changed = db.execute("UPDATE grants SET due_at = ?1, expires_at = ?1 + 3600000", [now]).unwrap();
    assert_eq!(changed, CONNECTIONS);
}

async fn read(http: &reqwest::Client, server: &Server, n: usize) -> f64 {
    let id = n * 7919 % CONNECTIONS + 1;
    let begun = Instant::now();
    let request = http.get(format!("{}/api/connections/{id}/token", server.url)).bearer_auth(&server.token);
    assert_eq!(request.send().await.unwrap().status(), 200);
    milliseconds(begun.elapsed())
}

/// Callers with good tokens while all of them are refreshed, against the same in peace; the provider's throttle; memory.
pub async fn at_once(http: &reqwest::Client) {
    let throttle = Some(Throttle { requests: A_SECOND, per_s: 1 });
    let options = Options { rotation: Rotation::Strict, access_token_life_s: 3600, throttle, ..Options::default() };
    let simulator = Simulator::start(options.clone()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (server, _) = start(&data, http).await;
    post(http, &server, "/api/providers", &definition(&options, simulator.url())).await;
    let data_of = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
    let profile = json!({"name": "Practice", "provider": SLUG, "data": data_of});
    let profile = post(http, &server, "/api/custom_oauth_profiles", &profile).await["result"]["id"].clone();
    let made = http.post(format!("{}/control/grants", simulator.url())).json(&json!({"count": CONNECTIONS}));
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    import(http, &server, &profile, made["grants"].as_array().unwrap()).await;
    drop(server);

    let (server, _) = start(&data, http).await;
    let mut calm = Vec::new();
    for n in 0..2000 {
        calm.push(read(http, &server, n).await);
    }
    let before = memory(server.child.id());
    drop(server);
    all_due(&data);

    let counts = async || {
        let state = http.get(format!("{}/control/state?grants=false", simulator.url())).send().await.unwrap();
        let state: Value = state.json().await.unwrap();
        let refreshes = state["token"]["by_grant_type"]["refresh_token"].as_u64().unwrap_or_default();
        (usize::try_from(refreshes).unwrap(), state["token"]["throttle_violations"].as_u64().unwrap())
    };
    let (server, _) = start(&data, http).await;
    let begun = Instant::now();
    let (mut storm, mut most) = (Vec::new(), (0.0_f64, 0.0_f64));
    let (mut done, mut violations) = (0, 0);
    while done < CONNECTIONS {
        assert!(begun.elapsed() < Duration::from_mins(5), "{done} refreshes in five minutes");
        for _ in 0..200 {
            storm.push(read(http, &server, storm.len()).await);
        }
        let now = memory(server.child.id());
        most = (most.0.max(now.0), most.1.max(now.1));
        (done, violations) = counts().await;
    }
    let took = begun.elapsed().as_secs_f64();
    let (calm, storm) = (
        (percentile(&mut calm, 50), percentile(&mut calm, 99)),
        (percentile(&mut storm, 50), percentile(&mut storm, 99)),
    );
    println!(
        "token reads, 10,000 due : calm       {:6.1} x   (p50 {:.2} : {:.2} ms; p99 {:.2} : {:.2} ms)",
        storm.0 / calm.0,
        storm.0,
        calm.0,
        storm.1,
        calm.1
    );
    println!(
        "10,000 refreshes, allowed : done a s {:6.1} x   ({A_SECOND}/s : {:.0}/s; {violations} over the throttle)",
        A_SECOND as f64 / (CONNECTIONS as f64 / took),
        CONNECTIONS as f64 / took
    );
    println!(
        "memory, 10,000 due : calm            {:6.1} x   ({:.1} : {:.1} MiB; without file pages {:.1} : {:.1})",
        most.0 / before.0,
        most.0,
        before.0,
        most.1,
        before.1
    );
}
