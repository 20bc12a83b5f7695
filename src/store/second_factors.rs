//! Second factors of users, and the recovery codes that come with them.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Read, Tx,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{Result, Secret, second_factor::State};

pub(super) const SECRET: Column = Column { purpose: Purpose::SecondFactors, table: "second_factors", name: "secret" };

/// A second factor, with what its codes are made from.
pub struct Kept {
    /// Whether it was confirmed.
    pub on: bool,
    /// The shared secret in base32.
    pub secret: Secret,
    /// When it was begun: tells it from any before and after it.
    created_at: i64,
}

/// Whether a user has one.
pub fn state(read: &Read<'_>, user_id: i64) -> Result<State> {
    let sql = "SELECT confirmed_at IS NOT NULL FROM second_factors WHERE user_id = ?1";
    let found: Option<bool> = read.conn.prepare_cached(sql)?.query_row([user_id], |row| row.get(0)).optional()?;
    Ok(match found {
        None => State::Absent,
        Some(false) => State::Pending,
        Some(true) => State::On,
    })
}

/// Begins one, in the place of one that was begun and not confirmed.
pub fn begin(tx: &Tx<'_>, user_id: i64, secret: &Secret) -> Result<()> {
    let sealed = tx.sealer.seal(SECRET, &user_id.to_string(), secret)?;
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO second_factors (user_id, key_id, secret, last_step, created_at)
             VALUES (?1, ?2, ?3, 0, ?4)",
        )?
        .execute(params![user_id, sealed.key_id, sealed.bytes, tx.now.0])?;
    Ok(())
}

/// The second factor of a user, opened.
pub fn open(read: &Read<'_>, user_id: i64) -> Result<Option<Kept>> {
    let sql = "SELECT key_id, secret, created_at, confirmed_at IS NOT NULL FROM second_factors WHERE user_id = ?1";
    let found = read
        .conn
        .prepare_cached(sql)?
        .query_row([user_id], |row| Ok((sealed(row)?, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?)));
    let Some((sealed, created_at, on)) = found.optional()? else { return Ok(None) };
    let secret = read.sealer.open(SECRET, &user_id.to_string(), &sealed)?;
    Ok(Some(Kept { on, secret, created_at }))
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed { key_id: row.get(0)?, bytes: row.get(1)? })
}

/// Takes a code of this step, where no code of it or a later one was taken, and the factor is still the one that was read;
/// answers whether it was.
pub fn take_step(tx: &Tx<'_>, user_id: i64, kept: &Kept, step: i64) -> Result<bool> {
    let sql = "UPDATE second_factors SET last_step = ?3
               WHERE user_id = ?1 AND created_at = ?2 AND last_step < ?3 AND (confirmed_at IS NOT NULL) = ?4";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![user_id, kept.created_at, step, kept.on])? > 0)
}

/// Takes a recovery code; answers whether it was one.
pub fn take_recovery_code(tx: &Tx<'_>, user_id: i64, hash: &[u8; 32]) -> Result<bool> {
    let sql = "DELETE FROM recovery_codes WHERE hash = ?2 AND user_id = ?1";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![user_id, hash])? > 0)
}

/// Log-ins ask for a code from now on; these are the recovery codes.
pub fn confirm(tx: &Tx<'_>, user_id: i64, recovery_codes: &[[u8; 32]]) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE second_factors SET confirmed_at = ?2 WHERE user_id = ?1")?
        .execute(params![user_id, tx.now.0])?;
    replace_recovery_codes(tx, user_id, recovery_codes).map(drop)
}

/// These are the recovery codes from now on, and no others; answers how many others there were.
pub fn replace_recovery_codes(tx: &Tx<'_>, user_id: i64, recovery_codes: &[[u8; 32]]) -> Result<usize> {
    let gone = tx.conn.prepare_cached("DELETE FROM recovery_codes WHERE user_id = ?1")?.execute([user_id])?;
    for hash in recovery_codes {
        tx.conn
            .prepare_cached("INSERT INTO recovery_codes (hash, user_id) VALUES (?1, ?2)")?
            .execute(params![hash, user_id])?;
    }
    Ok(gone)
}

/// Takes it away, with its recovery codes; answers whether there was one.
pub fn delete(tx: &Tx<'_>, user_id: i64) -> Result<bool> {
    Ok(tx.conn.prepare_cached("DELETE FROM second_factors WHERE user_id = ?1")?.execute([user_id])? > 0)
}
