//! Connections: accounts, connected or to be connected, through profiles.

use serde_json::json;

use super::{
    App,
    access::Caller,
    audit, connect, pins, providers, reach,
    revocations::{Revocation, end_grant},
    warnings,
};
use crate::{
    domain::{
        Error, Noun, Result, Timestamp, Why,
        audit::Deed,
        connection::{Connection, Draft, Filter, Status},
        customer::Key,
        event::EventKind,
        grant::Grant,
        profile::Profile,
        user::Scope,
        version::Expected,
        warning::{Warning, WarningCode},
    },
    store::{self, Read, Tx, stream::LIMITS},
};

pub use crate::store::{device_authorizations::Standing, stream::Pieces};

/// What [`App::delete_access_tokens`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokensDeleted {
    /// The connectors that have a configuration of that name.
    pub connectors: Vec<String>,
    /// How many connections lost their tokens.
    pub connections: u64,
    /// Of these, how many tell their provider, in the background.
    pub revoking: u64,
    /// And how many cannot, as the provider has no way to.
    pub not_revocable: u64,
}

/// A connection with all that is known of it, but for its secrets.
#[derive(Debug, Clone)]
pub struct Detail {
    /// The connection.
    pub connection: Connection,
    /// Its grant; `None`: there is none.
    pub grant: Option<Grant>,
    /// Who was handed its token, in which hour, how often; newest first.
    pub hand_outs: Vec<(String, Timestamp, u64)>,
    /// What became of its tokens at the provider, newest first.
    pub revocations: Vec<store::revocations::Outcome>,
    /// The device by whose code it is being connected, or was not; `None`: there is none, or it ended well.
    pub device: Option<Standing>,
    /// What should be known of it.
    pub warnings: Vec<Warning>,
}

impl App {
    /// A connection with all that is known of it.
    pub fn connection_detail(&self, caller: &Caller, id: i64) -> Result<Detail> {
        caller.need(Scope::ConnectionsRead).or_else(|_| caller.need(Scope::ConnectionsWrite))?;
        self.db.read(|read| {
            let connection = of_caller(read, caller, None, id)?;
            let grant = store::grants::find(read, id)?;
            let stored = grant.as_ref().map(|grant| grant.warnings.clone()).unwrap_or_default();
            // How many grants an account has changes with other connections.
            let stays = stored.iter().filter(|warning| warning.code != WarningCode::GrantLimitReached);
            let mut current: warnings::Current =
                stays.map(|warning| (warning.code, warnings::params(warning))).collect();
            current.extend(warnings::of_grant_limit(connect::crowd(read, &connection)?.as_ref()));
            Ok(Detail {
                warnings: warnings::since(&stored, current, read.now()),
                device: store::device_authorizations::standing(read, id)?,
                connection,
                grant,
                hand_outs: store::hand_outs::of_connection(read, id)?,
                revocations: store::revocations::of_connection(read, id)?,
            })
        })
    }

    /// All connections that pass the filter, by id, piece by piece.
    pub async fn list_connections(&self, caller: &Caller, filter: Filter) -> Result<Pieces<Connection>> {
        caller.need(Scope::ConnectionsRead)?;
        let filter = Filter { reach: caller.reach().clone(), ..filter };
        self.db
            .stream(LIMITS, move |read, out| store::connections::each(read, &filter, |connection| out.put(connection)))
            .await
    }

    /// All connections of one customer that pass the filter.
    pub async fn list_customer_connections(
        &self,
        caller: &Caller,
        key: Key,
        filter: Filter,
    ) -> Result<Pieces<Connection>> {
        caller.need(Scope::ConnectionsRead)?;
        let filter = Filter { reach: caller.reach().clone(), ..filter };
        self.db
            .stream(LIMITS, move |read, out| {
                let customer_id = Some(store::customers::get(read, &key)?.id);
                let filter = Filter { customer_id, ..filter };
                store::connections::each(read, &filter, |connection| out.put(connection))
            })
            .await
    }

