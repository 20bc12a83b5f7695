//! Redaction: removes secrets from text that a provider sent, before the text is stored, shown, sent or logged.
//!
//! A provider may repeat what it received, in part and in another encoding. A [`Redactor`] knows the secrets of one
//! request and of its profile. It finds them in two ways, and replaces what it finds with [`REDACTED`]:
//!
//! - It decodes the text step by step: percent-encoding, JSON and JavaScript escapes, HTML character references. For each
//!   decoded byte it keeps the place in the original text. It finds any 8 consecutive bytes of a secret at every step,
//!   whichever of them are escaped.
//! - At every step it also finds any 8 consecutive bytes of the usual encodings of a secret, base64 at each of its three
//!   alignments included.
//!
//! A successful answer is never redacted: its tokens are kept as they came.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    catalogue::Resolved,
    fields,
    request::Request,
    transport,
    wire::{Client, RawAnswer, Sent},
};
use crate::domain::Secret;

/// The text that replaces a secret.
pub const REDACTED: &str = "[redacted]";

/// Length of the pieces of a secret that are replaced, in bytes. A shorter secret is replaced only as a whole.
const PIECE: usize = 8;
/// Minimum length of a secret in bytes: a shorter text occurs everywhere.
const MIN_SECRET: usize = 4;
/// Maximum number of encodings around each other that are decoded.
const MAX_ROUNDS: usize = 4;
/// Maximum length of an HTML character reference in bytes.
const MAX_REFERENCE: usize = 20;
/// Maximum length of the reason of a transport failure in characters.
const MAX_REASON: usize = 300;

/// RFC 3986's unreserved characters stay as they are.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names and error codes of the protocols. A value or a name that is exactly one of them is kept, even where a secret
/// contains the same word: the meaning of an answer must not depend on the secrets of the request.
const PROTOCOL_WORDS: &[&str] = &[
    "access_denied",
    "access_token",
    "account_selection_required",
    "authorization_pending",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "consent_required",
    "detail",
    "device_code",
    "error",
    "errorCode",
    "errorSummary",
    "errorType",
    "error_code",
    "error_description",
    "error_message",
    "error_uri",
    "errors",
    "expired_token",
    "expires_in",
    "id_token",
    "insufficient_scope",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_redirect_uri",
    "invalid_request",
    "invalid_scope",
    "invalid_token",
    "login_required",
    "message",
    "redirect_uri",
    "redirect_uri_mismatch",
    "refresh_token",
    "server_error",
    "slow_down",
    "status",
    "temporarily_unavailable",
    "token_type",
    "type",
    "unauthorized",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
];

/// Fields of an answer that hold tokens (RFC 6749 §5.1; OpenID Connect Core §3.1.3.3).
const TOKEN_FIELDS: &[&str] = &["access_token", "refresh_token", "id_token"];

