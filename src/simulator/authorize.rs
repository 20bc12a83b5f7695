//! `/authorize` (RFC 6749 §4.1.1) and `/device` (RFC 8628 §3.3): where the account's owner decides.
//!
//! Two parameters spare a test the page: `login_hint=alice` chooses the account, `auto=1` approves at once and
//! `auto=deny` refuses.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    answer::Answer,
    connection::is_reused,
    context::RequestContext,
    faults::On,
    like,
    options::Like,
    page::{choice, escaped, page, scopes},
    plan::Plan,
    request::Parameters,
    state::{CODE_LIFE, Code, Decision, Device, Shared, State},
    token::answered,
    tokens::Kind,
};

/// The accounts that everybody may choose.
const ACCOUNTS: [&str; 2] = ["alice@practice.example", "bob@practice.example"];
/// The domain of every account.
const DOMAIN: &str = "@practice.example";

/// Whether a client may be answered at this redirect URI.
pub(super) fn may_redirect(state: &State, client: &str, uri: &str) -> bool {
    let Some(client) = state.clients.get(client) else { return false };
    if !client.redirect_uris.is_empty() {
        return client.redirect_uris.iter().any(|own| own == uri);
    }
    let Ok(parsed) = url::Url::parse(uri) else { return false };
    let loopback = match parsed.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    loopback && matches!(parsed.scheme(), "http" | "https") && parsed.fragment().is_none()
}

/// An authorization request whose client and redirect URI are good: whatever else is wrong is told at that URI.
struct Ask {
    client: String,
    redirect_uri: String,
    state: Option<String>,
    parameters: Parameters,
}

/// What is asked for, once it is known to be well-formed.
struct Wanted {
    scopes: Vec<String>,
    challenge: Option<String>,
    refreshable: bool,
    of_user: bool,
}

