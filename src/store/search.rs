//! Long lists, searched.
//!
//! A text is looked for by walking over the rows and comparing here, letter by letter in every script; SQLite would know
//! the case of ASCII alone, and an index of every three letters would cost each write more than a search ever saves.
//! Filters are SQLite's. Pages go by key: what stands behind the last one seen, however many stand before it.

use std::collections::{HashMap, HashSet};

use rusqlite::{Row, params, params_from_iter, types::Value};
use serde_json::json;

use super::{
    Read,
    events::{self, ABOUT},
    reach,
};
use crate::domain::{
    Result, Timestamp,
    connection::Status,
    event::{Event, EventKind},
    grant::Blame,
    reach::Reach,
    search::{
        ApplicationItem, ConnectionFilter, ConnectionItem, ConnectionState, CustomerItem, Found, Named, Needle,
        ProfileFilter, ProfileItem, ProfileState, Wanted,
    },
};

/// A page once full, so many rows are looked at in all for the sake of the total.
const COUNTED: u64 = 250_000;
/// Of events so many are looked at for one page, whether it is full by then or not: each takes its connection and profile.
const EVENTS_LOOKED_AT: u64 = 20_000;
/// Secrets that end within so long are ending.
const ENDING_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// A walk over a table by its key.
struct Walk {
    /// The key, an integer.
    key: &'static str,
    from: String,
    /// What a text is looked for in.
    texts: &'static str,
    conditions: Vec<&'static str>,
    /// For the question marks in the conditions, in their order.
    values: Vec<Value>,
    /// Whether people know the key as an id, and may look for it.
    key_is_id: bool,
    /// From the last to the first.
    backwards: bool,
    /// Stops after so many rows even where the page is not full.
    most: Option<u64>,
}

/// The keys that a walk found.
struct Hits {
    keys: Vec<i64>,
    next: Option<i64>,
    total: u64,
    at_least: bool,
}

impl Walk {
    fn over(key: &'static str, from: &str, texts: &'static str) -> Self {
        let from = from.to_owned();
        Self {
            key,
            from,
            texts,
            conditions: Vec::new(),
            values: Vec::new(),
            key_is_id: true,
            backwards: false,
            most: None,
        }
    }

    fn only(&mut self, condition: &'static str) {
        self.conditions.push(condition);
    }