/// HTML names of ASCII characters, and of the space that does not break.
const REFERENCES: &[(&str, u8)] = &[
    ("amp", b'&'),
    ("AMP", b'&'),
    ("lt", b'<'),
    ("LT", b'<'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("apos", b'\''),
    ("nbsp", b' '),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("equals", b'='),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("lowbar", b'_'),
    ("UnderBar", b'_'),
    ("grave", b'`'),
    ("DiacriticalGrave", b'`'),
    ("lcub", b'{'),
    ("lbrace", b'{'),
    ("verbar", b'|'),
    ("vert", b'|'),
    ("VerticalLine", b'|'),
    ("rcub", b'}'),
    ("rbrace", b'}'),
];

/// Knows the secrets of one request, and removes them from text.
#[derive(Default)]
pub struct Redactor {
    /// Each 8 consecutive bytes of each form of a secret, folded.
    pieces: HashSet<u64>,
    /// The secrets, folded.
    values: Vec<Zeroizing<Vec<u8>>>,
    /// Forms of the secrets that are shorter than a piece, folded.
    short: Vec<Zeroizing<Vec<u8>>>,
    /// Error codes and descriptions of the provider's definition, which are kept as [`PROTOCOL_WORDS`] are.
    words: Vec<String>,
}

impl Redactor {
    /// A redactor for these secrets. A secret of fewer than 4 bytes is ignored.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut redactor = Self::default();
        redactor.learn(secrets);
        redactor
    }

    /// A redactor for these secrets, and for the parameters of the provider's definition whose names look secret.
    pub fn for_provider<'a>(provider: &Resolved, secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let entry = provider.entry();
        let parameters = [&entry.authorize_params, &entry.token_params, &entry.refresh_params].into_iter().flatten();
        let parameters: Vec<Secret> =
            parameters.filter(|(name, _)| is_secret_name(name)).map(|(_, value)| Secret::new(value)).collect();
        let mut redactor = Self::new(secrets);
        redactor.learn(&parameters);
        redactor.words = entry.errors.keys().cloned().collect();
        redactor
    }

    /// A redactor for what a request carries, and for what its client knows.
    pub(super) fn for_request(provider: &Resolved, client: &Client, request: &Request) -> Self {
        let secrets = request_secrets(request, is_secret_name);
        Self::for_provider(provider, secrets.iter().chain(&client.secret).chain(&client.known))
    }

    fn learn<'a>(&mut self, secrets: impl IntoIterator<Item = &'a Secret>) {
        let secrets: BTreeSet<&str> = secrets.into_iter().map(Secret::expose).collect();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= MIN_SECRET) {
            self.add(secret);
        }
    }

    fn add(&mut self, secret: &str) {
        self.values.push(folded(secret.as_bytes()));
        if secret.len() < PIECE {
            self.short.push(folded(secret.as_bytes()));
            for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                self.short.push(folded(Zeroizing::new(alphabet.encode(secret)).as_bytes()));
            }
            return;
        }
        let written = [percent(secret, COMPONENT), form(secret), json(secret), html(secret), secret.to_owned()];
        let written: BTreeSet<String> = written.into_iter().collect();
        let mut forms: BTreeSet<Vec<u8>> = written.iter().flat_map(|form| base64_forms(form.as_bytes())).collect();
        for more in [percent(secret, NON_ALPHANUMERIC), json(secret).replace('/', "\\/")] {
            forms.insert(more.into_bytes());
        }
        for form in &written {
            forms.insert(form.as_bytes().to_vec());
            forms.insert(with_lower_hex(form));
        }
        forms.insert(with_lower_hex(&percent(secret, NON_ALPHANUMERIC)));
        // A secret that contains escapes itself: an encoded copy of it may be decoded beyond the secret.
        for layer in Layer::of(secret).rounds() {
            if (MIN_SECRET..PIECE).contains(&layer.bytes.len()) {
                self.short.push(folded(&layer.bytes));
            }
            forms.insert(layer.bytes);
        }
        for form in forms.into_iter().map(Zeroizing::new) {
            windows(form.iter().copied(), |_, window| {
                self.pieces.insert(window);
            });
        }
    }

    /// The text without secrets and without pieces of them. A text that is a word of the protocols stays as it is.
    pub fn text(&self, text: &str) -> String {
        if PROTOCOL_WORDS.contains(&text) || self.words.iter().any(|word| word == text) {
            return text.to_owned();
        }
        replaced(text, |layer, hidden| {
            windows(layer.bytes.iter().copied(), |end, window| {
                if self.pieces.contains(&window) {
                    hidden.mark(layer, end - PIECE..end);
                }
            });
            mark_values(&self.short, layer, hidden);
        })
    }

    /// The text without whole secrets: for text of ours, in which a piece of a secret is a coincidence.
    pub(super) fn own_text(&self, text: &str) -> String {
        replaced(text, |layer, hidden| mark_values(&self.values, layer, hidden))
    }

    /// The body of an answer. Of JSON the names and the values are redacted one by one.
    pub(super) fn body(&self, body: &str) -> String {
        match fields::parse_json(body) {
            Some(mut value) => {
                self.value(&mut value);
                value.to_string()
            }
            None => self.text(body),
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Number(number) => {
                let written = number.to_string();
                let text = self.text(&written);
                if text != written {
                    *value = Value::String(text);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                for (name, mut field) in std::mem::take(fields) {
                    self.value(&mut field);
                    fields.insert(self.text(&name), field);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Redacts an answer that is not a success, or the reason why there is none.
    pub(super) fn sent(&self, sent: Sent) -> Sent {
        match sent {
            Sent::Answered(raw) => Sent::Answered(RawAnswer {
                content_type: raw.content_type.as_deref().map(|text| self.text(text)),
                body: Secret::new(self.body(raw.body.expose())),
                ..raw
            }),
            Sent::NotSent(reason) => Sent::NotSent(self.reason(reason)),
            Sent::Unclear(reason) => Sent::Unclear(self.reason(reason)),
        }
    }

    fn reason(&self, reason: String) -> String {
        match reason.as_str() {
            transport::TIMEOUT | transport::TOO_LARGE => reason,
            text => one_line(&self.text(text), MAX_REASON),
        }
    }
}

/// Whether a field or parameter of this name holds a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_credential = ["secret", "token", "password", "key", "assertion"].iter().any(|word| name.contains(word));
    // `token_type`, `token_type_hint`, `subject_token_type`, `token_access_type`, `client_assertion_type`.
    let is_kind = name.ends_with("_type") || name.ends_with("_hint");
    (is_credential && !is_kind) || ["code", "code_verifier", "device_code", "state"].contains(&name.as_str())
}

/// The texts and numbers in these fields whose names look secret, at any depth.
pub fn secret_fields(fields: &Map<String, Value>) -> Vec<Secret> {
    let mut found = Vec::new();
    collect(fields, &is_secret_name, &mut found);
    found
}

/// The tokens in an answer, at any depth.
pub(super) fn tokens_of(raw: &RawAnswer) -> Vec<Secret> {
    let mut found = Vec::new();
    if let Some(body) = fields::parse(raw.body.expose()) {
        let body = Map::from_iter([(String::new(), body)]);
        collect(&body, &|name| TOKEN_FIELDS.contains(&name), &mut found);
    }
    found
}

fn collect(fields: &Map<String, Value>, is_secret: &dyn Fn(&str) -> bool, found: &mut Vec<Secret>) {
    for (name, field) in fields {
        collect_field(name, field, is_secret, found);
    }
}

fn collect_field(name: &str, field: &Value, is_secret: &dyn Fn(&str) -> bool, found: &mut Vec<Secret>) {
    match field {
        Value::String(text) if is_secret(name) => found.push(Secret::new(text)),
        Value::Number(number) if is_secret(name) => found.push(Secret::new(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| collect_field("", item, is_secret, found)),
        Value::Object(fields) => collect(fields, is_secret, found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a request carries in secret: its fields of these names, its `Authorization`, and such parameters of its query.
pub(super) fn request_secrets(request: &Request, is_secret: impl Fn(&str) -> bool) -> Vec<Secret> {
    let fields = request.fields.iter().filter(|(name, _)| is_secret(name));
    let mut secrets: Vec<Secret> = fields.map(|(_, value)| value.clone()).collect();
    if let Some((_, value)) = &request.authorization {
        // Without the scheme. Scheme and token may contain spaces, and the header field may have no scheme.
        let value = value.expose();
        let (_, long) = value.split_once(' ').unwrap_or(("", value));
        let (_, short) = value.rsplit_once(' ').unwrap_or(("", value));
        secrets.extend([long, short].map(Secret::new));
    }
    if let Ok(url) = Url::parse(&request.url) {
        let query = url.query_pairs().filter(|(name, _)| is_secret_name(name));
        secrets.extend(query.map(|(_, value)| Secret::new(value)));
    }
    secrets
}

/// A text as one line of at most `max` characters; the end of a longer one is marked.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line,
    }
}

/// A text of at most `max` bytes; the end of a longer one is marked.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub('…'.len_utf8());
    format!("{}…", &text[..text.floor_char_boundary(room)])
}

/// A text after some rounds of decoding.
struct Layer {
    bytes: Vec<u8>,
    /// For each byte its place in the original text.
    places: Vec<Range<usize>>,
}

impl Layer {
    fn of(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), places: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    /// The text after one more round; `None`: there is nothing to decode.
    fn decoded(&self) -> Option<Self> {
        let is_encoded = |byte: &u8| matches!(byte, b'%' | b'\\' | b'&') || byte.is_ascii_control();
        let first = self.bytes.iter().position(is_encoded)?;
        let mut next = Self { bytes: self.bytes[..first].to_vec(), places: self.places[..first].to_vec() };
        let (mut at, mut is_changed) = (first, false);
        while at < self.bytes.len() {
            let (length, unit) = match escape(&self.bytes[at..]) {
                Some(escape) => {
                    is_changed = true;
                    escape
                }
                None => (1, Unit::Byte(self.bytes[at])),
            };
            let place = self.places[at].start..self.places[at + length - 1].end;
            at += length;
            let mut buffer = [0; 4];
            let decoded = match unit {
                Unit::Nothing => &[][..],
                Unit::Byte(byte) => {
                    buffer[0] = byte;
                    &buffer[..1]
                }
                Unit::Char(c) => c.encode_utf8(&mut buffer).as_bytes(),
            };
            for byte in decoded {
                next.bytes.push(*byte);
                next.places.push(place.clone());
            }
        }
        is_changed.then_some(next)
    }

    /// The text itself, and the text after each round.
    fn rounds(self) -> impl Iterator<Item = Self> {
        let mut next = Some(self);
        let rounds = std::iter::from_fn(move || {
            let layer = next.take()?;
            next = layer.decoded();
            Some(layer)
        });
        rounds.take(MAX_ROUNDS + 1)
    }
}

/// What an escape stands for.
enum Unit {
    /// A control character: encoders break lines, and nothing shows them.
    Nothing,
    Byte(u8),
    Char(char),
}

/// The escape with which a text begins: its length, and what it stands for.
fn escape(text: &[u8]) -> Option<(usize, Unit)> {
    match text {
        [b'%' | b'\\', b'u', ..] => utf16(text),
        [b'%', digits @ ..] => Some((3, Unit::Byte(u8::try_from(hex(digits.get(..2)?)?).ok()?))),
        [b'\\', b'x', digits @ ..] => Some((4, Unit::Byte(u8::try_from(hex(digits.get(..2)?)?).ok()?))),
        [b'\\', c @ (b'"' | b'\'' | b'\\' | b'/'), ..] => Some((2, Unit::Byte(*c))),
        [b'\\', b'b' | b'f' | b'n' | b'r' | b't', ..] => Some((2, Unit::Nothing)),
        [b'&', ..] => reference(text),
        [byte, ..] if byte.is_ascii_control() => Some((1, Unit::Nothing)),
        _ => None,
    }
}

/// `\uXXXX` (RFC 8259 §7), with a second one where the first is half of a pair; `%uXXXX` (ECMA-262, `escape`).
fn utf16(text: &[u8]) -> Option<(usize, Unit)> {
    let unit = |at: usize| u16::try_from(hex(text.get(at..at + 4)?)?).ok();
    let first = unit(2)?;
    let second = if text.get(6..8) == Some(&text[..2]) { unit(8) } else { None };
    let mut decoded = char::decode_utf16(std::iter::once(first).chain(second));
    let c = decoded.next()?.ok()?;
    Some((if c.len_utf16() == 2 { 12 } else { 6 }, Unit::Char(c)))
}

/// An HTML character reference, by name or number.
fn reference(text: &[u8]) -> Option<(usize, Unit)> {
    let end = text.iter().take(MAX_REFERENCE).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let unit = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            Unit::Char(char::from_u32(code.ok()?)?)
        }
        None => Unit::Byte(REFERENCES.iter().find(|(known, _)| *known == name)?.1),
    };
    Some((end + 1, unit))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some((number << 4) | char::from(*digit).to_digit(16)?))
}

/// The bytes of a text that belong to secrets.
struct Hidden(Vec<bool>);

impl Hidden {
    /// Marks the places of some bytes of a layer.
    fn mark(&mut self, layer: &Layer, bytes: Range<usize>) {
        if let (Some(first), Some(last)) = (layer.places.get(bytes.start), layer.places.get(bytes.end - 1)) {
            self.0[first.start..last.end].fill(true);
        }
    }
}

/// The text with [`REDACTED`] in the place of each run of bytes that `mark` finds at any round of decoding.
fn replaced(text: &str, mark: impl Fn(&Layer, &mut Hidden)) -> String {
    let mut hidden = Hidden(vec![false; text.len()]);
    for layer in Layer::of(text).rounds() {
        mark(&layer, &mut hidden);
    }
    let mut shown = String::with_capacity(text.len());
    let mut was_hidden = false;
    for (at, c) in text.char_indices() {
        // A character of which one byte belongs to a secret belongs to it.
        let is_hidden = hidden.0[at..at + c.len_utf8()].contains(&true);
        match (is_hidden, was_hidden) {
            (true, false) => shown.push_str(REDACTED),
            (true, true) => {}
            (false, _) => shown.push(c),
        }
        was_hidden = is_hidden;
    }
    shown
}

fn mark_values(values: &[Zeroizing<Vec<u8>>], layer: &Layer, hidden: &mut Hidden) {
    for value in values {
        for (at, window) in layer.bytes.windows(value.len()).enumerate() {
            if window.iter().map(|byte| fold(*byte)).eq(value.iter().copied()) {
                hidden.mark(layer, at..at + value.len());
            }
        }
    }
}

/// Calls `each` for each 8 consecutive bytes, folded, with the position behind them.
fn windows(bytes: impl Iterator<Item = u8>, mut each: impl FnMut(usize, u64)) {
    let mut window = 0;
    for (at, byte) in bytes.enumerate() {
        window = (window << 8) | u64::from(fold(byte));
        if at + 1 >= PIECE {
            each(at + 1, window);
        }
    }
}

/// One byte for the two that a space may be: a form has `+` in its place.
fn fold(byte: u8) -> u8 {
    if byte == b' ' { b'+' } else { byte }
}

fn folded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().map(|byte| fold(*byte)).collect())
}

