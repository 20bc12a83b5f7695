//! What every way to an account ends with: tokens that are fetched, looked at, and kept.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{App, Loss, Outcome, crowd};
use crate::{
    app::{
        access::Caller,
        audit,
        refresh::{self, flight},
        registration::Registration,
        revocations,
    },
    domain::{
        Error, Outage, Result, Secret, Timestamp,
        audit::Deed,
        connection::Connection,
        event::EventKind,
        grant::{Crowd, GrantType, Tokens},
        profile::SecretKind,
    },
    oauth::{
        account::Account,
        wire::{Answer, Ask, RawAnswer, Refusal, Sent, TokenSet},
    },
    store::{self, Read, Tx, connect_links, grants::Kept},
};

/// A provider has so long for each answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// For so long a disk that takes nothing is waited for while somebody waits for the answer; browsers and proxies are as
/// patient as that.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where tokens are to go.
pub(super) struct Aim {
    pub(super) connection: Connection,
    pub(super) registration: Registration,
    /// Values for the provider's variables that the connection gets.
    pub(super) input: Option<Secret>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) other_account: bool,
    pub(super) grant_type: GrantType,
    pub(super) extra: Map<String, Value>,
    pub(super) who: Caller,
    /// The device that waits for them, by when it began; `None`: no device.
    pub(super) device: Option<Timestamp>,
}

pub(super) enum Redeemed {
    Connected(Outcome),
    OtherAccount {
        before: String,
        now: String,
    },
    Refused(Refusal),
    /// Nobody waits for them any more: the connection is gone, or the device's code is no longer the one that counts.
    Unwanted,
    /// They came, and the database did not take them.
    Lost(Loss),
}

impl App {
    /// Exchanges on the engine thread: a browser that is closed does not cut it off.
    pub(super) async fn redeem_aside(&self, aim: Aim, ask: Ask) -> Result<Redeemed> {
        let stopping = || Error::unavailable(Outage::Stopping);
        let app = self.me.upgrade().ok_or_else(stopping)?;
        let (tell, told) = tokio::sync::oneshot::channel();
        self.worker.spawn(async move {
            // Whoever asked may have gone.
            drop(tell.send(app.redeem(aim, ask).await));
        });
        told.await.map_err(|_| stopping())?
    }

    /// Fetches tokens and keeps them. On the engine thread.
    pub(super) async fn redeem(&self, aim: Aim, ask: Ask) -> Result<Redeemed> {
        let clock = self.db.clock();
        let mut last = None;
        // A client that is turned down has not used up the code: the other secret may be tried.
        let kinds: Vec<Option<SecretKind>> = match aim.registration.secrets.as_slice() {
            [] => vec![None],
            secrets => secrets.iter().map(|live| Some(live.kind)).collect(),
        };
        for kind in kinds {
            let live = aim.registration.secrets.iter().find(|live| Some(live.kind) == kind);
            let client = aim.registration.client(live);
            let sent = self.engine.token(&aim.registration.provider, &client, &ask, DEADLINE, &*clock).await;
            let refusal = match &sent {
                Sent::Answered(raw) => match aim.registration.provider.read(raw) {
                    Answer::Tokens(mut set) => {
                        let repeatable = is_good_still(&ask, &set);
                        if let Ask::Refresh { refresh_token } = ask {
                            set.refresh.get_or_insert(refresh_token);
                        }
                        return self.keep(aim, kind, raw, set, repeatable).await;
                    }
                    Answer::Refused(refusal) => refusal,
                },
                unanswered => Refusal::of_sent(unanswered),
            };
            let next_may_help = refusal.may_be_the_secret();
            last = Some(refusal);
            if !next_may_help {
                break;
            }
        }
        last.map(Redeemed::Refused).ok_or_else(|| Error::internal("no client to exchange with"))
    }

