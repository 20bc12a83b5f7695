//! The six services, each with its sentences.

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use serde_json::Value;

use super::{
    Body, CHECKED, CONFIGURATIONS, CONNECTOR, Call, Outcome, PROVIDER, USER,
    parameters::{Given, Parameter},
};
use crate::{
    app::{
        checks::{Ailment, ConfigurationReport, ConnectorReport, Reach, SecretState, SetupFault, Tried},
        connections::TokensDeleted,
        load::Report,
        provider_check::{Finding, Severity, Verdict},
    },
    domain::{Error, Fault, Noun, Use, Why},
    http::{
        findings::{MOST_LISTED, sentence, setup_sentence, shown},
        problem::{Failure, fault_phrase, noun},
        time::whole_seconds,
    },
};

/// The text of a required parameter, or the refusal of a blank one: it would name nothing, or everything.
fn need<'a>(given: &'a Given, parameter: &Parameter) -> Result<&'a str, Outcome> {
    let text = given.text(parameter).unwrap_or_default();
    if text.trim().is_empty() { Err(blank(parameter)) } else { Ok(text) }
}

fn blank(parameter: &Parameter) -> Outcome {
    let fault = Fault::new(parameter.printed, Why::Blank);
    Outcome::refused("invalid", StatusCode::BAD_REQUEST, format!("Nothing was done: {}", fault_phrase(&fault)))
}

/// `1 connection`, `2 connections`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What is answered where the dialect is switched off.
pub(super) fn switched_off() -> Outcome {
    let fault = SetupFault::DialectOff;
    Outcome::refused(fault.code(), StatusCode::CONFLICT, setup_sentence(&fault))
}

pub(super) async fn load(call: Call) -> Result<Outcome, Failure> {
    let (app, caller) = (&call.app, &call.caller);
    let loaded = match (&call.given.file, call.given.value(&CONFIGURATIONS)) {
        (Some(file), _) => app.load(caller, file.clone(), |_| {}).await,
        (None, Some(Value::String(text))) => app.load(caller, Bytes::copy_from_slice(text.as_bytes()), |_| {}).await,
        (None, Some(value)) => app.load_value(caller, value.clone(), |_| {}).await,
        (None, None) => Err(Error::internal("a load without a document")),
    };
    match loaded {
        Ok(report) => Ok(Outcome::done(load_sentence(&report))),
        Err(Error::Invalid(faults)) => {
            Ok(Outcome::refused("invalid", StatusCode::BAD_REQUEST, faults_sentence(&faults)))
        }
        Err(error) => Err(error.into()),
    }
}

fn load_sentence(report: &Report) -> String {
    let (added, updated, unchanged) = (report.added.len(), report.updated.len(), report.unchanged.len());
    let all = count(added + updated + unchanged, "configuration");
    format!("Loaded {all}: {added} added, {updated} updated, {unchanged} unchanged. Nothing was deleted.")
}

fn faults_sentence(faults: &[Fault]) -> String {
    let mut lines = vec!["Nothing was loaded, because of these faults of the document:".to_owned()];
    lines.extend(faults.iter().map(fault_phrase));
    lines.join("\n")
}

pub(super) async fn delete(call: Call) -> Result<Outcome, Failure> {
    let (connector, provider) = match (need(&call.given, &CONNECTOR), need(&call.given, &PROVIDER)) {
        (Ok(connector), Ok(provider)) => (connector, provider),
        (Err(refusal), _) | (_, Err(refusal)) => return Ok(refusal),
    };
    let name = format!("{} of connector {}", shown(provider), shown(connector));
    match call.app.delete_profile_by_name(&call.caller, connector, provider).await {
        Ok(()) => Ok(Outcome::done(format!("The configuration {name} is deleted."))),
        Err(Error::NotFound { .. }) => Ok(Outcome::refused(
            "not_found",
            StatusCode::NOT_FOUND,
            format!("Nothing was deleted: there is no configuration {name}."),
        )),
        Err(Error::InUse { by, .. }) => {
            let mut lines = vec![format!("The configuration {name} was not deleted, as it is in use:")];
            lines.extend(by.iter().filter(|by| by.count > 0).map(use_sentence));
            Ok(Outcome::refused("in_use", StatusCode::CONFLICT, lines.join("\n")))
        }
        Err(error) => Err(error.into()),
    }
}

