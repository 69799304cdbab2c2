//! Pieces of Qualys documents: declaration, comments, escaping, `SIMPLE_RETURN`.

use jiff::Timestamp;

use super::Call;
use crate::estate::time;

pub(super) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n";

/// The comments that real documents carry around their root element.
pub(super) const NOTICE: &str =
    "<!-- CONFIDENTIAL AND PROPRIETARY INFORMATION. This is a simulated document. //--> \n";

/// Opens a document: declaration, DOCTYPE, root, `RESPONSE`, `DATETIME`.
pub(super) fn open(call: &Call<'_>, root: &str) -> String {
    let (origin, path) = (call.origin, call.path);
    let dtd = format!("{origin}{}/{}.dtd", path.trim_end_matches('/'), root.to_lowercase());
    format!(
        "{DECLARATION}<!DOCTYPE {root} SYSTEM \"{}\">\n{NOTICE}<{root}>\n  <RESPONSE>\n    <DATETIME>{}</DATETIME>\n",
        text(&dtd),
        call.now()
    )
}

pub(super) fn close(root: &str) -> String {
    format!("  </RESPONSE>\n</{root}>\n{NOTICE}")
}

/// Escaped element text.
pub(super) fn text(raw: &str) -> String {
    quick_xml::escape::escape(raw).into_owned()
}

/// A CDATA section; the closing mark cannot occur inside one, so it is split over two.
pub(super) fn cdata(raw: &str) -> String {
    format!("<![CDATA[{}]]>", raw.replace("]]>", "]]]]><![CDATA[>"))
}

pub(super) fn simple_return(
    now: Timestamp,
    origin: &str,
    code: u32,
    message: &str,
    items: &[(&str, String)],
) -> String {
    // Seen without an XML declaration.
    let mut out = String::new();
    if !origin.is_empty() {
        out.push_str(&format!(
            "<!DOCTYPE SIMPLE_RETURN SYSTEM \"{}/api/2.0/simple_return.dtd\">\n",
            text(origin)
        ));
    }
    out.push_str(&format!(
        "<SIMPLE_RETURN>\n  <RESPONSE>\n    <DATETIME>{}</DATETIME>\n",
        time(now.as_second())
    ));
    if code != 0 {
        out.push_str(&format!("    <CODE>{code}</CODE>\n"));
    }
    out.push_str(&format!("    <TEXT>{}</TEXT>\n", text(message)));
    if !items.is_empty() {
        out.push_str("    <ITEM_LIST>\n");
        for (key, value) in items {
            out.push_str(&format!(
                "      <ITEM>\n        <KEY>{key}</KEY>\n        <VALUE>{value}</VALUE>\n      </ITEM>\n"
            ));
        }
        out.push_str("    </ITEM_LIST>\n");
    }
    out.push_str("  </RESPONSE>\n</SIMPLE_RETURN>\n");
    out
}