    fn only_if(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value.into());
        }
    }

    fn condition(&self) -> String {
        self.conditions.iter().fold("1".to_owned(), |all, condition| format!("{all} AND {condition}"))
    }

    /// `also`: whether a row is one that is looked for, though the text stands in none of its columns; they begin at 1.
    fn hits(&self, read: &Read<'_>, wanted: &Wanted, also: impl Fn(&Row<'_>) -> bool) -> Result<Hits> {
        match &wanted.text {
            None => self.hits_by_filter(read, wanted),
            Some(needle) => self.hits_by_text(read, wanted, needle, also),
        }
    }

    fn is_behind(&self, key: i64, after: Option<i64>) -> bool {
        after.is_none_or(|after| if self.backwards { key < after } else { key > after })
    }

    fn hits_by_filter(&self, read: &Read<'_>, wanted: &Wanted) -> Result<Hits> {
        let (from, condition) = (&self.from, self.condition());
        let total = read
            .conn
            .prepare_cached(&format!("SELECT count(*) FROM {from} WHERE {condition}"))?
            .query_row(params_from_iter(&self.values), |row| row.get(0))?;
        let (beyond, order) = if self.backwards { ("<", "DESC") } else { (">", "ASC") };
        let key = self.key;
        let mut statement = read.conn.prepare_cached(&format!(
            "SELECT {key} FROM {from} WHERE {condition} AND {key} {beyond} ? ORDER BY {key} {order} LIMIT ?"
        ))?;
        let start = wanted.after.unwrap_or(if self.backwards { i64::MAX } else { i64::MIN });
        let more = i64::try_from(wanted.limit + 1).unwrap_or(i64::MAX);
        let values = self.values.iter().cloned().chain([start.into(), more.into()]);
        let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
        let mut keys: Vec<i64> = rows.collect::<rusqlite::Result<_>>()?;
        let next = cut(&mut keys, wanted.limit);
        Ok(Hits { keys, next, total, at_least: false })
    }

    fn hits_by_text(
        &self,
        read: &Read<'_>,
        wanted: &Wanted,
        needle: &Needle,
        also: impl Fn(&Row<'_>) -> bool,
    ) -> Result<Hits> {
        let (from, key, texts, condition) = (&self.from, self.key, self.texts, self.condition());
        let order = if self.backwards { "DESC" } else { "ASC" };
        let mut statement = read
            .conn
            .prepare_cached(&format!("SELECT {key}, {texts} FROM {from} WHERE {condition} ORDER BY {key} {order}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(&self.values))?;
        let mut hits = Hits { keys: Vec::new(), next: None, total: 0, at_least: false };
        let (mut looked_at, mut behind) = (0_u64, 0_u64);
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(0)?;
            if hits.keys.len() > wanted.limit && looked_at >= COUNTED {
                hits.at_least = true;
                break;
            }
            looked_at += 1;
            let is_behind = self.is_behind(at, wanted.after);
            behind += u64::from(is_behind);
            let mut is_hit = self.key_is_id && needle.id() == Some(at);
            for column in 1..columns {
                // Whatever is no text (a number, nothing) is no text that is looked for.
                is_hit = is_hit || row.get_ref(column)?.as_bytes().is_ok_and(|text| needle.is_in(text));
            }
            if is_hit || also(row) {
                hits.total += 1;
                if is_behind && hits.keys.len() <= wanted.limit {
                    hits.keys.push(at);
                }
            }
            if self.most.is_some_and(|most| behind >= most) && hits.keys.len() <= wanted.limit {
                hits.at_least = true;
                hits.next = Some(at);
                return Ok(hits);
            }
        }
        hits.next = cut(&mut hits.keys, wanted.limit);
        Ok(hits)
    }
}

/// Cuts a list of one more than wanted; answers what to go on after, if there was one more.
fn cut(keys: &mut Vec<i64>, limit: usize) -> Option<i64> {
    let more = keys.len() > limit;
    keys.truncate(limit);
    keys.last().copied().filter(|_| more)
}

impl Hits {
    fn found<T>(self, items: Vec<T>) -> Found<T> {
        Found { items, next: self.next, total: self.total, total_is_at_least: self.at_least }
    }

    /// The keys, as a parameter for `json_each`.
    fn list(&self) -> String {
        json!(self.keys).to_string()
    }
}

fn nothing(_: &Row<'_>) -> bool {
    false
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

/// Profiles by id. A text is looked for in name, provider and client id.
pub fn profiles(read: &Read<'_>, filter: &ProfileFilter, wanted: &Wanted) -> Result<Found<ProfileItem>> {
    let mut walk = Walk::over("p.id", "profiles p", "p.name, p.provider, p.client_id");
    walk.only_if("p.provider = ?", filter.provider.clone());
    match filter.state {
        None => {}
        Some(ProfileState::Rejected) => walk.only("p.rejected_at IS NOT NULL"),
        Some(ProfileState::Expiring) => walk.only_if(
            "p.id IN (SELECT profile_id FROM profile_secrets WHERE kind IN ('current', 'next') AND expires_at <= ?)",
            Some(read.now.plus_ms(ENDING_MS).0),
        ),
    }
    let hits = walk.hits(read, wanted, nothing)?;
    let mut statement = read.conn.prepare_cached(
        "SELECT p.id, p.name, p.provider, p.client_id, p.callback,
            coalesce((SELECT count FROM use_counts WHERE what = 'connections of profile' AND id = p.id), 0),
            coalesce((SELECT count FROM use_counts WHERE what = 'assignments of profile' AND id = p.id), 0),
            p.created_at, p.updated_at, s.created_at, s.last_used_at, s.expires_at,
            EXISTS (SELECT 1 FROM profile_secrets n WHERE n.profile_id = p.id AND n.kind = 'next'),
            p.rejected_at, p.rejected_why, (SELECT u.name FROM users u WHERE u.id = p.created_by)
         FROM profiles p JOIN profile_secrets s ON s.profile_id = p.id AND s.kind = 'current'
         WHERE p.id IN (SELECT value FROM json_each(?1)) ORDER BY p.id",
    )?;
    let rows = statement.query_map([hits.list()], |row| {
        Ok(ProfileItem {
            id: row.get(0)?,
            name: row.get(1)?,
            provider: row.get(2)?,
            client_id: row.get(3)?,
            callback: row.get(4)?,
            connections: row.get(5)?,
            customers: row.get(6)?,
            created_at: Timestamp(row.get(7)?),
            updated_at: Timestamp(row.get(8)?),
            secret_since: Timestamp(row.get(9)?),
            secret_used_at: time(row, 10)?,
            secret_expires_at: time(row, 11)?,
            has_next_secret: row.get(12)?,
            rejected_at: time(row, 13)?,
            rejected_why: row.get(14)?,
            owner: row.get(15)?,
        })
    })?;
    let items = rows.collect::<rusqlite::Result<_>>()?;
    Ok(hits.found(items))
}

/// The condition of a state, of a connection `c`. What is wrong with grants stands in two small indexes. Most connections
/// are authorised, so that an index of that (hence the `+`) would lead to nearly all rows, one by one.
fn condition(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Never => "c.status IS NULL",
        ConnectionState::Lost => "c.status = 'failed'",
        ConnectionState::App => {
            "+c.status = 'success' AND c.id IN (SELECT connection_id FROM grants WHERE blame = 'app')"
        }
        ConnectionState::Provider => {
            "+c.status = 'success' AND c.id IN (SELECT connection_id FROM grants WHERE blame = 'provider')"
        }
        ConnectionState::Network => {
            "+c.status = 'success' AND c.id IN (SELECT connection_id FROM grants WHERE blame = 'network')"
        }
        ConnectionState::Uncertain => {
            "+c.status = 'success' AND c.id IN (SELECT connection_id FROM grants WHERE uncertain_at IS NOT NULL)"
        }
        ConnectionState::Ok => {
            "+c.status = 'success' AND c.id NOT IN (SELECT connection_id FROM grants WHERE blame IS NOT NULL
                UNION ALL SELECT connection_id FROM grants WHERE uncertain_at IS NOT NULL)"
        }
        ConnectionState::Wrong => {
            "(c.status IS NOT 'success' OR c.id IN (SELECT connection_id FROM grants WHERE blame IS NOT NULL
                UNION ALL SELECT connection_id FROM grants WHERE uncertain_at IS NOT NULL))"
        }
    }
}

