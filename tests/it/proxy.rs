//! `/proxy`: requests passed on to a provider's API with the token put in, and to nowhere else.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};

use crate::support::{
    Answer, Caller, Server,
    practice::until,
    raw::{self, Request},
};

/// What an API says, and what reached it and the token endpoint beside it.
struct Api {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    /// One that answers so; the token endpoint below `/token` gives `PLANTED_second`.
    async fn answering(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let url = raw::serve(move |request| {
            let refresh = request.is_post() && request.head.contains(" /token ");
            let answer = if refresh {
                let given = json!({"access_token": "PLANTED_second", "refresh_token": "PLANTED_refresh_2",
                    "token_type": "Bearer", "expires_in": 3600});
                raw::json(200, &given.to_string())
            } else {
                answer(&request)
            };
            noted.lock().unwrap().push(request);
            answer
        })
        .await;
        Self { url, asked }
    }

    /// The requests that reached the API.
    fn asked(&self) -> Vec<Request> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| !asked.head.contains(" /token ")).cloned().collect()
    }

    /// How many refreshes came.
    fn refreshes(&self) -> usize {
        let all = self.asked.lock().unwrap().len();
        all - self.asked().len()
    }
}

/// A connection whose API is at `base`; its token endpoint is at `url`.
async fn connection(admin: &Caller, url: &str, api: Value) -> i64 {
    let entry = json!({"slug": "acme", "name": "Acme", "token_url": format!("{url}/token"), "api": api});
    admin.post("/api/providers", &entry).await.expect(200);
    let body =
        json!({"name": "Acme", "provider": "acme", "data": {"client_id": "a", "client_secret": "PLANTED_secret"}});
    let profile = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone();
    let body = json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_refresh",
        "access_token": "PLANTED_access", "expires_in": 3600});
    admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
}

async fn below_v1(admin: &Caller, api: &Api) -> i64 {
    connection(admin, &api.url, json!({"base_url": format!("{}/v1", api.url)})).await
}

