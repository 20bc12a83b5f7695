//! What every way to an account ends with: tokens that are fetched, looked at, and kept.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{App, Loss, Outcome, crowd};
use crate::{
    app::{
        access::Caller,
        audit,
        refresh::{flight, schedule::Validity},
        registration::{Registration, connection_secrets},
        revocations, warnings,
    },
    domain::{
        Error, Outage, Result, Secret, Timestamp,
        audit::Deed,
        connection::{Connection, Status},
        event::EventKind,
        grant::{Grant, GrantType, Tokens},
        profile::SecretKind,
        warning::{Warning, WarningCode},
    },
    oauth::{
        account::Account,
        redact::secret_fields,
        wire::{Answer, Ask, EndpointHealth, RawAnswer, Refusal, Sent, TokenSet},
    },
    store::{self, Read, Tx, connect_links, grants::Kept},
};

/// A provider has so long for each answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// For so long a disk that takes nothing is waited for while somebody waits for the answer; browsers and proxies are as
/// patient as that.
const PATIENCE: Duration = Duration::from_secs(20);

/// User info is asked for this often where it is out for a moment, after a pause that doubles.
const MAX_ACCOUNT_ATTEMPTS: u32 = 3;
const FIRST_ACCOUNT_PAUSE: Duration = Duration::from_millis(500);

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
        let held = self.db.read(|read| Ok(connection_secrets(read, aim.connection.id)))?;
        let mut last = None;
        // A client that is turned down has not used up the code: the other secret may be tried.
        let kinds: Vec<Option<SecretKind>> = match aim.registration.secrets.as_slice() {
            [] => vec![None],
            secrets => secrets.iter().map(|live| Some(live.kind)).collect(),
        };
        for kind in kinds {
            let live = aim.registration.secrets.iter().find(|live| Some(live.kind) == kind);
            let mut client = aim.registration.client(live);
            client.known.extend(secret_fields(&aim.extra).into_iter().chain(held.iter().cloned()));
            let sent = self.engine.token(&aim.registration.provider, &client, &ask, DEADLINE, &*clock).await;
            let refusal = match &sent {
                Sent::Answered(raw) => match aim.registration.provider.read(raw) {
                    Answer::Tokens(mut set) => {
                        self.endpoint_works(&aim.registration.provider, &client.id);
                        let repeatable = is_good_still(&ask, &set);
                        if let Ask::Refresh { refresh_token, .. } = ask {
                            self.observe_rotation(aim.connection.profile_id, !repeatable).await;
                            set.refresh.get_or_insert(refresh_token);
                        }
                        return self.keep(aim, kind, raw, set, repeatable).await;
                    }
                    Answer::Refused(refusal) => refusal,
                },
                unanswered => Refusal::of_sent(unanswered),
            };
            if refusal.endpoint_health() == EndpointHealth::Works {
                self.endpoint_works(&aim.registration.provider, &client.id);
            }
            let next_may_help = refusal.may_be_the_secret();
            last = Some(refusal);
            if !next_may_help {
                break;
            }
        }
        last.map(Redeemed::Refused).ok_or_else(|| Error::internal("no client to exchange with"))
    }

    /// Notes what an imported refresh token has shown. It is learned anew from the next refresh where the disk is full.
    async fn observe_rotation(&self, profile_id: i64, rotated: bool) {
        let noted = self.db.write(move |tx| store::profiles::observe_rotation(tx, profile_id, rotated)).await;
        if let Err(error) = noted {
            tracing::warn!(profile = profile_id, %error, "rotation not noted");
        }
    }

    /// Stores the tokens that came for a connection, once it is clear whose they are. `repeatable`: what was shown for them
    /// is still good. Then they can be had again, and revoking them may end what was shown.
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
        extra.extend(set.extra.clone());
        let account = self.verify_account(&aim, &set, &extra).await;
        let before = aim.connection.account_id.clone().filter(|_| !aim.other_account);
        if let (Some(before), Verified::Account(now)) = (&before, &account)
            && *before != now.id
        {
            if !repeatable {
                self.revoke_other_account(&aim, &now.id, &set).await?;
            }
            let label = aim.connection.account_label.as_ref().unwrap_or(before).clone();
            return Ok(Redeemed::OtherAccount { before: label, now: now.label.clone().unwrap_or(now.id.clone()) });
        }
        let label = account.account().map(|account| account.label.clone().unwrap_or_else(|| account.id.clone()));
        let (connection, patient) = (aim.connection.clone(), aim.device.is_some());
        let received =
            Arc::new(Received { aim, secret, account, set, extra, at: raw.received_at, skew_ms: raw.skew_ms() });
        let all = Arc::clone(&received);
        let work = move |tx: &Tx<'_>| {
            if all.aim.is_wanted(tx)? {
                return all.store(tx).map(Some);
            }
            // Where there is another grant by now these may be the same tokens, and are left alone.
            let id = all.aim.connection.id;
            if !repeatable && store::grants::find(tx, id)?.is_none() && !all.may_be_in_use(tx)? {
                let registration = &all.aim.registration;
                revocations::queue(tx, id, registration, all.set.refresh.as_ref(), Some(&all.set.access))?;
            }
            Ok(None)
        };
        // What is good once is not to be lost, so the disk is waited for: without an end where nobody is there to try again.
        let patience = match (repeatable, patient) {
            (true, _) => Duration::ZERO,
            (false, false) => PATIENCE,
            (false, true) => Duration::MAX,
        };
        let stored = flight::persist_within(self, patience, work).await;
        if !repeatable && matches!(stored, Err(Error::Unavailable { .. })) {
            let loss = self.lose(&received).await?;
            tracing::error!(connection = connection.id, ?loss, "tokens came and could not be kept: they are lost");
            return Ok(Redeemed::Lost(loss));
        }
        self.worker.wake();
        let Some(warnings) = stored? else { return Ok(Redeemed::Unwanted) };
        Ok(Redeemed::Connected(Outcome::Connected {
            connection_id: connection.id,
            name: connection.name.to_string(),
            provider: connection.provider,
            account: label,
            owner: connection.owner,
            warnings,
        }))
    }

    /// Asks whose tokens these are. An endpoint that is out for a moment is asked again: without its answer, another
    /// account cannot be told from the one before.
    async fn verify_account(&self, aim: &Aim, set: &TokenSet, extra: &Map<String, Value>) -> Verified {
        let (provider, mut client) = (&aim.registration.provider, aim.registration.first_client());
        client.known.extend(set.refresh.iter().cloned().chain(secret_fields(extra)));
        let asking = async {
            let mut pause = FIRST_ACCOUNT_PAUSE;
            for attempt in 1.. {
                match self.engine.user_info(provider, &client, &set.access, extra, DEADLINE).await {
                    Ok(Some(account)) => return Verified::Account(account),
                    Ok(None) => return Verified::NotTold,
                    Err(refusal) => {
                        let passing = refusal.endpoint_health() != EndpointHealth::Works
                            && !refusal.status.is_some_and(|status| (400..429).contains(&status));
                        if !passing || attempt >= MAX_ACCOUNT_ATTEMPTS {
                            return Verified::Failed(refusal.word());
                        }
                    }
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Verified::NotTold
        };
        let verified =
            tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| Verified::Failed("timeout".to_owned()));
        if let Verified::Failed(reason) = &verified {
            tracing::info!(connection = aim.connection.id, reason, "account not verified");
        }
        verified
    }

    /// Revokes tokens that were proven to belong to another account than the connection's, unless another connection works
    /// with that account: many providers end all grants of an account with any of its tokens.
    async fn revoke_other_account(&self, aim: &Aim, account: &str, set: &TokenSet) -> Result<()> {
        let (id, profile_id) = (aim.connection.id, aim.connection.profile_id);
        if self.db.read(|read| store::grants::may_be_in_use(read, profile_id, id, Some(account)))? {
            return Ok(());
        }
        let (registration, refresh, access) = (aim.registration.clone(), set.refresh.clone(), set.access.clone());
        let work =
            move |tx: &Tx<'_>| revocations::queue(tx, id, &registration, refresh.as_ref(), Some(&access)).map(drop);
        match flight::persist_within(self, PATIENCE, work).await {
            // What cannot be queued is sent at once, and once.
            Err(Error::Unavailable { .. }) => {
                let given_back = self.give_back(&aim.registration, set.refresh.as_ref(), &set.access).await;
                tracing::warn!(connection = id, given_back, "the revocation of another account's tokens is not queued");
            }
            queued => queued?,
        }
        self.worker.wake();
        Ok(())
    }

    /// Does what can be done about tokens that were not kept.
    async fn lose(&self, received: &Received) -> Result<Loss> {
        let id = received.aim.connection.id;
        let works = self.db.read(|read| {
            let own = store::grants::find(read, id)?.is_some() && store::connections::get(read, id)?.lost_at.is_none();
            Ok(own || received.may_be_in_use(read)?)
        })?;
        // Many providers end all tokens of an account with any of them, and those there were are good still.
        if works {
            return Ok(Loss::BesideOthers);
        }
        let set = &received.set;
        let given_back = self.give_back(&received.aim.registration, set.refresh.as_ref(), &set.access).await;
        Ok(if given_back { Loss::GivenBack } else { Loss::AtProvider })
    }
}

