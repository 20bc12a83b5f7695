//! No token, code, verifier or state in any log, event, audit entry, delivery or metrics page: the whole of it, at the most
//! talkative log level, with a provider that repeats whatever it is sent.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{
    Caller, Server, find_secret,
    person::Person,
    practice::until,
    raw::{self, Request},
    receiver::{Receiver, Reply},
};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// A provider that gives tokens beginning with `PLANTED` and, told to, refuses and repeats the request in its error. What
/// came there.
struct Provider {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
    refuses: Arc<Mutex<bool>>,
}

impl Provider {
    async fn start() -> Self {
        let (asked, refuses): (Arc<Mutex<Vec<Request>>>, Arc<Mutex<bool>>) = Default::default();
        let (noted, refusing) = (Arc::clone(&asked), Arc::clone(&refuses));
        let url = raw::serve(move |request: Request| {
            let answer = answer(&request, *refusing.lock().unwrap());
            noted.lock().unwrap().push(request);
            answer
        })
        .await;
        Self { url, asked, refuses }
    }

    fn refuse(&self, refuses: bool) {
        *self.refuses.lock().unwrap() = refuses;
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(request: &Request, refuses: bool) -> String {
    let line = request.head.lines().next().unwrap_or_default();
    let target = line.split(' ').nth(1).unwrap_or_default();
    if target.starts_with("/authorize") {
        let asked = url::Url::parse(&format!("http://x{target}")).unwrap();
        let get = |name: &str| asked.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let mut back = url::Url::parse(&get("redirect_uri")).unwrap();
        back.query_pairs_mut().append_pair("state", &get("state")).append_pair("code", "PLANTED_code");
        if refuses {
            back.query_pairs_mut()
                .append_pair("error", "refused")
                .append_pair("error_description", &format!("no {} for PLANTED_code", get("state")));
        }
        return raw::answer(302, &format!("location: {back}\r\n"), "");
    }
    if refuses {
        let all = format!("{} {} {}", request.header("authorization"), request.field("refresh_token"), request.body);
        let said = json!({"error": request.field("refresh_token"), "error_description": all, "message": all});
        return raw::answer(
            400,
            &format!("content-type: application/json\r\nx-echo: {}\r\n", request.body),
            &said.to_string(),
        );
    }
    let given = json!({"access_token": "PLANTED_access", "refresh_token": "PLANTED_refresh", "expires_in": 3600,
        "id_token": "PLANTED_id", "scope": "read", "sub": "the account"});
    raw::json(200, &given.to_string())
}

async fn connect(server: &Server, admin: &Caller, profile: &Value) -> (i64, u16) {
    let link = admin.post("/api/connect", &json!({"custom_oauth_profile_id": profile})).await.expect(200);
    let landed = Person::before(server).open(link["result"]["url"].as_str().unwrap()).await;
    (link["result"]["connection_id"].as_i64().unwrap(), landed.answer.status)
}

#[tokio::test]
async fn nothing_that_opens_anything_is_in_anything_that_is_kept_shown_or_sent() {
    let server = Server::with(&["--log-level", "trace", "--metrics-listen", "0", "--json"]).await;
    let printed: Value = serde_json::from_str(&server.printed()).unwrap();
    let metrics = printed["metrics"].as_str().unwrap().to_owned();
    let admin = server.admin();
    let (provider, receiver) = (Provider::start().await, Receiver::start(Reply::Status(204)).await);
    admin.post("/api/webhooks", &json!({"url": receiver.url})).await.expect(200);
    let entry = json!({"slug": "acme", "name": "Acme", "authorize_url": format!("{}/authorize", provider.url),
        "token_url": format!("{}/token", provider.url), "revoke_url": format!("{}/revoke", provider.url),
        "userinfo": {"url": format!("{}/me", provider.url), "id": "/sub"}, "keep": {"subject": "/sub"},
        "client_auth": "client_secret_basic", "api": {"base_url": format!("{}/api", provider.url)}});
    admin.post("/api/providers", &entry).await.expect(200);
    let body =
        json!({"name": "Acme", "provider": "acme", "data": {"client_id": "a", "client_secret": "PLANTED_secret"}});
    let profile = admin.post("/api/custom_oauth_profiles", &body).await.expect(200)["result"]["id"].clone();
    let (id, status) = connect(&server, &admin, &profile).await;
    assert_eq!(status, 200);
    // What only the provider has seen of us is hidden from here on, too.
    let exchanged = provider.asked().into_iter().find(|asked| asked.head.contains(" /token ")).unwrap();
    let verifier = exchanged.field("code_verifier");
    assert!(verifier.len() >= 43 && exchanged.field("code") == "PLANTED_code");
    server.hide(&verifier);
    let path = format!("/api/connections/{id}");
    admin.get(&format!("{path}/token")).await.expect(200);
    admin.post(&format!("{path}/refresh"), &json!({})).await.expect(200);
    server.cli_ok(&["connection", "show", &id.to_string()]);
    // Everything goes wrong, and says so loudly: on the way back, at the refresh, at the check, at the revocation.
    provider.refuse(true);
    assert_eq!(connect(&server, &admin, &profile).await.1, 400);
    let failed = admin.post(&format!("{path}/refresh"), &json!({})).await.expect(200);
    assert_eq!(failed["result"]["grant"]["last_refresh"]["ok"], false, "{failed}");
    admin.post(&format!("/api/custom_oauth_profiles/{profile}/check"), &json!({})).await.expect(200);
    let import = json!({"custom_oauth_profile_id": profile, "refresh_token": "PLANTED_refresh_3"});
    assert!(admin.post("/api/connections/import", &import).await.status >= 400);
    admin.post(&format!("{path}/disconnect"), &json!({})).await.expect(200);
    until("the revocations are settled", SOON, async || {
        let all = admin.get(&path).await.expect(200)["result"]["revocations"].clone();
        all.as_array().unwrap().iter().all(|one| one["settled_at"].is_string())
    })
    .await;
    // And a grant that the provider calls gone.
    let events = admin.get("/api/events").await.expect(200)["result"].as_array().unwrap().clone();
    assert!(events.len() >= 2, "{events:?}");
    receiver.wait_for(events.len()).await;
    admin.get("/api/expiring").await.expect(200);
    let page = server.anybody().at(&metrics).get("").await;
    assert!(page.status == 200 && page.text().contains("grantry_"), "{}", page.text());
    // The log has been talkative, and each row of the audit is there to be looked at.
    assert!(server.log().contains("TRACE"), "the log was to have everything");
    let db = rusqlite::Connection::open(server.data().join("grantry.db")).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
    assert!(rows >= 5, "{rows}");
    drop(db);
    server.assert_nothing_leaked();
}

#[test]
fn the_search_finds_what_it_is_for() {
    let hidden = ["Dz3-a_state_of_the_server_itself".to_owned()];
    for secret in ["PLANTED_x", "sim_at_7_1_ab", "sim_rt_7_1_ab", "sim_code_1_0_ab", "sim_dc_1_0_ab", &hidden[0]] {
        let text = format!("é before {secret} after é").into_bytes();
        assert!(find_secret(&text, &hidden).unwrap().contains(secret));
        let binary = [&[0xff, 0xfe, 0][..], &text, &[0xff]].concat();
        assert!(find_secret(&binary, &hidden).is_some(), "{secret}");
    }
    assert_eq!(find_secret(b"nothing to see: planted, sim_ at", &hidden), None);
}
