//! Rules for one account or one client, what the state tells of a grant, and what the control API refuses.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation};
use serde_json::{Value, json};

use super::{Practice, json_of, refused, text};
use crate::support::{self, Server};

/// The refresh tokens of `count` grants; the first grant has the number 1.
async fn grants(practice: &Practice, count: u64, client: &str) -> Vec<Value> {
    let made = practice.control("grants", json!({"count": count, "client_id": client})).await;
    made["grants"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_rule_of_one_grant_leaves_the_others_alone() {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let made = grants(&practice, 3, CLIENT_ID).await;
    let rule =
        json!({"on": "refresh", "fault": "answer:402:{\"error\":\"payment_required\"}", "times": null, "grant": 2});
    let listed = practice.control("faults", rule).await;
    assert_eq!((&listed["faults"][0]["grant"], listed["faults"][0].get("client")), (&json!(2), None));
    for _ in 0..2 {
        for (number, grant) in made.iter().enumerate() {
            let status = practice.refresh(text(&grant["refresh_token"])).await.0;
            assert_eq!(status, if number == 1 { 402 } else { 200 });
        }
    }
    // Requests that carry the grant's token in another place.
    for on in ["userinfo", "api", "introspect", "revoke", "token"] {
        practice.http.delete(practice.url("/control/faults")).send().await.unwrap();
        practice.control("faults", json!({"on": on, "fault": "answer:418", "times": null, "grant": 3})).await;
        for grant in [&made[0], &made[2]] {
            let (access, refresh) = (text(&grant["access_token"]), text(&grant["refresh_token"]));
            let get = |path| practice.http.get(practice.url(path)).bearer_auth(access).send();
            let answer = match on {
                "userinfo" => get("/userinfo").await,
                "api" => get("/api/x").await,
                "introspect" => practice.try_post("/introspect", &[("token", access)]).await,
                "revoke" => practice.try_post("/revoke", &[("token", access)]).await,
                _ => practice.try_post("/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await,
            };
            let is_the_one = grant["id"] == 3;
            assert_eq!(answer.unwrap().status() == 418, is_the_one, "{on} {}", grant["id"]);
        }
    }
}

#[tokio::test]
async fn a_rule_of_one_client_leaves_the_others_alone() {
    let practice = Practice::rotating(Rotation::None);
    practice.control("clients", json!({"client_id": "other", "client_secret": "another-secret"})).await;
    let (own, other) = (grants(&practice, 1, CLIENT_ID).await, grants(&practice, 1, "other").await);
    let post = async |path: &str, client: &str, form: &[(&str, &str)]| {
        let secret = if client == "other" { "another-secret" } else { CLIENT_SECRET };
        let request = practice.http.post(practice.url(path)).basic_auth(client, Some(secret)).form(form);
        request.send().await.unwrap().status().as_u16()
    };
    for on in ["token", "client_credentials", "refresh", "device_authorization", "introspect", "userinfo", "authorize"]
    {
        practice.http.delete(practice.url("/control/faults")).send().await.unwrap();
        practice.control("faults", json!({"on": on, "fault": "answer:418", "times": null, "client": "other"})).await;
        for (client, grant) in [(CLIENT_ID, &own[0]), ("other", &other[0])] {
            let (access, refresh) = (text(&grant["access_token"]), text(&grant["refresh_token"]));
            let status = match on {
                "token" | "client_credentials" => post("/token", client, &[("grant_type", "client_credentials")]).await,
                "refresh" => {
                    post("/token", client, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
                }
                "device_authorization" => post("/device_authorization", client, &[("scope", "read")]).await,
                "introspect" => post("/introspect", client, &[("token", access)]).await,
                "userinfo" => practice.userinfo(&grant["access_token"]).await.0,
                _ => {
                    let url = practice.authorize_url(&[("client_id", client)]);
                    practice.http.get(url).send().await.unwrap().status().as_u16()
                }
            };
            assert_eq!(status == 418, client == "other", "{on} {client}: {status}");
        }
    }
}

#[tokio::test]
async fn the_state_tells_when_each_grant_was_asked_for() {
    let practice = Practice::rotating(Rotation::None);
    let made = grants(&practice, 2, CLIENT_ID).await;
    let times = async |id: u64| {
        let url = practice.url(&format!("/control/state?grant={id}"));
        let state = json_of(practice.http.get(url).send().await.unwrap()).await.1;
        let times: Vec<u64> = serde_json::from_value(state["grants"][0]["refresh_times_ms"].clone()).unwrap();
        assert!(times.is_sorted() && times.last().is_none_or(|last| *last <= state["now_ms"].as_u64().unwrap()));
        times
    };
    assert_eq!(times(1).await, [0; 0]);
    practice.refreshed(text(&made[0]["refresh_token"])).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // A request counts whatever becomes of it.
    for fault in ["answer:500", "drop_after", "error:invalid_grant"] {
        practice.fault("refresh", fault).await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(&made[0]["refresh_token"]))];
        drop(practice.try_post("/token", &form).await);
    }
    let first = times(1).await;
    assert!(first.len() == 4 && first[1] - first[0] >= 50, "{first:?}");
    assert_eq!(times(2).await, [0; 0]);
    // The grant that a client has for itself.
    for _ in 0..3 {
        assert_eq!(practice.post("/token", &[("grant_type", "client_credentials")]).await.0, 200);
    }
    assert_eq!(times(3).await.len(), 3);
    for _ in 0..1100 {
        practice.refresh(text(&made[1]["refresh_token"])).await;
    }
    assert_eq!(times(2).await.len(), 1000);
}

#[tokio::test]
async fn the_control_api_refuses_with_one_sentence_what_it_cannot_do() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let cases = [
        (json!({"on": "userinfo", "fault": "expires_in:1"}), "expires_in has no effect on userinfo requests"),
        (json!({"on": "refresh", "fault": "interval:1"}), "on: one of device_authorization"),
        (json!({"on": "token", "fault": ["hang", "status:500"]}), "hang and status contradict each other"),
        (json!({"on": "token", "fault": ["error:a", "scope:b"]}), "scope has no effect beside error"),
        (json!({"on": "token", "fault": vec!["hang"; 11]}), "1 to 10 words"),
        (json!({"on": "token", "fault": 1}), "fault: a text or a list of texts"),
        (json!({"on": "token", "fault": null}), "fault: a text or a list of texts"),
        (json!({"on": "token", "fault": ["hang", 1]}), "fault: a text or a list of texts"),
        (json!({"on": "token", "fault": {"hang": 1}}), "fault: a text or a list of texts"),
        (json!({"on": "token", "fault": ""}), "unknown fault"),
        (json!({"on": "token", "fault": "explode"}), "unknown fault \"explode\"; faults: slow:MS"),
        (json!({"on": "token", "fault": "x".repeat(50_000)}), "unknown fault"),
        (json!({"on": "token", "fault": format!("answer:200:{}", "x".repeat(20_000))}), "at most 16384 bytes"),
        (json!({"on": "token", "fault": "retry_after:1\r\nSet-Cookie: a=b"}), "without control characters"),
        (json!({"on": "token", "fault": "type:a\u{0}"}), "without control characters"),
        (json!({"on": "token", "fault": "www_authenticate:\u{7f}"}), "without control characters"),
        (json!({"on": "token", "fault": "expires_in:{"}), "expires_in needs a JSON value"),
        (json!({"on": "token", "fault": format!("expires_in:{}", &deep[..90])}), "expires_in needs a JSON value"),
        (json!({"on": "token", "fault": "expires_at:tomorrow"}), "expires_at needs +SECONDS"),
        (json!({"on": "token", "fault": "encoding:zstd"}), "encoding: a list of gzip"),
        (json!({"on": "token", "fault": "many_headers:1000000"}), "from 1 to 10000"),
        (json!({"on": "token", "fault": "echo:rot13"}), "echo:FORM: FORM is one of plain"),
        (json!({"on": "token", "fault": "hang", "grant": -1}), "invalid value"),
        (json!({"on": "token", "fault": "hang", "grant": 0}), "grant: a number from 1"),
        (json!({"on": "token", "fault": "hang", "grant": "1"}), "invalid type"),
        (json!({"on": "token", "fault": "hang", "grant": 1.5}), "invalid type"),
        (json!({"on": "code", "fault": "hang", "grant": 1}), "grant: code requests belong to no grant"),
        (json!({"on": "jwks", "fault": "hang", "client": "a"}), "client: jwks requests name no client"),
        (json!({"on": "token", "fault": "hang", "client": ""}), "client: a client ID of 1 to 1000 bytes"),
        (json!({"on": "token", "fault": "hang", "client": "x".repeat(1001)}), "client: a client ID"),
        (json!({"on": "token", "fault": "hang", "grant": 1, "client": "a"}), "grant, client: only one"),
        (json!({"on": "token", "fault": "hang", "times": 0}), "times: at least 1"),
        (json!({"on": "token", "fault": "hang", "skip": -1}), "invalid value"),
        (json!({"on": "token", "fault": "hang", "grants": 1}), "unknown field"),
        (json!({"on": "moon", "fault": "hang"}), "on: one of token"),
        (json!({"on": "token"}), "missing field"),
    ];
    for (body, part) in cases {
        let answer = practice.http.post(practice.url("/control/faults")).json(&body).send().await.unwrap();
        let (status, told) = json_of(answer).await;
        let sentence = told["error"].as_str().unwrap_or_default();
        assert!(status == 400 && sentence.contains(part), "{body}: {told}");
        assert!(sentence.len() < 2000 && !sentence.contains('\n') && !sentence.contains("untagged"), "{told}");
    }
    for body in
        [&deep.into_bytes()[..], b"\xff\xfe", b"{\"on\":\"token\",\"on\":\"token\",\"fault\":\"hang\"}", b"[]", b"1"]
    {
        let answer = practice.http.post(practice.url("/control/faults")).body(body.to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), 400);
    }
    let large = practice.http.post(practice.url("/control/faults")).body(vec![b' '; 100_000]).send().await.unwrap();
    assert_eq!(large.status(), 413);
    // None of these has left a rule behind.
    let listed = practice.http.get(practice.url("/control/faults")).send().await.unwrap();
    assert_eq!(json_of(listed).await.1["faults"], json!([]));
    practice.refreshed(text(&tokens["refresh_token"])).await;
    let rules = vec!["jwks=html".parse().unwrap(); 999];
    let practice = Practice::with(Options { faults: rules, ..Options::default() });
    practice.control("faults", json!({"on": "jwks", "fault": "html"})).await;
    let more = practice.http.post(practice.url("/control/faults")).json(&json!({"on": "jwks", "fault": "html"}));
    assert_eq!(more.send().await.unwrap().status(), 400, "at most 1000 rules");
}

