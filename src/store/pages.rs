//! Pages of a list by position, exact and without walking all rows before them.

use rusqlite::{OptionalExtension as _, params};

use super::Read;
use crate::domain::{Page, Result};

/// A list that `page_marks` counts (see schema.sql).
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked {
    /// The table.
    pub table: &'static str,
    /// Its integer key, ascending in the order of the list.
    pub key: &'static str,
}

impl Marked {
    /// How many rows there are in all.
    pub(super) fn total(self, read: &Read<'_>) -> Result<u64> {
        let sql = "SELECT coalesce(sum(count), 0) FROM page_marks WHERE noun = ?1";
        Ok(read.conn.prepare_cached(sql)?.query_row([self.table], |row| row.get(0))?)
    }

    /// The key of the row at position `page.offset`; `None` when the list ends before.
    pub(super) fn first(self, read: &Read<'_>, page: Page) -> Result<Option<i64>> {
        let mut before = i64::try_from(page.offset).unwrap_or(i64::MAX);
        let mut blocks = read
            .conn
            .prepare_cached("SELECT block, count FROM page_marks WHERE noun = ?1 AND count > 0 ORDER BY block")?;
        let mut rows = blocks.query([self.table])?;
        while let Some(row) = rows.next()? {
            let (block, count): (i64, i64) = (row.get(0)?, row.get(1)?);
            if before < count {
                let sql =
                    format!("SELECT {0} FROM {1} WHERE {0} >= ?1 ORDER BY {0} LIMIT 1 OFFSET ?2", self.key, self.table);
                return Ok(read
                    .conn
                    .prepare_cached(&sql)?
                    .query_row(params![block << 10, before], |row| row.get(0))
                    .optional()?);
            }
            before -= count;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::Timestamp,
        store::{migrate::SCHEMA, seal},
    };

    const CUSTOMERS: Marked = Marked { table: "customers", key: "id" };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// However rows come and go, a page found by marks is the page that OFFSET finds.
        #[test]
        fn pages_by_marks_are_exact(
            made in prop::collection::vec(1_i64..6000, 1..300),
            gone in prop::collection::vec(1_i64..6000, 0..300),
            offsets in prop::collection::vec(0_u64..400, 8),
        ) {
            let db = rusqlite::Connection::open_in_memory().expect("a database");
            db.execute_batch(SCHEMA).expect("the schema");
            for id in made {
                db.execute("INSERT OR IGNORE INTO customers VALUES (?1, 'c', 'c@acme.example', NULL, 0, 0)", [id])
                    .expect("inserted");
            }
            for id in gone {
                db.execute("DELETE FROM customers WHERE id = ?1", [id]).expect("deleted");
            }
            let sealer = seal::Sealer::new(seal::KeyList::generate().expect("random bytes")).expect("sub-keys");
            let read = Read { conn: &db, sealer: &sealer, now: Timestamp(0) };
            let total: u64 = db.query_row("SELECT count(*) FROM customers", [], |row| row.get(0)).expect("counted");
            prop_assert_eq!(CUSTOMERS.total(&read).expect("summed"), total);
            for offset in offsets {
                let expected: Option<i64> = db
                    .query_row("SELECT id FROM customers ORDER BY id LIMIT 1 OFFSET ?1", [offset], |row| row.get(0))
                    .optional()
                    .expect("looked up");
                prop_assert_eq!(CUSTOMERS.first(&read, Page { offset, limit: 1 }).expect("found"), expected);
            }
        }
    }
}