/// Connections within reach, by id. A text is looked for in name, owner, external id, account, provider, and name and client id of the
/// profile.
pub fn connections(
    read: &Read<'_>,
    filter: &ConnectionFilter,
    wanted: &Wanted,
    reach: &Reach,
) -> Result<Found<ConnectionItem>> {
    /// Where the profile's id stands among the columns.
    const PROFILE: usize = 7;
    let mut walk = Walk::over(
        "c.id",
        "connections c",
        "c.name, c.owner, c.external_id, c.account_label, c.account_id, c.provider, c.profile_id",
    );
    walk.only_if("c.id IN (SELECT value FROM json_each(?))", reach::ids(reach));
    walk.only_if("c.owner = ?", reach.owner.clone());
    walk.only_if("c.profile_id = ?", filter.profile_id);
    walk.only_if("c.customer_id = ?", filter.customer_id);
    walk.only_if("c.provider = ?", filter.provider.clone());
    walk.only_if("c.owner = ?", filter.owner.clone());
    filter.state.into_iter().for_each(|state| walk.only(condition(state)));
    let through = wanted.text.as_ref().map(|needle| profiles_with(read, needle)).transpose()?.unwrap_or_default();
    let hits = walk.hits(read, wanted, |row| row.get(PROFILE).is_ok_and(|id| through.contains(&id)))?;
    let mut statement = read.conn.prepare_cached(
        "SELECT c.id, c.name, c.provider, c.profile_id, p.name, c.owner, c.customer_id, u.name, c.external_id,
            c.account_id, c.account_label, c.status, c.lost_at, c.lost_reason, g.blame, g.uncertain_at,
            coalesce(g.failures, 0), g.last_attempt_at, g.last_result, g.due_at, g.expires_at, c.created_at, c.updated_at
         FROM connections c JOIN profiles p ON p.id = c.profile_id LEFT JOIN customers u ON u.id = c.customer_id
            LEFT JOIN grants g ON g.connection_id = c.id
         WHERE c.id IN (SELECT value FROM json_each(?1)) ORDER BY c.id",
    )?;
    let rows = statement.query_map([hits.list()], |row| {
        Ok(ConnectionItem {
            id: row.get(0)?,
            name: row.get(1)?,
            provider: row.get(2)?,
            profile_id: row.get(3)?,
            profile_name: row.get(4)?,
            owner: row.get(5)?,
            customer_id: row.get(6)?,
            customer_name: row.get(7)?,
            external_id: row.get(8)?,
            account_id: row.get(9)?,
            account_label: row.get(10)?,
            status: row.get::<_, Option<String>>(11)?.as_deref().and_then(Status::parse),
            lost_at: time(row, 12)?,
            lost_reason: row.get(13)?,
            blame: row.get::<_, Option<String>>(14)?.as_deref().and_then(Blame::parse),
            uncertain_since: time(row, 15)?,
            failures: row.get(16)?,
            last_attempt_at: time(row, 17)?,
            last_result: row.get(18)?,
            next_refresh_at: time(row, 19)?,
            expires_at: time(row, 20)?,
            created_at: Timestamp(row.get(21)?),
            updated_at: Timestamp(row.get(22)?),
        })
    })?;
    let items = rows.collect::<rusqlite::Result<_>>()?;
    Ok(hits.found(items))
}

