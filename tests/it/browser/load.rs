//! Loading a document: faults at their lines, a preview, and then the load.

use serde_json::{Value, json};

use super::{assert_both_languages, assert_calm, assert_fits, logged_in, open, settled};
use crate::support::{Server, browser::Browser};

/// Puts a text into the document, as somebody who pastes does.
pub async fn paste(browser: &Browser, text: &str) {
    browser
        .run(&format!(
            "const area = document.querySelector('.document textarea');
            area.value = {};
            area.dispatchEvent(new Event('input', {{bubbles: true}}))",
            json!(text)
        ))
        .await;
}

/// Lets a file of this text fall onto the document.
pub async fn drop_file(browser: &Browser, name: &str, text: &str) {
    browser
        .run(&format!(
            "const data = new DataTransfer();
            data.items.add(new File([{}], {}, {{type: 'application/json'}}));
            document.querySelector('.document').dispatchEvent(new DragEvent('drop', {{bubbles: true, cancelable: true, dataTransfer: data}}))",
            json!(text),
            json!(name)
        ))
        .await;
    browser.until(&format!("document.querySelector('.document .faint').textContent.includes({})", json!(name))).await;
}

/// Waits until the page shows these faults and no others: the line, the place, and what is wrong there.
pub async fn see_faults(browser: &Browser, faults: &[(u32, &str, &str)]) {
    browser.until(&format!("document.querySelectorAll('.faults li').length === {}", faults.len())).await;
    for (at, (line, place, fault)) in (1..).zip(faults) {
        let one = format!(".faults li:nth-child({at})");
        browser.shows(&one, &format!("Line {line}")).await;
        browser.until(&format!("document.querySelector('{one}').innerText.includes({})", json!(place))).await;
        browser.shows(&one, fault).await;
    }
}

in_both_languages!(a_document_is_checked_at_its_lines_previewed_and_loaded, "loading in the admin page");

