//! Connecting without a browser: by the app's own credentials (RFC 6749 §4.4), or by bringing a grant along.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    App, Loss, Wish, aim, check_scopes,
    redeem::{Aim, Redeemed, keep},
    registration,
};
use crate::{
    app::{
        access::Caller,
        connections::of_caller,
        refresh::schedule::{self, Validity},
        warnings,
    },
    domain::{
        Error, Noun, Outage, Result, Secret, Timestamp, Why,
        connection::Connection,
        grant::{Blame, GrantType, NoToken, Tokens, whole_seconds},
        user::Scope,
    },
    oauth::wire::{Ask, EndpointHealth},
    store::{self, grants::Kept},
};

/// A grant that is brought along.
#[derive(Debug, Clone)]
pub struct ImportedGrant {
    /// The refresh token; one of the two is needed.
    pub refresh: Option<Secret>,
    /// The access token; `None`: one is fetched.
    pub access: Option<Secret>,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// What was granted.
    pub scope: Option<String>,
    /// Fields to keep with it.
    pub extra: Map<String, Value>,
}

impl App {
    /// Connects by the app's own credentials (RFC 6749 §4.4): nobody has to agree to anything.
    pub async fn connect_by_client_credentials(&self, caller: &Caller, wish: Wish) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        check_scopes(wish.scopes.as_deref())?;
        let (aim, made) = self.aim_at(caller, wish, GrantType::ClientCredentials).await?;
        let scopes = aim
            .scopes
            .clone()
            .or_else(|| aim.connection.scopes.clone())
            .unwrap_or_else(|| aim.registration.provider.entry().default_scopes.clone());
        let id = aim.connection.id;
        let redeemed = self.redeem_aside(aim, Ask::ClientCredentials { scopes }).await;
        self.connected_or_gone(caller, id, made, redeemed).await
    }

    /// Brings a grant along. Without an access token one is fetched first, and a refresh token that is no good is no
    /// connection.
    pub async fn import(&self, caller: &Caller, wish: Wish, grant: ImportedGrant) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        check_scopes(wish.scopes.as_deref())?;
        let Some(access) = grant.access else {
            let refresh_token = grant.refresh.ok_or_else(|| Error::invalid("refresh_token", Why::Missing))?;
            let (mut aim, made) = self.aim_at(caller, wish, GrantType::Imported).await?;
            aim.extra = grant.extra;
            let id = aim.connection.id;
            let redeemed = self.redeem_aside(aim, Ask::Refresh { refresh_token, scopes: Vec::new() }).await;
            return self.connected_or_gone(caller, id, made, redeemed).await;
        };
        let (caller, now) = (caller.clone(), self.db.now());
        let connection = self
            .db
            .write(move |tx| {
                let (connection, _) = aim(tx, &caller, &wish)?;
                let registration = registration(tx, &connection, wish.variables.as_ref())?;
                // Nobody knows how old an access token is of which nobody says when it ends: it is replaced at once.
                let provider = &registration.provider;
                let renews = grant.refresh.is_some();
                let due_at = if renews && grant.expires_at.is_none() {
                    Some(now)
                } else {
                    schedule::due_at(provider, now, grant.expires_at, renews)?
                };
                let validity = Validity { expires_at: grant.expires_at, stated_lifetime_ms: None, short_lived: 0 };
                // An unknown lifetime is found out at once.
                let mut current =
                    if due_at == Some(now) { Vec::new() } else { warnings::of_validity(provider, &validity, renews) };
                let requested = wish.scopes.as_deref().or(connection.scopes.as_deref());
                let requested = requested.unwrap_or(&provider.entry().default_scopes);
                current.extend(warnings::of_scopes(provider, requested, grant.scope.as_deref()));
                let kept = Kept {
                    grant_type: GrantType::Imported,
                    tokens: Tokens {
                        access,
                        refresh: grant.refresh,
                        previous: None,
                        extra: Secret::new(Value::Object(grant.extra).to_string()),
                    },
                    token_type: "Bearer".to_owned(),
                    scope: grant.scope,
                    issued_at: now,
                    expires_at: grant.expires_at,
                    refresh_expires_at: None,
                    due_at,
                    skew_ms: None,
                    stated_lifetime_ms: None,
                    short_lived: 0,
                    warnings: Vec::new(),
                };
                let id = connection.id;
                let aim = Aim {
                    connection,
                    registration,
                    input: wish.variables,
                    scopes: wish.scopes,
                    other_account: true,
                    grant_type: GrantType::Imported,
                    extra: Map::new(),
                    who: caller,
                    device: None,
                };
                keep(tx, &aim, None, None, kept, current)?;
                store::connections::get(tx, id)
            })
            .await?;
        self.worker.wake();
        Ok(connection)
    }

    /// The connection that a wish is about, made where it is new, and whether it was.
    async fn aim_at(&self, caller: &Caller, wish: Wish, grant_type: GrantType) -> Result<(Aim, bool)> {
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let (connection, made) = aim(tx, &caller, &wish)?;
                let registration = registration(tx, &connection, wish.variables.as_ref())?;
                let aim = Aim {
                    connection,
                    registration,
                    input: wish.variables,
                    scopes: wish.scopes,
                    other_account: wish.other_account,
                    grant_type,
                    extra: Map::new(),
                    who: caller,
                    device: None,
                };
                Ok((aim, made))
            })
            .await
    }

    /// What came of connecting without a browser; a connection that was made for nothing goes again.
    async fn connected_or_gone(
        &self,
        caller: &Caller,
        id: i64,
        made: bool,
        redeemed: Result<Redeemed>,
    ) -> Result<Connection> {
        let why = match redeemed {
            Ok(Redeemed::Connected(_)) => {
                let caller = caller.clone();
                return self.db.read(|read| of_caller(read, &caller, None, id));
            }
            Ok(Redeemed::Unwanted) => Error::not_found(Noun::Connection, id),
            Ok(Redeemed::Lost(loss)) => Error::Unavailable {
                why: if loss == Loss::GivenBack { Outage::TokensGivenBack } else { Outage::TokensLost },
                retry_after: Duration::from_secs(5),
            },
            Ok(Redeemed::OtherAccount { .. }) => Error::invalid("connection_id", Why::OtherAccount),
            Ok(Redeemed::Refused(refusal)) => {
                let why = match refusal.blame {
                    Blame::App => NoToken::AppSecretRejected,
                    Blame::Grant => NoToken::NeedsReauthorization,
                    Blame::Provider | Blame::Network => NoToken::ProviderUnavailable {
                        retry_after_s: refusal.retry_after.map_or(5, whole_seconds),
                        refused: refusal.endpoint_health() == EndpointHealth::Works,
                    },
                };
                Error::NoToken { why, connect_url: None }
            }
            Err(error) => error,
        };
        if made {
            let gone = self.db.write(move |tx| store::connections::delete(tx, id)).await;
            // A disk that took no tokens takes this no more, and what became of those is what has to be told.
            if !matches!(why, Error::Unavailable { .. }) {
                gone?;
            }
        }
        Err(why)
    }
}
