//! What goes wrong on demand, as a client sees it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Options, Rotation};
use serde_json::{Value, json};

use super::{DEVICE_CODE, Practice, json_of, text, value};

/// The beginning of an answer, read from the socket until it ends, or nothing has come for a while.
fn raw(practice: &Practice, refresh_token: &str) -> (String, bool) {
    let body = format!(
        "grant_type=refresh_token&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&refresh_token={refresh_token}"
    );
    let mut socket = TcpStream::connect(practice.simulator.address()).unwrap();
    let length = body.len();
    write!(
        socket,
        "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 8 * 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&read).into_owned(), true),
            Ok(some) => read.extend_from_slice(&buffer[..some]),
            Err(_) => return (String::from_utf8_lossy(&read).into_owned(), false),
        }
    }
}

#[tokio::test]
async fn a_dropped_answer_is_a_closed_connection_without_a_byte() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    let token = text(&tokens["refresh_token"]);
    practice.fault("refresh", "drop_before").await;
    assert_eq!(raw(&practice, token), (String::new(), true));
    assert_eq!(practice.grant().await["refreshes"], 0);
    practice.fault("refresh", "drop_after").await;
    assert_eq!(raw(&practice, token), (String::new(), true));
    let grant = practice.grant().await;
    assert_eq!((&grant["refreshes"], &grant["alive"]), (&json!(1), &json!(true)), "it has rotated");
    assert!(practice.try_post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await.is_ok());
    assert_eq!(practice.grant().await["family_revoked"], true);
}

#[tokio::test]
async fn an_answer_is_cut_off_or_never_ends() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    practice.fault("refresh", "truncate_after").await;
    let (answer, closed) = raw(&practice, text(&tokens["refresh_token"]));
    assert!(closed);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let said = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    assert!(!body.is_empty() && said.unwrap_or(0) > body.len(), "{answer}");
    assert_eq!(practice.grant().await["refreshes"], 1);

    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    for (fault, refreshes) in [("never_finish", 0), ("never_finish_after", 1)] {
        practice.fault("refresh", fault).await;
        let (answer, closed) = raw(&practice, text(&tokens["refresh_token"]));
        assert!(!closed && answer.starts_with("HTTP/1.1 200") && answer.contains("sim_at_"), "{answer}");
        assert_eq!(practice.grant().await["refreshes"], refreshes, "{fault}");
    }
    practice.fault("token", "hang").await;
    assert_eq!(raw(&practice, "x"), (String::new(), false));
}

#[tokio::test]
async fn faults_stand_in_the_way_of_an_answer() {
    // What comes of the refreshes is never used, so the first token stays good.
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens["refresh_token"]))];
    let mut refreshes = 0;
    for (fault, status, marks, processed) in [
        ("status_before:500", 500, "Practice page 500", false),
        ("status:503", 503, "Practice page 503", false),
        ("status_after:500", 500, "Practice page 500", true),
        ("html", 200, "<!doctype html>", false),
        ("html_after", 200, "<!doctype html>", true),
        ("rate_limit:7", 429, "temporarily_unavailable", false),
        ("redirect", 302, "", false),
        ("redirect:307", 307, "", false),
        ("error:temporarily_unavailable", 400, "temporarily_unavailable", false),
        ("invalid_client", 401, "invalid_client", false),
        ("slow_after:1", 200, "sim_rt_", true),
    ] {
        practice.fault("refresh", fault).await;
        let answer = practice.try_post("/token", &form).await.unwrap();
        assert_eq!(answer.status(), status, "{fault}");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        match status {
            429 => assert_eq!(header("retry-after").as_deref(), Some("7")),
            302 | 307 => assert_eq!(header("location"), Some(practice.url("/elsewhere"))),
            _ => {}
        }
        let body = answer.text().await.unwrap();
        assert!(body.contains(marks), "{fault}: {body}");
        refreshes += u64::from(processed);
        let grant = practice.grant().await;
        assert_eq!((&grant["refreshes"], &grant["alive"]), (&json!(refreshes), &json!(true)), "{fault}");
    }
    for fault in ["drop", "drop_after", "truncate_after"] {
        practice.fault("refresh", fault).await;
        let answer = practice.try_post("/token", &form).await;
        let failed = match answer {
            Ok(answer) => answer.text().await.is_err(),
            Err(_) => true,
        };
        assert!(failed, "{fault}");
    }
    practice.fault("refresh", "slow:300").await;
    let begun = Instant::now();
    assert_eq!(practice.post("/token", &form).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_big_answer_is_ten_million_bytes_of_json() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    practice.fault("token", "big").await;
    let (status, big) = practice.refresh(text(&tokens["refresh_token"])).await;
    assert_eq!((status, text(&big["access_token"]).len()), (200, 10_000_007));
    assert_eq!(practice.grant().await["refreshes"], 0);
}