/// `2 connections: "Sales" of alice, "Support" without an owner`.
fn use_sentence(by: &Use) -> String {
    let mut names: Vec<String> = by
        .examples
        .iter()
        .map(|(name, whose)| match (by.what, whose.as_str()) {
            (Noun::Connection, "") => format!("\"{name}\" without an owner"),
            (Noun::Connection, owner) => format!("\"{name}\" of {owner}"),
            (_, "") => format!("\"{name}\""),
            (_, id) => format!("\"{name}\" ({id})"),
        })
        .collect();
    let more = by.count.saturating_sub(by.examples.len() as u64);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    format!("{}: {}", count(usize::try_from(by.count).unwrap_or(usize::MAX), noun(by.what)), names.join(", "))
}

pub(super) async fn names(call: Call) -> Result<Outcome, Failure> {
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    // They come sorted by connector and name.
    for (connector, provider) in call.app.profile_names(&call.caller).await? {
        match names.last_mut() {
            Some((last, providers)) if *last == connector => providers.push(provider),
            _ => names.push((connector, vec![provider])),
        }
    }
    Ok(Outcome { body: Body::Names(names), refusal: None })
}

pub(super) async fn delete_tokens(call: Call) -> Result<Outcome, Failure> {
    let provider = match need(&call.given, &PROVIDER) {
        Ok(provider) => provider,
        Err(refusal) => return Ok(refusal),
    };
    let user = call.given.text(&USER);
    if user.is_some_and(|user| user.trim().is_empty()) {
        return Ok(blank(&USER));
    }
    match call.app.delete_access_tokens(&call.caller, provider, user).await {
        Ok(done) => Ok(tokens_outcome(&done, provider, user)),
        Err(Error::NotFound { .. }) => Ok(Outcome::refused(
            "not_found",
            StatusCode::NOT_FOUND,
            format!("Nothing was deleted: no connector has the OAuth provider {}.", shown(provider)),
        )),
        Err(error) => Err(error.into()),
    }
}

fn tokens_outcome(done: &TokensDeleted, provider: &str, user: Option<&str>) -> Outcome {
    let whose = user.map_or_else(|| "every user".to_owned(), |user| format!("user {}", shown(user)));
    let connectors = match done.connectors.as_slice() {
        [one] => format!("connector {one}"),
        several => format!("connectors {}", several.join(", ")),
    };
    let of = format!("of {whose} for the OAuth provider {} of {connectors}", shown(provider));
    if done.connections == 0 {
        let text = format!("Nothing was deleted: there are no access tokens {of}.");
        return Outcome::refused("nothing_to_delete", StatusCode::NOT_FOUND, text);
    }
    let connections = count(usize::try_from(done.connections).unwrap_or(usize::MAX), "connection");
    let grants = |n: u64| count(usize::try_from(n).unwrap_or(usize::MAX), "grant");
    let revoking =
        |n: u64| format!("{} {} being revoked at the provider", grants(n), if n == 1 { "is" } else { "are" });
    let revoked = match (done.revoking, done.not_revocable) {
        (0, 0) => "There was nothing to revoke at the provider.".to_owned(),
        (queued, 0) => format!("{}.", revoking(queued)),
        (0, _) => "They could not be revoked at the provider: it has no way to, or is not set up.".to_owned(),
        (queued, not) => format!("{}, {} could not be.", revoking(queued), grants(not)),
    };
    Outcome::done(format!("The access tokens {of} are deleted: {connections} must be authorised again. {revoked}"))
}

pub(super) async fn check_connector(call: Call) -> Result<Outcome, Failure> {
    let connector = match need(&call.given, &CHECKED) {
        Ok(connector) => connector,
        Err(refusal) => return Ok(refusal),
    };
    let report = match call.app.check_connector(&call.caller, connector).await {
        Ok(report) => report,
        Err(Error::NotFound { .. }) => {
            let text = format!("No configuration is loaded for the connector {}.", shown(connector));
            return Ok(Outcome::refused("not_found", StatusCode::NOT_FOUND, text));
        }
        Err(error) => return Err(error.into()),
    };
    if report.is_fine() {
        let connections = report.configurations.iter().map(|configuration| configuration.connections).sum();
        let mut lines = vec![format!(
            "The connector {connector} is in order: {}, {}, {} asked.",
            count(report.configurations.len(), "configuration"),
            count(connections, "connection"),
            count(report.endpoints.len(), "endpoint"),
        )];
        lines.push(trials(&report));
        lines.extend(report.configurations.iter().flat_map(doubts));
        return Ok(Outcome::done(lines.join("\n")));
    }
    let mut lines = vec![format!("The connector {connector} is not in order:")];
    lines.extend(connector_findings(&report));
    Ok(Outcome::refused("connector_not_in_order", StatusCode::CONFLICT, lines.join("\n")))
}

