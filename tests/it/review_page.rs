//! The HTML page of `par grants` in a real browser: from disk, alone, readable.

use std::path::PathBuf;

use par_tests::{Browser, Package, par};
use serde_json::json;
use tempfile::TempDir;

const POLICY: &str = "version: 1
grant:
  outbound: [\"https://api.openai.com\"]
  secrets: {KEY: {hosts: [\"https://api.openai.com\"]}}
  env: {LOG_LEVEL: info}
  files: {scratch_mib: 64}
";

/// Writes the page of a package that tries everything it can say.
async fn page(directory: &TempDir) -> PathBuf {
    let hostile = "</td></table><script>document.title='taken'</script><img src=https://evil.example/i onerror=\\\"document.title='taken'\\\"><style>@import 'https://evil.example/s'</style>";
    let manifest = format!(
        "description: \"{hostile}\"\nauthor: \"{hostile}\"\nsandbox: {{outbound: [\"https://evil.example/%3Cscript%3E\"]}}\n"
    );
    let package = Package::asgi("app = None\n").and(&manifest).write_directory(directory.path());
    let page = directory.path().join("review.html");
    let arguments = ["grants", package.to_str().unwrap(), "--html", "--output", page.to_str().unwrap()];
    let said = par(directory.path(), &[("PAR_POLICY", POLICY)], arguments).await;
    assert_eq!(said.code, 2, "{}", said.errors);
    page
}

/// What is wrong with the contrast of a page, by the formula of WCAG 2: texts below 4.5 to 1.
const CONTRAST: &str = r#"
const parse = text => (text.match(/[\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => {
  const part = value => (value /= 255) <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
  return .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
};
const behind = element => {
  for (; element; element = element.parentElement) {
    const color = parse(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const wrong = [];
for (const element of document.body.querySelectorAll('*')) {
  if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
  const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
  const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
  if (ratio < 4.5) wrong.push(`${element.tagName} ${ratio.toFixed(2)} ${element.textContent.slice(0, 40)}`);
}
return wrong;
"#;

#[tokio::test]
async fn the_page_opens_from_disk_alone_and_readable() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(&directory).await;
    let browser = Browser::start().await;

    browser.open_file(&page).await;

    let facts = browser
        .run(
            "const all = selector => [...document.querySelectorAll(selector)];
             return {
               title: document.title,
               headings: all('h1').length,
               verdict: document.querySelector('.verdict').innerText,
               scripts: all('script, img, iframe, object, embed, link, form').length,
               styles: all('style').length,
               tables: all('table').length,
               captions: all('table > caption').filter(caption => caption.innerText.trim()).length,
               columns: all('thead th').every(cell => cell.scope === 'col'),
               rows: all('tbody th').every(cell => cell.scope === 'row'),
               lang: document.documentElement.lang,
               links: all('nav a').length,
               dead: all('nav a').filter(link => !document.getElementById(link.getAttribute('href').slice(1))).length,
               text: document.body.innerText,
               loaded: performance.getEntriesByType('resource').length,
             };",
        )
        .await;
    assert_eq!(facts["title"], "What probe 1.0 may touch");
    assert_eq!((&facts["headings"], &facts["lang"]), (&json!(1), &json!("en")));
    assert!(facts["verdict"].as_str().unwrap().contains("does not start this agent"), "{facts}");
    assert_eq!((&facts["scripts"], &facts["styles"], &facts["loaded"]), (&json!(0), &json!(1), &json!(0)));
    assert!(facts["tables"].as_u64().unwrap() >= 8 && facts["tables"] == facts["captions"], "{facts}");
    assert_eq!((&facts["columns"], &facts["rows"], &facts["dead"]), (&json!(true), &json!(true), &json!(0)));
    assert!(facts["links"].as_u64().unwrap() >= 10);
    for shown in ["https://api.openai.com", "KEY", "LOG_LEVEL", "/scratch", "<script>document.title='taken'</script>"] {
        assert!(facts["text"].as_str().unwrap().contains(shown), "{shown}");
    }
    assert_eq!(browser.console().await, Vec::<String>::new());
    assert_eq!(browser.wanted().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn the_page_is_readable_in_light_in_dark_on_paper_and_on_a_small_screen() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(&directory).await;
    let browser = Browser::start().await;
    browser.open_file(&page).await;

    let mut backgrounds = Vec::new();
    for (media, scheme) in [("screen", "light"), ("screen", "dark"), ("print", "light")] {
        browser.emulate(media, scheme).await;
        assert_eq!(browser.run(CONTRAST).await, json!([]), "{media} {scheme}");
        backgrounds.push(browser.run("return getComputedStyle(document.body).backgroundColor").await);
        browser.picture(&format!("review-{media}-{scheme}")).await;
    }
    assert_ne!(backgrounds[0], backgrounds[1], "dark is another colour than light");
    browser.emulate("print", "light").await;
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('nav')).display").await, "none");

    browser.emulate("screen", "light").await;
    browser.resize(500, 800).await;
    // The tables scroll, the page does not.
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= innerWidth").await, true);
    browser.picture("review-small").await;
    browser.close().await;
}

/// The twin: a page that does want something, runs a script and is hard to read is caught by the same means.
#[tokio::test]
async fn a_page_that_wants_something_from_outside_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("bad.html");
    let text = "<!doctype html><title>bad</title><body style='background:#fff'><p style='color:#ccc'>pale</p>\
                <img src='http://evil.example/i.png'><script>throw new Error('broken')</script>";
    fs_err::write(&page, text).unwrap();
    let browser = Browser::start().await;

    browser.open_file(&page).await;

    assert_eq!(browser.wanted().await, ["http://evil.example/i.png"]);
    assert!(browser.console().await.iter().any(|line| line.contains("broken")));
    assert_eq!(browser.run(CONTRAST).await.as_array().map(Vec::len), Some(1));
    browser.close().await;
}
