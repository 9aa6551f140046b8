//! Tables between the markers of a document.

use anyhow::{Context as _, Result, ensure};

/// A table, or a few lines, under the name of its markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The name in `<!-- begin:name -->` and `<!-- end:name -->`.
    pub name: &'static str,
    /// What it shows, for a terminal.
    pub title: &'static str,
    /// Markdown.
    pub text: String,
}

/// Puts the blocks between their markers.
///
/// # Errors
/// When a block has no markers, or markers have no block.
pub fn fill(document: &str, blocks: &[Block]) -> Result<String> {
    let mut text = document.to_owned();
    for block in blocks {
        let (begin, end) = (
            format!("<!-- begin:{} -->", block.name),
            format!("<!-- end:{} -->", block.name),
        );
        let (before, rest) = text.split_once(&begin).with_context(|| {
            format!("the document has no `{begin}`: add it where the table belongs")
        })?;
        let (_, after) = rest
            .split_once(&end)
            .with_context(|| format!("the document has no `{end}` after `{begin}`"))?;
        text = format!("{before}{begin}\n{}{end}{after}", block.text);
    }
    for line in text.lines() {
        let name = line
            .strip_prefix("<!-- begin:")
            .and_then(|rest| rest.strip_suffix(" -->"));
        let is_known = name.is_none_or(|name| blocks.iter().any(|block| block.name == name));
        ensure!(
            is_known,
            "`{line}` stands in the document, but no table has that name"
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n<!-- begin:a -->\nold\n<!-- end:a -->\nrest\n";

    fn block(name: &'static str) -> Block {
        Block {
            name,
            title: "",
            text: "| x |\n".to_owned(),
        }
    }

    #[test]
    fn a_block_replaces_what_was_there() {
        let filled = fill(DOCUMENT, &[block("a")]).unwrap();
        assert_eq!(filled, DOCUMENT.replace("old", "| x |"));
        assert_eq!(fill(&filled, &[block("a")]).unwrap(), filled);
    }

    #[test]
    fn markers_and_blocks_must_fit() {
        let error = |blocks: &[Block]| fill(DOCUMENT, blocks).unwrap_err().to_string();
        assert!(error(&[block("a"), block("b")]).contains("begin:b"));
        assert!(error(&[]).contains("begin:a"));
        let cut = fill("<!-- begin:a -->\n", &[block("a")])
            .unwrap_err()
            .to_string();
        assert!(cut.contains("end:a"));
    }
}
