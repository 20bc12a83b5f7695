//! `/api/overview`: what wants attention, and how much there is of everything.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::{expiring, result, search::named};
use crate::{
    app::{App, overview::BACKUP_OLD_MS},
    domain::overview::{Example, Overview, Trouble},
    http::{
        caller::Admitted,
        problem::Failure,
        time::{day, with_offset},
    },
};

/// So many examples of what ends soon stand for all.
const EXAMPLES: usize = 5;

fn example(example: &Example) -> Value {
    let mut value = named(&example.connection);
    value["owner"] = example.owner.as_deref().into();
    value["since"] = example.since.map(with_offset).into();
    value["reason"] = example.reason.as_deref().into();
    value
}

fn trouble(kind: &str, trouble: &Trouble) -> Option<Value> {
    let examples = || trouble.examples.iter().map(example).collect::<Vec<_>>();
    (trouble.count > 0).then(|| json!({"kind": kind, "count": trouble.count, "examples": examples()}))
}

/// What wants attention: what keeps most from working first.
fn attention(overview: &Overview) -> Vec<Value> {
    let mut all: Vec<Value> = overview
        .rejected
        .iter()
        .map(|rejected| {
            json!({
                "kind": "app_secret_rejected",
                "profile": named(&rejected.profile),
                "connections": rejected.connections,
                "since": with_offset(rejected.since),
                "why": rejected.why,
            })
        })
        .collect();
    all.extend(trouble("needs_reauthorization", &overview.lost));
    all.extend(trouble("uncertain", &overview.uncertain));
    if !overview.expiring.is_empty() {
        let examples: Vec<Value> = overview.expiring.iter().take(EXAMPLES).map(expiring::wire).collect();
        let mut item = json!({"kind": "expiring", "count": overview.expiring.len(), "examples": examples});
        if overview.more_expiring {
            item["count_is_at_least"] = true.into();
        }
        all.push(item);
    }
    if !overview.dead.is_empty() {
        all.push(json!({
            "kind": "deliveries_dead",
            "count": overview.dead.iter().map(|dead| dead.count).sum::<u64>(),
            "webhooks": overview.dead.iter().map(|dead| {
                json!({"id": dead.webhook_id, "url": dead.url, "count": dead.count})
            }).collect::<Vec<_>>(),
        }));
    }
    match overview.last_backup_at {
        None => all.push(json!({"kind": "no_backup", "last_at": null})),
        Some(at) if overview.at.0 - at.0 > BACKUP_OLD_MS => {
            all.push(json!({"kind": "backup_old", "last_at": with_offset(at)}));
        }
        Some(_) => {}
    }
    all
}

pub(super) async fn get(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let overview = app.overview(&caller).await?;
    let counts = &overview.counts;
    Ok(result(json!({
        "attention": attention(&overview),
        "counts": {
            "profiles": counts.profiles,
            "connections": {
                "total": counts.connections.total(),
                "ok": counts.connections.ok,
                "lost": counts.connections.lost,
                "never": counts.connections.never,
            },
            "customers": counts.customers,
            "client_applications": counts.client_applications,
            "providers": counts.providers,
            "api_tokens": counts.api_tokens,
            "webhooks": counts.webhooks,
            "users": counts.users,
        },
        "refreshes": overview.refreshes.iter().map(|refreshes| json!({
            "day": day(refreshes.begins_at),
            "ok": refreshes.ok,
            "failed": refreshes.failed.iter().sum::<u64>(),
            "failed_by": {
                "app": refreshes.failed[0],
                "grant": refreshes.failed[1],
                "provider": refreshes.failed[2],
                "network": refreshes.failed[3],
            },
        })).collect::<Vec<_>>(),
        "last_backup_at": overview.last_backup_at.map(with_offset),
    })))
}
