//! Users, one's own account and the audit trail.

use serde_json::{Value, json};

use super::{PASSWORD, assert_both_languages, assert_calm, assert_calm_but, assert_fits, logged_in, open, settled};
use crate::support::{Server, browser::Browser, qr};

in_both_languages!(users_are_made_given_another_role_and_password_and_deleted, "users in the admin page");

async fn users_are_made_given_another_role_and_password_and_deleted(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    logged_in(&browser, &server).await;
    open(&browser, &server, "users").await;
    browser.click(".head [data-new]").await;
    browser.fill("dialog [name=name]", "bob").await;
    browser.fill("dialog [name=email]", "bob@example.com").await;
    browser.fill("dialog [name=password]", "short").await;
    browser.click("dialog button.main").await;
    browser.reads("[data-fault=password]", "At least 12 characters, please.").await;
    browser.picture("user-new").await;
    assert_fits(&browser).await;
    browser.fill("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    // Nobody locks oneself out by accident: one's own things are in one's own account.
    assert_eq!(browser.run("return document.querySelector('[data-delete=\"1\"]')").await, Value::Null);
    browser.click("[data-role='2']").await;
    browser.click("dialog input[value=viewer]").await;
    browser.click("dialog button.main").await;
    browser.shows("tbody tr:nth-child(2)", "Viewer").await;
    browser.click("[data-password='2']").await;
    browser.see("All sessions of this user end.").await;
    browser.fill("dialog [name=password]", "PLANTED another long one").await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog') === null").await;
    let log_in = json!({"name": "bob", "password": "PLANTED another long one"});
    assert_eq!(server.anybody().post("/session", &log_in).await.status, 200);
    browser.click("[data-link]").await;
    browser.until("document.querySelector('[data-secret]')?.textContent.includes('/#/setup/')").await;
    browser.picture("setup-link").await;
    assert_fits(&browser).await;
    browser.click("[data-close]").await;
    browser.click("[data-delete='2']").await;
    browser.see(browser.either("Delete: bob", "削除: bob")).await;
    browser.click("[data-confirm]").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    assert_eq!(admin.get("/api/users").await.expect(200)["result"].as_array().unwrap().len(), 1);
    assert_both_languages(&browser, &server, &[("users", "Users", "ユーザー")]).await;
    assert_calm(&browser, &server, &["status of 400"]).await;
}

/// The code of now (RFC 6238), worked out in the page, whose clock is the server's.
async fn code(browser: &Browser, secret: &str, steps_ahead: u32) -> String {
    let script = format!(
        "return (async () => {{
            const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
            const bits = [...{}].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
            const key = new Uint8Array(bits.match(/.{{8}}/g).map((byte) => parseInt(byte, 2)));
            const counter = new DataView(new ArrayBuffer(8));
            counter.setBigUint64(0, BigInt(Math.floor(Date.now() / 30000) + {steps_ahead}));
            const hmac = await crypto.subtle.importKey('raw', key, {{name: 'HMAC', hash: 'SHA-1'}}, false, ['sign']);
            const mac = new DataView(await crypto.subtle.sign('HMAC', hmac, counter.buffer));
            const number = mac.getUint32(mac.getUint8(19) & 15) & 0x7fffffff;
            return String(number % 1000000).padStart(6, '0');
        }})()",
        json!(secret)
    );
    browser.run(&script).await.as_str().unwrap().to_owned()
}

in_both_languages!(
    a_second_factor_is_set_up_asked_for_and_removed_and_other_sessions_end,
    "one's own account in the admin page"
);

