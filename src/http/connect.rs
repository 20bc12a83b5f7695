//! The browser's part of connecting an account: the link that somebody opens, and the two addresses to which providers send
//! browsers back. Plain pages without a script; every answer is one, failures too.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::{Method, StatusCode, header},
    web,
};

use super::{
    Surface,
    accept::wants_japanese,
    body::path_text,
    caller::{Needs, origin},
    problem::Failure,
    routes::Routes,
    warnings,
};
use crate::{
    app::{
        App,
        connect::{Back, Callback, ConnectRefusal, Landing, Loss, Outcome},
    },
    domain::{Error, Secret},
};

/// The longest query of a callback that is read, in bytes.
const MOST_QUERY: usize = 16 * 1024;
/// A browser that has begun is known again for so long.
const COOKIE_LIFE: Duration = Duration::hours(1);

/// Adds the link's route.
pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/connect/{ticket}", [(Method::GET, Needs::Nothing, web::to(open))])
}

/// The name of the cookie that binds a browser to what it began.
fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-grantry-connect" } else { "grantry-connect" }
}

/// A page of one heading and some lines, each escaped.
fn page(status: StatusCode, language: &str, heading: &str, lines: &[String]) -> HttpResponse {
    let lines = lines.iter().map(|line| ["<p>", &escaped(line), "</p>"].concat()).collect::<String>();
    HttpResponse::build(status).content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0} · Grantry</title>\
         <link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/admin.css\">\
         <main class=\"narrow\"><h1>{0}</h1>{lines}</main></html>\n",
        escaped(heading)
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn gone(japanese: bool) -> HttpResponse {
    let (heading, line) = if japanese {
        (
            "このリンクは使用できません",
            "リンクの期限が切れたか、使用済みか、別のブラウザーで開始されました。新しいリンクを依頼してください。",
        )
    } else {
        (
            "This link is no good any more",
            "It has ended, it was used already, or it was begun in another browser. Ask for a new one.",
        )
    };
    page(StatusCode::NOT_FOUND, language(japanese), heading, &[line.to_owned()])
}

fn language(japanese: bool) -> &'static str {
    if japanese { "ja" } else { "en" }
}

fn browser(request: &HttpRequest, surface: &Surface) -> Option<Secret> {
    request.cookie(cookie_name(surface.secure)).map(|cookie| Secret::new(cookie.value()))
}

async fn open(app: web::Data<App>, surface: web::Data<Surface>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    if request.method() == Method::HEAD {
        // Whoever only looks whether the link is there begins nothing.
        return Ok(HttpResponse::Ok().finish());
    }
    let ticket = Secret::new(path_text(&request, "ticket")?);
    let opened = match app.open_link(&ticket, browser(&request, &surface)).await {
        Err(Error::NotFound { .. }) => return Ok(gone(wants_japanese(request.headers()))),
        opened => opened?,
    };
    // Lax: the provider's page sends the browser back to us, and the cookie has to come along.
    let cookie = Cookie::build(cookie_name(surface.secure), opened.browser.expose().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(surface.secure)
        .max_age(COOKIE_LIFE)
        .finish();
    Ok(HttpResponse::Found().insert_header((header::LOCATION, opened.redirect)).cookie(cookie).finish())
}

/// `/oauth/callback`.
pub(super) async fn oauth_callback(
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    come_back(Callback::OAuth, app, surface, request).await
}

/// `/Thingworx/Oauths/oauth/return`.
pub(super) async fn flow_callback(
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    come_back(Callback::Flow, app, surface, request).await
}

async fn come_back(
    callback: Callback,
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let japanese = wants_japanese(request.headers());
    if request.method() == Method::HEAD {
        return Ok(HttpResponse::Ok().finish());
    }
    let Some(parameters) = parameters(request.query_string()) else { return Ok(gone(japanese)) };
    let back = Back { callback, parameters, browser: browser(&request, &surface) };
    let landing = app.come_back(back, origin(&request)?).await?;
    if let Some(url) = landing.return_url.as_deref().and_then(|url| returned(url, &landing.outcome)) {
        return Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, url)).finish());
    }
    Ok(landed(&landing, japanese))
}

