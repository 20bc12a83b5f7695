//! `/api/load`: a document of OAuth configurations; `/api/connector_template`: an empty one.

use actix_web::{HttpRequest, HttpResponse, dev::Payload, http::header, web};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::result;
use crate::{
    app::{
        App,
        load::{MOST_BYTES, Progress, Report, template as empty_document},
    },
    domain::Result as Done,
    http::{
        body::{self, is_json, query_flag},
        caller::Admitted,
        problem::{Failure, Kind, sentence},
    },
};

/// A load in JSON.
fn wire(report: &Report) -> Value {
    let list = |pairs: &[(String, String)]| -> Vec<Value> {
        pairs.iter().map(|(connector, provider)| json!({"connector": connector, "provider": provider})).collect()
    };
    json!({
        "added": list(&report.added),
        "updated": list(&report.updated),
        "unchanged": report.unchanged.len(),
    })
}

/// One line of an answer that tells how far it is.
enum Line {
    Progress(Progress),
    Done(Done<Report>),
}

/// Loads a document. With `Accept: application/x-ndjson` the answer is a line for each step, `{"progress":{"hashed","of"}}`,
/// and a last one, `{"result":…}` or `{"failed":{"message"}}`; faults of the document are 400 either way. `?dry_run=true`: only
/// says what it would do, in one answer.
pub(super) async fn load(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let mut payload: Payload = payload.into_inner();
    let bytes = body::read(&mut payload, MOST_BYTES).await?;
    if !is_json(&request) {
        return Err(Kind::MediaType("application/json").into());
    }
    if query_flag(&request, "dry_run") {
        let mut told = wire(&app.preview_load(&caller, bytes).await?);
        told["dry_run"] = true.into();
        return Ok(result(told));
    }
    let lines = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "application/x-ndjson");
    if !lines {
        return Ok(result(wire(&app.load(&caller, bytes, |_| {}).await?)));
    }
    let (send, mut lines) = unbounded_channel();
    let app = app.into_inner();
    crate::http::spawn(async move {
        let progress: UnboundedSender<Line> = send.clone();
        let done = app.load(&caller, bytes, move |at| drop(progress.send(Line::Progress(at)))).await;
        drop(send.send(Line::Done(done)));
    });
    // What fails before the first step is an error like any other.
    let first = match lines.recv().await {
        Some(Line::Done(Err(error))) => return Err(error.into()),
        Some(line) => text(line),
        None => return Err(crate::domain::Error::internal("a load that says nothing").into()),
    };
    let rest = futures_util::stream::unfold((Some(first), lines), async |(first, mut lines)| {
        let line = match first {
            Some(first) => first,
            None => text(lines.recv().await?),
        };
        Some((Ok::<_, actix_web::Error>(web::Bytes::from(line)), (None, lines)))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(Box::pin(rest)))
}

fn text(line: Line) -> String {
    let value = match line {
        Line::Progress(at) => json!({"progress": {"hashed": at.hashed, "of": at.of}}),
        Line::Done(Ok(report)) => json!({"result": wire(&report)}),
        Line::Done(Err(error)) => json!({"failed": {"message": sentence(&error.into())}}),
    };
    format!("{value}\n")
}

pub(super) async fn template(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let all = app.list_providers(&caller).await?;
    let document = empty_document(all.iter().map(|definition| definition.provider.slug.as_str()));
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"connectors.json\""))
        .json(document))
}