/// Whose account tokens are for.
enum Verified {
    /// This one's.
    Account(Account),
    /// The provider has no way to tell.
    NotTold,
    /// The provider did not tell, for this reason.
    Failed(String),
}

impl Verified {
    fn account(&self) -> Option<&Account> {
        match self {
            Self::Account(account) => Some(account),
            Self::NotTold | Self::Failed(_) => None,
        }
    }
}

/// Tokens that came, ready to be stored.
struct Received {
    aim: Aim,
    /// The client secret that was accepted.
    secret: Option<SecretKind>,
    account: Verified,
    set: TokenSet,
    extra: Map<String, Value>,
    at: Timestamp,
    skew_ms: Option<i64>,
}

impl Received {
    /// Whether these may be tokens of an account with which another connection works.
    fn may_be_in_use(&self, read: &Read<'_>) -> Result<bool> {
        let connection = &self.aim.connection;
        let account = self.account.account().map(|account| account.id.as_str());
        store::grants::may_be_in_use(read, connection.profile_id, connection.id, account)
    }

    /// The refresh token that the connection has, where it stays: the new answer has none, the connection works, and
    /// nothing shows that the account is another one or that the provider keeps one grant of each.
    fn refresh_token_before(&self, read: &Read<'_>) -> Result<Option<(Grant, Tokens)>> {
        let connection = store::connections::get(read, self.aim.connection.id)?;
        let replaced = self.aim.registration.provider.entry().grant_cap == Some(1);
        let other = match (&connection.account_id, self.account.account()) {
            (Some(before), Some(now)) => *before != now.id,
            // Another account was allowed to come, and whose it is remains open.
            (Some(_), None) => self.aim.other_account,
            (None, _) => false,
        };
        if self.set.refresh.is_some()
            || self.aim.grant_type == GrantType::ClientCredentials
            || connection.status != Some(Status::Success)
            || replaced
            || other
            || self.goes_elsewhere(read, &connection)
        {
            return Ok(None);
        }
        Ok(store::grants::find_with_tokens(read, connection.id)?.filter(|(grant, _)| grant.refreshable))
    }

