//! Grants against what providers answer: request rates, whose failure it is, rotation, reconnecting, warnings.

mod isolation;
mod rates;
mod reconnect;
mod rotation;
mod warnings;
