//! What callers of limited reach may not. Everything that touches one connection goes through
//! [`super::connections::of_caller`]; here is the rest, so that no way leads around that: making connections, handing out
//! credentials, and changing what others' connections depend on.
//!
//! Profiles, providers and customers are no connections: whether a caller sees them is a matter of scopes alone.

use super::{access::Caller, connections::of_caller};
use crate::domain::{Beyond, Error, Faults, Result, Why, connection::Draft, reach::Reach};
use crate::store::{self, Read};

/// Turns down a caller of limited reach: what comes of this could reach everything.
pub(super) fn whole(caller: &Caller) -> Result<()> {
    give(caller, &Reach::default())
}

/// Nobody hands out more reach than they have.
pub(super) fn give(caller: &Caller, reach: &Reach) -> Result<()> {
    if caller.reach().covers(reach) { Ok(()) } else { Err(Error::OutOfReach(Beyond::Wider)) }
}

/// Whether the connections that a reach names are there, as far as the caller sees. All that are not are faults.
pub(super) fn check(read: &Read<'_>, caller: &Caller, reach: &Reach) -> Result<()> {
    let mut faults = Faults::default();
    for (n, id) in reach.connections.iter().flatten().enumerate() {
        match of_caller(read, caller, None, *id) {
            Ok(_) => {}
            Err(Error::NotFound { .. }) => faults.add(format!("connections[{n}]"), Why::NotInList),
            Err(error) => return Err(error),
        }
    }
    faults.or(())
}

/// Makes of a draft what its caller may make: who is limited to an owner makes that owner's connections, who is limited
/// to the connections named makes none.
pub(super) fn may_make(read: &Read<'_>, caller: &Caller, draft: &mut Draft) -> Result<()> {
    let reach = caller.reach();
    if reach.connections.is_some() {
        return Err(Error::OutOfReach(Beyond::NewConnection));
    }
    if let Some(only) = &reach.owner {
        if draft.owner.as_ref().is_some_and(|owner| owner != only) {
            return Err(Error::invalid("owner", Why::NotOneOf(vec![only.clone()])));
        }
        draft.owner = Some(only.clone());
    }
    may_descend(read, caller, draft.parent_id)
}

/// A connection is made from one that its maker sees, or from none.
pub(super) fn may_descend(read: &Read<'_>, caller: &Caller, parent_id: Option<i64>) -> Result<()> {
    let Some(id) = parent_id else { return Ok(()) };
    of_caller(read, caller, None, id).map(drop).map_err(|error| match error {
        // As of one that is not there.
        Error::NotFound { .. } => Error::invalid("parent_id", Why::NoneFits),
        other => other,
    })
}

/// Turns down a caller who would change what connections out of reach depend on: with another token endpoint their
/// tokens would go there.
pub(super) fn all_of_profile(read: &Read<'_>, caller: &Caller, id: i64) -> Result<()> {
    refuse(store::connections::any_beyond(read, caller.reach(), Some(id), None)?)
}

/// Refuses a caller of limited reach: connections of others depend on what would change.
pub(super) fn require_unlimited(caller: &Caller) -> Result<()> {
    refuse(!caller.reach().is_everything())
}

fn refuse(others: bool) -> Result<()> {
    if others { Err(Error::OutOfReach(Beyond::Others)) } else { Ok(()) }
}
