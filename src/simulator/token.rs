//! `/token`, `/revoke`, `/introspect`, `/device_authorization`: what clients ask directly.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, web};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    answer::{Answer, too_many},
    connection,
    context::{self, RequestContext},
    faults::On,
    grants::{End, Grant},
    like::{self, Issued},
    options::{Like, Rotation},
    plan::Plan,
    refusal::Refusal,
    request::{Parameters, Shown},
    state::{DEVICE_LIFE, Decision, Device, Gate, Shared, State, grant_cap},
    tokens::Kind,
};

pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What is granted where nothing is asked for.
const SCOPE: &str = "read";
/// Why a refresh without a scope is refused, in the words of Microsoft Entra ID.
const SCOPE_IS_MISSING: &str = "AADSTS90014: The required field 'scope' is missing from the credential.";
/// The life of a token that comes without a refresh token: for ever, as far as anybody here waits.
const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);
/// What a device that asks too often waits longer each time, in seconds (RFC 8628 §3.5).
const SLOWER_S: u64 = 5;

type Asked = Result<(Parameters, Shown), Refusal>;

fn asked(request: &HttpRequest, body: &[u8]) -> Asked {
    let parameters = Parameters::of_body(request, body)?;
    let shown = Shown::read(request, &parameters)?;
    Ok((parameters, shown))
}

/// `POST /token` (RFC 6749 §3.2).
///
/// It is worked on even when the client goes away: a provider that has a request does what it says.
pub(super) async fn token(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let shared = shared.into_inner();
    let parameters = Parameters::of_body(&request, &body);
    let shown = parameters.as_ref().map_err(Clone::clone).and_then(|parameters| Shown::read(&request, parameters));
    let reused = connection::is_reused(&request);
    let work = actix_web::rt::spawn(async move { answer_token(&shared, parameters, shown, reused).await });
    work.await.unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
}

async fn answer_token(
    shared: &Arc<Shared>,
    parameters: Result<Parameters, Refusal>,
    shown: Result<Shown, Refusal>,
    reused: bool,
) -> HttpResponse {
    let _under_way = shared.under_way();
    let grant_type = parameters.as_ref().ok().and_then(|parameters| parameters.get("grant_type")).unwrap_or("none");
    shared.state().count_grant_type(grant_type);
    let context = RequestContext::of_token_request(shared, parameters.as_ref().ok(), shown.as_ref().ok(), reused);
    shared.record_token_request(&context, grant_type == "refresh_token");
    if let Err(seconds) = shared.throttle(Instant::now()) {
        return too_many(seconds).whole();
    }
    let on = match grant_type {
        "authorization_code" => &[On::Token, On::Code][..],
        "refresh_token" => &[On::Token, On::Refresh],
        "client_credentials" => &[On::Token, On::ClientCredentials],
        DEVICE_CODE => &[On::Token, On::Device],
        _ => &[On::Token],
    };
    let plan = shared.plan(on, &context);
    let mut response = if let Some(instead) = plan.before(shared).await {
        instead
    } else {
        shared.pass(Gate::Before).await;
        let done = parameters.and_then(|parameters| issue(shared, &parameters, &shown?, &plan, Instant::now()));
        let answer = match done {
            Ok(issued) => Answer::json(200, like::success(shared.options.like, &shared.url, &issued)),
            Err(refusal) => refusal.answer(shared.options.like),
        };
        shared.pass(Gate::After).await;
        plan.after(shared, answer).await
    };
    plan.set_date(&mut response);
    response
}

