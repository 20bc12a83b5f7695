//! Three dialects, one core: what is made through one way is seen, changed and gone through every other.

use serde_json::{Value, json};

use crate::support::{Caller, MULTIPART, Server, application_body, multipart};

const SERVICES: &str = "/Thingworx/Subsystems/WorkflowSubsystem/Services";
const APPLICATIONS: &str = "/documents/api/1.2/config/clientApplications";

/// A way to look after profiles.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Profiles,
    Services,
    CommandLine,
}

const WAYS: [Way; 3] = [Way::Profiles, Way::Services, Way::CommandLine];

struct Registry<'a> {
    server: &'a Server,
    admin: Caller,
}

impl Registry<'_> {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.server.dir().path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn id(&self, name: &str) -> Option<i64> {
        let all = self.admin.get("/api/custom_oauth_profiles").await.expect(200);
        let found = all["result"].as_array().unwrap().iter().find(|profile| profile["name"] == name).cloned();
        found.map(|profile| profile["id"].as_i64().unwrap())
    }

    async fn service(&self, name: &str, body: Value) -> Value {
        let answer = self.admin.post(&format!("{SERVICES}/{name}"), &body).await;
        assert_eq!((answer.status, answer.header("grantry-outcome")), (200, "ok"), "{name}: {}", answer.text());
        answer.json()
    }

    /// Makes the profile, or gives it another client id.
    async fn put(&self, way: Way, name: &str, client_id: &str) {
        let secret = "PLANTED_secret_of_pairs";
        match way {
            Way::Profiles => {
                let data = json!({"client_id": client_id, "client_secret": secret});
                let body = json!({"name": name, "provider": "jira", "data": data});
                match self.id(name).await {
                    None => self.admin.post("/api/custom_oauth_profiles", &body).await.expect(200),
                    Some(id) => self.admin.put(&format!("/api/custom_oauth_profiles/{id}"), &body).await.expect(200),
                };
            }
            Way::Services => {
                let document = json!({"jira": {name: {"CLIENT_ID": client_id, "CLIENT_SECRET": secret}}});
                self.service("LoadOAuthConfiguration", json!({"oauthConfigurations": document})).await;
            }
            Way::CommandLine => {
                // Outside of the data folder, which is searched for planted secrets, and gone at once.
                let file = self.file("secret", secret);
                let id = self.id(name).await.map(|id| id.to_string());
                let mut args = vec!["profile"];
                match &id {
                    None => args.push("create"),
                    Some(id) => args.extend(["replace", id]),
                }
                args.extend(["--name", name, "--provider", "jira", "--client-id", client_id, "--secret-file", &file]);
                self.server.cli_ok(&args);
                std::fs::remove_file(file).unwrap();
            }
        }
    }

    /// The names and, where this way tells it, the client ids.
    async fn see(&self, way: Way) -> Vec<(String, Option<String>)> {
        let pair = |profile: &Value| {
            let id = profile["data"]["client_id"].as_str().map(str::to_owned);
            (profile["name"].as_str().unwrap().to_owned(), id)
        };
        match way {
            Way::Profiles => {
                let all = self.admin.get("/api/custom_oauth_profiles").await.expect(200);
                all["result"].as_array().unwrap().iter().map(pair).collect()
            }
            Way::Services => {
                let all = self.service("GetOAuthConfiguration", json!({})).await;
                let names = all["jira"].as_array().cloned().unwrap_or_default();
                names.iter().map(|name| (name.as_str().unwrap().to_owned(), None)).collect()
            }
            Way::CommandLine => {
                let all: Value = serde_json::from_str(&self.server.cli_ok(&["profile", "list", "--json"])).unwrap();
                all.as_array().unwrap().iter().map(pair).collect()
            }
        }
    }

    async fn remove(&self, way: Way, name: &str) {
        let id = self.id(name).await.unwrap();
        match way {
            Way::Profiles => drop(self.admin.delete(&format!("/api/custom_oauth_profiles/{id}")).await.expect(200)),
            Way::Services => {
                let body = json!({"Connector config name": "jira", "OAuth provider": name});
                self.service("DeleteOAuthConfiguration", body).await;
            }
            Way::CommandLine => drop(self.server.cli_ok(&["profile", "delete", &id.to_string()])),
        }
    }
}

