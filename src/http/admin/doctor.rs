//! `/api/doctor`: the whole installation, looked at from every side, in sentences.
//!
//! ```text
//! {"result": {"findings": [{"level": "ok|warning|error", "code", "message", "facts": [{"case", …}]}]}}
//! ```
//!
//! `code` says what was looked at. `facts` is what `message` is made of, one for each sentence in it: its machine word, and
//! the names and numbers in it; `…_ms` is a length of time, `…_bytes` a size, `…_at` a time.

use std::path::Path;

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{
        App,
        doctor::{Fact, Finding},
    },
    domain::OriginChange,
    http::{
        caller::Admitted,
        findings::{setup_facts, setup_sentence},
        problem::{Failure, origin_change_sentence},
        time::{whole_seconds, with_offset},
    },
};

pub(super) async fn get(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let findings: Vec<Value> = app.diagnose(&caller).await?.iter().map(wire).collect();
    Ok(result(json!({"findings": findings})))
}

fn wire(finding: &Finding) -> Value {
    json!({
        "level": finding.level.as_str(),
        "code": finding.fact.code(),
        "message": sentence(&finding.fact),
        "facts": facts(&finding.fact),
    })
}

/// The cases and facts of [`sentence`].
fn facts(fact: &Fact) -> Vec<Value> {
    vec![match fact {
        Fact::Setup(fault) => return setup_facts(fault),
        Fact::SetupFine => json!({"case": "setup_fine"}),
        Fact::Open(path) => json!({"case": "file_open", "path": path}),
        Fact::Private => json!({"case": "files_private"}),
        Fact::Free(path, free) => json!({"case": "disk_free", "path": path, "free_bytes": free}),
        Fact::Size(database, log) => {
            json!({"case": "database_size", "database_bytes": database, "log_bytes": log})
        }
        Fact::Structure(report) if report.is_empty() => json!({"case": "database_fine"}),
        Fact::Structure(report) => json!({"case": "database_damaged", "report": report}),
        Fact::Sqlite(version) => json!({"case": "sqlite_version", "version": version}),
        Fact::Backup(last, age, verified) => {
            json!({"case": "backup_last", "name": last.name, "age_ms": age, "verified_ms": verified})
        }
        Fact::NoBackup => json!({"case": "backup_none"}),
        Fact::NoSchedule => json!({"case": "backup_unscheduled"}),
        Fact::BackupFailed(why) => json!({"case": "backup_failed", "why": why}),
        Fact::BackupsUnreadable(names) => json!({"case": "backups_unreadable", "names": names}),
        Fact::Skew(provider, ms) => {
            let seconds = ms.unsigned_abs() / 1000;
            if *ms > 0 {
                json!({"case": "clock_ahead", "provider": provider, "seconds": seconds})
            } else {
                json!({"case": "clock_behind", "provider": provider, "seconds": seconds})
            }
        }
        Fact::ClocksAgree => json!({"case": "clocks_agree"}),
        Fact::Expiring(count, first) => {
            json!({"case": "things_expire", "count": count, "first_at": with_offset(*first)})
        }
        Fact::NothingExpires => json!({"case": "nothing_expires"}),
        Fact::Connections(state, count) => match *state {
            "needs_reauthorization" => json!({"case": "connections_lost", "count": count}),
            "uncertain" => json!({"case": "connections_uncertain", "count": count}),
            "app_secret_rejected" => json!({"case": "connections_wait", "count": count}),
            _ => json!({"case": "connections_failing", "count": count}),
        },
        Fact::ConnectionsFine(count) => json!({"case": "connections_fine", "count": count}),
        Fact::Overdue(count) => json!({"case": "refreshes_overdue", "count": count}),
        Fact::DeadDeliveries(count) => json!({"case": "deliveries_dead", "count": count}),
        Fact::Certificate(path, end, left) if *left <= 0 => {
            json!({"case": "certificate_ended", "path": path, "end_at": with_offset(*end)})
        }
        Fact::Certificate(path, end, left) => {
            json!({"case": "certificate_ends", "path": path, "end_at": with_offset(*end), "left_ms": left})
        }
        Fact::CertificateUnreadable(path, why) => json!({"case": "certificate_unreadable", "path": path, "why": why}),
        Fact::InsecureHttp => json!({"case": "insecure_http"}),
        Fact::AllowPrivate => json!({"case": "private_allowed"}),
        Fact::OriginsUnconfirmed(change) => {
            let OriginChange { provider, old, new, profiles, connections } = &**change;
            json!({"case": "origins_unconfirmed", "provider": provider, "old_origins": old, "new_origins": new,
                "profiles": profiles, "connections": connections})
        }
        Fact::Rotating(since) => json!({"case": "keys_rotating", "since_at": with_offset(*since)}),
    }]
}

