//! `/api/backups`: makes, lists, verifies, sends and removes backups. The keys are in none of them.
//!
//! What is wrong with one: `{"code", "message", "facts": [{"case", …}]}`, where `facts` is what `message` is made of.

use std::io::Read as _;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{
        App,
        backups::{DATABASE, MANIFEST, Manifest, Outgoing, Unfit},
    },
    domain::Timestamp,
    http::{body::path_text, caller::Admitted, problem::Failure, tar, time::with_offset},
};

/// What is sent at once.
const PIECE: usize = 256 * 1024;

fn wire(name: &str, manifest: &Manifest) -> Value {
    json!({
        "name": name,
        "created_at": with_offset(Timestamp(manifest.created_at)),
        "occasion": manifest.occasion.as_str(),
        "verified_at": with_offset(Timestamp(manifest.verified_at)),
        "size": manifest.size,
        "sha256": manifest.sha256,
        "schema_version": manifest.schema_version,
        "program_version": manifest.program_version,
        "key_id": manifest.key_id,
        "key_fingerprint": manifest.key_fingerprint,
        "counts": manifest.counts,
    })
}

fn faults(faults: &[Unfit]) -> Vec<Value> {
    let wire = |fault: &Unfit| json!({"code": fault.code(), "message": fault.to_string(), "facts": [facts(fault)]});
    faults.iter().map(wire).collect()
}

/// The case and the facts of what is wrong.
fn facts(fault: &Unfit) -> Value {
    match fault {
        Unfit::Missing(file) => json!({"case": "backup_file_missing", "file": file}),
        Unfit::Manifest(why) => json!({"case": "backup_manifest_unreadable", "why": why}),
        Unfit::Unreadable(why) => json!({"case": "backup_copy_unreadable", "why": why}),
        Unfit::Size { expected, found } => json!({"case": "backup_other_size", "expected": expected, "found": found}),
        Unfit::Hash => json!({"case": "backup_other_hash"}),
        Unfit::Damaged(why) => json!({"case": "backup_damaged", "why": why}),
        Unfit::References(count) => json!({"case": "backup_references", "count": count}),
        Unfit::NotOurs => json!({"case": "backup_not_ours"}),
        Unfit::Newer { found, known } => json!({"case": "backup_newer", "found": found, "known": known}),
        Unfit::OtherKey(key) => json!({"case": "backup_other_key", "key": key}),
    }
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let listed = app.list_backups(&caller).await?;
    let backups: Vec<Value> = listed
        .backups
        .iter()
        .map(|entry| match &entry.manifest {
            Ok(manifest) => wire(&entry.name, manifest),
            Err(fault) => json!({"name": entry.name, "faults": faults(std::slice::from_ref(fault))}),
        })
        .collect();
    Ok(result(json!({
        "backups": backups,
        "directory": listed.schedule.dir,
        "every_hours": listed.schedule.every.map(|every| every.as_secs() / 3600),
        "keep": listed.schedule.keep,
        "next_at": listed.next_at.map(with_offset),
        "last_failure": listed.last_failure.map(|failure| json!({"at": with_offset(failure.at), "message": failure.message})),
    })))
}

pub(super) async fn create(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let manifest = app.create_backup(&caller).await?;
    Ok(result(wire(&manifest.name, &manifest)))
}

pub(super) async fn verify(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let name = path_text(&request, "name")?;
    let verified = app.verify_backup(&caller, &name).await?;
    Ok(result(json!({
        "name": name,
        "fit": verified.faults.is_empty(),
        "faults": faults(&verified.faults),
        "verified_at": verified.manifest.map(|manifest| with_offset(Timestamp(manifest.verified_at))),
    })))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_backup(&caller, &path_text(&request, "name")?).await?;
    Ok(result(json!({"success": true})))
}

/// The backup as one file: `NAME.tar`, with its folder in it. `tar -xf NAME.tar` makes the folder that `grantry backup
/// restore` takes.
pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let name = path_text(&request, "name")?;
    let outgoing = app.open_backup(&caller, &name).await?;
    let (manifest, copy) = (outgoing.manifest.len() as u64, outgoing.size);
    let padded = |size: u64| tar::BLOCK + size + tar::padding(size) as u64;
    let whole = padded(manifest) + padded(copy) + tar::END.len() as u64;
    let pieces = futures_util::stream::unfold(Some(Sending::of(&name, outgoing)), async |sending| {
        let mut sending = sending?;
        let read = web::block(move || sending.next().map(|piece| (piece, sending))).await;
        match read {
            Ok(Ok((Some(piece), sending))) => Some((Ok(web::Bytes::from(piece)), Some(sending))),
            Ok(Ok((None, _))) => None,
            // The length was told: whoever reads notices that it ends early.
            Ok(Err(error)) => Some((Err(error.into()), None)),
            Err(error) => Some((Err(actix_web::Error::from(error)), None)),
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("application/x-tar")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.tar\"")))
        .no_chunking(whole)
        .streaming(Box::pin(pieces)))
}

/// A tar archive, piece by piece.
struct Sending {
    /// Headers, manifest and their padding; empty once they are sent.
    head: Vec<u8>,
    copy: std::fs::File,
    left: u64,
    tail: Option<Vec<u8>>,
}

impl Sending {
    fn of(name: &str, outgoing: Outgoing) -> Self {
        let modified = outgoing.copy.metadata().and_then(|data| data.modified()).ok();
        let since = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let modified_s = since.map_or(0, |since| since.as_secs());
        let Outgoing { manifest, copy, size } = outgoing;
        let of_manifest = manifest.len() as u64;
        let mut head = tar::header(&format!("{name}/{MANIFEST}"), of_manifest, modified_s).to_vec();
        head.extend_from_slice(&manifest);
        head.resize(head.len() + tar::padding(of_manifest), 0);
        head.extend_from_slice(&tar::header(&format!("{name}/{DATABASE}"), size, modified_s));
        let mut tail = vec![0; tar::padding(size)];
        tail.extend_from_slice(&tar::END);
        Self { head, copy, left: size, tail: Some(tail) }
    }

    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if !self.head.is_empty() {
            return Ok(Some(std::mem::take(&mut self.head)));
        }
        if self.left == 0 {
            return Ok(self.tail.take());
        }
        let most = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; most];
        self.copy.read_exact(&mut piece)?;
        self.left -= most as u64;
        Ok(Some(piece))
    }
}
