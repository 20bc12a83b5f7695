//! Asking for tokens.

use std::time::Duration;

use super::{
    Engine,
    catalogue::Resolved,
    redact::Redactor,
    wire::{Answer, Ask, Client, Sent},
};
use crate::domain::Timestamp;

impl Engine {
    /// Sends a token request, once, and follows no redirect. `deadline` is for all of it; `now` tells when the answer
    /// was here.
    ///
    /// A successful answer is as it came. Any other is redacted: providers repeat which refresh token they reject.
    pub async fn token(
        &self,
        provider: &Resolved,
        client: &Client,
        ask: &Ask,
        deadline: Duration,
        now: impl Fn() -> Timestamp,
    ) -> Sent {
        let request = provider.token_request(client, ask);
        let sent = self.send(&request, deadline, now).await;
        if let Sent::Answered(raw) = &sent
            && matches!(provider.read(raw), Answer::Tokens(_))
        {
            return sent;
        }
        Redactor::for_request(provider, client, &request).sent(sent)
    }
}
