//! Benchmarks: `cargo bench`. Ratios against a yardstick in the same run, as machines differ and are noisy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::zombie_processes,
    missing_docs
)]

mod due;
mod views;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rusqlite::Connection;
use serde_json::{Value, json};

struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_grantry"))
}

/// Starts a server and waits until it answers; how long that took.
async fn start(data: &Path, http: &reqwest::Client) -> (Server, Duration) {
    let _ = fs::remove_file(data.join("run.json"));
    let begun = Instant::now();
    let child = Command::new(program())
        .args(["--listen", "127.0.0.1:0", "--log-level", "warn", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    loop {
        let run: Option<Value> =
            fs::read(data.join("run.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(run) = run {
            let url = run["url"].as_str().unwrap().to_owned();
            if http.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status() == 200) {
                let token = run["token"].as_str().unwrap().to_owned();
                return (Server { child, url, token }, begun.elapsed());
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "not ready");
        // Another process writes the file: there is nothing to wait on.
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Resident memory in MiB: all of it, and the part that is not file pages.
fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let read = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (read("VmRSS:"), read("RssAnon:"))
}

async fn start_and_size(http: &reqwest::Client) {
    let dir = tempfile::tempdir().unwrap();
    let (server, first) = start(&dir.path().join("data"), http).await;
    drop(server);
    let mut times = Vec::new();
    for _ in 0..21 {
        let (_server, took) = start(&dir.path().join("data"), http).await;
        times.push(milliseconds(took));
    }
    let (server, _) = start(&dir.path().join("data"), http).await;
    // Idle is what is measured.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (all, anonymous) = memory(server.child.id());
    let size = fs::metadata(program()).unwrap().len() as f64 / (1024.0 * 1024.0);
    println!("start to ready, new data folder     {:7.1} ms", milliseconds(first));
    println!("start to ready, median of 21        {:7.1} ms", median(times));
    println!("memory after 3 s idle               {all:7.1} MiB ({anonymous:.1} MiB without file pages)");
    println!("binary                              {size:7.1} MiB");
}

/// Durable writes: sixteen callers at once against one after the other.
async fn grouped_writes(http: &reqwest::Client) {
    const WRITES: usize = 640;
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = start(&dir.path().join("data"), http).await;
    let write = async |id: String| {
        let body = json!({"name": "c", "notification_email": "c@acme.example", "external_id": id});
        let request = http.post(format!("{}/api/managed_users", server.url)).bearer_auth(&server.token).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    let mut ratios = Vec::new();
    let (mut alone, mut together) = (0.0, 0.0);
    for round in 0..5 {
        let begun = Instant::now();
        for n in 0..WRITES / 8 {
            write(format!("a{round}-{n}")).await;
        }
        alone = (WRITES / 8) as f64 / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let write = &write;
        join_all((0..16).map(|caller| async move {
            for n in 0..WRITES / 16 {
                write(format!("b{round}-{caller}-{n}")).await;
            }
        }))
        .await;
        together = WRITES as f64 / begun.elapsed().as_secs_f64();
        ratios.push(together / alone);
    }
    println!(
        "durable writes, 16 callers : 1      {:7.1} x   (last round {together:.0}/s : {alone:.0}/s)",
        median(ratios)
    );
}

/// A page in the middle of a million rows: by page marks against OFFSET.
async fn page_marks(http: &reqwest::Client) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(start(&data, http).await);
    let db = Connection::open(data.join("grantry.db")).unwrap();
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
         INSERT INTO customers SELECT i, 'c' || i, 'c@acme.example', NULL, 0, 0 FROM n;",
    )
    .unwrap();
    let (server, _) = start(&data, http).await;
    let (mut by_marks, mut by_offset) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let begun = Instant::now();
        let url = format!("{}/api/managed_users?page=9900&per_page=100", server.url);
        let page: Value = http.get(url).bearer_auth(&server.token).send().await.unwrap().json().await.unwrap();
        by_marks.push(milliseconds(begun.elapsed()));
        assert_eq!(page["result"][0]["id"], 989_901);
        let begun = Instant::now();
        let first: i64 =
            db.query_row("SELECT id FROM customers ORDER BY id LIMIT 100 OFFSET 989900", [], |row| row.get(0)).unwrap();
        by_offset.push(milliseconds(begun.elapsed()));
        assert_eq!(first, 989_901);
    }
    let (marks, offset) = (median(by_marks), median(by_offset));
    println!(
        "page 9,900 of 10,000, OFFSET : marks {:6.1} x   ({offset:.2} ms bare : {marks:.2} ms over HTTP)",
        offset / marks
    );
}

/// A list of 100,000 connections, as it is sent and with a caller who is slow: how much the process grows for it.
async fn long_lists(http: &reqwest::Client) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(start(&data, http).await);
    let db = Connection::open(data.join("grantry.db")).unwrap();
    db.execute_batch(
        "INSERT INTO profiles (provider, name, client_id, created_at, updated_at) VALUES ('hubspot', 'P', 'id', 0, 0);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO connections (name, provider, profile_id, owner, external_id, created_at, updated_at)
         SELECT 'connection ' || i, 'hubspot', 1, 'owner ' || i, 'external-' || i, 0, 0 FROM n;",
    )
    .unwrap();
    drop(db);
    let (server, _) = start(&data, http).await;
    let highest = || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    let list = async |query: &str| {
        let url = format!("{}/api/connections{query}", server.url);
        let mut answer = http.get(url).bearer_auth(&server.token).send().await.unwrap();
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
        }
        bytes as f64 / (1024.0 * 1024.0)
    };
    list("?external_id=external-1").await;
    let before = highest();
    let begun = Instant::now();
    let size = list("").await;
    let took = begun.elapsed().as_secs_f64();
    let one = highest() - before;
    join_all((0..6).map(|_| list(""))).await;
    let six = highest() - before;
    println!(
        "list of 100,000, answer : growth    {:7.1} x   ({size:.1} MiB in {took:.2} s : {one:.1} MiB; six at once {six:.1} MiB)",
        size / one.max(0.1)
    );
}

