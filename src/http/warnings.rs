//! Warnings of a connection: on the wire, and as a sentence for people.

use serde_json::{Value, json};

use super::time::with_offset;
use crate::{
    app::warnings::params,
    domain::warning::{Warning, WarningCode},
};

/// `[{"code", "params", "since"}]`.
pub fn wire(warnings: &[Warning]) -> Vec<Value> {
    let item = |warning: &Warning| json!({"code": warning.code.as_str(), "params": params(warning), "since": with_offset(warning.since)});
    warnings.iter().map(item).collect()
}

/// One sentence, in English or Japanese.
pub fn sentence(warning: &Warning, japanese: bool) -> String {
    sentence_of(warning.code, &params(warning), japanese)
}

/// The sentence of a warning that came over the wire.
pub fn sentence_of(code: WarningCode, params: &Value, japanese: bool) -> String {
    let text = |name: &str| match &params[name] {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let english = match code {
        WarningCode::LifetimeUnknown => {
            "The provider states no lifetime of access tokens. The token is refreshed once a day, and after the API \
             rejects it."
                .to_owned()
        }
        WarningCode::LifetimeInvalid => {
            format!("The provider stated the lifetime {} for the access token, which is not valid.", text("value"))
        }
        WarningCode::LifetimeBelowFloor => format!(
            "Access tokens of this provider live {} seconds, which is less than the minimum refresh interval of 30 seconds.",
            text("lifetime_seconds")
        ),
        WarningCode::MissingScopes => format!("Requested, but not granted: {}.", text("scopes")),
        WarningCode::NotRefreshable => format!(
            "The provider issued no refresh token. The access token expires at {}; then the account has to be connected \
             again. To receive a refresh token, request one of: {}.",
            text("expires_at"),
            text("ask_for")
        ),
        WarningCode::GrantLimitReached => format!(
            "{} is connected {} times through this app, and the provider keeps {} grants per account. Each further one \
             revokes the oldest.",
            text("account"),
            text("count"),
            text("most")
        ),
        WarningCode::AccountUnverified => format!(
            "The provider did not tell whose account this is ({}), so it could not be compared with the one before.",
            text("reason")
        ),
        WarningCode::RefreshTokenKept => {
            "The provider issued no new refresh token. The previous one is kept.".to_owned()
        }
        WarningCode::RefreshFailing => format!(
            "The provider keeps refusing to refresh this connection ({}).",
            if params["provider_error"].is_string() { text("provider_error") } else { text("http_status") }
        ),
    };
    if !japanese {
        return english;
    }
    match code {
        WarningCode::LifetimeUnknown => {
            "アクセストークンの有効期間がプロバイダーから通知されていません。1 日 1 回、および API に拒否された後に更新されます。"
                .to_owned()
        }
        WarningCode::LifetimeInvalid => {
            format!("プロバイダーが通知したアクセストークンの有効期間({})は無効な値です。", text("value"))
        }
        WarningCode::LifetimeBelowFloor => format!(
            "このプロバイダーのアクセストークンの有効期間は {} 秒で、最小更新間隔の 30 秒より短くなっています。",
            text("lifetime_seconds")
        ),
        WarningCode::MissingScopes => format!("要求したスコープのうち許可されなかったもの: {}", text("scopes")),
        WarningCode::NotRefreshable => format!(
            "リフレッシュトークンが発行されませんでした。アクセストークンは {} に失効し、その後は再接続が必要です。リフレッシュトークンを受け取るには次のいずれかを要求してください: {}",
            text("expires_at"),
            text("ask_for")
        ),
        WarningCode::GrantLimitReached => format!(
            "このアプリでは {} の接続が {} 件あります。プロバイダーが保持する認可は 1 アカウントにつき {} 件までで、次の接続で最も古いものが失効します。",
            text("account"),
            text("count"),
            text("most")
        ),
        WarningCode::AccountUnverified => format!(
            "アカウントをプロバイダーに確認できなかったため({})、以前のアカウントと照合できませんでした。",
            text("reason")
        ),
        WarningCode::RefreshTokenKept => {
            "新しいリフレッシュトークンが発行されなかったため、以前のものを引き続き使用します。".to_owned()
        }
        WarningCode::RefreshFailing => format!(
            "プロバイダーがこの接続の更新を拒否し続けています({})。",
            if params["provider_error"].is_string() { text("provider_error") } else { text("http_status") }
        ),
    }
}