async fn a_document_is_checked_at_its_lines_previewed_and_loaded(browser: Browser) {
    let server = Server::start().await;
    let admin = server.admin();
    admin
        .post("/api/load", &json!({"jira": {"J-1": {"CLIENT_ID": "a", "CLIENT_SECRET": "PLANTED_1"}}}))
        .await
        .expect(200);
    logged_in(&browser, &server).await;
    open(&browser, &server, "load").await;
    browser.click("main form button.main").await;
    browser.reads("[data-fault=document]", "Please fill this in.").await;

    // A fault of form has line and column.
    paste(&browser, "{\n  \"jira\": {\"J-2\": {\"CLIENT_ID\": \"b\"\n  \"CLIENT_SECRET\": 1}}}").await;
    browser.click("main form button.main").await;
    see_faults(
        &browser,
        &[(3, "", browser.either("No JSON, at column 3 of line 3:", "JSON の構文エラー (3 行 3 列)"))],
    )
    .await;

    // Faults of content have theirs, however the document is written; one click leads there.
    let text = "{\"jira\":\n {\n  \"J-2\": {\n   \"CLIENT_ID\": \"<client id here>\"\n  }},\n \"gmail\": {\"<img src=x onerror=alert(1)>\": []}\n}";
    paste(&browser, text).await;
    see_faults(&browser, &[]).await;
    browser.click("main form button.main").await;
    let expected = [
        (3, "jira.J-2.CLIENT_SECRET", "Please fill this in."),
        (4, "jira.J-2.CLIENT_ID", "This is a placeholder: put the real value here."),
        (6, "gmail", "This is none of the choices."),
        (
            6,
            "gmail.<img src=x onerror=alert(1)>",
            browser.either("This has to be of type object.", "型は オブジェクト でなければなりません。"),
        ),
    ];
    see_faults(&browser, &expected).await;
    assert_eq!(
        browser.run("return [...document.querySelectorAll('.numbers b')].map((one) => one.textContent)").await,
        json!(["3", "4", "6"])
    );
    browser.click(".faults li:nth-child(2) button").await;
    let selected = "const {value, selectionStart, selectionEnd} = document.activeElement; return value.slice(selectionStart, selectionEnd)";
    assert_eq!(browser.run(selected).await, "   \"CLIENT_ID\": \"<client id here>\"");
    browser.picture("load-faults").await;
    assert_fits(&browser).await;

    // A preview, and nothing is done yet; who leaves is asked.
    let document = json!({"jira": {
        "J-1": {"CLIENT_ID": "other", "CLIENT_SECRET": "PLANTED_1"},
        "J-2": {"CLIENT_ID": "b", "CLIENT_SECRET": "PLANTED_2"},
    }});
    drop_file(&browser, "connectors.json", &document.to_string()).await;
    browser.click("main form button.main").await;
    browser.until("document.querySelector('[data-preview]')").await;
    browser.see("1 added").await;
    browser.see("1 changed").await;
    browser.picture("load-preview").await;
    assert_fits(&browser).await;
    let profiles = admin.get("/api/custom_oauth_profiles").await.expect(200);
    assert_eq!(profiles["result"].as_array().unwrap().len(), 1);
    browser.click("nav a[href='#/profiles']").await;
    browser.see("Leave without saving?").await;
    browser.click("dialog [autofocus]").await;
    browser.click("[data-apply]").await;
    browser.until("document.querySelector('[data-loaded]')").await;
    assert_eq!(browser.run("return document.querySelector('.document textarea').value").await, "");
    browser.click("[data-loaded] a.main").await;
    browser.until("document.querySelectorAll('tbody tr').length === 2").await;
    settled(&browser).await;

    // What is there already is said to be; the template is a link.
    open(&browser, &server, "load").await;
    paste(&browser, &document.to_string()).await;
    browser.click("main form button.main").await;
    browser.see("Everything in it is here already").await;
    assert_eq!(browser.run("return document.querySelector('[data-apply]')").await, Value::Null);
    let template =
        "const answer = await fetch(document.querySelector('main .head a[download]').href); return answer.status";
    assert_eq!(browser.run(&format!("return (async () => {{ {template} }})()")).await, 200);
    // A large one tells how far it is while it runs; what was shown of that is noted.
    let many: serde_json::Map<String, Value> = (0..80)
        .map(|n| (format!("M-{n}"), json!({"CLIENT_ID": "many", "CLIENT_SECRET": format!("PLANTED_many_{n}")})))
        .collect();
    paste(&browser, &json!({"jira": many}).to_string()).await;
    browser.click("main form button.main").await;
    browser.see("80 added").await;
    browser
        .run(
            "window.told = []; new MutationObserver(() => { const bar = document.querySelector('[data-running] progress'); \
             if (bar) window.told.push([bar.hasAttribute('value'), bar.value, bar.max, document.querySelector('[data-running] p').textContent]); })\
             .observe(document.querySelector('main'), { childList: true, subtree: true, attributes: true, characterData: true });",
        )
        .await;
    browser.click("[data-apply]").await;
    browser.until("document.querySelector('[data-loaded]')").await;
    let told = browser.run("return window.told").await;
    let told = told.as_array().unwrap();
    assert_eq!(
        told[0],
        json!([false, 0, 1, browser.either("Loading", "読み込み中")]),
        "nothing is said before the server has"
    );
    let numbers: Vec<u64> = told.iter().filter(|one| one[0] == true).map(|one| one[1].as_u64().unwrap()).collect();
    assert!(numbers.len() > 3 && numbers.is_sorted() && numbers.last() == Some(&80), "{numbers:?}");
    assert!(told.iter().filter(|one| one[0] == true).all(|one| one[2] == 80), "{told:?}");
    assert!(
        told.iter().any(|one| one[3]
            .as_str()
            .unwrap()
            .starts_with(browser.either("Hashing secrets: ", "シークレットをハッシュ化しています: "))),
        "{told:?}"
    );
    assert_eq!(browser.run("return document.querySelector('[data-running]')").await, Value::Null);
    settled(&browser).await;
    open(&browser, &server, "load").await;
    paste(&browser, "").await;
    browser.run("document.querySelector('main form').clean()").await;
    assert_both_languages(&browser, &server, &[("load", "Load", "一括登録")]).await;
    assert_calm(&browser, &server, &["status of 400", "status of 400"]).await;
}
