//! Events: listed, and carried to whoever wants to hear of them, signed, until they have arrived.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    Caller, Server,
    practice::until,
    profile_body,
    receiver::{Receiver, Reply},
};

const WEBHOOKS: &str = "/api/webhooks";
const SOON: Duration = Duration::from_secs(20);
const MINUTE_MS: i64 = 60 * 1000;

fn database(server: &Server) -> Connection {
    let db = Connection::open(server.data().join("grantry.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    // As the server has it: what is removed takes along what hangs on it.
    db.pragma_update(None, "foreign_keys", true).unwrap();
    db
}

/// A connection with a name that turns up only where it is meant to.
async fn connection(admin: &Caller) -> i64 {
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Sales", "hubspot")).await.expect(200);
    let body = json!({"name": "MARKED Größe \u{1F701}", "custom_oauth_profile_id": made["result"]["id"],
        "provider": "hubspot", "owner": "alice", "external_id": "ext-1"});
    let made = admin.post("/api/connections", &body).await.expect(200);
    made["id"].as_i64().or_else(|| made["result"]["id"].as_i64()).unwrap()
}

/// Makes an event happen: the connection was authorised, and is disconnected.
async fn disconnect(server: &Server, admin: &Caller, id: i64) {
    database(server).execute("UPDATE connections SET status = 'success' WHERE id = ?1", [id]).unwrap();
    let path = format!("/api/connections/{id}/disconnect");
    admin.send(admin.request("POST", &path)).await.expect(200);
}

/// Adds a webhook; its id and its secret.
async fn add(admin: &Caller, body: &Value) -> (i64, String) {
    let made = admin.post(WEBHOOKS, body).await.expect(200);
    let secret = made["result"]["secret"].as_str().unwrap().to_owned();
    (made["result"]["id"].as_i64().unwrap(), secret)
}

async fn deliveries(admin: &Caller, webhook: i64, query: &str) -> Vec<Value> {
    let path = format!("{WEBHOOKS}/{webhook}/deliveries{query}");
    admin.get(&path).await.expect(200)["result"].as_array().unwrap().clone()
}

/// Waits until the newest delivery to a webhook looks like this; that delivery.
async fn newest(admin: &Caller, webhook: i64, status: &str, attempts: u64) -> Value {
    let mut seen = Value::Null;
    let begun = Instant::now();
    loop {
        if let Some(first) = deliveries(admin, webhook, "?limit=1").await.first() {
            if first["status"] == status && first["attempts"] == attempts {
                return first.clone();
            }
            seen = first.clone();
        }
        assert!(begun.elapsed() < SOON, "not {status} after {attempts}: {seen}");
        // Another process does it: there is nothing to wait on.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Milliseconds since 1970 of a time on the wire.
fn milliseconds(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// As if the time for the next attempt had come.
fn hurry(server: &Server) {
    database(server).execute("UPDATE deliveries SET next_at = 1 WHERE next_at IS NOT NULL", []).unwrap();
}

#[tokio::test]
async fn an_event_arrives_signed_and_as_it_is_listed() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(204)).await);
    let (webhook, secret) = add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    let before = now();
    disconnect(&server, &admin, id).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert!(received.is_signed_with(&secret) && !received.is_signed_with("another"), "{received:?}");
    let time: i64 = received.header("grantry-signature")[2..].split(',').next().unwrap().parse().unwrap();
    assert!((before / 1000..=now() / 1000).contains(&time), "{time}");
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("grantry-event"), "disconnected");
    assert!(received.header("user-agent").starts_with("grantry/"));
    assert!(received.header("authorization").is_empty() && received.header("cookie").is_empty());
    let body = received.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "type", "at", "connection", "profile", "detail"]);
    let provider = "hubspot";
    assert_eq!(
        body["connection"],
        json!({"id": id, "name": "MARKED Größe \u{1F701}", "owner": "alice", "external_id": "ext-1", "provider": provider})
    );
    assert_eq!(body["profile"]["name"], "Sales");
    assert_eq!(body["detail"], json!({"reason": "disconnected"}));
    let listed = admin.get("/api/events").await.expect(200)["result"][0].clone();
    assert_eq!(listed, body);
    let delivered = newest(&admin, webhook, "delivered", 1).await;
    assert_eq!(delivered["result"], "204");
    assert_eq!(delivered["event_id"], body["id"]);
    assert_eq!(delivered["id"].to_string(), received.header("grantry-delivery"));
    assert!(delivered["next_at"].is_null() && delivered["settled_at"].is_string(), "{delivered}");
    assert_eq!(receiver.received().len(), 1, "once");
    for seen in [admin.get(WEBHOOKS).await, admin.get(&format!("{WEBHOOKS}/{webhook}")).await] {
        assert!(!seen.text().contains("gry_"), "the secret is shown once");
    }
    assert!(!server.log().contains("MARKED") && !server.log().contains("of_the_receiver"), "{}", server.log());
}

