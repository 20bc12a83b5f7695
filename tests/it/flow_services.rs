//! Dialect 2: the OAuth configuration services.

use std::{
    io::Write as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use grantry::simulator::Rotation;

use crate::support::{Answer, Caller, Server, practice::Practice, profile_body};

const LOAD: &str = "LoadOAuthConfiguration";
const DELETE: &str = "DeleteOAuthConfiguration";
const NAMES: &str = "GetOAuthConfiguration";
const TOKENS: &str = "DeleteOAuthAccessTokens";
const CONNECTOR: &str = "ValidateConnector";
const SETUP: &str = "ValidateFlowSetup";

fn path(service: &str) -> String {
    format!("/Thingworx/Subsystems/WorkflowSubsystem/Services/{service}")
}

async fn call(caller: &Caller, service: &str, body: &Value) -> Answer {
    caller.post(&path(service), body).await
}

/// The text of an answer that tells of success.
#[track_caller]
fn done(answer: &Answer) -> String {
    let table = answer.expect(200);
    assert_eq!(answer.header("grantry-outcome"), "ok", "{table}");
    assert_eq!(table["rows"][0].get("code"), None);
    table["rows"][0]["result"].as_str().unwrap().to_owned()
}

/// Code and text of an answer that tells of an error.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> (String, String) {
    let table = answer.expect(status);
    assert_eq!(answer.header("grantry-outcome"), "error", "{table}");
    assert_eq!(table["dataShape"]["fieldDefinitions"]["code"]["ordinal"], 1);
    let text = |field: &str| table["rows"][0][field].as_str().unwrap().to_owned();
    (text("code"), text("result"))
}

fn configuration(n: usize) -> Value {
    json!({"CLIENT_ID": format!("client-{n}"), "CLIENT_SECRET": format!("PLANTED_flow_secret_{n}")})
}

fn document() -> Value {
    json!({
        "google_gmail": {"Gmail-2": configuration(2), "Gmail-1": configuration(1)},
        "jira": {"JIRA": {"CLIENT_ID": "j", "CLIENT_SECRET": "PLANTED_jira", "NEED_RESOURCE_URL": true, "X": [1]}},
    })
}

async fn load(caller: &Caller, document: &Value) -> Answer {
    call(caller, LOAD, &json!({"oauthConfigurations": document})).await
}

/// The body of a form with these parts: name, content.
fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, content): &(&str, &str)| {
        format!(
            "--border\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"o.json\"\r\n\
             Content-Type: application/json\r\n\r\n{content}\r\n"
        )
    };
    parts.iter().map(part).collect::<String>() + "--border--\r\n"
}

const FORM: &str = "multipart/form-data; boundary=border";

// What a load does.

#[tokio::test]
async fn a_document_is_loaded_and_its_names_are_listed() {
    let server = Server::start().await;
    let admin = server.admin();
    let answer = load(&admin, &document()).await;
    assert_eq!(
        answer.expect(200),
        json!({
            "dataShape": {"fieldDefinitions": {"result": {
                "name": "result", "baseType": "STRING", "description": "", "aspects": {}, "ordinal": 0
            }}},
            "rows": [{"result": "Loaded 3 configurations: 3 added, 0 updated, 0 unchanged. Nothing was deleted."}],
        })
    );
    assert_eq!(answer.header("grantry-outcome"), "ok");
    let names = admin.send(admin.request("POST", &path(NAMES))).await;
    assert_eq!(names.text(), r#"{"google_gmail":["Gmail-1","Gmail-2"],"jira":["JIRA"]}"#);
    assert_eq!(names.header("grantry-outcome"), "ok");
    // What is loaded here is a profile there.
    let profiles = admin.get("/api/custom_oauth_profiles").await.expect(200);
    assert_eq!(profiles["result"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn loading_again_changes_only_what_is_different_and_deletes_nothing() {
    let server = Server::start().await;
    let admin = server.admin();
    done(&load(&admin, &document()).await);
    let mut document = document();
    assert!(done(&load(&admin, &document).await).contains("0 added, 0 updated, 3 unchanged"));
    document["jira"]["JIRA"]["X"] = json!([2]);
    document["google_gmail"]["Gmail-1"]["CLIENT_SECRET"] = json!("PLANTED_another");
    document["google_gmail"]["Gmail-3"] = configuration(3);
    document["google_gmail"].as_object_mut().unwrap().remove("Gmail-2");
    assert!(done(&load(&admin, &document).await).contains("1 added, 2 updated, 0 unchanged"));
    let names = call(&admin, NAMES, &json!({})).await.expect(200);
    assert_eq!(names["google_gmail"], json!(["Gmail-1", "Gmail-2", "Gmail-3"]));
    let verdict =
        admin.post("/api/custom_oauth_profiles/2/verify_secret", &json!({"client_secret": "PLANTED_another"})).await;
    let other =
        admin.post("/api/custom_oauth_profiles/1/verify_secret", &json!({"client_secret": "PLANTED_another"})).await;
    let matches = [verdict.expect(200), other.expect(200)].map(|v| v["result"]["matches"] == json!(true));
    assert_eq!(matches.iter().filter(|m| **m).count(), 1, "the one that was changed");
}

#[tokio::test]
async fn a_document_comes_as_an_object_a_string_or_a_file() {
    let server = Server::start().await;
    let admin = server.admin();
    assert!(done(&load(&admin, &document()).await).contains("3 added"));
    let text = document().to_string();
    assert!(done(&load(&admin, &json!(text)).await).contains("3 unchanged"));
    let file = admin.send_text("POST", &path(LOAD), FORM, form(&[("file", &text)])).await;
    assert!(done(&file).contains("3 unchanged"));
}

#[tokio::test]
async fn one_fault_and_nothing_is_loaded_and_every_fault_is_listed() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut document = document();
    document["gmail"] = json!({"x": configuration(1)});
    document["google_gmail"]["Gmail-4"] = json!({"CLIENT_ID": "<client id here>", "CLIENT_SECRET": 7});
    document["jira"][" "] = json!({"CLIENT_ID": "j"});
    document["slack"] = json!([]);
    let (code, text) = refused(&load(&admin, &document).await, 200);
    assert_eq!(code, "invalid");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "Nothing was loaded, because of these faults of the document:",
            "google_gmail.Gmail-4.CLIENT_SECRET: must be of type string",
            "google_gmail.Gmail-4.CLIENT_ID: is a placeholder from a template: put the real value there",
            "jira. .CLIENT_SECRET: can't be blank",
            "jira. : can't be blank",
            "gmail: is not included in the list",
            "slack: must be of type object",
        ]
    );
    assert_eq!(call(&admin, NAMES, &json!({})).await.expect(200), json!({}));
    let many: Value = (0..10_050).map(|n| (format!("no-such-{n}"), json!({"x": configuration(n)}))).collect();
    let (_, text) = refused(&load(&admin, &many).await, 200);
    assert_eq!(text.lines().count(), 10_002);
    assert!(text.ends_with("…: there may be more faults; these are the first"));
}

#[tokio::test]
async fn the_printed_samples_are_refused_with_line_and_column() {
    let server = Server::start().await;
    let admin = server.admin();
    let bare = "\"google_gmail\": {\n  \"Gmail-1\": {\n    \"CLIENT_ID\": \"a\"\n    \"CLIENT_SECRET\": \"b\"\n  }\n}";
    let braced = format!("{{\n{bare}\n}}");
    for (text, place) in
        [(bare.to_owned(), "line 1, column 15"), (braced, "line 5, column 5"), (String::new(), "line 1")]
    {
        let (code, message) = refused(&load(&admin, &json!(text)).await, 200);
        assert!(code == "invalid" && message.contains(&format!("malformed JSON at {place}")), "{message}");
        let file = admin.send_text("POST", &path(LOAD), FORM, form(&[("file", &text)])).await;
        assert_eq!(refused(&file, 200), (code, message.clone()));
        let ours = admin.send_text("POST", "/api/load", "application/json", text.clone()).await;
        assert!(ours.expect(400)["message"].as_str().unwrap().contains(place));
    }
    // As the body itself, it is the request that is malformed.
    let body = format!("{{\"oauthConfigurations\":\n{bare}}}");
    let (_, message) = refused(&admin.send_text("POST", &path(LOAD), "application/json", body).await, 400);
    assert!(message.contains("line 2"), "{message}");
}

#[tokio::test]
async fn hostile_documents_are_refused_and_the_server_lives() {
    let server = Server::start().await;
    let admin = server.admin();
    let faults = [
        ("{\"jira\":{},\n\"jira\":{}}".to_owned(), "line 2, column 6: the same key stands twice"),
        ("[".repeat(10_000), "recursion limit"),
        (format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)), "recursion limit"),
        (
            "{\"jira\":{\"J\":{\"CLIENT_ID\":99999999999999999999999,\"CLIENT_SECRET\":\"s\"}}}".to_owned(),
            "type string",
        ),
        ("{\"jira\":1e999}".to_owned(), "line 1"),
        ("{\"jira\":{\"J\\u0000\":{\"CLIENT_ID\":\"a\",\"CLIENT_SECRET\":\"s\"}}}".to_owned(), "control characters"),
        ("{\"jira\":{\"J\":{\"CLIENT_ID\":\"a\",\"CLIENT_SECRET\":\"s\"}}} x".to_owned(), "line 1"),
        ("{}".to_owned(), "can't be blank"),
        ("[]".to_owned(), "must be of type object"),
        ("null".to_owned(), "must be of type object"),
        (format!("{{\"jira\":{{\"{}\":{{}}}}}}", "n".repeat(10_000)), "…"),
        (format!("{{\"{}\":{{}}}}", "n".repeat(1_000_000)), "…"),
    ];
    for (text, what) in faults {
        let (code, message) = refused(&load(&admin, &json!(text)).await, 200);
        assert!(code == "invalid" && message.contains(what), "{message} lacks {what}");
        assert!(message.len() < 3000, "tells too much back");
    }
    let deep = format!("{{\"oauthConfigurations\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let (_, message) = refused(&admin.send_text("POST", &path(LOAD), "application/json", deep).await, 400);
    assert!(message.contains("recursion limit"), "{message}");
    let form = |bytes: &[u8]| {
        let mut body = b"--border\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".to_vec();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--border--\r\n");
        body
    };
    let (_, message) = refused(&admin.send_text("POST", &path(LOAD), FORM, form(b"{\"\xff\":1}")).await, 200);
    assert!(message.contains("is not UTF-8: the first bad byte is number 3"), "{message}");
    assert_eq!(call(&admin, NAMES, &json!({})).await.expect(200), json!({}));
}

