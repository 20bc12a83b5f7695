//! Ending grants at their providers (RFC 7009): queued in the transaction that ends them here, sent in the background,
//! tried again while a provider is down. Here the tokens are gone at once in any case.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::{App, refresh::flight::random_below, registration::Registration};
use crate::{
    domain::{Result, Secret, Timestamp, audit::Deed},
    oauth::revoke::{RevocationOutcome, RevocationRequest, TokenHint},
    store::{self, Read, Tx},
};

/// So many are sent at once.
const PARALLEL: usize = 4;
/// A batch.
const BATCH: usize = 32;
/// A provider has so long to answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// After so many attempts, about two days, nobody tries any more.
const MOST_ATTEMPTS: u32 = 14;
const FIRST_PAUSE_MS: i64 = 5_000;
const LAST_PAUSE_MS: i64 = 6 * 60 * 60 * 1000;

/// What becomes of a grant's tokens at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// They will be revoked in the background.
    Queued,
    /// The provider has no way to revoke them, or we cannot speak to it.
    Impossible,
    /// There was nothing to revoke.
    Nothing,
}

/// The request that revokes a token, with whichever live secret the provider takes. `None`: there is no way to. `grant` has
/// all tokens of the grant, to be redacted in the answer.
fn request(
    registration: &Registration,
    grant: &[&Secret],
    token: &Secret,
    hint: TokenHint,
) -> Option<RevocationRequest> {
    let mut clients = registration.clients();
    for client in &mut clients {
        client.known.extend(grant.iter().copied().cloned());
    }
    let requests = clients.iter().filter_map(|client| registration.provider.revocation(client, token, hint));
    requests.rev().fold(None, |other, request| Some(request.or(other)))
}

/// Queues the revocation of tokens: the refresh token first, as many providers end the access token with it.
pub(super) fn queue(
    tx: &Tx<'_>,
    connection_id: i64,
    registration: &Registration,
    refresh: Option<&Secret>,
    access: Option<&Secret>,
) -> Result<Revocation> {
    let mut done = Revocation::Nothing;
    let grant: Vec<&Secret> = refresh.into_iter().chain(access).collect();
    for (token, hint, word) in
        [(refresh, TokenHint::Refresh, "refresh_token"), (access, TokenHint::Access, "access_token")]
    {
        let Some(token) = token else { continue };
        if let Some(request) = request(registration, &grant, token, hint) {
            store::revocations::insert(tx, connection_id, word, &request.to_secret())?;
            done = Revocation::Queued;
        } else {
            store::revocations::insert_settled(tx, connection_id, word, "unsupported")?;
            if done == Revocation::Nothing {
                done = Revocation::Impossible;
            }
        }
    }
    Ok(done)
}

/// Takes a connection's tokens away and queues their revocation.
pub(super) fn end_grant(tx: &Tx<'_>, connection_id: i64) -> Result<Revocation> {
    // What does not open any more cannot be revoked, and goes all the same.
    let Ok(found) = store::grants::find_with_tokens(tx, connection_id) else {
        store::grants::delete(tx, connection_id)?;
        return Ok(Revocation::Impossible);
    };
    let Some((_, tokens)) = found else { return Ok(Revocation::Nothing) };
    store::grants::delete(tx, connection_id)?;
    let connection = store::connections::get(tx, connection_id)?;
    let Ok(registration) = Registration::of_connection(tx, &connection) else {
        store::revocations::insert_settled(tx, connection_id, "refresh_token", "misconfigured")?;
        return Ok(Revocation::Impossible);
    };
    queue(tx, connection_id, &registration, tokens.refresh.as_ref(), Some(&tokens.access))
}

impl App {
    /// Sends the revocations that are due, and tells when the next one is.
    pub(super) async fn revoke_due(&self) -> Result<Option<Timestamp>> {
        let due = self.db.scan(|read: &Read<'_>| store::revocations::due(read, BATCH)).await?;
        let full = due.len() == BATCH;
        // Those of one connection one after the other, in the order in which they were queued.
        let mut by_connection: BTreeMap<i64, Vec<store::revocations::Waiting>> = BTreeMap::new();
        for waiting in due {
            by_connection.entry(waiting.connection_id).or_default().push(waiting);
        }
        stream::iter(by_connection.into_values())
            .for_each_concurrent(PARALLEL, |mut of_one| async move {
                of_one.sort_by_key(|waiting| waiting.id);
                for waiting in of_one {
                    let id = waiting.id;
                    if let Err(error) = self.revoke_one(waiting).await {
                        tracing::warn!(revocation = id, %error, "what came of a revocation could not be written");
                    }
                }
            })
            .await;
        if full { Ok(Some(self.db.now())) } else { self.db.read(store::revocations::next_due) }
    }

    /// Sends a revocation once, with each secret of the client until one is taken. What is said of a secret here counts for
    /// nothing but this: that one is turned down is judged where tokens are fetched, and some providers want another client
    /// here than there.
    async fn revoke_at_provider(&self, request: &RevocationRequest) -> RevocationOutcome {
        let clock = self.db.clock();
        let mut request = request;
        loop {
            let outcome = request.outcome(&self.engine.revoke(request, DEADLINE, &*clock).await);
            match request.after(&outcome) {
                Some(other) => request = other,
                None => return outcome,
            }
        }
    }

    /// Gives tokens back at once that could not be kept: nothing is queued, as nothing can be written. Answers whether the
    /// provider has ended all of them.
    pub(super) async fn give_back(
        &self,
        registration: &Registration,
        refresh: Option<&Secret>,
        access: &Secret,
    ) -> bool {
        let mut all = true;
        let grant: Vec<&Secret> = refresh.into_iter().chain([access]).collect();
        for (token, hint) in [(refresh, TokenHint::Refresh), (Some(access), TokenHint::Access)] {
            let Some(token) = token else { continue };
            all &= match request(registration, &grant, token, hint) {
                Some(request) => self.revoke_at_provider(&request).await == RevocationOutcome::Revoked,
                // An access token alone is the grant, where there is no other; else it ends by itself.
                None => hint == TokenHint::Access && refresh.is_some(),
            };
        }
        all
    }

    async fn revoke_one(&self, waiting: store::revocations::Waiting) -> Result<()> {
        let (id, attempts) = (waiting.id, waiting.attempts);
        let request = waiting.request.as_ref().and_then(|text| RevocationRequest::from_secret(text).ok());
        let mut wanted = 0;
        let (result, again) = match &request {
            None => ("unreadable".to_owned(), false),
            Some(request) => match self.revoke_at_provider(request).await {
                RevocationOutcome::Revoked => ("revoked".to_owned(), false),
                RevocationOutcome::Refused(error) => (error, false),
                RevocationOutcome::Again { error, retry_after } => {
                    wanted = retry_after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
                    (error, attempts + 1 < MOST_ATTEMPTS)
                }
            },
        };
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << attempts.min(20)).max(wanted).min(LAST_PAUSE_MS);
        let spread = random_below(pause / 4)?;
        let machine = self.machine("revocation");
        self.db
            .write(move |tx| {
                let next_at = again.then(|| tx.now().plus_ms(pause + spread));
                store::revocations::tried(tx, id, &result, next_at)?;
                if next_at.is_none() {
                    let detail = json!({"connection": waiting.connection_id, "result": result});
                    super::audit(tx, &machine, Deed::Revoked, "revocation", id, &detail)?;
                }
                Ok(())
            })
            .await
    }
}