/// `12.3 MB`.
fn bytes(many: u64) -> String {
    let (unit, name) = match many {
        0..1_000 => return format!("{many} bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", many / unit, many % unit * 10 / unit)
}

/// `3 days`, `5 hours`, `less than an hour`.
fn span(ms: i64) -> String {
    let hours = ms.max(0) / (60 * 60 * 1000);
    match hours {
        0 => "less than an hour".to_owned(),
        1 => "1 hour".to_owned(),
        2..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

fn at(path: &Path) -> std::path::Display<'_> {
    path.display()
}

/// One sentence, and what helps.
fn sentence(fact: &Fact) -> String {
    match fact {
        Fact::Setup(fault) => setup_sentence(fault),
        Fact::SetupFine => "Public URL, background work, keys and token endpoints are in order.".to_owned(),
        Fact::Open(path) => format!("Others on this machine can get at {}: chmod go-rwx it.", at(path)),
        Fact::Private => "Data, keys and backups are for their owner alone.".to_owned(),
        Fact::Free(path, free) => format!("{} are free at {}.", bytes(*free), at(path)),
        Fact::Size(database, log) => format!("The database has {}, its log {}.", bytes(*database), bytes(*log)),
        Fact::Structure(report) if report.is_empty() => "SQLite finds the database in order.".to_owned(),
        Fact::Structure(report) => format!(
            "The database is damaged ({}). Stop the server, keep a copy of the data folder as it is, and put back a backup.",
            report.join("; ")
        ),
        Fact::Sqlite(version) => format!("SQLite has version {version}."),
        Fact::Backup(last, age, verified) => format!(
            "The last backup, {}, is {} old; it was verified {} ago. The key is not in it: keep a copy elsewhere.",
            last.name,
            span(*age),
            span(*verified)
        ),
        Fact::NoBackup => "There is no backup yet: grantry backup create makes one.".to_owned(),
        Fact::NoSchedule => "No backup is made by itself (--backup-every off).".to_owned(),
        Fact::BackupFailed(why) => format!("The last backup could not be made: {why}."),
        Fact::BackupsUnreadable(names) => {
            format!("These backups cannot be read: {}. Remove them: grantry backup delete.", names.join(", "))
        }
        Fact::Skew(provider, ms) => {
            let seconds = ms.unsigned_abs() / 1000;
            let way = if *ms > 0 { "ahead of" } else { "behind" };
            format!(
                "The clock of the provider {provider} is {seconds} seconds {way} this machine's: one of them is wrong."
            )
        }
        Fact::ClocksAgree => "No provider's clock is known to differ from this machine's.".to_owned(),
        Fact::Expiring(many, first) => format!(
            "{many} client secrets, tokens or grants end within 30 days, the first at {}: see grantry expiring.",
            whole_seconds(*first)
        ),
        Fact::NothingExpires => "Nothing that is known to end does so within 30 days.".to_owned(),
        Fact::Connections(state, many) => {
            let what = match *state {
                "needs_reauthorization" => "have lost their grant and have to be authorized again",
                "uncertain" => "are uncertain: nobody knows whether their refresh token is the last one",
                "app_secret_rejected" => "wait, as the provider turns down their profile's client id or secret",
                _ => "could not be refreshed when it was last tried",
            };
            format!("{many} connections {what}.")
        }
        Fact::ConnectionsFine(many) => format!("{many} connections are well."),
        Fact::Overdue(many) => format!("{many} refreshes are more than a minute late."),
        Fact::DeadDeliveries(many) => {
            format!("{many} deliveries of webhooks were given up: see grantry webhook deliveries.")
        }
        Fact::Certificate(path, end, left) if *left <= 0 => {
            format!("The certificate in {} ended at {}.", at(path), whole_seconds(*end))
        }
        Fact::Certificate(path, end, left) => {
            format!("The certificate in {} ends at {}, in {}.", at(path), whole_seconds(*end), span(*left))
        }
        Fact::CertificateUnreadable(path, why) => format!("The certificate in {} cannot be read: {why}.", at(path)),
        Fact::InsecureHttp => {
            "Credentials travel in clear (--insecure-http): use --tls-cert, or a proxy with TLS.".to_owned()
        }
        Fact::AllowPrivate => {
            "Whoever may define providers can make this server ask private addresses (--allow-private).".to_owned()
        }
        Fact::OriginsUnconfirmed(change) => {
            let origins: Vec<String> = change.new.iter().map(|origin| format!(" --origin '{origin}'")).collect();
            format!(
                "{}. To confirm: grantry provider confirm {}{}.",
                origin_change_sentence(change),
                change.provider,
                origins.concat()
            )
        }
        Fact::Rotating(since) => {
            format!("Values are being sealed with a new key since {}: see grantry keys list.", with_offset(*since))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (bytes(999), bytes(1_500), bytes(12_345_678)),
            ("999 bytes".into(), "1.5 kB".into(), "12.3 MB".into())
        );
        assert_eq!(
            (span(-1), span(3_600_000), span(180_000_000_000)),
            ("less than an hour".into(), "1 hour".into(), "2083 days".into())
        );
    }
}