impl Ask {
    /// Reads the request; an error is HTML for the person, as nobody else can be told safely (RFC 6749 §4.1.2.1).
    fn read(shared: &Shared, query: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("<p>{what}</p>"));
        let Ok(parameters) = Parameters::of_form(query.as_bytes()) else {
            return wrong("A parameter is there twice, or too long.");
        };
        let state = shared.state();
        let Some(client) = parameters.get("client_id").filter(|client| state.clients.contains_key(*client)) else {
            return wrong("<code>client_id</code> names no client of this provider. There is <code>practice</code>.");
        };
        let Some(uri) = parameters.get("redirect_uri") else { return wrong("<code>redirect_uri</code> is missing.") };
        if !may_redirect(&state, client, uri) {
            return wrong(&format!(
                "redirect_uri_mismatch: <code>{}</code> is not a <code>redirect_uri</code> of this client.",
                escaped(uri)
            ));
        }
        let (client, redirect_uri) = (client.to_owned(), uri.to_owned());
        let state = parameters.get("state").map(str::to_owned);
        Ok(Self { client, redirect_uri, state, parameters })
    }

    /// What is asked for, or the error code for the client.
    fn wanted(&self, shared: &Shared) -> Result<Wanted, &'static str> {
        let get = |name| self.parameters.get(name);
        if get("response_type") != Some("code") {
            return Err(if get("response_type").is_some() { "unsupported_response_type" } else { "invalid_request" });
        }
        let public = shared.state().clients.get(&self.client).is_some_and(|client| client.secret.is_none());
        let challenge = match (get("code_challenge"), get("code_challenge_method")) {
            (None, None) if !public => None,
            (Some(challenge), Some("S256"))
                if challenge.len() == 43
                    && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') =>
            {
                Some(challenge.to_owned())
            }
            // `plain` shows the verifier to whoever sees the request.
            _ => return Err("invalid_request"),
        };
        let scopes = |name| self.parameters.scopes(name).map_err(|_| "invalid_scope");
        let (bot, user) = (scopes("scope")?, scopes("user_scope")?);
        let of_user = shared.options.like == Like::Slack && bot.is_none() && user.is_some();
        let scopes = if of_user { user } else { bot }.unwrap_or_else(|| vec!["read".to_owned()]);
        let refreshable = match shared.options.like {
            Like::Zoho => get("access_type") == Some("offline"),
            Like::Salesforce => scopes.iter().any(|scope| scope == "refresh_token" || scope == "offline_access"),
            _ => true,
        };
        Ok(Wanted { scopes, challenge, refreshable, of_user })
    }

    /// The account that the request suggests.
    fn hinted(&self) -> Option<String> {
        let hint = self.parameters.get("login_hint")?;
        let local = hint.strip_suffix(DOMAIN).unwrap_or(hint);
        is_local(local).then(|| format!("{local}{DOMAIN}"))
    }

    /// The way back to the client.
    fn back(&self, plan: &Plan, told: &[(&str, &str)], more: Vec<(&'static str, String)>) -> Answer {
        let Ok(mut uri) = url::Url::parse(&self.redirect_uri) else { return Answer::empty(400) };
        {
            let mut query = uri.query_pairs_mut();
            for (name, value) in told {
                query.append_pair(name, value);
            }
            if let Some(state) = &self.state {
                query.append_pair("state", state);
            }
            for (name, value) in &more {
                if !(*name == "iss" && plan.names_wrong_issuer()) {
                    query.append_pair(name, value);
                }
            }
            if plan.names_wrong_issuer() {
                query.append_pair("iss", "https://wrong.example");
            }
        }
        Answer::empty(303).with("Location", uri.as_str())
    }

    /// Tells the client an error.
    fn fail(&self, shared: &Shared, plan: &Plan, error: &str) -> Answer {
        self.back(plan, &[("error", error)], issuer(shared))
    }

    /// Hands out a code for this account.
    fn approve(&self, shared: &Shared, plan: &Plan, wanted: Wanted, account: &str) -> Answer {
        let number = shared.state().add_code(Code {
            client_id: self.client.clone(),
            redirect_uri: self.redirect_uri.clone(),
            challenge: wanted.challenge,
            scopes: wanted.scopes,
            account: account.to_owned(),
            refreshable: wanted.refreshable,
            of_user: wanted.of_user,
            expires: Instant::now() + CODE_LIFE,
            spent: None,
        });
        let code = shared.mint.make(Kind::Code, (number, 0));
        self.back(plan, &[("code", &code)], like::callback(shared.options.like, &shared.url, account))
    }

    /// What the owner said.
    async fn decided(&self, shared: &Shared, wanted: Wanted, decision: (bool, &str), reused: bool) -> HttpResponse {
        let context = RequestContext::of_authorization(&self.client, &self.parameters, reused);
        // At this endpoint an error goes back to the client, and not into the browser.
        let plan = shared.plan(&[On::Authorize], &context).going_back();
        let mut response = if let Some(instead) = plan.before(shared).await {
            instead
        } else {
            let answer = match (plan.back(), decision) {
                (Some(told), _) => {
                    let told: Vec<_> = told.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                    self.back(&plan, &told, issuer(shared))
                }
                (None, (true, account)) => self.approve(shared, &plan, wanted, account),
                (None, (false, _)) => self.fail(shared, &plan, "access_denied"),
            };
            plan.after(shared, answer).await
        };
        plan.set_date(&mut response);
        response
    }

    /// The consent page.
    fn page(&self, wanted: &Wanted, query: &str) -> Answer {
        let hinted = self.hinted();
        let mut accounts = ACCOUNTS.map(str::to_owned).to_vec();
        accounts.extend(hinted.clone().filter(|hinted| !ACCOUNTS.contains(&hinted.as_str())));
        let chosen = hinted.unwrap_or_else(|| ACCOUNTS[0].to_owned());
        let body = format!(
            "<p><strong>{}</strong> asks for:</p>{}<form method=\"post\" action=\"/authorize?{}\">{}</form>\
             <p class=\"note\">Whatever you choose, your browser goes back to <code>{}</code>.</p>",
            escaped(&self.client),
            scopes(&wanted.scopes),
            escaped(query),
            choice(&accounts, &chosen),
            escaped(&self.redirect_uri),
        );
        page(200, "Practice provider", &body)
    }
}

/// The issuer as a parameter, where this kind of provider names it (RFC 9207).
fn issuer(shared: &Shared) -> Vec<(&'static str, String)> {
    let more = like::callback(shared.options.like, &shared.url, "");
    more.into_iter().filter(|(name, _)| *name == "iss").collect()
}

fn is_local(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(fine)
}

/// An account that a form names.
fn account(form: &Parameters) -> Option<String> {
    let local = form.get("account")?.strip_suffix(DOMAIN)?;
    is_local(local).then(|| format!("{local}{DOMAIN}"))
}

/// `GET /authorize`.
pub(super) async fn ask(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let ask = match Ask::read(&shared, query) {
        Ok(ask) => ask,
        Err(html) => return page(400, "This request cannot be answered", &html).whole(),
    };
    let wanted = match ask.wanted(&shared) {
        Ok(wanted) => wanted,
        Err(error) => return ask.fail(&shared, &Plan::default(), error).whole(),
    };
    match ask.parameters.get("auto") {
        None => ask.page(&wanted, query).whole(),
        Some(auto) => {
            let account = ask.hinted().unwrap_or_else(|| ACCOUNTS[0].to_owned());
            ask.decided(&shared, wanted, (auto != "deny", &account), is_reused(&request)).await
        }
    }
}

