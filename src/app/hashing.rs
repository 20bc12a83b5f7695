//! Argon2id (RFC 9106) in a fixed set of workers.
//!
//! A hash costs some 30 ms and 19 MiB on purpose, so it happens only here: one worker a core, each with one block of
//! memory that it uses again while there is work and gives back when there is none; a bounded queue in front. When the
//! queue is full the answer is "come back", never a slower server.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, PasswordHash, Salt},
};
use subtle::ConstantTimeEq as _;
use tokio::sync::oneshot;

use crate::domain::{Error, Outage, Result, Secret};

/// How many jobs may wait: about half a second of work on two cores.
const QUEUE: usize = 32;
/// A worker without work for so long gives its block back.
const IDLE: Duration = Duration::from_secs(5);

/// A hash of a text that nobody knows, made with the parameters in force: what unknown names are verified against.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Z3JhbnRyeS1kdW1teS1zYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies.
pub struct Hasher {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Turns of work that comes in thousands: one for each worker, so that others find a place between.
    bulk: tokio::sync::Semaphore,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopped: bool,
}

struct Job {
    secret: Secret,
    /// The hash to compare with; `None`: make one.
    against: Option<String>,
    answer: oneshot::Sender<Result<Done>>,
}

struct Done {
    matches: bool,
    hash: Option<String>,
}

/// What came of a comparison.
#[derive(Debug)]
pub struct Verdict {
    /// Whether it is the secret.
    pub matches: bool,
    /// A hash with today's parameters, where the kept one was made with weaker ones.
    pub rehash: Option<String>,
}

impl Hasher {
    /// Starts so many workers.
    pub fn start(workers: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new() });
        let bulk = tokio::sync::Semaphore::new(workers);
        let workers = (0..workers)
            .map(|n| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("hash-{n}")).spawn(move || shared.work())
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, workers, bulk })
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The PHC string of a secret, with a new salt.
    pub async fn hash(&self, secret: &Secret) -> Result<String> {
        self.run(secret, None).await?.hash.ok_or_else(|| Error::internal("no hash"))
    }

    /// The same for work that comes in thousands: it waits for its turn, a few at a time, and a full queue is no failure.
    pub async fn hash_patiently(&self, secret: &Secret) -> Result<String> {
        let _turn = self.bulk.acquire().await.map_err(Error::internal)?;
        self.queue(secret, None, true).await?.hash.ok_or_else(|| Error::internal("no hash"))
    }

    /// Compares a secret with a kept hash. Where there is none (an unknown name), as much work is done for nothing.
    pub async fn verify(&self, secret: &Secret, kept: Option<&str>) -> Result<Verdict> {
        let done = self.run(secret, Some(kept.unwrap_or(DUMMY).to_owned())).await?;
        Ok(Verdict { matches: done.matches && kept.is_some(), rehash: done.hash.filter(|_| kept.is_some()) })
    }

    async fn run(&self, secret: &Secret, against: Option<String>) -> Result<Done> {
        self.queue(secret, against, false).await
    }

    async fn queue(&self, secret: &Secret, against: Option<String>, patient: bool) -> Result<Done> {
        if secret.expose().len() > Secret::MOST {
            return Ok(Done { matches: false, hash: None });
        }
        let (answer, done) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if !patient && queue.jobs.len() >= QUEUE {
                return Err(Error::unavailable(Outage::Hashing));
            }
            queue.jobs.push_back(Job { secret: secret.clone(), against, answer });
        }
        self.shared.filled.notify_one();
        done.await.map_err(|_| Error::unavailable(Outage::Stopping))?
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.filled.notify_all();
        for worker in self.workers.drain(..) {
            drop(worker.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut memory = Vec::new();
        let mut queue = self.lock();
        loop {
            if queue.stopped {
                return;
            }
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // A caller that went away needs no answer: a dropped login must not cost 30 ms.
                if !job.answer.is_closed() {
                    // A worker outlives what goes wrong in one job.
                    let done =
                        catch_unwind(AssertUnwindSafe(|| perform(&job.secret, job.against.as_deref(), &mut memory)));
                    drop(job.answer.send(done.unwrap_or_else(|_| Err(Error::internal("a panic while hashing")))));
                }
                queue = self.lock();
            } else if memory.is_empty() {
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            } else {
                let (again, waited) = self.filled.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
                queue = again;
                if waited.timed_out() && queue.jobs.is_empty() {
                    memory = Vec::new();
                }
            }
        }
    }
}

