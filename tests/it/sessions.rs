//! One's own sessions, and one's own password.

use serde_json::{Value, json};

use crate::support::{Caller, Server};

const PASSWORD: &str = "PLANTED correct horse battery";
const OTHER: &str = "PLANTED another long password";

async fn make_user(server: &Server, name: &str) {
    let draft = json!({"name": name, "email": "a@example.com", "role": "viewer", "password": PASSWORD});
    server.admin().post("/api/users", &draft).await.expect(200);
}

/// The page of a new session, and what its cookie shows.
async fn log_in(server: &Server, name: &str, password: &str) -> (Caller, String) {
    let answer = server.anybody().post("/session", &json!({"name": name, "password": password})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    (server.anybody().header("cookie", &cookie).header("sec-fetch-site", "same-origin"), cookie)
}

async fn sessions(page: &Caller) -> Vec<Value> {
    page.get("/api/sessions").await.expect(200)["result"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_user_sees_the_own_sessions_and_ends_them_and_nobody_elses() {
    let server = Server::start().await;
    make_user(&server, "ann").await;
    make_user(&server, "bob").await;
    let (one, cookie) = log_in(&server, "ann", PASSWORD).await;
    let (two, _) = log_in(&server, "ann", PASSWORD).await;
    let (bobs, _) = log_in(&server, "bob", PASSWORD).await;
    let seen = sessions(&one).await;
    assert_eq!(seen.len(), 2);
    let current: Vec<&Value> = seen.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1);
    for session in &seen {
        assert_eq!(session["address"], "127.0.0.1");
        assert!(session["created_at"].is_string() && session["last_seen_at"].is_string());
        let id = session["id"].as_str().unwrap();
        assert!(id.len() == 16 && !cookie.contains(id), "{id}");
    }
    let other = seen.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    bobs.delete(&format!("/api/sessions/{other}")).await.expect(404);
    for odd in ["0", "%00", "'", &other.to_uppercase(), &"a".repeat(1000)] {
        one.delete(&format!("/api/sessions/{odd}")).await.expect(404);
    }
    two.get("/session").await.expect(200);
    one.delete(&format!("/api/sessions/{other}")).await.expect(200);
    two.get("/session").await.expect(401);
    one.delete(&format!("/api/sessions/{other}")).await.expect(404);
    assert_eq!(sessions(&one).await.len(), 1);
    // A page of another site ends nothing.
    let foreign = server.anybody().header("cookie", &cookie).header("sec-fetch-site", "cross-site");
    foreign.delete("/api/sessions").await.expect(403);

    let (three, _) = log_in(&server, "ann", PASSWORD).await;
    one.delete("/api/sessions?except=others").await.expect(400);
    assert_eq!(one.delete("/api/sessions?except=current").await.expect(200)["result"], json!({"ended": 1}));
    three.get("/session").await.expect(401);
    let (four, _) = log_in(&server, "ann", PASSWORD).await;
    assert_eq!(one.delete("/api/sessions").await.expect(200)["result"], json!({"ended": 2}));
    for ended in [one, four] {
        ended.get("/session").await.expect(401);
    }
    bobs.get("/session").await.expect(200);
    // A token has no sessions and is nobody in person.
    for answer in [server.admin().get("/api/sessions").await, server.admin().delete("/api/sessions").await] {
        assert!(answer.expect(403)["message"].as_str().unwrap().contains("in person"));
    }
}

#[tokio::test]
async fn the_own_password_is_changed_with_the_old_one_and_ends_the_other_sessions() {
    const PATH: &str = "/api/users/me/password";
    let server = Server::start().await;
    make_user(&server, "ann").await;
    let (own, _) = log_in(&server, "ann", PASSWORD).await;
    let (other, _) = log_in(&server, "ann", PASSWORD).await;
    let change = |old: &str, new: &str| json!({"old_password": old, "password": new});
    let wrong = own.put(PATH, &change("PLANTED wrong", OTHER)).await.expect(400);
    assert_eq!(wrong["errors"], json!({"old_password": ["is not right"]}));
    let short = own.put(PATH, &change(PASSWORD, "short")).await.expect(400);
    assert!(short["errors"]["password"][0].as_str().unwrap().contains("too short"));
    own.put(PATH, &json!({"password": OTHER})).await.expect(400);
    own.put(PATH, &json!({"old_password": PASSWORD, "password": OTHER, "role": "admin"})).await.expect(400);
    other.get("/session").await.expect(200);
    own.put(PATH, &change(PASSWORD, OTHER)).await.expect(200);
    own.get("/session").await.expect(200);
    other.get("/session").await.expect(401);
    server.anybody().post("/session", &json!({"name": "ann", "password": PASSWORD})).await.expect(401);
    log_in(&server, "ann", OTHER).await;
    server.admin().put(PATH, &change(OTHER, PASSWORD)).await.expect(403);
    // A session that was found open is no way to guess at the password.
    let mut last = 0;
    for _ in 0..8 {
        last = own.put(PATH, &change("PLANTED wrong", PASSWORD)).await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn of_two_changes_of_a_password_at_once_one_is_made() {
    let server = Server::start().await;
    make_user(&server, "ann").await;
    let (own, _) = log_in(&server, "ann", PASSWORD).await;
    let change = async |new: &str| {
        own.put("/api/users/me/password", &json!({"old_password": PASSWORD, "password": new})).await.status
    };
    let mut statuses = <[u16; 2]>::from(tokio::join!(change(OTHER), change("PLANTED a third long password")));
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}