/// Token reads while passwords are being guessed against token reads in peace.
async fn reads_under_a_flood(http: &reqwest::Client) {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = start(&dir.path().join("data"), http).await;
    let read = async || {
        let begun = Instant::now();
        let url = format!("{}/api/users/me", server.url);
        assert_eq!(http.get(url).bearer_auth(&server.token).send().await.unwrap().status(), 200);
        milliseconds(begun.elapsed())
    };
    let many = async |n: usize| {
        let mut times = Vec::new();
        for _ in 0..n {
            times.push(read().await);
        }
        times
    };
    let mut calm = many(1000).await;
    let flood = async {
        for round in 0..25 {
            let guesses = (0..40).map(|n| {
                let name = format!("user{round}-{n}");
                http.get(format!("{}/api/users/me", server.url)).basic_auth(name, Some("a guess")).send()
            });
            join_all(guesses).await;
        }
    };
    let (mut flooded, ()) = futures_util::future::join(many(1000), flood).await;
    let (calm, flooded) = (
        (percentile(&mut calm, 50), percentile(&mut calm, 99)),
        (percentile(&mut flooded, 50), percentile(&mut flooded, 99)),
    );
    println!(
        "reads, login flood : calm            {:6.1} x   (p50 {:.2} : {:.2} ms; p99 {:.2} : {:.2} ms)",
        flooded.0 / calm.0,
        flooded.0,
        calm.0,
        flooded.1,
        calm.1
    );
}

