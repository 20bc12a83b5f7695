//! x
use actix_web::HttpResponse;
use super::{problem::{Asked, Failure, sentence}, routes::Routes};
/// x
pub fn routes() -> Routes { Routes::below("/thingworx") }
/// x
pub fn dress(failure: &Failure, _: &Asked) -> HttpResponse { HttpResponse::build(failure.status()).body(sentence(failure)) }
