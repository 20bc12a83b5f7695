//! From no database, or an older one, to the present schema.
//!
//! `schema.sql` is what a new database gets. An older database gets the migrations that it lacks, after a verified copy
//! of it was laid beside it. A test proves that both ways end in the same schema.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{OpenError, installation, quick_check, seal::Sealer};

/// The schema of a new database.
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// The version that `schema.sql` has.
pub const VERSION: i64 = 6;

/// `MIGRATIONS[n]` leads from version n + 1 to version n + 2.
pub const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/2_page_marks.sql"),
    include_str!("migrations/3_grants.sql"),
    include_str!("migrations/4_keys_in_use.sql"),
    include_str!("migrations/5_provider_answers.sql"),
    include_str!("migrations/6_pins_and_counts.sql"),
];

/// Brings the database to [`VERSION`], in one transaction.
pub(super) fn run(connection: &mut Connection, path: &Path, sealer: &Sealer, now: i64) -> Result<(), OpenError> {
    let fail = |source| OpenError::sqlite(path, source);
    let Some(found) = installation::schema_version(connection).map_err(fail)? else {
        let mut create = || {
            let tx = connection.transaction()?;
            tx.execute_batch(SCHEMA)?;
            installation::create(&tx, sealer, now)?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.commit()
        };
        return create().map_err(fail);
    };
    if found > VERSION {
        return Err(OpenError::Newer { found, known: VERSION });
    }
    let Some(missing) = usize::try_from(found - 1).ok().and_then(|n| MIGRATIONS.get(n..)) else {
        let report = "it is no database of Grantry's".to_owned();
        return Err(OpenError::Damaged { path: path.display().to_string(), report });
    };
    if missing.is_empty() {
        return Ok(());
    }
    let copy = copy_aside(connection, path, found, now)?;
    tracing::info!(from = found, to = VERSION, copy = %copy.display(), "migrating the database");
    let mut migrate = || {
        let tx = connection.transaction()?;
        for sql in missing {
            tx.execute_batch(sql)?;
        }
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()
    };
    migrate().map_err(fail)
}

/// Lays a copy of the database beside it, and checks the copy.
fn copy_aside(connection: &Connection, path: &Path, version: i64, now: i64) -> Result<PathBuf, OpenError> {
    let copy = path.with_extension(format!("v{version}-{now}.db"));
    let fail = |source| OpenError::sqlite(&copy, source);
    super::make_private(&copy).map_err(|source| OpenError::Io { path: copy.display().to_string(), source })?;
    connection.backup("main", &copy, None::<fn(rusqlite::backup::Progress)>).map_err(fail)?;
    let opened = Connection::open(&copy).map_err(fail)?;
    quick_check(&opened, &copy)?;
    Ok(copy)
}