fn perform(secret: &Secret, against: Option<&str>, memory: &mut Vec<Block>) -> Result<Done> {
    let Some(kept) = against else {
        return Ok(Done { matches: false, hash: Some(make(secret, memory)?) });
    };
    let kept = PasswordHash::new(kept).map_err(Error::internal)?;
    let params = Params::try_from(&kept).map_err(Error::internal)?;
    let (Some(salt), Some(expected)) = (kept.salt, kept.hash) else {
        return Err(Error::internal("a kept hash lacks its salt or output"));
    };
    let output = compute(secret, &salt, &params, memory)?;
    let matches = bool::from(output.as_bytes().ct_eq(expected.as_bytes()));
    let today = Params::DEFAULT;
    let weaker = params.m_cost() < today.m_cost() || params.t_cost() < today.t_cost();
    let hash = if matches && weaker { Some(make(secret, memory)?) } else { None };
    Ok(Done { matches, hash })
}

fn make(secret: &Secret, memory: &mut Vec<Block>) -> Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(Error::internal)?;
    let salt = Salt::new(&salt).map_err(Error::internal)?;
    let hash = compute(secret, &salt, &Params::DEFAULT, memory)?;
    let params = argon2::password_hash::phc::ParamsString::try_from(&Params::DEFAULT).map_err(Error::internal)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params,
        salt: Some(salt),
        hash: Some(hash),
    };
    Ok(phc.to_string())
}

fn compute(secret: &Secret, salt: &Salt, params: &Params, memory: &mut Vec<Block>) -> Result<Output> {
    memory.resize(params.block_count().max(memory.len()), Block::new());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2
        .hash_password_into_with_memory(secret.expose().as_bytes(), salt, &mut output, &mut memory[..])
        .map_err(Error::internal)?;
    Output::new(&output).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_secret_and_no_other() {
        let mut memory = Vec::new();
        let hash = make(&Secret::new("PLANTED_one"), &mut memory).expect("hashes");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let check = |text: &str, memory: &mut Vec<Block>| {
            perform(&Secret::new(text), Some(&hash), memory).expect("verifies").matches
        };
        assert!(check("PLANTED_one", &mut memory));
        assert!(!check("PLANTED_two", &mut memory));
    }

    #[test]
    fn a_weaker_hash_is_made_anew_when_it_matches() {
        let mut memory = Vec::new();
        let weak = Params::new(8 * 1024, 1, 1, None).expect("fine parameters");
        let salt = Salt::new(b"sixteen bytes ok").expect("a salt");
        let output = compute(&Secret::new("PLANTED_weak"), &salt, &weak, &mut memory).expect("hashes");
        let kept = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(19),
            params: (&weak).try_into().expect("fine parameters"),
            salt: Some(salt),
            hash: Some(output),
        };
        let done = perform(&Secret::new("PLANTED_weak"), Some(&kept.to_string()), &mut memory).expect("verifies");
        assert!(done.matches);
        assert!(done.hash.expect("made anew").contains("m=19456,t=2"));
    }

    #[test]
    fn the_dummy_is_a_hash_of_todays_cost() {
        let done = perform(&Secret::new("anything"), Some(DUMMY), &mut Vec::new()).expect("a well-formed hash");
        assert!(!done.matches && DUMMY.contains("m=19456,t=2,p=1"));
    }
}
