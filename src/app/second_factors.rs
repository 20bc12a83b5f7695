//! Second factors of users: codes by time (RFC 6238), and recovery codes for the day on which the device is lost.
//!
//! A code is taken once: its time step is remembered, and no code of it or of an earlier one is taken again (§5.2), after
//! a restart neither. A device's clock may be a step off, thirty seconds, either way. Wrong codes are counted by user, as
//! somebody who sends them has the password (`attempts.rs`), and stand in the audit trail.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use fast_qr::{ECL, QRBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use super::{App, access::Caller, audit, refusals::Refused};
use crate::{
    domain::{
        Error, Faults, Noun, Rejection, Result, Secret, Why,
        audit::Deed,
        second_factor::{RECOVERY_CODES, State},
        user::{Scope, User},
    },
    store::{self, Tx, second_factors::Kept},
};

/// Who issues the codes, as an authenticator shows it.
const ISSUER: &str = "Grantry";
/// Random bytes of a shared secret: 160 bits, as RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
/// Random bytes of a recovery code: 120 bits cannot be guessed, so that a plain SHA-256 is enough to keep; they make 24
/// letters and digits without a rest.
const RECOVERY_BYTES: usize = 15;
/// The letters and digits of a recovery code.
const RECOVERY_LENGTH: usize = 24;
/// Letters between two hyphens of a recovery code.
const GROUP: usize = 4;

/// What is shown once of a second factor that was begun.
pub struct Begun {
    /// The shared secret in base32, to be typed.
    pub secret: Secret,
    /// `otpauth://totp/…`, for an authenticator.
    pub url: Secret,
    /// The same as a QR code; `None`: it is too long for one.
    pub qr_code: Option<QrCode>,
}

/// A QR code (ISO/IEC 18004), to be drawn.
pub struct QrCode {
    /// Modules from side to side, with the four light ones around it that a reader needs.
    pub size: usize,
    /// The dark modules as the `d` of an SVG path, a unit each. Whoever has it has what it says.
    pub path: Secret,
}

/// What somebody shows who changes the own second factor.
#[derive(Debug, Default)]
pub struct Proof {
    /// The password.
    pub password: Option<Secret>,
    /// A code, or a recovery code.
    pub code: Option<Secret>,
}

/// A code that may be good, as far as can be said without taking it.
enum Code {
    Step(Kept, i64),
    Recovery([u8; 32]),
}