/// The profiles in whose name or client id a text stands.
fn profiles_with(read: &Read<'_>, needle: &Needle) -> Result<HashSet<i64>> {
    let mut statement = read.conn.prepare_cached("SELECT id, name, client_id FROM profiles")?;
    let mut rows = statement.query([])?;
    let mut found = HashSet::new();
    while let Some(row) = rows.next()? {
        let is_in =
            |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes().is_ok_and(|text| needle.is_in(text)));
        if is_in(1)? || is_in(2)? {
            found.insert(row.get(0)?);
        }
    }
    Ok(found)
}

/// Customers by id. A text is looked for in name, external id and address.
pub fn customers(read: &Read<'_>, wanted: &Wanted) -> Result<Found<CustomerItem>> {
    let walk = Walk::over("u.id", "customers u", "u.name, u.external_id, u.notification_email");
    let hits = walk.hits(read, wanted, nothing)?;
    let mut statement = read.conn.prepare_cached(
        "SELECT a.customer_id, p.id, p.name, p.provider FROM assignments a JOIN profiles p ON p.id = a.profile_id
         WHERE a.customer_id IN (SELECT value FROM json_each(?1)) ORDER BY a.customer_id, p.id",
    )?;
    let mut profiles: HashMap<i64, Vec<Named>> = HashMap::new();
    let mut rows = statement.query([hits.list()])?;
    while let Some(row) = rows.next()? {
        let profile = Named { id: row.get(1)?, name: row.get(2)?, provider: row.get(3)? };
        profiles.entry(row.get(0)?).or_default().push(profile);
    }
    let mut statement = read.conn.prepare_cached(
        "SELECT u.id, u.name, u.notification_email, u.external_id,
            coalesce((SELECT count FROM use_counts WHERE what = 'connections of customer' AND id = u.id), 0), u.created_at, u.updated_at
         FROM customers u WHERE u.id IN (SELECT value FROM json_each(?1)) ORDER BY u.id",
    )?;
    let rows = statement.query_map([hits.list()], |row| {
        let id = row.get(0)?;
        Ok(CustomerItem {
            id,
            name: row.get(1)?,
            notification_email: row.get(2)?,
            external_id: row.get(3)?,
            connections: row.get(4)?,
            profiles: profiles.remove(&id).unwrap_or_default(),
            created_at: Timestamp(row.get(5)?),
            updated_at: Timestamp(row.get(6)?),
        })
    })?;
    let items = rows.collect::<rusqlite::Result<_>>()?;
    Ok(hits.found(items))
}

