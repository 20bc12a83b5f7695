//! `/control`: looking inside and making things go wrong, for tests. See the table in [`super`].
//!
//! No credential is asked for: it listens on loopback, and what another site's page sends is refused.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    faults::{On, Rule},
    grants::End,
    request::{Auth, Parameters},
    state::{Client, Gate, MOST_CLIENTS, MOST_RULES, Shared, Which},
    token,
};

/// More grants than these are not made at once.
const MOST_MADE: u64 = 20_000;
const MOST_TEXT: usize = 1000;

/// What is answered, or why a request is not understood.
type Answered = Result<Value, String>;

fn wrong(why: impl std::fmt::Display) -> String {
    why.to_string()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(wrong)
}

/// Writes the answer to a request that was understood or not.
fn answered(request: &HttpRequest, work: impl FnOnce() -> Answered) -> HttpResponse {
    // A browser says so when a page of another site sends something. `none` is what is typed by hand.
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Answer::json(403, json!({"error": "another site's page has no business here"})).whole();
    }
    match work() {
        Ok(value) => Answer::json(200, value).whole(),
        Err(why) => Answer::json(400, json!({"error": why})).whole(),
    }
}

/// `GET /control/state`, perhaps with `?grants=false` or `?grant=ID`.
pub(super) async fn state(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    answered(&request, || {
        let query = Parameters::of_form(request.query_string().as_bytes()).unwrap_or_default();
        let which = match (query.get("grant"), query.get("grants")) {
            (Some(id), _) => Which::One(id.parse().map_err(|_| wrong("grant: a number"))?),
            (None, Some("false")) => Which::None,
            _ => Which::All,
        };
        Ok(shared.shown(which))
    })
}