    /// Makes a connection that nobody has authorised yet. Without a profile in the draft the only one of its provider is
    /// taken, or the one that the customer has.
    pub async fn create_connection(
        &self,
        caller: &Caller,
        customer: Option<Key>,
        mut draft: Draft,
    ) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                reach::may_make(tx, &caller, &mut draft)?;
                let customer = customer.map(|key| store::customers::get(tx, &key)).transpose()?;
                let customer_id = customer.map(|customer| customer.id);
                let profile = choose_profile(tx, &draft, customer_id)?;
                let id = store::connections::insert(tx, &draft, &profile.provider, profile.id, customer_id)?;
                let detail = json!({"name": draft.name.as_str(), "profile": profile.id});
                audit(tx, &caller, Deed::Created, "connection", id, &detail)?;
                store::connections::get(tx, id)
            })
            .await
    }

    /// Changes a connection: what `change` makes of it. Its provider and profile stay. `Changed` when it is not as expected.
    pub async fn update_connection(
        &self,
        caller: &Caller,
        customer: Option<Key>,
        id: i64,
        expected: Expected,
        change: impl FnOnce(&Connection) -> Draft + Send + 'static,
    ) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let connection = of_caller(tx, &caller, customer.as_ref(), id)?;
                expected.check(Noun::Connection, connection.updated_at)?;
                let draft = change(&connection);
                if draft.parent_id != connection.parent_id {
                    reach::may_descend(tx, &caller, draft.parent_id)?;
                }
                // A connection is not made from itself, not by way of others either.
                let mut parent = draft.parent_id;
                while let Some(next) = parent {
                    if next == id {
                        return Err(Error::invalid("parent_id", Why::NoneFits));
                    }
                    parent = match store::connections::get(tx, next) {
                        Ok(connection) => connection.parent_id,
                        // The reference itself is the database's to refuse.
                        Err(_) => None,
                    };
                }
                if let Some(input) = &draft.input {
                    pins::check_input(tx, &connection, input)?;
                }
                store::connections::update(tx, id, &draft)?;
                audit(tx, &caller, Deed::Updated, "connection", id, &json!({"name": draft.name.as_str()}))?;
                store::connections::get(tx, id)
            })
            .await
    }

    /// Removes a connection that no other was made from.
    pub async fn delete_connection(
        &self,
        caller: &Caller,
        customer: Option<Key>,
        id: i64,
        expected: Expected,
    ) -> Result<()> {
        caller.need(Scope::ConnectionsWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let connection = of_caller(tx, &caller, customer.as_ref(), id)?;
                expected.check(Noun::Connection, connection.updated_at)?;
                // Before its row goes: the tokens are ended at the provider as those of a disconnected one.
                end_grant(tx, id)?;
                store::connections::delete(tx, id)?;
                audit(tx, &caller, Deed::Deleted, "connection", id, &json!({"name": connection.name.as_str()}))
            })
            .await
            .inspect(|()| self.worker.wake())
    }

    /// Ends a connection's grant; the connection stays, and has to be authorised again. Safe to repeat.
    pub async fn disconnect(&self, caller: &Caller, customer: Option<Key>, id: i64) -> Result<Connection> {
        caller.need(Scope::ConnectionsWrite)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let connection = of_caller(tx, &caller, customer.as_ref(), id)?;
                end(tx, &connection, "disconnected")?;
                audit(tx, &caller, Deed::Disconnected, "connection", id, &json!({}))?;
                store::connections::get(tx, id)
            })
            .await
            .inspect(|_| self.worker.wake())
    }

    /// Ends the grants made through every profile of this name, of one owner or of everybody, as far as the caller reaches.
    /// The connections stay, and have to be authorised again.
    pub async fn delete_access_tokens(
        &self,
        caller: &Caller,
        name: &str,
        owner: Option<&str>,
    ) -> Result<TokensDeleted> {
        caller.need(Scope::ConnectionsWrite)?;
        let (caller, name, owner) = (caller.clone(), name.to_owned(), owner.map(str::to_owned));
        self.db
            .write(move |tx| {
                let profiles = store::profiles::of_name(tx, &name)?;
                if profiles.is_empty() {
                    return Err(Error::not_found(Noun::Profile, &name));
                }
                let mut done = TokensDeleted::default();
                for profile in profiles {
                    for id in store::connections::authorized(tx, profile.id, owner.as_deref(), caller.reach())? {
                        let connection = store::connections::get(tx, id)?;
                        done.connections += 1;
                        match end(tx, &connection, "access tokens deleted")? {
                            Revocation::Queued => done.revoking += 1,
                            Revocation::Impossible => done.not_revocable += 1,
                            Revocation::Nothing => {}
                        }
                    }
                    let detail =
                        json!({"all_owners": owner.is_none(), "all_in_reach": !caller.reach().is_everything()});
                    audit(tx, &caller, Deed::Disconnected, "profile", profile.id, &detail)?;
                    done.connectors.push(profile.provider);
                }
                Ok(done)
            })
            .await
            .inspect(|_| self.worker.wake())
    }
}

