//! A browser of one's own: Chromium through chromedriver, in the words of the W3C's WebDriver.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{programs::installed, words};

/// How long the page may take for one step; two cores may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
/// The key of an element's id (WebDriver §12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Runs before the page's own scripts: keeps each report of a violation of its content security policy, over every
/// navigation.
const WATCH: &str = "addEventListener('securitypolicyviolation', (event) => {
    const kept = JSON.parse(sessionStorage.getItem('violations') ?? '[]');
    kept.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`);
    sessionStorage.setItem('violations', JSON.stringify(kept));
});";
/// Answers the reports that were kept, and forgets them.
const VIOLATIONS: &str = "const kept = sessionStorage.getItem('violations') ?? '[]';
    sessionStorage.removeItem('violations');
    return JSON.parse(kept);";

/// A browser with an empty profile. When it ends it looks back: no violation of the page's content security policy was
/// reported, no script failed, and nobody but the server that was opened was asked for anything.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    http: reqwest::Client,
    /// Whether its reader speaks Japanese; else English.
    japanese: bool,
    /// The servers that it was sent to: `http://127.0.0.1:40123/`.
    homes: Mutex<Vec<String>>,
    /// Goes last, when nothing writes to it any more.
    profile: TempDir,
}

impl Browser {
    /// The browser of somebody who speaks English, or `None` where none is installed: then `suite` is skipped and says so,
    /// unless `GRANTRY_TESTS_NEED_BROWSER=1` makes that a failure.
    pub async fn start(suite: &str) -> Option<Self> {
        Self::of_reader(suite, false).await
    }

    /// The browser of somebody who speaks Japanese.
    pub async fn start_in_japanese(suite: &str) -> Option<Self> {
        Self::of_reader(suite, true).await
    }

    async fn of_reader(suite: &str, japanese: bool) -> Option<Self> {
        let found = installed(&["chromium"]).zip(installed(&["chromedriver"]));
        if found.is_none() {
            let why =
                "chromium and chromedriver are not both installed (Debian: apt-get install chromium chromium-driver)";
            assert!(std::env::var_os("GRANTRY_TESTS_NEED_BROWSER").is_none_or(|value| value != "1"), "{suite}: {why}");
            // Not `eprintln!`: the harness keeps that of a test that passes to itself.
            let _ = std::io::stderr().write_all(format!("\nSKIPPED {suite}: {why}\n").as_bytes());
        }
        let (chromium, driver) = found?;
        Some(Self::open(&chromium, &driver, japanese).await)
    }