async fn a_second_factor_is_set_up_asked_for_and_removed_and_other_sessions_end(browser: Browser) {
    let server = Server::start().await;
    logged_in(&browser, &server).await;
    // Somebody is logged in elsewhere, too.
    let log_in = json!({"name": "ann", "password": PASSWORD});
    assert_eq!(server.anybody().post("/session", &log_in).await.status, 200);
    open(&browser, &server, "account").await;
    browser.until("document.querySelectorAll('[data-end]').length === 1").await;
    browser.picture("account").await;
    browser.click("[data-end-others]").await;
    browser.until("document.querySelectorAll('[data-end]').length === 0").await;

    browser.click("[data-factor-on]").await;
    browser.until("document.querySelector('dialog .qr path')").await;
    browser.click("dialog summary").await;
    browser.picture("second-factor").await;
    assert_fits(&browser).await;
    let secret = browser.run("return document.querySelector('dialog .copyable code').textContent").await;
    let secret = secret.as_str().unwrap().to_owned();
    // What is drawn is what stands beside it.
    let drawn = browser
        .run(
            "const svg = document.querySelector('dialog .qr svg'); return [svg.viewBox.baseVal.width, \
             svg.querySelector('path').getAttribute('d'), document.querySelectorAll('dialog .copyable code')[1].textContent]",
        )
        .await;
    let size = drawn[0].as_u64().unwrap().try_into().unwrap();
    assert_eq!(qr::read(size, drawn[1].as_str().unwrap()), drawn[2].as_str().unwrap());
    browser.fill("dialog [name=code]", "000000").await;
    browser.click("dialog button.main").await;
    browser.reads("dialog [data-fault=code]", "This is not right.").await;
    let now = code(&browser, &secret, 0).await;
    browser.fill("dialog [name=code]", &now).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog [data-secret]')").await;
    browser.see("Your recovery codes").await;
    browser.picture("recovery-codes").await;
    assert_fits(&browser).await;
    let codes = browser.run("return document.querySelector('[data-secret]').textContent.split('\\n')").await;
    browser.click("[data-close]").await;
    browser.until("document.querySelector('[data-factor-off]')").await;
    settled(&browser).await;

    // The next log-in asks for a code; a recovery code is one.
    browser.click("[data-logout]").await;
    browser.fill("[name=name]", "ann").await;
    browser.fill("[name=password]", PASSWORD).await;
    browser.click("main form button[type=submit]").await;
    browser.until("document.querySelector('[data-field=code]:not([hidden])')").await;
    browser.fill("[name=code]", codes[0].as_str().unwrap()).await;
    browser.click("main form button[type=submit]").await;
    browser.until("document.querySelector('[data-logout]')").await;
    open(&browser, &server, "users").await;
    browser.reads("tbody .badge.good", "on").await;

    // New recovery codes in the place of those.
    open(&browser, &server, "account").await;
    browser.click("[data-codes]").await;
    browser.fill("dialog [name=password]", "PLANTED wrong").await;
    browser.click("dialog button.main").await;
    browser.reads("dialog [data-fault=password]", "This is not right.").await;
    browser.fill("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('dialog [data-secret]')").await;
    browser.see("Your recovery codes").await;
    let renewed = browser.run("return document.querySelector('[data-secret]').textContent.split('\\n')").await;
    assert!(renewed.as_array().unwrap().len() == 8 && renewed[1] != codes[1]);
    browser.click("[data-close]").await;

    browser.click("[data-factor-off]").await;
    browser.fill("dialog [name=password]", "PLANTED wrong").await;
    browser.click("dialog button.main").await;
    browser.reads("dialog [data-fault=password]", "This is not right.").await;
    browser.fill("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button.main").await;
    browser.until("document.querySelector('[data-factor-on]')").await;

    browser.fill("main [name=old]", "PLANTED wrong").await;
    browser.fill("main [name=password]", "PLANTED quite another one").await;
    browser.click("main form button.main").await;
    browser.reads("main [data-fault=old]", "This is not right.").await;
    browser.fill("main [name=old]", PASSWORD).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('main [name=old]').value === ''").await;
    assert_eq!(server.anybody().post("/session", &log_in).await.status, 401);
    assert_both_languages(&browser, &server, &[("account", "Your account", "自分のアカウント")]).await;
    // Whoever logs out may have asked for something at just that moment.
    assert_calm_but(&browser, &server, "Failed to load resource").await;
}

in_both_languages!(the_trail_is_filtered_paged_and_taken_away, "the audit trail in the admin page");

async fn the_trail_is_filtered_paged_and_taken_away(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    for n in 0..60 {
        let body = json!({"name": format!("=Customer <b>{n:02}</b>"), "notification_email": "it@example.com"});
        admin.post("/api/managed_users", &body).await.expect(200);
    }
    admin.delete("/api/managed_users/60").await.expect(200);
    logged_in(&browser, &server).await;
    open(&browser, &server, "audit").await;
    browser.until("document.querySelectorAll('tbody tr').length === 50").await;
    browser.picture("audit").await;
    browser.click("[data-next]").await;
    browser
        .until("document.querySelectorAll('tbody tr').length > 5 && document.querySelectorAll('tbody tr').length < 50")
        .await;
    browser.back().await;
    browser.until("document.querySelectorAll('tbody tr').length === 50").await;
    let deed = browser.either("select[aria-label=Deed]", "select[aria-label=操作]");
    browser.choose(deed, "deleted").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1 && location.hash.includes('deed=deleted')").await;
    browser.see(browser.either("Customer 60", "顧客 60")).await;
    // What is taken away is what is seen.
    for (format, lines) in [("csv", 2), ("jsonl", 1)] {
        let script = format!(
            "return (async () => (await (await fetch(document.querySelector('[data-export={format}]').href)).text()).trim().split('\\n').length)()"
        );
        assert_eq!(browser.run(&script).await, lines, "{format}");
    }
    // All of one thing, of one actor, of one day: each has an address.
    browser.click("tbody td a").await;
    browser.until("location.hash.startsWith('#/audit?actor=')").await;
    open(&browser, &server, "audit?noun=customer&noun_id=60").await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    browser.click(".filters a.chip").await;
    browser.until("document.querySelectorAll('tbody tr').length === 50").await;
    // Who guesses at a password is seen, with the one who was meant; a name that was made up is not.
    for name in ["ann", "ann", "PLANTED no name"] {
        let body = json!({"name": name, "password": "PLANTED wrong"});
        assert_eq!(server.anybody().post("/session", &body).await.status, 401);
    }
    open(&browser, &server, "audit").await;
    browser.choose(deed, "password_refused").await;
    browser
        .until("document.querySelectorAll('tbody tr').length > 0 && location.hash.includes('deed=password_refused')")
        .await;
    browser.see("Password refused").await;
    browser.until("document.querySelector('tbody').innerText.includes('nobody')").await;
    open(&browser, &server, "audit?until=2000-01-01").await;
    browser.see("Nothing fits").await;
    assert_both_languages(&browser, &server, &[("audit", "Audit", "監査ログ")]).await;
    assert_calm(&browser, &server, &[]).await;
}