/// Client applications in the order of creation. A text is looked for in name, id and file name.
pub fn client_applications(read: &Read<'_>, wanted: &Wanted) -> Result<Found<ApplicationItem>> {
    let texts = "a.name, a.id, a.file_name";
    let walk = Walk { key_is_id: false, ..Walk::over("a.seq", "client_applications a", texts) };
    let hits = walk.hits(read, wanted, nothing)?;
    let mut statement = read.conn.prepare_cached(
        "SELECT a.id, a.name, a.enabled, a.scopes,
            (SELECT count(*) FROM client_application_secrets s WHERE s.application = a.seq),
            a.file_name, length(f.data), a.created_at, a.modified_at
         FROM client_applications a JOIN client_application_files f ON f.application = a.seq
         WHERE a.seq IN (SELECT value FROM json_each(?1)) ORDER BY a.seq",
    )?;
    let rows = statement.query_map([hits.list()], |row| {
        Ok(ApplicationItem {
            id: row.get(0)?,
            name: row.get(1)?,
            enabled: row.get(2)?,
            scopes: row.get(3)?,
            secrets: row.get(4)?,
            file_name: row.get(5)?,
            size: row.get(6)?,
            created_at: Timestamp(row.get(7)?),
            modified_at: Timestamp(row.get(8)?),
        })
    })?;
    let items = rows.collect::<rusqlite::Result<_>>()?;
    Ok(hits.found(items))
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// About this connection.
    pub connection_id: Option<i64>,
    /// About this profile.
    pub profile_id: Option<i64>,
}

/// Events, newest first; of connections only those within reach. A text is looked for in what they are about, as that is called now, and in their facts.
pub fn events(read: &Read<'_>, filter: &EventFilter, wanted: &Wanted, reach: &Reach) -> Result<Found<Event>> {
    let from = if wanted.text.is_some() { format!("events e {ABOUT}") } else { "events e".to_owned() };
    let texts = "c.name, c.owner, c.external_id, p.name, e.detail";
    let mut walk = Walk { backwards: true, most: Some(EVENTS_LOOKED_AT), ..Walk::over("e.id", &from, texts) };
    walk.only_if("(e.connection_id IS NULL OR e.connection_id IN (SELECT value FROM json_each(?)))", reach::ids(reach));
    walk.only_if(
        "(e.connection_id IS NULL OR e.connection_id IN (SELECT id FROM connections WHERE owner = ?))",
        reach.owner.clone(),
    );
    walk.only_if("e.kind = ?", filter.kind.map(|kind| kind.as_str().to_owned()));
    walk.only_if("e.connection_id = ?", filter.connection_id);
    walk.only_if("e.profile_id = ?", filter.profile_id);
    let hits = walk.hits(read, wanted, nothing)?;
    let sql = format!(
        "SELECT {} FROM events e {ABOUT} WHERE e.id IN (SELECT value FROM json_each(?1)) ORDER BY e.id DESC",
        events::COLUMNS
    );
    let mut statement = read.conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![hits.list()], events::event)?;
    let items = rows.collect::<rusqlite::Result<_>>()?;
    Ok(hits.found(items))
}
