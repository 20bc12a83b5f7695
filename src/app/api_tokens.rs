//! Tokens for our own API.

use super::{App, access::Caller, audit, credential::Credential, reach};
use crate::{
    domain::{
        Error, Name, Result, Secret, Why,
        api_token::{ApiToken, TokenKind},
        audit::Deed,
        reach::Reach,
        user::{Scope, Scopes},
        value::Network,
    },
    store,
};

/// A token lives so long unless told otherwise: 90 days.
pub const DEFAULT_DAYS: u32 = 90;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What is asked for when a token is made.
#[derive(Debug)]
pub struct Draft {
    /// What it is for.
    pub name: Name,
    /// What it may do; not empty.
    pub scopes: Scopes,
    /// In how many days it stops; 0: never.
    pub days: u32,
    /// Networks it may be used from; empty: any.
    pub addresses: Vec<String>,
    /// Which connections it may see and use; no wider than the caller's.
    pub reach: Reach,
    /// Whose it is; `None`: the caller's.
    pub user_id: Option<i64>,
}

impl App {
    /// All tokens, never their text.
    pub fn list_api_tokens(&self, caller: &Caller) -> Result<Vec<ApiToken>> {
        caller.need(Scope::Admin)?;
        self.db.read(store::api_tokens::list)
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    pub async fn create_api_token(&self, caller: &Caller, draft: Draft) -> Result<(ApiToken, Secret)> {
        caller.need(Scope::Admin)?;
        if draft.scopes.is_empty() {
            return Err(Error::invalid("scopes", Why::Blank));
        }
        if draft.addresses.len() > 32 {
            return Err(Error::invalid("addresses", Why::TooMany(32)));
        }
        if draft.addresses.iter().any(|network| Network::parse(network).is_none()) {
            return Err(Error::invalid("addresses", Why::Malformed("addresses or networks such as 10.1.0.0/16")));
        }
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                reach::check(tx, &caller, &draft.reach)?;
                reach::give(&caller, &draft.reach)?;
                let expires_at = (draft.days > 0).then(|| tx.now().plus_ms(i64::from(draft.days) * DAY_MS));
                let user_id = draft.user_id.or_else(|| caller.user().map(|user| user.id));
                let new = store::api_tokens::New {
                    user_id,
                    name: &draft.name,
                    scopes: draft.scopes,
                    addresses: &draft.addresses,
                    reach: &draft.reach,
                    expires_at,
                };
                let id = store::api_tokens::insert(tx, &new)?;
                let credential = Credential::generate(TokenKind::Api, id)?;
                store::api_tokens::set_hash(tx, id, &credential.hash())?;
                let detail = serde_json::json!({
                    "name": draft.name.as_str(), "scopes": draft.scopes.to_string(),
                    "connections": draft.reach.connections, "owner": draft.reach.owner,
                });
                audit(tx, &caller, Deed::Created, "api_token", id, &detail)?;
                let (token, _) = store::api_tokens::find(tx, id)?.ok_or_else(|| Error::internal("just written"))?;
                Ok((token, credential.text().clone()))
            })
            .await
    }

    /// Revokes a token: it stops at once.
    pub async fn delete_api_token(&self, caller: &Caller, id: i64) -> Result<()> {
        caller.need(Scope::Admin)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                store::api_tokens::delete(tx, id)?;
                audit(tx, &caller, Deed::Deleted, "api_token", id, &serde_json::json!({}))
            })
            .await
    }
}