impl App {
    /// Begins a second factor of the caller's own, in the place of one that was begun and not confirmed. It asks nothing of
    /// anybody until it is confirmed. What codes are made from is in the answer and nowhere else.
    pub async fn begin_second_factor(&self, caller: &Caller, user_id: i64) -> Result<Begun> {
        let user = oneself(caller, user_id)?.clone();
        let mut random = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut *random).map_err(Error::internal)?;
        let shared = totp_rs::Secret::from(*random);
        let secret = Secret::new(shared.to_base32());
        let url = Secret::new(totp(shared, &user)?.to_url().map_err(|_| Error::internal("no address of a code"))?);
        let (caller, kept) = (caller.clone(), secret.clone());
        self.db
            .write(move |tx| {
                if store::second_factors::state(tx, user_id)? == State::On {
                    return Err(Error::invalid("second_factor", Why::AlreadyOn));
                }
                store::second_factors::begin(tx, user_id, &kept)?;
                audit(tx, &caller, Deed::SecondFactorBegun, "user", user_id, &json!({}))
            })
            .await?;
        Ok(Begun { qr_code: qr_code(&url), secret, url })
    }

    /// Confirms what was begun with a first code: log-ins ask for one from now on, and the user's other sessions end. The
    /// recovery codes are in the answer and nowhere else.
    pub async fn confirm_second_factor(&self, caller: &Caller, user_id: i64, code: &Secret) -> Result<Vec<Secret>> {
        oneself(caller, user_id)?;
        match self.db.read(|read| store::second_factors::state(read, user_id))? {
            State::Absent => return Err(Error::not_found(Noun::SecondFactor, user_id)),
            State::On => return Err(Error::invalid("second_factor", Why::AlreadyOn)),
            State::Pending => {}
        }
        let (codes, hashes) = recovery_codes()?;
        let by = caller.clone();
        let confirmed = self
            .with_code(caller, user_id, code, move |tx, _| {
                store::second_factors::confirm(tx, user_id, &hashes)?;
                store::sessions::delete_others(tx, user_id, by.session())?;
                audit(tx, &by, Deed::SecondFactorOn, "user", user_id, &json!({}))
            })
            .await?;
        confirmed.map(|()| codes).ok_or_else(|| Error::invalid("code", Why::NotRight))
    }

    /// Takes a second factor away, with its recovery codes; sessions of its user end, but for the one that asks. The own one
    /// takes the password or a code; another's takes an administrator.
    pub async fn remove_second_factor(&self, caller: &Caller, user_id: i64, proof: Proof) -> Result<()> {
        let own = caller.user().is_some_and(|user| user.id == user_id);
        let user = if own { Some(caller.in_person()?) } else { None };
        if !own {
            caller.need(Scope::Admin)?;
        }
        let state = self.db.read(|read| {
            store::users::find(read, user_id)?.ok_or_else(|| Error::not_found(Noun::User, user_id))?;
            store::second_factors::state(read, user_id)
        })?;
        let by = caller.clone();
        let remove = move |tx: &Tx<'_>, how: &str| {
            // One that was confirmed meanwhile asks for more than was looked at.
            if !store::second_factors::delete(tx, user_id)? {
                return Err(Error::not_found(Noun::SecondFactor, user_id));
            }
            store::sessions::delete_others(tx, user_id, by.session())?;
            audit(tx, &by, Deed::SecondFactorOff, "user", user_id, &json!({"by": how}))
        };
        let Some(user) = user.filter(|_| state == State::On) else {
            return self
                .db
                .write(move |tx| {
                    if own && store::second_factors::state(tx, user_id)? == State::On {
                        return Err(Error::invalid("code", Why::Missing));
                    }
                    remove(tx, if own { "owner" } else { "administrator" })
                })
                .await;
        };
        self.prove(caller, user, proof, remove).await
    }

    /// New recovery codes in the place of those there are, which are good for nothing from then on; the factor stays as it is.
    /// One's own take the password or a code; the machine itself makes them for anybody, as it takes a factor away.
    pub async fn renew_recovery_codes(&self, caller: &Caller, user_id: i64, proof: Proof) -> Result<Vec<Secret>> {
        // An administrator who could have another's codes could come in as that user: those take the factor away instead.
        let user = if caller.is_machine() { None } else { Some(oneself(caller, user_id)?) };
        let state = self.db.read(|read| {
            store::users::find(read, user_id)?.ok_or_else(|| Error::not_found(Noun::User, user_id))?;
            store::second_factors::state(read, user_id)
        })?;
        if state != State::On {
            return Err(Error::not_found(Noun::SecondFactor, user_id));
        }
        let (codes, hashes) = recovery_codes()?;
        let by = caller.clone();
        let renew = move |tx: &Tx<'_>, how: &str| {
            if store::second_factors::state(tx, user_id)? != State::On {
                return Err(Error::not_found(Noun::SecondFactor, user_id));
            }
            let unused = store::second_factors::replace_recovery_codes(tx, user_id, &hashes)?;
            audit(tx, &by, Deed::RecoveryCodesRenewed, "user", user_id, &json!({"by": how, "unused": unused}))
        };
        match user {
            Some(user) => self.prove(caller, user, proof, renew).await?,
            None => self.db.write(move |tx| renew(tx, "machine")).await?,
        }
        Ok(codes)
    }

    /// Does `work` in the transaction of what this user shows, and tells it which kind that was. What is shown and is not
    /// right is charged as a guess.
    async fn prove<T: Send + 'static>(
        &self,
        caller: &Caller,
        user: &User,
        proof: Proof,
        work: impl FnOnce(&Tx<'_>, &'static str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match proof {
            Proof { code: Some(code), .. } => {
                let done = self.with_code(caller, user.id, &code, work).await?;
                done.ok_or_else(|| Error::invalid("code", Why::NotRight))
            }
            Proof { password: Some(password), .. } => {
                let done = self
                    .check_password(user.name.as_str(), &password, caller.origin(), async |user, kept| {
                        let kept = kept.to_owned();
                        let work = move |tx: &Tx<'_>| {
                            if !store::users::has_password(tx, user.id, &kept)? {
                                return Ok(None);
                            }
                            work(tx, "password").map(Some)
                        };
                        self.db.write(work).await
                    })
                    .await?;
                done.ok_or_else(|| Error::invalid("password", Why::NotRight))
            }
            Proof { .. } => {
                let mut faults = Faults::default();
                faults.add("password", Why::Missing);
                faults.add("code", Why::Missing);
                faults.all(None)
            }
        }
    }

    /// Does `work` in the transaction that takes a code of this user, and tells it which kind that was. `None`: the code is
    /// wrong, or was used. An error of `work` leaves the code as it was.
    pub(super) async fn with_code<T: Send + 'static>(
        &self,
        caller: &Caller,
        user_id: i64,
        code: &Secret,
        work: impl FnOnce(&Tx<'_>, &'static str) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let admitted = AtomicBool::new(false);
        let take = async {
            admitted.store(true, Ordering::Relaxed);
            let taken = match self.read_code(user_id, code)? {
                None => None,
                Some(read) => {
                    let take = move |tx: &Tx<'_>| {
                        let (good, kind) = match &read {
                            Code::Step(kept, step) => {
                                (store::second_factors::take_step(tx, user_id, kept, *step)?, "code")
                            }
                            Code::Recovery(hash) => {
                                (store::second_factors::take_recovery_code(tx, user_id, hash)?, "recovery_code")
                            }
                        };
                        if good { work(tx, kind).map(Some) } else { Ok(None) }
                    };
                    self.db.write(take).await?
                }
            };
            if taken.is_none() {
                let by = caller.clone();
                self.db.write(move |tx| audit(tx, &by, Deed::CodeRefused, "user", user_id, &json!({}))).await?;
            }
            Ok(taken)
        };
        let taken = self.code_attempts.guard(&user_id.to_string(), caller.origin().address, take).await;
        if matches!(taken, Err(Error::TooMany { .. })) && !admitted.load(Ordering::Relaxed) {
            self.count_refusal(user_id, Refused::CodeTooSoon, caller.origin());
        }
        taken
    }

    /// Looks at a code; `None`: it is wrong whatever else is.
    fn read_code(&self, user_id: i64, code: &Secret) -> Result<Option<Code>> {
        let digits = Zeroizing::new(code.expose().chars().filter(|c| !c.is_whitespace()).collect::<String>());
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(recovery_hash(code).map(Code::Recovery));
        }
        self.db.read(|read| {
            let Some(kept) = store::second_factors::open(read, user_id)? else { return Ok(None) };
            let user = store::users::find(read, user_id)?.ok_or(Error::Unauthenticated(Rejection::Bad))?;
            let shared = totp_rs::Secret::try_from_base32(kept.secret.expose());
            let shared = shared.map_err(|_| Error::internal("what codes are made from is no base32"))?;
            let seconds = u64::try_from(read.now().0 / 1000).unwrap_or_default();
            let step = totp(shared, &user)?.check(&digits, seconds).and_then(|step| i64::try_from(step).ok());
            Ok(step.map(|step| Code::Step(kept, step)))
        })
    }
}