/// The parameters of a callback; `None` when one that counts stands there twice, or there is too much of it.
fn parameters(query: &str) -> Option<BTreeMap<String, Secret>> {
    if query.len() > MOST_QUERY {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        // RFC 6749 §3.1: no parameter twice.
        if parameters.insert(name.into_owned(), Secret::new(value)).is_some() {
            return None;
        }
    }
    Some(parameters)
}

/// The address to go back to, with what came of it.
fn returned(url: &str, outcome: &Outcome) -> Option<String> {
    let mut url = url::Url::parse(url).ok()?;
    {
        let mut query = url.query_pairs_mut();
        match outcome {
            Outcome::Connected { connection_id, .. } => {
                query.append_pair("status", "success").append_pair("connection_id", &connection_id.to_string());
            }
            Outcome::Unknown => return None,
            Outcome::Refused(refusal) => {
                let error = refusal.provider_error.as_deref().unwrap_or(refusal.reason);
                query.append_pair("status", "failed").append_pair("error", error);
            }
            Outcome::AppRejected => {
                query.append_pair("status", "failed").append_pair("error", "app_secret_rejected");
            }
            Outcome::Lost(_) => {
                query.append_pair("status", "failed").append_pair("error", "not_kept");
            }
            Outcome::OtherAccount { .. } => {
                query.append_pair("status", "failed").append_pair("error", "other_account");
            }
        }
    }
    Some(url.into())
}

/// Why an account is not connected, in sentences: ours, and the provider's words where it sent any.
fn refused(refusal: &ConnectRefusal, japanese: bool) -> Vec<String> {
    let status = refusal.http_status.map(|status| status.to_string()).unwrap_or_default();
    let ours = match (refusal.reason, japanese) {
        ("provider_error", false) => "The provider refused the request.".to_owned(),
        ("provider_error", true) => "プロバイダーが要求を拒否しました。".to_owned(),
        ("wrong_issuer", false) => {
            "The answer names another issuer than this provider's, so it was not used.".to_owned()
        }
        ("wrong_issuer", true) => "応答の発行者がこのプロバイダーと異なるため、使用しませんでした。".to_owned(),
        ("no_code", false) => "The provider returned no authorization code.".to_owned(),
        ("no_code", true) => "プロバイダーから認可コードが返されませんでした。".to_owned(),
        ("admin_consent", false) => {
            "The consent of the administrator is recorded at the provider. Open the link again to connect the account."
                .to_owned()
        }
        ("admin_consent", true) => {
            "管理者の同意がプロバイダーに記録されました。アカウントを接続するには、もう一度リンクを開いてください。"
                .to_owned()
        }
        ("unreachable" | "timeout" | "cut_off", false) => {
            format!("The provider could not be reached ({}). Try again later.", refusal.reason)
        }
        ("unreachable" | "timeout" | "cut_off", true) => {
            format!("プロバイダーに接続できませんでした({})。しばらくしてからお試しください。", refusal.reason)
        }
        ("rate_limited", false) => "The provider limits requests at the moment. Try again later.".to_owned(),
        ("rate_limited", true) => "プロバイダーが要求を制限しています。しばらくしてからお試しください。".to_owned(),
        (reason, false) => format!("The answer of the provider could not be used ({reason}, status {status})."),
        (reason, true) => format!("プロバイダーの応答を使用できませんでした({reason}、ステータス {status})。"),
    };
    let mut lines = vec![ours];
    let said = [&refusal.provider_error, &refusal.description].into_iter().flatten();
    let said = said.map(String::as_str).collect::<Vec<_>>().join(": ");
    for text in [Some(said).filter(|text| !text.is_empty()), refusal.excerpt.clone()].into_iter().flatten() {
        lines.push(if japanese {
            format!("プロバイダーの応答: {text}")
        } else {
            format!("Answer of the provider: {text}")
        });
    }
    if let Some(uri) = &refusal.redirect_uri {
        lines.push(if japanese {
            format!("登録すべきリダイレクトURI: {uri}")
        } else {
            format!("The redirect URI to register at the provider: {uri}")
        });
    }
    lines
}

