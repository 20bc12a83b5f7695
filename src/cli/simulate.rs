//! `grantry simulate`: the practice provider. It needs no data folder, and no setting of the server's counts for it.

use std::{fmt::Write as _, net::SocketAddr};

use serde_json::json;

use super::{Failed, print::Out};
use crate::{
    http,
    simulator::{self, CLIENT_ID, CLIENT_SECRET, Like, Options, Rotation, Rule, SLUG, Throttle},
};

/// The longest that an access token may live: ten years, in seconds.
const MOST_LIFE_S: u64 = 10 * 365 * 86_400;

#[derive(Debug, clap::Args)]
pub(super) struct Simulate {
    /// Where to listen: a loopback address. Port 0 takes a free one.
    // The settings of the server have flags of these two names. These go before them here, and the types must agree.
    #[arg(long, id = "listen", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9090")]
    listen: String,
    /// How long an access token lives, in seconds.
    #[arg(long, id = "access-token-life", value_name = "SECONDS", default_value = "300")]
    access_token_life: String,
    /// What a refresh does to the refresh token: none (it stays), strict (it changes; a used one ends the grant),
    /// grace:N (a used one may be sent again for N seconds), retry-safe (it stays good until the new one is used).
    #[arg(long, value_name = "MODE", default_value = "none")]
    rotation: Rotation,
    /// Leave the rotation out of the provider definition that --print-provider prints
    #[arg(long)]
    undeclared_rotation: bool,
    /// Whose answers and errors to play: plain, slack, salesforce, quickbooks, zoho, shopify.
    #[arg(long, value_name = "PROVIDER", default_value = "plain")]
    like: Like,
    /// A redirect URI of the client; repeatable. Without it: any on loopback.
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// A fault from the start, [ON=]FAULT such as refresh=drop_after; repeatable; --help lists the faults
    #[arg(long, value_name = "FAULT", long_help = simulator::fault_help())]
    fail: Vec<Rule>,
    /// Answer 429 to the token requests beyond so many in so many seconds.
    #[arg(long, value_name = "REQUESTS/SECONDS")]
    throttle: Option<Throttle>,
    /// How many seconds a device has to wait between two requests.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    device_interval: u16,
    /// Print the definition of this provider for `grantry provider add`, and exit.
    #[arg(long)]
    print_provider: bool,
}

impl Simulate {
    fn options(self) -> Result<Options, Failed> {
        let listen: SocketAddr = self.listen.trim().parse().map_err(|_| {
            let listen = &self.listen;
            Failed::new(format_args!("listen: {listen:?} is not an address and a port such as 127.0.0.1:9090"))
        })?;
        if !listen.ip().is_loopback() {
            let what = "can be reached by others: a simulator listens on loopback alone";
            return Err(Failed::new(format_args!("listen: {listen} {what}")));
        }
        let life = self.access_token_life.trim().parse().ok().filter(|life| (1..=MOST_LIFE_S).contains(life));
        let life = life.ok_or_else(|| {
            Failed::new(format_args!("access-token-life: a number of seconds from 1 to {MOST_LIFE_S}"))
        })?;
        Ok(Options {
            listen,
            rotation: self.rotation,
            declares_rotation: !self.undeclared_rotation,
            like: self.like,
            access_token_life_s: life,
            redirect_uris: self.redirect_uri,
            faults: self.fail,
            throttle: self.throttle,
            device_interval_s: self.device_interval.into(),
        })
    }
}

/// Serves until the process is told to stop, or prints the definition.
pub(super) fn run(out: Out, simulate: Simulate) -> Result<(), Failed> {
    let print = simulate.print_provider;
    let options = simulate.options()?;
    if print {
        if options.listen.port() == 0 {
            return Err(Failed::new("listen: a definition needs the port that the simulator will have, not 0"));
        }
        out.value(&simulator::definition(&options, &simulator::url_of(options.listen)));
        return Ok(());
    }
    let shown = options.clone();
    http::run(simulator::serve(options, |url| announce(out, &shown, url))).map_err(Failed::from)
}

/// One table and a tour, or one line of JSON.
fn announce(out: Out, options: &Options, url: &str) {
    let (rotation, like) = (options.rotation.to_string(), options.like.to_string());
    let life = options.access_token_life_s.to_string();
    if out.json {
        let line = json!({
            "url": url,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "rotation": rotation,
            "like": like,
            "provider": simulator::definition(options, url),
        });
        return out.line(&line.to_string());
    }
    out.pairs(&[
        ("practice provider", url),
        ("client id", CLIENT_ID),
        ("client secret", CLIENT_SECRET),
        ("accounts", "alice@practice.example, bob@practice.example"),
        ("rotation", &rotation),
        ("like", &like),
        ("access tokens", &format!("{life} seconds")),
    ]);
    let mut flags = format!("--listen {}", url.trim_start_matches("http://"));
    let plain = Options::default();
    let throttle = options.throttle.map(|throttle| format!("{}/{}", throttle.requests, throttle.per_s));
    for (flag, value) in [
        ("rotation", (options.rotation != plain.rotation).then_some(rotation)),
        ("like", (options.like != plain.like).then_some(like)),
        ("access-token-life", (options.access_token_life_s != plain.access_token_life_s).then_some(life)),
        ("throttle", throttle),
    ] {
        if let Some(value) = value {
            let _ = write!(flags, " --{flag} {value}");
        }
    }
    if !options.declares_rotation {
        flags.push_str(" --undeclared-rotation");
    }
    out.line(&format!(
        "\nNow, in another terminal, beside a running `grantry serve`:\n\n    \
         grantry simulate {flags} --print-provider > practice.json\n    \
         grantry provider add practice.json\n    \
         printf {CLIENT_SECRET} | grantry profile create --name Practice --provider {SLUG} --client-id {CLIENT_ID}\n    \
         grantry connect {SLUG}\n\n\
         {url}/control/state shows what has happened here. Ctrl-C ends it, and it forgets everything."
    ));
}