#[tokio::test]
async fn a_connection_that_is_gone_has_its_id_left() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(500)).await);
    let (webhook, _) = add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    newest(&admin, webhook, "waiting", 1).await;
    admin.delete(&format!("/api/connections/{id}")).await.expect(200);
    hurry(&server);
    let again = receiver.wait_for(2).await[1].json();
    let nothing = json!({"id": id, "name": null, "owner": null, "external_id": null, "provider": null});
    assert_eq!(again["connection"], nothing);
    assert_eq!(again["profile"]["name"], "Sales");
}

#[tokio::test]
async fn a_webhook_hears_what_it_wants_to_hear_while_it_is_switched_on() {
    let server = Server::start().await;
    let admin = server.admin();
    let (all, some, other, off) = (
        Receiver::start(Reply::Status(200)).await,
        Receiver::start(Reply::Status(200)).await,
        Receiver::start(Reply::Status(200)).await,
        Receiver::start(Reply::Status(200)).await,
    );
    add(&admin, &json!({"url": all.url, "events": []})).await;
    let twice = ["disconnected", "connected", "disconnected"];
    let (some_id, _) = add(&admin, &json!({"url": some.url, "events": twice})).await;
    let shown = admin.get(&format!("{WEBHOOKS}/{some_id}")).await.expect(200);
    assert_eq!(shown["result"]["events"], json!(["connected", "disconnected"]));
    add(&admin, &json!({"url": other.url, "events": ["connected"]})).await;
    let (off_id, _) = add(&admin, &json!({"url": off.url, "enabled": false})).await;
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    all.wait_for(1).await;
    some.wait_for(1).await;
    let path = format!("{WEBHOOKS}/{off_id}");
    let on = admin.put(&path, &json!({"enabled": true})).await.expect(200);
    assert_eq!((&on["result"]["enabled"], &on["result"]["url"]), (&json!(true), &json!(off.url)));
    disconnect(&server, &admin, id).await;
    assert_eq!(off.wait_for(1).await[0].json()["id"], 2, "not what happened before");
    all.wait_for(2).await;
    // What waits when it is switched off waits on.
    off.always(Reply::Status(503));
    disconnect(&server, &admin, id).await;
    newest(&admin, off_id, "waiting", 1).await;
    admin.put(&path, &json!({"enabled": false})).await.expect(200);
    hurry(&server);
    off.always(Reply::Status(200));
    all.wait_for(3).await;
    let waits = newest(&admin, off_id, "waiting", 1).await;
    assert_eq!(waits["result"], "503");
    let moved = Receiver::start(Reply::Status(200)).await;
    admin.put(&path, &json!({"enabled": true, "url": moved.url, "events": ["healed"]})).await.expect(200);
    assert_eq!(moved.wait_for(1).await[0].json()["id"], 3, "to the new address");
    assert!(other.received().is_empty());
    assert_eq!(off.received().len(), 2);
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_with_the_same_ids_and_growing_pauses() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(200)).await);
    let (webhook, secret) = add(&admin, &json!({"url": receiver.url})).await;
    receiver.first(&[Reply::Status(500), Reply::Status(302), Reply::Cut, Reply::Status(404)]);
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    for (n, (least, result)) in [(5, "500"), (25, "302"), (125, ""), (625, "404")].into_iter().enumerate() {
        let waiting = newest(&admin, webhook, "waiting", n as u64 + 1).await;
        assert!(waiting["result"].as_str().unwrap().contains(result), "{waiting}");
        assert!(!waiting["result"].as_str().unwrap().contains("127.0.0.1"), "{waiting}");
        let pause = milliseconds(&waiting["next_at"]) - now();
        assert!(pause > (least - 5) * 1000 && pause <= least * 1200, "{pause}: {waiting}");
        hurry(&server);
    }
    newest(&admin, webhook, "delivered", 5).await;
    let received = receiver.received();
    assert_eq!(received.len(), 5);
    let ids: BTreeSet<_> = received.iter().map(|r| (r.header("grantry-delivery"), r.body.as_str())).collect();
    assert_eq!(ids.len(), 1);
    assert!(received.iter().all(|received| received.is_signed_with(&secret)));
}