/// Loading a document again, of which every secret is known, against loading it first.
async fn loading_again(http: &reqwest::Client) {
    let dir = tempfile::tempdir().unwrap();
    let (server, _) = start(&dir.path().join("data"), http).await;
    let document: Value = json!({"jira": (0..1000)
        .map(|n| (format!("J{n}"), json!({"CLIENT_ID": "id", "CLIENT_SECRET": format!("made-up-{n}")})))
        .collect::<serde_json::Map<_, _>>()});
    let load = async || {
        let begun = Instant::now();
        let request = http.post(format!("{}/api/load", server.url)).bearer_auth(&server.token).json(&document);
        assert_eq!(request.send().await.unwrap().status(), 200);
        begun.elapsed().as_secs_f64()
    };
    let first = load().await;
    let mut again = Vec::new();
    for _ in 0..5 {
        again.push(load().await);
    }
    let again = median(again);
    println!("1,000 configurations, first : again {:7.1} x   ({first:.2} s : {again:.3} s)", first / again);
}

/// A database with 10,000 profiles and 100,000 connections with grants, one in a hundred of them in trouble.
fn seed(db: &Connection) {
    db.execute_batch(
        "BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO profiles (id, name, provider, client_id, created_at, updated_at, rejected_at, rejected_why)
         SELECT i, 'Configuration ' || i, 'provider' || (i % 7), 'client-' || i, i, i,
            CASE WHEN i % 500 = 0 THEN i END, CASE WHEN i % 500 = 0 THEN 'invalid_client' END FROM n;
         INSERT INTO profile_secrets (profile_id, kind, hash, created_at)
         SELECT id, 'current', hex(randomblob(48)), created_at FROM profiles;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO customers SELECT i, 'Customer ' || i, 'c' || i || '@acme.example', 'ext-' || i, i, i FROM n;
         INSERT INTO assignments SELECT id, 'provider' || ((1 + id % 10000) % 7), 1 + id % 10000, id FROM customers;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO connections (id, name, provider, profile_id, owner, customer_id, external_id, status, lost_at,
            lost_reason, created_at, updated_at, account_id, account_label)
         SELECT i, 'Connection number ' || i, 'provider' || ((1 + i % 10000) % 7), 1 + i % 10000, 'owner' || (i % 1000),
            1 + i % 20000, 'crm-' || i, CASE i % 100 WHEN 0 THEN 'failed' WHEN 1 THEN NULL ELSE 'success' END,
            CASE i % 100 WHEN 0 THEN i END, CASE i % 100 WHEN 0 THEN 'the provider says invalid_grant' END, i, i,
            'acct-' || i, 'person' || i || '@acme.example' FROM n;
         INSERT INTO grants (connection_id, grant_type, version, key_id, sealed, token_type, granted_at, issued_at,
            expires_at, refresh_token, refresh_issued_at, rotates, due_at, uncertain_at, failures, blame,
            last_attempt_at, last_result, last_refreshed_at, handed_out)
         SELECT id, 'authorization_code', 3, 'k', randomblob(700), 'Bearer', 1750000000000, 1750000000000,
            32503680000000, 1, 1750000000000, 1, 32503680000000, CASE id % 100 WHEN 2 THEN id END,
            id % 100 = 3, CASE id % 100 WHEN 0 THEN 'grant' WHEN 3 THEN 'provider' END, 1750000000000, 'refreshed',
            1750000000000, 0 FROM connections WHERE status IS NOT NULL;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
         INSERT INTO events (at, kind, connection_id, profile_id, detail)
         SELECT i, 'connected', i, 1 + i % 10000, '{\"reason\":\"made up\"}' FROM n;
         COMMIT;
         ANALYZE;",
    )
    .unwrap();
}