/// What is handed out to a request for tokens. The client is looked at first, then what it brings.
fn issue(
    shared: &Shared,
    parameters: &Parameters,
    shown: &Shown,
    plan: &Plan,
    now: Instant,
) -> Result<Issued, Refusal> {
    let like = shared.options.like;
    let mut state = shared.state();
    let client = shown.check(&state, like)?;
    let keep = plan.keeps_refresh_token();
    match parameters.get("grant_type") {
        Some("authorization_code") => {
            let number = redeem(shared, &mut state, &client, parameters, now)?;
            let code = state.codes.get(&number).ok_or(Refusal::BadCode)?;
            // Shopify gives tokens that expire to those who ask for them.
            let wanted = like != Like::Shopify || parameters.get("expiring") == Some("1");
            let mut grant = Grant::new(
                code.account.clone(),
                client,
                code.scopes.clone(),
                "authorization_code",
                code.refreshable && wanted && !keep,
            );
            grant.of_user = code.of_user;
            let id = state.add_grant(grant, grant_cap(like));
            if let Some(code) = state.codes.get_mut(&number) {
                code.spent = Some(id);
            }
            hand_out(shared, &mut state, id, Some(0), now)
        }
        Some("refresh_token") => {
            let token = parameters.get("refresh_token").ok_or(Refusal::Request("refresh_token is missing"))?;
            let (id, generation) = shared.mint.read(Kind::Refresh, token).ok_or(Refusal::BadRefreshToken)?;
            match (plan.scope_on_refresh(), parameters.get("scope")) {
                (Some(true), None) => return Err(Refusal::Request(SCOPE_IS_MISSING)),
                (Some(false), Some(_)) => return Err(Refusal::ScopeOnRefresh),
                _ => {}
            }
            let wanted = parameters.scopes("scope")?;
            let grant = state.grant(id).filter(|grant| grant.client_id == client).ok_or(Refusal::BadRefreshToken)?;
            if wanted.iter().flatten().any(|scope| !grant.scopes.contains(scope)) {
                return Err(Refusal::Scope);
            }
            let rotation = shared.options.rotation;
            let next = grant.refresh(generation, rotation, keep, now).ok_or(Refusal::BadRefreshToken)?;
            let mut issued = hand_out(shared, &mut state, id, Some(next), now)?;
            issued.refreshed = true;
            if let Some(wanted) = wanted {
                issued.scopes = wanted;
            }
            // Where nothing rotates, these two do not say it again.
            if keep || (rotation == Rotation::None && matches!(like, Like::Salesforce | Like::Zoho)) {
                issued.refresh_token = None;
            }
            Ok(issued)
        }
        Some("client_credentials") => {
            let scopes = parameters.scopes("scope")?.unwrap_or_else(|| vec![SCOPE.to_owned()]);
            let (id, at_ms) = (state.own_grant(&client), shared.now_ms());
            if let Some(grant) = state.grant(id) {
                // The request that makes the grant arrived before there was one.
                if grant.request_times_ms.is_empty() {
                    grant.record_request(at_ms);
                }
                grant.scopes = scopes;
            }
            hand_out(shared, &mut state, id, None, now)
        }
        Some(DEVICE_CODE) => {
            let grant = poll(shared, &mut state, &client, parameters, !keep, now)?;
            let id = state.add_grant(grant, grant_cap(like));
            hand_out(shared, &mut state, id, Some(0), now)
        }
        Some(_) => Err(Refusal::GrantType),
        None => Err(Refusal::Request("grant_type is missing")),
    }
}

/// Checks a code; answers its number (RFC 6749 §4.1.3, RFC 7636 §4.6).
fn redeem(
    shared: &Shared,
    state: &mut State,
    client: &str,
    parameters: &Parameters,
    now: Instant,
) -> Result<u64, Refusal> {
    let given = parameters.get("code").ok_or(Refusal::Request("code is missing"))?;
    let redirect_uri = parameters.get("redirect_uri");
    if let Some(uri) = redirect_uri
        && !super::authorize::may_redirect(state, client, uri)
    {
        return Err(Refusal::RedirectUri("the redirect_uri is not one of this client's"));
    }
    let (number, _) = shared.mint.read(Kind::Code, given).ok_or(Refusal::BadCode)?;
    let code = state.codes.get(&number).filter(|code| code.client_id == client).ok_or(Refusal::BadCode)?;
    if let Some(grant) = code.spent {
        // RFC 6749 §4.1.2: whoever has it besides the client may have been the first.
        if let Some(grant) = state.grant(grant) {
            grant.end(End::CodeReused);
        }
        return Err(Refusal::UsedCode);
    }
    if code.expires <= now {
        return Err(Refusal::BadCode);
    }
    if redirect_uri != Some(code.redirect_uri.as_str()) {
        return Err(Refusal::RedirectUri("the redirect_uri is not that of the authorization request"));
    }
    match (&code.challenge, parameters.get("code_verifier")) {
        (None, None) => {}
        (None, Some(_)) => return Err(Refusal::Verifier("there was no code_challenge for this code_verifier")),
        (Some(_), None) => return Err(Refusal::Verifier("the code_verifier is missing")),
        (Some(challenge), Some(verifier)) => {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(fine) {
                return Err(Refusal::Request("the code_verifier is malformed"));
            }
            if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != *challenge {
                return Err(Refusal::Verifier("the code_verifier does not fit the code_challenge"));
            }
        }
    }
    Ok(number)
}

