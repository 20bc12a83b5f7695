//! Dialect 3: client applications.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{APPLICATION_FILE, Answer, Caller, MULTIPART, Part, Server, application_body, multipart};

const BASE: &str = "/documents/api/1.2/config/clientApplications";
const TYPE: &str = "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html";

async fn create(caller: &Caller, metadata: &str) -> Answer {
    caller.send_text("POST", BASE, MULTIPART, application_body(metadata, APPLICATION_FILE.as_bytes())).await
}

/// Makes an application and answers its id.
async fn made(caller: &Caller, name: &str) -> String {
    let answer = create(caller, &json!({"name": name}).to_string()).await.expect(201);
    answer["id"].as_str().unwrap().to_owned()
}

async fn put(caller: &Caller, id: &str, parts: &[Part<'_>]) -> Answer {
    caller.send_text("PUT", &format!("{BASE}/{id}"), MULTIPART, multipart(parts)).await
}

async fn upload(caller: &Caller, parts: &[Part<'_>]) -> Answer {
    caller.send_text("POST", BASE, MULTIPART, multipart(parts)).await
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The error's sentence, of an answer that must be a 400 of this dialect.
#[track_caller]
fn refused(answer: &Answer) -> String {
    let body = answer.expect(400);
    assert_eq!(keys(&body), ["errorCode", "errorMessage", "title", "type"]);
    assert_eq!((&body["errorCode"], &body["type"]), (&json!("-1"), &json!(TYPE)));
    assert_eq!(body["title"], body["errorMessage"]);
    body["title"].as_str().unwrap().to_owned()
}

async fn count(caller: &Caller) -> String {
    caller.get(BASE).await.expect(200)["totalResults"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_samples_of_the_create_page_work_as_printed() {
    let server = Server::start().await;
    let admin = server.admin();
    let sample = format!(
        "-----1234567890\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json\r\n\r\n\
         {{ \"name\": \"testapp\", \"isEnabled\":\"false\" }}\r\n\
         -----1234567890\r\nContent-Disposition: form-data; name=\"file\"; filename=\"clientconfig.json\"\r\n\
         Content-Type: application/json\r\n\r\n{APPLICATION_FILE}\r\n-----1234567890--\r\n"
    );
    let path = format!("{BASE}/");
    let first = admin.send_text("POST", &path, MULTIPART, sample.clone()).await;
    let body = first.expect(201);
    assert_eq!(keys(&body), ["createdTime", "errorCode", "id", "isEnabled", "modifiedTime", "name"]);
    assert_eq!(
        (&body["errorCode"], &body["isEnabled"], &body["name"]),
        (&json!("0"), &json!("false"), &json!("testapp"))
    );
    let id = body["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F')), "{id}");
    let time = body["createdTime"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    assert_eq!(body["modifiedTime"], body["createdTime"]);
    assert_eq!(first.header("location"), format!("{}{BASE}/{id}", server.url));
    assert_eq!(first.header("content-type"), "application/json");

    let second = admin.send_text("POST", &path, MULTIPART, sample).await;
    let sentence =
        "Unable to perform 'create' action for JSON application 'testapp'. Application 'testapp' already exist.";
    let expected = json!({
        "errorCode": "-17",
        "errorKey": "!csAFUnableToPerformActionForApp,create,testapp!csAFAppAlreadyExist,testapp",
        "errorMessage": sentence,
        "isEnabled": "0",
        "name": "testapp",
        "title": sentence,
        "type": TYPE
    });
    assert_eq!(second.status, 409);
    assert_eq!(second.text(), expected.to_string(), "the same keys and values in the same order");

    let read = admin.get(&format!("{BASE}/{id}?links=true")).await.expect(200);
    assert_eq!(keys(&read), ["createdTime", "errorCode", "id", "isEnabled", "links", "modifiedTime", "name"]);
}

#[tokio::test]
async fn an_application_is_seen_listed_changed_and_removed() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = made(&admin, "One").await;
    let path = format!("{BASE}/{id}");
    let object = admin.get(&path).await.expect(200);
    assert_eq!(object["isEnabled"], "true");
    assert!(object.as_object().unwrap().values().all(Value::is_string));

    let other = made(&admin, "Two").await;
    let list = admin.get(BASE).await.expect(200);
    assert_eq!(keys(&list), ["count", "errorCode", "hasMore", "items", "limit", "offset", "totalResults"]);
    assert_eq!(keys(&list["items"][0]), ["createdTime", "id", "isEnabled", "modifiedTime", "name"]);
    let scalars =
        ["count", "errorCode", "hasMore", "limit", "offset", "totalResults"].map(|key| list[key].as_str().unwrap());
    assert_eq!(scalars, ["2", "0", "0", "100", "0", "2"]);
    assert_eq!(
        [&list["items"][0]["id"], &list["items"][1]["id"]],
        [&json!(id), &json!(other)],
        "in the order of creation"
    );
    let page = admin.get(&format!("{BASE}/?limit=1")).await.expect(200);
    assert_eq!([&page["hasMore"], &page["count"], &page["totalResults"], &page["limit"]], ["1", "1", "2", "1"]);
    let page = admin.get(&format!("{BASE}?limit=1&offset=1")).await.expect(200);
    assert_eq!([&page["hasMore"], &page["offset"], &page["items"][0]["name"]], ["0", "1", "Two"]);
    let page = admin.get(&format!("{BASE}?offset=18446744073709551615")).await.expect(200);
    assert_eq!([&page["hasMore"], &page["count"]], ["0", "0"]);
    for bad in ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=", "offset=-1", "offset=x"] {
        let sentence = refused(&admin.get(&format!("{BASE}?{bad}")).await);
        assert!(sentence.starts_with(bad.split('=').next().unwrap()), "{bad}: {sentence}");
    }

    let changed = put(&admin, &id, &[("metadata", None, br#"{"isEnabled":"0"}"#)]).await.expect(200);
    assert_eq!(keys(&changed), ["createdTime", "errorCode", "id", "isEnabled", "modifiedTime", "name"]);
    assert_eq!([&changed["isEnabled"], &changed["name"]], ["false", "One"]);
    let file = APPLICATION_FILE.replace("CRM", "New CRM");
    put(&admin, &id, &[("file", Some("other.json"), file.as_bytes())]).await.expect(200);
    assert_eq!(admin.get(&format!("{path}/data")).await.text(), file);
    assert_eq!(admin.get(&path).await.expect(200)["isEnabled"], "false", "a file alone changes no flag");

    let gone = admin.delete(&path).await.expect(200);
    assert_eq!(gone, json!({"errorCode": "0", "id": id, "type": "clientApplication"}));
    assert_eq!(count(&admin).await, "1");
    made(&admin, "one").await;
}

#[tokio::test]
async fn a_change_moves_the_modified_time_and_not_the_created_one() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = made(&admin, "One").await;
    let before = admin.get(&format!("{BASE}/{id}")).await.expect(200);
    // Times are whole seconds: the next one has to begin.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let after = put(&admin, &id, &[("metadata", None, b"{\"isEnabled\":true}")]).await.expect(200);
    assert_eq!(after["createdTime"], before["createdTime"]);
    assert!(after["modifiedTime"].as_str() > before["modifiedTime"].as_str());
}

#[tokio::test]
async fn links_come_for_exactly_true() {
    let server = Server::with(&["--public-url", "https://grantry.example/"]).await;
    let admin = server.admin();
    let answer = create(&admin, r#"{"name":"One"}"#).await;
    assert!(answer.header("location").starts_with("https://grantry.example/documents/api/1.2/"));
    let id = answer.expect(201)["id"].as_str().unwrap().to_owned();
    let object = admin.get(&format!("{BASE}/{id}?links=true&x=%3Cy%3E")).await.expect(200);
    let href = format!("https://grantry.example{BASE}/{id}?links=true&x=%3Cy%3E");
    assert_eq!(object["links"], json!([{"rel": "self", "href": href}, {"rel": "canonical", "href": href}]));
    let list = admin.get(&format!("{BASE}?links=true")).await.expect(200);
    assert_eq!(list["links"][0]["href"], format!("https://grantry.example{BASE}?links=true"));
    assert_eq!(list["items"][0]["links"][1]["href"], format!("https://grantry.example{BASE}/{id}?links=true"));
    for other in ["links=True", "links=1", "links=", "links", "links=false", "links=true%20", "link=true"] {
        assert!(admin.get(&format!("{BASE}/{id}?{other}")).await.expect(200).get("links").is_none(), "{other}");
        assert!(admin.get(&format!("{BASE}?{other}")).await.expect(200).get("links").is_none(), "{other}");
    }
    let body = application_body(r#"{"name":"Two"}"#, APPLICATION_FILE.as_bytes());
    let made = admin.send_text("POST", &format!("{BASE}?links=true"), MULTIPART, body).await;
    assert!(made.expect(201).get("links").is_none());
}

#[tokio::test]
async fn what_is_missing_is_404_in_the_documented_shape() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = "427090D588695B4B4C59D868E83E27B9";
    let sentence = format!("Application '{id}' does not exist.");
    let full = json!({
        "errorCode": "-16", "errorKey": format!("!csAFAppDoesNotExist,{id}"), "errorMessage": sentence,
        "errorType": "clientApplication", "id": id, "title": sentence, "type": TYPE,
    });
    let path = format!("{BASE}/{id}");
    assert_eq!(admin.get(&path).await.expect(404).to_string(), full.to_string());
    assert_eq!(admin.delete(&path).await.expect(404), full);
    assert_eq!(put(&admin, id, &[("metadata", None, b"{\"isEnabled\":true}")]).await.expect(404), full);
    let mut bare = full.clone();
    bare.as_object_mut().unwrap().retain(|key, _| key != "errorType" && key != "id");
    assert_eq!(admin.get(&format!("{path}/data")).await.expect(404), bare);
    // Nothing of the body is looked at for an id that names nothing.
    assert_eq!(admin.send_text("PUT", &path, "text/plain", "x").await.expect(404), full);

    let odd = admin.get(&format!("{BASE}/a%2Cb%21%22%00%F0%9F%9C%81")).await.expect(404);
    assert_eq!(odd["id"], "a,b!\"\0🜁");
    assert_eq!(odd["errorKey"], "!csAFAppDoesNotExist,a\\,b\\!\"\0🜁");
    let xml = admin.clone().header("accept", "application/xml").get(&path).await;
    assert_eq!(xml.status, 404);
    assert_eq!(
        xml.text(),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error><errorCode>-16</errorCode>\
             <errorKey>!csAFAppDoesNotExist,{id}</errorKey><errorMessage>Application &apos;{id}&apos; does not exist.\
             </errorMessage><errorType>clientApplication</errorType><id>{id}</id>\
             <title>Application &apos;{id}&apos; does not exist.</title><type>{TYPE}</type></error>"
        )
    );
    for path in ["/documents/api/1.2", "/documents/api/1.2/folders", &format!("{BASE}/{id}/x")] {
        let body = admin.get(path).await.expect(404);
        assert_eq!(keys(&body), ["errorCode", "errorMessage", "title", "type"], "{path}");
    }
    for bad in ["+", "%FF", "0", "-1", "9223372036854775808", &id.to_lowercase(), &"A".repeat(5000)] {
        admin.get(&format!("{BASE}/{bad}")).await.expect(404);
    }
}

#[tokio::test]
async fn rights_are_decided_before_anything_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = made(&admin, "Known").await;
    let nobody = server.anybody();
    let reader = server.caller(&["applications:read"]);
    let stranger = server.caller(&["profiles:read", "profiles:write", "connections:read", "audit:read"]);
    let writer = server.caller(&["applications:write"]);
    for id in [id.as_str(), "427090D588695B4B4C59D868E83E27B9", "x"] {
        for (method, path) in [
            ("GET", BASE.to_owned()),
            ("POST", BASE.to_owned()),
            ("POST", format!("{BASE}/")),
            ("GET", format!("{BASE}/{id}")),
            ("PUT", format!("{BASE}/{id}")),
            ("DELETE", format!("{BASE}/{id}")),
            ("GET", format!("{BASE}/{id}/data")),
        ] {
            for body in [&b""[..], b"{}", &application_body(r#"{"name":"Known"}"#, b"<File Content>")] {
                let send = |caller: &Caller| {
                    let request = caller.request(method, &path).header("content-type", MULTIPART).body(body.to_vec());
                    let caller = caller.clone();
                    async move { caller.send(request).await }
                };
                let answer = send(&nobody).await;
                let refused = answer.expect(401);
                assert_eq!([&refused["errorCode"], &refused["title"]], [&json!("-1"), &refused["errorMessage"]]);
                assert!(answer.headers.get_all("www-authenticate").iter().count() == 2, "{method} {path}");
                let refused = send(&stranger).await.expect(403);
                assert_eq!([&refused["errorCode"], &refused["title"]], [&json!("-20"), &refused["errorMessage"]]);
                let other = if method == "GET" { &writer } else { &reader };
                assert_eq!(send(other).await.expect(403)["errorCode"], "-20", "{method} {path}");
            }
        }
    }
    let wrong = nobody.clone().bearer("gry_api_1_x").get(BASE).await;
    assert_eq!(wrong.expect(401)["errorCode"], "-1");
    // Basic works with a token in the password's place.
    nobody.basic("anyone", &reader.token()).get(BASE).await.expect(200);
    assert_eq!(count(&admin).await, "1");
}

#[tokio::test]
async fn the_flag_takes_the_documented_forms_and_no_others() {
    let server = Server::start().await;
    let admin = server.admin();
    for (n, (given, kept)) in [
        ("\"true\"", "true"),
        ("\"false\"", "false"),
        ("true", "true"),
        ("false", "false"),
        ("\"1\"", "true"),
        ("\"0\"", "false"),
        ("null", "true"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = create(&admin, &format!(r#"{{"name":"app {n}","isEnabled":{given}}}"#)).await.expect(201);
        assert_eq!(body["isEnabled"], kept, "{given}");
    }
    for bad in ["\"TRUE\"", "\"yes\"", "1", "0", "[]", "{}", "\"\""] {
        let sentence = refused(&create(&admin, &format!(r#"{{"name":"bad","isEnabled":{bad}}}"#)).await);
        assert_eq!(sentence, "isEnabled: must be one of true, false, 1, 0", "{bad}");
    }
    // A 409 has the request's flag in its internal form.
    let taken = create(&admin, r#"{"name":"APP 0","isEnabled":"true"}"#).await.expect(409);
    assert_eq!([&taken["isEnabled"], &taken["name"]], ["1", "APP 0"]);
    let taken = create(&admin, r#"{"name":"app 0"}"#).await.expect(409);
    assert_eq!(taken["isEnabled"], "1");
}

#[tokio::test]
async fn parts_come_in_any_order_and_each_fault_names_its_part() {
    let server = Server::start().await;
    let admin = server.admin();
    let file: Part = ("file", Some("a.json"), APPLICATION_FILE.as_bytes());
    let named: Part = ("metadata", None, br#"{"name":"Good"}"#);
    upload(&admin, &[file, named]).await.expect(201);
    let cases: [(&[Part], &str); 12] = [
        (&[], "metadata: is required; file: is required"),
        (&[named], "file: is required"),
        (&[file], "metadata: is required"),
        (&[("metadata", None, b"{}"), file], "name: is required"),
        (
            &[named, file, ("extra", None, b"x"), ("more", Some("y"), b"")],
            "extra: is not known here; more: is not known here",
        ),
        (&[named, file, named], "metadata: stands there twice"),
        (&[file, named, file], "file: stands there twice"),
        (
            &[named, ("file", None, b"{}")],
            "file: must be sent with a file name: filename=\"…\" in its Content-Disposition",
        ),
        (&[("metadata", None, b"[]"), file], "metadata: must be of type object"),
        (&[("metadata", None, b"\xff"), file], "metadata: is not UTF-8: the first bad byte is number 1"),
        (&[("metadata", None, br#"{"name":"a","isenabled":"false"}"#), file], "isenabled: is not known here"),
        (
            &[("metadata", None, br#"{"name":7,"isEnabled":8}"#), file],
            "name: must be of type string; isEnabled: must be one of true, false, 1, 0",
        ),
    ];
    for (parts, expected) in cases {
        assert_eq!(refused(&upload(&admin, parts).await), expected);
    }
    let sentence = refused(&upload(&admin, &[("metadata", None, b"{\"name\":\"x\",}"), file]).await);
    assert_eq!(sentence, "metadata: malformed JSON at line 1, column 13: trailing comma");
    let sentence = refused(&upload(&admin, &[("metadata", None, br#"{"name":"a","name":"b"}"#), file]).await);
    assert!(sentence.starts_with("metadata: malformed JSON at line 1"), "{sentence}");
    let many = vec![("x", None, &b"x"[..]); 5000];
    assert!(refused(&upload(&admin, &many).await).contains("at most 16 are allowed"));
    assert_eq!(count(&admin).await, "1");
}

#[tokio::test]
async fn a_broken_body_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let admin = server.admin();
    let body = application_body(r#"{"name":"One"}"#, APPLICATION_FILE.as_bytes());
    // Complete as HTTP, cut off as multipart.
    for cut in [0, 5, 30, 100, body.len() / 2, body.len() - 30, body.len() - 20] {
        let sentence = refused(&admin.send_text("POST", BASE, MULTIPART, body[..cut].to_vec()).await);
        assert!(!sentence.is_empty(), "cut at {cut}");
    }
    for (declared, what) in [
        ("multipart/form-data; boundary=other", "cut off"),
        ("multipart/form-data", "boundary"),
        ("multipart/form-data; boundary=", "boundary"),
        ("multipart/form-data; boundary=\"", "boundary"),
    ] {
        let sentence = refused(&admin.send_text("POST", BASE, declared, body.clone()).await);
        assert!(sentence.contains(what), "{declared}: {sentence}");
    }
    for declared in [
        "application/json",
        "multipart/mixed; boundary=---1234567890",
        "text/plain",
        "application/x-www-form-urlencoded",
        "x",
    ] {
        let answer = admin.send_text("POST", BASE, declared, body.clone()).await.expect(415);
        assert_eq!(answer["errorCode"], "-1");
        assert!(answer["title"].as_str().unwrap().contains("multipart/form-data"), "{answer}");
    }
    admin.send(admin.request("POST", BASE)).await.expect(415);
    let compressed = admin.request("POST", BASE).header("content-type", MULTIPART).header("content-encoding", "gzip");
    let answer = admin.send(compressed.body(body.clone())).await;
    assert_eq!((answer.status, answer.header("accept-encoding")), (415, "identity"));
    for (head, what) in [
        ("Content-Disposition: form-data", "with a name"),
        ("Content-Type: application/json", "with a name"),
        ("Content-Disposition: attachment; name=\"file\"", "with a name"),
        (
            "Content-Disposition: form-data; name=\"file\"\r\nContent-Type: multipart/mixed; boundary=x",
            "multipart itself",
        ),
        (
            "Content-Disposition: form-data; name=\"file\"\r\nContent-Transfer-Encoding: base64",
            "Content-Transfer-Encoding",
        ),
        ("\u{1}: x", "malformed"),
    ] {
        let body = format!("-----1234567890\r\n{head}\r\n\r\n{{}}\r\n-----1234567890--\r\n");
        let sentence = refused(&admin.send_text("POST", BASE, MULTIPART, body).await);
        assert!(sentence.contains(what), "{head}: {sentence}");
    }
    let long = format!("-----1234567890\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\nx", "n".repeat(200_000));
    assert!(refused(&admin.send_text("POST", BASE, MULTIPART, long).await).contains("too long"));
    // Some programs declare each part's length, and some declare a wrong one: it is not looked at.
    let file = APPLICATION_FILE;
    for length in
        ["0".to_owned(), file.len().to_string(), (file.len() + 1).to_string(), "1000000".to_owned(), "x".to_owned()]
    {
        let sized = format!(
            "-----1234567890\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{{\"name\":\"Sized\"}}\r\n\
             -----1234567890\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\
             Content-Length: {length}\r\n\r\n{file}\r\n-----1234567890--\r\n"
        );
        let id = admin.send_text("POST", BASE, MULTIPART, sized).await.expect(201)["id"].as_str().unwrap().to_owned();
        assert_eq!(admin.get(&format!("{BASE}/{id}/data")).await.text(), file, "{length}");
        admin.delete(&format!("{BASE}/{id}")).await.expect(200);
    }

    // Cut off as HTTP: the connection ends in the middle.
    let address = server.url.trim_start_matches("http://");
    for cut in [0, body.len() / 2, body.len() - 30] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {BASE} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: {MULTIPART}\r\n\
             Content-Length: {}\r\n\r\n",
            admin.token(),
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body[..cut]).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(count(&admin).await, "0");
    admin.send_text("POST", BASE, MULTIPART, body).await.expect(201);
}

#[tokio::test]
async fn a_file_over_the_limit_is_413_and_leaves_no_trace() {
    let server = Server::with(&["--max-upload", "20000"]).await;
    let admin = server.admin();
    let padded = |length: usize| {
        let rest = length - APPLICATION_FILE.len();
        format!("{}{APPLICATION_FILE}", " ".repeat(rest))
    };
    let send = |file: String| {
        let admin = admin.clone();
        async move {
            let body = application_body(r#"{"name":"Large"}"#, file.as_bytes());
            admin.send_text("POST", BASE, MULTIPART, body).await
        }
    };
    for length in [20_001, 100_000, 3_000_000] {
        let answer = send(padded(length)).await;
        let body = answer.expect(413);
        assert_eq!(keys(&body), ["errorCode", "errorMessage", "title", "type"]);
        assert_eq!([&body["errorCode"], &body["title"]], ["-1", "The body is larger than 20000 bytes"]);
    }
    let before =
        multipart(&[("file", Some("x"), padded(20_001).as_bytes()), ("metadata", None, b"{\"name\":\"Large\"}")]);
    let xml = admin.clone().header("accept", "application/xml").header("accept-language", "ja");
    let answer = xml.send_text("POST", BASE, MULTIPART, before).await;
    assert_eq!((answer.status, answer.header("content-type")), (413, "application/xml; charset=utf-8"));
    assert!(answer.text().contains("<title>本文が上限の20000バイトを超えています。</title>"), "{}", answer.text());
    let long = format!("{{\"name\":\"Large\",\"x\":\"{}\"}}", "x".repeat(66_000));
    create(&admin, &long).await.expect(413);
    // An unknown part is no way around it.
    let body = multipart(&[("junk", None, &vec![b'x'; 400_000])]);
    admin.send_text("POST", BASE, MULTIPART, body).await.expect(413);
    assert_eq!(count(&admin).await, "0");

    let exact = padded(20_000);
    let id = send(exact.clone()).await.expect(201)["id"].as_str().unwrap().to_owned();
    put(&admin, &id, &[("file", Some("x"), padded(20_001).as_bytes())]).await.expect(413);
    assert_eq!(admin.get(&format!("{BASE}/{id}/data")).await.text(), exact);
}

#[tokio::test]
async fn only_so_many_large_uploads_are_held_at_once() {
    let server = Server::start().await;
    let admin = server.admin();
    let address = server.url.trim_start_matches("http://");
    let head = format!(
        "POST {BASE} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: {MULTIPART}\r\n\
         Content-Length: 1000000\r\n\r\n-----1234567890\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}",
        admin.token(),
        " ".repeat(400_000)
    );
    let hold = async || {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    };
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(hold().await);
    }
    let large = format!("{}{APPLICATION_FILE}", " ".repeat(400_000));
    let mut n = 0;
    let mut upload = async || {
        n += 1;
        let body = application_body(&json!({"name": format!("Large {n}")}).to_string(), large.as_bytes());
        admin.send_text("POST", BASE, MULTIPART, body).await
    };
    // The server reads the eight at its own pace, and an upload that got in between took the place of one of them: each
    // round holds one more.
    let mut refused = upload().await;
    for _ in 0..30 {
        if refused.status != 201 {
            break;
        }
        held.push(hold().await);
        refused = upload().await;
    }
    let body = refused.expect(503);
    assert_eq!([&body["errorCode"], &body["title"]], ["-1", "The server is busy with uploads: try again"]);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    create(&admin, r#"{"name":"Small"}"#).await.expect(201);
    drop(held);
    let mut again = upload().await;
    for _ in 0..100 {
        if again.status == 201 {
            break;
        }
        // The server notices closed sockets in its own time.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        again = upload().await;
    }
    again.expect(201);
}

#[tokio::test]
async fn a_file_of_ten_megabytes_comes_back_as_it_went_in() {
    let server = Server::start().await;
    let admin = server.admin();
    let action = APPLICATION_FILE.split_once('[').unwrap().1.trim_end_matches("]}");
    let mut file = String::from("{\"id\":\"x\",\"name\":\"X\",\"actions\":[");
    let mut n = 0;
    while file.len() < 10 * 1024 * 1024 - 400 {
        file.push_str(&action.replacen("\"open\"", &format!("\"open {n}\""), 1));
        file.push(',');
        n += 1;
    }
    file.pop();
    file.push_str("]}");
    let body = application_body(r#"{"name":"Large"}"#, file.as_bytes());
    let id = admin.send_text("POST", BASE, MULTIPART, body).await.expect(201)["id"].as_str().unwrap().to_owned();
    assert!(admin.get(&format!("{BASE}/{id}/data")).await.body == file.as_bytes());
}

#[tokio::test]
async fn data_is_byte_for_byte_what_was_uploaded() {
    let server = Server::start().await;
    let admin = server.admin();
    let odd = format!(
        "\r\n\t [{}]\r\n--\r\n",
        APPLICATION_FILE.replace("CRM", "C\u{2028}R M 🜁 \\u0000 --\\r\\n-----1234567890 \u{202e}")
    );
    let odd = odd.trim_end_matches("--\r\n");
    let body = application_body(r#"{"name":"Odd"}"#, odd.as_bytes());
    let id = admin.send_text("POST", BASE, MULTIPART, body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("{BASE}/{id}/data");
    let answer = admin.clone().header("range", "bytes=0-3").get(&path).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, odd));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"clientconfig.json\"");
    assert_eq!(answer.header("accept-ranges"), "none");
    let tag = answer.header("etag").to_owned();
    assert!(tag.len() == 66 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let again = admin.clone().header("if-none-match", &format!("\"x\", {tag}")).get(&path).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
    assert_eq!(admin.clone().header("accept", "application/xml").get(&path).await.status, 406);

    let changed = format!("{APPLICATION_FILE}\n");
    put(&admin, &id, &[("file", Some("設定 \\\"x\\\".json"), changed.as_bytes())]).await.expect(200);
    let answer = admin.clone().header("if-none-match", &tag).get(&path).await;
    assert_eq!((answer.status, answer.text()), (200, changed));
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"__ _x_.json\"; filename*=UTF-8''%E8%A8%AD%E5%AE%9A%20%22x%22.json"
    );
    // A path that stands before the name does not come back.
    let traversal = Some("..\\\\..\\\\etc/passwd");
    put(&admin, &id, &[("file", traversal, APPLICATION_FILE.as_bytes())]).await.expect(200);
    assert_eq!(admin.get(&path).await.header("content-disposition"), "attachment; filename=\"passwd\"");
    let long = "n".repeat(256);
    let answer = put(&admin, &id, &[("file", Some(&long), APPLICATION_FILE.as_bytes())]).await;
    assert_eq!(refused(&answer), "filename: is too long (maximum is 255 characters)");
}

#[tokio::test]
async fn a_file_is_held_to_its_rules_with_a_path_to_each_fault() {
    let server = Server::start().await;
    let admin = server.admin();
    let cases: [(&[u8], &str); 9] = [
        (b"<File Content>", "$: malformed JSON at line 1, column 1: expected value"),
        (b"", "$: malformed JSON at line 1, column 1: EOF while parsing a value"),
        (b"\xef\xbb\xbf{}", "$: malformed JSON at line 1, column 1: expected value"),
        (b"{\"id\":\"\xff\"}", "$: is not UTF-8: the first bad byte is number 8"),
        (b"{}", "$.id: is required; $.name: is required; $.actions: is required"),
        (b"[]", "$: can't be blank"),
        (b"\"x\"", "$: must be of type object or array of objects"),
        (br#"{"id":"x","name":"X","actions":[]}"#, "$.actions: can't be blank"),
        (
            br#"[{"id":"x","name":"X","actions":[{"id":"a","name":"","evaluate":"1","invoke":{"method":"GET"}}]}]"#,
            "$[0].actions[0].name: can't be blank; $[0].actions[0].invoke.url: is required",
        ),
    ];
    for (file, expected) in cases {
        let answer = upload(&admin, &[("metadata", None, br#"{"name":"a"}"#), ("file", Some("f"), file)]).await;
        assert_eq!(refused(&answer), expected);
    }
    let broken = APPLICATION_FILE.replacen("\"name\"", "\n\"name\" 7", 1);
    let answer =
        upload(&admin, &[("metadata", None, br#"{"name":"a"}"#), ("file", Some("f"), broken.as_bytes())]).await;
    assert_eq!(refused(&answer), "$: malformed JSON at line 2, column 8: expected `:`");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = upload(&admin, &[("metadata", None, br#"{"name":"a"}"#), ("file", Some("f"), deep.as_bytes())]).await;
    assert_eq!(refused(&answer), "$[0]: must be of type object");
    assert_eq!(count(&admin).await, "0");
    let more = format!("{{\"anything\":{deep},", deep = "[1,{\"x\":null}]");
    let more = APPLICATION_FILE.replacen('{', &more, 1);
    upload(&admin, &[("metadata", None, br#"{"name":"a"}"#), ("file", Some("f"), more.as_bytes())]).await.expect(201);
}

#[tokio::test]
async fn put_changes_file_and_flag_and_nothing_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = made(&admin, "One").await;
    assert_eq!(refused(&put(&admin, &id, &[("metadata", None, br#"{"name":"Two"}"#)]).await), "name: can't be changed");
    assert_eq!(
        refused(&put(&admin, &id, &[("metadata", None, br#"{"name":"one","isEnabled":"0"}"#)]).await),
        "name: can't be changed"
    );
    for parts in [&[][..], &[("metadata", None, &b"{}"[..])], &[("metadata", None, br#"{"name":"One"}"#)]] {
        assert_eq!(refused(&put(&admin, &id, parts).await), "the request changes nothing");
    }
    put(&admin, &id, &[("metadata", None, br#"{"name":"One","isEnabled":"1"}"#)]).await.expect(200);
    assert_eq!(
        refused(&put(&admin, &id, &[("file", Some("f"), b"{}"), ("x", None, b"")]).await),
        "x: is not known here"
    );
    assert!(refused(&put(&admin, &id, &[("file", Some("f"), b"[]")]).await).starts_with('$'));
    assert_eq!(admin.get(&format!("{BASE}/{id}/data")).await.text(), APPLICATION_FILE);
}

#[tokio::test]
async fn answers_come_as_json_or_xml_and_as_nothing_else() {
    let server = Server::start().await;
    let admin = server.admin();
    let xml = admin.clone().header("accept", "application/xml");
    let answer = create(&xml, r#"{"name":"<a> & 'b'"}"#).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/xml; charset=utf-8"));
    let text = answer.text();
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><clientApplication><createdTime>"), "{text}");
    assert!(text.ends_with("<name>&lt;a&gt; &amp; &apos;b&apos;</name></clientApplication>"), "{text}");
    let id = answer.header("location").rsplit('/').next().unwrap().to_owned();
    let list = xml.get(&format!("{BASE}?links=true")).await.text();
    assert!(
        list.contains("<clientApplications><count>1</count><errorCode>0</errorCode><hasMore>0</hasMore><items>"),
        "{list}"
    );
    assert!(
        list.contains("<links><rel>self</rel><href>") && list.contains("<links><rel>canonical</rel><href>"),
        "{list}"
    );
    let taken = create(&xml, r#"{"name":"<A> & 'B'"}"#).await;
    assert_eq!(taken.status, 409);
    assert!(taken.text().contains("<error><errorCode>-17</errorCode><errorKey>!csAF"), "{}", taken.text());
    let changed = put(&xml, &id, &[("metadata", None, b"{\"isEnabled\":true}")]).await;
    assert!(changed.text().contains("<isEnabled>true</isEnabled>"));
    assert!(xml.get(&format!("{BASE}/{id}")).await.text().contains("<clientApplication>"));
    let gone = xml.delete(&format!("{BASE}/{id}")).await.text();
    assert!(
        gone.ends_with(&format!(
            "<clientApplication><errorCode>0</errorCode><id>{id}</id><type>clientApplication</type></clientApplication>"
        )),
        "{gone}"
    );
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, application/xml;q=0.9, */*;q=0.1", "application/xml; charset=utf-8"),
        ("application/json;q=0, */*", "application/xml; charset=utf-8"),
    ] {
        let answer = admin.clone().header("accept", accept).get(BASE).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, expected), "{accept}");
    }
    let html = admin.clone().header("accept", "text/html");
    assert_eq!(html.get(BASE).await.expect(406)["errorCode"], "-1");
    assert_eq!(create(&html, r#"{"name":"Never"}"#).await.status, 406);
    assert_eq!(count(&admin).await, "0", "what cannot be answered is not done");
    let answer = xml.send_text("PATCH", BASE, "text/plain", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"));
    assert!(answer.text().contains("<error><errorCode>-1</errorCode>"), "{}", answer.text());
    let head = admin.send(admin.request("HEAD", BASE)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn errors_speak_the_language_that_is_asked_for() {
    let server = Server::start().await;
    let admin = server.admin();
    let ja = |caller: &Caller| caller.clone().header("accept-language", "ja,en;q=0.5");
    let japanese = ja(&admin);
    made(&admin, "testapp").await;
    let taken = create(&japanese, r#"{"name":"testapp","isEnabled":"false"}"#).await;
    assert_eq!(taken.header("content-language"), "ja");
    let taken = taken.expect(409);
    assert_eq!(
        taken["title"],
        "JSONアプリケーション'testapp'に対して'create'アクションを実行できません。アプリケーション'testapp'はすでに存在します。"
    );
    assert_eq!(taken["errorKey"], "!csAFUnableToPerformActionForApp,create,testapp!csAFAppAlreadyExist,testapp");
    let file = |bytes: &'static [u8]| [("metadata", None, &br#"{"name":"a"}"#[..]), ("file", Some("f"), bytes)];
    let stranger = server.caller(&["profiles:read"]);
    for (answer, status, expected) in [
        (japanese.get(&format!("{BASE}/X")).await, 404, "アプリケーション'X'は存在しません。"),
        (japanese.get("/documents/api/1.2/x").await, 404, "見つかりません。"),
        (ja(&server.anybody()).get(BASE).await, 401, "認証が必要です。"),
        (ja(&stranger).get(BASE).await, 403, "この操作を実行する権限がありません。必要なスコープ: applications:read"),
        (
            japanese.send_text("PATCH", BASE, "x", "").await,
            405,
            "このメソッドは使用できません。使用できるメソッド: GET, HEAD, POST",
        ),
        (
            japanese.clone().header("accept", "text/css").get(BASE).await,
            406,
            "受入れ可能な形式がありません。このリソースの形式: application/json、application/xml",
        ),
        (
            japanese.send_text("POST", BASE, "text/plain", "x").await,
            415,
            "メディア・タイプがサポートされていません。本文はmultipart/form-dataで送信してください。",
        ),
        (create(&japanese, "{}").await, 400, "name: 必須です"),
        (japanese.get(&format!("{BASE}?limit=0")).await, 400, "limit: 1から1000の整数でなければなりません"),
        (upload(&japanese, &file(b"{\"id\":7,}")).await, 400, "$: JSONの構文エラー(行1、列9): 余分な「,」があります"),
        (upload(&japanese, &file(b"[3]")).await, 400, "$[0]: オブジェクトでなければなりません"),
        (upload(&japanese, &file(b"\xff")).await, 400, "$: UTF-8ではありません(最初の不正なバイト: 1番目)"),
        (
            japanese.send_text("POST", BASE, MULTIPART, "-----1234567890\r\n").await,
            400,
            "リクエスト本文が途中で切れています。",
        ),
    ] {
        let body = answer.expect(status);
        assert_eq!((&body["title"], &body["errorMessage"]), (&json!(expected), &json!(expected)));
    }
    let german = admin.clone().header("accept-language", "de").get(&format!("{BASE}/X")).await;
    assert_eq!(german.header("content-language"), "en");
    assert_eq!(german.expect(404)["title"], "Application 'X' does not exist.");
}

#[tokio::test]
async fn hostile_names_are_refused_or_kept_as_they_are() {
    let server = Server::start().await;
    let admin = server.admin();
    let with = |name: &str| json!({"name": name}).to_string();
    for (name, why) in [
        (String::new(), "can't be blank"),
        (" \u{3000}".to_owned(), "can't be blank"),
        ("a\0b".to_owned(), "must not have control characters"),
        ("a\nb".to_owned(), "must not have control characters"),
        ("x".repeat(10_000), "is too long (maximum is 255 characters)"),
        ("x".repeat(256), "is too long (maximum is 255 characters)"),
    ] {
        assert_eq!(refused(&create(&admin, &with(&name)).await), format!("name: {why}"));
    }
    for name in ["🜁👩‍👩‍👧", "\u{202e}txt.exe", "a, b! c\\", "'; DROP TABLE x; --", "<script>", "Größe", &"🜁".repeat(255)]
    {
        let body = create(&admin, &with(name)).await.expect(201);
        assert_eq!(body["name"], *name);
        assert_eq!(admin.get(&format!("{BASE}/{}", body["id"].as_str().unwrap())).await.expect(200)["name"], *name);
    }
    let taken = create(&admin, &with("A, B! C\\")).await.expect(409);
    assert_eq!(
        taken["errorKey"],
        "!csAFUnableToPerformActionForApp,create,A\\, B\\! C\\\\!csAFAppAlreadyExist,A\\, B\\! C\\\\"
    );
    assert_eq!(create(&admin, &with("GRÖSSE")).await.status, 201);
    assert_eq!(create(&admin, &with("GRÖßE")).await.status, 409, "without regard to case");
}

#[tokio::test]
async fn of_many_who_want_one_name_exactly_one_gets_it() {
    let server = Server::start().await;
    let admin = server.admin();
    let racing = (0..20).map(|n| {
        let admin = admin.clone();
        let name = if n % 2 == 0 { "race" } else { "RACE" };
        tokio::spawn(async move { create(&admin, &json!({"name": name}).to_string()).await.status })
    });
    let mut statuses = Vec::new();
    for one in racing.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
    assert_eq!(count(&admin).await, "1");
}

#[tokio::test]
async fn applications_outlive_the_process() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let id = made(&admin, "Durable").await;
    server.kill_and_restart().await;
    let admin = server.admin();
    assert_eq!(admin.get(&format!("{BASE}/{id}")).await.expect(200)["name"], "Durable");
    assert_eq!(admin.get(&format!("{BASE}/{id}/data")).await.text(), APPLICATION_FILE);
}

#[tokio::test]
async fn the_command_line_does_what_the_page_can() {
    let server = Server::start().await;
    let dir = server.dir();
    let path = dir.path().join("it's \"my\" config.json");
    let file = format!("{APPLICATION_FILE}\r\n\r\n");
    std::fs::write(&path, &file).unwrap();
    let path = path.to_str().unwrap();
    let id = server.cli_ok(&["application", "create", "From the shell", path, "--disabled"]);
    assert_eq!(server.cli(&["application", "data", &id]).stdout, file.as_bytes());
    let list: Value = serde_json::from_str(&server.cli_ok(&["application", "list", "--json"])).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["enabled"]), (&json!(id), &json!(false)));
    assert_eq!(list[0]["file_name"], "it's \"my\" config.json");
    server.cli_ok(&["application", "update", &id, "--enable"]);
    assert!(server.cli_ok(&["application", "list"]).contains("true"));
    let refused = server.cli(&["application", "update", &id]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the request changes nothing"));
    let other = dir.path().join("other.json");
    std::fs::write(&other, "{}").unwrap();
    let refused = server.cli(&["application", "update", &id, "--file", other.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("$.id: is required"), "{refused:?}");
    assert_eq!(
        server.cli_ok(&["application", "scopes", &id, "profiles:read", "connections:token"]),
        "profiles:read connections:token"
    );
    assert_eq!(server.cli_ok(&["application", "scopes", &id]), "profiles:read connections:token");
    let issued = server.cli_ok(&["application", "secret", &id]);
    let lines: Vec<&str> = issued.lines().collect();
    assert_eq!(lines[0], format!("client_id {id}"));
    let secret = lines[1].strip_prefix("client_secret ").unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let answer = server.anybody().send_text("POST", "/oauth/token", "application/x-www-form-urlencoded", form).await;
    assert_eq!(answer.expect(200)["scope"], "profiles:read connections:token");
    let secrets: Value = serde_json::from_str(&server.cli_ok(&["application", "secrets", &id, "--json"])).unwrap();
    let number = secrets[0]["id"].to_string();
    server.cli_ok(&["application", "revoke-secret", &id, &number]);
    assert_eq!(server.cli_ok(&["application", "secrets", &id]), "none");
    assert_eq!(server.cli_ok(&["application", "scopes", &id, "--none"]), "none");
    server.cli_ok(&["application", "delete", &id]);
    let gone = server.cli(&["application", "data", &id]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("does not exist"));
    assert_eq!(server.cli_ok(&["application", "list"]), "none");
}
