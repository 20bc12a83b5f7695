//! `grantry user`.

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Context, Failed, client::Client};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the users.
    List,
    /// Make a user.
    Create {
        /// What the user logs in with; unique without regard to case.
        #[arg(long)]
        name: String,
        /// Where to write to.
        #[arg(long)]
        email: String,
        /// What the user may do: admin, operator or viewer.
        #[arg(long)]
        role: String,
        #[command(flatten)]
        password: Password,
    },
    /// Give a user another role.
    SetRole {
        /// The user's id.
        id: i64,
        /// admin, operator or viewer.
        role: String,
    },
    /// Give a user another password. It ends the user's sessions.
    SetPassword {
        /// The user's id.
        id: i64,
        #[command(flatten)]
        password: Password,
    },
    /// Tell whether a user has a second factor, or take it away: for the day on which the device is lost. That ends the
    /// user's sessions. Or make new recovery codes for it.
    SecondFactor {
        /// The user's name, without regard to case.
        name: String,
        /// Take it away, with its recovery codes.
        #[arg(long)]
        remove: bool,
        /// Make new recovery codes and print them, this once; those there were are good for nothing from then on. It ends no
        /// session.
        #[arg(long, conflicts_with = "remove")]
        new_recovery_codes: bool,
    },
    /// Remove a user, with sessions and API tokens. The last administrator stays.
    Delete {
        /// The user's id.
        id: i64,
    },
}

/// Where a password comes from. Never the command line: that is for everybody on the machine to read.
#[derive(Debug, clap::Args)]
pub(super) struct Password {
    /// A file whose first line is the password (/dev/stdin: what is piped in). Without it, the terminal asks.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Password {
    fn read(&self) -> Result<Zeroizing<String>, Failed> {
        match &self.password_file {
            Some(path) => first_line(path),
            None if std::io::stdin().is_terminal() => ask(),
            None => Err(Failed::new("there is no terminal to ask for the password: give --password-file FILE")),
        }
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, Failed> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| Failed::new(format_args!("{}: {error}", path.display())))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Asks twice: nobody sees what is typed.
fn ask() -> Result<Zeroizing<String>, Failed> {
    let first = Zeroizing::new(rpassword::prompt_password("Password: ")?);
    let second = Zeroizing::new(rpassword::prompt_password("The same again: ")?);
    if first == second { Ok(first) } else { Err(Failed::new("the two passwords differ")) }
}

pub(super) async fn run(context: &Context, client: &Client, command: Command) -> Result<(), Failed> {
    let update = async |id: i64, body: Value| client.send_json("PUT", &format!("/api/users/{id}"), &body).await;
    match command {
        Command::List => {
            let answer = client.get("/api/users").await?;
            context.out.list(
                answer["result"].as_array().map_or(&[], Vec::as_slice),
                &[
                    ("id", "/id"),
                    ("name", "/name"),
                    ("email", "/email"),
                    ("role", "/role"),
                    ("second factor", "/second_factor"),
                    ("made", "/created_at"),
                ],
            );
        }
        Command::Create { name, email, role, password } => {
            let body = json!({"name": name, "email": email, "role": role, "password": password.read()?.as_str()});
            let answer = client.send_json("POST", "/api/users", &body).await?;
            let user = &answer["result"];
            context.out.done(user, &format!("user {} ({name}) is made", user["id"]));
        }
        Command::SetRole { id, role } => {
            let answer = update(id, json!({"role": role})).await?;
            context.out.done(&answer["result"], &format!("user {id} is {role} now"));
        }
        Command::SetPassword { id, password } => {
            let answer = update(id, json!({"password": password.read()?.as_str()})).await?;
            context.out.done(&answer["result"], &format!("user {id} has a new password; the sessions are ended"));
        }
        Command::SecondFactor { name, remove, new_recovery_codes } => {
            let users = client.get("/api/users").await?;
            let wanted = name.to_lowercase();
            let called = |user: &&Value| user["name"].as_str().is_some_and(|name| name.to_lowercase() == wanted);
            let user = users["result"].as_array().into_iter().flatten().find(called);
            let user = user.ok_or_else(|| Failed::new(format_args!("there is no user {name}")))?;
            let on = user["second_factor"] == true;
            let lacks = |error| if on { error } else { Failed::new(format_args!("{name} has no second factor")) };
            if new_recovery_codes {
                let path = format!("/api/users/{}/second_factor/recovery_codes", user["id"]);
                let answer = client.send(client.request("POST", &path)?).await.map_err(lacks)?;
                let codes = answer["result"]["recovery_codes"].as_array().into_iter().flatten();
                let codes: Vec<&str> = codes.filter_map(Value::as_str).collect();
                if context.out.json {
                    context.out.value(&answer["result"]);
                } else {
                    for code in codes {
                        context.out.line(code);
                    }
                }
            } else if remove {
                let answer = client.delete(&format!("/api/users/{}/second_factor", user["id"])).await;
                let answer = answer.map_err(lacks)?;
                context
                    .out
                    .done(&answer["result"], &format!("{name} has no second factor now; the sessions are ended"));
            } else {
                let sentence = format!("{name} has {} second factor", if on { "a" } else { "no" });
                context.out.done(&json!({"id": user["id"], "second_factor": on}), &sentence);
            }
        }
        Command::Delete { id } => {
            let answer = client.delete(&format!("/api/users/{id}")).await?;
            context.out.done(&answer["result"], &format!("user {id} is removed"));
        }
    }
    Ok(())
}