#[tokio::test]
async fn an_answer_says_what_it_is_told_to_say() {
    let practice = Practice::rotating(Rotation::Strict);
    let mut token = practice.tokens().await["refresh_token"].clone();
    for json in ["\"3600\"", "-1", "1e99", "1e999", "null", "\"abc\"", "0"] {
        practice.fault("refresh", &format!("expires_in:{json}")).await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(&token))];
        let body = practice.try_post("/token", &form).await.unwrap().text().await.unwrap();
        assert_eq!(body.matches("expires_in").count(), 1);
        assert!(body.contains(&format!("\"expires_in\":{json}}}")), "{body}");
        let body: Value = serde_json::from_str(&body.replace("1e999", "0")).unwrap();
        token = body["refresh_token"].clone();
    }
    practice.control("faults", json!({"on": "refresh", "fault": ["no_refresh_token", "scope:less"]})).await;
    let same = practice.refreshed(text(&token)).await;
    assert_eq!((&same["refresh_token"], &same["scope"]), (&Value::Null, &json!("less")));
    let next = practice.refreshed(text(&token)).await;
    assert_ne!(next["refresh_token"], token, "it was not rotated before");
    practice.fault("refresh", "skew:-86400").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&next["refresh_token"]))];
    let answer = practice.try_post("/token", &form).await.unwrap();
    let dates: Vec<_> = answer.headers().get_all("date").iter().map(|date| date.to_str().unwrap()).collect();
    assert_eq!(dates.len(), 1);
    let date = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", dates[0]).unwrap().to_datetime().unwrap();
    let date = date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let off = jiff::Timestamp::now().duration_since(date).as_secs();
    assert!((86_395..86_405).contains(&off), "{off}");
    let code = practice.code(&[]).await;
    practice.fault("code", "no_refresh_token").await;
    let tokens = practice.redeem(&code).await.1;
    assert!(tokens.get("refresh_token").is_none() && tokens.get("access_token").is_some());
}

#[tokio::test]
async fn the_way_back_may_lie_or_bring_an_error() {
    let practice = Practice::rotating(Rotation::None);
    practice.fault("authorize", "wrong_iss").await;
    let way_back = practice.authorized(&[]).await;
    assert_eq!(way_back.iter().filter(|(name, _)| name == "iss").count(), 1);
    assert_eq!(value(&way_back, "iss"), "https://wrong.example");
    practice.fault("authorize", "error:server_error").await;
    let way_back = practice.authorized(&[]).await;
    assert_eq!((value(&way_back, "error"), value(&way_back, "state")), ("server_error".into(), "the state".into()));
    let denied = practice.authorized(&[("auto", "deny")]).await;
    assert_eq!(value(&denied, "error"), "access_denied");
    assert_eq!(value(&denied, "iss"), practice.simulator.url());
    for (name, wrong, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("scope", "a\"b", "invalid_scope"),
    ] {
        assert_eq!(value(&practice.authorized(&[(name, wrong)]).await, "error"), error);
    }
}

#[tokio::test]
async fn faults_befall_the_requests_they_are_for_as_often_as_is_said() {
    let practice = Practice::rotating(Rotation::None);
    let tokens = practice.tokens().await;
    let refresh = async || practice.refresh(text(&tokens["refresh_token"])).await.0;
    practice.control("faults", json!({"on": "refresh", "fault": "status:500", "times": 2, "skip": 1})).await;
    practice.control("faults", json!({"on": "code", "fault": "status:502", "times": null})).await;
    assert_eq!([refresh().await, refresh().await, refresh().await, refresh().await], [200, 500, 500, 200]);
    for _ in 0..2 {
        assert_eq!(practice.redeem("x").await.0, 502);
    }
    let list = async || json_of(practice.http.get(practice.url("/control/faults")).send().await.unwrap()).await.1;
    assert_eq!(list().await["faults"], json!([{"on": "code", "fault": ["status:502"], "times": null, "skip": 0}]));
    practice.http.delete(practice.url("/control/faults")).send().await.unwrap();
    assert_eq!(list().await["faults"], json!([]));
    assert_eq!(practice.redeem("x").await.0, 400);
    for on in ["revoke", "introspect", "device_authorization", "device", "client_credentials"] {
        practice.fault(on, "status:500").await;
    }
    let token = [("token", "x")];
    assert_eq!(practice.post("/revoke", &token).await.0, 500);
    assert_eq!(practice.post("/introspect", &token).await.0, 500);
    assert_eq!(practice.post("/device_authorization", &[]).await.0, 500);
    assert_eq!(practice.post("/token", &[("grant_type", DEVICE_CODE)]).await.0, 500);
    assert_eq!(practice.post("/token", &[("grant_type", "client_credentials")]).await.0, 500);
    for (on, path) in [("userinfo", "/userinfo"), ("api", "/api/x"), ("discovery", "/.well-known/openid-configuration")]
    {
        practice.fault(on, "status:500").await;
        let get = practice.http.get(practice.url(path)).bearer_auth(text(&tokens["access_token"]));
        assert_eq!(get.send().await.unwrap().status(), 500, "{on}");
    }
    for wrong in [
        json!({"on": "nowhere", "fault": "hang"}),
        json!({"on": "token", "fault": "explode"}),
        json!({"on": "token", "fault": []}),
        json!({"on": "token", "fault": "hang", "times": 0}),
        json!({"on": "token", "fault": "hang", "often": 1}),
        json!([]),
    ] {
        let answer = practice.http.post(practice.url("/control/faults")).json(&wrong).send().await.unwrap();
        let (status, body) = json_of(answer).await;
        assert!(status == 400 && body["error"].is_string(), "{wrong}: {body}");
    }
}

