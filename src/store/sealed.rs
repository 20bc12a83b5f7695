//! Every sealed column in one table: what has to be looked at when keys come and go. A test holds it against `schema.sql`.

use rusqlite::{Connection, params_from_iter, types::Value};

use super::{
    Read, Tx, connect_links, connections, device_authorizations, grants, profile_pins, profiles, refreshes,
    revocations,
    seal::{Column, Sealed},
    second_factors, webhooks,
};
use crate::domain::{Error, Result};

/// A sealed column and what goes with it.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    /// The column.
    pub column: Column,
    /// The column beside it with the id of the key.
    pub key_id: &'static str,
    /// The columns of the table's primary key, which name the row in the seal: joined by `/`, bytes in hexadecimal digits.
    key: &'static [&'static str],
    /// What follows the key in the seal.
    end: &'static str,
}

/// All of them.
pub const ALL: [SealedColumn; 12] = [
    SealedColumn { column: profiles::SEALED, key_id: "key_id", key: &["profile_id", "kind"], end: profiles::PINNED },
    SealedColumn { column: profile_pins::SEALED, key_id: "key_id", key: &["profile_id"], end: "" },
    SealedColumn { column: connections::INPUT, key_id: "input_key_id", key: &["id"], end: "" },
    SealedColumn { column: grants::SEALED, key_id: "key_id", key: &["connection_id"], end: "" },
    SealedColumn { column: refreshes::ANSWER, key_id: "key_id", key: &["connection_id"], end: "" },
    SealedColumn { column: connect_links::VERIFIER, key_id: "key_id", key: &["state"], end: "" },
    SealedColumn { column: device_authorizations::CODE, key_id: "key_id", key: &["connection_id"], end: "" },
    SealedColumn { column: device_authorizations::INPUT, key_id: "input_key_id", key: &["connection_id"], end: "" },
    SealedColumn { column: connect_links::INPUT, key_id: "input_key_id", key: &["id"], end: "" },
    SealedColumn { column: revocations::REQUEST, key_id: "key_id", key: &["id"], end: "" },
    SealedColumn { column: webhooks::SECRET, key_id: "key_id", key: &["id"], end: "" },
    SealedColumn { column: second_factors::SECRET, key_id: "key_id", key: &["user_id"], end: "" },
];

impl SealedColumn {
    /// Key columns, key id and value, in the order of the primary key; `condition` may end in an order and a limit.
    fn select(&self, condition: &str) -> String {
        let (key, name, table) = (self.key.join(", "), self.column.name, self.column.table);
        format!("SELECT {key}, {}, {name} FROM {table} WHERE {name} IS NOT NULL{condition}", self.key_id)
    }

    fn read(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<(Vec<Value>, Sealed)> {
        let key = (0..self.key.len()).map(|n| row.get(n)).collect::<rusqlite::Result<_>>()?;
        let n = self.key.len();
        Ok((key, Sealed { key_id: row.get(n)?, bytes: row.get(n + 1)? }))
    }
}

/// The row as the seal knows it.
fn row_text(key: &[Value], end: &str) -> String {
    let part = |value: &Value| match value {
        Value::Integer(id) => id.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => super::backup::hex(bytes),
        Value::Null | Value::Real(_) => String::new(),
    };
    key.iter().map(part).collect::<Vec<_>>().join("/") + end
}

/// The ids of keys that sealed values need, by table, and how many values each.
pub fn key_ids_in_use(read: &Read<'_>) -> Result<Vec<(&'static str, String, u64)>> {
    Ok(key_ids(read.conn)?)
}

pub(super) fn key_ids(connection: &Connection) -> rusqlite::Result<Vec<(&'static str, String, u64)>> {
    let mut found = Vec::new();
    for one in ALL {
        let (id, table) = (one.key_id, one.column.table);
        let mut statement = connection
            .prepare(&format!("SELECT {id}, count(*) FROM {table} WHERE {id} IS NOT NULL GROUP BY 1 ORDER BY 1"))?;
        let rows = statement.query_map([], |row| Ok((table, row.get(0)?, row.get(1)?)))?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(found)
}

/// Opens every sealed value; table and row of those that do not open.
pub fn unopenable(read: &Read<'_>) -> Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    for one in ALL {
        let mut statement = read.conn.prepare(&one.select(&format!(" ORDER BY {}", one.key.join(", "))))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (key, sealed) = one.read(row)?;
            let text = row_text(&key, one.end);
            if read.sealer.open(one.column, &text, &sealed).is_err() {
                found.push((one.column.table, text));
            }
        }
    }
    Ok(found)
}

