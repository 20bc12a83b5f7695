use super::{Context, Failed, client::Client};
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {}
pub(super) async fn run(_: &Context, _: &Client, _: &Command) -> Result<(), Failed> { Ok(()) }