#[tokio::test]
async fn ten_megabytes_are_read_and_more_than_sixteen_are_too_many() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut large = configuration(1);
    large["NOTES"] = json!("x".repeat(10 * 1024 * 1024));
    assert!(done(&load(&admin, &json!({"jira": {"J": large}})).await).contains("1 added"));
    let text = format!("{{\"jira\": {}", " ".repeat(10 * 1024 * 1024));
    let (_, message) = refused(&load(&admin, &json!(text)).await, 200);
    assert!(message.contains("line 1, column 10485769"), "{message}");
    // One byte more than is taken, and not many: who hangs up in the middle of a long body is not heard.
    let body = "x".repeat(16 * 1024 * 1024 + 1);
    let (code, message) = refused(&admin.send_text("POST", &path(LOAD), "application/json", body).await, 413);
    assert_eq!((code.as_str(), message.as_str()), ("too_large", "The body is larger than 16777216 bytes"));
    let text = format!("{}{{}}", " ".repeat(16 * 1024 * 1024 - 1));
    refused(&admin.send_text("POST", &path(LOAD), FORM, form(&[("file", &text)])).await, 413);
    done(&load(&admin, &json!({"slack": {"S": configuration(2)}})).await);
}

#[tokio::test]
async fn a_thousand_configurations_are_loaded_and_hashed_once() {
    let server = Server::start().await;
    let admin = server.admin();
    let connectors = ["google_gmail", "jira", "slack", "box"];
    let document: Value = connectors
        .iter()
        .map(|connector| {
            let all: Value = (0..250).map(|n| (format!("{connector} 🜁 {n}"), configuration(n))).collect();
            ((*connector).to_owned(), all)
        })
        .collect();
    assert!(done(&load(&admin, &document).await).contains("1000 added"));
    let request = admin.request("POST", "/api/load").header("accept", "application/x-ndjson").json(&document);
    let lines = admin.send(request).await.text();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!({"progress": {"hashed": 0, "of": 0}}),
            json!({"result": {"added": [], "updated": [], "unchanged": 1000}})
        ]
    );
}

#[tokio::test]
async fn names_may_be_anything_on_one_line() {
    let server = Server::start().await;
    let admin = server.admin();
    let names = [" spaces ", "🜁 emoji", "日本語", "a/b?c#d%20", "<b>&\"'", "constructor", "__proto__"];
    let all: Value = names.iter().map(|name| ((*name).to_owned(), configuration(1))).collect();
    done(&load(&admin, &json!({"jira": all})).await);
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(call(&admin, NAMES, &json!({})).await.expect(200), json!({"jira": sorted}));
    let xml = admin.clone().header("accept", "text/xml");
    let answer = xml.send(xml.request("POST", &path(NAMES))).await.text();
    assert!(answer.contains("<configurations><connector><name>jira</name><provider> spaces </provider>"), "{answer}");
    assert!(answer.contains("<provider>&lt;b&gt;&amp;"), "{answer}");
    for name in names {
        done(&call(&admin, DELETE, &json!({"Connector config name": "jira", "OAuth provider": name})).await);
    }
    let long = "n".repeat(10_000);
    for body in [
        json!({"Connector config name": "jira", "OAuth provider": long}),
        json!({"Connector config name": long, "OAuth provider": "JIRA"}),
    ] {
        let (code, text) = refused(&call(&admin, DELETE, &body).await, 200);
        assert!(code == "not_found" && text.len() < 500, "{text}");
    }
    assert_eq!(refused(&call(&admin, TOKENS, &json!({"OAuth provider": long})).await, 200).0, "not_found");
    assert_eq!(refused(&call(&admin, CONNECTOR, &json!({"connectorName": long})).await, 200).0, "not_found");
}

