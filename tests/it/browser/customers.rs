//! Customers: made, changed, given profiles, deleted.

use serde_json::{Value, json};

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open};
use crate::support::{Server, browser::Browser, profile_body};

in_both_languages!(a_customer_is_made_found_changed_given_a_profile_and_deleted, "customers in the admin page");

async fn a_customer_is_made_found_changed_given_a_profile_and_deleted(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    admin.post("/api/custom_oauth_profiles", &profile_body("Acme", "hubspot")).await.expect(200);
    admin.post("/api/custom_oauth_profiles", &profile_body("Other", "hubspot")).await.expect(200);
    logged_in(&browser, &server).await;
    open(&browser, &server, "customers").await;
    browser.see("No customers yet").await;
    browser.picture("customers-empty").await;

    browser.click(".head [data-new]").await;
    browser.fill("dialog [name=name]", "<img src=x onerror=alert(1)> \u{202e}🜁").await;
    browser.fill("dialog [name=email]", "nowhere").await;
    browser.click("dialog button.main").await;
    browser.reads("[data-fault=email]", "This is no e-mail address.").await;
    assert_fits(&browser).await;
    browser.fill("dialog [name=email]", "it@globex.example").await;
    browser.fill("dialog [name=external]", "G-1").await;
    browser.click("dialog button.main").await;
    browser.until("location.hash === '#/customers/1'").await;
    browser.until("document.querySelector('h1').textContent === '<img src=x onerror=alert(1)> \\\\u{202e}🜁'").await;

    browser.click("[data-edit]").await;
    // Somebody else is faster: nothing is overwritten unseen.
    admin.put("/api/managed_users/1", &json!({"name": "Globex"})).await.expect(200);
    browser.fill("dialog [name=name]", "Mine").await;
    browser.click("dialog button.main").await;
    browser.see("another user changed this customer").await;
    browser.click("dialog .actions button[type=button]").await;
    browser.reads("h1", "Globex").await;

    browser.click("[data-assign]").await;
    browser.choose("dialog select", "1").await;
    browser.picture("customer-assign").await;
    assert_fits(&browser).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('[data-unassign]')").await;
    // Of one provider there is one profile; the fault stands in the dialog.
    browser.click("[data-assign]").await;
    browser.choose("dialog select", "2").await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog form .alert').textContent !== ''").await;
    browser.click("dialog .actions button[type=button]").await;

    // What depends on it is named, and stands in the way.
    let made = admin
        .post(
            "/api/managed_users/1/connections",
            &json!({"name": "Theirs", "provider": "hubspot", "parent_id": null, "custom_oauth_profile_id": 1}),
        )
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    browser.see("Theirs").await;
    browser.click("[data-delete]").await;
    browser.see("1 connection uses it").await;
    browser.picture("customer-delete").await;
    assert_eq!(browser.run("return document.querySelector('[data-confirm]')").await, Value::Null);
    browser.click("dialog [autofocus]").await;
    // Taking the profile away although it is in use is asked for by saying so.
    browser.click("[data-unassign]").await;
    browser.see("1 connection uses it").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('[data-unassign]') === null").await;
    let all = admin.get("/api/connections").await.expect(200);
    let id = all["result"].as_array().unwrap_or_else(|| all.as_array().unwrap())[0]["id"].clone();
    admin.delete(&format!("/api/connections/{id}")).await.expect(200);
    browser.see("No connections yet").await;
    browser.click("[data-delete]").await;
    browser.click("[data-confirm]").await;
    browser.until("location.hash === '#/customers'").await;
    browser.see("Deleted.").await;

    for n in 0..60 {
        let body = json!({"name": format!("Customer {n:02}"), "notification_email": "it@example.com"});
        admin.post("/api/managed_users", &body).await.expect(200);
    }
    // The profiles of one come page by page, each page with its address.
    let providers = admin.get("/api/providers").await.expect(200)["result"].clone();
    for slug in providers.as_array().unwrap().iter().take(25).map(|one| one["slug"].as_str().unwrap()) {
        let name = format!("For {slug}");
        let made =
            admin.post("/api/custom_oauth_profiles", &profile_body(&name, slug)).await.expect(200)["result"].clone();
        let path = format!("/api/managed_users/2/custom_oauth_profiles/{}/assign", made["id"]);
        admin.send(admin.request("POST", &path)).await.expect(200);
    }
    open(&browser, &server, "customers/2").await;
    browser.until("document.querySelectorAll('[data-unassign]').length === 20").await;
    browser.see("25 entries in all").await;
    browser.picture("customer-profiles").await;
    assert_fits(&browser).await;
    browser.click("[data-next]").await;
    browser
        .until("document.querySelectorAll('[data-unassign]').length === 5 && location.hash === '#/customers/2?page=2'")
        .await;
    browser.back().await;
    browser.until("document.querySelectorAll('[data-unassign]').length === 20").await;
    open(&browser, &server, "customers/2?page=9").await;
    browser.see("nothing on this page any more").await;
    browser.click("[data-previous]").await;
    browser.until("document.querySelectorAll('[data-unassign]').length === 20").await;

    open(&browser, &server, "customers").await;
    browser.click("[data-next]").await;
    browser.until("document.querySelectorAll('tbody tr').length === 10").await;
    browser.fill("[type=search]", "omer 07").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1 && location.hash.includes('q=omer+07')").await;
    assert_both_languages(
        &browser,
        &server,
        &[("customers", "Customers", "顧客"), ("customers/2", "Customer 00", "Customer 00")],
    )
    .await;
    assert_calm(&browser, &server, &["status of 400", "status of 412", "status of 400"]).await;
}
