//! Sessions, the setup link, and the files of the admin page, over HTTP.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    path::Path,
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, profile_body, programs::installed, words::words};

const PASSWORD: &str = "PLANTED correct horse battery";
const OTHER_PASSWORD: &str = "PLANTED another long password";

async fn make_user(server: &Server, name: &str, role: &str) -> Value {
    let draft = json!({"name": name, "email": format!("{name}@example.com"), "role": role, "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200)["result"].clone()
}

async fn log_in(caller: &Caller, name: &str, password: &str) -> Answer {
    caller.post("/session", &json!({"name": name, "password": password})).await
}

/// `name=value` of the cookie in an answer.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// A browser that shows the page: it has the cookie, and says that our own page asks.
async fn page_of(server: &Server, name: &str) -> Caller {
    let answer = log_in(&server.anybody(), name, PASSWORD).await;
    answer.expect(200);
    server.anybody().header("cookie", &cookie(&answer)).header("sec-fetch-site", "same-origin")
}

#[tokio::test]
async fn the_cookie_of_a_session_is_for_this_site_alone_and_out_of_reach_of_scripts() {
    for (flags, name, secure) in
        [(&[][..], "grantry=", false), (&["--public-url", "https://grantry.example"][..], "__Host-grantry=", true)]
    {
        let server = Server::with(flags).await;
        make_user(&server, "ann", "viewer").await;
        let answer = log_in(&server.anybody(), "Ann", PASSWORD).await;
        let user = answer.expect(200)["result"].clone();
        assert_eq!(
            (&user["name"], &user["role"], &user["email"]),
            (&json!("ann"), &json!("viewer"), &json!("ann@example.com"))
        );
        assert_eq!(user.as_object().unwrap().len(), 6, "no more than the user");
        assert_eq!(user["second_factor"], false);
        let cookie_text = answer.header("set-cookie").to_owned();
        assert!(cookie_text.starts_with(name), "{cookie_text}");
        let attributes: BTreeSet<&str> = cookie_text.split("; ").skip(1).collect();
        let mut expected = BTreeSet::from(["HttpOnly", "SameSite=Strict", "Path=/"]);
        if secure {
            expected.insert("Secure");
        }
        assert_eq!(attributes, expected);
        let page = server.anybody().header("cookie", &cookie(&answer));
        assert_eq!(page.get("/session").await.expect(200)["result"], user);
        assert_eq!(server.anybody().get("/session").await.status, 401);
    }
}

#[tokio::test]
async fn a_session_dies_when_its_user_logs_out_and_logging_out_again_is_no_failure() {
    let server = Server::start().await;
    make_user(&server, "ann", "viewer").await;
    let page = page_of(&server, "ann").await;
    page.get("/api/custom_oauth_profiles").await.expect(200);
    for _ in 0..2 {
        let answer = page.delete("/session").await;
        assert_eq!(answer.expect(200), json!({"result": {"success": true}}));
        let taken_back = answer.header("set-cookie");
        assert!(taken_back.starts_with("grantry=;") && taken_back.contains("Max-Age=0"), "{taken_back}");
        page.get("/session").await.expect(401);
    }
    page.get("/api/custom_oauth_profiles").await.expect(401);
    server.anybody().delete("/session").await.expect(200);
    server
        .anybody()
        .header("cookie", "grantry=nonsense")
        .header("sec-fetch-site", "same-origin")
        .delete("/session")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_that_user_alone() {
    let server = Server::start().await;
    let ann = make_user(&server, "ann", "admin").await;
    make_user(&server, "bob", "viewer").await;
    let (anns, bobs) = (page_of(&server, "ann").await, page_of(&server, "bob").await);
    anns.put(&format!("/api/users/{}", ann["id"]), &json!({"password": OTHER_PASSWORD})).await.expect(200);
    anns.get("/session").await.expect(401);
    bobs.get("/session").await.expect(200);
    log_in(&server.anybody(), "ann", PASSWORD).await.expect(401);
    log_in(&server.anybody(), "ann", OTHER_PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_change_with_a_cookie_must_come_from_our_own_page() {
    let server = Server::start().await;
    make_user(&server, "ann", "admin").await;
    let cookie = cookie(&log_in(&server.anybody(), "ann", PASSWORD).await);
    let caller = server.anybody().header("cookie", &cookie);
    let path = "/api/custom_oauth_profiles";
    let foreign = [
        caller.clone().header("sec-fetch-site", "cross-site"),
        caller.clone().header("sec-fetch-site", "same-site"),
        caller.clone().header("sec-fetch-site", "none"),
        caller.clone().header("sec-fetch-site", "cross-site").header("origin", &server.url),
        caller.clone().header("origin", "https://evil.example"),
        caller.clone().header("origin", "null"),
        caller.clone(),
    ];
    for foreign in &foreign {
        foreign.post(path, &profile_body("a", "hubspot")).await.expect(403);
        foreign.delete("/session").await.expect(403);
        // Reading is harmless: the answer does not leave the browser.
        foreign.get(path).await.expect(200);
    }
    caller.clone().header("sec-fetch-site", "same-origin").post(path, &profile_body("a", "hubspot")).await.expect(200);
    caller.clone().header("origin", &server.url).post(path, &profile_body("b", "hubspot")).await.expect(200);
}

#[tokio::test]
async fn nobody_is_logged_in_by_a_page_of_another_site() {
    let server = Server::start().await;
    make_user(&server, "ann", "admin").await;
    let anybody = server.anybody();
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")]
    {
        let foreign = anybody.clone().header(name, value);
        let answer = log_in(&foreign, "ann", PASSWORD).await;
        answer.expect(403);
        assert_eq!(answer.header("set-cookie"), "");
        foreign.post("/setup", &json!({})).await.expect(403);
    }
    log_in(&anybody.clone().header("sec-fetch-site", "same-origin"), "ann", PASSWORD).await.expect(200);
    log_in(&anybody.clone().header("origin", &server.url), "ann", PASSWORD).await.expect(200);
    // A form of another site cannot send JSON without being asked about it first.
    let form = anybody.send_text("POST", "/session", "text/plain", r#"{"name":"ann","password":"x"}"#).await;
    form.expect(415);
}

#[tokio::test]
async fn a_browser_is_not_made_to_ask_for_a_password_in_a_window_of_its_own() {
    let server = Server::start().await;
    let challenges = |answer: &Answer| -> Vec<String> {
        answer.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let script = challenges(&server.anybody().get("/api/users").await);
    assert!(script.len() == 2 && script[1].starts_with("Basic"), "{script:?}");
    for path in ["/api/users", "/session"] {
        let page = challenges(&server.anybody().header("sec-fetch-site", "same-origin").get(path).await);
        assert!(page.len() == 1 && page[0].starts_with("Bearer"), "{page:?}");
    }
}

#[tokio::test]
async fn guessing_at_one_account_is_stopped_and_another_account_is_not() {
    let server = Server::start().await;
    make_user(&server, "ann", "viewer").await;
    make_user(&server, "bob", "viewer").await;
    let mut last = log_in(&server.anybody(), "ann", "PLANTED wrong").await;
    for _ in 0..9 {
        last = log_in(&server.anybody(), "ANN", "PLANTED wrong").await;
    }
    last.expect(429);
    let wait: u64 = last.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    log_in(&server.anybody(), "ann", PASSWORD).await.expect(429);
    log_in(&server.anybody(), "bob", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_with_a_login_or_a_setup_is_said_by_field() {
    let server = Server::start().await;
    let anybody = server.anybody();
    let blank = json!(["can't be blank"]);
    let answer = anybody.post("/session", &json!({})).await.expect(400);
    assert_eq!(answer["errors"], json!({"name": blank, "password": blank}));
    let answer = anybody.post("/session", &json!({"name": ["a"], "password": "x".repeat(1025)})).await.expect(400);
    assert!(answer["errors"]["name"][0].as_str().unwrap().contains("string"));
    assert!(answer["errors"]["password"][0].as_str().unwrap().contains("too long"));
    for body in ["", "[]", "{", "\u{0}", r#"{"name":"a","name":"b"}"#, "null", "\"x\""] {
        let answer = anybody.send_text("POST", "/session", "application/json", body).await.expect(400);
        assert!(answer["message"].is_string(), "{body}");
    }
    anybody.send_text("POST", "/session", "application/json", vec![b'x'; 20_000]).await.expect(413);
    anybody.post("/session", &json!({"name": "x".repeat(10_000), "password": "x"})).await.expect(401);

    let token = server.cli_ok(&["admin", "setup-link"]).rsplit('/').next().unwrap().to_owned();
    let answer = anybody.post("/setup", &json!({"link": token, "name": " ", "email": "x", "password": "short"})).await;
    let errors = answer.expect(400)["errors"].clone();
    assert_eq!(errors["name"], blank);
    assert_eq!(errors["email"], json!(["must be an e-mail address"]));
    assert_eq!(errors["password"], json!(["is too short (minimum is 12 characters)"]));
    assert_eq!(anybody.post("/setup", &json!({})).await.expect(400)["errors"], json!({"link": blank}));

    make_user(&server, "ann", "viewer").await;
    let body =
        |name: &str, link: &str| json!({"link": link, "name": name, "email": "a@example.com", "password": PASSWORD});
    // A name that is taken does not use the link up.
    let taken = anybody.post("/setup", &body("ANN", &token)).await.expect(409);
    assert_eq!(taken["errors"], json!({"name": ["has already been taken"]}));
    let cut = &token[..token.len() - 1];
    anybody.post("/setup", &body("eve", cut)).await.expect(401);
    let (one, two) = tokio::join!(async { anybody.post("/setup", &body("eve", &token)).await.status }, async {
        anybody.post("/setup", &body("eva", &token)).await.status
    },);
    assert_eq!(BTreeSet::from([one, two]), BTreeSet::from([200, 401]), "the link works once");
    anybody.post("/setup", &body("eli", &token)).await.expect(401);
}

#[tokio::test]
async fn the_files_of_the_page_are_served_with_a_validator_and_nothing_else_is() {
    let server = Server::start().await;
    let anybody = server.anybody();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/admin.css", "text/css; charset=utf-8"),
        ("/main.js", "text/javascript; charset=utf-8"),
        ("/lib/dom.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = anybody.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let tag = answer.header("etag").to_owned();
        assert!(tag.len() == 34 && tag.starts_with('"'), "{tag}");
        for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = anybody.clone().header("if-none-match", &known).get(path).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
            assert_eq!(again.header("etag"), tag);
        }
        assert_eq!(anybody.clone().header("if-none-match", "\"other\"").get(path).await.status, 200);
        let head = anybody.send(anybody.request("HEAD", path)).await;
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, tag.as_str()));
        let post = anybody.post(path, &json!({})).await;
        assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    }
    for path in [
        "/nothing",
        "/catalogue/providers.json",
        "/..%2f..%2fCargo.toml",
        "/%2e%2e/Cargo.toml",
        "/lib",
        "/lib/",
        "//main.js",
        "/main.js/",
        "/main.js%00",
        "/..%5cCargo.toml",
        "/lib/..%2fmain.js",
    ] {
        let answer = anybody.get(path).await;
        assert_eq!(answer.expect(404), json!({"message": "Not found"}), "{path}");
        let page = anybody.clone().header("accept", "text/html,application/xml;q=0.9,*/*;q=0.8").get(path).await;
        assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
        assert!(page.text().len() < 1000 && page.text().contains("There is no such page"));
    }
    let japanese = anybody.clone().header("accept", "text/html").header("accept-language", "ja").get("/nothing").await;
    assert!(japanese.text().contains("<html lang=\"ja\">"));
}

#[tokio::test]
async fn who_takes_gzip_gets_the_same_file_compressed_under_a_validator_of_its_own() {
    let server = Server::start().await;
    for path in ["/", "/admin.css", "/main.js", "/lang/ja.js", "/icon.svg"] {
        let get = async |taken: &str| {
            let answer = server.anybody().header("accept-encoding", taken).get(path).await;
            assert_eq!((answer.status, answer.header("vary")), (200, "Accept-Encoding"), "{path}");
            answer
        };
        let plain = get("identity").await;
        assert_eq!(plain.header("content-encoding"), "");
        for refused in ["gzip;q=0", "br, zstd", ";;q=,nonsense"] {
            assert_eq!(get(refused).await.header("content-encoding"), "", "{refused}");
        }
        for taken in ["gzip", "gzip, deflate, br, zstd", "br;q=1, gzip;q=0.8, identity;q=0.1"] {
            let packed = get(taken).await;
            assert_eq!(packed.header("content-encoding"), "gzip", "{taken}");
            assert_eq!(packed.header("content-type"), plain.header("content-type"));
            assert!(packed.body.len() < plain.body.len());
            assert_ne!(packed.header("etag"), plain.header("etag"));
            let mut text = String::new();
            GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text, plain.text());
            let known =
                server.anybody().header("accept-encoding", taken).header("if-none-match", packed.header("etag"));
            let again = known.get(path).await;
            assert_eq!((again.status, again.header("vary")), (304, "Accept-Encoding"));
        }
    }
    server.anybody().get("/main.js.gz").await.expect(404);
}

/// What comments say of the program is for those who read it.
#[tokio::test]
async fn a_script_is_served_without_its_comments() {
    let server = Server::start().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("static/lib/i18n.js");
    let source = std::fs::read_to_string(file).unwrap();
    let comment = source.lines().find(|line| line.starts_with("// ")).unwrap();
    let served = server.anybody().get("/lib/i18n.js").await.text();
    assert!(!served.contains(comment) && served.contains("export function language()"));
}

/// What is left out of a script for its size does nothing: a parser that is not ours finds the same in both.
#[tokio::test]
async fn what_a_browser_gets_of_a_script_means_what_stands_in_it() {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    let node = installed(&["node"]).filter(|_| tools.join("node_modules/acorn").is_dir());
    let Some(node) = node else {
        let why = "node, or acorn in tests/page/node_modules, is not there (tests/run installs both)";
        assert!(std::env::var_os("GRANTRY_TESTS_NEED_BROWSER").is_none_or(|value| value != "1"), "{why}");
        let _ = std::io::stderr().write_all(format!("\nSKIPPED a look at the embedded scripts: {why}\n").as_bytes());
        return;
    };
    let server = Server::start().await;
    let (source, served) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("static"), tempfile::tempdir().unwrap());
    let mut scripts = 0;
    for part in ["", "lib", "lang", "views"] {
        std::fs::create_dir_all(served.path().join(part)).unwrap();
        for entry in std::fs::read_dir(source.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "js") {
                let name = path.strip_prefix(&source).unwrap();
                let script = server.anybody().get(&format!("/{}", name.display())).await.text();
                std::fs::write(served.path().join(name), script).unwrap();
                scripts += 1;
            }
        }
    }
    let mut look = std::process::Command::new(node);
    let told = look.arg("same.mjs").args([&*source, served.path()]).current_dir(tools).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout), format!("{scripts} scripts\n"), "{told:?}");
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let server = Server::start().await;
    let anybody = server.anybody();
    let answers = [
        anybody.get("/").await,
        anybody.get("/main.js").await,
        anybody.get("/nothing").await,
        anybody.get("/session").await,
        anybody.post("/", &json!({})).await,
        anybody.post("/session", &json!({})).await,
        anybody.get("/api/nothing").await,
        anybody.get("/api/users").await,
        anybody.clone().header("if-none-match", "*").get("/").await,
    ];
    for answer in &answers {
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(!answer.header("x-request-id").is_empty());
        let kept = if answer.header("etag").is_empty() { "no-store" } else { "no-cache" };
        assert_eq!(answer.header("cache-control"), kept);
    }
}

#[test]
fn the_page_has_the_same_words_in_both_languages_and_no_word_too_many() {
    let en = words("en");
    let mut ja = words("ja");
    ja.retain(|key, _| !SERVERS.iter().any(|family| key.starts_with(family)));
    assert!(
        en.keys().eq(ja.keys()),
        "{:?}",
        en.keys().collect::<BTreeSet<_>>().symmetric_difference(&ja.keys().collect())
    );
    let gap = regex_lite::Regex::new(r"\{\w+\}").unwrap();
    for (key, text) in &en {
        let gaps = |text: &str| gap.find_iter(text).map(|gap| gap.as_str().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(gaps(text), gaps(&ja[key]), "{key}");
        assert!(!text.trim().is_empty() && !ja[key].trim().is_empty(), "{key}");
    }
    let sources = scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("static"));
    let quoted = regex_lite::Regex::new(r#""([a-z_]+(?:\.[a-z_0-9]+)?)""#).unwrap();
    let used: BTreeSet<&str> = quoted.captures_iter(&sources).map(|found| found.get(1).unwrap().as_str()).collect();
    // A word for a value of the API is put together: `state.${value}` uses all that begin with `state.`.
    let put_together = regex_lite::Regex::new(r"`([a-z_]+\.[a-z_0-9]*)\$\{").unwrap();
    let begun: BTreeSet<&str> =
        put_together.captures_iter(&sources).map(|found| found.get(1).unwrap().as_str()).collect();
    for key in en.keys() {
        let put_together = begun.iter().any(|start| key.starts_with(start));
        assert!(used.contains(key.as_str()) || put_together, "{key} is not used");
    }
    for start in begun {
        let known = en.keys().any(|key| key.starts_with(start)) || SERVERS.contains(&start);
        assert!(known, "nothing begins with {start}");
    }
    let families: BTreeSet<&str> = en.keys().filter_map(|key| key.split_once('.')).map(|(family, _)| family).collect();
    for key in used.iter().filter(|key| key.split_once('.').is_some_and(|(family, _)| families.contains(family))) {
        assert!(en.contains_key(*key), "{key} is in no table");
    }
}

/// The families of words for what the server says itself, which English has none of.
const SERVERS: [&str; 4] = ["told.", "fact.", "setting.", "variable."];
/// What must have a form only in requests that the page does not send.
const FORMS_OF_OTHERS: [&str; 8] = [
    "the `next` of an answer",
    "a number from 1 to 200",
    "* or entity-tags in quotes, as ETag has them",
    "false where oauth_token_pair is given",
    "a number of seconds, or such as 12h or 30d, up to 400d",
    "a whole number from 1 to 1000",
    "a whole number from 0",
    "an e-mail address",
];

/// What a pattern finds in a text, by its groups.
fn found<'a>(pattern: &str, text: &'a str) -> Vec<Vec<&'a str>> {
    let pattern = regex_lite::Regex::new(pattern).unwrap();
    let groups = |found: regex_lite::Captures<'a>| {
        found.iter().skip(1).map(|group| group.map_or("", |group| group.as_str())).collect()
    };
    pattern.captures_iter(text).map(groups).collect()
}

