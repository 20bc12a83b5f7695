//! Connecting accounts: by a link and a browser (`link`), by a code that somebody enters elsewhere (`device`), by the app's
//! own credentials or by bringing a grant along (`import`). What they have in common is in `redeem`.

mod device;
mod import;
mod link;
mod redeem;

use serde_json::json;

use super::{
    App,
    access::Caller,
    audit,
    connections::{choose_profile, of_caller},
    providers, reach,
    registration::{Registration, strings},
    warnings,
};
use crate::{
    domain::{
        Error, Name, Result, Secret, Why,
        audit::Deed,
        connection::{Connection, Draft, Status},
        customer::Key,
        grant::Crowd,
        profile::Profile,
        warning::Warning,
    },
    store::{self, Read, Tx, connect_links},
};
pub use device::Device;
pub(super) use device::Polls;
pub use import::ImportedGrant;
pub use link::{Back, Callback, ConnectRefusal, Landing, Link, Loss, Opened, Outcome, RuntimeWish};

/// More scopes, or longer ones, nobody asks for.
const MOST_SCOPES: usize = 100;
const MOST_SCOPE: usize = 255;

/// What is asked for when an account is to be connected.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Through which profile; `None`: the only one of the provider.
    pub profile_id: Option<i64>,
    /// At which provider; `None`: the profile's.
    pub provider: Option<String>,
    /// To which connection again; `None`: to a new one.
    pub connection_id: Option<i64>,
    /// What a new connection is called; `None`: what its provider is called.
    pub name: Option<Name>,
    /// Whose account it is.
    pub owner: Option<String>,
    /// The connection's id in somebody else's system.
    pub external_id: Option<String>,
    /// The folder of a new connection.
    pub folder_id: Option<i64>,
    /// The connection that a new one is made from.
    pub parent_id: Option<i64>,
    /// The customer that a new connection belongs to.
    pub customer: Option<Key>,
    /// What to ask for; `None`: the provider's default.
    pub scopes: Option<Vec<String>>,
    /// Values for the provider's variables, a JSON object.
    pub variables: Option<Secret>,
    /// Where the browser goes in the end; on the allow-list.
    pub return_url: Option<String>,
    /// Whether another account than before may come.
    pub other_account: bool,
}

/// What a wish is about.
enum Target {
    /// A connection that is there.
    Known(Connection),
    /// One that is to be made.
    New { draft: Draft, profile: Profile, customer_id: Option<i64> },
}

/// The registration that a connection would use with these values, or with its own.
fn registration(read: &Read<'_>, connection: &Connection, variables: Option<&Secret>) -> Result<Registration> {
    match variables {
        Some(values) => Registration::of_profile(read, connection.profile_id, &strings(values)),
        None => Registration::of_connection(read, connection),
    }
}

/// Finds what a wish is about.
fn target(read: &Read<'_>, caller: &Caller, wish: &Wish) -> Result<Target> {
    let customer = wish.customer.as_ref();
    if let Some(id) = wish.connection_id {
        let connection = of_caller(read, caller, customer, id)?;
        if wish.profile_id.is_some_and(|profile| profile != connection.profile_id) {
            return Err(Error::invalid("custom_oauth_profile_id", Why::Fixed));
        }
        return Ok(Target::Known(connection));
    }
    let customer_id = customer.map(|key| store::customers::get(read, key)).transpose()?.map(|customer| customer.id);
    let placeholder = || Name::new("connection").map_err(|why| Error::invalid("name", why));
    let mut draft = Draft {
        name: wish.name.clone().map_or_else(placeholder, Ok)?,
        provider: wish.provider.clone(),
        profile_id: wish.profile_id,
        owner: wish.owner.clone(),
        external_id: wish.external_id.clone(),
        folder_id: wish.folder_id,
        parent_id: wish.parent_id,
        input: wish.variables.clone(),
    };
    reach::may_make(read, caller, &mut draft)?;
    let profile = choose_profile(read, &draft, customer_id)?;
    if wish.name.is_none() {
        draft.name = profile.name.clone();
    }
    Ok(Target::New { draft, profile, customer_id })
}

/// The connection that a wish is about, made where it is new, and whether it is the wish's own: nobody has connected it
/// yet, and nothing but such a wish brought it into being.
fn aim(tx: &Tx<'_>, caller: &Caller, wish: &Wish) -> Result<(Connection, bool)> {
    match target(tx, caller, wish)? {
        Target::Known(connection) => {
            let new = connection.status.is_none() && connect_links::is_new(tx, connection.id)?;
            Ok((connection, new))
        }
        Target::New { draft, profile, customer_id } => {
            let id = store::connections::insert(tx, &draft, &profile.provider, profile.id, customer_id)?;
            let detail = json!({"name": draft.name.as_str(), "profile": profile.id});
            audit(tx, caller, Deed::Created, "connection", id, &detail)?;
            Ok((store::connections::get(tx, id)?, true))
        }
    }
}

/// Whether a connection's account has as many grants as its provider keeps; `None` where it has not, or nobody knows.
pub(super) fn crowd(read: &Read<'_>, connection: &Connection) -> Result<Option<Crowd>> {
    let Some(account_id) = &connection.account_id else { return Ok(None) };
    let cap = providers::find(read, &connection.provider)?.and_then(|(entry, _)| entry.grant_cap);
    let Some(most) = cap else { return Ok(None) };
    let count = store::grants::count_of_account(read, connection.profile_id, account_id)?;
    let account = || connection.account_label.clone().unwrap_or_else(|| account_id.clone());
    Ok((count >= u64::from(most)).then(|| Crowd { account: account(), count, most }))
}

/// What should be known before an account is connected to a connection.
fn warnings_ahead(read: &Read<'_>, connection: &Connection) -> Result<Vec<Warning>> {
    Ok(warnings::since(&[], warnings::of_grant_limit(crowd(read, connection)?.as_ref()), read.now()))
}

fn check_scopes(scopes: Option<&[String]>) -> Result<()> {
    let Some(scopes) = scopes else { return Ok(()) };
    if scopes.len() > MOST_SCOPES {
        return Err(Error::invalid("scopes", Why::TooMany(MOST_SCOPES)));
    }
    // RFC 6749 §3.3: visible ASCII without the quote and the backslash.
    let fine = |scope: &String| {
        !scope.is_empty()
            && scope.len() <= MOST_SCOPE
            && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    match scopes.iter().position(|scope| !fine(scope)) {
        Some(n) => Err(Error::invalid(format!("scopes[{n}]"), Why::Malformed("a scope (RFC 6749 §3.3)"))),
        None => Ok(()),
    }
}

/// Removes what nobody has come for: links, browsers, and the connections that were made for them alone.
pub(super) fn sweep(tx: &Tx<'_>) -> Result<()> {
    /// How a device ended can be seen for so long, by who waits for it.
    const SETTLED_MS: i64 = 15 * 60 * 1000;
    for id in connect_links::sweep(tx, tx.now().plus_ms(-SETTLED_MS))? {
        if store::connections::get(tx, id)?.status != Some(Status::Success) {
            store::connections::delete(tx, id)?;
        }
    }
    Ok(())
}