    /// Whether the new values for the provider's variables lead to another origin than the refresh token was given for.
    fn goes_elsewhere(&self, read: &Read<'_>, connection: &Connection) -> bool {
        if self.aim.input.is_none() {
            return false;
        }
        let none = std::collections::BTreeMap::new();
        let here = self.aim.registration.provider.entry().destinations(&none);
        Registration::provider_of(read, connection)
            .map_or(true, |before| !before.entry().destinations(&none).cover(&here))
    }

    /// Stores the tokens; answers what should be known of them.
    fn store(&self, tx: &Tx<'_>) -> Result<Vec<Warning>> {
        let (aim, set, provider) = (&self.aim, &self.set, &self.aim.registration.provider);
        let before = self.refresh_token_before(tx)?;
        let old = before.as_ref().map(|(_, tokens)| tokens);
        let refresh = set.refresh.clone().or_else(|| old?.refresh.clone());
        let renews = refresh.is_some() || aim.grant_type == GrantType::ClientCredentials;
        let validity = Validity::of(provider, &set.lifetime, self.at, None);
        let requested = aim.scopes.as_deref().or(aim.connection.scopes.as_deref());
        let requested = requested.unwrap_or(&provider.entry().default_scopes);
        let mut current =
            warnings::of_tokens(provider, set, &validity, requested, set.scope.as_deref(), renews, self.at);
        if before.is_some() {
            current.push((WarningCode::RefreshTokenKept, json!({})));
        }
        if let Verified::Failed(reason) = &self.account {
            current.push((WarningCode::AccountUnverified, json!({"reason": reason})));
        }
        let kept = Kept {
            grant_type: aim.grant_type,
            tokens: Tokens {
                access: set.access.clone(),
                refresh,
                previous: old.and_then(|tokens| tokens.previous.clone()),
                extra: Secret::new(Value::Object(self.extra.clone()).to_string()),
            },
            token_type: set.token_type.clone(),
            scope: set.scope.clone(),
            issued_at: self.at,
            expires_at: validity.expires_at,
            refresh_expires_at: set.refresh_expires_at,
            due_at: validity.due_at(provider, self.at, renews, false)?,
            skew_ms: self.skew_ms,
            stated_lifetime_ms: validity.stated_lifetime_ms,
            short_lived: validity.short_lived,
            warnings: Vec::new(),
        };
        let warnings = keep(tx, aim, self.secret, self.account.account(), kept, current)?;
        if let Some((grant, _)) = &before {
            store::grants::keep_refresh_token(tx, grant)?;
        }
        Ok(warnings)
    }
}

