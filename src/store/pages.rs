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
