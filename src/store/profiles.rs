//! Profiles and their secrets.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{
    Constraint as _, Read, Tx,
    pages::Marked,
    seal::{Column, Purpose, Sealed},
};
use crate::domain::{
    Error, Name, Noun, Page, Result, Secret, Timestamp, Use, Why,
    profile::{ClientId, KeptSecret, Profile, RefreshScope, Rejected, Rotation, SecretKind},
};

const LIST: Marked = Marked { table: "profiles", key: "id" };
pub(super) const SEALED: Column = Column { purpose: Purpose::ClientSecrets, table: "profile_secrets", name: "sealed" };

pub(super) const SELECT: &str =
    "SELECT p.id, p.name, p.provider, p.client_id, p.created_by, p.created_at, p.updated_at,
    coalesce((SELECT count FROM use_counts WHERE what = 'connections of profile' AND id = p.id), 0),
    coalesce((SELECT count FROM use_counts WHERE what = 'assignments of profile' AND id = p.id), 0),
    s.created_at, s.sealed IS NOT NULL
    FROM profiles p JOIN profile_secrets s ON s.profile_id = p.id AND s.kind = 'current'";

/// A row whose text does not pass the rules it was checked by when written: someone else wrote it.
pub(super) fn foreign_row(what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, format!("{what} breaks its rules").into())
}

fn profile(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        id: row.get(0)?,
        name: Name::new(row.get::<_, String>(1)?).map_err(|_| foreign_row("a profile's name"))?,
        provider: row.get(2)?,
        client_id: ClientId::new(row.get::<_, String>(3)?).map_err(|_| foreign_row("a client id"))?,
        created_by: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        updated_at: Timestamp(row.get(6)?),
        connections: row.get(7)?,
        customers: row.get(8)?,
        secret_since: Timestamp(row.get(9)?),
        secret_sealed: row.get(10)?,
    })
}

/// One page by ascending id.
pub fn list(read: &Read<'_>, page: Page) -> Result<Vec<Profile>> {
    let Some(first) = LIST.first(read, page)? else { return Ok(Vec::new()) };
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} WHERE p.id >= ?1 ORDER BY p.id LIMIT ?2"))?;
    let rows = statement.query_map(params![first, page.limit], profile)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many there are.
pub fn count(read: &Read<'_>) -> Result<u64> {
    LIST.total(read)
}

/// The profile with this id.
pub fn get(read: &Read<'_>, id: i64) -> Result<Profile> {
    read.conn
        .prepare_cached(&format!("{SELECT} WHERE p.id = ?1"))?
        .query_row([id], profile)
        .optional()?
        .ok_or_else(|| Error::not_found(Noun::Profile, id))
}

/// The profile of this provider with this name.
pub fn find(read: &Read<'_>, provider: &str, name: &str) -> Result<Option<Profile>> {
    let sql = format!("{SELECT} WHERE p.provider = ?1 AND p.name = ?2");
    Ok(read.conn.prepare_cached(&sql)?.query_row([provider, name], profile).optional()?)
}

/// One page of those that are assigned to a customer, by ascending id, and how many there are in all. There is one of each
/// provider at most, so that they can be walked over.
pub fn of_customer(read: &Read<'_>, customer_id: i64, page: Page) -> Result<(Vec<Profile>, u64)> {
    let count = "SELECT count(*) FROM assignments WHERE customer_id = ?1";
    let count = read.conn.prepare_cached(count)?.query_row([customer_id], |row| row.get(0))?;
    let mut statement = read.conn.prepare_cached(&format!(
        "{SELECT} WHERE p.id IN (SELECT profile_id FROM assignments WHERE customer_id = ?1) ORDER BY p.id LIMIT ?2 OFFSET ?3"
    ))?;
    let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![customer_id, page.limit, offset], profile)?;
    Ok((rows.collect::<rusqlite::Result<_>>()?, count))
}

/// All profiles of a provider, by id.
pub fn of_provider(read: &Read<'_>, provider: &str) -> Result<Vec<Profile>> {
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} WHERE p.provider = ?1 ORDER BY p.id"))?;
    let rows = statement.query_map([provider], profile)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All profiles with this name, whatever their provider, by id.