#[tokio::test]
async fn a_followed_redirect_is_seen() {
    let practice = Practice::rotating(Rotation::None);
    assert_eq!(practice.state().await["requests"]["/elsewhere"], Value::Null);
    practice.http.get(practice.url("/elsewhere")).send().await.unwrap();
    assert_eq!(practice.state().await["requests"]["/elsewhere"], 1);
}

/// Asks for the state until it is as wanted.
async fn wait_until(practice: &Practice, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let state = practice.state().await;
        if wanted(&state) {
            return state;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{state}");
        // The simulator is to get to it in its own time.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn requests_are_held_on_either_side_of_the_processing_until_they_are_released() {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    for (at, refreshes_held, refreshes_after) in [("before", 0, 2), ("after", 4, 4)] {
        practice.control("hold", json!({"at": at})).await;
        let token = text(&tokens["refresh_token"]);
        let release = async {
            let state = wait_until(&practice, |state| state["token"]["held"] == 2).await;
            assert_eq!(state["grants"][0]["refreshes"], refreshes_held, "{at}");
            assert_eq!((&state["token"]["gate"], &state["token"]["under_way"]), (&json!(at), &json!(2)));
            practice.control("release", json!({})).await;
        };
        let (one, two, ()) =
            futures_util::future::join3(practice.refresh(token), practice.refresh(token), release).await;
        assert_eq!((one.0, two.0), (200, 200));
        assert_eq!(practice.grant().await["refreshes"], refreshes_after);
    }
    let state = practice.state().await;
    assert_eq!((&state["token"]["most_at_once"], &state["token"]["under_way"]), (&json!(2), &json!(0)));
    assert_eq!(state["token"]["by_grant_type"], json!({"authorization_code": 1, "refresh_token": 4}));
}

#[tokio::test]
async fn a_request_is_worked_on_even_when_its_client_is_gone() {
    let practice = Practice::rotating(Rotation::Strict);
    let tokens = practice.tokens().await;
    practice.control("hold", json!({"at": "before"})).await;
    let (answer, closed) = raw(&practice, text(&tokens["refresh_token"]));
    assert_eq!((answer.as_str(), closed), ("", false), "the client has gone by now");
    practice.control("release", json!({})).await;
    let state = wait_until(&practice, |state| state["token"]["under_way"] == 0).await;
    assert_eq!(state["grants"][0]["refreshes"], 1);
}

#[tokio::test]
async fn a_throttle_is_kept_and_violations_are_counted() {
    let throttle = "3/3600".parse().unwrap();
    let practice = Practice::with(Options { throttle: Some(throttle), ..Options::default() });
    for _ in 0..3 {
        assert_eq!(practice.refresh("x").await.0, 400);
    }
    for _ in 0..2 {
        let answer = practice.try_post("/token", &[("grant_type", "refresh_token")]).await.unwrap();
        assert_eq!(answer.status(), 429);
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3590..=3600).contains(&wait), "{wait}");
    }
    assert_eq!(practice.state().await["token"]["throttle_violations"], 2);
    practice.http.delete(practice.url("/control/counts")).send().await.unwrap();
    let state = practice.state().await;
    assert_eq!((&state["token"]["throttle_violations"], &state["requests"]), (&json!(0), &json!({})));
    let short = Practice::with(Options { throttle: Some("1/1".parse().unwrap()), ..Options::default() });
    assert_eq!(short.refresh("x").await.0, 400);
    let begun = Instant::now();
    while short.refresh("x").await.0 == 429 {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
