//! The table of `src/lib.rs`, held against the sources.

use std::{fs, path::Path};

/// A part of the program and those of ours that it may import.
const MAY: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config.rs", &["domain"]),
    ("oauth", &["domain"]),
    ("store", &["domain"]),
    ("app", &["domain", "oauth", "store"]),
    ("http", &["domain", "app"]),
    ("simulator", &["domain"]),
    ("cli", &["config", "app", "store", "http", "simulator", "domain"]),
    ("main.rs", &["cli"]),
];

/// A crate from outside and the only places that may name it.
const ONLY: &[(&str, &[&str])] = &[
    ("rusqlite", &["store/"]),
    ("reqwest", &["oauth/", "cli/client.rs", "cli/load.rs"]),
    ("actix_web", &["http/", "simulator/"]),
    ("actix_multipart", &["http/"]),
    ("flate2", &["build.rs", "oauth/decode.rs", "simulator/"]),
    ("minifier", &["build.rs"]),
    ("rust_embed", &["http/"]),
    ("argon2", &["app/hashing.rs"]),
    ("aes_gcm", &["store/seal.rs"]),
    ("clap", &["cli/", "config.rs"]),
    ("indicatif", &["cli/"]),
    ("comfy_table", &["cli/"]),
    ("hmac", &["app/deliveries.rs"]),
    ("totp_rs", &["app/second_factors.rs"]),
    ("fast_qr", &["app/second_factors.rs"]),
    ("prometheus_client", &["http/metrics.rs"]),
    ("quick_xml", &["http/xml.rs"]),
    ("tracing_subscriber", &["cli/"]),
];

/// What the nouns must not know.
const NOT_IN_DOMAIN: &[&str] = &["serde", "serde_json", "tokio", "std::fs", "std::net::Tcp", "SystemTime", "async "];

const DIALECTS: &[&str] = &["workato", "thingworx", "oracle"];

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            // Comments may name what they like.
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((name, code.collect::<Vec<_>>().join("\n")));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50);
    found
}

/// The parts of ours that a source names: `crate::app`, `use crate::{app, domain::…}`, `grantry::cli`.
fn named(code: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for (at, root) in code.match_indices("crate::").chain(code.match_indices("grantry::")) {
        let rest = &code[at + root.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut part = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => parts.push(std::mem::take(&mut part)),
                    _ if depth == 1 => part.push(c),
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            parts.push(part);
        } else {
            parts.push(rest.to_owned());
        }
    }
    let first = |part: String| part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    parts.into_iter().map(first).filter(|part| !part.is_empty()).collect()
}

#[test]
fn every_part_imports_only_what_the_table_allows() {
    const PARTS: &[&str] = &["domain", "config", "oauth", "store", "app", "http", "simulator", "cli"];
    for (name, code) in all() {
        let Some((part, may)) = MAY.iter().find(|(part, _)| name.split('/').next() == Some(part)) else {
            assert!(["lib.rs", "build.rs"].contains(&name.as_str()), "{name}: a part that the table does not know");
            continue;
        };
        let own = part.trim_end_matches(".rs");
        for import in named(&code).iter().filter(|import| PARTS.contains(&import.as_str())) {
            assert!(import == own || may.contains(&import.as_str()), "{name} imports {import}");
        }
    }
}

#[test]
fn crates_from_outside_stay_where_they_belong() {
    for (name, code) in all() {
        for (external, places) in ONLY {
            let names = code.contains(&format!("{external}::")) || code.contains(&format!("use {external}"));
            assert!(!names || places.iter().any(|place| name.starts_with(place)), "{name} names {external}");
        }
        if name.starts_with("domain/") {
            for forbidden in NOT_IN_DOMAIN {
                assert!(!code.contains(forbidden), "{name} has {forbidden}");
            }
        }
    }
}

#[test]
fn dialects_never_import_each_other() {
    for (name, code) in all() {
        let Some(own) = DIALECTS.iter().find(|dialect| name.starts_with(&format!("http/{dialect}"))) else { continue };
        for other in DIALECTS.iter().filter(|other| *other != own) {
            assert!(!code.contains(&format!("{other}::")), "{name} imports {other}");
        }
    }
}

#[test]
fn our_own_api_knows_no_dialect() {
    let own = ["http/api/", "http/render/"];
    for (name, code) in all().iter().filter(|(name, _)| own.iter().any(|part| name.starts_with(part))) {
        for other in DIALECTS.iter().chain(&["admin"]) {
            assert!(!code.contains(&format!("{other}::")), "{name} imports {other}");
        }
    }
}

#[test]
fn sql_stands_in_the_store_alone() {
    let sql = regex_lite::Regex::new(r#""(SELECT|INSERT|UPDATE|DELETE FROM|PRAGMA|BEGIN|CREATE) "#).unwrap();
    for (name, code) in all() {
        assert!(name.starts_with("store/") || !sql.is_match(&code), "{name} has SQL");
    }
}