/// `POST /authorize`: the form of the page.
pub(super) async fn decide(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let ask = match Ask::read(&shared, request.query_string()) {
        Ok(ask) => ask,
        Err(html) => return page(400, "This request cannot be answered", &html).whole(),
    };
    let wanted = match ask.wanted(&shared) {
        Ok(wanted) => wanted,
        Err(error) => return ask.fail(&shared, &Plan::default(), error).whole(),
    };
    let form = Parameters::of_body(&request, &body).unwrap_or_default();
    let account = account(&form);
    match (form.get("decision"), account) {
        (Some("approve"), Some(account)) => ask.decided(&shared, wanted, (true, &account), is_reused(&request)).await,
        (Some("deny"), _) => ask.decided(&shared, wanted, (false, ""), is_reused(&request)).await,
        _ => page(400, "This form cannot be read", "<p>Choose an account, and approve or deny.</p>").whole(),
    }
}

fn find<'a>(state: &'a mut State, user_code: &str) -> Option<&'a mut Device> {
    // People type small letters, and leave the hyphen out.
    let plain = |code: &str| code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let (wanted, now) = (plain(user_code), Instant::now());
    let open = |device: &&mut Device| device.decision == Decision::Open && device.expires > now;
    state.devices.values_mut().filter(open).find(|device| plain(&device.user_code) == wanted)
}

fn device_page(shared: &Shared, user_code: Option<&str>) -> Answer {
    let mut state = shared.state();
    let found = user_code.and_then(|code| find(&mut state, code));
    let Some(device) = found else {
        let sorry = if user_code.is_some() { "<p role=\"alert\">No device waits with this code.</p>" } else { "" };
        let body = format!(
            "{sorry}<form method=\"get\" action=\"/device\"><p><label>The code that the device shows: \
             <input type=\"text\" name=\"user_code\" id=\"user_code\" autocomplete=\"off\" required></label></p>\
             <p><button id=\"next\">Next</button></p></form>"
        );
        return page(if user_code.is_some() { 404 } else { 200 }, "Connect a device", &body);
    };
    let accounts = ACCOUNTS.map(str::to_owned);
    let body = format!(
        "<p>A device of <strong>{}</strong> that shows <code>{}</code> asks for:</p>{}\
         <form method=\"post\" action=\"/device\"><input type=\"hidden\" name=\"user_code\" value=\"{}\">{}</form>",
        escaped(&device.client_id),
        device.user_code,
        scopes(&device.scopes),
        device.user_code,
        choice(&accounts, ACCOUNTS[0]),
    );
    page(200, "Connect a device", &body)
}

/// `GET /device`.
pub(super) async fn device(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    let parameters = Parameters::of_form(request.query_string().as_bytes()).unwrap_or_default();
    device_page(&shared, parameters.get("user_code")).whole()
}

/// `POST /device`: the form of the page.
pub(super) async fn decide_device(shared: web::Data<Shared>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let form = Parameters::of_body(&request, &body).unwrap_or_default();
    let mut state = shared.state();
    let Some(device) = form.get("user_code").and_then(|code| find(&mut state, code)) else {
        drop(state);
        return device_page(&shared, Some("")).whole();
    };
    let (decision, title) = match (form.get("decision"), account(&form)) {
        (Some("approve"), Some(account)) => (Decision::Approved(account), "The device is connected"),
        (Some("deny"), _) => (Decision::Denied, "The device is not connected"),
        _ => return page(400, "This form cannot be read", "<p>Choose an account, and approve or deny.</p>").whole(),
    };
    device.decision = decision;
    page(200, title, "<p>You can close this page and go back to the device.</p>").whole()
}

/// `GET /.well-known/…` (RFC 8414 §3, OpenID Connect Discovery §4).
pub(super) async fn discovery(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    let url = &shared.url;
    let methods = match shared.options.like {
        Like::QuickBooks => vec!["client_secret_basic"],
        Like::Zoho | Like::Shopify => vec!["client_secret_post"],
        _ => vec!["client_secret_basic", "client_secret_post", "none"],
    };
    let document = serde_json::json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "revocation_endpoint": format!("{url}/revoke"),
        "introspection_endpoint": format!("{url}/introspect"),
        "device_authorization_endpoint": format!("{url}/device_authorization"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "jwks_uri": format!("{url}/jwks"),
        "scopes_supported": ["openid", "email", "profile", "offline_access", "read", "write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported":
            ["authorization_code", "refresh_token", "client_credentials", super::token::DEVICE_CODE],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": shared.options.like == Like::Plain,
    });
    answered(&shared, On::Discovery, (&request, b""), |_| Ok(Answer::json(200, document))).await
}

/// `GET /jwks`: no key, as nothing is signed.
pub(super) async fn jwks(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    let document = serde_json::json!({"keys": []});
    answered(&shared, On::Jwks, (&request, b""), |_| Ok(Answer::json(200, document))).await
}