/// Makes the tokens of a grant: an access token, and the text of the refresh token `generation`.
fn hand_out(
    shared: &Shared,
    state: &mut State,
    id: u64,
    generation: Option<u64>,
    now: Instant,
) -> Result<Issued, Refusal> {
    let grant = state.grant(id).ok_or(Refusal::BadRefreshToken)?;
    let refreshable = grant.is_alive();
    let lives_on = shared.options.like == Like::Shopify && !refreshable && generation.is_some();
    let life = if lives_on { FOR_EVER } else { Duration::from_secs(shared.options.access_token_life_s) };
    let expires = now.checked_add(life).unwrap_or(now);
    let serial = grant.issue_access(generation.unwrap_or_default(), expires);
    Ok(Issued {
        access_token: shared.mint.make(Kind::Access, (id, serial)),
        refresh_token: generation
            .filter(|_| refreshable)
            .map(|generation| shared.mint.make(Kind::Refresh, (id, generation))),
        expires_in: life.as_secs(),
        scopes: grant.scopes.clone(),
        account: grant.account.clone(),
        client_id: grant.client_id.clone(),
        refreshed: false,
        of_user: grant.of_user,
    })
}

/// New grants for tests, each with its tokens.
pub(super) fn grants_for(shared: &Shared, client: &str, accounts: impl Iterator<Item = String>) -> Vec<(u64, Issued)> {
    let (mut state, now) = (shared.state(), Instant::now());
    let mut made = Vec::new();
    for account in accounts {
        let grant = Grant::new(account, client.to_owned(), vec![SCOPE.to_owned()], "control", true);
        let id = state.add_grant(grant, grant_cap(shared.options.like));
        if let Ok(issued) = hand_out(shared, &mut state, id, Some(0), now) {
            made.push((id, issued));
        }
    }
    made
}

/// A device asks whether somebody has decided (RFC 8628 §3.4, §3.5).
fn poll(
    shared: &Shared,
    state: &mut State,
    client: &str,
    parameters: &Parameters,
    refreshable: bool,
    now: Instant,
) -> Result<Grant, Refusal> {
    let given = parameters.get("device_code").ok_or(Refusal::Request("device_code is missing"))?;
    let (number, _) = shared.mint.read(Kind::Device, given).ok_or(Refusal::BadCode)?;
    let device = state.devices.get_mut(&number).filter(|device| device.client_id == client).ok_or(Refusal::BadCode)?;
    if device.expires <= now {
        return Err(Refusal::ExpiredDevice);
    }
    match device.decision.clone() {
        Decision::Open => {
            let interval = Duration::from_secs(device.interval_s);
            let early = device.last_poll.is_some_and(|last| now.saturating_duration_since(last) < interval);
            device.last_poll = Some(now);
            if early {
                device.interval_s = device.interval_s.saturating_add(SLOWER_S);
                return Err(Refusal::SlowDown);
            }
            Err(Refusal::Pending)
        }
        Decision::Denied => Err(Refusal::Denied),
        Decision::Spent => Err(Refusal::UsedCode),
        Decision::Approved(account) => {
            device.decision = Decision::Spent;
            Ok(Grant::new(account, client.to_owned(), device.scopes.clone(), "device_code", refreshable))
        }
    }
}

/// Answers one of the lesser endpoints, with what befalls it.
pub(super) async fn answered(
    shared: &Shared,
    on: On,
    (request, body): (&HttpRequest, &[u8]),
    process: impl FnOnce(&Plan) -> Result<Answer, Refusal>,
) -> HttpResponse {
    let (parameters, shown) = context::read(request, body);
    let context = RequestContext::of_request(shared, request, parameters.as_ref(), shown.as_ref());
    let plan = shared.plan(&[on], &context);
    let mut response = if let Some(instead) = plan.before(shared).await {
        instead
    } else {
        let answer = process(&plan).unwrap_or_else(|refusal| refusal.answer(shared.options.like));
        plan.after(shared, answer).await
    };
    plan.set_date(&mut response);
    response
}

