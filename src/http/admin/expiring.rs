//! `/api/expiring`: what comes to its end soon.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::{
    app::{App, expiring::FURTHEST},
    domain::{
        Error, Why,
        expiring::{Expiring, What},
    },
    http::{body::query, caller::Admitted, problem::Failure, time::with_offset},
};

/// How far it looks unless told otherwise.
const USUAL: Duration = Duration::from_hours(30 * 24);

/// `30d`, `12h`, or a number of seconds (`3600`, `3600s`).
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit: u64 = match &text[digits.len()..] {
        "" | "s" => 1,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    Some(Duration::from_secs(number.checked_mul(unit)?)).filter(|within| *within <= FURTHEST)
}

pub(super) fn wire(item: &Expiring) -> Value {
    let expires_at = with_offset(item.expires_at);
    let why = item.why.as_str();
    match &item.what {
        What::ClientSecret { profile_id, name, provider, kind } => json!({
            "what": "client_secret", "why": why, "expires_at": expires_at, "secret": kind.as_str(),
            "profile": {"id": profile_id, "name": name, "provider": provider},
        }),
        What::RefreshToken { connection_id, name, owner, external_id, provider } => json!({
            "what": "refresh_token", "why": why, "expires_at": expires_at,
            "connection": {
                "id": connection_id, "name": name, "owner": owner, "external_id": external_id, "provider": provider,
            },
        }),
        What::AccessToken { connection_id, name, owner, external_id, provider } => json!({
            "what": "access_token", "why": why, "expires_at": expires_at,
            "connection": {
                "id": connection_id, "name": name, "owner": owner, "external_id": external_id, "provider": provider,
            },
        }),
        What::ApiToken { id, name, user_id } => json!({
            "what": "api_token", "why": why, "expires_at": expires_at,
            "api_token": {"id": id, "name": name, "user_id": user_id},
        }),
    }
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    const FORM: Why = Why::Malformed("a number of seconds, or such as 12h or 30d, up to 400d");
    let within = match query(&request, "within") {
        None => USUAL,
        Some(text) => duration(&text).ok_or_else(|| Error::invalid("within", FORM))?,
    };
    let (items, more) = app.list_expiring(&caller, within).await?;
    Ok(HttpResponse::Ok().json(json!({"result": items.iter().map(wire).collect::<Vec<_>>(), "more": more})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_seconds_hours_or_days() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("400d"), Some(FURTHEST));
        for bad in ["", "d", "401d", "34560001", "-1", "+1", "1.5d", "1w", "30 d", "30D", "1dd", "٣d", "d30", "1é"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(duration("99999999999999999999d"), None);
        assert_eq!(duration("18446744073709551615d"), None);
    }
}
