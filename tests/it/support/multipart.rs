//! Multipart bodies, written by hand so that they can be wrong.

/// The media type with the boundary of the sample.
pub const MULTIPART: &str = "multipart/form-data; boundary=---1234567890";

/// The smallest file that the rules allow.
pub const APPLICATION_FILE: &str = r#"{"id":"crm","name":"CRM","actions":[{"id":"open","name":"Open","evaluate":"true","invoke":{"method":"GET","url":"https://crm.example/{id}"}}]}"#;

/// One part: its name, its file name, its bytes.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// A body of these parts.
pub fn multipart(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, content) in parts {
        let file_name = file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        let head = format!("-----1234567890\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"Content-Type: application/json\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"-----1234567890--\r\n");
    body
}

/// The body that makes an application.
pub fn application_body(metadata: &str, file: &[u8]) -> Vec<u8> {
    multipart(&[("metadata", None, metadata.as_bytes()), ("file", Some("clientconfig.json"), file)])
}