// How a call is made.

#[tokio::test]
async fn every_way_to_say_who_one_is_works_but_the_url() {
    let server = Server::start().await;
    let admin = server.admin();
    let token = admin.token();
    for caller in [
        server.anybody().header("appkey", &token),
        server.anybody().bearer(&token),
        server.anybody().basic("anybody", &token),
        server.anybody().header("appkey", &token).header("x-thingworx-session", "true").header("x-xsrf-token", "x"),
    ] {
        assert_eq!(call(&caller, NAMES, &json!({})).await.expect(200), json!({}));
    }
    let nobody = server.anybody();
    let (code, _) = refused(&call(&nobody, NAMES, &json!({})).await, 401);
    assert_eq!(code, "unauthenticated");
    let answer = nobody.post(&format!("{}?appKey={token}", path(NAMES)), &json!({})).await;
    let (_, text) = refused(&answer, 401);
    assert!(text.contains("send it in the header appKey"), "{text}");
    assert!(answer.header("www-authenticate").contains("earer"));
    let (_, text) = refused(&admin.post(&format!("{}?appKey={token}", path(NAMES)), &json!({})).await, 401);
    assert!(text.contains("appKey"), "even beside a good one: {text}");
    let wrong = server.anybody().header("appkey", "gry_api_nonsense");
    refused(&call(&wrong, NAMES, &json!({})).await, 401);
}

#[tokio::test]
async fn all_six_want_administrator_rights() {
    let server = Server::start().await;
    let operator = server.caller(&["profiles:read", "profiles:write", "connections:read", "connections:write"]);
    for service in [LOAD, DELETE, NAMES, TOKENS, CONNECTOR, SETUP] {
        let (code, text) = refused(&operator.send_text("POST", &path(service), "text/plain", "{").await, 403);
        assert!(code == "forbidden" && text.contains("admin"), "{text}");
    }
}

