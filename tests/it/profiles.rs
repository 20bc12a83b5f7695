//! Dialect 1: custom OAuth profiles.

use serde_json::json;

use crate::support::{Server, profile_body};

#[tokio::test]
async fn a_profile_is_made_seen_replaced_and_removed() {
    let server = Server::start().await;
    let admin = server.admin();
    let made = admin.post("/api/custom_oauth_profiles", &profile_body("Acme HubSpot", "hubspot")).await.expect(200);
    let id = made["result"]["id"].as_i64().unwrap();
    let keys: Vec<&String> = made["result"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["id", "user_id", "name", "provider", "data", "shared_accounts_count", "oem_customers_count", "created_at", "updated_at"]
    );
    let path = format!("/api/custom_oauth_profiles/{id}");
    assert_eq!(admin.get(&path).await.expect(200), made);
    assert_eq!(admin.get("/api/custom_oauth_profiles").await.expect(200), json!({"result": [made["result"]]}));
    let changed = admin.put(&path, &profile_body("Acme HubSpot 2", "hubspot")).await.expect(200);
    assert_eq!(changed["result"]["name"], "Acme HubSpot 2");
    assert_eq!(admin.delete(&path).await.expect(200), json!({"result": {"success": true}}));
    assert_eq!(admin.delete(&path).await.expect(404), json!({"message": "Not found"}));
}