/// Ends a connection's grant here and, in the background, at its provider; one that was connected is lost by that.
fn end(tx: &Tx<'_>, connection: &Connection, reason: &str) -> Result<Revocation> {
    let revocation = end_grant(tx, connection.id)?;
    // Nobody who ends a grant wants the next one to come by itself.
    store::device_authorizations::settle(tx, connection.id, None, "disconnected", None)?;
    if connection.status == Some(Status::Success) {
        store::connections::lose(tx, connection.id, reason)?;
        let detail = json!({"reason": reason});
        let (id, profile_id) = (Some(connection.id), Some(connection.profile_id));
        store::events::insert(tx, EventKind::Disconnected, id, profile_id, &detail)?;
    }
    Ok(revocation)
}

/// A connection, of this customer where one is given, as a caller may see it: the one way to it for whatever somebody
/// asks. What is out of the caller's reach is not there.
pub(super) fn of_caller(read: &Read<'_>, caller: &Caller, customer: Option<&Key>, id: i64) -> Result<Connection> {
    let connection = store::connections::get(read, id)?;
    let theirs = match customer {
        Some(key) => connection.customer_id == Some(store::customers::get(read, key)?.id),
        None => true,
    };
    if theirs && caller.reach().has(id, connection.owner.as_deref()) {
        Ok(connection)
    } else {
        Err(Error::not_found(Noun::Connection, id))
    }
}

pub(super) fn choose_profile(read: &Read<'_>, draft: &Draft, customer_id: Option<i64>) -> Result<Profile> {
    const PATH: &str = "custom_oauth_profile_id";
    if let Some(slug) = &draft.provider {
        providers::need(read, slug, "provider")?;
    }
    if let Some(id) = draft.profile_id {
        let profile = store::profiles::get(read, id).map_err(|error| match error {
            Error::NotFound { .. } => Error::invalid(PATH, Why::NotInList),
            other => other,
        })?;
        return match &draft.provider {
            Some(slug) if *slug != profile.provider => Err(Error::invalid(PATH, Why::NoneFits)),
            _ => Ok(profile),
        };
    }
    let Some(slug) = &draft.provider else { return Err(Error::invalid("provider", Why::Missing)) };
    if let Some(customer_id) = customer_id
        && let Some(assigned) = store::customers::assigned(read, customer_id, slug)?
    {
        return store::profiles::get(read, assigned);
    }
    let mut all = store::profiles::of_provider(read, slug)?;
    match all.len() {
        0 => Err(Error::invalid(PATH, Why::NoneFits)),
        1 => Ok(all.remove(0)),
        _ => {
            let choices = all.iter().take(20).map(|profile| format!("{} ({})", profile.id, profile.name)).collect();
            Err(Error::invalid(PATH, Why::Ambiguous(choices)))
        }
    }
}