#[tokio::test]
async fn a_profile_made_one_way_is_seen_changed_and_gone_every_other_way() {
    let server = Server::start().await;
    let registry = Registry { admin: server.admin(), server: &server };
    for one in WAYS {
        for other in WAYS.into_iter().filter(|other| *other != one) {
            registry.put(one, "P", "first").await;
            for way in WAYS {
                let seen = registry.see(way).await;
                assert_eq!(seen.len(), 1, "made by {one:?}, seen by {way:?}");
                assert!(seen[0].1.as_deref().is_none_or(|id| id == "first"), "{seen:?}");
            }
            registry.put(other, "P", "second").await;
            for way in WAYS {
                let seen = registry.see(way).await;
                assert!(seen.len() == 1 && seen[0].1.as_deref().is_none_or(|id| id == "second"), "{one:?} {other:?}");
            }
            let id = registry.id("P").await.unwrap();
            let verify = json!({"client_secret": "PLANTED_secret_of_pairs"});
            let path = format!("/api/custom_oauth_profiles/{id}/verify_secret");
            assert_eq!(registry.admin.post(&path, &verify).await.expect(200)["result"]["matches"], true);
            registry.remove(other, "P").await;
            for way in WAYS {
                assert_eq!(registry.see(way).await, [], "made by {one:?}, removed by {other:?}, seen by {way:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_made_in_one_dialect_holds_its_configuration_in_the_other() {
    let server = Server::start().await;
    let registry = Registry { admin: server.admin(), server: &server };
    registry.put(Way::Services, "JIRA", "id").await;
    let body = json!({"name": "Support desk", "provider": "jira", "owner": "alice"});
    let connection = registry.admin.post("/api/connections", &body).await.expect(200);
    let delete = json!({"connectorConfigName": "jira", "oauthProvider": "JIRA"});
    let refused = registry.admin.post(&format!("{SERVICES}/DeleteOAuthConfiguration"), &delete).await;
    assert_eq!((refused.status, refused.header("grantry-outcome")), (200, "error"));
    let said = refused.json()["rows"][0]["result"].as_str().unwrap().to_owned();
    assert!(said.contains("Support desk") && said.contains("alice"), "{said}");
    registry.admin.delete(&format!("/api/connections/{}", connection["id"])).await.expect(200);
    registry.remove(Way::Services, "JIRA").await;
}

#[tokio::test]
async fn a_client_application_made_one_way_is_seen_changed_and_gone_the_other() {
    let server = Server::start().await;
    let admin = server.admin();
    let config = json!({"id": "a", "name": "A", "actions": [
        {"id": "b", "name": "B", "evaluate": "true", "invoke": {"method": "GET", "url": "https://x.example/{id}"}}
    ]});
    let file = server.dir().path().join("client.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let ids = async || -> Vec<String> {
        let all = admin.get(APPLICATIONS).await.expect(200);
        all["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let by_command = || -> Value { serde_json::from_str(&server.cli_ok(&["application", "list", "--json"])).unwrap() };

    let body = application_body(r#"{"name":"one"}"#, config.to_string().as_bytes());
    let made = admin.send_text("POST", APPLICATIONS, MULTIPART, body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(by_command()[0]["id"], id);
    server.cli_ok(&["application", "update", id, "--disable"]);
    assert_eq!(admin.get(&format!("{APPLICATIONS}/{id}")).await.expect(200)["isEnabled"], "false");
    server.cli_ok(&["application", "delete", id]);
    assert_eq!(ids().await, Vec::<String>::new());

    server.cli_ok(&["application", "create", "two", file.to_str().unwrap()]);
    let id = ids().await.remove(0);
    assert_eq!(admin.get(&format!("{APPLICATIONS}/{id}/data")).await.body, config.to_string().as_bytes());
    let body = multipart(&[("metadata", None, br#"{"isEnabled":"false"}"#)]);
    admin.send_text("PUT", &format!("{APPLICATIONS}/{id}"), MULTIPART, body).await.expect(200);
    assert_eq!(by_command()[0]["enabled"], false);
    admin.delete(&format!("{APPLICATIONS}/{id}")).await.expect(200);
    assert_eq!(by_command(), json!([]));
}
