//! Logs in at JupyterHub as a browser does.

use anyhow::{Context, bail};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::domain::Secret;

/// Fails unless the hub takes the password.
pub fn check(login_url: &str, name: &str, password: &Secret) -> anyhow::Result<()> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(std::time::Duration::from_secs(30)))
        .max_redirects(0)
        .http_status_as_error(false)
        .build()
        .into();
    let page = agent.get(login_url).call()?;
    let cookies = cookies(&page);
    let xsrf = cookies
        .iter()
        .find_map(|cookie| cookie.strip_prefix("_xsrf="))
        .context("the login page sets no _xsrf cookie")?;
    let answer = agent
        .post(login_url)
        .header("cookie", cookies.join("; "))
        .send_form([
            ("username", name),
            ("password", password.expose()),
            ("_xsrf", xsrf),
        ])?;
    match answer.status().as_u16() {
        302 => Ok(()),
        403 => bail!("the hub refuses the password"),
        status => bail!("the hub answers {status} to the login"),
    }
}

fn cookies(page: &Response<Body>) -> Vec<String> {
    let set = page.headers().get_all("set-cookie").iter();
    set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
        .map(str::to_owned)
        .collect()
}
