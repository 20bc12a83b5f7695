//! Makes what is embedded of `static/`: each file of the admin page as a browser is to get it, and the same compressed.
//!
//! The page is written for its readers and has no tools of its own: what stands in `static/` runs as it is. Here it only
//! loses what no browser needs, comments and the spaces between words that need none, so that its size is that of what it
//! does. The catalogue of providers is no part of the page; `oauth::catalogue` embeds it.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use minifier::{css, js};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=static");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("page");
    // A file that is gone from `static/` must not stay here.
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    embed(Path::new("static"), &out)
}

/// Takes over the files of a folder, and those of the folders in it.
fn embed(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if name == "catalogue" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            embed(&path, &to.join(name))?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let bare = match path.extension().and_then(|extension| extension.to_str()) {
            Some("js") => js::minify(&text).map(|bare| bare.to_string()),
            Some("css") => css::minify(&text).map(|bare| bare.to_string()),
            _ => Ok(text),
        };
        let bare = bare.map_err(|why| format!("{}: {why}", path.display()))?;
        fs::write(to.join(&name), &bare)?;
        // No time and no name in it: the same source makes the same program.
        let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
        packed.write_all(bare.as_bytes())?;
        let mut name = name;
        name.push(".gz");
        fs::write(to.join(name), packed.finish()?)?;
    }
    Ok(())
}