#[tokio::test]
async fn after_its_last_attempt_a_delivery_is_dead_until_somebody_asks_for_it_again() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(500)).await);
    let (webhook, _) = add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    newest(&admin, webhook, "waiting", 1).await;
    database(&server).execute("UPDATE deliveries SET attempts = 13, next_at = 1", []).unwrap();
    let dead = newest(&admin, webhook, "dead", 14).await;
    assert!(dead["next_at"].is_null() && dead["settled_at"].is_string(), "{dead}");
    assert!(server.log().contains("a delivery is given up"));
    assert_eq!(deliveries(&admin, webhook, "?status=dead").await, std::slice::from_ref(&dead));
    assert_eq!(deliveries(&admin, webhook, "?status=waiting").await, Vec::<Value>::new());
    let counted = admin.get(&format!("{WEBHOOKS}/{webhook}")).await.expect(200)["result"].clone();
    assert_eq!((&counted["waiting"], &counted["dead"]), (&json!(0), &json!(1)));
    let path = format!("{WEBHOOKS}/{webhook}/deliveries/{}/retry", dead["id"]);
    let again = admin.send(admin.request("POST", &path)).await.expect(200);
    assert_eq!((&again["result"]["status"], &again["result"]["attempts"]), (&json!("waiting"), &json!(0)));
    newest(&admin, webhook, "waiting", 1).await;
    receiver.always(Reply::Status(200));
    admin.send(admin.request("POST", &path)).await.expect(200);
    newest(&admin, webhook, "delivered", 2).await;
    assert_eq!(receiver.received().len(), 4);
    let refused = admin.send(admin.request("POST", &path)).await.expect(400);
    assert_eq!(refused["errors"], json!({"status": ["must be one of waiting, dead"]}));
    let (other, _) = add(&admin, &json!({"url": receiver.url})).await;
    let elsewhere = format!("{WEBHOOKS}/{other}/deliveries/{}/retry", dead["id"]);
    assert_eq!(admin.send(admin.request("POST", &elsewhere)).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_hang_delay_no_other_and_are_cut_off() {
    let server = Server::start().await;
    let (admin, fine) = (server.admin(), Receiver::start(Reply::Endless).await);
    let hanging = join_all((0..6).map(|_| Receiver::start(Reply::Hang))).await;
    let mut stuck = 0;
    for receiver in &hanging {
        stuck = add(&admin, &json!({"url": receiver.url})).await.0;
    }
    let (webhook, _) = add(&admin, &json!({"url": fine.url})).await;
    let id = connection(&admin).await;
    let begun = Instant::now();
    for _ in 0..5 {
        disconnect(&server, &admin, id).await;
    }
    let received = fine.wait_for(5).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let ids: BTreeSet<i64> = received.iter().map(|received| received.json()["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=5).collect::<BTreeSet<i64>>());
    newest(&admin, webhook, "delivered", 1).await;
    assert!(hanging.iter().all(|receiver| receiver.received().len() == 1), "one at a time");
    until("it is cut off", SOON, async || {
        let first = deliveries(&admin, stuck, "").await.pop().unwrap();
        first["result"] == "timeout"
    })
    .await;
    assert!(begun.elapsed() > Duration::from_secs(9) && begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn what_was_under_way_at_a_power_cut_is_sent_again() {
    let mut server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Hang).await);
    let (webhook, secret) = add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    receiver.wait_for(1).await;
    receiver.always(Reply::Status(200));
    server.kill_and_restart().await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].header("grantry-delivery"), received[1].header("grantry-delivery"));
    assert!(received[1].is_signed_with(&secret));
    newest(&server.admin(), webhook, "delivered", 1).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_does_not_hold_up_the_end_of_the_server() {
    let mut server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Hang).await);
    add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    receiver.wait_for(1).await;
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_ping_tells_what_came_back() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(200)).await);
    let (webhook, secret) = add(&admin, &json!({"url": receiver.url, "enabled": false})).await;
    let path = format!("{WEBHOOKS}/{webhook}/test");
    let ping = async || admin.send(admin.request("POST", &path)).await;
    let done = ping().await.expect(200)["result"].clone();
    assert_eq!((&done["delivered"], &done["result"]), (&json!(true), &json!("200")));
    assert!(done["milliseconds"].is_u64());
    let received = receiver.received().remove(0);
    assert!(received.is_signed_with(&secret));
    assert_eq!((received.header("grantry-event"), received.header("grantry-delivery")), ("ping", "0"));
    let body = received.json();
    assert_eq!((&body["id"], &body["type"], &body["detail"]), (&json!(0), &json!("ping"), &json!({})));
    assert!(body["connection"].is_null() && body["profile"].is_null() && body["at"].is_string());
    receiver.first(&[Reply::Status(418), Reply::Cut]);
    let done = ping().await.expect(200)["result"].clone();
    assert_eq!((&done["delivered"], &done["result"]), (&json!(false), &json!("418")));
    assert_eq!(ping().await.expect(200)["result"]["delivered"], false);
    // Two at a time: more would let a caller keep connections to elsewhere open.
    receiver.always(Reply::Hang);
    let begun = Instant::now();
    let answers = join_all([ping(), ping(), ping()]).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429]);
    assert!(begun.elapsed() < Duration::from_secs(15));
    let timed_out = answers.iter().find(|answer| answer.status == 200).unwrap().json();
    assert_eq!(timed_out["result"]["result"], "timeout");
    // Nobody listens any more: the reason has no address in it.
    drop(receiver);
    let refused = ping().await.expect(200)["result"].clone();
    assert_eq!(refused["delivered"], false);
    assert!(!refused["result"].as_str().unwrap().contains("127.0.0.1"), "{refused}");
    assert!(admin.get("/api/events").await.expect(200)["result"].as_array().unwrap().is_empty(), "a ping is no event");
}