/// Where a walk over all sealed values is.
#[derive(Debug, Clone, Default)]
pub struct Place {
    column: usize,
    after: Option<Vec<Value>>,
}

/// What came of one stretch of the walk.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Where to go on; `None`: everything has been looked at.
    pub next: Option<Place>,
    /// How many values were sealed anew.
    pub sealed: u64,
    /// How many did not open, and were left as they are.
    pub unopenable: u64,
}

/// Seals up to `limit` values anew that are sealed with another key than the active one.
pub fn seal_anew(tx: &Tx<'_>, place: &Place, limit: usize) -> Result<Stretch> {
    let Some(one) = ALL.get(place.column) else { return Ok(Stretch { next: None, sealed: 0, unopenable: 0 }) };
    let active = tx.sealer.keys().active_id().to_owned();
    let (id, name, table, key) = (one.key_id, one.column.name, one.column.table, one.key.join(", "));
    let marks = |from: usize| (from..from + one.key.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let mut given = vec![Value::Text(active), Value::Integer(i64::try_from(limit).map_err(Error::internal)?)];
    let beyond = match &place.after {
        None => String::new(),
        Some(after) => {
            given.extend(after.iter().cloned());
            format!(" AND ({key}) > ({})", marks(3))
        }
    };
    let sql = one.select(&format!(" AND {id} <> ?1{beyond} ORDER BY {key} LIMIT ?2"));
    let found = {
        let mut statement = tx.conn.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(given), |row| one.read(row))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    let (mut sealed, mut unopenable) = (0, 0);
    let update = format!("UPDATE {table} SET {id} = ?1, {name} = ?2 WHERE ({key}) = ({})", marks(3));
    for (row, old) in &found {
        let text = row_text(row, one.end);
        let Ok(secret) = tx.sealer.open(one.column, &text, old) else {
            unopenable += 1;
            continue;
        };
        let new = tx.sealer.seal(one.column, &text, &secret)?;
        let mut values = vec![Value::Text(new.key_id), Value::Blob(new.bytes)];
        values.extend(row.iter().cloned());
        tx.conn.prepare_cached(&update)?.execute(params_from_iter(values))?;
        sealed += 1;
    }
    let next = if found.len() < limit {
        Place { column: place.column + 1, after: None }
    } else {
        Place { column: place.column, after: found.into_iter().next_back().map(|(row, _)| row) }
    };
    Ok(Stretch { next: (next.column < ALL.len()).then_some(next), sealed, unopenable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate::SCHEMA;

    /// Every table with a column for the id of a key has a sealed column beside it, and both are in the table.
    #[test]
    fn no_sealed_column_is_forgotten() {
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch(SCHEMA).expect("the schema");
        let mut keys: Vec<(String, String)> = db
            .prepare(
                "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                 WHERE t.type = 'table' AND c.name LIKE '%key\\_id' ESCAPE '\\' AND t.name <> 'installation'",
            )
            .and_then(|mut found| found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .expect("columns");
        let mut known: Vec<(String, String)> =
            ALL.iter().map(|one| (one.column.table.to_owned(), one.key_id.to_owned())).collect();
        keys.sort();
        known.sort();
        assert_eq!(keys, known, "each column with the id of a key");
        // A comment in the schema says of each that it is sealed, and of no other column.
        let mut said: Vec<(String, String)> = Vec::new();
        let mut table = String::new();
        for line in SCHEMA.lines() {
            if let Some(name) = line.strip_prefix("CREATE TABLE ") {
                name.split(' ').next().unwrap_or_default().clone_into(&mut table);
            }
            if line.contains(" BLOB") && !line.contains("BLOB    PRIMARY KEY") {
                let name = line.trim_start().split(' ').next().unwrap_or_default().to_owned();
                let open = ["hash", "fingerprint", "key_fingerprint", "browser", "data"];
                if !open.contains(&name.as_str()) {
                    said.push((table.clone(), name));
                }
            }
        }
        let mut columns: Vec<(String, String)> =
            ALL.iter().map(|one| (one.column.table.to_owned(), one.column.name.to_owned())).collect();
        said.sort();
        columns.sort();
        assert_eq!(said, columns, "each column of bytes that is neither a hash nor a file");
    }

    #[test]
    fn a_row_is_named_as_where_it_was_sealed() {
        assert_eq!(row_text(&[Value::Integer(7), Value::Text("current".to_owned())], "/pinned"), "7/current/pinned");
        assert_eq!(row_text(&[Value::Blob(vec![0, 255])], ""), "00ff");
    }
}
