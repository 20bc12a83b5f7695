//! The admin page's files, embedded when the program is built; `src/build.rs` makes them, each beside its compressed form.
//!
//! Each file is a route of its own: what is not in the table cannot be asked for, whatever a path looks like.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, AcceptEncoding, ContentEncoding, ETag, Encoding, EntityTag, Header as _, IfNoneMatch},
    },
    web,
};
use rust_embed::{Embed, EmbeddedFile};

use crate::{
    app::credential::hex,
    domain::Error,
    http::{caller::Needs, problem::Failure, routes::Routes},
};

#[derive(Embed)]
#[folder = "$OUT_DIR/page"]
struct Files;

/// What the name of a file's compressed form ends with.
const PACKED: &str = ".gz";

/// Adds a route for each file, and `/` for `index.html`. A compressed form has no address of its own.
pub(super) fn routes(routes: Routes) -> Routes {
    let names = Files::iter().filter(|name| !name.ends_with(PACKED));
    names.fold(at(routes, "", Cow::Borrowed("index.html")), |routes, name| {
        let path = format!("/{name}");
        at(routes, &path, name)
    })
}

fn at(routes: Routes, path: &str, name: Cow<'static, str>) -> Routes {
    let serve = move |request: HttpRequest| std::future::ready(serve(&name, &request));
    routes.at(path, [(Method::GET, Needs::Nothing, web::to(serve))])
}

/// A file with a strong validator: a browser asks each time, and is told in a few bytes that it has the file already. Who
/// takes gzip gets the compressed form, whose validator is another one (RFC 9110, section 8.8.3.3).
fn serve(name: &str, request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let packed = takes_gzip(request);
    let file = if packed { Files::get(&format!("{name}{PACKED}")) } else { Files::get(name) };
    let file = file.ok_or_else(|| Error::internal("a file that was embedded is gone"))?;
    let tag = tag(&file);
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Encoding"));
    if known {
        return Ok(answer.finish());
    }
    if packed {
        answer.insert_header(ContentEncoding::Gzip);
    }
    let data = match file.data {
        Cow::Borrowed(embedded) => web::Bytes::from_static(embedded),
        Cow::Owned(read) => web::Bytes::from(read),
    };
    Ok(answer.content_type(media_type(name)).body(data))
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let gzip = Encoding::gzip();
    AcceptEncoding::parse(request).is_ok_and(|taken| taken.negotiate([&gzip].into_iter()) == Some(gzip.clone()))
}

fn tag(file: &EmbeddedFile) -> EntityTag {
    EntityTag::new_strong(hex(&file.metadata.sha256_hash()[..16]))
}

/// By the end of the name; browsers are told not to guess, so each kind of file needs a line.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