    async fn open(chromium: &Path, driver: &Path, japanese: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Port 0 is a free one; the driver says which: "… started successfully on port 40123."
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            line.unwrap()
                .rsplit_once("successfully on port ")
                .and_then(|(_, port)| port.trim_end_matches('.').parse().ok())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(2)).build().unwrap();
        let port = port.expect("chromedriver says its port");
        let homes = Mutex::default();
        let mut browser = Self { driver, port, session: String::new(), http, japanese, homes, profile };
        let language = if japanese { "ja" } else { "en" };
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"binary": chromium, "prefs": {"intl.accept_languages": language}, "args": [
                "--headless", "--window-size=1280,800", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                format!("--user-data-dir={}", browser.profile.path().display()),
            ]},
        }}});
        let session = browser.command("POST", "session", &capabilities).await;
        session["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": WATCH})).await;
        browser
    }

    async fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_command(method, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_command(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method.clone(), format!("http://127.0.0.1:{}/{path}", self.port));
        let request = if method == "POST" { request.json(body) } else { request };
        let answer = request.send().await.unwrap();
        let fine = answer.status().is_success();
        let value = answer.json::<Value>().await.unwrap()["value"].take();
        if fine { Ok(value) } else { Err(value) }
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        self.command("POST", &format!("session/{}/{path}", self.session), body).await
    }

    /// Opens an address.
    pub async fn open_url(&self, url: &str) {
        // The blank page is nobody's.
        if let Ok(home) = url::Url::parse(url).unwrap().join("/") {
            let (home, mut homes) = (home.to_string(), self.homes.lock().unwrap());
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
        self.ask("url", &json!({"url": url})).await;
    }

    /// The back button.
    pub async fn back(&self) {
        self.ask("back", &json!({})).await;
    }

    /// The address in the bar.
    pub async fn url(&self) -> String {
        let url = self.command("GET", &format!("session/{}/url", self.session), &Value::Null).await;
        url.as_str().unwrap().to_owned()
    }

    /// Opens a tab beside those that there are, and goes there.
    pub async fn open_tab(&self) {
        let tab = self.ask("window/new", &json!({"type": "tab"})).await;
        self.ask("window", &json!({"handle": tab["handle"]})).await;
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": WATCH})).await;
    }

    /// Goes to the other one of two tabs.
    pub async fn other_tab(&self) {
        let all = self.command("GET", &format!("session/{}/window/handles", self.session), &Value::Null).await;
        let this = self.command("GET", &format!("session/{}/window", self.session), &Value::Null).await;
        let other = all.as_array().unwrap().iter().find(|handle| **handle != this).unwrap();
        self.ask("window", &json!({"handle": other})).await;
    }

    /// Closes this tab and goes to the first of those that are left.
    pub async fn close_tab(&self) {
        let left = self.command("DELETE", &format!("session/{}/window", self.session), &Value::Null).await;
        self.ask("window", &json!({"handle": left[0]})).await;
    }

    /// A cookie as it is sent, `name=value`, those included that no script can read.
    pub async fn cookie(&self, name: &str) -> String {
        let cookie = self.command("GET", &format!("session/{}/cookie/{name}", self.session), &Value::Null).await;
        format!("{name}={}", cookie["value"].as_str().unwrap())
    }

    /// The violations of its content security policy that the page reported since it was last asked.
    pub async fn violations(&self) -> Vec<String> {
        strings(&self.run(VIOLATIONS).await)
    }

    /// What a script in the page answers. A script that finds an element missing is run again: the page may still be
    /// drawing it.
    pub async fn run(&self, script: &str) -> Value {
        let (begun, path) = (Instant::now(), format!("session/{}/execute/sync", self.session));
        loop {
            match self.try_command("POST", &path, &json!({"script": script, "args": []})).await {
                Ok(value) => return value,
                Err(error) if error["message"].as_str().is_some_and(|text| text.contains("properties of null")) => {
                    self.pause(begun, &format!("{script}: {error}")).await;
                }
                Err(error) => panic!("{script}: {error}"),
            }
        }
    }

    /// What a script in the page answers to the callback that is its only argument.
    async fn run_and_wait(&self, script: &str) -> Value {
        self.ask("execute/async", &json!({"script": script, "args": []})).await
    }

    /// What axe-core finds on the page against WCAG 2.2, levels A and AA: a line for each fault. Nothing where it is not
    /// installed, unless `GRANTRY_TESTS_NEED_BROWSER=1` makes that a failure.
    pub async fn barriers(&self) -> Vec<String> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/node_modules/axe-core/axe.min.js");
        let Ok(axe) = std::fs::read_to_string(&file) else {
            let why = "axe-core is not in tests/page/node_modules (tests/run installs it)";
            assert!(std::env::var_os("GRANTRY_TESTS_NEED_BROWSER").is_none_or(|value| value != "1"), "{why}");
            let _ = std::io::stderr().write_all(format!("\nSKIPPED a look for barriers: {why}\n").as_bytes());
            return Vec::new();
        };
        if self.run("return typeof axe").await != "object" {
            self.run(&axe).await;
        }
        let found = self
            .run_and_wait(
                "const done = arguments[0];
                axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }).then(
                    ({ violations }) => done(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`))),
                    (error) => done([String(error)]));",
            )
            .await;
        strings(&found)
    }

    /// The element of a CSS selector, once it is there.
    async fn element(&self, selector: &str) -> String {
        let begun = Instant::now();
        loop {
            let path = format!("session/{}/element", self.session);
            let found = self.try_command("POST", &path, &json!({"using": "css selector", "value": selector})).await;
            if let Ok(found) = found {
                return found[ELEMENT].as_str().unwrap().to_owned();
            }
            self.pause(begun, selector).await;
        }
    }

    /// Does something with an element: with the one that takes its place, should the page draw it again meanwhile.
    async fn with(&self, selector: &str, action: &str, body: &Value) {
        let begun = Instant::now();
        loop {
            let element = self.element(selector).await;
            let path = format!("session/{}/element/{element}/{action}", self.session);
            match self.try_command("POST", &path, body).await {
                Ok(_) => return,
                Err(error) if error["error"] == "stale element reference" => self.pause(begun, selector).await,
                Err(error) => panic!("{action} {selector}: {error}"),
            }
        }
    }

    /// Types into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.with(selector, "clear", &json!({})).await;
        if text.chars().all(|c| u32::from(c) <= 0xffff) {
            self.with(selector, "value", &json!({"text": text})).await;
            return;
        }
        // Newer drivers type no characters beyond the Basic Multilingual Plane.
        self.with(selector, "click", &json!({})).await;
        self.ask("goog/cdp/execute", &json!({"cmd": "Input.insertText", "params": {"text": text}})).await;
    }

    /// Presses keys, wherever the focus is: text, or the code points of WebDriver §17.4.2.
    pub async fn press(&self, keys: &str) {
        let keys = keys.chars().flat_map(|key| [("keyDown", key), ("keyUp", key)]);
        self.act(keys).await;
    }

    /// Presses a key while Shift is held down.
    pub async fn press_with_shift(&self, key: &str) {
        let shift = '\u{e008}';
        let key = key.chars().next().unwrap();
        self.act([("keyDown", shift), ("keyDown", key), ("keyUp", key), ("keyUp", shift)]).await;
    }

    async fn act(&self, keys: impl IntoIterator<Item = (&'static str, char)>) {
        let one = |(action, key): (&str, char)| json!({"type": action, "value": key.to_string()});
        let actions: Vec<Value> = keys.into_iter().map(one).collect();
        self.ask("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).await;
    }

    /// Chooses from a list of choices.
    pub async fn choose(&self, selector: &str, value: &str) {
        self.element(selector).await;
        let chosen = self
            .run(&format!(
                "const select = document.querySelector({});
                select.value = {};
                select.dispatchEvent(new Event('input', {{ bubbles: true }}));
                select.dispatchEvent(new Event('change', {{ bubbles: true }}));
                return select.value;",
                json!(selector),
                json!(value)
            ))
            .await;
        assert_eq!(chosen, value, "{selector}");
    }

    /// Clicks on something.
    pub async fn click(&self, selector: &str) {
        self.with(selector, "click", &json!({})).await;
    }

    /// The text on the page, as a reader sees it.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Whether its reader speaks Japanese.
    pub fn is_japanese(&self) -> bool {
        self.japanese
    }

    /// What the reader sees of these, the same in both languages.
    pub fn either<'a>(&self, english: &'a str, japanese: &'a str) -> &'a str {
        if self.japanese { japanese } else { english }
    }

    /// An expression that is true where a text stands, given in English, as the page's words have it in the reader's
    /// language; `how` has a `%` for it in a regular expression.
    fn says(&self, english: &str, how: &str, of: &str) -> String {
        let forms = if self.japanese { words::japanese(english) } else { vec![regex_lite::escape(english)] };
        let form = how.replace('%', &format!("(?:{})", forms.join("|")));
        format!("new RegExp({}).test({of})", json!(form))
    }

    /// Waits until a text, given in English, is on the page in the reader's language.
    pub async fn see(&self, english: &str) {
        self.until(&self.says(english, "%", "document.body.innerText")).await;
    }

    /// Waits until an element has this text and no other.
    pub async fn reads(&self, selector: &str, english: &str) {
        let text = format!("document.querySelector({})?.textContent ?? ''", json!(selector));
        self.until(&self.says(english, "^%$", &text)).await;
    }

    /// Waits until an element has this text among others.
    pub async fn shows(&self, selector: &str, english: &str) {
        let text = format!("document.querySelector({})?.innerText ?? ''", json!(selector));
        self.until(&self.says(english, "%", &text)).await;
    }

    /// Waits until the window has this title.
    pub async fn titled(&self, english: &str) {
        self.until(&self.says(english, "^%", "document.title")).await;
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&self, condition: &str) {
        let begun = Instant::now();
        while self.run(&format!("return Boolean({condition})")).await != true {
            self.pause(begun, condition).await;
        }
    }

    /// Lets the page go on, or gives up.
    async fn pause(&self, begun: Instant, awaited: &str) {
        let patient = begun.elapsed() < PATIENCE;
        if !patient {
            let shown =
                self.ask("execute/sync", &json!({"script": "return document.body.innerText", "args": []})).await;
            panic!("never seen: {awaited}\n{}\n{}", self.url().await, shown.as_str().unwrap_or_default());
        }
        // The page says nothing when it has changed: it has to be looked at again.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// A command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// What the console said since it was last asked.
    pub async fn console(&self) -> Vec<String> {
        messages(&self.ask("se/log", &json!({"type": "browser"})).await)
    }

    /// The addresses that were requested since it was last asked.
    pub async fn requested(&self) -> Vec<String> {
        addresses(&self.ask("se/log", &json!({"type": "performance"})).await)
    }

    /// Whether a request to this address stays here, or on no wire at all.
    fn is_home(&self, url: &str) -> bool {
        !url.starts_with("http") || self.homes.lock().unwrap().iter().any(|home| url.starts_with(home))
    }

    /// Shows the page at this width, light or dark, and keeps a picture where `GRANTRY_TESTS_SHOTS` names a folder.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("GRANTRY_TESTS_SHOTS").map(PathBuf::from) else { return };
        for (width, scheme) in [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark"), (2560, "light")] {
            self.shape(width, scheme).await;
            let shot = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": false})).await;
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
            std::fs::write(folder.join(format!("{name}-{width}-{scheme}.png")), png).unwrap();
        }
        self.shape(1280, "light").await;
    }

    /// The window's width, and whether the system is light or dark.
    pub async fn shape(&self, width: u32, scheme: &str) {
        self.size(width, 800, 1).await;
        self.prefer(&[("prefers-color-scheme", scheme)]).await;
    }

    /// A window of 1280 by 800 whose page is shown twice as large: it has half the width and height of its own.
    pub async fn zoom_twice(&self) {
        self.size(640, 400, 2).await;
    }

    async fn size(&self, width: u32, height: u32, scale: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
    }

    /// What the system says of its user's wishes, as media features.
    pub async fn prefer(&self, wishes: &[(&str, &str)]) {
        let features: Vec<Value> = wishes.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features})).await;
    }

    /// What the driver answers when the test is over: in a runtime of its own, as in that of the test nothing can be awaited
    /// any more.
    fn at_last(&self, method: reqwest::Method, path: &str, body: &Value) -> Option<Value> {
        let ask = async {
            let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
            let url = format!("http://127.0.0.1:{}/session/{}{path}", self.port, self.session);
            let answer = http.request(method, url).json(body).send().await.ok()?.error_for_status().ok()?;
            Some(answer.json::<Value>().await.ok()?["value"].take())
        };
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(ask);
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    /// What may be in no test. What a test has to expect, such as a request that is refused, it looks for itself.
    fn look_back(&self) {
        let violations =
            self.at_last(reqwest::Method::POST, "/execute/sync", &json!({"script": VIOLATIONS, "args": []}));
        assert_eq!(violations, Some(json!([])), "the page violates its content security policy");
        let console = self.at_last(reqwest::Method::POST, "/se/log", &json!({"type": "browser"})).expect("a console");
        for line in messages(&console) {
            assert!(line.contains("Failed to load resource"), "the console says: {line}");
        }
        let requests =
            self.at_last(reqwest::Method::POST, "/se/log", &json!({"type": "performance"})).expect("a log of requests");
        for url in addresses(&requests) {
            assert!(self.is_home(&url), "a request to another host: {url}");
        }
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

fn messages(entries: &Value) -> Vec<String> {
    entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
}

/// The addresses of the requests in a log of events.
fn addresses(entries: &Value) -> Vec<String> {
    let events = entries.as_array().unwrap().iter().filter_map(|entry| {
        let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
        let event = &event["message"];
        let sent = event["method"] == "Network.requestWillBeSent";
        event["params"]["request"]["url"].as_str().filter(|_| sent).map(str::to_owned)
    });
    events.collect()
}

impl Drop for Browser {
    /// Looks back, ends the session, so that the browser ends, then the driver.
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if !failed {
                self.look_back();
            }
        }));
        self.at_last(reqwest::Method::DELETE, "", &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        if let Err(what) = seen {
            std::panic::resume_unwind(what);
        }
    }
}
