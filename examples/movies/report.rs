//! The page: one HTML file without anything from elsewhere.

use crate::search::Answer;

/// What the page shows.
pub(crate) struct Report<'a> {
    /// Names and figures.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) answers: &'a [Answer],
}

const STYLE: &str = "
:root { color-scheme: light dark; --soft: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--soft); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.cards { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); }
.cards h3 { font-size: 1rem; margin: 0; } ol { margin: .3rem 0; padding-left: 1.4rem; }
small { opacity: .75; }
";

impl Report<'_> {
    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let mut page =
            String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n");
        page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
        page += "<title>Bowerbird: movies</title>\n";
        page += &format!("<style>{STYLE}</style>\n<h1>Bowerbird: movies</h1>\n");
        page += "<table>\n";
        for (name, figure) in &self.facts {
            page += &format!("<tr><td>{}<td class=\"n\">{}\n", escape(name), escape(figure));
        }
        page += "</table>\n<h2>Found</h2>\n";
        page += &cards(self.answers);
        page += "<p><small>Ratings: MovieLens ml-latest-small, GroupLens Research, University of \
                 Minnesota; not for commercial use. Texts and queries: adapted from the Movie Search \
                 Ranking Dataset, Metarank Labs, CC BY. See examples/movies/data/README.md.</small></p>\n";
        page + "</html>\n"
    }
}

fn cards(answers: &[Answer]) -> String {
    let mut html = String::from("<div class=\"cards\">\n");
    for Answer { question, titles } in answers {
        html += &format!("<div><h3>{}</h3><ol>", escape(question));
        titles.iter().for_each(|title| html += &format!("<li>{}", escape(title)));
        html += "</ol></div>\n";
    }
    html + "</div>\n"
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