/// `POST /device_authorization` (RFC 8628 §3.1).
pub(super) async fn device_authorization(
    shared: web::Data<Shared>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    answered(&shared, On::DeviceAuthorization, (&request, &body), |_| {
        let (parameters, shown) = asked(&request, &body)?;
        let scopes = parameters.scopes("scope")?.unwrap_or_else(|| vec![SCOPE.to_owned()]);
        let mut state = shared.state();
        let client_id = shown.check(&state, shared.options.like)?;
        let number = state.next_device();
        let user_code = shared.mint.user_code(number);
        let interval_s = shared.options.device_interval_s;
        state.add_device(Device {
            client_id,
            scopes,
            user_code: user_code.clone(),
            decision: Decision::Open,
            expires: Instant::now() + DEVICE_LIFE,
            interval_s,
            last_poll: None,
        });
        let page = format!("{}/device", shared.url);
        Ok(Answer::json(
            200,
            json!({
                "device_code": shared.mint.make(Kind::Device, (number, 0)),
                "user_code": user_code,
                "verification_uri": page,
                "verification_uri_complete": format!("{page}?user_code={user_code}"),
                "expires_in": DEVICE_LIFE.as_secs(),
                "interval": interval_s,
            }),
        ))
    })
    .await
}

/// `POST /revoke` (RFC 7009). A token that is none, or no longer good, is as good as revoked.
pub(super) async fn revoke(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&shared, On::Revoke, (&request, &body), |_| {
        let like = shared.options.like;
        // A token that stands in the header needs no body.
        let parameters = if body.is_empty() { Parameters::default() } else { Parameters::of_body(&request, &body)? };
        let mut state = shared.state();
        // At these the token is enough.
        let client = match like {
            Like::Slack | Like::Salesforce | Like::Zoho => None,
            _ => Some(Shown::read(&request, &parameters)?.check(&state, like)?),
        };
        let token = parameters.get("token").or_else(|| super::api::token(&request, Like::Plain));
        let token = token.ok_or(Refusal::Request("token is missing"))?;
        let own = |grant: &&mut Grant| client.as_ref().is_none_or(|client| grant.client_id == *client);
        if let Some((id, generation)) = shared.mint.read(Kind::Refresh, token) {
            let good = |grant: &&mut Grant| grant.is_good(generation, shared.options.rotation, Instant::now());
            if let Some(grant) = state.grant(id).filter(own).filter(good) {
                grant.end(End::Client);
            }
        } else if let Some((id, serial)) = state.read_access(&shared.mint, token)
            && let Some(grant) = state.grant(id).filter(own)
        {
            grant.end_access(serial);
        }
        Ok(match like {
            Like::Slack => Answer::json(200, json!({"ok": true, "revoked": true})),
            Like::Zoho => Answer::json(200, json!({"status": "success"})),
            _ => Answer::empty(200),
        })
    })
    .await
}

/// `POST /introspect` (RFC 7662). To look at a token is not to use it.
pub(super) async fn introspect(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    answered(&shared, On::Introspect, (&request, &body), |_| {
        let (parameters, shown) = asked(&request, &body)?;
        let mut state = shared.state();
        let client = shown.check(&state, shared.options.like)?;
        let token = parameters.get("token").ok_or(Refusal::Request("token is missing"))?;
        let now = Instant::now();
        let found = if let Some((id, serial)) = state.read_access(&shared.mint, token) {
            let grant = state.grant(id).filter(|grant| grant.client_id == client);
            grant.and_then(|grant| Some((grant.access_expires(serial, now)?, grant))).map(|(expires, grant)| {
                let left = expires.saturating_duration_since(now).as_secs();
                let at = jiff::Timestamp::now().as_second().saturating_add_unsigned(left);
                (grant, json!({"token_type": "Bearer", "exp": at}))
            })
        } else if let Some((id, generation)) = shared.mint.read(Kind::Refresh, token) {
            let grant = state.grant(id).filter(|grant| grant.client_id == client);
            let good = grant.filter(|grant| grant.is_good(generation, shared.options.rotation, now));
            good.map(|grant| (grant, json!({"token_type": "refresh_token"})))
        } else {
            None
        };
        let Some((grant, more)) = found else { return Ok(Answer::json(200, json!({"active": false}))) };
        let mut body = json!({
            "active": true,
            "client_id": grant.client_id,
            "scope": grant.scopes.join(" "),
            "sub": like::account_id(shared.options.like, &grant.account),
            "username": grant.account,
            "iss": shared.url,
        });
        if let (Some(body), serde_json::Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        Ok(Answer::json(200, body))
    })
    .await
}