#[tokio::test]
async fn a_new_secret_counts_at_once() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(200)).await);
    let (webhook, old) = add(&admin, &json!({"url": receiver.url})).await;
    let path = format!("{WEBHOOKS}/{webhook}/secret");
    let new =
        admin.send(admin.request("POST", &path)).await.expect(200)["result"]["secret"].as_str().unwrap().to_owned();
    assert!(new.starts_with(&format!("gry_webhook_{webhook}_")) && new != old);
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert!(received.is_signed_with(&new) && !received.is_signed_with(&old));
    // It signs, and opens nothing.
    assert_eq!(server.anybody().bearer(&new).get("/api/users/me").await.status, 401);
    let keys = admin.post("/api/keys/verify", &json!({})).await.expect(200);
    assert_eq!(keys["result"]["unopenable"], json!([]));
    let db = database(&server);
    db.execute("UPDATE webhooks SET secret = zeroblob(40)", []).unwrap();
    let keys = admin.post("/api/keys/verify", &json!({})).await.expect(200);
    assert_eq!(keys["result"]["unopenable"], json!([{"table": "webhooks", "row": webhook.to_string()}]));
    disconnect(&server, &admin, id).await;
    let waiting = newest(&admin, webhook, "waiting", 1).await;
    assert_eq!(waiting["result"], "the secret does not open");
    assert_eq!(receiver.received().len(), 1, "nothing goes out unsigned");
    let audited: i64 = db
        .query_row("SELECT count(*) FROM audit WHERE noun = 'webhook' AND detail LIKE '%of_the_receiver%'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(audited, 0, "the path of an address may be a secret");
}

#[tokio::test]
async fn addresses_that_lead_inside_or_in_clear_are_refused() {
    let server = Server::start().await;
    let admin = server.admin();
    let refused = async |url: &str, form: &str| {
        let answer = admin.post(WEBHOOKS, &json!({"url": url})).await.expect(400);
        assert!(answer["errors"]["url"][0].as_str().unwrap().contains(form), "{url}: {answer}");
    };
    for url in ["http://hooks.acme.example/", "ftp://hooks.acme.example/", "hooks.acme.example", "https://", "data:,x"]
    {
        refused(url, "an https URL (http only for loopback)").await;
    }
    for url in ["https://10.0.0.1/", "https://169.254.169.254/x", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/"] {
        refused(url, "at a public address").await;
    }
    for url in
        ["https://me:PLANTED@hooks.acme.example/", "https://me@hooks.acme.example/", "https://hooks.acme.example/#x"]
    {
        refused(url, "without user, password and fragment").await;
    }
    refused("", "can't be blank").await;
    refused("https://hooks.acme.example/\n", "control characters").await;
    refused(&format!("https://hooks.acme.example/{}", "x".repeat(2048)), "too long").await;
    // A name that leads inside is found out when something is sent.
    let (inside, _) = add(&admin, &json!({"url": "https://localhost.localdomain.:1/"})).await;
    let done = admin.send(admin.request("POST", &format!("{WEBHOOKS}/{inside}/test"))).await.expect(200);
    assert_eq!(done["result"]["delivered"], false);
    let allowed = Server::with(&["--allow-private"]).await;
    add(&allowed.admin(), &json!({"url": "https://10.0.0.1/"})).await;
    // One way to write an address.
    let (id, _) = add(&admin, &json!({"url": " https:\\\\Hooks.ACME.example:443/a b"})).await;
    let shown = admin.get(&format!("{WEBHOOKS}/{id}")).await.expect(200);
    assert_eq!(shown["result"]["url"], "https://hooks.acme.example/a%20b");
}