/// How many client ids and secrets the provider was seen to take.
fn trials(report: &ConnectorReport) -> String {
    let taken = |c: &&ConfigurationReport| matches!(c.tried, Tried::Found { verdict: Verdict::Accepted, .. });
    let taken = report.configurations.iter().filter(taken).count();
    format!("The provider accepts client id and secret of {}.", count(taken, "configuration"))
}

/// What nobody can tell of a configuration, and why not.
fn doubts(configuration: &ConfigurationReport) -> Vec<String> {
    let name = &configuration.name;
    match &configuration.tried {
        Tried::Found { verdict: Verdict::Unknown, findings } => {
            let doubt = |finding: &&Finding| finding.severity() != Severity::Ok;
            findings.iter().filter(doubt).map(|finding| format!("{name}: {}", sentence(finding))).collect()
        }
        Tried::NeedsVariables(variables) => vec![format!(
            "{name}: client id and secret were not tried, as each account has its own {}",
            variables.join(", ")
        )],
        _ => Vec::new(),
    }
}

/// `the connection "Sales" of alice`.
fn the_connection(name: &str, owner: &str) -> String {
    let of = if owner.is_empty() { "without an owner".to_owned() } else { format!("of {owner}") };
    format!("the connection \"{name}\" {of}")
}

fn ailment_phrase(what: &Ailment) -> String {
    match what {
        Ailment::Settings(faults) => faults.iter().map(fault_phrase).collect::<Vec<_>>().join(", "),
        Ailment::NoTokens => "has no tokens; authorise it again".to_owned(),
        Ailment::DoesNotOpen => "has sealed values that do not open; authorise it again".to_owned(),
        Ailment::Failing { failures, blame, result } => {
            let failures = count(usize::try_from(*failures).unwrap_or(usize::MAX), "refresh");
            let failures = failures.replace("refreshs", "refreshes");
            format!("has seen {failures} fail in a row, last with {result}; to blame: {}", blame.as_str())
        }
        Ailment::Uncertain { since } => format!(
            "may have lost its refresh token with an answer at {}; it works as long as its access token does",
            whole_seconds(*since)
        ),
    }
}

fn connector_findings(report: &ConnectorReport) -> Vec<String> {
    let mut lines = Vec::new();
    for configuration in &report.configurations {
        let name = &configuration.name;
        match configuration.secret {
            SecretState::Usable => {}
            SecretState::OnlyHashed => {
                lines.push(format!("{name}: only the hash of its client secret is kept, so it cannot be used"));
            }
            SecretState::DoesNotOpen => {
                lines.push(format!("{name}: its client secret does not open with the keys there are; load it again"));
            }
        }
        if !configuration.missing_parameters.is_empty() {
            lines.push(format!("{name}: lacks {}", configuration.missing_parameters.join(", ")));
        }
        lines.extend(configuration.faults.iter().map(|fault| format!("{name}: {}", fault_phrase(fault))));
        match &configuration.tried {
            Tried::Found { findings, .. } => {
                let serious = |finding: &&Finding| finding.severity() != Severity::Ok;
                lines.extend(findings.iter().filter(serious).map(|f| format!("{name}: {}", sentence(f))));
            }
            Tried::NotNow => {
                lines.push(format!("{name}: its client id and secret could not be tried just now; ask again"));
            }
            Tried::NeedsVariables(_) => lines.extend(doubts(configuration)),
            Tried::Pointless => {}
        }
        for (connection, owner) in &configuration.lost_connections {
            lines.push(format!("{name}: {} must be authorised again", the_connection(connection, owner)));
        }
        for ailing in configuration.ailing.iter().take(MOST_LISTED) {
            let which = the_connection(&ailing.name, &ailing.owner);
            lines.push(format!("{name}: {which} {}", ailment_phrase(&ailing.what)));
        }
        let more = configuration.ailing.len().saturating_sub(MOST_LISTED);
        if more > 0 {
            lines.push(format!("{name}: and {} more with something the matter", count(more, "connection")));
        }
    }
    for (url, reach) in &report.endpoints {
        match reach {
            Reach::Failed(why) => lines.push(format!("{url} cannot be reached: {why}")),
            Reach::Answered { status, .. } if *status >= 500 => lines.push(format!("{url} answers {status}")),
            Reach::Answered { .. } => {}
        }
    }
    lines
}

pub(super) async fn check_setup(call: Call) -> Result<Outcome, Failure> {
    let faults = call.app.check_setup(&call.caller).await?;
    if faults.is_empty() {
        return Ok(Outcome::done("Everything is set up: no error was found."));
    }
    let codes: Vec<&str> = faults.iter().map(SetupFault::code).collect();
    let lines: Vec<String> = faults.iter().map(setup_sentence).collect();
    Ok(Outcome::refused(codes.join(" "), StatusCode::CONFLICT, lines.join("\n")))
}