pub fn of_name(read: &Read<'_>, name: &str) -> Result<Vec<Profile>> {
    let mut statement = read.conn.prepare_cached(&format!("{SELECT} WHERE p.name = ?1 ORDER BY p.id"))?;
    let rows = statement.query_map([name], profile)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Provider and name of all profiles, sorted.
pub fn names(read: &Read<'_>) -> Result<Vec<(String, String)>> {
    let mut statement = read.conn.prepare_cached("SELECT provider, name FROM profiles ORDER BY provider, name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The slugs of providers that have profiles, sorted.
pub fn providers_in_use(read: &Read<'_>) -> Result<Vec<String>> {
    let mut statement = read.conn.prepare_cached("SELECT DISTINCT provider FROM profiles ORDER BY provider")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn taken(name: &Name) -> Error {
    Error::Conflict { what: Noun::Profile, name: name.as_str().to_owned() }
}

/// Adds a profile and answers its id. Its current secret is to be put in the same transaction.
pub fn insert(tx: &Tx<'_>, provider: &str, name: &Name, client_id: &ClientId, created_by: Option<i64>) -> Result<i64> {
    tx.conn
        .prepare_cached(
            "INSERT INTO profiles (provider, name, client_id, created_by, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![provider, name.as_str(), client_id.as_str(), created_by, tx.now.0])
        .or_taken("profiles.provider, profiles.name", || taken(name))?;
    Ok(tx.conn.last_insert_rowid())
}

/// Replaces provider, name and client id. The provider is fixed while others refer to it.
pub fn update(tx: &Tx<'_>, id: i64, provider: &str, name: &Name, client_id: &ClientId) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE profiles SET provider = ?2, name = ?3, client_id = ?4, updated_at = max(?5, updated_at + 1),
                rotation = CASE WHEN provider = ?2 THEN rotation END,
                rotation_at = CASE WHEN provider = ?2 THEN rotation_at END
             WHERE id = ?1",
        )?
        .execute(params![id, provider, name.as_str(), client_id.as_str(), tx.now.0]);
    if changed.as_ref().is_err_and(super::is_reference) {
        return Err(Error::invalid("provider", Why::Fixed));
    }
    match changed.or_taken("profiles.provider, profiles.name", || taken(name))? {
        0 => Err(Error::not_found(Noun::Profile, id)),
        _ => Ok(()),
    }
}

/// Removes a profile that nobody needs.
pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    let gone = tx
        .conn
        .prepare_cached("DELETE FROM profiles WHERE id = ?1")?
        .execute([id])
        .or_referenced(|| Error::InUse { what: Noun::Profile, by: Vec::new() });
    match gone {
        Ok(0) => Err(Error::not_found(Noun::Profile, id)),
        Ok(_) => Ok(()),
        Err(Error::InUse { what, .. }) => Err(Error::InUse { what, by: uses(tx, id)? }),
        Err(error) => Err(error),
    }
}

/// Who needs a profile: connections and customers, in that order, each kind always listed.
pub fn uses(read: &Read<'_>, id: i64) -> Result<Vec<Use>> {
    let mut uses = Vec::new();
    for (what, count, examples) in [
        (
            Noun::Connection,
            "SELECT count(*) FROM connections WHERE profile_id = ?1",
            "SELECT name, coalesce(owner, '') FROM connections WHERE profile_id = ?1 ORDER BY id LIMIT 20",
        ),
        (
            Noun::Customer,
            "SELECT count(*) FROM assignments WHERE profile_id = ?1",
            "SELECT c.name, coalesce(c.external_id, '') FROM assignments a JOIN customers c ON c.id = a.customer_id
             WHERE a.profile_id = ?1 ORDER BY c.id LIMIT 20",
        ),
    ] {
        let count = read.conn.prepare_cached(count)?.query_row([id], |row| row.get(0))?;
        let mut statement = read.conn.prepare_cached(examples)?;
        let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        uses.push(Use { what, count, examples: rows.collect::<rusqlite::Result<_>>()? });
    }
    Ok(uses)
}

/// A secret as it is kept.
pub struct StoredSecret {
    /// Argon2id, PHC string; client secrets only.
    pub hash: Option<String>,
    /// The sealed form, unless only hashes are kept.
    pub sealed: Option<Sealed>,
    /// Since when it is this one.
    pub created_at: Timestamp,
}

/// A secret of a profile as it is kept.
pub fn secret(read: &Read<'_>, id: i64, kind: SecretKind) -> Result<Option<StoredSecret>> {
    let sql = "SELECT hash, key_id, sealed, created_at FROM profile_secrets WHERE profile_id = ?1 AND kind = ?2";
    let found = read.conn.prepare_cached(sql)?.query_row(params![id, kind.as_str()], |row| {
        let (key_id, bytes): (Option<String>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
        Ok(StoredSecret {
            hash: row.get(0)?,
            sealed: key_id.zip(bytes).map(|(key_id, bytes)| Sealed { key_id, bytes }),
            created_at: Timestamp(row.get(3)?),
        })
    });
    Ok(found.optional()?)
}

/// The row as the seal knows it. What is sealed so opens only for a profile whose secrets are pinned to origins; before
/// there were pins it was `profile_id/kind`.
fn seal_row(id: i64, kind: SecretKind) -> String {
    format!("{id}/{}{PINNED}", kind.as_str())
}

/// The end of [`seal_row`].
pub(super) const PINNED: &str = "/pinned";

/// Seals the secrets of a profile again that were sealed before there were pins. `false`: one of them does not open in
/// that form, and nothing was changed.
pub fn bind_secrets(tx: &Tx<'_>, id: i64) -> Result<bool> {
    let mut opened = Vec::new();
    for kind in SecretKind::ALL {
        let Some(sealed) = secret(tx, id, kind)?.and_then(|stored| stored.sealed) else { continue };
        match tx.sealer.open(SEALED, &format!("{id}/{}", kind.as_str()), &sealed) {
            Ok(text) => opened.push((kind, text)),
            Err(_) => return Ok(false),
        }
    }
    for (kind, text) in opened {
        let sealed = tx.sealer.seal(SEALED, &seal_row(id, kind), &text)?;
        tx.conn
            .prepare_cached("UPDATE profile_secrets SET key_id = ?3, sealed = ?4 WHERE profile_id = ?1 AND kind = ?2")?
            .execute(params![id, kind.as_str(), sealed.key_id, sealed.bytes])?;
    }
    Ok(true)
}

/// Opens a secret of a profile; `None` where it has none, or only its hash.
pub fn open_secret(read: &Read<'_>, id: i64, kind: SecretKind) -> Result<Option<Secret>> {
    let Some(sealed) = secret(read, id, kind)?.and_then(|stored| stored.sealed) else { return Ok(None) };
    read.sealer.open(SEALED, &seal_row(id, kind), &sealed).map(Some)
}

/// Keeps a secret of a profile: its hash, its sealed form, or both.
pub fn put_secret(tx: &Tx<'_>, id: i64, kind: SecretKind, hash: Option<&str>, secret: Option<&Secret>) -> Result<()> {
    let sealed = secret.map(|secret| tx.sealer.seal(SEALED, &seal_row(id, kind), secret)).transpose()?;
    let (key_id, bytes) = sealed.map(|sealed| (sealed.key_id, sealed.bytes)).unzip();
    tx.conn
        .prepare_cached(
            "INSERT INTO profile_secrets (profile_id, kind, hash, key_id, sealed, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (profile_id, kind) DO UPDATE SET hash = excluded.hash, key_id = excluded.key_id,
                 sealed = excluded.sealed, created_at = excluded.created_at, last_used_at = NULL, expires_at = NULL",
        )?
        .execute(params![id, kind.as_str(), hash, key_id, bytes, tx.now.0])?;
    Ok(())
}

/// Puts the hash of a better kind in the place of the one it was made from.
pub fn rehash_secret(tx: &Tx<'_>, id: i64, kind: SecretKind, old: &str, new: &str) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE profile_secrets SET hash = ?4 WHERE profile_id = ?1 AND kind = ?2 AND hash = ?3")?
        .execute(params![id, kind.as_str(), old, new])?;
    Ok(())
}

/// Forgets a secret of a profile.
pub fn delete_secret(tx: &Tx<'_>, id: i64, kind: SecretKind) -> Result<()> {
    tx.conn
        .prepare_cached("DELETE FROM profile_secrets WHERE profile_id = ?1 AND kind = ?2")?
        .execute(params![id, kind.as_str()])?;
    Ok(())
}

/// What is known of the client secrets of a profile, the current one first.
pub fn kept_secrets(read: &Read<'_>, id: i64) -> Result<Vec<KeptSecret>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT kind, created_at, last_used_at, expires_at FROM profile_secrets
         WHERE profile_id = ?1 AND kind IN ('current', 'next') ORDER BY kind",
    )?;
    let mut rows = statement.query([id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = if row.get::<_, String>(0)? == "next" { SecretKind::Next } else { SecretKind::Current };
        let time = |n| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(n)?.map(Timestamp));
        found.push(KeptSecret {
            kind,
            created_at: Timestamp(row.get(1)?),
            last_used_at: time(2)?,
            expires_at: time(3)?,
            usable: matches!(open_secret(read, id, kind), Ok(Some(_))),
        });
    }
    Ok(found)
}

/// Sets until when the provider takes a client secret; answers whether there is one.
pub fn set_secret_expiry(tx: &Tx<'_>, id: i64, kind: SecretKind, at: Option<Timestamp>) -> Result<bool> {
    let sql = "UPDATE profile_secrets SET expires_at = ?3 WHERE profile_id = ?1 AND kind = ?2";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![id, kind.as_str(), at.map(|at| at.0)])? > 0)
}

/// Puts the client secret to come in the place of the one in use, with its hash, its age and its use; answers whether
/// there was one. It is sealed anew, as what is sealed is bound to its place.
pub fn promote_secret(tx: &Tx<'_>, id: i64) -> Result<bool> {
    let Some(next) = secret(tx, id, SecretKind::Next)? else { return Ok(false) };
    let opened = open_secret(tx, id, SecretKind::Next)?;
    put_secret(tx, id, SecretKind::Current, next.hash.as_deref(), opened.as_ref())?;
    tx.conn
        .prepare_cached(
            "UPDATE profile_secrets SET (created_at, last_used_at, expires_at) =
                (SELECT created_at, last_used_at, expires_at FROM profile_secrets WHERE profile_id = ?1 AND kind = 'next')
             WHERE profile_id = ?1 AND kind = 'current'",
        )?
        .execute([id])?;
    delete_secret(tx, id, SecretKind::Next)?;
    Ok(true)
}

/// Profiles whose sealed values do not open, by id with the kind of value.
pub fn unopenable(read: &Read<'_>) -> Result<Vec<(i64, String)>> {
    let mut statement = read.conn.prepare(
        "SELECT profile_id, kind, key_id, sealed FROM profile_secrets WHERE sealed IS NOT NULL ORDER BY profile_id, kind",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, kind): (i64, String) = (row.get(0)?, row.get(1)?);
        let sealed = Sealed { key_id: row.get(2)?, bytes: row.get(3)? };
        if read.sealer.open(SEALED, &format!("{id}/{kind}{PINNED}"), &sealed).is_err() {
            found.push((id, kind));
        }
    }
    Ok(found)
}