    /// Keeps the tokens that came for a connection, once it is clear whose they are. `repeatable`: what was shown for them is
    /// good still. Then they can be had again, and ending them may end what was shown.
    async fn keep(
        &self,
        aim: Aim,
        secret: Option<SecretKind>,
        raw: &RawAnswer,
        set: TokenSet,
        repeatable: bool,
    ) -> Result<Redeemed> {
        // Some providers tell in the callback whose account it is, and not with the tokens.
        let mut extra = aim.extra.clone();
        extra.extend(set.extra);
        let account = match self.engine.user_info(&aim.registration.provider, &set.access, &extra, DEADLINE).await {
            Ok(account) => account,
            Err(refusal) => {
                tracing::info!(
                    connection = aim.connection.id,
                    error = refusal.error,
                    "the provider does not say whose account it is"
                );
                None
            }
        };
        let before = aim.connection.account_id.clone().filter(|_| !aim.other_account);
        let stranger = match (&before, &account) {
            (Some(before), Some(Account { id, .. })) => before != id,
            // It had an account, and nobody says whose this is.
            (Some(_), None) => aim.registration.provider.entry().userinfo.is_some(),
            (None, _) => false,
        };
        let now = account.as_ref().map(|account| account.label.clone().unwrap_or_else(|| account.id.clone()));
        let (refresh, access) = (set.refresh.clone(), set.access.clone());
        if stranger && !repeatable {
            let (id, registration) = (aim.connection.id, aim.registration.clone());
            let work =
                move |tx: &Tx<'_>| revocations::queue(tx, id, &registration, refresh.as_ref(), Some(&access)).map(drop);
            match flight::persist_within(self, PATIENCE, work).await {
                // What cannot be queued is sent at once, and once.
                Err(Error::Unavailable { .. }) => {
                    let given_back = self.give_back(&aim.registration, set.refresh.as_ref(), &set.access).await;
                    tracing::warn!(
                        connection = id,
                        given_back,
                        "the revocation of another account's tokens is not queued"
                    );
                }
                queued => queued?,
            }
            self.worker.wake();
        }
        if stranger {
            let label = aim.connection.account_label.clone().or(before).unwrap_or_default();
            return Ok(Redeemed::OtherAccount { before: label, now: now.unwrap_or_default() });
        }
        let refreshable = set.refresh.is_some() || aim.grant_type == GrantType::ClientCredentials;
        let due_at = refresh::due_at(&aim.registration.provider, raw.received_at, set.expires_at, refreshable)?;
        let kept = Kept {
            grant_type: aim.grant_type,
            tokens: Tokens {
                access: set.access,
                refresh: set.refresh,
                previous: None,
                extra: Secret::new(Value::Object(extra).to_string()),
            },
            token_type: set.token_type,
            scope: set.scope,
            issued_at: raw.received_at,
            expires_at: set.expires_at,
            refresh_expires_at: set.refresh_expires_at,
            due_at,
            skew_ms: raw.skew_ms(),
        };
        let (connection, patient) = (aim.connection.clone(), aim.device.is_some());
        let whole = Arc::new((aim, account, kept));
        let all = Arc::clone(&whole);
        let work = move |tx: &Tx<'_>| {
            let (aim, account, kept) = &*all;
            if aim.is_wanted(tx)? {
                return keep(tx, aim, secret, account.as_ref(), kept).map(Some);
            }
            // Where there is another grant by now these may be the same tokens, and are left alone.
            let id = aim.connection.id;
            if !repeatable && store::grants::find(tx, id)?.is_none() {
                let tokens = &kept.tokens;
                revocations::queue(tx, id, &aim.registration, tokens.refresh.as_ref(), Some(&tokens.access))?;
            }
            Ok(None)
        };
        // What is good once is not to be lost, so the disk is waited for: without an end where nobody is there to try again.
        let patience = match (repeatable, patient) {
            (true, _) => Duration::ZERO,
            (false, false) => PATIENCE,
            (false, true) => Duration::MAX,
        };
        let kept = flight::persist_within(self, patience, work).await;
        if !repeatable && matches!(kept, Err(Error::Unavailable { .. })) {
            let (aim, _, kept) = &*whole;
            let loss = self.lose(aim, &kept.tokens).await?;
            tracing::error!(connection = connection.id, ?loss, "tokens came and could not be kept: they are lost");
            return Ok(Redeemed::Lost(loss));
        }
        self.worker.wake();
        let Some(crowd) = kept? else { return Ok(Redeemed::Unwanted) };
        Ok(Redeemed::Connected(Outcome::Connected {
            connection_id: connection.id,
            name: connection.name.to_string(),
            provider: connection.provider,
            account: now,
            owner: connection.owner,
            crowd,
        }))
    }

    /// Does what can be done about tokens that were not kept.
    async fn lose(&self, aim: &Aim, tokens: &Tokens) -> Result<Loss> {
        let id = aim.connection.id;
        let works = self.db.read(|read| {
            Ok(store::grants::find(read, id)?.is_some() && store::connections::get(read, id)?.lost_at.is_none())
        })?;
        // Many providers end all tokens of an account with any of them, and those there were are good still.
        if works {
            return Ok(Loss::BesideOthers);
        }
        let given_back = self.give_back(&aim.registration, tokens.refresh.as_ref(), &tokens.access).await;
        Ok(if given_back { Loss::GivenBack } else { Loss::AtProvider })
    }
}