/// The caller, where it is this user in person.
fn oneself(caller: &Caller, user_id: i64) -> Result<&User> {
    let user = caller.in_person()?;
    if user.id == user_id { Ok(user) } else { Err(Error::Unauthenticated(Rejection::InPerson)) }
}

/// Six digits, thirty seconds, SHA-1, a step either way: what every authenticator knows.
fn totp(shared: totp_rs::Secret, user: &User) -> Result<Totp> {
    Builder::new()
        .with_secret(shared)
        .with_issuer(Some(ISSUER))
        // A colon ends the issuer in the label.
        .with_account_name(user.name.as_str().replace(':', " "))
        .build()
        .map_err(|_| Error::internal("a second factor that makes no codes"))
}

/// The picture of a text that is a secret; `None`: the text is too long.
fn qr_code(text: &Secret) -> Option<QrCode> {
    /// Light modules around the others, on each side (§5.3.8).
    const QUIET: usize = 4;
    let code = QRBuilder::new(text.expose()).ecl(ECL::M).build().ok()?;
    let size = code.size + 2 * QUIET;
    // Room enough at once: a text that grows leaves its beginnings behind, unwiped.
    let mut path = String::with_capacity(size * size * 10);
    for y in 0..code.size {
        let mut x = 0;
        for run in code[y].chunk_by(|one, next| one.value() == next.value()) {
            if run.first().is_some_and(|module| module.value()) {
                let (x, y, n) = (x + QUIET, y + QUIET, run.len());
                let _ = write!(path, "M{x} {y}h{n}v1h-{n}z");
            }
            x += run.len();
        }
    }
    Some(QrCode { size, path: Secret::new(path) })
}