fn fine(_: &Request) -> String {
    raw::json(200, r#"{"fine":true}"#)
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    let body = answer.expect(status);
    assert_eq!(body["error"], error, "{body}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert!(answer.header("proxy-status").starts_with("grantry; error="), "{:?}", answer.headers);
}

#[tokio::test]
async fn the_token_is_put_in_and_nothing_of_ours_goes_along() {
    let (server, api) = (Server::start().await, Api::answering(fine).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    let caller = server.caller(&["connections:token"]);
    let request = caller
        .request("PUT", &format!("/proxy/{id}/items/7?a=b&c=%20%2F"))
        .header("cookie", "grantry=PLANTED_session")
        .header("connection", "x-of-this-hop, close")
        .header("x-of-this-hop", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic PLANTED")
        .header("x-forwarded-for", "10.9.8.7")
        .header("forwarded", "for=10.9.8.7")
        .header("x-of-the-api", "kept")
        .header("content-type", "application/x-odd")
        .body("the body");
    let answer = caller.send(request).await;
    assert_eq!(answer.expect(200), json!({"fine": true}));
    assert_eq!(answer.header("proxy-status"), "grantry; received-status=200");
    assert!(answer.header("content-security-policy").contains("sandbox"));
    let asked = api.asked();
    let [asked] = &asked[..] else { panic!("one: {asked:?}") };
    assert!(asked.head.starts_with("PUT /v1/items/7?a=b&c=%20%2F HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!(asked.header("authorization"), "Bearer PLANTED_access");
    assert_eq!(asked.head.to_ascii_lowercase().matches("\r\nauthorization:").count(), 1);
    assert_eq!(asked.header("host"), api.url.trim_start_matches("http://"));
    assert_eq!((asked.header("x-of-the-api").as_str(), asked.body.as_str()), ("kept", "the body"));
    assert_eq!(asked.header("content-type"), "application/x-odd");
    assert_eq!(asked.header("via"), "1.1 grantry");
    for gone in
        ["cookie", "x-of-this-hop", "te", "proxy-authorization", "x-forwarded-for", "forwarded", "appkey", "upgrade"]
    {
        assert_eq!(asked.header(gone), "", "{gone}: {}", asked.head);
    }
    assert!(!asked.head.contains("gry_") && !asked.head.contains("10.9.8.7"), "{}", asked.head);
    // The other way to show who one is stays here too.
    let by_key = server.anybody().header("appKey", &caller.token());
    by_key.get(&format!("/proxy/{id}/x")).await.expect(200);
    let asked = api.asked().pop().unwrap();
    assert!(!asked.head.contains("gry_"), "{}", asked.head);
}

#[tokio::test]
async fn only_who_may_have_the_token_is_passed_on() {
    let (server, api) = (Server::start().await, Api::answering(fine).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    let path = format!("/proxy/{id}/x");
    refused(&server.anybody().get(&path).await, 401, "unauthenticated");
    refused(&server.anybody().bearer("gry_api_1_wrong").get(&path).await, 401, "unauthenticated");
    refused(&server.caller(&["connections:read", "connections:write"]).get(&path).await, 403, "forbidden");
    refused(&admin.get("/proxy/99/x").await, 404, "not_found");
    refused(&admin.get("/proxy/x/x").await, 404, "not_found");
    assert!(api.asked().is_empty());
    // A token in the URL is refused, not sent along.
    let with_key = format!("{path}?appKey={}", admin.token());
    refused(&server.anybody().get(&with_key).await, 401, "unauthenticated");
    assert!(api.asked().is_empty());
    admin.get(&path).await.expect(200);
    // Each is a hand-out; they are written a moment later.
    until("it is counted", std::time::Duration::from_secs(20), async || {
        let detail = admin.get(&format!("/api/connections/{id}")).await.expect(200)["result"].clone();
        detail["hand_outs"]["count"] == 1
    })
    .await;
    admin.post(&format!("/api/connections/{id}/disconnect"), &json!({})).await.expect(200);
    let refused = admin.get(&path).await.expect(409);
    assert_eq!(refused["error"], "needs_reauthorization");
    assert_eq!(api.asked().len(), 1);
}

/// A request as it is written, over a plain socket: a client would mend the path. The status and the whole answer.
async fn written(server: &Server, admin: &Caller, line: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head =
        format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n", admin.token());
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer)
}

#[tokio::test]
async fn no_path_leads_to_another_host_or_above_the_api() {
    let (server, api) = (Server::start().await, Api::answering(fine).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    for path in [
        "/..",
        "/../token",
        "/%2e%2e/token",
        "/.%2e/token",
        "/%252e%252e/token",
        "/..%2ftoken",
        "/a/..;/..;/token",
        "//evil.example/x",
        "/\\evil.example/x",
        "/%5cevil.example",
        "/a%00",
        "/a%0d%0aX-Evil:%201",
        "/%zz",
        "/a/./b",
    ] {
        let (status, answer) = written(&server, &admin, &format!("GET /proxy/{id}{path}")).await;
        assert!((400..500).contains(&status), "{path}: {answer}");
    }
    for line in [
        format!("GET http://evil.example/proxy/{id}/x"),
        format!("GET /proxy/{id}@evil.example/x"),
        format!("GET /proxy/{id}.evil.example/x"),
        format!("GET /proxy/+{id}/x"),
        format!("GET /proxy/0{id}/x"),
        format!("GET /proxy/{id}%2F..%2Fx/x"),
        "CONNECT evil.example:443".to_owned(),
        format!("TRACE /proxy/{id}/x"),
    ] {
        let (status, answer) = written(&server, &admin, &line).await;
        assert!(status == 0 || (400..500).contains(&status), "{line}: {answer}");
    }
    assert!(api.asked().is_empty(), "{:?}", api.asked());
    assert_eq!(written(&server, &admin, &format!("GET /proxy/{id}/a%2Fb/@me/c:d;e=1?x=//../y")).await.0, 200);
    assert!(api.asked()[0].head.starts_with("GET /v1/a%2Fb/@me/c:d;e=1?x=//../y HTTP/1.1"), "{}", api.asked()[0].head);
    assert_eq!(written(&server, &admin, &format!("GET /proxy/{id}")).await.0, 200);
    assert!(api.asked()[1].head.starts_with("GET /v1 HTTP/1.1"), "{}", api.asked()[1].head);
}

#[tokio::test]
async fn a_redirect_below_the_api_is_handed_back_and_any_other_is_refused() {
    let server = Server::start().await;
    let admin = server.admin();
    let api = Api::answering(|asked| {
        let to = asked.head.split("to=").nth(1).unwrap_or_default().split(' ').next().unwrap_or_default();
        let to = percent_encoding::percent_decode_str(to).decode_utf8_lossy().into_owned();
        raw::answer(307, &format!("location: {to}\r\n"), "")
    })
    .await;
    let id = below_v1(&admin, &api).await;
    let ask = async |to: &str| {
        let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
        admin.get(&format!("/proxy/{id}/items/7?to={to}")).await
    };
    for (to, rest) in
        [("8", "/items/8"), ("/v1/other?a=b#c", "/other?a=b#c"), (&format!("{}/v1/whole", api.url), "/whole")]
    {
        let answer = ask(to).await;
        assert_eq!((answer.status, answer.header("location")), (307, format!("/proxy/{id}{rest}").as_str()), "{to}");
    }
    for to in ["https://evil.example/v1/x", "//evil.example/v1", "/token", "../../token", "http://127.0.0.1:1/v1/x"] {
        let answer = ask(to).await;
        refused(&answer, 502, "api_redirects_elsewhere");
        assert_eq!(answer.header("location"), "", "{to}");
    }
    assert_eq!(api.asked().len(), 8, "nobody follows");
}

#[tokio::test]
async fn what_an_api_says_about_our_address_is_not_passed_back() {
    let server = Server::start().await;
    let admin = server.admin();
    let api = Api::answering(|_| {
        raw::answer(
            404,
            "content-type: text/html\r\nset-cookie: grantry=evil\r\naccess-control-allow-origin: *\r\n\
             x-of-the-api: kept\r\ncontent-security-policy: default-src *\r\nx-this-hop: 1\r\n\
             keep-alive: timeout=5\r\nwww-authenticate: Bearer realm=\"api\"\r\n",
            "<script>alert(1)</script>",
        )
    })
    .await;
    let id = below_v1(&admin, &api).await;
    let answer = admin.get(&format!("/proxy/{id}/x")).await;
    assert_eq!((answer.status, answer.text().as_str()), (404, "<script>alert(1)</script>"), "the API's own, as it is");
    assert_eq!(answer.header("x-of-the-api"), "kept");
    for gone in ["set-cookie", "access-control-allow-origin", "keep-alive"] {
        assert_eq!(answer.header(gone), "", "{gone}");
    }
    assert!(answer.header("content-security-policy").starts_with("sandbox"), "{:?}", answer.headers);
}

/// As if the tokens had come a while ago.
async fn aged(server: &mut Server, admin: &Caller) -> Caller {
    server.stop();
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    db.execute("UPDATE grants SET issued_at = issued_at - 600000", []).unwrap();
    drop(db);
    server.kill_and_restart().await;
    admin.at(&server.url)
}

fn for_the_second(asked: &Request) -> String {
    if asked.header("authorization") == "Bearer PLANTED_second" {
        raw::json(200, r#"{"fine":true}"#)
    } else {
        raw::json(401, r#"{"error":"expired"}"#)
    }
}

#[tokio::test]
async fn a_token_that_the_api_turns_down_is_refreshed_once_and_the_request_sent_again() {
    let (mut server, api) = (Server::start().await, Api::answering(for_the_second).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    let path = format!("/proxy/{id}/x");
    // One that has just come is not the reason for a 401.
    assert_eq!(admin.get(&path).await.status, 401);
    assert_eq!((api.asked().len(), api.refreshes()), (1, 0));
    let admin = aged(&mut server, &admin).await;
    // A body is spent: it cannot be sent again.
    assert_eq!(admin.post(&path, &json!({"a": 1})).await.status, 401);
    assert_eq!((api.asked().len(), api.refreshes()), (2, 0));
    assert_eq!(admin.get(&path).await.expect(200), json!({"fine": true}));
    assert_eq!((api.asked().len(), api.refreshes()), (4, 1));
    // From now on it is good, for a body too.
    assert_eq!(admin.post(&path, &json!({"a": 1})).await.expect(200), json!({"fine": true}));
    assert_eq!((api.asked().len(), api.refreshes()), (5, 1));
}

#[tokio::test]
async fn many_that_are_turned_down_at_once_make_one_refresh() {
    let (mut server, api) = (Server::start().await, Api::answering(for_the_second).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    let admin = aged(&mut server, &admin).await;
    let path = format!("/proxy/{id}/x");
    let answers = futures_util::future::join_all((0..20).map(|_| admin.get(&path))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(api.refreshes(), 1);
}

#[tokio::test]
async fn an_api_that_always_says_no_is_believed_after_one_refresh() {
    let (mut server, api) = (Server::start().await, Api::answering(|_| raw::json(401, r#"{"error":"no"}"#)).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    let admin = aged(&mut server, &admin).await;
    let path = format!("/proxy/{id}/x");
    for _ in 0..4 {
        assert_eq!(admin.get(&path).await.expect(401), json!({"error": "no"}), "the API's answer, not ours");
    }
    assert_eq!((api.asked().len(), api.refreshes()), (5, 1));
}

#[tokio::test]
async fn an_address_inside_is_refused_before_and_after_its_name_is_resolved() {
    let server = Server::start().await;
    let admin = server.admin();
    let url = raw::nobody().await;
    let id = connection(&admin, &url, json!({"base_url": "https://10.0.0.1/v1"})).await;
    refused(&admin.get(&format!("/proxy/{id}/x")).await, 502, "api_address_refused");
    let mut entry = json!({"slug": "acme", "name": "Acme", "token_url": format!("{url}/token")});
    let file = server.data().join("acme.json");
    let put = async |entry: &Value| {
        std::fs::write(&file, entry.to_string()).unwrap();
        let origin =
            url::Url::parse(entry["api"]["base_url"].as_str().unwrap()).unwrap().origin().ascii_serialization();
        let args = ["provider", "replace", "acme", file.to_str().unwrap(), "--confirm-origin", &origin];
        server.cli_ok(&args);
    };
    for inside in ["https://169.254.169.254", "https://[fe80::1]", "https://[::ffff:10.0.0.1]", "https://100.64.0.1"] {
        entry["api"] = json!({"base_url": inside});
        put(&entry).await;
        refused(&admin.get(&format!("/proxy/{id}/latest/meta-data")).await, 502, "api_address_refused");
    }
    // A name that looks like any other and leads here. Where this machine has none, there is nothing to be shown.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let name = hosts.lines().filter(|line| line.starts_with("127.")).find_map(|line| {
        line.split_whitespace().skip(1).find(|name| !name.contains("localhost") && !name.contains('#'))
    });
    let Some(name) = name else { return };
    entry["api"] = json!({"base_url": format!("https://{name}/v1")});
    put(&entry).await;
    refused(&admin.get(&format!("/proxy/{id}/x")).await, 502, "api_address_refused");
    drop(server);
    // Unless it is allowed: then it is merely not there.
    let server = Server::with(&["--allow-private"]).await;
    let admin = server.admin();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().port();
    drop(listener);
    let id = connection(&admin, &url, json!({"base_url": format!("https://{name}:{closed}/v1")})).await;
    refused(&admin.get(&format!("/proxy/{id}/x")).await, 502, "api_unreachable");
}

#[tokio::test]
async fn an_address_that_a_grant_brings_is_held_to_the_providers_hosts() {
    let (server, api) = (Server::start().await, Api::answering(fine).await);
    let admin = server.admin();
    let entry = json!({"slug": "acme", "name": "Acme", "token_url": format!("{}/token", api.url),
        "hosts": ["127.0.0.1"], "keep": {"instance_url": "/instance_url"},
        "api": {"base_url": "{extra.instance_url}/v2"}});
    admin.post("/api/providers", &entry).await.expect(200);
    let body =
        json!({"name": "Acme", "provider": "acme", "data": {"client_id": "a", "client_secret": "PLANTED_secret"}});
    let profile = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone();
    let import = async |instance: Value| {
        let body = json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_r",
            "access_token": "PLANTED_access", "expires_in": 3600, "extra": {"instance_url": instance}});
        admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
    };
    let id = import(json!(api.url)).await;
    admin.get(&format!("/proxy/{id}/x")).await.expect(200);
    assert!(api.asked()[0].head.starts_with("GET /v2/x "));
    for evil in [
        json!("https://evil.example"),
        json!("https://127.0.0.1.evil.example"),
        json!("https://127.0.0.1@evil.example"),
        json!("https://evil.example/#127.0.0.1"),
        json!(["x"]),
        json!(null),
        json!(""),
    ] {
        let id = import(evil.clone()).await;
        let answer = admin.get(&format!("/proxy/{id}/x")).await;
        refused(&answer, 409, "no_api_address");
        assert!(answer.text().contains("extra.instance_url"), "{evil}: {}", answer.text());
    }
    assert_eq!(api.asked().len(), 1);
    let id = {
        let entry = json!({"slug": "bare", "name": "Bare", "token_url": format!("{}/token", api.url)});
        admin.post("/api/providers", &entry).await.expect(200);
        let body =
            json!({"name": "Bare", "provider": "bare", "data": {"client_id": "a", "client_secret": "PLANTED_s"}});
        let profile = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone();
        let body =
            json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_r", "access_token": "PLANTED_a"});
        admin.post("/api/connections/import", &body).await.expect(200)["result"]["id"].as_i64().unwrap()
    };
    refused(&admin.get(&format!("/proxy/{id}/x")).await, 409, "no_api");
}

/// An API that answers a part when it is told to, and tells of each part of a request that comes.
async fn piecewise() -> (String, mpsc::UnboundedReceiver<String>, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    let next = Arc::new(Notify::new());
    let go_on = Arc::clone(&next);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = String::new();
        let mut part = [0; 4096];
        while !seen.contains("the last part") {
            let read = stream.read(&mut part).await.unwrap();
            assert_ne!(read, 0, "cut off: {seen}");
            seen.push_str(&String::from_utf8_lossy(&part[..read]));
            let _ = tell.send(seen.clone());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        go_on.notified().await;
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    });
    (url, told, next)
}

#[tokio::test]
async fn bodies_go_through_as_they_come_in_both_directions() {
    let server = Server::start().await;
    let admin = server.admin();
    let (url, mut told, next) = piecewise().await;
    let id = connection(&admin, &url, json!({"base_url": url})).await;
    let (send, parts) = mpsc::unbounded_channel::<&'static str>();
    let parts = stream::unfold(parts, |mut parts| async move {
        let part = parts.recv().await?;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(part.as_bytes())), parts))
    });
    let request = admin.request("POST", &format!("/proxy/{id}/up")).body(reqwest::Body::wrap_stream(parts));
    let answering = tokio::spawn(request.send());
    let mut until = async |text: &str| {
        while let Some(seen) = told.recv().await {
            if seen.contains(text) {
                return;
            }
        }
        panic!("{text} never came");
    };
    // The second part is not even written before the API has the first one.
    send.send("the first part").unwrap();
    until("the first part").await;
    send.send("the last part").unwrap();
    drop(send);
    until("the last part").await;
    let mut answer = answering.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    // Nor is the second part of the answer before the caller has the first one.
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "first");
    next.notify_one();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "second");
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let server = Server::start().await;
    let admin = server.admin();
    let api = Api::answering(|asked| {
        if asked.head.contains("/cut") {
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot a hundred".to_owned()
        } else if asked.head.contains("/none") {
            String::new()
        } else {
            "no HTTP at all\r\n\r\n".to_owned()
        }
    })
    .await;
    let id = below_v1(&admin, &api).await;
    let cut = admin.request("GET", &format!("/proxy/{id}/cut")).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err(), "whoever reads it notices");
    refused(&admin.get(&format!("/proxy/{id}/none")).await, 502, "api_broken");
    refused(&admin.get(&format!("/proxy/{id}/odd")).await, 502, "api_broken");
    for (name, value, status, error) in
        [("upgrade", "websocket", 501, "upgrade_refused"), ("via", "1.1 grantry", 508, "loop_detected")]
    {
        let request = admin.request("GET", &format!("/proxy/{id}/x")).header(name, value);
        refused(&admin.send(request).await, status, error);
    }
}

#[tokio::test]
async fn a_head_has_no_body_and_an_options_is_the_apis() {
    let (server, api) = (Server::start().await, Api::answering(fine).await);
    let admin = server.admin();
    let id = below_v1(&admin, &api).await;
    for method in ["HEAD", "OPTIONS", "PATCH", "DELETE", "POST"] {
        let answer = admin.send(admin.request(method, &format!("/proxy/{id}/x"))).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(answer.body.is_empty(), method == "HEAD");
    }
    let methods: Vec<String> =
        api.asked().iter().map(|asked| asked.head.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(methods, ["HEAD", "OPTIONS", "PATCH", "DELETE", "POST"]);
}
