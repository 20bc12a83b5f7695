//! An authorization server that is not ours: npm's `oidc-provider`, by `tests/oidc/server.mjs`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Server, person::Person, programs::installed};

/// The secret of all its confidential clients.
pub const SECRET: &str = "PLANTED_secret_at_the_other_server";

/// A server with clients `basic`, `post`, `public`, `machine` and `device`.
pub struct Oidc {
    child: Child,
    pub issuer: String,
    http: reqwest::Client,
    /// Goes last, when nothing writes to it any more.
    _dir: TempDir,
}

impl Oidc {
    /// One whose clients may be sent back to this server, or `None` where it is not installed: then `suite` is skipped and
    /// says so, unless `GRANTRY_TESTS_NEED_OIDC=1` makes that a failure. `life`: seconds that its access tokens live.
    pub fn start(suite: &str, for_server: &Server, life: u32) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        let found = installed(&["node"]).filter(|_| folder.join("node_modules/oidc-provider").is_dir());
        if found.is_none() {
            let why = "node, or oidc-provider in tests/oidc/node_modules, is not there (tests/run installs both)";
            assert!(std::env::var_os("GRANTRY_TESTS_NEED_OIDC").is_none_or(|value| value != "1"), "{suite}: {why}");
            // Not `eprintln!`: the harness keeps that of a test that passes to itself.
            let _ = std::io::stderr().write_all(format!("\nSKIPPED {suite}: {why}\n").as_bytes());
        }
        Some(Self::run(&found?, &folder, for_server, life))
    }

    fn run(node: &PathBuf, folder: &Path, for_server: &Server, life: u32) -> Self {
        let back =
            ["/oauth/callback", "/Thingworx/Oauths/oauth/return"].map(|path| format!("{}{path}", for_server.url));
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut child = Command::new(node)
            .arg("server.mjs")
            .current_dir(folder)
            .env("REDIRECT_URIS", json!(back).to_string())
            .env("CLIENT_SECRET", SECRET)
            .env("ACCESS_TOKEN_SECONDS", life.to_string())
            // It ends when this pipe does, however this process ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("oidc-provider did not start: {}", std::fs::read_to_string(&log).unwrap()));
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { child, issuer: said["issuer"].as_str().unwrap().to_owned(), http, _dir: dir }
    }

    /// What happened at it so far: oidc-provider's events, never a token.
    pub async fn events(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/events", self.issuer)).send().await.unwrap();
        Answer::of(answer).await.expect(200).as_array().unwrap().clone()
    }

    /// How often this event happened.
    pub async fn count(&self, event: &str) -> usize {
        self.events().await.iter().filter(|happened| happened["event"] == event).count()
    }

    /// What it says of a token to a client (RFC 7662).
    pub async fn introspect(&self, client: &str, token: &str) -> Value {
        let request = self
            .http
            .post(format!("{}/token/introspection", self.issuer))
            .basic_auth(client, Some(SECRET))
            .form(&[("token", token)]);
        Answer::of(request.send().await.unwrap()).await.expect(200)
    }

    /// Somebody opens this link in a browser, logs in here as `login`, agrees or does not, and goes wherever that leads.
    pub async fn consent(&self, person: &Person, link: &str, login: &str, decision: &str) -> Answer {
        let page = person.open(link).await;
        assert!(page.url.starts_with(&format!("{}/interaction/", self.issuer)), "{}: {}", page.url, page.answer.text());
        person.submit(&page.url, &[("login", login), ("decision", decision)]).await.answer
    }

    /// Somebody types a device's code and agrees.
    pub async fn confirm_device(&self, person: &Person, user_code: &str, login: &str) {
        let page = person.open(&format!("{}/device", self.issuer)).await;
        let proof = page.hidden("xsrf");
        let page = person.submit(&page.url, &[("xsrf", &proof), ("user_code", user_code)]).await;
        let more = [("xsrf", proof.as_str()), ("user_code", user_code), ("confirm", "yes")];
        let page = person.submit(&page.url, &more).await;
        let page = person.submit(&page.url, &[("login", login), ("decision", "approve")]).await;
        assert!(page.answer.text().contains("Device connected"), "{}: {}", page.url, page.answer.text());
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
