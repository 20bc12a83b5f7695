//! Posts to addresses that an operator named: webhooks. They are held to the same rules as providers' addresses.

use std::time::Duration;

use super::{
    Engine, Whose, address, innermost,
    transport::{TIMEOUT, within_deadline},
};
use crate::domain::Why;

/// The most characters of the reason why nobody answered.
const MOST_REASON: usize = 200;

impl Engine {
    /// Checks an address to post to, and answers the one way to write it: https, or http on loopback; a literal address
    /// must be public, or loopback, unless private ones are allowed. What a name resolves to is looked at when something is
    /// sent.
    pub fn check_address(&self, url: &str) -> Result<String, Why> {
        address::check(url, self.allow_private).map_err(|why| match why {
            address::PRIVATE => Why::Malformed("at a public address (see allow-private)"),
            _ => Why::Malformed("an https URL (http only for loopback)"),
        })?;
        let url = url::Url::parse(url).map_err(|_| Why::Malformed("a URL"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(Why::Malformed("a URL without user, password and fragment"));
        }
        Ok(url.into())
    }

    /// Posts a JSON text, and answers the status, or why there is none: `timeout`, or the last cause, without the address.
    /// Follows no redirect, and reads nothing of the answer but its status.
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
        deadline: Duration,
    ) -> Result<u16, String> {
        address::check(url, self.allow_private)?;
        let client = self.client(Whose::Provider).map_err(|_| "no client could be made".to_owned())?;
        let mut request = client.post(url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match within_deadline(deadline, request.send()).await {
            Some(Ok(answer)) => Ok(answer.status().as_u16()),
            Some(Err(error)) if !error.is_timeout() => {
                Err(innermost(&error.without_url()).chars().take(MOST_REASON).collect())
            }
            Some(Err(_)) | None => Err(TIMEOUT.to_owned()),
        }
    }
}
