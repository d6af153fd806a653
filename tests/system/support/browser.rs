//! As much of a browser as a login at JupyterHub needs: cookies, redirects and the form.

use std::collections::BTreeMap;

use ureq::Agent;

/// What came back, after all redirects.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// Where the redirects ended, without the host.
    pub path: String,
    pub body: String,
}

/// One participant's browser; a clone is a copy of its cookies.
#[derive(Clone)]
pub struct Browser {
    agent: Agent,
    host: String,
    /// By path and name.
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    /// `host` is `http://name:port`.
    pub fn new(host: &str) -> Browser {
        Browser {
            agent: Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .build()
                .new_agent(),
            host: host.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    /// The status of the login: 302 for a good one, 403 for a bad one.
    pub fn log_in(&mut self, name: &str, password: &str) -> u16 {
        self.get("/hub/login");
        let form = [
            ("username", name),
            ("password", password),
            ("_xsrf", &self.xsrf()),
        ];
        let request = self.agent.post(format!("{}/hub/login", self.host));
        let response = request
            .header("Cookie", self.cookies_for("/hub/login"))
            .send_form(form)
            .unwrap();
        self.keep(response.headers());
        response.status().as_u16()
    }

    pub fn get(&mut self, path: &str) -> Page {
        let mut path = path.to_owned();
        for _ in 0..12 {
            let request = self.agent.get(format!("{}{path}", self.host));
            let mut response = request
                .header("Cookie", self.cookies_for(&path))
                .call()
                .unwrap();
            self.keep(response.headers());
            let next = response
                .headers()
                .get("location")
                .map(|to| to.to_str().unwrap());
            match next {
                Some(to) => path = to.strip_prefix(&self.host).unwrap_or(to).to_owned(),
                None => {
                    return Page {
                        status: response.status().as_u16(),
                        path,
                        body: response.body_mut().read_to_string().unwrap(),
                    };
                }
            }
        }
        panic!("redirected without end, last to {path}");
    }

    fn xsrf(&self) -> String {
        let name = "_xsrf".to_owned();
        self.cookies
            .get(&("/hub/".to_owned(), name))
            .cloned()
            .expect("the hub gave no _xsrf cookie")
    }

    fn cookies_for(&self, path: &str) -> String {
        self.cookies
            .iter()
            .filter(|((under, _), _)| path.starts_with(under.as_str()))
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn keep(&mut self, headers: &ureq::http::HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let mut parts = cookie.to_str().unwrap().split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let path = parts
                .find_map(|part| part.strip_prefix("Path="))
                .unwrap_or("/");
            let key = (path.to_owned(), name.to_owned());
            match value.trim_matches('"') {
                "" => self.cookies.remove(&key),
                _ => self.cookies.insert(key, value.to_owned()),
            };
        }
    }
}
