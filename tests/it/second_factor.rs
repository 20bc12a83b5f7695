//! The second factor: a code beside the password, taken once, and never seen where it does not belong.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::support::{Answer, Caller, Server, qr};

const PASSWORD: &str = "PLANTED correct horse battery";
const ME: &str = "/api/users/me/second_factor";

/// The code of so many steps from now.
fn code(secret: &str, steps: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    totp.generate(now.checked_add_signed(steps * 30).unwrap()).to_string()
}

async fn make_user(server: &Server, name: &str, role: &str) -> i64 {
    let draft = json!({"name": name, "email": format!("{name}@example.com"), "role": role, "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200)["result"]["id"].as_i64().unwrap()
}

async fn log_in(server: &Server, name: &str, code: Option<&str>) -> Answer {
    let body = json!({"name": name, "password": PASSWORD, "code": code});
    server.anybody().post("/session", &body).await
}

/// The page of a session that an answer began.
fn page(server: &Server, answer: &Answer) -> Caller {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    server.anybody().header("cookie", &cookie).header("sec-fetch-site", "same-origin")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Switches a second factor on with the code of the step before this one; what its codes are made from, and the recovery
/// codes.
async fn enrol(page: &Caller) -> (String, Vec<String>) {
    let begun = page.post(ME, &json!({})).await.expect(200)["result"].clone();
    let secret = text(&begun["secret"]);
    let confirmed = page.put(ME, &json!({"code": code(&secret, -1)})).await.expect(200)["result"].clone();
    (secret, confirmed["recovery_codes"].as_array().unwrap().iter().map(text).collect())
}

#[tokio::test]
async fn a_log_in_asks_for_a_code_and_takes_it_once_after_a_restart_too() {
    let mut server = Server::start().await;
    make_user(&server, "ann:b", "viewer").await;
    let own = page(&server, &log_in(&server, "ann:b", None).await);
    let other = page(&server, &log_in(&server, "ann:b", None).await);

    let begun = own.post(ME, &json!({})).await.expect(200)["result"].clone();
    let (secret, url) = (text(&begun["secret"]), text(&begun["url"]));
    assert_eq!(url, format!("otpauth://totp/Grantry:ann%20b?secret={secret}&issuer=Grantry"));
    assert_eq!(secret.len(), 32);
    let drawn = text(&begun["qr_code"]["path"]);
    assert_eq!(qr::read(begun["qr_code"]["size"].as_u64().unwrap().try_into().unwrap(), &drawn), url);
    let again = own.post(ME, &json!({})).await.expect(200)["result"].clone();
    assert_ne!(text(&again["secret"]), secret, "each beginning is another");
    let secret = text(&again["secret"]);
    assert_eq!(own.get("/session").await.expect(200)["result"]["second_factor"], false);
    other.get("/session").await.expect(200);

    let refused = own.put(ME, &json!({"code": code(&secret, 20)})).await.expect(400);
    assert_eq!(refused["errors"], json!({"code": ["is not right"]}));
    let old = code(&text(&begun["secret"]), 0);
    own.put(ME, &json!({"code": old})).await.expect(400);
    let first = code(&secret, -1);
    let codes = own.put(ME, &json!({"code": first})).await.expect(200)["result"]["recovery_codes"].clone();
    let codes: BTreeSet<String> = codes.as_array().unwrap().iter().map(text).collect();
    assert_eq!(codes.len(), 8);
    own.put(ME, &json!({"code": code(&secret, 0)})).await.expect(400);
    let twice = own.post(ME, &json!({})).await.expect(400);
    assert!(twice["message"].as_str().unwrap().contains("is on already"), "{twice}");
    other.get("/session").await.expect(401);
    assert_eq!(own.get("/session").await.expect(200)["result"]["second_factor"], true);
    let users = server.admin().get("/api/users").await.expect(200)["result"].clone();
    assert_eq!(users[0]["second_factor"], true);

    // What tells of the factor is told to the right password alone.
    for blank in [None, Some(""), Some("  ")] {
        let asked = log_in(&server, "ann:b", blank).await;
        assert_eq!(asked.expect(401)["errors"], json!({"code": ["can't be blank"]}));
        assert_eq!(asked.header("set-cookie"), "");
    }
    for name in ["ann:b", "nobody"] {
        let body = json!({"name": name, "password": "PLANTED wrong", "code": "123456"});
        let refused = server.anybody().post("/session", &body).await.expect(401);
        assert_eq!(
            refused,
            json!({"message": "Unauthorized: this credential is unknown, expired or revoked"}),
            "{name}"
        );
    }
    let used = log_in(&server, "ann:b", Some(&first)).await.expect(401);
    assert_eq!(used["errors"], json!({"code": ["is not right"]}));
    let next = code(&secret, 0);
    let spaced = format!("{} {}", &next[..3], &next[3..]);
    page(&server, &log_in(&server, "ann:b", Some(&spaced)).await).get("/session").await.expect(200);
    log_in(&server, "ann:b", Some(&next)).await.expect(401);
    server.kill_and_restart().await;
    log_in(&server, "ann:b", Some(&next)).await.expect(401);
    let recovery: Vec<&String> = codes.iter().collect();
    page(&server, &log_in(&server, "ann:b", Some(&recovery[0].to_lowercase())).await);
    log_in(&server, "ann:b", Some(recovery[0])).await.expect(401);
    page(&server, &log_in(&server, "ann:b", Some(&recovery[1].replace('-', ""))).await);

    // Nothing of it is where others look: only sealed, and as hashes.
    let secrets: Vec<String> = codes.iter().chain([&secret, &drawn]).cloned().collect();
    let log = server.log();
    for place in fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = fs::read(&place).unwrap();
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", place.display());
            assert!(!log.contains(secret.as_str()));
        }
    }
    assert_eq!(server.cli_ok(&["keys", "verify"]), "all 1 sealed values open");
}

#[tokio::test]
async fn a_password_alone_is_no_credential_of_a_user_with_a_second_factor() {
    let server = Server::start().await;
    let id = make_user(&server, "ann", "viewer").await;
    let basic = server.anybody().basic("ann", PASSWORD);
    basic.get("/api/users/me").await.expect(200);
    let own = page(&server, &log_in(&server, "ann", None).await);
    enrol(&own).await;
    let refused = basic.get("/api/users/me").await;
    let message = text(&refused.expect(401)["message"]);
    assert!(message.contains("second factor") && message.contains("API token"), "{message}");
    for path in ["/documents/api/1.2/config/clientApplications", "/api/sessions"] {
        assert_eq!(basic.get(path).await.status, 401, "{path}");
    }
    let wrong = server.anybody().basic("ann", "PLANTED wrong").get("/api/users/me").await;
    assert_eq!(wrong.expect(401), json!({"message": "Unauthorized"}));
    let token = json!({"name": "t", "scopes": ["profiles:read"], "user_id": id});
    let token = text(&server.admin().post("/api/api_tokens", &token).await.expect(200)["result"]["token"]);
    server.anybody().bearer(&token).get("/api/users/me").await.expect(200);
    server.anybody().basic("ann", &token).get("/api/users/me").await.expect(200);
}

#[tokio::test]
async fn nobody_touches_anothers_second_factor_but_an_administrator_who_takes_it_away() {
    let server = Server::start().await;
    let (ann, root) = (make_user(&server, "ann", "operator").await, make_user(&server, "root", "admin").await);
    make_user(&server, "bob", "operator").await;
    let anns = page(&server, &log_in(&server, "ann", None).await);
    let bobs = page(&server, &log_in(&server, "bob", None).await);
    let roots = page(&server, &log_in(&server, "root", None).await);
    let path = |id: i64| format!("/api/users/{id}/second_factor");
    anns.post(&path(ann), &json!({})).await.expect(200);
    for other in [&bobs, &roots] {
        other.post(&path(ann), &json!({})).await.expect(403);
        other.put(&path(ann), &json!({"code": "123456"})).await.expect(403);
    }
    let refused = bobs.delete(&path(ann)).await.expect(401);
    assert_eq!(refused["message"], "Unauthorized: this token lacks admin");
    // A token is not its user in person, whatever it may do.
    let token = json!({"name": "t", "scopes": ["admin"], "user_id": root});
    let token = text(&server.admin().post("/api/api_tokens", &token).await.expect(200)["result"]["token"]);
    let by_token = server.anybody().bearer(&token);
    for answer in [by_token.post(ME, &json!({})).await, by_token.delete(ME).await, by_token.delete(&path(root)).await] {
        assert!(text(&answer.expect(403)["message"]).contains("in person"));
    }

    enrol(&anns).await;
    enrol(&roots).await;
    roots.delete(&path(ann)).await.expect(200);
    anns.get("/session").await.expect(401);
    page(&server, &log_in(&server, "ann", None).await);
    roots.delete(&path(ann)).await.expect(404);
    roots.delete(&path(999)).await.expect(404);
    // One's own takes more than a session that somebody may have found open.
    let bare = roots.delete(&path(root)).await.expect(400);
    assert_eq!(bare["errors"], json!({"password": ["can't be blank"], "code": ["can't be blank"]}));
    let with = async |body: Value| roots.send(roots.request("DELETE", ME).json(&body)).await;
    assert_eq!(
        with(json!({"password": "PLANTED wrong"})).await.expect(400)["errors"],
        json!({"password": ["is not right"]})
    );
    assert_eq!(with(json!({"code": "12345x"})).await.expect(400)["errors"], json!({"code": ["is not right"]}));
    assert_eq!(with(json!({"pass": 1})).await.status, 400);
    with(json!({"password": PASSWORD})).await.expect(200);
    roots.get("/session").await.expect(200);
    let (secret, _) = enrol(&roots).await;
    with(json!({"code": code(&secret, 0)})).await.expect(200);
    with(json!({"code": code(&secret, 1)})).await.expect(404);
    let seen = server.admin().get("/api/audit?deed=second_factor_off").await.expect(200)["result"]["items"].clone();
    let seen: Vec<(String, Value)> =
        seen.as_array().unwrap().iter().map(|entry| (text(&entry["noun_id"]), entry["detail"]["by"].clone())).collect();
    let by = |id: i64, how: &str| (id.to_string(), json!(how));
    assert_eq!(seen, [by(root, "code"), by(root, "password"), by(ann, "administrator")]);
}

#[tokio::test]
async fn a_name_of_any_length_has_a_code_or_none_and_never_a_wrong_one() {
    let server = Server::start().await;
    for (n, (name, fits)) in
        [("ユーザー".repeat(10), true), ("x".repeat(255), true), ("🜁".repeat(255), false)].iter().enumerate()
    {
        let draft = json!({"name": name, "email": format!("u{n}@example.com"), "role": "viewer", "password": PASSWORD});
        server.admin().post("/api/users", &draft).await.expect(200);
        let own = page(&server, &log_in(&server, name, None).await);
        let begun = own.post(ME, &json!({})).await.expect(200)["result"].clone();
        if *fits {
            let size = begun["qr_code"]["size"].as_u64().unwrap().try_into().unwrap();
            assert_eq!(qr::read(size, &text(&begun["qr_code"]["path"])), text(&begun["url"]));
        } else {
            assert_eq!(begun["qr_code"], Value::Null, "{name}");
        }
    }
}

#[tokio::test]
async fn recovery_codes_are_renewed_by_who_proves_it_and_the_old_ones_die_at_once() {
    let server = Server::start().await;
    let (ann, root) = (make_user(&server, "ann", "operator").await, make_user(&server, "root", "admin").await);
    let own = page(&server, &log_in(&server, "ann", None).await);
    let renew = async |body: Value| own.post(&format!("{ME}/recovery_codes"), &body).await;
    assert_eq!(renew(json!({"password": PASSWORD})).await.status, 404, "there is no factor");
    own.post(ME, &json!({})).await.expect(200);
    assert_eq!(renew(json!({"password": PASSWORD})).await.status, 404, "it is not confirmed");
    let (secret, old) = enrol(&own).await;
    let other = page(&server, &log_in(&server, "ann", Some(&old[0])).await);

    let bare = renew(json!({})).await.expect(400);
    assert_eq!(bare["errors"], json!({"password": ["can't be blank"], "code": ["can't be blank"]}));
    let wrong = renew(json!({"password": "PLANTED wrong"})).await.expect(400);
    assert_eq!(wrong["errors"], json!({"password": ["is not right"]}));
    assert_eq!(renew(json!({"code": old[0]})).await.expect(400)["errors"], json!({"code": ["is not right"]}));
    assert_eq!(renew(json!({"pass": PASSWORD})).await.status, 400);
    // Nobody else, an administrator neither: who has a code and sets a password is that user.
    let roots = page(&server, &log_in(&server, "root", None).await);
    let path = format!("/api/users/{ann}/second_factor/recovery_codes");
    roots.post(&path, &json!({"password": PASSWORD})).await.expect(403);
    server.admin().post(&path, &json!({})).await.expect(403);
    log_in(&server, "ann", Some(&old[1])).await.expect(200);

    let codes = |answer: Answer| -> Vec<String> {
        answer.expect(200)["result"]["recovery_codes"].as_array().unwrap().iter().map(text).collect()
    };
    let second = codes(renew(json!({"password": PASSWORD})).await);
    let third = codes(renew(json!({"code": code(&secret, 0)})).await);
    let fourth = codes(renew(json!({"code": third[0]})).await);
    let all: BTreeSet<&String> = old.iter().chain(&second).chain(&third).chain(&fourth).collect();
    assert_eq!(all.len(), 32);
    // No more wrong ones than are looked at.
    for gone in [&old[2], &third[1]] {
        log_in(&server, "ann", Some(gone)).await.expect(401);
    }
    log_in(&server, "ann", Some(&fourth[0])).await.expect(200);
    log_in(&server, "ann", Some(&code(&secret, 1))).await.expect(200);
    other.get("/session").await.expect(200);

    // Whoever has the machine, as with the rest.
    let refused = server.cli(&["user", "second-factor", "root", "--new-recovery-codes"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("root has no second factor"));
    let printed = server.cli_ok(&["user", "second-factor", "ANN", "--new-recovery-codes"]);
    let fifth: Vec<&str> = printed.lines().collect();
    assert_eq!(fifth.len(), 8, "{printed}");
    assert!(server.cli(&["user", "second-factor", "ann", "--new-recovery-codes", "--remove"]).status.code() == Some(2));
    log_in(&server, "ann", Some(&fourth[1])).await.expect(401);
    log_in(&server, "ann", Some(fifth[0])).await.expect(200);

    let seen = server.admin().get("/api/audit?deed=recovery_codes_renewed").await.expect(200);
    let seen: Vec<Value> =
        seen["result"]["items"].as_array().unwrap().iter().map(|entry| entry["detail"].clone()).collect();
    let by = |how: &str, unused: u64| json!({"by": how, "unused": unused});
    assert_eq!(seen, [by("machine", 7), by("recovery_code", 7), by("code", 8), by("password", 6)]);
    assert_eq!(server.admin().get(&format!("/api/audit?noun=user&noun_id={root}")).await.status, 200);
    for code in old.iter().chain(&second).chain(&third).chain(&fourth) {
        assert!(!server.log().contains(code.as_str()));
    }
}

#[tokio::test]
async fn guessing_at_codes_is_stopped_and_leaves_its_trace() {
    let server = Server::start().await;
    let id = make_user(&server, "ann", "viewer").await;
    let (secret, _) = enrol(&page(&server, &log_in(&server, "ann", None).await)).await;
    let mut statuses = Vec::new();
    for n in 0..8 {
        statuses.push(log_in(&server, "ann", Some(&code(&secret, 100 + n))).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    let held = log_in(&server, "ann", Some(&code(&secret, 0))).await;
    assert_eq!(held.status, 429);
    assert!(held.header("retry-after").parse::<u64>().unwrap() >= 1);
    let audit = server.admin().get(&format!("/api/audit?deed=code_refused&noun=user&noun_id={id}")).await.expect(200);
    assert_eq!(audit["result"]["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn of_two_who_come_with_one_code_at_once_one_comes_in() {
    let server = Server::start().await;
    make_user(&server, "ann", "viewer").await;
    let (secret, recovery) = enrol(&page(&server, &log_in(&server, "ann", None).await)).await;
    for good in [code(&secret, 0), recovery[3].clone()] {
        let (one, two) = tokio::join!(log_in(&server, "ann", Some(&good)), log_in(&server, "ann", Some(&good)));
        assert_eq!(BTreeSet::from([one.status, two.status]), BTreeSet::from([200, 401]));
    }
}

#[tokio::test]
async fn who_came_by_a_setup_link_has_a_second_factor_like_everybody_else() {
    let server = Server::start().await;
    let link = text(&serde_json::from_str::<Value>(&server.cli_ok(&["--json", "admin", "setup-link"])).unwrap()["url"]);
    let link = link.rsplit('/').next().unwrap().to_owned();
    let body = |link: &str| json!({"link": link, "name": "ann", "email": "a@example.com", "password": PASSWORD});
    let own = page(&server, &server.anybody().post("/setup", &body(&link)).await);
    enrol(&own).await;
    log_in(&server, "ann", None).await.expect(401);
    // Another link makes another user, and opens nobody's account.
    let link = server.cli_ok(&["admin", "setup-link"]).rsplit('/').next().unwrap().to_owned();
    server.anybody().post("/setup", &body(&link)).await.expect(409);
    log_in(&server, "ann", None).await.expect(401);
}

#[tokio::test]
async fn whoever_has_the_machine_takes_a_lost_devices_factor_away() {
    let server = Server::start().await;
    make_user(&server, "Ann", "admin").await;
    let own = page(&server, &log_in(&server, "ann", None).await);
    assert_eq!(server.cli_ok(&["user", "second-factor", "ann"]), "ann has no second factor");
    let refused = |args: &[&str]| String::from_utf8(server.cli(args).stderr).unwrap();
    assert!(refused(&["user", "second-factor", "ann", "--remove"]).contains("has no second factor"));
    assert!(refused(&["user", "second-factor", "bob"]).contains("there is no user bob"));
    enrol(&own).await;
    assert_eq!(server.cli_ok(&["user", "second-factor", "ANN"]), "ANN has a second factor");
    assert!(server.cli_ok(&["user", "list"]).contains("true"));
    server.cli_ok(&["user", "second-factor", "ann", "--remove"]);
    own.get("/session").await.expect(401);
    page(&server, &log_in(&server, "ann", None).await);
}
