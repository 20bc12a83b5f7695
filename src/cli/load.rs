use super::{Context, Failed, client::Client};
#[derive(Debug, clap::Args)]
pub(super) struct Load {}
pub(super) async fn run(_: &Context, _: &Client, _: Load) -> Result<(), Failed> { Ok(()) }