/// The client secrets of a profile that can be opened, the one that worked last first, with since when each is that one.
pub fn live_secrets(read: &Read<'_>, id: i64) -> Result<Vec<(SecretKind, Timestamp, Secret)>> {
    let mut statement = read.conn.prepare_cached(
        "SELECT kind, created_at, key_id, sealed FROM profile_secrets
         WHERE profile_id = ?1 AND kind IN ('current', 'next') AND sealed IS NOT NULL
         ORDER BY coalesce(last_used_at, 0) DESC, kind",
    )?;
    let mut rows = statement.query([id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = if row.get::<_, String>(0)? == "next" { SecretKind::Next } else { SecretKind::Current };
        let sealed = Sealed { key_id: row.get(2)?, bytes: row.get(3)? };
        found.push((kind, Timestamp(row.get(1)?), read.sealer.open(SEALED, &seal_row(id, kind), &sealed)?));
    }
    Ok(found)
}

/// What refreshes through a profile were seen to do to refresh tokens, and since when that is known.
pub fn rotation(read: &Read<'_>, id: i64) -> Result<Option<(Rotation, Timestamp)>> {
    let sql = "SELECT rotation, rotation_at FROM profiles WHERE id = ?1 AND rotation IS NOT NULL";
    let found = read.conn.prepare_cached(sql)?.query_row([id], |row| {
        let word: String = row.get(0)?;
        let rotation = Rotation::parse(&word).ok_or_else(|| foreign_row("a rotation"))?;
        Ok((rotation, Timestamp(row.get::<_, Option<i64>>(1)?.unwrap_or_default())))
    });
    Ok(found.optional()?)
}

/// Notes what a refresh did to a refresh token. That one was rotated stands until it is reset; that none was does not
/// stand against it.
pub fn observe_rotation(tx: &Tx<'_>, id: i64, rotated: bool) -> Result<()> {
    let (sql, rotation) = if rotated {
        ("UPDATE profiles SET rotation = ?2, rotation_at = ?3 WHERE id = ?1 AND rotation IS NOT ?2", Rotation::Rotates)
    } else {
        ("UPDATE profiles SET rotation = ?2, rotation_at = ?3 WHERE id = ?1 AND rotation IS NULL", Rotation::Stays)
    };
    tx.conn.prepare_cached(sql)?.execute(params![id, rotation.as_str(), tx.now.0])?;
    Ok(())
}

/// Forgets what was observed; answers whether there was anything.
pub fn reset_rotation(tx: &Tx<'_>, id: i64) -> Result<bool> {
    let sql = "UPDATE profiles SET rotation = NULL, rotation_at = NULL WHERE id = ?1 AND rotation IS NOT NULL";
    Ok(tx.conn.prepare_cached(sql)?.execute([id])? == 1)
}

/// What the `scope` parameter of refresh requests holds; `None`: as the provider's definition says.
pub fn refresh_scope(read: &Read<'_>, id: i64) -> Result<Option<RefreshScope>> {
    let sql = "SELECT refresh_scope FROM profiles WHERE id = ?1";
    let found = read.conn.prepare_cached(sql)?.query_row([id], |row| row.get::<_, Option<String>>(0)).optional()?;
    let word = found.flatten();
    Ok(word.map(|word| RefreshScope::parse(&word).ok_or_else(|| foreign_row("a refresh scope"))).transpose()?)
}

/// Sets what the `scope` parameter of refresh requests holds; `None`: as the provider's definition says.
pub fn set_refresh_scope(tx: &Tx<'_>, id: i64, scope: Option<RefreshScope>) -> Result<()> {
    let sql = "UPDATE profiles SET refresh_scope = ?2 WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute(params![id, scope.map(RefreshScope::as_str)])?;
    Ok(())
}

/// Whether the provider ever took this secret since it was entered.
pub fn is_proven(read: &Read<'_>, id: i64, kind: SecretKind) -> Result<bool> {
    let sql = "SELECT last_used_at IS NOT NULL FROM profile_secrets WHERE profile_id = ?1 AND kind = ?2";
    let found = read.conn.prepare_cached(sql)?.query_row(params![id, kind.as_str()], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(false))
}

/// Notes that the provider took a secret, to the minute.
pub fn secret_used(tx: &Tx<'_>, id: i64, kind: SecretKind) -> Result<()> {
    let sql = "UPDATE profile_secrets SET last_used_at = ?3
               WHERE profile_id = ?1 AND kind = ?2 AND coalesce(last_used_at, 0) <= ?3 - 60000";
    tx.conn.prepare_cached(sql)?.execute(params![id, kind.as_str(), tx.now.0])?;
    Ok(())
}

/// The path of the redirect URI that the app of a profile is registered with.
pub fn callback_path(read: &Read<'_>, id: i64) -> Result<&'static str> {
    let sql = "SELECT callback = 'flow' FROM profiles WHERE id = ?1";
    let flow: Option<bool> = read.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    Ok(if flow == Some(true) { "/Thingworx/Oauths/oauth/return" } else { "/oauth/callback" })
}

/// The profiles whose client id or secret their provider turns down: id, name, and what it says.
pub fn rejected(read: &Read<'_>) -> Result<Vec<(i64, String, String)>> {
    let sql = "SELECT id, name, coalesce(rejected_why, '') FROM profiles WHERE rejected_at IS NOT NULL ORDER BY id";
    let mut statement = read.conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether the provider turns down the credentials of a profile.
pub fn is_rejected(read: &Read<'_>, id: i64) -> Result<bool> {
    let sql = "SELECT rejected_at IS NOT NULL FROM profiles WHERE id = ?1";
    Ok(read.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?.unwrap_or(false))
}

/// Until when a profile whose credentials are turned down is not tried; `None`: they are not turned down.
pub fn rejected_until(read: &Read<'_>, id: i64) -> Result<Option<Timestamp>> {
    let sql = "SELECT rejected_until FROM profiles WHERE id = ?1 AND rejected_at IS NOT NULL";
    let found = read.conn.prepare_cached(sql)?.query_row([id], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(found.flatten().map(Timestamp))
}

/// Notes that the provider turns down the credentials of a profile; answers whether that is new, and when to try again: in
/// `first_ms`, and twice as long each time up to `most_ms`.
pub fn reject(tx: &Tx<'_>, id: i64, why: &str, first_ms: i64, most_ms: i64) -> Result<(bool, Timestamp)> {
    let known: Option<(i64, i64)> = tx
        .conn
        .prepare_cached("SELECT rejected_at, rejected_until FROM profiles WHERE id = ?1 AND rejected_at IS NOT NULL")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // As long again as it has been turned down already.
    let wait = known.map_or(first_ms, |(since, _)| (tx.now.0 - since).clamp(first_ms, most_ms));
    let until = match known {
        // Others of the same profile come back with the same news.
        Some((_, until)) if until > tx.now.0 => until,
        _ => tx.now.0.saturating_add(wait),
    };
    tx.conn
        .prepare_cached(
            "UPDATE profiles SET rejected_at = coalesce(rejected_at, ?2), rejected_why = ?3, rejected_until = ?4 WHERE id = ?1",
        )?
        .execute(params![id, tx.now.0, why, until])?;
    Ok((known.is_none(), Timestamp(until)))
}

/// Takes back that a profile's client id or secret is turned down, and makes due now what waits for that. Answers how many
/// grants.
pub fn heal(tx: &Tx<'_>, id: i64) -> Result<u64> {
    tx.conn
        .prepare_cached(
            "UPDATE profiles SET rejected_at = NULL, rejected_why = NULL, rejected_until = NULL WHERE id = ?1",
        )?
        .execute([id])?;
    let sql = "UPDATE grants SET due_at = ?2
               WHERE blame = 'app' AND connection_id IN (SELECT c.id FROM connections c WHERE c.profile_id = ?1)";
    Ok(tx.conn.prepare_cached(sql)?.execute(params![id, tx.now.0])? as u64)
}

/// Which of our addresses a profile is registered with.
pub fn callback(read: &Read<'_>, id: i64) -> Result<String> {
    let sql = "SELECT callback FROM profiles WHERE id = ?1";
    Ok(read.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0))?)
}

/// Sets which of our addresses a profile is registered with.
pub fn set_callback(tx: &Tx<'_>, id: i64, callback: &str) -> Result<()> {
    tx.conn.prepare_cached("UPDATE profiles SET callback = ?2 WHERE id = ?1")?.execute(params![id, callback])?;
    Ok(())
}

/// Notes that something that belongs to a profile was changed now.
pub fn touch(tx: &Tx<'_>, id: i64) -> Result<()> {
    tx.conn.prepare_cached("UPDATE profiles SET updated_at = ?2 WHERE id = ?1")?.execute(params![id, tx.now.0])?;
    Ok(())
}

/// That the provider turns down the credentials of a profile; `None`: it does not, as far as we know.
pub fn rejection(read: &Read<'_>, id: i64) -> Result<Option<Rejected>> {
    let sql = "SELECT rejected_at, coalesce(rejected_why, ''), rejected_until FROM profiles
               WHERE id = ?1 AND rejected_at IS NOT NULL";
    let found = read.conn.prepare_cached(sql)?.query_row([id], |row| {
        let until = row.get::<_, Option<i64>>(2)?.map(Timestamp);
        Ok(Rejected { at: Timestamp(row.get(0)?), why: row.get(1)?, until })
    });
    Ok(found.optional()?)
}

/// Lets a profile whose credentials are turned down, and whatever waits for them, be tried at once: somebody has changed
/// them. Whether that has helped is for the provider to say.
pub fn try_again(tx: &Tx<'_>, id: i64) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE profiles SET rejected_until = ?2 WHERE id = ?1 AND rejected_at IS NOT NULL")?
        .execute(params![id, tx.now.0])?;
    let sql = "UPDATE grants SET due_at = ?2
               WHERE blame = 'app' AND connection_id IN (SELECT c.id FROM connections c WHERE c.profile_id = ?1)";
    tx.conn.prepare_cached(sql)?.execute(params![id, tx.now.0])?;
    Ok(())
}
