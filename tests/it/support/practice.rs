//! The practice provider beside a server, and connections between the two.

use std::time::{Duration, Instant};

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation, SLUG, Simulator, definition};
use serde_json::{Value, json};

use super::Caller;

/// A simulator, and somebody who speaks to its control API.
pub struct Practice {
    simulator: Simulator,
    options: Options,
    http: reqwest::Client,
}

impl Practice {
    /// One that behaves like this.
    pub fn with(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { simulator: Simulator::start(options.clone()).unwrap(), options, http }
    }

    /// One that does this to refresh tokens.
    pub fn rotating(rotation: Rotation) -> Self {
        Self::with(Options { rotation, ..Options::default() })
    }

    pub fn url(&self) -> &str {
        self.simulator.url()
    }

    /// A call of the control API.
    pub async fn control(&self, call: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}/control/{call}", self.url())).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{call}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The next request of this kind has this fault.
    pub async fn fault(&self, on: &str, fault: &str) {
        self.control("faults", json!({"on": on, "fault": fault})).await;
    }

    /// Every request of this kind has this fault.
    pub async fn faults(&self, on: &str, fault: &str) {
        self.control("faults", json!({"on": on, "fault": fault, "times": null})).await;
    }

    /// Adds a rule as the control API takes it: `on`, `fault`, `times`, `skip`, and `grant` or `client` for one of them.
    pub async fn rule(&self, rule: Value) {
        self.control("faults", rule).await;
    }

    /// When the token requests of a grant came in, in milliseconds since the simulator's start; the last 1000.
    pub async fn refresh_times(&self, grant: u64) -> Vec<u64> {
        serde_json::from_value(self.grant(grant).await["refresh_times_ms"].clone()).unwrap()
    }

    /// From now on all goes well.
    pub async fn mend(&self) {
        self.http.delete(format!("{}/control/faults", self.url())).send().await.unwrap().error_for_status().unwrap();
    }

    async fn state(&self, query: &str) -> Value {
        let answer = self.http.get(format!("{}/control/state{query}", self.url())).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Its counters.
    pub async fn counts(&self) -> Value {
        self.state("?grants=false").await
    }

    /// How many refreshes have come in.
    pub async fn refreshes(&self) -> u64 {
        self.counts().await["token"]["by_grant_type"]["refresh_token"].as_u64().unwrap_or_default()
    }

    /// One of its grants.
    pub async fn grant(&self, id: u64) -> Value {
        self.state(&format!("?grant={id}")).await["grants"][0].clone()
    }

    /// All of its grants.
    pub async fn grants(&self) -> Vec<Value> {
        self.state("").await["grants"].as_array().cloned().unwrap_or_default()
    }

    /// What a server has to be told of it.
    pub fn definition(&self) -> Value {
        definition(&self.options, self.url())
    }

    /// Makes it known to a server, with a profile for it; answers the profile's id.
    pub async fn introduce(&self, admin: &Caller) -> i64 {
        admin.post("/api/providers", &self.definition()).await.expect(200);
        self.profile(admin, "Practice", CLIENT_SECRET).await
    }

    /// A profile for it; answers its id.
    pub async fn profile(&self, admin: &Caller, name: &str, secret: &str) -> i64 {
        let body = json!({"name": name, "provider": SLUG, "data": {"client_id": CLIENT_ID, "client_secret": secret}});
        admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
    }

    /// Makes grants out of nothing and imports them; answers the ids of the connections and those of the grants. `expired`:
    /// the access tokens are no good any more, as Grantry knows.
    pub async fn connect(&self, admin: &Caller, profile: i64, count: u64, expired: bool) -> Vec<(i64, u64)> {
        let made = self.control("grants", json!({"count": count})).await;
        let mut connected = Vec::new();
        for (n, grant) in made["grants"].as_array().unwrap().iter().enumerate() {
            let expires_in = if expired { json!(1) } else { grant["expires_in"].clone() };
            let body = json!({
                "custom_oauth_profile_id": profile,
                "name": format!("connection {n}"),
                "owner": "alice",
                "refresh_token": grant["refresh_token"],
                "access_token": grant["access_token"],
                "expires_in": expires_in,
            });
            let answer = admin.post("/api/connections/import", &body).await.expect(200);
            let id = answer["result"]["id"].as_i64().unwrap();
            connected.push((id, grant["id"].as_u64().unwrap()));
        }
        connected
    }
}

/// Asks until `done` says so, for at most `patience`.
pub async fn until<F: Future<Output = bool>>(what: &str, patience: Duration, mut done: impl FnMut() -> F) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < patience, "not in time: {what}");
        // Another process does it: there is nothing to wait on.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
