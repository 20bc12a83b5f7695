//! `/api/live`: what changes while somebody looks, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! ```text
//! event: hello                                  at once
//! data: {}
//!
//! event: change                                 at most every 500 ms, for what is on the disk
//! data: {"nouns":["connections","profiles"]}
//!
//! : keep-alive                                  every 15 s
//! ```

use std::{convert::Infallible, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header::HeaderName},
    web,
};
use futures_util::stream::unfold;
use serde_json::json;

use crate::{
    app::{
        App,
        live::{Beat, Stream},
    },
    domain::live::Topic,
    http::{
        caller::{Admitted, origin, shown_again},
        problem::Failure,
    },
};

fn wire(beat: &Beat) -> web::Bytes {
    match beat {
        Beat::Hello => web::Bytes::from_static(b"event: hello\ndata: {}\n\n"),
        Beat::Alive => web::Bytes::from_static(b": keep-alive\n\n"),
        Beat::Changed(topics) => {
            let nouns: Vec<&str> = topics.iter().map(|topic: &Topic| topic.as_str()).collect();
            web::Bytes::from(format!("event: change\ndata: {}\n\n", json!({"nouns": nouns})))
        }
    }
}

pub(super) async fn listen(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream");
    // A proxy that gathers an answer before it passes it on would pass nothing on.
    answer.insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let app: Arc<App> = app.into_inner();
    let stream = app.listen(&caller, shown_again(&request)?, origin(&request)?)?;
    let beats = unfold(stream, |mut stream: Stream| async move {
        let beat = stream.next().await?;
        Some((Ok::<_, Infallible>(wire(&beat)), stream))
    });
    Ok(answer.streaming(Box::pin(beats)))
}