#[tokio::test]
async fn hostile_requests_are_matched_against_rules_without_harm() {
    let practice = Practice::rotating(Rotation::None);
    let made = grants(&practice, 1, CLIENT_ID).await;
    for on in ["token", "userinfo", "revoke", "authorize"] {
        practice.control("faults", json!({"on": on, "fault": "hang", "times": null, "client": "other"})).await;
    }
    let long = "9".repeat(8000);
    for token in ["sim_rt_2_0_", "sim_rt_18446744073709551616_0_0", "1", "-1", long.as_str(), "\u{0}", "é"] {
        refused(&practice.refresh(token).await, 400, "invalid_grant");
        assert_eq!(practice.post("/revoke", &[("token", token)]).await.0, 200);
    }
    let ask = |head: &str, body: &[u8]| {
        let mut socket = TcpStream::connect(practice.simulator.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = body.len();
        let mut request =
            format!("{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        request.extend_from_slice(body);
        socket.write_all(&request).unwrap();
        // A server that answers before it has read the whole body may reset the connection afterwards: the status line counts.
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).unwrap();
        line
    };
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (head, body, status) in [
        (format!("POST /token HTTP/1.1\r\n{form}"), &b"\xff\xfe%zz&&=&"[..], "401"),
        (format!("POST /token HTTP/1.1\r\n{form}\r\nAuthorization: Basic !!!"), b"grant_type=x", "401"),
        (format!("POST /revoke HTTP/1.1\r\n{form}\r\nAuthorization: Bearer \x7f"), b"token=x", "400"),
        ("POST /token HTTP/1.1\r\nContent-Type: application/json".to_owned(), b"{\"client_id\":{}}", "400"),
        ("GET /userinfo HTTP/1.1\r\nAuthorization: Bearer ".to_owned(), b"", "401"),
        ("GET /authorize?client_id=%ff&client_id=x HTTP/1.1\r\nX: y".to_owned(), b"", "400"),
    ] {
        let told = ask(&head, body);
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {told}");
    }
    practice.refreshed(text(&made[0]["refresh_token"])).await;
}

#[tokio::test]
async fn one_broken_account_is_played_next_to_a_healthy_one() {
    let (server, practice) = (Server::start().await, support::practice::Practice::with(Options::default()));
    let admin = server.admin();
    let profile = practice.introduce(&admin).await;
    let [(broken, first), (healthy, second)] = practice.connect(&admin, profile, 2, false).await[..] else {
        panic!("two connections")
    };
    practice.rule(json!({"on": "refresh", "fault": "error:invalid_grant", "times": null, "grant": first})).await;
    for id in [broken, healthy] {
        admin.post(&format!("/api/connections/{id}/refresh"), &json!({})).await;
    }
    assert_eq!((practice.refresh_times(first).await.len(), practice.refresh_times(second).await.len()), (1, 1));
    assert_eq!(
        (&practice.grant(first).await["refreshes"], &practice.grant(second).await["refreshes"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(admin.get(&format!("/api/connections/{healthy}/token")).await.status, 200);
}
