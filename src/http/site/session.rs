//! `/session`, `/setup`: how the page logs in and out.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    web,
};
use serde_json::json;

use crate::{
    app::{App, access::Shown, credential::Credential, document::Fields},
    domain::{
        Error, Rejection, Secret, Why,
        user::{Role, User},
    },
    http::{
        Surface,
        admin::users::{draft, wire},
        body::Json,
        caller::{Admitted, comes_from_own_page, cookie_name, origin, refuse_other_sites},
        problem::Failure,
    },
};

/// The cookie, for this site's requests only and out of reach of scripts. It has no end of its own: it goes with the
/// browser, and the server knows when the session is over.
fn cookie(surface: &Surface, value: String) -> Cookie<'static> {
    Cookie::build(cookie_name(surface.secure), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(surface.secure)
        .finish()
}

fn begun(surface: &Surface, user: &User, session: &Credential) -> HttpResponse {
    let cookie = cookie(surface, session.text().expose().to_owned());
    HttpResponse::Ok().cookie(cookie).json(json!({"result": wire(user)}))
}

/// A body that anybody may send: no larger than names and a password need.
type Small = Json<{ 16 * 1024 }>;

/// `{"name","password","code"?}`: begins a session and answers the user. Where a code is needed and there is none, or it is
/// wrong, the answer to the right password is 401 with `errors.code`.
pub(super) async fn log_in(
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
    body: Small,
) -> Result<HttpResponse, Failure> {
    refuse_other_sites(&request)?;
    let mut fields = Fields::of(&body.0)?;
    let name = fields.need("name", |name| if name.trim().is_empty() { Err(Why::Blank) } else { Ok(name.to_owned()) });
    let password = fields.need_secret("password");
    // An empty field of a form is one that nobody filled in.
    let code = fields.may("code", |code| if code.trim().is_empty() { Ok(None) } else { Secret::given(code).map(Some) });
    let (name, password) = fields.faults.all(name.zip(password))?;
    drop(body);
    let (user, session) = app.log_in(&name, &password, code.flatten().as_ref(), origin(&request)?).await?;
    Ok(begun(&surface, &user, &session))
}

/// The user; `null` for what is none, such as the token of an application.
pub(super) async fn get(caller: Admitted) -> HttpResponse {
    HttpResponse::Ok().json(json!({"result": caller.user().map(wire)}))
}

/// Ends the session that the cookie names and takes the cookie back; safe to repeat, so a cookie that is no good any more
/// is no failure.
pub(super) async fn log_out(
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    if let Some(sent) = request.cookie(cookie_name(surface.secure)) {
        if !comes_from_own_page(request.headers(), &surface.public_url) {
            return Err(Error::Unauthenticated(Rejection::CrossSite).into());
        }
        let session = Secret::new(sent.value());
        match app.authenticate(Some(Shown::Session(session.clone())), origin(&request)?).await {
            Ok(caller) => app.log_out(&caller, &session).await?,
            Err(Error::Unauthenticated(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut gone = cookie(&surface, String::new());
    gone.set_max_age(Duration::ZERO);
    Ok(HttpResponse::Ok().cookie(gone).json(json!({"result": {"success": true}})))
}

/// `{"link","name","email","password"}`: makes an administrator with the credential of a setup link, and logs in.
pub(super) async fn set_up(
    app: web::Data<App>,
    surface: web::Data<Surface>,
    request: HttpRequest,
    body: Small,
) -> Result<HttpResponse, Failure> {
    refuse_other_sites(&request)?;
    let mut fields = Fields::of(&body.0)?;
    let link = fields.need_secret("link");
    let link = fields.faults.all(link)?;
    let draft = draft(&body.0, Some(Role::Admin))?;
    let (user, session) = app.set_up(&link, draft, origin(&request)?).await?;
    Ok(begun(&surface, &user, &session))
}