fn percent(text: &str, set: &'static AsciiSet) -> String {
    utf8_percent_encode(text, set).to_string()
}

fn form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The text between the quotes of a JSON string.
fn json(text: &str) -> String {
    let text = Value::from(text).to_string();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A percent-encoded text with its digits in lower case.
fn with_lower_hex(text: &str) -> Vec<u8> {
    let mut digits = 0;
    let lower = |byte: u8| {
        if byte == b'%' {
            digits = 2;
            return byte;
        }
        if digits == 0 {
            return byte;
        }
        digits -= 1;
        byte.to_ascii_lowercase()
    };
    text.bytes().map(lower).collect()
}

/// What base64 makes of these bytes wherever they stand in a longer text, in both alphabets (RFC 4648 §4, §5): without the
/// first characters where those depend on what is before.
fn base64_forms(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let alphabets = [STANDARD_NO_PAD, URL_SAFE_NO_PAD];
    alphabets.into_iter().flat_map(move |alphabet| {
        [(0, 0), (1, 2), (2, 3)].map(|(before, unstable)| {
            let padded = Zeroizing::new([&[0; 2][..before], bytes].concat());
            alphabet.encode(&*padded).as_bytes()[unstable..].to_vec()
        })
    })
}

#[cfg(test)]
mod tests;