#[tokio::test]
async fn faults_of_a_webhook_are_told_at_the_field() {
    let server = Server::start().await;
    let admin = server.admin();
    let url = "https://hooks.acme.example/";
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": 1}), "url"),
        (json!({"url": url, "events": ["everything"]}), "events"),
        (json!({"url": url, "events": "connected"}), "events"),
        (json!({"url": url, "events": [1]}), "events"),
        (json!({"url": url, "enabled": "yes"}), "enabled"),
        (json!({"url": url, "secret": "PLANTED"}), "secret"),
    ] {
        let refused = admin.post(WEBHOOKS, &body).await.expect(400);
        assert!(refused["errors"][field].is_array(), "{field}: {refused}");
    }
    let (id, _) = add(&admin, &json!({"url": url})).await;
    let path = format!("{WEBHOOKS}/{id}");
    admin.put(&path, &json!({"url": "http://hooks.acme.example/"})).await.expect(400);
    assert_eq!(admin.put(&path, &json!({"events": ["healed"]})).await.expect(200)["result"]["url"], url);
    for query in ["?status=lost", "?before=x"] {
        assert_eq!(admin.get(&format!("{path}/deliveries{query}")).await.status, 400, "{query}");
    }
    for (method, call) in
        [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/secret"), ("POST", "/test"), ("GET", "/deliveries")]
    {
        let request = admin.request(method, &format!("{WEBHOOKS}/999{call}")).json(&json!({}));
        assert_eq!(admin.send(request).await.status, 404, "{method} {call}");
    }
    admin.delete(&path).await.expect(200);
    assert_eq!(admin.get(&path).await.status, 404);
    let body = json!({"url": url});
    let many = join_all((0..50).map(|_| add(&admin, &body))).await;
    assert_eq!(many.len(), 50);
    let one_more = admin.post(WEBHOOKS, &json!({"url": url})).await.expect(400);
    assert!(one_more["message"].as_str().unwrap().contains("at most 50"), "{one_more}");
    // Who may look after connections makes nobody call out.
    let operator = server.caller(&["profiles:write", "connections:write", "connections:read", "connections:token"]);
    assert_eq!(operator.get(WEBHOOKS).await.status, 401);
    assert_eq!(operator.get("/api/events").await.status, 200);
    assert_eq!(server.caller(&["profiles:read"]).get("/api/events").await.status, 401);
}

#[tokio::test]
async fn a_webhook_that_is_removed_takes_along_what_was_on_its_way() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(500)).await);
    let (webhook, _) = add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    newest(&admin, webhook, "waiting", 1).await;
    admin.delete(&format!("{WEBHOOKS}/{webhook}")).await.expect(200);
    let left: i64 = database(&server).query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    assert_eq!(
        admin.get("/api/events").await.expect(200)["result"].as_array().unwrap().len(),
        1,
        "it happened all the same"
    );
}

