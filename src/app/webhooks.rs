//! Webhooks: addresses that want to hear of events. They make this server call out, so they are for administrators; and
//! they hear of every connection, so whoever is limited to some makes none.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{App, access::Caller, audit, credential::Credential, deliveries, reach};
use crate::{
    domain::{
        Error, Faults, Result, Secret, Why,
        api_token::TokenKind,
        audit::Deed,
        event::EventKind,
        user::Scope,
        value::check_text,
        webhook::{Delivery, DeliveryStatus, Draft, Webhook},
    },
    store::{self, Tx},
};

/// More webhooks there are not: each event is queued for all of them.
pub const MOST_WEBHOOKS: usize = 50;
/// The most deliveries of one answer.
pub const MOST_DELIVERIES: u32 = 100;
/// The most characters of an address.
const MOST_URL: usize = 2048;

/// What is to be changed of a webhook; `None`: as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Where to deliver to.
    pub url: Option<String>,
    /// What it wants to hear of; empty: everything.
    pub kinds: Option<Vec<EventKind>>,
    /// Whether anything is delivered.
    pub enabled: Option<bool>,
}

/// What came of a ping.
#[derive(Debug, Clone)]
pub struct Ping {
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The status of the answer, `timeout`, or a reason.
    pub result: String,
    /// How long it took.
    pub took: Duration,
}

impl App {
    /// All webhooks.
    pub async fn list_webhooks(&self, caller: &Caller) -> Result<Vec<Webhook>> {
        caller.need(Scope::Admin)?;
        self.db.scan(store::webhooks::list).await
    }

    /// The webhook with this id.
    pub async fn get_webhook(&self, caller: &Caller, id: i64) -> Result<Webhook> {
        caller.need(Scope::Admin)?;
        self.db.scan(move |read| store::webhooks::get(read, id)).await
    }

    /// The one way to write an address that may be delivered to.
    fn webhook_url(&self, url: &str) -> Result<String, Why> {
        check_text(url, MOST_URL)?;
        self.engine.check_address(url)
    }

    /// Makes a webhook. The secret that its deliveries are signed with is in the answer and nowhere else. Without an address
    /// nothing is made.
    pub async fn create_webhook(&self, caller: &Caller, new: Change) -> Result<(Webhook, Secret)> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let mut faults = Faults::default();
        let url = new.url.ok_or(Why::Missing).and_then(|url| self.webhook_url(&url));
        let url = faults.take("url", url);
        let url = faults.all(url)?;
        let draft = Draft { url, kinds: sorted(new.kinds.unwrap_or_default()), enabled: new.enabled.unwrap_or(true) };
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                if store::webhooks::count(tx)? >= MOST_WEBHOOKS {
                    return Err(Error::invalid("", Why::TooMany(MOST_WEBHOOKS)));
                }
                let id = store::webhooks::insert(tx, &draft)?;
                let secret = new_secret(tx, id)?;
                audit(tx, &caller, Deed::Created, "webhook", id, &facts(&draft))?;
                Ok((store::webhooks::get(tx, id)?, secret))
            })
            .await
    }

    /// Changes a webhook. What waits goes to the new address.
    pub async fn update_webhook(&self, caller: &Caller, id: i64, change: Change) -> Result<Webhook> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let url = change.url.map(|url| self.webhook_url(&url)).transpose();
        let url = url.map_err(|why| Error::invalid("url", why))?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let before = store::webhooks::get(tx, id)?;
                let draft = Draft {
                    url: url.unwrap_or(before.url),
                    kinds: change.kinds.map_or(before.kinds, sorted),
                    enabled: change.enabled.unwrap_or(before.enabled),
                };
                store::webhooks::update(tx, id, &draft)?;
                audit(tx, &caller, Deed::Updated, "webhook", id, &facts(&draft))?;
                store::webhooks::get(tx, id)
            })
            .await
    }

    /// Removes a webhook, with all that is on its way there.
    pub async fn delete_webhook(&self, caller: &Caller, id: i64) -> Result<()> {
        caller.need(Scope::Admin)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                store::webhooks::delete(tx, id)?;
                audit(tx, &caller, Deed::Deleted, "webhook", id, &json!({}))
            })
            .await
    }

    /// Gives a webhook a new secret; the one before stops at once.
    pub async fn renew_webhook_secret(&self, caller: &Caller, id: i64) -> Result<Secret> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let secret = new_secret(tx, id)?;
                audit(tx, &caller, Deed::SecretIssued, "webhook", id, &json!({}))?;
                Ok(secret)
            })
            .await
    }

    /// Up to `limit` deliveries to a webhook (at most [`MOST_DELIVERIES`]), newest first; `before`: only those with a
    /// smaller id.
    pub async fn list_deliveries(
        &self,
        caller: &Caller,
        webhook_id: i64,
        status: Option<DeliveryStatus>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Delivery>> {
        caller.need(Scope::Admin)?;
        self.db
            .scan(move |read| {
                store::webhooks::get(read, webhook_id)?;
                store::deliveries::list(read, webhook_id, status, before, limit.min(MOST_DELIVERIES))
            })
            .await
    }

    /// Lets a delivery be tried now, one that was given up included.
    pub async fn retry_delivery(&self, caller: &Caller, webhook_id: i64, id: i64) -> Result<Delivery> {
        caller.need(Scope::Admin)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let delivery = store::deliveries::retry(tx, webhook_id, id)?;
                audit(tx, &caller, Deed::Updated, "webhook", webhook_id, &json!({"retried_delivery": id}))?;
                Ok(delivery)
            })
            .await
    }

    /// Sends a ping to a webhook, enabled or not, and tells what came back. `TooMany` while a few others are under way.
    pub async fn test_webhook(&self, caller: &Caller, id: i64) -> Result<Ping> {
        caller.need(Scope::Admin)?;
        let (webhook, secret, now) = self
            .db
            .scan(move |read| {
                Ok((store::webhooks::get(read, id)?, store::webhooks::open_secret(read, id)?, read.now()))
            })
            .await?;
        let _place = self.pings.place()?;
        let begun = Instant::now();
        let sent = self.post(&webhook.url, &secret, &deliveries::Letter::ping(now)).await;
        Ok(Ping { delivered: sent.is_ok(), result: sent.unwrap_or_else(|result| result), took: begun.elapsed() })
    }
}

/// What is worth keeping in the audit trail; the path of an address may be a secret.
fn facts(draft: &Draft) -> serde_json::Value {
    let host = url::Url::parse(&draft.url).ok().map(|url| url.origin().ascii_serialization());
    let kinds: Vec<&str> = draft.kinds.iter().map(|kind| kind.as_str()).collect();
    json!({"host": host, "events": kinds, "enabled": draft.enabled})
}

/// Each kind once, in the order of all of them.
fn sorted(kinds: Vec<EventKind>) -> Vec<EventKind> {
    EventKind::ALL.into_iter().filter(|kind| kinds.contains(kind)).collect()
}

fn new_secret(tx: &Tx<'_>, id: i64) -> Result<Secret> {
    let secret = Credential::generate(TokenKind::Webhook, id)?.text().clone();
    store::webhooks::put_secret(tx, id, &secret)?;
    Ok(secret)
}