/// The sentences that stand in a function of a source, with something in each gap.
fn sentences(source: &str, function: &str) -> Vec<String> {
    let body = source.split_once(&format!("fn {function}(")).unwrap().1.split_once("\n}\n").unwrap().0;
    let gap = regex_lite::Regex::new(r"\{[^{}]*\}").unwrap();
    let texts = found(r#""((?:[^"\\]|\\(?s:.))*)""#, body);
    let whole = regex_lite::Regex::new(r"\\\n\s*").unwrap();
    let texts = texts.iter().map(|text| gap.replace_all(&whole.replace_all(text[0], ""), "7").into_owned());
    texts.filter(|text| text.contains(' ') && ![",", ";", "and"].contains(&text.trim())).collect()
}

/// Everything below a folder with this ending, in one text.
fn sources(folder: &str, ending: &str) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap();
        if path.is_dir() {
            all += &sources(name, ending);
        } else if name.ends_with(ending) {
            all += &std::fs::read_to_string(&path).unwrap();
        }
    }
    all
}

#[test]
fn what_the_server_says_has_words_in_japanese_for_every_machine_word_it_can_send() {
    let (en, ja) = (words("en"), words("ja"));
    let doubled: Vec<_> = en.keys().filter(|key| SERVERS.iter().any(|family| key.starts_with(family))).collect();
    assert!(doubled.is_empty(), "the server says these in English itself: {doubled:?}");
    let of = |family: &str| -> BTreeSet<String> {
        ja.keys().filter_map(|key| key.strip_prefix(family)).map(str::to_owned).collect()
    };

    // Each case with its facts: in the sources of the API, and in the forms by which the page knows a sentence.
    let i18n = include_str!("../../static/lib/i18n.js");
    let mut cases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for case in found(r#""case": "([a-z_]+)"([^}]*)\}"#, &sources("src/http", ".rs")) {
        let facts = found(r#""([a-z_]+)":"#, case[1]);
        cases.entry(case[0].to_owned()).or_default().extend(facts.iter().map(|fact| fact[0].to_owned()));
    }
    assert!(cases.len() > 80, "they are written in another way now: {cases:?}");
    for case in found(r#"\[/(.+)/, "told\.([a-z_0-9]+)"\]"#, i18n) {
        let facts = found(r"\?<(\w+)>", case[0]);
        cases.entry(case[1].to_owned()).or_default().extend(facts.iter().map(|fact| fact[0].to_owned()));
    }
    let told = of("told.");
    let difference: Vec<_> =
        told.iter().chain(cases.keys()).filter(|case| !told.contains(*case) || !cases.contains_key(*case)).collect();
    assert!(difference.is_empty(), "only in the table, or only at the server: {difference:?}");
    for (case, facts) in &cases {
        for gap in found(r"\{(\w+)\}", &ja[&format!("told.{case}")]) {
            assert!(facts.contains(gap[0]), "{case} has no {}", gap[0]);
        }
    }

    let settings: BTreeSet<String> = grantry::config::SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
    assert_eq!(of("setting."), settings);

    let catalogue: Value = serde_json::from_str(include_str!("../../static/catalogue/providers.json")).unwrap();
    let (mut unused, part) = (of("variable."), regex_lite::Regex::new(r"^'[^']+' in \S+\.$").unwrap());
    for provider in catalogue["providers"].as_array().or(catalogue.as_array()).unwrap() {
        for (name, variable) in provider["variables"].as_object().into_iter().flatten() {
            let title = variable["title"].as_str().unwrap();
            assert!(ja.contains_key(&format!("fact.title {title}")), "{title:?} has no words");
            let own = format!("{} {name}", provider["slug"].as_str().unwrap());
            let known = ja.keys().any(|key| [&own, name].iter().any(|known| key == &format!("variable.{known}")));
            assert!(known || part.is_match(variable["help"].as_str().unwrap()), "{own} has no words");
            unused.retain(|key| *key != own && key != name);
        }
    }
    assert!(unused.is_empty(), "no variables: {unused:?}");

    let doctor = include_str!("../../src/app/doctor/mod.rs").split_once("fn code(").unwrap().1;
    for code in found(r#"=> "([a-z-]+)""#, doctor.split_once("\n    }\n").unwrap().0) {
        assert!(ja.contains_key(&format!("doctor.{}", code[0].replace('-', "_"))), "{}", code[0]);
    }
}

#[test]
fn the_page_knows_each_fault_and_each_refusal_of_the_server_by_its_form() {
    let ja = words("ja");
    let i18n = include_str!("../../static/lib/i18n.js");
    let problem = include_str!("../../src/http/problem.rs");
    let forms = |table: &str| -> Vec<(regex_lite::Regex, String)> {
        let lines = i18n.split_once(&format!("const {table} = [")).unwrap().1.split_once("\n];").unwrap().0;
        let forms = found(r#"\[/(.+)/, "([a-z_.0-9]+)"\]"#, lines);
        forms.iter().map(|form| (regex_lite::Regex::new(form[0]).unwrap(), form[1].to_owned())).collect()
    };
    let knows = |forms: &[(regex_lite::Regex, String)], text: &str| {
        let key = forms.iter().find(|(form, _)| form.is_match(text)).map(|(_, key)| key);
        key.is_some_and(|key| ja.contains_key(key))
    };
    let faults = forms("FAULTS");
    let phrases = sentences(problem, "phrase");
    assert!(phrases.len() > 35, "{phrases:?}");
    for phrase in phrases {
        assert!(knows(&faults, &phrase), "no form fits {phrase:?}");
    }
    let refusals = forms("SENTENCES");
    for function in ["sentence", "error_sentence"] {
        for sentence in sentences(problem, function) {
            // By their status the page knows these.
            let by_status = ["Unauthorized:", "Forbidden:", "Too many requests"];
            if !by_status.iter().any(|start| sentence.starts_with(start)) {
                assert!(knows(&refusals, &sentence), "no form fits {sentence:?}");
            }
        }
    }

    let sources = sources("src", ".rs");
    for form in found(r#"Malformed\(\s*"([^"]+)""#, &sources) {
        let known = ja.contains_key(&format!("fact.form {}", form[0])) || FORMS_OF_OTHERS.contains(&form[0]);
        assert!(known, "{:?} has no words", form[0]);
    }
    for kind in found(r#"WrongType\("([^"]+)""#, &sources) {
        assert!(ja.contains_key(&format!("fact.type {}", kind[0])), "{:?} has no words", kind[0]);
    }
    // A word for what nobody says any more is one too many.
    let said = sources + include_str!("../../static/catalogue/providers.json");
    for key in ja.keys().filter_map(|key| key.strip_prefix("fact.")) {
        let (_, value) = key.split_once(' ').unwrap();
        let from_the_parser = key.starts_with("what ");
        assert!(from_the_parser || said.contains(&format!("\"{value}\"")), "nobody says {key:?}");
    }
}

/// The page's scripts in one text, its words left out.
fn scripts(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("lang") {
            all += &scripts(&path);
        } else if path.extension().is_some_and(|kind| kind == "js") {
            all += &std::fs::read_to_string(&path).unwrap();
        }
    }
    all
}
