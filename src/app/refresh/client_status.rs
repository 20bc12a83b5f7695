//! Whether a provider accepts a client, asked without any grant.
//!
//! One connection's answer is about one connection. Before the credentials of a profile count as rejected, a made-up
//! authorization code is sent with them: a provider that accepts the client has to say that the code is invalid (RFC 6749
//! §5.2). One request more is cheaper than an outage of all connections.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{super::App, flight::Plan};
use crate::{
    app::registration::{LiveSecret, Registration},
    domain::{Result, Timestamp, grant::Blame, profile::SecretKind},
    oauth::{
        trial::{Told, Trial},
        wire::Refusal,
    },
    store,
};

/// What was found out counts for this long.
const VALID_FOR: Duration = Duration::from_mins(1);
/// The deadline of each request.
const DEADLINE: Duration = Duration::from_secs(15);
/// Profiles that are remembered.
const MAX_PROFILES: usize = 4096;
/// Connections that may have a token endpoint of their own and are looked at.
const MAX_OTHERS: usize = 20;

/// What a provider thinks of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientStatus {
    /// It rejects a code, and not the client.
    Accepted,
    /// It rejects the client.
    Rejected,
    /// Its answer tells neither.
    Unknown,
}

/// What is known of the clients of profiles.
#[derive(Default)]
pub(super) struct ClientStatuses(Mutex<HashMap<i64, Arc<Known>>>);

#[derive(Default)]
struct Known {
    /// One question at a time for each profile.
    last: tokio::sync::Mutex<Option<Answered>>,
    /// Connections that were refused without a word on the client or the grant, since the last success.
    refused: Mutex<BTreeSet<i64>>,
}

#[derive(Clone)]
struct Answered {
    at: Instant,
    secret: Option<(SecretKind, Timestamp)>,
    url: String,
    status: ClientStatus,
}

impl ClientStatuses {
    fn of(&self, profile_id: i64) -> Arc<Known> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_PROFILES && !all.contains_key(&profile_id) {
            all.retain(|_, known| Arc::strong_count(known) > 1);
        }
        Arc::clone(all.entry(profile_id).or_default())
    }

    /// A connection of the profile was refreshed: its client is accepted.
    pub(super) fn accepted(&self, profile_id: i64) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&profile_id).cloned();
        if let Some(known) = known {
            known.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Whether the answer to a refresh means that the provider rejects the client. `invalid_client` does, unless the client is
/// seen to be accepted; anything else does when the client is seen to be rejected, or, where that cannot be seen, when the
/// secret was never accepted or two connections are refused with no success between.
pub(super) async fn is_client_rejected(app: &App, plan: &Plan, refusal: &Refusal) -> Result<bool> {
    let registration = plan.registration();
    let profile_id = registration.profile.id;
    if registration.rejected_until.is_some() {
        // It was found out before, and this is the attempt that would have shown otherwise.
        return Ok(true);
    }
    let known = app.refresher.client_statuses.of(profile_id);
    let two_refused = {
        let mut refused = known.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < 2 {
            refused.insert(plan.connection_id());
        }
        refused.len() >= 2
    };
    match client_status(app, plan, refusal).await? {
        ClientStatus::Accepted => Ok(false),
        // Where each account has a token endpoint of its own, one of them speaks for itself alone.
        ClientStatus::Rejected => Ok(!is_accepted_elsewhere(app, plan, refusal).await?),
        ClientStatus::Unknown if refusal.blame == Blame::App => Ok(true),
        ClientStatus::Unknown => {
            let kind = plan.live_secret().map(|live| live.kind);
            let proven = match kind {
                Some(kind) => app.db.read(|read| store::profiles::is_proven(read, profile_id, kind))?,
                None => true,
            };
            Ok(!proven || two_refused)
        }
    }
}

/// Asks the provider at the endpoint of this plan, or remembers what it said within the last minute.
pub(super) async fn client_status(app: &App, plan: &Plan, refusal: &Refusal) -> Result<ClientStatus> {
    ask(app, plan.registration(), plan.live_secret(), refusal).await
}

async fn ask(
    app: &App,
    registration: &Registration,
    live: Option<&LiveSecret>,
    refusal: &Refusal,
) -> Result<ClientStatus> {
    let known = app.refresher.client_statuses.of(registration.profile.id);
    let secret = live.map(|live| (live.kind, live.since));
    let url = registration.provider.token_url();
    let mut last = known.last.lock().await;
    if let Some(answered) = last.as_ref()
        && answered.at.elapsed() < VALID_FOR
        && answered.secret == secret
        && answered.url == url
    {
        return Ok(answered.status);
    }
    let profile_id = registration.profile.id;
    let callback = app.db.read(|read| store::profiles::callback_path(read, profile_id))?;
    let redirect_uri = format!("{}{callback}", app.settings.public_url);
    let client = registration.client(live);
    let clock = app.db.clock();
    let provider = &registration.provider;
    app.wait_for_turn(provider, registration.profile.client_id.as_str()).await;
    let own = app.engine.try_code(provider, &client, &redirect_uri, DEADLINE, &*clock).await?;
    let status = match judge(&own, refusal) {
        Judged::Known(status) => status,
        Judged::SameAnswer => {
            app.wait_for_turn(provider, registration.profile.client_id.as_str()).await;
            let decoy = app.engine.try_code(provider, &client.impostor()?, &redirect_uri, DEADLINE, &*clock).await?;
            // A provider that tells this client from another one means this client.
            if is_same(&own, &decoy) { ClientStatus::Unknown } else { ClientStatus::Rejected }
        }
    };
    tracing::info!(profile = profile_id, status = ?status, "client checked without a grant");
    *last = Some(Answered { at: Instant::now(), secret, url: url.to_owned(), status });
    Ok(status)
}

enum Judged {
    Known(ClientStatus),
    /// The made-up code got the answer that the grant got.
    SameAnswer,
}

fn judge(own: &Trial, refusal: &Refusal) -> Judged {
    match own.told {
        Told::NoSuchCode | Told::NotThere | Told::NoCodes | Told::Tokens => Judged::Known(ClientStatus::Accepted),
        // A word of the provider's that means the client, and not merely the status.
        Told::NoSuchClient if !own.error.starts_with("http_") && !own.error.eq_ignore_ascii_case("unauthorized") => {
            Judged::Known(ClientStatus::Rejected)
        }
        _ if own.exchange.received.status.is_some()
            && own.exchange.received.status == refusal.status
            && own.error == refusal.word() =>
        {
            Judged::SameAnswer
        }
        _ => Judged::Known(ClientStatus::Unknown),
    }
}

fn is_same(one: &Trial, other: &Trial) -> bool {
    one.exchange.received.status == other.exchange.received.status && one.error == other.error
}

/// Whether the client is accepted at the token endpoint of another connection, where connections have endpoints of their
/// own.
async fn is_accepted_elsewhere(app: &App, plan: &Plan, refusal: &Refusal) -> Result<bool> {
    let (profile_id, here) = (plan.registration().profile.id, plan.registration().provider.token_url());
    let other = app.db.read(|read| {
        for id in store::connections::with_input(read, profile_id, plan.connection_id(), MAX_OTHERS)? {
            let connection = store::connections::get(read, id)?;
            if let Ok(found) = Registration::of_connection(read, &connection)
                && found.provider.token_url() != here
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    })?;
    let Some(other) = other else { return Ok(false) };
    let wanted = plan.live_secret().map(|live| live.kind);
    let live = other.secrets.iter().find(|live| Some(live.kind) == wanted);
    Ok(ask(app, &other, live, refusal).await? == ClientStatus::Accepted)
}
