//! The rate limit of the profile calls: so many a minute for each caller, where one is set.

use std::num::NonZeroU32;

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::{
    app::access::Caller,
    domain::Error,
    http::{Surface, caller::Admitted, problem::Failure},
};

/// The limit; none where it is zero.
#[derive(Debug)]
pub struct ProfileLimit(Option<DefaultKeyedRateLimiter<String>>);

impl ProfileLimit {
    /// So many calls a minute for each caller; 0: any number.
    pub fn per_minute(calls: u32) -> Self {
        Self(NonZeroU32::new(calls).map(|calls| RateLimiter::keyed(Quota::per_minute(calls))))
    }

    fn admit(&self, caller: &Caller) -> Result<(), Error> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let wait = |no: governor::NotUntil<_>| no.wait_time_from(limiter.clock().now());
        let admitted = limiter.check_key(&caller.actor()).map_err(wait);
        admitted.map_err(|retry_after| Error::TooMany { retry_after })
    }
}

/// A caller who is within the limit.
#[derive(Debug)]
pub(super) struct Limited(Admitted);

impl std::ops::Deref for Limited {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequest for Limited {
    type Error = Failure;
    type Future = std::future::Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let admitted = Admitted::from_request(request, payload).into_inner();
        std::future::ready(admitted.and_then(|caller| {
            if let Some(surface) = request.app_data::<web::Data<Surface>>() {
                surface.profile_limit.admit(&caller)?;
            }
            Ok(Self(caller))
        }))
    }
}