/// New recovery codes, and what is kept of them.
fn recovery_codes() -> Result<(Vec<Secret>, Vec<[u8; 32]>)> {
    let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>>>()?;
    let hashes = codes.iter().filter_map(recovery_hash).collect();
    Ok((codes, hashes))
}

/// A new recovery code: `ABCD-EFGH-…`.
fn recovery_code() -> Result<Secret> {
    let mut random = Zeroizing::new([0; RECOVERY_BYTES]);
    getrandom::fill(&mut *random).map_err(Error::internal)?;
    let letters = Zeroizing::new(totp_rs::Secret::from(*random).to_base32());
    let groups: Vec<&str> = (0..letters.len()).step_by(GROUP).filter_map(|at| letters.get(at..at + GROUP)).collect();
    Ok(Secret::new(groups.join("-")))
}

/// What is kept of a recovery code, however it is typed; `None`: it has not the form of one.
fn recovery_hash(code: &Secret) -> Option<[u8; 32]> {
    let plain = code.expose().chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase());
    let plain = Zeroizing::new(plain.collect::<String>());
    let fine = plain.len() == RECOVERY_LENGTH && plain.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
    fine.then(|| Sha256::digest(plain.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        let code = recovery_code().expect("random bytes");
        let text = code.expose().to_owned();
        assert_eq!((text.len(), text.matches('-').count()), (29, 5), "{text}");
        let kept = recovery_hash(&code).expect("our own");
        for typed in [text.to_lowercase(), text.replace('-', ""), format!(" {} ", text.replace('-', " "))] {
            assert_eq!(recovery_hash(&Secret::new(typed)), Some(kept));
        }
        for other in ["", "123456", &text[1..], &text.replace(&text[..1], "1")] {
            assert!(recovery_hash(&Secret::new(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238 appendix B, the last six digits of its eight.
        let totp = Builder::new().with_secret(*b"12345678901234567890").build().expect("fine");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(totp.check(code, seconds), Some(seconds / 30), "{code}");
            assert_eq!(totp.check(code, seconds + 30), Some(seconds / 30), "a slow device");
            assert_eq!(totp.check(code, seconds - 30), Some(seconds / 30), "a fast one");
            assert_eq!(totp.check(code, seconds + 61), None);
        }
    }
}
