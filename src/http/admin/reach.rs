//! `connections` and `owner`: how far a credential reaches, as it is given and told.

use serde_json::{Value, json};

use crate::{
    app::document::Fields,
    domain::{
        Why,
        profile::Change,
        reach::{Changes, Reach},
        value::check_text,
    },
};

/// The fields of a body.
pub(super) const FIELDS: [&str; 2] = ["connections", "owner"];

/// The two fields: absent they change nothing, `null` lifts the limit. An empty list would be read as either.
pub(super) fn changes(fields: &mut Fields<'_>) -> Changes {
    let owner = if fields.is_null("owner") {
        Change::Clear
    } else {
        let owner = fields.may("owner", |text| check_text(text, Reach::MOST_OWNER).map(|()| text.to_owned()));
        owner.map_or(Change::Keep, Change::Set)
    };
    let connections = if fields.is_null("connections") {
        Change::Clear
    } else {
        connections(fields).map_or(Change::Keep, Change::Set)
    };
    (connections, owner)
}

fn connections(fields: &mut Fields<'_>) -> Option<Vec<i64>> {
    let given = fields.value("connections")?;
    let ids: Option<Vec<i64>> = given.as_array().and_then(|ids| ids.iter().map(Value::as_i64).collect());
    let Some(ids) = ids else {
        fields.fault("connections", Why::WrongType("array of integers"));
        return None;
    };
    if ids.is_empty() {
        fields.fault("connections", Why::Blank);
    }
    if ids.len() > Reach::MOST {
        fields.fault("connections", Why::TooMany(Reach::MOST));
        return None;
    }
    let mut seen = std::collections::HashSet::new();
    for (n, id) in ids.iter().enumerate() {
        if !seen.insert(*id) {
            fields.fault(&format!("connections[{n}]"), Why::Duplicate);
        }
    }
    Some(ids)
}

/// Adds the reach to what is told of a credential.
pub(super) fn with(mut wire: Value, reach: &Reach) -> Value {
    wire["connections"] = json!(reach.connections);
    wire["owner"] = json!(reach.owner);
    wire
}
