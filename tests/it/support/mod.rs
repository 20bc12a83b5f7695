//! A server of one's own, and callers as types.
//!
//! Every [`Server`] keeps what it answered and what it logged, and when it ends, all of that and its data folder are
//! searched for secrets: each text that begins with `PLANTED`, each token and code of the practice provider, and what the
//! server itself gave a browser on its way to a provider (`state`, the cookie).

mod answer;
pub mod browser;
mod caller;
pub mod granted;
pub mod in_process;
mod multipart;
pub mod oidc;
pub mod person;
pub mod practice;
pub mod programs;
pub mod qr;
pub mod raw;
pub mod receiver;
pub mod words;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

pub use answer::Answer;
pub use caller::Caller;
pub use multipart::{APPLICATION_FILE, MULTIPART, Part, application_body, multipart};

/// The beginning of every secret that a test makes up.
pub const PLANTED: &str = "PLANTED";

/// The beginnings of what the practice provider hands out: access and refresh tokens, codes of browsers and of devices.
const OF_PRACTICE: [&str; 4] = ["sim_at_", "sim_rt_", "sim_code_", "sim_dc_"];

/// Looks for a secret that a test planted or the practice provider handed out; the text around it.
pub fn find_secret(text: &[u8], more: &[String]) -> Option<String> {
    // What is no UTF-8 around it does not hide what is; `str` searches faster than anything that a test build compiles.
    let text = String::from_utf8_lossy(text);
    let mut known = [PLANTED].into_iter().chain(OF_PRACTICE).chain(more.iter().map(String::as_str));
    let at = known.find_map(|secret| text.find(secret))?;
    let (from, to) = (text.floor_char_boundary(at.saturating_sub(80)), text.ceil_char_boundary(at + 60));
    Some(text[from..to].to_owned())
}

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_grantry"))
}

/// Everything that servers answered, to be searched at the end, and for what besides the usual.
#[derive(Default)]
pub struct Transcript {
    answers: Mutex<Vec<String>>,
    secrets: Mutex<Vec<String>>,
}

impl Transcript {
    /// Keeps a text.
    pub fn note(&self, what: String) {
        self.answers.lock().unwrap().push(what);
    }

    /// From now on this is a secret: it may be in no answer, log or file.
    pub fn hide(&self, secret: &str) {
        let mut secrets = self.secrets.lock().unwrap();
        // Shorter ones are words, and stand everywhere.
        if secret.len() >= 20 && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
        }
    }

    /// Keeps an answer, without what it is meant to give away: the access token that was asked for, the cookies, and the
    /// `state` that a browser takes along. These last two may be nowhere else.
    pub fn note_answer(&self, answer: &Answer) {
        let mut text = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(mut body) if body.get("access_token").is_some() => {
                body["access_token"] = "given".into();
                body.to_string()
            }
            _ => answer.text(),
        };
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let given = match name.as_str() {
                "set-cookie" => value.split([';', '=']).nth(1).unwrap_or_default().to_owned(),
                "location" => {
                    value.split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).unwrap_or("").to_owned()
                }
                _ => String::new(),
            };
            self.hide(&given);
            let value = if given.is_empty() { value.into_owned() } else { value.replace(&given, "given") };
            text.extend(["\n", name.as_str(), ": ", &value]);
        }
        self.note(text);
    }
}

/// A running server with a data folder of its own.
pub struct Server {
    child: Child,
    dir: Arc<TempDir>,
    pub url: String,
    http: reqwest::Client,
    transcript: Arc<Transcript>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    launcher: &'static [&'static str],
}

/// Starts the program so that a write beyond a limit on file sizes fails, as it does on a full disk, and does not end it.
const IGNORING_SIZE_SIGNALS: &[&str] = &["env", "--ignore-signal=XFSZ"];

impl Server {
    /// A server with default settings.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with these flags.
    pub async fn with(args: &[&str]) -> Self {
        Self::with_env(args, &[]).await
    }

    /// A server with these flags and variables.
    pub async fn with_env(args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::on(dir, args, env).await
    }

    /// A server on a data folder that is there already.
    pub async fn on(dir: Arc<TempDir>, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::launched(&[], dir, args, env).await
    }