/// Whether what was shown for these tokens gives tokens once more. A refresh token that is not replaced is good still
/// (RFC 6749 §6).
fn is_good_still(ask: &Ask, set: &TokenSet) -> bool {
    match ask {
        Ask::ClientCredentials { .. } => true,
        Ask::Refresh { refresh_token, .. } => {
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

/// Writes down that an account is connected. Answers what should be known of it.
pub(super) fn keep(
    tx: &Tx<'_>,
    aim: &Aim,
    secret: Option<SecretKind>,
    account: Option<&Account>,
    kept: Kept,
    mut current: warnings::Current,
) -> Result<Vec<Warning>> {
    let id = aim.connection.id;
    let connection = store::connections::get(tx, id)?;
    let before = store::grants::find(tx, id)?.map(|grant| grant.warnings).unwrap_or_default();
    store::grants::put(tx, id, &kept)?;
    store::refreshes::finish(tx, id)?;
    let account_fields = account.map(|account| (account.id.as_str(), account.label.as_deref()));
    store::connections::authorize(tx, id, account_fields, aim.scopes.as_deref())?;
    if let Some(input) = &aim.input {
        store::connections::put_input(tx, id, Some(input))?;
    }
    connect_links::delete_of_connection(tx, id)?;
    store::device_authorizations::delete(tx, id)?;
    let again = connection.authorized_at.is_some();
    current.extend(warnings::of_grant_limit(crowd(tx, &store::connections::get(tx, id)?)?.as_ref()));
    let warnings = warnings::since(&before, current, tx.now());
    store::grants::set_warnings(tx, id, &warnings)?;
    let codes: Vec<&str> = warnings.iter().map(|warning| warning.code.as_str()).collect();
    let detail = json!({
        "account": account.map(|account| account.label.as_ref().unwrap_or(&account.id)),
        "reconnected": again,
        "grant_type": aim.grant_type.as_str(),
        "warnings": codes,
    });
    store::events::insert(tx, EventKind::Connected, Some(id), Some(connection.profile_id), &detail)?;
    warnings::announce(tx, id, connection.profile_id, &before, &warnings)?;
    audit(tx, &aim.who, Deed::Connected, "connection", id, &json!({"grant_type": aim.grant_type.as_str()}))?;
    if let Some(kind) = secret {
        store::profiles::secret_used(tx, connection.profile_id, kind)?;
        flight::accepted(tx, connection.profile_id)?;
    }
    Ok(warnings)
}
