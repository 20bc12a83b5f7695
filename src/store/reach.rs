//! How far credentials reach, in columns and in conditions.

use super::profiles::foreign_row;
use crate::domain::reach::Reach;

/// The reach of two columns: ids separated by spaces, and an owner.
pub(super) fn reach(connections: Option<&str>, owner: Option<String>) -> rusqlite::Result<Reach> {
    let ids = |text: &str| text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<i64>, _>>();
    let connections = connections.map(ids).transpose().map_err(|_| foreign_row("the reach of a credential"))?;
    Ok(Reach { connections, owner })
}

/// The connections of a reach as a column keeps them.
pub(super) fn column(reach: &Reach) -> Option<String> {
    let ids = reach.connections.as_ref()?;
    Some(ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// The connections of a reach as a parameter of [`within`]: a JSON array.
pub(super) fn ids(reach: &Reach) -> Option<String> {
    let ids = reach.connections.as_ref()?;
    Some(format!("[{}]", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")))
}

/// The condition that a connection of this id and owner is within the reach whose [`ids`] are parameter `n`, and whose
/// owner is the one after it.
pub(super) fn within(id: &str, owner: &str, n: usize) -> String {
    let next = n + 1;
    format!("(?{n} IS NULL OR {id} IN (SELECT value FROM json_each(?{n}))) AND (?{next} IS NULL OR {owner} IS ?{next})")
}