#[tokio::test]
async fn protocol_errors_keep_their_status_and_are_infotables() {
    let server = Server::start().await;
    let admin = server.admin();
    for (address, status) in [
        (path("NoSuchService"), 404),
        (path("getoauthconfiguration"), 404),
        ("/Thingworx/Subsystems/OtherSubsystem/Services/GetOAuthConfiguration".to_owned(), 404),
        ("/Thingworx/Things/x/Services/y".to_owned(), 404),
        ("/Thingworx/".to_owned(), 404),
    ] {
        let (code, _) = refused(&admin.post(&address, &json!({})).await, status);
        assert_eq!(code, "not_found");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = admin.send(admin.request(method, &path(NAMES))).await;
        assert_eq!(refused(&answer, 405).0, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
    for (service, media) in [(NAMES, "text/plain"), (NAMES, "application/xml"), (DELETE, FORM), (LOAD, "text/json")] {
        let answer = admin.send_text("POST", &path(service), media, "{}").await;
        assert_eq!(refused(&answer, 403).0, "unsupported_media_type");
    }
    let untyped = admin.send(admin.request("POST", &path(NAMES)).body("{}")).await;
    refused(&untyped, 403);
    let packed = admin.request("POST", &path(NAMES)).header("content-encoding", "gzip").json(&json!({}));
    refused(&admin.send(packed).await, 415);
    for (service, missing) in [
        (LOAD, "oauthConfigurations"),
        (DELETE, "Connector config name, OAuth provider"),
        (TOKENS, "OAuth provider"),
        (CONNECTOR, "connectorName"),
    ] {
        for answer in [call(&admin, service, &json!({})).await, admin.send(admin.request("POST", &path(service))).await]
        {
            assert_eq!(refused(&answer, 404), ("missing".to_owned(), format!("Required and missing: {missing}")));
        }
    }
    refused(&call(&admin, CONNECTOR, &json!({"connectorName": null})).await, 404);
    for body in ["[]", "null", "7", "{", "{\"connectorName\":\"a\",\"connectorName\":\"b\"}", "\u{0}"] {
        let answer = admin.send_text("POST", &path(CONNECTOR), "application/json", body).await;
        refused(&answer, 400);
    }
    refused(&call(&admin, CONNECTOR, &json!({"connectorName": ["jira"]})).await, 400);
    refused(&admin.send_text("POST", &path(CONNECTOR), "application/json", b"\xff".to_vec()).await, 400);
    let big = "x".repeat(1024 * 1024 + 1);
    refused(&admin.send_text("POST", &path(CONNECTOR), "application/json", big).await, 413);
}

#[tokio::test]
async fn both_spellings_of_a_parameter_are_taken_and_must_agree() {
    let server = Server::start().await;
    let admin = server.admin();
    done(&load(&admin, &document()).await);
    let plain = json!({"connectorConfigName": "google_gmail", "oauthProvider": "Gmail-1"});
    done(&call(&admin, DELETE, &plain).await);
    let both = json!({
        "Connector config name": "google_gmail", "connectorConfigName": "google_gmail", "OAuth provider": "Gmail-2"
    });
    done(&call(&admin, DELETE, &both).await);
    let differ = json!({"Connector config name": "jira", "connectorConfigName": "slack", "OAuth provider": "JIRA"});
    let (_, text) = refused(&call(&admin, DELETE, &differ).await, 400);
    assert_eq!(text, "Connector config name: is given twice, with different values");
    // A misspelt user must not mean everybody.
    let (_, text) = refused(&call(&admin, TOKENS, &json!({"OAuth provider": "JIRA", "username": "alice"})).await, 400);
    assert_eq!(text, "username: is not known here");
    let (_, text) = refused(&call(&admin, LOAD, &document()).await, 400);
    assert!(text.contains("google_gmail: is not known here"), "{text}");
    // Names are matched exactly.
    let (code, _) =
        refused(&call(&admin, DELETE, &json!({"oauthProvider": "jira", "connectorConfigName": "jira"})).await, 200);
    assert_eq!(code, "not_found");
}

#[tokio::test]
async fn answers_come_in_the_form_that_is_asked_for() {
    let server = Server::start().await;
    let admin = server.admin();
    let accepting = |accept: &str| admin.clone().header("accept", accept);
    for accept in ["*/*", "application/json", "text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "application/*"]
    {
        let answer = load(&accepting(accept), &document()).await;
        assert_eq!(answer.header("content-type"), "application/json", "{accept}");
        done(&answer);
    }
    let answer = load(&accepting("text/xml"), &document()).await;
    assert_eq!(answer.header("content-type"), "text/xml; charset=utf-8");
    assert_eq!(
        answer.text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><infotable><dataShape><fieldDefinitions><result><name>result</name>\
         <baseType>STRING</baseType><description></description><aspects></aspects><ordinal>0</ordinal></result>\
         </fieldDefinitions></dataShape><rows><result>Loaded 3 configurations: 0 added, 0 updated, 3 unchanged. \
         Nothing was deleted.</result></rows></infotable>"
    );
    let answer = accepting("text/xml;q=0.9, application/json;q=0.1")
        .post(&path(CONNECTOR), &json!({"connectorName": "<x>"}))
        .await;
    assert_eq!((answer.status, answer.header("grantry-outcome")), (200, "error"));
    assert!(
        answer.text().contains("&lt;x&gt;") && answer.text().contains("<code>not_found</code>"),
        "{}",
        answer.text()
    );
    // Errors of the protocol too.
    let answer = server.anybody().header("accept", "text/xml").post(&path(NAMES), &json!({})).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("<code>unauthenticated</code>"));
    // And what nobody could read is not done.
    let body = json!({"connectorConfigName": "jira", "oauthProvider": "JIRA"});
    for accept in ["application/xml", "image/png", "application/json;q=0"] {
        refused(&call(&accepting(accept), DELETE, &body).await, 406);
    }
    done(&call(&admin, DELETE, &body).await);
}

#[tokio::test]
async fn strict_gives_errors_of_the_deed_a_status() {
    let server = Server::start().await;
    let admin = server.admin();
    done(&load(&admin, &document()).await);
    let strictly = |service: &str| format!("{}?strict=true", path(service));
    for (service, body, status) in [
        (LOAD, json!({"oauthConfigurations": {}}), 400),
        (DELETE, json!({"Connector config name": "jira", "OAuth provider": "x"}), 404),
        (DELETE, json!({"Connector config name": " ", "OAuth provider": "x"}), 400),
        (TOKENS, json!({"OAuth provider": "JIRA"}), 404),
        (TOKENS, json!({"OAuth provider": "JIRA", "User Name": ""}), 400),
        (CONNECTOR, json!({"connectorName": "slack"}), 404),
    ] {
        let lenient = refused(&call(&admin, service, &body).await, 200);
        let strict = refused(&admin.post(&strictly(service), &body).await, status);
        assert_eq!(lenient, strict);
        let off = admin.post(&format!("{}?strict=false", path(service)), &body).await;
        assert_eq!(refused(&off, 200), lenient);
    }
    done(&admin.post(&strictly(LOAD), &json!({"oauthConfigurations": document()})).await);
}

#[tokio::test]
async fn a_form_has_one_part_and_is_whole() {
    let server = Server::start().await;
    let admin = server.admin();
    let text = document().to_string();
    let send = async |media: &str, body: String| admin.send_text("POST", &path(LOAD), media, body).await;
    let (_, what) = refused(&send(FORM, form(&[("upload", &text)])).await, 400);
    assert_eq!(what, "upload: is not known here");
    refused(&send(FORM, form(&[("file", &text), ("other", "x")])).await, 400);
    let (_, what) = refused(&send(FORM, form(&[("file", &text), ("file", &text)])).await, 400);
    assert_eq!(what, "file: stands there twice");
    let (code, _) = refused(&send(FORM, form(&[])).await, 404);
    assert_eq!(code, "missing");
    let whole = form(&[("file", &text)]);
    for end in [whole.len() - 12, whole.len() / 2, 30, 3] {
        let (_, what) = refused(&send(FORM, whole[..end].to_owned()).await, 400);
        assert!(what.contains("form"), "{what}");
    }
    let (_, what) = refused(&send("multipart/form-data", whole.clone()).await, 400);
    assert!(what.contains("boundary"), "{what}");
    refused(&send(FORM, String::new()).await, 400);
    refused(&send(FORM, "--border\r\n\r\nno head\r\n--border--".to_owned()).await, 400);
    assert_eq!(call(&admin, NAMES, &json!({})).await.expect(200), json!({}), "nothing of it was loaded");
    done(&send(FORM, whole).await);
}

// Services 2 to 5.

#[tokio::test]
async fn a_configuration_in_use_is_not_deleted_and_the_refusal_names_who_uses_it() {
    let server = Server::start().await;
    let admin = server.admin();
    done(&load(&admin, &json!({"jira": {"JIRA": configuration(1)}})).await);
    for (name, owner) in [("Sales CRM", json!("alice")), ("Support", Value::Null)] {
        admin.post("/api/connections", &json!({"name": name, "provider": "jira", "owner": owner})).await.expect(200);
    }
    let customer = json!({"name": "Acme", "notification_email": "a@b.example", "external_id": "acme-7"});
    let id = admin.post("/api/managed_users", &customer).await.expect(200)["id"].clone();
    admin.post(&format!("/api/managed_users/{id}/custom_oauth_profiles/1/assign"), &json!({})).await.expect(200);
    let body = json!({"Connector config name": "jira", "OAuth provider": "JIRA"});
    let (code, text) = refused(&call(&admin, DELETE, &body).await, 200);
    assert_eq!(code, "in_use");
    assert_eq!(
        text,
        "The configuration JIRA of connector jira was not deleted, as it is in use:\n\
         2 connections: \"Sales CRM\" of alice, \"Support\" without an owner\n\
         1 customer: \"Acme\" (acme-7)"
    );
    refused(&admin.post(&format!("{}?strict=true", path(DELETE)), &body).await, 409);
    for connection in 1..=2 {
        admin.delete(&format!("/api/connections/{connection}")).await.expect(200);
    }
    let unassign = format!("/api/managed_users/{id}/custom_oauth_profiles/1/unassign?force=true");
    admin.delete(&unassign).await.expect(200);
    assert_eq!(done(&call(&admin, DELETE, &body).await), "The configuration JIRA of connector jira is deleted.");
    assert_eq!(admin.get("/api/custom_oauth_profiles").await.expect(200), json!({"result": []}));
    let (code, _) = refused(&call(&admin, DELETE, &body).await, 200);
    assert_eq!(code, "not_found");
}

/// Changes the database of a server that is stopped for it.
async fn edit(server: &mut Server, sql: &str) {
    server.stop();
    let database = rusqlite::Connection::open(grantry::store::database_path(&server.data())).unwrap();
    database.execute_batch(sql).unwrap();
    drop(database);
    server.kill_and_restart().await;
}

#[tokio::test]
async fn tokens_of_one_user_or_of_all_are_deleted_and_connections_stay() {
    let mut server = Server::start().await;
    let admin = server.admin();
    done(&load(&admin, &json!({"jira": {"Main": configuration(1)}, "slack": {"Main": configuration(2)}})).await);
    for (name, provider, owner) in
        [("a", "jira", "alice"), ("b", "slack", "alice"), ("c", "jira", "bob"), ("d", "slack", "carol")]
    {
        admin.post("/api/connections", &json!({"name": name, "provider": provider, "owner": owner})).await.expect(200);
    }
    let (code, text) = refused(&call(&admin, TOKENS, &json!({"OAuth provider": "Main"})).await, 200);
    assert_eq!(code, "nothing_to_delete", "nobody is connected yet: {text}");
    // Connections as they are once somebody has authorised them.
    edit(&mut server, "UPDATE connections SET status = 'success', authorized_at = 1").await;
    let admin = server.admin();
    for blank in [json!(""), json!(" "), json!(null)] {
        let (code, text) =
            refused(&call(&admin, TOKENS, &json!({"OAuth provider": "Main", "User Name": blank})).await, 200);
        assert_eq!((code.as_str(), text.as_str()), ("invalid", "Nothing was done: User Name: can't be blank"));
    }
    let (code, _) = refused(&call(&admin, TOKENS, &json!({"OAuth provider": "Main", "User Name": "Alice"})).await, 200);
    assert_eq!(code, "nothing_to_delete", "names are matched exactly");
    let failed = async |admin: &Caller| -> Vec<String> {
        let all = admin.get("/api/connections").await.expect(200);
        let lost = all.as_array().unwrap().iter().filter(|c| c["authorization_status"] == "failed");
        lost.map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(failed(&admin).await, [""; 0]);
    let text = done(&call(&admin, TOKENS, &json!({"OAuth provider": "Main", "User Name": "alice"})).await);
    assert_eq!(
        text,
        "The access tokens of user alice for the OAuth provider Main of connectors jira, slack are deleted: 2 \
         connections must be authorised again. There was nothing to revoke at the provider."
    );
    assert_eq!(failed(&admin).await, ["a", "b"]);
    let text = done(&call(&admin, TOKENS, &json!({"oauthProvider": "Main"})).await);
    assert!(text.contains("of every user") && text.contains("2 connections"), "{text}");
    assert_eq!(failed(&admin).await, ["a", "b", "c", "d"]);
    let (code, _) = refused(&call(&admin, TOKENS, &json!({"OAuth provider": "Main", "User Name": "bob"})).await, 200);
    assert_eq!(code, "nothing_to_delete");
    assert_eq!(refused(&call(&admin, TOKENS, &json!({"OAuth provider": "main"})).await, 200).0, "not_found");
}

/// An HTTP server that answers everything with this status line.
async fn answering(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// An address at which nobody listens.
async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Adds a provider of the operator's own, and a configuration for it.
async fn add_provider(admin: &Caller, slug: &str, url: &str) {
    let entry = json!({
        "slug": slug, "name": slug, "authorize_url": format!("{url}/authorize"), "token_url": format!("{url}/token")
    });
    admin.post("/api/providers", &entry).await.expect(200);
    done(&load(admin, &json!({slug: {"App": configuration(1)}})).await);
}

#[tokio::test]
async fn a_connector_is_checked_finding_by_finding() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let practice = Practice::rotating(Rotation::None);
    let (fine, broken) = (answering("405 Method Not Allowed").await, answering("500 Oops").await);
    practice.introduce(&admin).await;
    add_provider(&admin, "broken", &broken).await;
    add_provider(&admin, "gone", &closed().await).await;
    let secret_url = format!("{}/token?key=PLANTED_in_query", fine.replace("//", "//PLANTED_user:PLANTED_pass@"));
    let documents = json!({
        "http": {
            "Own": {"CLIENT_ID": "a", "CLIENT_SECRET": "PLANTED_1", "TOKEN_URL": secret_url, "AUTHORIZATION_URL": fine},
            "Bare": configuration(2),
            "Odd": {"CLIENT_ID": "a", "CLIENT_SECRET": "PLANTED_2", "TOKEN_URL": "PLANTED no", "AUTHORIZATION_URL": 7},
        }
    });
    done(&load(&admin, &documents).await);
    admin
        .post("/api/connections", &json!({"name": "Sales", "provider": "practice", "owner": "alice"}))
        .await
        .expect(200);
    let check = async |admin: &Caller, name: &str| call(admin, CONNECTOR, &json!({"connectorName": name})).await;
    assert_eq!(
        done(&check(&admin, "practice").await),
        "The connector practice is in order: 1 configuration, 1 connection, 2 endpoints asked.\nThe provider accepts \
         client id and secret of 1 configuration."
    );
    let (code, text) = refused(&check(&admin, "broken").await, 200);
    assert_eq!(code, "connector_not_in_order");
    assert!(text.starts_with("The connector broken is not in order:\n"), "{text}");
    assert!(text.contains(&format!("{broken}/token answers 500")), "{text}");
    let (_, text) = refused(&check(&admin, "gone").await, 200);
    assert!(text.contains("/token cannot be reached: "), "{text}");
    let (_, text) = refused(&check(&admin, "http").await, 200);
    assert!(text.contains("\nBare: lacks AUTHORIZATION_URL, TOKEN_URL"), "{text}");
    assert!(text.contains("\nOdd: lacks AUTHORIZATION_URL"), "{text}");
    assert!(text.contains("(a parameter that is no URL) cannot be reached"), "{text}");
    for unknown in ["jira", "no such", "FINE"] {
        let (code, text) = refused(&check(&admin, unknown).await, 200);
        assert!(code == "not_found" && text.contains(unknown), "{text}");
    }
    edit(
        &mut server,
        "UPDATE connections SET status = 'failed';
         UPDATE profile_secrets SET sealed = zeroblob(40) WHERE profile_id = 1",
    )
    .await;
    let admin = server.admin();
    let (_, text) = refused(&check(&admin, "practice").await, 200);
    assert!(text.starts_with("The connector practice is not in order:\n"), "{text}");
    assert!(
        text.contains("Practice: its client secret does not open with the keys there are; load it again"),
        "{text}"
    );
    assert!(text.contains("Practice: the connection \"Sales\" of alice must be authorised again"), "{text}");
    // What the finding advises helps.
    let again = json!({"practice": {"Practice": configuration(1)}});
    assert!(done(&load(&admin, &again).await).contains("1 updated"));
    let (_, text) = refused(&check(&admin, "practice").await, 200);
    assert!(!text.contains("does not open"), "{text}");
}

// Service 6.

/// The codes that the setup check reports, with its lines.
async fn setup(admin: &Caller) -> (Vec<String>, String) {
    let answer = call(admin, SETUP, &json!({})).await;
    if answer.header("grantry-outcome") == "ok" {
        assert_eq!(done(&answer), "Everything is set up: no error was found.");
        return (Vec::new(), String::new());
    }
    let (codes, text) = refused(&answer, 200);
    let codes: Vec<String> = codes.split(' ').map(str::to_owned).collect();
    let said: Vec<String> = text.lines().map(|line| line[1..].split(']').next().unwrap().to_owned()).collect();
    assert_eq!(codes, said, "a line for each code");
    (codes, text)
}

#[tokio::test]
async fn a_fresh_installation_has_no_fault() {
    let server = Server::start().await;
    let admin = server.admin();
    assert_eq!(setup(&admin).await.0, [""; 0]);
    add_provider(&admin, "acme", &answering("400 Bad Request").await).await;
    assert_eq!(setup(&admin).await.0, [""; 0], "a token endpoint may refuse what we ask");
}

#[tokio::test]
async fn config_01_where_the_dialect_is_switched_off() {
    let server = Server::with(&["--flow-services=false"]).await;
    let admin = server.admin();
    for service in [LOAD, DELETE, NAMES, TOKENS, CONNECTOR] {
        let (code, text) = refused(&call(&admin, service, &json!({})).await, 200);
        assert!(code == "FLOW-CONFIG-01" && text.starts_with("[FLOW-CONFIG-01] "), "{text}");
    }
    refused(&admin.post(&format!("{}?strict=true", path(NAMES)), &json!({})).await, 409);
    refused(&server.anybody().post(&path(NAMES), &json!({})).await, 401);
    assert_eq!(setup(&admin).await.0, ["FLOW-CONFIG-01"]);
    // The core is not switched off.
    admin.post("/api/custom_oauth_profiles", &profile_body("x", "jira")).await.expect(200);
}

#[tokio::test]
async fn api_01_where_the_public_url_leads_elsewhere() {
    let nobody = Server::with(&["--public-url", &closed().await]).await;
    let (codes, text) = setup(&nobody.admin()).await;
    assert_eq!(codes, ["FLOW-API-01"], "{text}");
    let other = Server::with(&["--public-url", &answering("200 OK").await]).await;
    let (codes, text) = setup(&other.admin()).await;
    assert_eq!(codes, ["FLOW-API-01"]);
    assert!(text.contains("another server answers there, with status 200"), "{text}");
    // Another Grantry is another server, too.
    let third = Server::with(&["--public-url", &other.url]).await;
    assert_eq!(setup(&third.admin()).await.0, ["FLOW-API-01"]);
}

/// A proxy that passes requests on under another host; its target is told later.
async fn rewriting_proxy() -> (String, Arc<OnceLock<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target: Arc<OnceLock<String>> = Arc::default();
    let known = Arc::clone(&target);
    tokio::spawn(async move {
        while let Ok((mut incoming, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = incoming.read_u8().await else { break };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let lines = head.split_inclusive("\r\n").map(|line| {
                if line.to_ascii_lowercase().starts_with("host:") { "Host: inner.example:9\r\n" } else { line }
            });
            let mut outgoing = TcpStream::connect(known.get().unwrap()).await.unwrap();
            outgoing.write_all(lines.collect::<String>().as_bytes()).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut incoming, &mut outgoing).await });
        }
    });
    (url, target)
}

#[tokio::test]
async fn api_02_where_a_proxy_changes_the_host() {
    let (url, target) = rewriting_proxy().await;
    let server = Server::with(&["--public-url", &url]).await;
    target.set(server.url.trim_start_matches("http://").to_owned()).unwrap();
    let (codes, text) = setup(&server.admin()).await;
    assert_eq!(codes, ["FLOW-API-02"]);
    assert!(text.contains("inner.example:9"), "{text}");
}

#[tokio::test]
async fn key_03_and_04_where_the_key_file_is_gone_garbled_or_another() {
    let server = Server::start().await;
    let admin = server.admin();
    let keys = server.data().join("keys");
    let text = std::fs::read_to_string(&keys).unwrap();
    std::fs::remove_file(&keys).unwrap();
    let (codes, said) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-KEY-03"]);
    assert!(said.contains("is missing"), "{said}");
    std::fs::write(&keys, "active k1 short\n").unwrap();
    let (codes, said) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-KEY-03"]);
    assert!(said.contains("line 1"), "{said}");
    std::fs::write(&keys, b"\xff\xfe").unwrap();
    assert_eq!(setup(&admin).await.0, ["FLOW-KEY-03"]);
    let other = "A".repeat(43);
    std::fs::write(&keys, format!("active k00000001 {other}\n")).unwrap();
    assert_eq!(setup(&admin).await.0, ["FLOW-KEY-04"]);
    // The same id does not make it the same key.
    let id = text.lines().last().unwrap().split(' ').nth(1).unwrap().to_owned();
    std::fs::write(&keys, format!("active {id} {other}\n")).unwrap();
    let (codes, said) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-KEY-04"]);
    assert!(!said.contains(&other));
    std::fs::write(&keys, text).unwrap();
    assert_eq!(setup(&admin).await.0, [""; 0]);
}

#[tokio::test]
async fn exchange_01_and_02_where_token_endpoints_fail() {
    let server = Server::start().await;
    let admin = server.admin();
    let broken = answering("500 Oops").await;
    add_provider(&admin, "broken", &broken).await;
    let (codes, text) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-EXCHANGE-01"]);
    assert!(text.contains(&format!("{broken}/token (500)")), "{text}");
    let gone = closed().await;
    add_provider(&admin, "gone", &gone).await;
    let (codes, text) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-EXCHANGE-01", "FLOW-EXCHANGE-02"]);
    assert!(text.contains(&format!("{gone}/token (")), "{text}");
    // Where a configuration brings its endpoint, that one is asked.
    let mut own = configuration(1);
    own["TOKEN_URL"] = json!(format!("{broken}/own?key=PLANTED_in_query"));
    done(&load(&admin, &json!({"http": {"Own": own}})).await);
    let (_, text) = setup(&admin).await;
    assert!(text.contains(&format!("{broken}/own (500)")), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[tokio::test]
async fn oauth_02_where_only_hashes_are_kept() {
    let server = Server::with(&["--secrets", "hashed"]).await;
    let admin = server.admin();
    add_provider(&admin, "acme", &answering("400 Bad Request").await).await;
    assert_eq!(setup(&admin).await.0, ["FLOW-OAUTH-02"]);
    let (_, text) = refused(&call(&admin, CONNECTOR, &json!({"connectorName": "acme"})).await, 200);
    assert!(text.contains("App: only the hash of its client secret is kept"), "{text}");
}

#[tokio::test]
async fn oauth_01_where_sealed_values_were_swapped() {
    let mut server = Server::start().await;
    let admin = server.admin();
    let url = answering("400 Bad Request").await;
    add_provider(&admin, "acme", &url).await;
    done(&load(&admin, &json!({"acme": {"Other": {"CLIENT_ID": "o", "CLIENT_SECRET": "PLANTED_o"}}})).await);
    edit(
        &mut server,
        "CREATE TEMP TABLE old AS SELECT * FROM profile_secrets;
         UPDATE profile_secrets AS p SET sealed = (SELECT sealed FROM old WHERE old.profile_id <> p.profile_id)",
    )
    .await;
    let admin = server.admin();
    let (codes, text) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-OAUTH-01"]);
    assert!(text.contains("1 (current), 2 (current)"), "{text}");
    // Loading them again repairs it, as the sentence says.
    done(&load(&admin, &json!({"acme": {"App": configuration(1)}})).await);
    admin.put("/api/custom_oauth_profiles/2", &profile_body("Other", "acme")).await.expect(200);
    assert_eq!(setup(&admin).await.0, [""; 0]);
}

#[tokio::test]
async fn key_01_and_02_where_values_are_sealed_with_keys_that_are_gone() {
    let mut server = Server::start().await;
    let admin = server.admin();
    add_provider(&admin, "acme", &answering("400 Bad Request").await).await;
    let connection = json!({"name": "c", "provider": "acme", "input": {"subdomain": "PLANTED_input"}});
    admin.post("/api/connections", &connection).await.expect(200);
    edit(&mut server, "UPDATE connections SET input_key_id = 'klost2'").await;
    let admin = server.admin();
    let (codes, text) = setup(&admin).await;
    assert_eq!(codes, ["FLOW-KEY-02", "FLOW-OAUTH-01"]);
    assert!(text.contains("klost2"), "{text}");
    edit(&mut server, "UPDATE profile_secrets SET key_id = 'klost1'").await;
    let (codes, text) = setup(&server.admin()).await;
    assert_eq!(codes, ["FLOW-KEY-01", "FLOW-KEY-02", "FLOW-OAUTH-01"]);
    assert!(text.lines().next().unwrap().contains("klost1"), "{text}");
}

#[test]
fn rabbit_01_where_the_background_work_has_stopped() {
    use grantry::{
        app::{App, SecretsMode, Settings, credential::Credential, settings::About},
        domain::api_token::TokenKind,
        http::{self, Surface},
        store::{
            Db, Hold,
            seal::{KeyList, Sealer},
            system_clock,
        },
    };
    // The one server in the test's own process: from outside nobody can stop a part of it.
    let dir = tempfile::tempdir().unwrap();
    let sealer = Sealer::new(KeyList::generate().unwrap()).unwrap();
    let db = Db::open(dir.path(), Hold::take(dir.path()).unwrap(), sealer, system_clock()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings {
        public_url: url.clone(),
        secrets: SecretsMode::Sealed,
        key_file: None,
        keys_can_change: true,
        flow_services: true,
        allow_private: false,
        access_token_life_s: 3600,
        most_upload: 1024,
        return_urls: Vec::new(),
        proxy_idle: std::time::Duration::from_secs(1),
        backups: grantry::app::backups::Schedule { dir: dir.path().join("backups"), every: None, keep: 1 },
        surroundings: grantry::app::doctor::Surroundings::default(),
        audit_days: 0,
        about: About::default(),
    };
    let surface = Surface {
        public_url: url.clone(),
        secure: false,
        trusted_proxies: Vec::new(),
        profile_limit: grantry::http::workato::limit::ProfileLimit::per_minute(0),
    };
    let run = Credential::generate(TokenKind::Run, 0).unwrap();
    let app = App::start(db, settings, &run).unwrap();
    app.housekeeper().stop();
    let answer = http::run(async {
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let served = http::serve(
            app,
            surface,
            http::Listeners { plain: vec![listener], tls: None, metrics: None },
            1,
            Duration::from_secs(1),
            move |stop| {
                let _ = ready.send(stop);
            },
        );
        http::spawn(async move { drop(served.await) });
        let stop = is_ready.await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{url}{}", path(SETUP))).bearer_auth(run.text().expose());
        let answer = Answer::of(request.send().await.unwrap()).await;
        stop.stop().await;
        answer
    });
    let (codes, text) = refused(&answer, 200);
    assert_eq!(codes, "FLOW-RABBIT-01");
    assert!(text.starts_with("[FLOW-RABBIT-01] The background work has stopped"), "{text}");
}

// Our own way to load.

#[tokio::test]
async fn a_load_tells_how_far_it_is() {
    let server = Server::start().await;
    let admin = server.caller(&["profiles:write"]);
    let request = admin.request("POST", "/api/load").header("accept", "application/x-ndjson").json(&document());
    let answer = admin.send(request).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"progress": {"hashed": 0, "of": 3}}));
    let mut hashed: Vec<u64> = lines[..4].iter().map(|line| line["progress"]["hashed"].as_u64().unwrap()).collect();
    hashed.sort_unstable();
    assert_eq!(hashed, [0, 1, 2, 3]);
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[4]["result"]["added"].as_array().unwrap().len(), 3);
    assert_eq!(lines[4]["result"]["added"][0], json!({"connector": "google_gmail", "provider": "Gmail-2"}));
    let whole = admin.post("/api/load", &document()).await.expect(200);
    assert_eq!(whole, json!({"result": {"added": [], "updated": [], "unchanged": 3}}));
    // Faults of the document come before the first line.
    let request = admin.request("POST", "/api/load").header("accept", "application/x-ndjson");
    let refused = admin.send(request.json(&json!({"gmail": {}}))).await.expect(400);
    assert_eq!(refused["errors"]["gmail"], json!(["is not included in the list", "can't be blank"]));
    assert_eq!(admin.send_text("POST", "/api/load", "text/plain", "{}").await.status, 415);
    assert_eq!(server.caller(&["profiles:read"]).post("/api/load", &document()).await.status, 401);
}

#[tokio::test]
async fn a_dry_run_says_what_a_load_would_do_and_does_nothing() {
    for mode in ["sealed", "hashed"] {
        let server = Server::with(&["--secrets", mode]).await;
        let admin = server.caller(&["profiles:read", "profiles:write"]);
        let path = "/api/load?dry_run=true";
        let mut document = json!({"jira": {
            "J-1": {"CLIENT_ID": "one", "CLIENT_SECRET": "PLANTED_1"},
            "J-2": {"CLIENT_ID": "two", "CLIENT_SECRET": "PLANTED_2", "SITE": "a"},
        }});
        let told = admin.post(path, &document).await.expect(200);
        let entry = |provider: &str| json!({"connector": "jira", "provider": provider});
        let added = [entry("J-1"), entry("J-2")];
        assert_eq!(told, json!({"result": {"added": added, "updated": [], "unchanged": 0, "dry_run": true}}));
        let profiles = || async { admin.get("/api/custom_oauth_profiles").await.expect(200)["result"].clone() };
        assert_eq!(profiles().await, json!([]));
        admin.post("/api/load", &document).await.expect(200);
        let before = profiles().await;

        // Each kind of difference, and what is the same; told again as often as it is asked.
        document["jira"]["J-1"]["CLIENT_SECRET"] = "PLANTED_other".into();
        document["jira"]["J-3"] = json!({"CLIENT_ID": "three", "CLIENT_SECRET": "PLANTED_3"});
        for _ in 0..2 {
            let told = admin.post(path, &document).await.expect(200);
            let (added, updated) = ([entry("J-3")], [entry("J-1")]);
            assert_eq!(told["result"], json!({"added": added, "updated": updated, "unchanged": 1, "dry_run": true}));
            assert_eq!(profiles().await, before);
        }
        document["jira"]["J-1"] = json!({"CLIENT_ID": "another", "CLIENT_SECRET": "PLANTED_1"});
        document["jira"]["J-2"]["SITE"] = "b".into();
        let told = admin.post(path, &document).await.expect(200);
        assert_eq!(told["result"]["updated"], json!([entry("J-1"), entry("J-2")]));

        // The same checks as a load has.
        let refused = admin.post(path, &json!({"gmail": {}, "jira": {"a": {"CLIENT_ID": 7}}})).await;
        let load = admin.post("/api/load", &json!({"gmail": {}, "jira": {"a": {"CLIENT_ID": 7}}})).await;
        assert_eq!(refused.expect(400), load.expect(400));
        let reader = server.caller(&["profiles:read"]);
        assert_eq!(reader.post(path, &document).await.status, 401);
        assert_eq!(profiles().await, before);
    }
}

#[test]
fn a_dry_run_from_the_command_line_lists_each_profile() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let document = json!({"jira": {"J-1": {"CLIENT_ID": "one", "CLIENT_SECRET": "PLANTED_1"}}}).to_string();
    let file = dir.path().join("connectors.json");
    std::fs::write(&file, document).unwrap();
    let run = |args: &[&str]| {
        let output = crate::support::cli(&data, &[args, &[file.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["load", "--dry-run"]), "would be loaded: 1 added, 0 updated, 0 unchanged\n+ jira J-1\n");
    let told: Value = serde_json::from_str(&run(&["--json", "load", "--dry-run"])).unwrap();
    assert_eq!(told["added"], json!([{"connector": "jira", "provider": "J-1"}]));
    assert_eq!(run(&["load"]), "1 added, 0 updated, 0 unchanged\n");
}

#[tokio::test]
async fn the_template_lists_every_connector_and_is_refused_as_it_is() {
    let server = Server::start().await;
    let admin = server.admin();
    let answer = admin.get("/api/connector_template").await;
    assert!(answer.header("content-disposition").contains("connectors.json"));
    let template = answer.expect(200);
    for connector in "azure bitly box dropbox dynamics365 excel github google_gmail google_drive google_form \
        google_sheet google_task google_translator integrity jira microsoft_365 odata onedrive salesforce servicemax \
        slack soap swagger trello windchill youtube zendesk http gitlab oslc thingworx"
        .split_whitespace()
    {
        assert!(template[connector].is_object(), "{connector}");
    }
    let (_, text) = refused(&load(&admin, &template).await, 200);
    assert!(text.contains("jira.jira-1.CLIENT_ID: is a placeholder"), "{text}");
    let printed: Value = serde_json::from_str(&server.cli_ok(&["load", "--template"])).unwrap();
    assert_eq!(printed, template);
}

/// Runs `grantry load -` with this on standard input.
fn load_from_stdin(data: &std::path::Path, text: &str) -> std::process::Output {
    let mut command = std::process::Command::new(crate::support::program());
    crate::support::clean(&mut command);
    let piped = std::process::Stdio::piped;
    let child = command.args(["load", "-", "--data"]).arg(data).stdin(piped()).stdout(piped()).stderr(piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_command_line_loads_beside_a_running_server() {
    let server = Server::start().await;
    let file = server.dir().path().join("configurations.json");
    let shown = file.to_str().unwrap();
    std::fs::write(&file, document().to_string()).unwrap();
    let first = server.cli(&["load", shown]);
    assert_eq!(String::from_utf8(first.stdout).unwrap(), "3 added, 0 updated, 0 unchanged\n");
    assert_eq!(String::from_utf8(first.stderr).unwrap(), "", "no bar where there is no terminal");
    let report: Value = serde_json::from_str(&server.cli_ok(&["load", shown, "--json"])).unwrap();
    assert_eq!(report, json!({"added": [], "updated": [], "unchanged": 3}));
    let admin = server.admin();
    assert_eq!(call(&admin, NAMES, &json!({})).await.expect(200)["jira"], json!(["JIRA"]));
    let stdin = load_from_stdin(&server.data(), &json!({"box": {"B": configuration(1)}}).to_string());
    assert_eq!(String::from_utf8(stdin.stdout).unwrap(), "1 added, 0 updated, 0 unchanged\n");
    // Faults: one per line, and exit code 1.
    let faulty = json!({"gmail": {"x": configuration(1)}, "jira": {"J\u{1b}[31m": {"CLIENT_ID": "<id>"}}});
    std::fs::write(&file, faulty.to_string()).unwrap();
    let refused = server.cli(&["load", shown]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap().lines().collect::<Vec<_>>(),
        [
            "grantry: nothing was loaded, because of these faults of the document:",
            "  gmail: is not included in the list",
            "  jira.J\\u{1b}[31m.CLIENT_SECRET: can't be blank",
            "  jira.J\\u{1b}[31m.CLIENT_ID: is a placeholder from a template: put the real value there",
            "  jira.J\\u{1b}[31m: must not have control characters",
        ]
    );
    std::fs::write(&file, "{\n\"jira\" 7}").unwrap();
    let broken = server.cli(&["load", shown]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(String::from_utf8(broken.stderr).unwrap().contains("malformed JSON at line 2, column 8"));
    let missing = server.cli(&["load", "no-such-file.json"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("no-such-file.json"));
    assert_eq!(server.cli(&["load"]).status.code(), Some(2));
}

#[test]
fn the_command_line_loads_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for expected in ["3 added, 0 updated, 0 unchanged\n", "0 added, 0 updated, 3 unchanged\n"] {
        let done = load_from_stdin(&data, &document().to_string());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(String::from_utf8(done.stdout).unwrap(), expected);
    }
    let template = crate::support::cli(&data, &["load", "--template"]);
    assert!(serde_json::from_slice::<Value>(&template.stdout).unwrap()["jira"].is_object());
}
