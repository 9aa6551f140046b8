//! Which of an agent's headers the app sees.

use crate::text::push_json_str;

/// Whether a part of a header's name hints at the agent's address or its proxies, or
/// that some framework takes for a proxy's word on who the caller is: an agent could
/// write them, and the app would believe it.
fn is_withheld(part: &str) -> bool {
    // On the way of every call: a match goes by the length first.
    matches!(
        part,
        "ip" | "realip"
            | "clientip"
            | "userip"
            | "remoteip"
            | "socketip"
            | "addr"
            | "address"
            | "forwarded"
            | "remote"
            | "geo"
            | "host"
            | "clientaddr"
            | "clientaddress"
            | "remoteaddr"
            | "remoteaddress"
            | "forwardedfor"
            | "sourceip"
            | "sourceaddr"
            | "peer"
            | "principal"
            | "authenticated"
            | "csrf"
            | "csrftoken"
            | "xsrf"
            | "xsrftoken"
    )
}

/// Whether a header goes to the app: `content-type` and `x-*`, unless the name
/// may tell the agent's address (`x-real-ip`, `x-forwarded-*`, and their kin) or
/// passes for a proxy's word on who calls (`x-ms-client-principal`,
/// `x-authenticated-user`) or that no other page does (`x-csrf-token`). `name` is
/// lower case.
#[must_use]
pub fn is_forwarded(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x-") else {
        return name == "content-type";
    };
    !rest.split(['-', '_']).any(is_withheld)
}

/// The forwarded ones of `headers` as a JSON object, names in lower case.
#[must_use]
pub fn forwarded_json<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if !is_forwarded(&name) {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        push_json_str(&mut out, &name);
        out.push(':');
        push_json_str(&mut out, value);
    }
    out.push('}');
    out
}

/// The same headers, of which `content-type` is now `application/json`: a door
/// made a JSON body of something else.
#[must_use]
pub fn with_json_type(headers_json: &str) -> String {
    with_type(headers_json, "application/json")
}

/// The same headers with this `content-type`.
#[must_use]
pub fn with_type(headers_json: &str, content_type: &str) -> String {
    let rest = crate::json::Object::read(headers_json).unwrap_or_default();
    let mut out = String::from(r#"{"content-type":"#);
    push_json_str(&mut out, content_type);
    for (name, value) in rest.iter().filter(|(name, _)| *name != "content-type") {
        out.push(',');
        push_json_str(&mut out, name);
        out.push(':');
        out.push_str(value.get());
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_tells_an_address_passes() {
        for name in [
            "content-type",
            "x-request-id",
            "x-api-version",
            "x-description",
            "x-zip",
            "x-shipping",
            "x-api-key",
            "x-auth-token",
            "x-speer",
        ] {
            assert!(is_forwarded(name), "{name}");
        }
        for name in [
            "cookie",
            "authorization",
            "host",
            "cf-connecting-ip",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-original-forwarded-for",
            "x-remote-addr",
            "x-azure-clientip",
            "x-envoy-external-address",
            "x-clientaddr",
            "x-nginx-remoteaddr",
            "x-forwarded",
            "x-ms-forwarded-client-cert",
            "x-aws-sourceip",
            "x-peer",
            "x-ssl_peer-name",
            "x-ms-client-principal-id",
            "x-csrf-token",
            "x-csrftoken",
            "x-xsrf-token",
            "x-xsrftoken",
            "x-authenticated-user",
            "x-goog-authenticated-user-email",
            "true-client-ip",
            "accept",
            "user-agent",
            "content-length",
        ] {
            assert!(!is_forwarded(name), "{name}");
        }
        assert_eq!(
            forwarded_json([("X-A", "\"q\""), ("Cookie", "c"), ("content-type", "a/b")]),
            r#"{"x-a":"\"q\"","content-type":"a/b"}"#
        );
        assert_eq!(forwarded_json([]), "{}");
    }
}