/// `DELETE /control/counts`: counters back to zero.
pub(super) async fn forget_counts(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    answered(&request, || {
        shared.state().forget_counts();
        Ok(json!({}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRule {
    on: String,
    fault: Value,
    /// Left out: once. `null`: every time.
    #[serde(default = "once")]
    times: Option<u64>,
    #[serde(default)]
    skip: u64,
    /// The only grant that it affects.
    grant: Option<u64>,
    /// The only client that it affects.
    client: Option<String>,
}

/// The words of a rule: a text or a list of texts.
fn words(fault: &Value) -> Option<Vec<&str>> {
    match fault {
        Value::String(word) => Some(vec![word]),
        Value::Array(words) => words.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn once() -> Option<u64> {
    Some(1)
}

fn shown(rules: &[Rule]) -> Value {
    json!({"faults": rules.iter().map(Rule::shown).collect::<Vec<_>>()})
}

/// `POST /control/faults`.
pub(super) async fn add_fault(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&request, || {
        let new: NewRule = read(&body)?;
        let on: On = new.on.parse().map_err(wrong)?;
        let words = words(&new.fault).ok_or_else(|| wrong("fault: a text or a list of texts"))?;
        if new.times == Some(0) {
            return Err(wrong("times: at least 1, or null for ever"));
        }
        let rule = Rule::new(on, &words, new.times, new.skip).map_err(wrong)?;
        let rule = rule.only(new.grant, new.client).map_err(wrong)?;
        let mut state = shared.state();
        if state.rules.len() >= MOST_RULES {
            return Err(wrong(format_args!("there are {MOST_RULES} already")));
        }
        state.rules.push(rule);
        Ok(shown(&state.rules))
    })
}

/// `GET /control/faults`: those that are still to come.
pub(super) async fn list_faults(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    answered(&request, || Ok(shown(&shared.state().rules)))
}

/// `DELETE /control/faults`: from now on all goes well.
pub(super) async fn forget_faults(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    answered(&request, || {
        let mut state = shared.state();
        state.rules.clear();
        Ok(shown(&state.rules))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClient {
    client_id: String,
    /// `null`: a public client.
    client_secret: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    auth: Option<String>,
}

/// `POST /control/clients`: adds a client, or changes one.
pub(super) async fn put_client(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&request, || {
        let new: NewClient = read(&body)?;
        let texts = new.redirect_uris.iter().chain(&new.client_secret).chain([&new.client_id]);
        if new.client_id.is_empty() || new.redirect_uris.len() > 100 || texts.into_iter().any(|t| t.len() > MOST_TEXT) {
            return Err(wrong("a text is empty or too long"));
        }
        let auth = match new.auth.as_deref() {
            None | Some("any") => None,
            Some("basic") => Some(Auth::Basic),
            Some("post") => Some(Auth::Post),
            Some(_) => return Err(wrong("auth: one of any, basic, post")),
        };
        let mut state = shared.state();
        if state.clients.len() >= MOST_CLIENTS && !state.clients.contains_key(&new.client_id) {
            return Err(wrong(format_args!("there are {MOST_CLIENTS} already")));
        }
        let client = Client { secret: new.client_secret, redirect_uris: new.redirect_uris, auth };
        let added = state.clients.insert(new.client_id.clone(), client).is_none();
        Ok(json!({"client_id": new.client_id, "added": added}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneOrAll {
    /// `null`, or left out: all of them.
    grant: Option<u64>,
}

/// `POST /control/expire`: access tokens expire at once.
pub(super) async fn expire(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&request, || {
        let which: OneOrAll = read(&body)?;
        let mut state = shared.state();
        let expired: usize = match which.grant {
            Some(id) => state.grant(id).ok_or_else(|| wrong("there is no such grant"))?.expire_access(),
            None => state.grants().map(super::grants::Grant::expire_access).sum(),
        };
        Ok(json!({"expired": expired}))
    })
}

/// `POST /control/revoke`: a grant ends as its account's owner would end it.
pub(super) async fn revoke(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&request, || {
        let which: OneOrAll = read(&body)?;
        let id = which.grant.ok_or_else(|| wrong("grant: a number"))?;
        shared.state().grant(id).ok_or_else(|| wrong("there is no such grant"))?.end(End::Owner);
        Ok(json!({"revoked": id}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    at: String,
}

/// `POST /control/hold`: requests to the token endpoint wait from now on.
pub(super) async fn hold(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&request, || {
        let hold: Hold = read(&body)?;
        let gate = match hold.at.as_str() {
            "before" => Gate::Before,
            "after" => Gate::After,
            _ => return Err(wrong("at: one of before, after")),
        };
        shared.set_gate(gate);
        Ok(json!({"gate": hold.at}))
    })
}

/// `POST /control/release`: they wait no longer.
pub(super) async fn release(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    answered(&request, || {
        shared.set_gate(Gate::Open);
        Ok(json!({"gate": "open"}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGrants {
    #[serde(default = "one")]
    count: u64,
    client_id: Option<String>,
    /// Left out: an account of its own for each, `user-1@practice.example` and so on.
    account: Option<String>,
}

fn one() -> u64 {
    1
}

/// `POST /control/grants`: grants out of nothing, with their tokens, for whoever needs thousands of them.
pub(super) async fn make_grants(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&request, || {
        let new: NewGrants = read(&body)?;
        if new.count == 0 || new.count > MOST_MADE {
            return Err(wrong(format_args!("count: 1 to {MOST_MADE}")));
        }
        let client = new.client_id.unwrap_or_else(|| super::options::CLIENT_ID.to_owned());
        if !shared.state().clients.contains_key(&client) || new.account.as_ref().is_some_and(|a| a.len() > MOST_TEXT) {
            return Err(wrong("client_id or account: there is no such thing"));
        }
        let accounts =
            (1..=new.count).map(|n| new.account.clone().unwrap_or_else(|| format!("user-{n}@practice.example")));
        let made = token::grants_for(&shared, &client, accounts).into_iter().map(|(id, issued)| {
            json!({
                "id": id,
                "account": issued.account,
                "access_token": issued.access_token,
                "refresh_token": issued.refresh_token,
                "expires_in": issued.expires_in,
            })
        });
        Ok(json!({"grants": made.collect::<Vec<_>>()}))
    })
}
