//! Client applications: made by dropping a file, given scopes and secrets, disabled, deleted.

use serde_json::{Value, json};

use super::{
    assert_both_languages, assert_calm, assert_calm_but_gone, assert_fits,
    load::{drop_file, paste, see_faults},
    logged_in, open, settled,
};
use crate::support::{APPLICATION_FILE, Server, browser::Browser};

in_both_languages!(
    a_client_application_is_made_of_its_file_given_credentials_and_deleted,
    "client applications in the admin page"
);

async fn a_client_application_is_made_of_its_file_given_credentials_and_deleted(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    logged_in(&browser, &server).await;
    open(&browser, &server, "applications").await;
    browser.see("No client applications yet").await;
    open(&browser, &server, "applications/new").await;
    browser.fill("[name=name]", "CRM").await;
    drop_file(&browser, "broken.json", "{\n\"id\": \"\",\n\"name\": \"CRM\",\n\"actions\": [\n{\"id\": \"a\", \"name\": \"A\", \"evaluate\": \"true\"}]}").await;
    browser.click("main form button.main").await;
    let expected = [
        (2, "$.id", browser.either("Please fill this in.", "空にはできません")),
        (5, "$.actions[0].invoke", browser.either("Is required", "必須です")),
    ];
    see_faults(&browser, &expected).await;
    assert_fits(&browser).await;
    paste(&browser, "{\n\"id\": 1 2}").await;
    browser.click("main form button.main").await;
    see_faults(&browser, &[(2, "", "")]).await;

    // The file is kept byte for byte, its blanks included.
    let file = format!("  {APPLICATION_FILE}\n\n");
    drop_file(&browser, "crm.json", &file).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('h1').textContent === 'CRM' && document.querySelector('[data-issue]')").await;
    settled(&browser).await;
    let id = browser.run("return location.hash.split('/').at(-1)").await.as_str().unwrap().to_owned();
    let path = format!("/documents/api/1.2/config/clientApplications/{id}");
    let kept = admin.get(&format!("{path}/data")).await;
    assert_eq!(kept.text(), file);
    assert!(kept.header("content-disposition").contains("crm.json"), "{}", kept.header("content-disposition"));

    // It is seen as it is kept, and taken away as it is kept.
    browser.click("[data-show]").await;
    browser.until("document.querySelector('[data-file]')").await;
    assert_eq!(browser.run("return document.querySelector('[data-file]').textContent").await, file);
    browser.picture("application-file").await;
    assert_fits(&browser).await;
    let script = "return (async () => (await (await fetch(document.querySelector('[data-download]').href)).text()))()";
    assert_eq!(browser.run(script).await, file);

    // A name that is taken stands beside its field.
    open(&browser, &server, "applications/new").await;
    browser.fill("[name=name]", "CRM").await;
    paste(&browser, APPLICATION_FILE).await;
    browser.click("main form button.main").await;
    browser.reads("[data-fault=name]", "Somebody else has this name.").await;
    browser.run("document.querySelector('main form').clean()").await;

    open(&browser, &server, &format!("applications/{id}")).await;
    browser.click("[data-scopes]").await;
    browser.click("dialog input[value='connections:read']").await;
    browser.picture("application-scopes").await;
    assert_fits(&browser).await;
    browser.click("dialog button.main").await;
    browser.reads("main code.badge", "connections:read").await;
    let may = admin.get(&format!("/api/client_applications/{id}/scopes")).await.expect(200);
    assert_eq!(may["result"]["scopes"], json!(["connections:read"]));

    // The secret is shown once, works, and is revoked.
    browser.click("[data-issue]").await;
    browser.until("document.querySelectorAll('[data-secret]').length === 2").await;
    browser.picture("application-secret").await;
    assert_fits(&browser).await;
    let secret = browser.run("return document.querySelectorAll('[data-secret]')[1].textContent").await;
    let secret = secret.as_str().unwrap().to_owned();
    let token = || async {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        server.anybody().send_text("POST", "/oauth/token", "application/x-www-form-urlencoded", form).await
    };
    assert_eq!(token().await.status, 200);
    browser.click("[data-close]").await;
    browser.until("document.querySelector('dialog') === null && document.querySelector('[data-revoke]')").await;
    assert!(!browser.run("return document.documentElement.outerHTML").await.as_str().unwrap().contains(&secret));

    // Disabled, it gets no token; that is asked first.
    browser.click("[data-enable]").await;
    browser.click("[data-confirm]").await;
    browser.reads("[data-enable]", "Enable").await;
    assert_eq!(token().await.status, 401);
    browser.click("[data-enable]").await;
    browser.reads("[data-enable]", "Disable").await;
    assert_eq!(token().await.status, 200);
    assert_both_languages(
        &browser,
        &server,
        &[
            ("applications", "Client applications", "クライアントアプリケーション"),
            ("applications/new", "New client application", "クライアントアプリケーションを追加"),
            (&format!("applications/{id}"), "CRM", "CRM"),
            (&format!("applications/{id}/file"), "Replace the file", "ファイルを置き換え"),
        ],
    )
    .await;

    open(&browser, &server, &format!("applications/{id}/file")).await;
    let other = APPLICATION_FILE.replace("Open", "Show");
    drop_file(&browser, "other.json", &other).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-issue]')").await;
    assert_eq!(admin.get(&format!("{path}/data")).await.text(), other);
    browser.click("[data-show]").await;
    browser.until("document.querySelector('[data-file]')?.textContent.includes('Show')").await;
    // Of a large one the beginning, and that is said.
    let large = format!("{other}{}", " ".repeat(150_000));
    let body = crate::support::application_body("{}", large.as_bytes());
    admin.send_text("PUT", &path, crate::support::MULTIPART, body).await.expect(200);
    open(&browser, &server, "applications").await;
    open(&browser, &server, &format!("applications/{id}")).await;
    browser.click("[data-show]").await;
    browser.see("This is its beginning").await;
    assert_eq!(browser.run("return document.querySelector('[data-file]').textContent.length").await, 100_000);
    browser.click("[data-revoke]").await;
    browser.see("Programs that log in with it get no tokens any more.").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('[data-revoke]') === null").await;
    assert_eq!(token().await.status, 401);
    browser.click("[data-issue]").await;
    browser.click("[data-close]").await;
    browser.until("document.querySelector('[data-revoke]')").await;
    assert_calm(&browser, &server, &["status of 400", "status of 400", "status of 409"]).await;
    browser.click("[data-delete]").await;
    browser.see("1 secret is gone with it").await;
    browser.click("[data-confirm]").await;
    browser.until("location.hash === '#/applications'").await;
    browser.see("No client applications yet").await;
    assert_eq!(browser.run("return document.querySelector('dialog')").await, Value::Null);
    assert_calm_but_gone(&browser, &format!("/api/client_applications/{id}")).await;
}