    /// A server whose volume can be made to take no more: `prlimit --fsize`. It logs nothing, as a log grows too.
    pub async fn ignoring_size_signals() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::launched(IGNORING_SIZE_SIGNALS, dir, &["--log-level", "off"], &[]).await
    }

    async fn launched(
        launcher: &'static [&'static str],
        dir: Arc<TempDir>,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let env: Vec<(String, String)> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let child = spawn(launcher, dir.path(), &args, &env);
        let mut server = Self {
            child,
            dir,
            url: String::new(),
            http: reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
            transcript: Arc::default(),
            args,
            env,
            launcher,
        };
        server.wait_ready().await;
        server
    }

    async fn wait_ready(&mut self) {
        let begun = Instant::now();
        let run = self.data().join("run.json");
        loop {
            if let Ok(text) = fs::read_to_string(&run)
                && let Ok(value) = serde_json::from_str::<Value>(&text)
                && value["pid"] == self.child.id()
            {
                value["url"].as_str().unwrap().clone_into(&mut self.url);
                if self.http.get(format!("{}/livez", self.url)).send().await.is_ok() {
                    return;
                }
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "not ready: {}", self.log());
            // Polls a file that another process writes: there is nothing to wait on.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The folder that holds the data folder; it goes with its last owner.
    pub fn dir(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// The id of the server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What the server printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.dir.path().join("out")).unwrap_or_default()
    }

    /// Ends the process as a power cut would, and starts it again on the same data.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.child = spawn(self.launcher, self.dir.path(), &self.args, &self.env);
        self.wait_ready().await;
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to stop, and waits until it has.
    pub fn stop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let pid = self.child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            self.child.wait().unwrap();
        }
    }

    /// Runs the command line on this server's data folder.
    pub fn cli(&self, args: &[&str]) -> Output {
        let output = cli(&self.data(), args);
        // This one prints a token and nothing else.
        if args.first() != Some(&"token") {
            self.transcript.note(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        self.transcript.note(String::from_utf8_lossy(&output.stderr).into_owned());
        output
    }

    /// Runs a command that must succeed; its standard output.
    pub fn cli_ok(&self, args: &[&str]) -> String {
        let output = self.cli(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A caller that shows nothing.
    pub fn anybody(&self) -> Caller {
        Caller::new(&self.url, self.http.clone(), Arc::clone(&self.transcript))
    }

    /// A caller with a new API token that has these scopes.
    pub fn caller(&self, scopes: &[&str]) -> Caller {
        let mut args = vec!["api-token", "create", "--name", "a test"];
        for scope in scopes {
            args.extend(["--scope", scope]);
        }
        self.anybody().bearer(&self.cli_ok(&args))
    }

    /// A caller that may do everything.
    pub fn admin(&self) -> Caller {
        self.caller(&["admin"])
    }

    /// From now on this is a secret: it may be in nothing that comes out of this server.
    pub fn hide(&self, secret: &str) {
        self.transcript.hide(secret);
    }

    /// Looks for secrets in everything that came out of this server so far.
    pub fn assert_nothing_leaked(&self) {
        let more = self.transcript.secrets.lock().unwrap().clone();
        let seen = |place: &str, text: &[u8]| {
            if let Some(found) = find_secret(text, &more) {
                panic!("a secret in {place}: {found}");
            }
        };
        for answer in self.transcript.answers.lock().unwrap().iter() {
            seen("an answer", answer.as_bytes());
        }
        for place in ["log", "out"] {
            let text = fs::read(self.dir.path().join(place)).unwrap_or_default();
            seen(place, &text);
            let issued = text.windows(4).any(|window| window == b"gry_");
            assert!(place == "out" || !issued, "a credential that we issued is in the {place}");
        }
        for entry in fs::read_dir(self.data()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.file_name().is_some_and(|name| name != "run.json") {
                let bytes = fs::read(&path).unwrap();
                seen(&path.display().to_string(), &bytes);
                assert!(!bytes.windows(4).any(|w| w == b"gry_"), "a credential in clear in {}", path.display());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.assert_nothing_leaked();
        }
    }
}

fn spawn(launcher: &[&str], dir: &Path, args: &[String], env: &[(String, String)]) -> Child {
    let append = |name: &str| File::options().create(true).append(true).open(dir.join(name)).unwrap();
    let mut command = match launcher {
        [] => Command::new(program()),
        [launcher, more @ ..] => {
            let mut command = Command::new(launcher);
            command.args(more).arg(program());
            command
        }
    };
    clean(&mut command);
    command.arg("serve");
    if !args.iter().any(|arg| arg == "--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
        .arg("--data")
        .arg(dir.join("data"))
        .args(args)
        .envs(env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(append("out"))
        .stderr(append("log"))
        .spawn()
        .unwrap()
}

/// Runs the command line on a data folder.
pub fn cli(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(args).arg("--data").arg(data).stdin(Stdio::null()).output().unwrap()
}

/// Takes the settings of whoever runs the tests out of a command's environment.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("GRANTRY_") || name == "CREDENTIALS_DIRECTORY" {
            command.env_remove(name);
        }
    }
}

/// A profile's body for dialect 1.
pub fn profile_body(name: &str, provider: &str) -> Value {
    serde_json::json!({
        "name": name,
        "provider": provider,
        "data": {"client_id": "example_client_id", "client_secret": format!("{PLANTED}_secret_of_{}", name.len())},
    })
}