/// Whether what was shown for these tokens gives tokens once more. A refresh token that is not replaced is good still
/// (RFC 6749 §6).
fn is_good_still(ask: &Ask, set: &TokenSet) -> bool {
    match ask {
        Ask::ClientCredentials { .. } => true,
        Ask::Refresh { refresh_token } => {
            set.refresh.as_ref().is_none_or(|fresh| fresh.expose() == refresh_token.expose())
        }
        Ask::AuthorizationCode { .. } | Ask::DeviceCode { .. } => false,
    }
}

impl Aim {
    /// Whether somebody still waits for tokens.
    fn is_wanted(&self, read: &Read<'_>) -> Result<bool> {
        let id = self.connection.id;
        match store::connections::get(read, id) {
            Err(Error::NotFound { .. }) => return Ok(false),
            other => drop(other?),
        }
        self.device.map_or(Ok(true), |begun_at| store::device_authorizations::waits(read, id, begun_at))
    }
}

/// Writes down that an account is connected. Answers whether its provider keeps no more grants of it.
pub(super) fn keep(
    tx: &Tx<'_>,
    aim: &Aim,
    secret: Option<SecretKind>,
    account: Option<&Account>,
    kept: &Kept,
) -> Result<Option<Crowd>> {
    let id = aim.connection.id;
    let connection = store::connections::get(tx, id)?;
    store::grants::put(tx, id, kept)?;
    store::refreshes::finish(tx, id)?;
    let account_fields = account.map(|account| (account.id.as_str(), account.label.as_deref()));
    store::connections::authorize(tx, id, account_fields, aim.scopes.as_deref())?;
    if let Some(input) = &aim.input {
        store::connections::put_input(tx, id, Some(input))?;
    }
    connect_links::delete_of_connection(tx, id)?;
    store::device_authorizations::delete(tx, id)?;
    let again = connection.authorized_at.is_some();
    let detail = json!({
        "account": account.map(|account| account.label.as_ref().unwrap_or(&account.id)),
        "reconnected": again,
        "grant_type": aim.grant_type.as_str(),
    });
    store::events::insert(tx, EventKind::Connected, Some(id), Some(connection.profile_id), &detail)?;
    audit(tx, &aim.who, Deed::Connected, "connection", id, &json!({"grant_type": aim.grant_type.as_str()}))?;
    if let Some(kind) = secret {
        store::profiles::secret_used(tx, connection.profile_id, kind)?;
        flight::accepted(tx, connection.profile_id)?;
    }
    crowd(tx, &store::connections::get(tx, id)?)
}
