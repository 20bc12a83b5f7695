//! Inputs that nobody sends by mistake.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Server, profile_body};

const PROFILES: &str = "/api/custom_oauth_profiles";

#[tokio::test]
async fn odd_names_are_kept_as_they_are_or_refused_clearly() {
    let server = Server::start().await;
    let admin = server.admin();
    for name in
        ["🜁 Größe", "\u{202e}gnp.exe", "<img src=x onerror=alert(1)>", "'; DROP TABLE profiles; --", "a/../b?c#d"]
    {
        let made = admin.post(PROFILES, &profile_body(name, "hubspot")).await.expect(200);
        assert_eq!(made["result"]["name"], name);
    }
    for (name, why) in [
        ("n".repeat(10_000), "is too long (maximum is 255 characters)"),
        ("a\0b".to_owned(), "must not have control characters"),
        ("a\nb".to_owned(), "must not have control characters"),
        (" \u{3000}\u{a0}".to_owned(), "can't be blank"),
    ] {
        let refused = admin.post(PROFILES, &profile_body(&name, "hubspot")).await.expect(400);
        assert_eq!(refused["errors"], json!({"name": [why]}));
    }
    assert_eq!(admin.get(PROFILES).await.expect(200)["result"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn broken_json_is_answered_with_its_place() {
    let server = Server::start().await;
    let admin = server.admin();
    let message = async |body: Vec<u8>| {
        let answer = admin.send_text("POST", PROFILES, "application/json", body).await.expect(400);
        answer["message"].as_str().unwrap().to_owned()
    };
    let twice = message(b"{\"name\":\"a\",\n\"name\":\"b\"}".to_vec()).await;
    assert!(twice.contains("line 2") && twice.contains("twice"), "{twice}");
    for deep in ["[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        let deep = message(deep.into_bytes()).await;
        assert!(deep.contains("malformed JSON at line 1") && deep.contains("recursion"), "{deep}");
    }
    let number = message(b"{\"name\":1e999}".to_vec()).await;
    assert!(number.contains("number out of range"), "{number}");
    let utf8 = message(b"{\"name\":\"\xff\"}".to_vec()).await;
    assert_eq!(utf8, "is not UTF-8: the first bad byte is number 10");
    assert!(message(Vec::new()).await.contains("line 1, column 1"));
    assert!(message(b"{\"name\":\"a\"".to_vec()).await.contains("line 1"));
    assert!(message(b"{} trailing".to_vec()).await.contains("trailing"));
    assert!(message(b"\xef\xbb\xbf{}".to_vec()).await.contains("line 1, column 1"));
}

#[tokio::test]
async fn numbers_beyond_what_we_count_with_are_refused_or_name_nothing() {
    let server = Server::start().await;
    let admin = server.admin();
    admin.post(PROFILES, &profile_body("P", "hubspot")).await.expect(200);
    for id in ["9223372036854775808", "-1", "0", "1.0", "1e0", "0x1", "+1", "01", "%31%00", "١", "null", "1%2F"] {
        assert_eq!(admin.get(&format!("{PROFILES}/{id}")).await.expect(404), json!({"message": "Not found"}), "{id}");
    }
    let body = "{\"name\":\"c\",\"provider\":\"hubspot\",\"folder_id\":18446744073709551616}";
    let refused = admin.send_text("POST", "/api/connections", "application/json", body).await.expect(400);
    assert_eq!(refused["errors"], json!({"folder_id": ["must be of type integer"]}));
}

#[tokio::test]
async fn bodies_that_are_too_large_compressed_or_of_another_type_are_refused() {
    let server = Server::with(&[]).await;
    let admin = server.admin();
    let large = format!("{{\"name\":\"{}\"}}", "n".repeat(2 * 1024 * 1024));
    let refused = admin.send_text("POST", PROFILES, "application/json", large).await;
    assert_eq!(refused.expect(413)["message"], "The body is larger than 1048576 bytes");
    // Not a byte of it is unpacked.
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, gzip", "x-odd"] {
        let request = admin.request("POST", PROFILES).header("content-encoding", coding);
        let refused = admin.send(request.header("content-type", "application/json").body("\x1f\u{8b}...")).await;
        assert!(refused.expect(415)["message"].as_str().unwrap().contains("must not be compressed"), "{coding}");
        assert_eq!(refused.header("accept-encoding"), "identity");
    }
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"] {
        let refused = admin.send_text("POST", PROFILES, media_type, "{}").await;
        assert_eq!(refused.expect(415)["message"], "Unsupported media type: send the body as application/json");
    }
    let profile = profile_body("J", "hubspot").to_string();
    admin.send_text("POST", PROFILES, "application/json; charset=utf-8", profile).await.expect(200);
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_told_apart() {
    let server = Server::start().await;
    let admin = server.admin();
    for path in ["/api", "/api/", "/api/nothing", "/api/custom_oauth_profiles/1/2/3", "/api//users/me"] {
        assert_eq!(admin.get(path).await.expect(404), json!({"message": "Not found"}), "{path}");
    }
    let wrong = admin.send(admin.request("PATCH", &format!("{PROFILES}/1"))).await;
    assert_eq!(wrong.expect(405)["message"], "Method not allowed; this resource has GET, HEAD, PUT, DELETE");
    assert_eq!(wrong.header("allow"), "GET, HEAD, PUT, DELETE");
    let head = admin.send(admin.request("HEAD", PROFILES)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_get_or_delete_may_declare_a_body_that_it_has_not() {
    let server = Server::start().await;
    let admin = server.admin().header("content-type", "application/json");
    admin.get(PROFILES).await.expect(200);
    assert_eq!(admin.delete(&format!("{PROFILES}/1")).await.status, 404);
}

/// Sends bytes over a plain socket and reads what comes within two seconds.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n) = socket.read(&mut chunk) {
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_no_http_ends_that_connection_alone() {
    let server = Server::start().await;
    let token = server.admin().token();
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n", b"GET  \r\n\r\n"] {
        let answer = raw(&server, garbage);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let huge = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "a".repeat(300_000));
    let answer = raw(&server, huge.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // A body that is cut off, and two lengths that differ.
    let head = format!(
        "POST {PROFILES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    );
    let cut = raw(&server, format!("{head}content-length: 500\r\n\r\n{{\"name\":").as_bytes());
    assert!(!cut.contains("200 OK"), "{cut}");
    let smuggled = raw(&server, format!("{head}content-length: 2\r\ncontent-length: 40\r\n\r\n{{}}").as_bytes());
    assert!(smuggled.is_empty() || smuggled.starts_with("HTTP/1.1 400"), "{smuggled}");
    server.anybody().get("/livez").await.expect(200);
}

#[tokio::test]
async fn a_flood_of_logins_is_turned_away_and_holds_up_nobody_else() {
    let server = Server::start().await;
    let admin = server.admin();
    // Each of another account, so that the slowing down of guesses is not what answers.
    let logins = (0..300).map(|n| {
        let caller = server.anybody().basic(&format!("user{n}"), "PLANTED_guess");
        async move { caller.get("/api/users/me").await }
    });
    let reads = async {
        let mut answers = Vec::new();
        for _ in 0..50 {
            answers.push(admin.get(PROFILES).await.status);
        }
        answers
    };
    let (flood, reads) = futures_util::future::join(futures_util::future::join_all(logins), reads).await;
    assert!(reads.iter().all(|status| *status == 200), "{reads:?}");
    let mut kinds: std::collections::BTreeMap<u16, usize> = std::collections::BTreeMap::new();
    for answer in &flood {
        *kinds.entry(answer.status).or_default() += 1;
        if matches!(answer.status, 429 | 503) {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
        let _: Value = answer.json();
    }
    assert!(kinds.keys().all(|status| matches!(status, 401 | 429 | 503)), "{kinds:?}");
    assert!(kinds.contains_key(&503), "the queue has an end: {kinds:?}");
}

#[tokio::test]
async fn a_document_of_a_million_wrong_connectors_holds_up_nobody() {
    let server = Server::start().await;
    let admin = server.admin();
    let wrong: Vec<String> = (0..1_000_000).map(|n| format!("\"{n}\":0")).collect();
    let document = format!("{{{}}}", wrong.join(","));
    let load = admin.send_text("POST", "/api/load", "application/json", document);
    let reads = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..200 {
            let begun = std::time::Instant::now();
            server.anybody().get("/livez").await.expect(200);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let (refused, slowest) = futures_util::future::join(load, reads).await;
    let refused = refused.expect(400);
    assert!(
        refused["message"].as_str().unwrap().starts_with("0: is not included in the list; 0: must be of type object")
    );
    // Not a timed test: the workers would be held for as long as the whole document takes, which is many seconds here.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[tokio::test]
async fn an_operators_url_does_not_lead_inside() {
    let server = Server::start().await;
    let admin = server.admin();
    for inside in ["http://169.254.169.254/t", "https://10.0.0.1/t", "https://[fe80::1]/t", "ftp://x/", "notaurl"] {
        let fields =
            json!({"CLIENT_ID": "a", "CLIENT_SECRET": "PLANTED_b", "AUTHORIZATION_URL": inside, "TOKEN_URL": inside});
        let parameters = admin.post("/api/load", &json!({"odata": {"O": fields}})).await;
        parameters.expect(200);
        let path = "/Thingworx/Subsystems/WorkflowSubsystem/Services/ValidateConnector";
        let said = admin.post(path, &json!({"connectorName": "odata"})).await.expect(200);
        let said = said["rows"][0]["result"].as_str().unwrap();
        assert!(said.contains("private or link-local") || said.contains("no https URL"), "{inside}: {said}");
    }
}

#[tokio::test]
async fn connections_do_not_go_in_a_circle() {
    let server = Server::start().await;
    let admin = server.admin();
    admin.post(PROFILES, &profile_body("P", "hubspot")).await.expect(200);
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let made = admin.post("/api/connections", &json!({"name": name, "provider": "hubspot"})).await.expect(200);
        ids.push(made["id"].clone());
    }
    let parent = async |child: usize, of: usize| {
        admin.put(&format!("/api/connections/{}", ids[child]), &json!({"parent_id": ids[of]})).await.status
    };
    assert_eq!((parent(1, 0).await, parent(2, 1).await, parent(0, 2).await), (200, 200, 400));
}