#[tokio::test]
async fn events_are_listed_page_by_page_and_forgotten_in_the_end() {
    let mut server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(200)).await);
    let (webhook, _) = add(&admin, &json!({"url": receiver.url})).await;
    let id = connection(&admin).await;
    for _ in 0..5 {
        disconnect(&server, &admin, id).await;
    }
    until("all are delivered", SOON, async || deliveries(&admin, webhook, "?status=delivered").await.len() == 5).await;
    let ids = async |query: &str| -> Vec<i64> {
        let answer = admin.get(&format!("/api/events{query}")).await.expect(200);
        answer["result"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("").await, [5, 4, 3, 2, 1]);
    assert_eq!(ids("?limit=2").await, [5, 4]);
    assert_eq!(ids("?limit=2&before=4").await, [3, 2]);
    assert_eq!(ids("?before=1").await, Vec::<i64>::new());
    assert_eq!(ids("?limit=0").await, [5], "clamped");
    assert_eq!(ids("?limit=1000000").await.len(), 5);
    assert_eq!(admin.get("/api/events?before=last").await.status, 400);
    let newest_two: Vec<Value> = deliveries(&admin, webhook, "?limit=2").await;
    assert_eq!(newest_two[0]["event_id"], 5);
    assert_eq!(deliveries(&admin, webhook, "?before=3").await.len(), 2);
    server.stop();
    let db = database(&server);
    let day = 24 * 60 * MINUTE_MS;
    db.execute("UPDATE events SET at = ?1 WHERE id <= 2", [now() - 91 * day]).unwrap();
    db.execute("UPDATE deliveries SET settled_at = ?1 WHERE event_id = 3", [now() - 8 * day]).unwrap();
    db.execute("UPDATE deliveries SET settled_at = ?1, status = 'dead' WHERE event_id = 4", [now() - 8 * day]).unwrap();
    drop(db);
    let server = Server::on(server.dir(), &[], &[]).await;
    let admin = server.admin();
    until("what is old goes", SOON, async || {
        admin.get("/api/events").await.expect(200)["result"].as_array().unwrap().len() == 3
    })
    .await;
    let left = deliveries(&admin, webhook, "").await;
    let left: Vec<&Value> = left.iter().map(|delivery| &delivery["event_id"]).collect();
    assert_eq!(left, [5, 4]);
}

// The receiver goes on while a command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_looks_after_webhooks() {
    let server = Server::start().await;
    let (admin, receiver) = (server.admin(), Receiver::start(Reply::Status(500)).await);
    let added = server.cli_ok(&["webhook", "add", &receiver.url, "--event", "disconnected", "--event", "healed"]);
    let secret = added.lines().last().unwrap().to_owned();
    assert!(added.starts_with("webhook 1 is added") && secret.starts_with("gry_webhook_1_"), "{added}");
    assert!(server.cli_ok(&["webhook", "list"]).contains("healed disconnected"));
    let shown: Value = serde_json::from_str(&server.cli_ok(&["webhook", "show", "1"])).unwrap();
    assert_eq!(shown["url"], json!(receiver.url));
    let failed = server.cli(&["webhook", "test", "1"]);
    assert!(!failed.status.success());
    assert!(String::from_utf8_lossy(&failed.stderr).contains("the ping was not taken: 500"));
    let id = connection(&admin).await;
    disconnect(&server, &admin, id).await;
    newest(&admin, 1, "waiting", 1).await;
    assert!(server.cli_ok(&["webhook", "deliveries", "1", "--status", "waiting"]).contains("500"));
    assert_eq!(server.cli_ok(&["webhook", "deliveries", "1", "--status", "dead"]), "none");
    receiver.always(Reply::Status(202));
    assert_eq!(server.cli_ok(&["webhook", "retry", "1", "1"]), "delivery 1 is tried now");
    newest(&admin, 1, "delivered", 2).await;
    assert!(receiver.received().iter().all(|received| received.is_signed_with(&secret)));
    assert!(server.cli_ok(&["webhook", "test", "1"]).starts_with("the ping was taken: 202"));
    assert_eq!(
        server.cli_ok(&["webhook", "change", "1", "--all-events", "--enabled", "false"]),
        "webhook 1 is changed"
    );
    let changed: Value = serde_json::from_str(&server.cli_ok(&["--json", "webhook", "list"])).unwrap();
    assert_eq!((&changed[0]["events"], &changed[0]["enabled"]), (&json!([]), &json!(false)));
    let renewed = server.cli_ok(&["webhook", "new-secret", "1"]);
    assert!(renewed.starts_with("gry_webhook_1_") && renewed != secret);
    assert!(server.cli_ok(&["event", "list", "--limit", "1"]).contains("MARKED"));
    assert_eq!(server.cli_ok(&["event", "list", "--before", "1"]), "none");
    assert_eq!(server.cli_ok(&["webhook", "remove", "1"]), "webhook 1 is removed");
    assert!(!server.cli(&["webhook", "add", "http://hooks.acme.example/"]).status.success());
}
