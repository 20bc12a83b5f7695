//! What the secrets of a profile are pinned to: the definition and the parameters of its provider that were in use when they
//! were given. It is sealed, so that editing the database moves no secret.

use rusqlite::{OptionalExtension as _, params};

use super::{
    Read, Tx,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{Result, Secret};

pub(super) const SEALED: Column = Column { purpose: Purpose::ClientSecrets, table: "profile_pins", name: "sealed" };

/// The pin of a profile. `Internal` when it does not open.
pub fn find(read: &Read<'_>, profile_id: i64) -> Result<Option<Secret>> {
    let found = read
        .conn
        .prepare_cached("SELECT key_id, sealed FROM profile_pins WHERE profile_id = ?1")?
        .query_row([profile_id], |row| Ok(Sealed { key_id: row.get(0)?, bytes: row.get(1)? }))
        .optional()?;
    found.map(|sealed| read.sealer.open(SEALED, &profile_id.to_string(), &sealed)).transpose()
}

/// Pins a profile, in the place of the pin before.
pub fn put(tx: &Tx<'_>, profile_id: i64, pin: &Secret) -> Result<()> {
    let sealed = tx.sealer.seal(SEALED, &profile_id.to_string(), pin)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO profile_pins (profile_id, key_id, sealed) VALUES (?1, ?2, ?3)
             ON CONFLICT (profile_id) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed",
        )?
        .execute(params![profile_id, sealed.key_id, sealed.bytes])?;
    Ok(())
}

/// The profiles without a pin, by id.
pub fn unpinned(read: &Read<'_>) -> Result<Vec<i64>> {
    let sql = "SELECT id FROM profiles WHERE id NOT IN (SELECT profile_id FROM profile_pins) ORDER BY id";
    let mut statement = read.conn.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
