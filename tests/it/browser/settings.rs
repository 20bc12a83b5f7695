//! Backups, the look at everything, keys, and what is configured.

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open, settled};
use crate::support::{Server, browser::Browser, practice::Practice};

in_both_languages!(
    a_backup_is_taken_verified_and_deleted_keys_are_changed_and_settings_tell_where_they_come_from,
    "settings in the admin page"
);

async fn a_backup_is_taken_verified_and_deleted_keys_are_changed_and_settings_tell_where_they_come_from(
    browser: Browser,
) {
    let server = Server::with(&["--max-upload", "2048"]).await;
    // A provider on this machine: whoever looks at everything asks its endpoints too.
    let practice = Practice::with(grantry::simulator::Options::default());
    practice.introduce(&server.admin()).await;
    logged_in(&browser, &server).await;
    open(&browser, &server, "settings").await;
    browser.see(&format!("{}/oauth/callback", server.url)).await;
    // What somebody has set stands first, with what it would be else.
    let source = browser.either("flag", "フラグ");
    browser.until(&format!("[...document.querySelectorAll('tbody tr')].some((row) => ['max-upload', '2048', '{source}', '10485760'].every((part) => row.innerText.includes(part)))")).await;
    browser.see("There is no backup yet").await;
    browser.click("[data-create]").await;
    browser.until("document.querySelector('[data-verify]')").await;
    browser.click("[data-verify]").await;
    browser.until("document.querySelector('[data-fit=true]')").await;
    let download = "return (async () => (await fetch(document.querySelector('a[download$=\".tar\"]').href)).headers.get('content-type'))()";
    assert_eq!(browser.run(download).await, "application/x-tar");
    browser.click("[data-doctor]").await;
    browser.until("document.querySelector('[data-worst]')").await;
    browser.see("Structure of the database").await;
    browser.click("[data-verify-keys]").await;
    browser.until("document.querySelector('[data-keys-verified].note')").await;
    browser.picture("settings-examined").await;
    assert_fits(&browser).await;

    // A new key; the old one seals nothing any more, but the backup needs it, and that is said.
    browser.click("[data-rotate]").await;
    browser.see("A new key encrypts everything").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('[data-forget]')").await;
    browser.click("[data-forget]").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('dialog .alert').textContent !== ''").await;
    browser.picture("key-in-use").await;
    browser.click("dialog [autofocus]").await;

    browser.click("button[data-delete]").await;
    browser.see("This backup cannot be brought back.").await;
    browser.click("[data-confirm]").await;

    browser.until("document.querySelectorAll('button[data-delete]').length === 0").await;
    browser.click("[data-forget]").await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelector('[data-forget]') === null").await;
    settled(&browser).await;
    assert_both_languages(&browser, &server, &[("settings", "Settings", "設定")]).await;
    assert_calm(&browser, &server, &["status of 400"]).await;
}