/// The page on which it ends.
fn landed(landing: &Landing, japanese: bool) -> HttpResponse {
    let (status, heading, lines) = match &landing.outcome {
        Outcome::Unknown => return gone(japanese),
        Outcome::Connected { name, provider, account, owner, warnings: found, .. } => {
            let account = account.clone().unwrap_or_else(|| name.clone());
            let of = owner.as_ref().map(|owner| format!(" ({owner})")).unwrap_or_default();
            let (heading, line) = if japanese {
                let line = format!(
                    "{account} を {provider} の接続「{name}」{of} に接続しました。このページは閉じてかまいません。"
                );
                ("接続しました", line)
            } else {
                let line = format!("{account} at {provider} is connected to \"{name}\"{of}. You can close this page.");
                ("Connected", line)
            };
            let warnings = found.iter().map(|warning| warnings::sentence(warning, japanese));
            (StatusCode::OK, heading, std::iter::once(line).chain(warnings).collect())
        }
        Outcome::Refused(refusal) => {
            let lines = refused(refusal, japanese);
            (StatusCode::BAD_REQUEST, if japanese { "接続できませんでした" } else { "Not connected" }, lines)
        }
        Outcome::AppRejected => {
            let line = if japanese {
                "プロバイダーがアプリのクライアントIDまたはシークレットを拒否しました。管理者に連絡してください。"
            } else {
                "The provider turns down the app's client id or secret. Tell whoever looks after it."
            };
            let heading = if japanese { "接続できませんでした" } else { "Not connected" };
            (StatusCode::BAD_GATEWAY, heading, vec![line.to_owned()])
        }
        Outcome::Lost(loss) => {
            let (line, next) = if japanese {
                let next = match loss {
                    Loss::GivenBack => {
                        "トークンはプロバイダーで取り消されました。空きができてから接続し直してください。"
                    }
                    Loss::AtProvider => {
                        "プロバイダー側のアカウント設定でこのアプリの許可を削除し、空きができてから接続し直してください。"
                    }
                    Loss::BesideOthers => {
                        "接続はこれまでのトークンで引き続き使えます。必要なら空きができてから接続し直してください。"
                    }
                };
                (
                    "プロバイダーは許可しましたが、サーバーのデータベースに書き込めず(ディスクの空き不足または読取り専用)、受け取ったトークンは失われました。",
                    next,
                )
            } else {
                let next = match loss {
                    Loss::GivenBack => "They were given back to the provider. Connect again once there is room.",
                    Loss::AtProvider => {
                        "Remove the grant of this app in the account's settings at the provider, and connect again once \
                         there is room."
                    }
                    Loss::BesideOthers => {
                        "The connection goes on with the tokens that it had. Connect again once there is room, if you \
                         still want to."
                    }
                };
                (
                    "The provider agreed, but the database here cannot be written (disk full or read-only), and the tokens \
                     that came are lost.",
                    next,
                )
            };
            let heading = if japanese { "接続できませんでした" } else { "Not connected" };
            (StatusCode::SERVICE_UNAVAILABLE, heading, vec![line.to_owned(), next.to_owned()])
        }
        Outcome::OtherAccount { before, now } => {
            let line = if japanese {
                format!("この接続のアカウントは {before} でしたが、{now} が選択されました。何も変更されていません。")
            } else {
                format!("This connection belongs to {before}, and {now} came. Nothing was changed.")
            };
            (StatusCode::CONFLICT, if japanese { "別のアカウントです" } else { "Another account" }, vec![line])
        }
    };
    page(status, language(japanese), heading, &lines)
}
