//! Customers and the profiles assigned to them.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Constraint as _, Read, Tx, pages::Marked, profiles::foreign_row};
use crate::domain::{
    Error, Name, Noun, Page, Result, Timestamp, Use, Why,
    customer::{Customer, Draft, Key},
};

const LIST: Marked = Marked { table: "customers", key: "id" };
const SELECT: &str = "SELECT id, name, notification_email, external_id, created_at, updated_at FROM customers";

fn customer(row: &Row<'_>) -> rusqlite::Result<Customer> {
    let name = |text: String| Name::new(text).map_err(|_| foreign_row("a customer's name"));
    Ok(Customer {
        id: row.get(0)?,
        name: name(row.get(1)?)?,
        notification_email: row.get(2)?,
        external_id: row.get::<_, Option<String>>(3)?.map(name).transpose()?,
        created_at: Timestamp(row.get(4)?),
        updated_at: Timestamp(row.get(5)?),
    })
}

/// One page by ascending id.
pub fn list(read: &Read<'_>, page: Page) -> Result<Vec<Customer>> {
    let Some(first) = LIST.first(read, page)? else { return Ok(Vec::new()) };
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} WHERE id >= ?1 ORDER BY id LIMIT ?2"))?;
    let rows = statement.query_map(params![first, page.limit], customer)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many there are.
pub fn count(read: &Read<'_>) -> Result<u64> {
    LIST.total(read)
}

/// The customer that `key` names.
pub fn get(read: &Read<'_>, key: &Key) -> Result<Customer> {
    let found = match key {
        Key::Id(id) => read.conn.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row([id], customer),
        Key::External(id) => {
            read.conn.prepare_cached(&format!("{SELECT} WHERE external_id = ?1"))?.query_row([id], customer)
        }
    };
    found.optional()?.ok_or_else(|| missing(key))
}

fn missing(key: &Key) -> Error {
    match key {
        Key::Id(id) => Error::not_found(Noun::Customer, id),
        Key::External(id) => Error::not_found(Noun::Customer, format_args!("E{id}")),
    }
}

fn taken() -> Error {
    Error::invalid("external_id", Why::Taken)
}

/// Adds a customer and answers its id.
pub fn insert(tx: &Tx<'_>, draft: &Draft) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO customers (name, notification_email, external_id, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?4)",
        )?
        .execute(params![
            draft.name.as_str(),
            draft.notification_email,
            draft.external_id.as_ref().map(Name::as_str),
            tx.now.0
        ])
        .or_taken("customers.external_id", taken)?;
    Ok(tx.conn.last_insert_rowid())
}

/// Replaces what is known of a customer.
pub fn update(tx: &Tx<'_>, id: i64, draft: &Draft) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE customers SET name = ?2, notification_email = ?3, external_id = ?4,
                updated_at = max(?5, updated_at + 1) WHERE id = ?1",
        )?
        .execute(params![
            id,
            draft.name.as_str(),
            draft.notification_email,
            draft.external_id.as_ref().map(Name::as_str),
            tx.now.0
        ])
        .or_taken("customers.external_id", taken)?;
    Ok(())
}

/// Removes a customer that has no connections; its assignments go with it.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    let gone = tx.conn.prepare_cached("DELETE FROM customers WHERE id = ?1")?.execute([id]);
    if gone.as_ref().is_err_and(super::is_reference) {
        let count = tx
            .conn
            .prepare_cached("SELECT count(*) FROM connections WHERE customer_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let by = vec![Use { what: Noun::Connection, count, examples: Vec::new() }];
        return Err(Error::InUse { what: Noun::Customer, by });
    }
    match gone? {
        0 => Err(missing(&Key::Id(id))),
        _ => Ok(()),
    }
}

/// The profile of this provider that a customer has.
pub fn assigned(read: &Read<'_>, customer_id: i64, provider: &str) -> Result<Option<i64>> {
    let sql = "SELECT profile_id FROM assignments WHERE customer_id = ?1 AND provider = ?2";
    Ok(read.conn.prepare_cached(sql)?.query_row(params![customer_id, provider], |row| row.get(0)).optional()?)
}

/// Assigns a profile. Answers whether it was not assigned already.
pub fn assign(tx: &Tx<'_>, customer_id: i64, provider: &str, profile_id: i64) -> Result<bool> {
    let added = tx
        .conn
        .prepare_cached(
            "INSERT INTO assignments (customer_id, provider, profile_id, created_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![customer_id, provider, profile_id, tx.now.0])
        .or_taken("assignments.customer_id, assignments.provider", || Error::Conflict {
            what: Noun::Assignment,
            name: provider.to_owned(),
        });
    match added {
        Ok(_) => Ok(true),
        Err(Error::Conflict { .. }) if assigned(tx, customer_id, provider)? == Some(profile_id) => Ok(false),
        Err(Error::Conflict { .. }) => Err(Error::invalid("id", Why::OtherAssigned)),
        Err(error) => Err(error),
    }
}

/// Takes an assignment away. Answers whether there was one.
pub fn unassign(tx: &Tx<'_>, customer_id: i64, profile_id: i64) -> Result<bool> {
    let gone = tx
        .conn
        .prepare_cached("DELETE FROM assignments WHERE customer_id = ?1 AND profile_id = ?2")?
        .execute([customer_id, profile_id])?;
    Ok(gone > 0)
}

/// How many connections of a customer use a profile.
pub fn connections_through(read: &Read<'_>, customer_id: i64, profile_id: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM connections WHERE customer_id = ?1 AND profile_id = ?2";
    Ok(read.conn.prepare_cached(sql)?.query_row([customer_id, profile_id], |row| row.get(0))?)
}