/// The lists that the admin page lives on, of 100,000 connections and 10,000 profiles, against a plain walk over the same
/// connections in the same run.
async fn searches(http: &reqwest::Client) {
    const CALLS: [&str; 15] = [
        "/api/search/connections",
        "/api/search/connections?q=number%2099999",
        "/api/search/connections?q=PERSON",
        "/api/search/connections?q=nowhere&limit=200",
        "/api/search/connections?state=wrong&limit=200",
        "/api/search/connections?state=ok&after=90000&limit=200",
        "/api/search/connections?owner=owner7&state=ok",
        "/api/search/profiles?limit=200",
        "/api/search/profiles?q=client-99&state=rejected",
        "/api/search/customers?q=acme&limit=200",
        "/api/search/events?q=number%201",
        "/api/search/events?limit=200",
        "/api/expiring",
        "/api/overview",
        "/api/keys",
    ];
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(start(&data, http).await);
    let db = Connection::open(data.join("grantry.db")).unwrap();
    seed(&db);
    let (server, _) = start(&data, http).await;
    let walk = || {
        let begun = Instant::now();
        let sql = "SELECT count(*) FROM connections WHERE name LIKE '%nowhere%' OR owner LIKE '%nowhere%'
            OR external_id LIKE '%nowhere%' OR account_label LIKE '%nowhere%'";
        let found: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(found, 0);
        milliseconds(begun.elapsed())
    };
    for call in CALLS {
        let (mut times, mut walks) = (Vec::new(), Vec::new());
        for _ in 0..11 {
            walks.push(walk());
            let begun = Instant::now();
            let request = http.get(format!("{}{call}", server.url)).bearer_auth(&server.token);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{call}");
            answer.bytes().await.unwrap();
            times.push(milliseconds(begun.elapsed()));
        }
        let (time, walk) = (median(times), median(walks));
        println!("{call:<58} {:5.2} x a walk   ({time:.1} : {walk:.1} ms)", time / walk);
    }
    drop(server);
    results_of_refreshes(&db);
}

/// What the result of a refresh costs with its line in the history and its number in the day, against without. Sixty-four
/// share a commit, as in the writer.
fn results_of_refreshes(db: &Connection) {
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").unwrap();
    let grant = "UPDATE grants SET version = version + 1, sealed = randomblob(700), due_at = due_at + 1 WHERE connection_id = ?1";
    let result = "INSERT INTO refresh_results (connection_id, seq, at) SELECT ?1, coalesce(max(seq), 0) + 1, 1
        FROM refresh_results WHERE connection_id = ?1 RETURNING seq";
    let oldest = "DELETE FROM refresh_results WHERE connection_id = ?1 AND seq <= ?2";
    let day = "INSERT INTO refresh_days (day, ok) VALUES (1, 1) ON CONFLICT (day) DO UPDATE SET ok = ok + 1";
    // Full histories: each new line makes an old one go.
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO refresh_results (connection_id, seq, at) SELECT c.id, i, 1 FROM connections c, n
         WHERE c.id % 10 = 5;",
    )
    .unwrap();
    let round = |with: bool| {
        let begun = Instant::now();
        for group in 0..20_i64 {
            db.execute_batch("BEGIN IMMEDIATE").unwrap();
            for n in 0..64 {
                // Here and there, as refreshes fall due.
                let id = 5 + (group * 64 + n) * 7919 % 10_000 * 10;
                db.prepare_cached(grant).unwrap().execute([id]).unwrap();
                if with {
                    let seq: i64 = db.prepare_cached(result).unwrap().query_row([id], |row| row.get(0)).unwrap();
                    db.prepare_cached(oldest).unwrap().execute([id, seq - 50]).unwrap();
                    db.prepare_cached(day).unwrap().execute([]).unwrap();
                }
            }
            db.execute_batch("COMMIT").unwrap();
        }
        milliseconds(begun.elapsed()) / 20.0
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        without.push(round(false));
        with.push(round(true));
    }
    let (with, without) = (median(with), median(without));
    println!("64 results, history : no history     {:7.2} x   ({with:.1} ms : {without:.1} ms)", with / without);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo test --all-targets` comes by here too: it only wants to see that this compiles.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("benchmarks run with `cargo bench`");
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The server closes a connection that has been idle for five seconds; none is sent on at just that moment.
    let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(2)).build().unwrap();
    // `cargo bench -- due` runs those with that in their name.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    macro_rules! run {
        ($($name:path),*) => { $(if is_wanted(stringify!($name)) { $name(&http).await; })* };
    }
    run!(
        start_and_size,
        grouped_writes,
        page_marks,
        long_lists,
        reads_under_a_flood,
        loading_again,
        searches,
        views::painted,
        due::at_once
    );
}
